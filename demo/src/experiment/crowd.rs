//! All peers of an experiment, in one process or in several.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::try_join_all;
use rand::{rngs::SmallRng, seq::IteratorRandom};
use tiercast_codec::PeerId;
use tiercast_peer_client::{link::Weather, swarm::Look};
use tokio::time::Instant;

use super::{
    Task,
    fault::{Fault, Kind},
    process::Child,
    server::Node,
    swarm::{Line, Order},
};
use crate::villain::Misdeed;

/// A peer: its process, and its number there.
pub(crate) type Who = (usize, u64);

/// The processes, also those that were killed.
pub(crate) struct Crowd {
    task: Task,
    processes: Vec<Process>,
}

struct Process {
    /// None once it was killed.
    child: Option<Child>,
    /// How many peers it has.
    members: usize,
    frozen_until: Option<Instant>,
    /// What it said last.
    last: Line,
}

impl Process {
    fn start(task: &Task) -> anyhow::Result<Self> {
        let child = Child::start("experiment-swarm", task)?;
        let last = Line {
            report: Default::default(),
            looks: Vec::new(),
            latencies: Vec::new(),
            joins: Vec::new(),
            cpu_s: None,
        };
        let members = (task.peers + task.late) as usize;
        Ok(Self { child: Some(child), members, frozen_until: None, last })
    }

    /// Whom an order reaches.
    fn awake(&mut self) -> Option<&mut Child> {
        self.child.as_mut().filter(|_| self.frozen_until.is_none())
    }
}

impl Crowd {
    /// Starts all peers.
    pub(super) fn start(task: &Task) -> anyhow::Result<Self> {
        let peers = task.options.peers;
        let processes = task.options.processes().min(peers);
        let share = |process| peers / processes + u64::from(process < peers % processes);
        let start = |process| Process::start(&Task { peers: share(process), ..task.clone() });
        let processes = (0..processes).map(start).collect::<anyhow::Result<_>>()?;
        Ok(Self { task: task.clone(), processes })
    }

    /// Asks all that can answer, and gives what they have counted since they were asked before.
    pub(super) async fn look(&mut self) -> anyhow::Result<Vec<(usize, &Line)>> {
        for process in &mut self.processes {
            if let Some(child) = process.awake() {
                child.tell(&Order::Look).await?;
            }
        }
        let mut lines = Vec::new();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if let Some(child) = process.awake() {
                process.last = child.line().await?;
                lines.push((index, &process.last));
            }
        }
        Ok(lines)
    }

    /// What each process said last, also of those that were killed.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.processes.iter().map(|process| &process.last)
    }

    /// Those who live, and what they have got.
    pub(crate) fn living(&self) -> BTreeMap<Who, Look> {
        let of = |(index, process): (usize, &Process)| {
            let is_alive = process.child.is_some();
            let looks = process.last.looks.clone().into_iter().filter(move |_| is_alive);
            looks.map(move |look| ((index, look.member), look))
        };
        self.processes.iter().enumerate().flat_map(of).collect()
    }

    /// How many of those who live have had their first event.
    pub(crate) fn ready(&self) -> usize {
        self.living().values().filter(|look| look.is_ready()).count()
    }

    /// Whether some do not run.
    pub(crate) fn is_frozen(&self) -> bool {
        self.processes.iter().any(|process| process.frozen_until.is_some())
    }

    /// What the server calls them.
    pub(crate) fn names(&self) -> BTreeMap<PeerId, Who> {
        self.living().into_iter().filter_map(|(who, look)| Some((look.peer?, who))).collect()
    }

    /// Those whom a fault strikes; where nobody relays, any.
    pub(super) fn choose(
        &self,
        fault: &Fault,
        usual: Kind,
        nodes: &[Node],
        random: &mut SmallRng,
    ) -> BTreeSet<Who> {
        let mut of_whom = self.of_kind(fault.of.unwrap_or(usual), nodes);
        if of_whom.is_empty() {
            of_whom = self.of_kind(Kind::Peers, nodes);
        }
        let amount = fault.amount.of(of_whom.len());
        of_whom.into_iter().sample(random, amount).into_iter().collect()
    }

    /// Those of a kind that run.
    pub(super) fn of_kind(&self, kind: Kind, nodes: &[Node]) -> Vec<Who> {
        let names = self.names();
        let is_of_kind = |node: &&Node| match kind {
            Kind::Peers => true,
            Kind::Relays => node.has_children,
            Kind::Leaves => !node.has_children,
            Kind::Tier1 => node.tier == 1,
        };
        let those = nodes.iter().filter(is_of_kind).filter_map(|node| names.get(&node.peer).copied());
        those.filter(|who| self.processes[who.0].frozen_until.is_none()).collect()
    }

    /// Kills these.
    pub(super) async fn kill(&mut self, victims: &BTreeSet<Who>) -> anyhow::Result<()> {
        for (index, process) in self.processes.iter_mut().enumerate() {
            let is_victim = |member: u64| victims.contains(&(index, member));
            let members: Vec<_> = victims.iter().filter(|who| who.0 == index).map(|who| who.1).collect();
            if members.is_empty() {
                continue;
            }
            process.members = process.members.saturating_sub(members.len());
            if process.members == 0 {
                if let Some(child) = process.child.take() {
                    child.kill().await?;
                }
            } else if let Some(child) = process.awake() {
                child.tell(&Order::Kill(members)).await?;
            }
            process.last.looks.retain(|look| !is_victim(look.member));
        }
        Ok(())
    }

    /// Lets so many come, one after the other: in a process of its own while there are fewer than asked for, else where
    /// the fewest are.
    pub(crate) async fn add(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let living = self.processes.iter().filter(|process| process.child.is_some()).count();
            if living < self.task.options.processes() as usize {
                self.processes.push(Process::start(&Task { peers: 0, late: 1, ..self.task.clone() })?);
                continue;
            }
            let is_awake = |process: &&mut Process| process.child.is_some() && process.frozen_until.is_none();
            let awake = self.processes.iter_mut().filter(is_awake);
            let Some(process) = awake.min_by_key(|process| process.members) else { return Ok(()) };
            process.members += 1;
            if let Some(child) = process.awake() {
                child.tell(&Order::Add(1)).await?;
            }
        }
        Ok(())
    }

    /// Lets so many leave with a goodbye, the newest first; gives how many did. Who does not run cannot leave.
    pub(crate) async fn remove(&mut self, count: usize) -> anyhow::Result<usize> {
        let mut left = count;
        let mut leaving = Vec::new();
        for process in self.processes.iter_mut().rev() {
            let members = process.members.min(left);
            let Some(child) = process.awake().filter(|_| members > 0) else { continue };
            child.tell(&Order::Remove(members)).await?;
            process.members -= members;
            left -= members;
            if process.members == 0 {
                leaving.extend(process.child.take());
            }
        }
        try_join_all(leaving.iter_mut().map(Child::end)).await?;
        Ok(count - left)
    }

    /// Lets everybody serve so many children from now on, also those who come.
    pub(super) async fn offer(&mut self, children_max: u16) -> anyhow::Result<()> {
        self.task.options.max_children = children_max;
        for process in &mut self.processes {
            if let Some(child) = process.awake() {
                child.tell(&Order::Offer(children_max)).await?;
            }
        }
        Ok(())
    }

    /// How many peers there are.
    pub(crate) fn len(&self) -> usize {
        self.processes.iter().map(|process| process.members).sum()
    }

    /// Those whose processes are stopped.
    pub(crate) fn frozen(&self) -> BTreeSet<Who> {
        let is_frozen = |who: &Who| self.processes[who.0].frozen_until.is_some();
        self.living().into_keys().filter(is_frozen).collect()
    }

    /// Stops the processes of these, and says who is in them.
    pub(super) fn freeze(&mut self, victims: BTreeSet<Who>, time: Duration) -> anyhow::Result<BTreeSet<Who>> {
        let mut frozen = BTreeSet::new();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if victims.iter().any(|who| who.0 == index)
                && let Some(child) = process.awake()
            {
                child.freeze(true)?;
                process.frozen_until = Some(Instant::now() + time);
                frozen.extend(process.last.looks.iter().map(|look| (index, look.member)));
            }
        }
        Ok(frozen)
    }

    /// Lets those go on whose time is over.
    pub(super) fn thaw(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            if process.frozen_until.is_some_and(|until| until <= Instant::now()) {
                process.frozen_until = None;
                if let Some(child) = &process.child {
                    child.freeze(false)?;
                }
            }
        }
        Ok(())
    }

    /// Lets these misbehave, the first by the first lie and so on around.
    pub(super) async fn spoil(&mut self, victims: &BTreeSet<Who>, lies: &[Misdeed]) -> anyhow::Result<()> {
        for ((index, member), misdeed) in victims.iter().zip(lies.iter().cycle()) {
            if let Some(child) = self.processes[*index].awake() {
                child.tell(&Order::Spoil(*member, *misdeed)).await?;
            }
        }
        Ok(())
    }

    /// Gives the links of these another weather.
    pub(super) async fn weather(&mut self, victims: &BTreeSet<Who>, weather: Weather) -> anyhow::Result<()> {
        for (index, process) in self.processes.iter_mut().enumerate() {
            let members: Vec<_> = victims.iter().filter(|who| who.0 == index).map(|who| who.1).collect();
            if let (false, Some(child)) = (members.is_empty(), process.awake()) {
                child.tell(&Order::Weather(members, weather)).await?;
            }
        }
        Ok(())
    }

    /// Lets all processes end well.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        for mut child in self.processes.into_iter().filter_map(|process| process.child) {
            child.end().await?;
        }
        Ok(())
    }
}

/// All those who are fed by way of these, but not they themselves.
pub(super) fn below(victims: &BTreeSet<Who>, nodes: &[Node], names: &BTreeMap<PeerId, Who>) -> BTreeSet<Who> {
    let mut children: BTreeMap<Who, Vec<Who>> = BTreeMap::new();
    for node in nodes {
        if let (Some(child), Some(parent)) =
            (names.get(&node.peer), node.parent.and_then(|parent| names.get(&parent)))
        {
            children.entry(*parent).or_default().push(*child);
        }
    }
    let (mut found, mut next) = (BTreeSet::new(), victims.iter().copied().collect::<Vec<_>>());
    while let Some(who) = next.pop() {
        next.extend(children.get(&who).into_iter().flatten().filter(|child| found.insert(**child)));
    }
    &found - victims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_below_are_children_and_theirs_but_nobody_who_was_struck() {
        let node = |peer, parent: Option<u64>| Node {
            peer: PeerId(peer),
            parent: parent.map(PeerId),
            tier: 0,
            has_children: false,
            is_fed_by_server: false,
        };
        let nodes = [node(1, None), node(2, Some(1)), node(3, Some(2)), node(4, Some(1)), node(5, None)];
        let names = (1..=5).map(|peer| (PeerId(peer), (0, peer))).collect();
        let below = |victims: &[u64]| {
            let victims = victims.iter().map(|peer| (0, *peer)).collect();
            super::below(&victims, &nodes, &names).into_iter().map(|who| who.1).collect::<Vec<_>>()
        };
        assert_eq!(below(&[1]), [2, 3, 4]);
        assert_eq!(below(&[1, 2]), [3, 4]);
        assert_eq!(below(&[5]), [0; 0]);
    }
}
