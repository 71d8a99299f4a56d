//! All peers of an experiment, in one process or in several.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
pub(super) type Who = (usize, u64);

/// The processes, also those that were killed.
pub(super) struct Crowd {
    task: Task,
    processes: Vec<Process>,
}

struct Process {
    /// None once it was killed.
    child: Option<Child>,
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
        Ok(Self { child: Some(child), frozen_until: None, last })
    }

    /// Whom an order reaches.
    fn awake(&mut self) -> Option<&mut Child> {
        self.child.as_mut().filter(|_| self.frozen_until.is_none())
    }
}

impl Crowd {
    /// Starts all peers.
    pub(super) fn start(task: &Task) -> anyhow::Result<Self> {
        let (peers, processes) = (task.options.peers, task.options.processes());
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
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.processes.iter().map(|process| &process.last)
    }

    /// Those who live, and what they have got.
    pub(super) fn living(&self) -> BTreeMap<Who, Look> {
        let of = |(index, process): (usize, &Process)| {
            let is_alive = process.child.is_some();
            let looks = process.last.looks.clone().into_iter().filter(move |_| is_alive);
            looks.map(move |look| ((index, look.member), look))
        };
        self.processes.iter().enumerate().flat_map(of).collect()
    }

    /// Whether some do not run.
    pub(super) fn is_frozen(&self) -> bool {
        self.processes.iter().any(|process| process.frozen_until.is_some())
    }

    /// What the server calls them.
    pub(super) fn names(&self) -> BTreeMap<PeerId, Who> {
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
        let names = self.names();
        let is_awake = |who: &Who| self.processes[who.0].frozen_until.is_none();
        let of_kind: Vec<Who> = nodes
            .iter()
            .filter(|node| match fault.of.unwrap_or(usual) {
                Kind::Peers => true,
                Kind::Relays => node.has_children,
                Kind::Tier1 => node.tier == 1,
            })
            .filter_map(|node| names.get(&node.peer).copied())
            .filter(is_awake)
            .collect();
        let of_whom =
            if of_kind.is_empty() { names.into_values().filter(is_awake).collect() } else { of_kind };
        let amount = fault.amount.of(of_whom.len());
        of_whom.into_iter().sample(random, amount).into_iter().collect()
    }

    /// Kills these.
    pub(super) async fn kill(&mut self, victims: &BTreeSet<Who>) -> anyhow::Result<()> {
        for (index, process) in self.processes.iter_mut().enumerate() {
            let is_victim = |member: u64| victims.contains(&(index, member));
            let members: Vec<_> = victims.iter().filter(|who| who.0 == index).map(|who| who.1).collect();
            if members.is_empty() {
                continue;
            }
            if process.last.looks.iter().all(|look| is_victim(look.member)) {
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

    /// Lets so many come; in processes of their own if each peer has one.
    pub(super) async fn add(&mut self, count: usize) -> anyhow::Result<()> {
        if self.task.options.processes() == self.task.options.peers {
            for _ in 0..count {
                self.processes.push(Process::start(&Task { peers: 0, late: 1, ..self.task.clone() })?);
            }
            return Ok(());
        }
        let smallest = self.processes.iter_mut().filter(|process| process.child.is_some());
        let smallest = smallest.min_by_key(|process| (process.frozen_until, process.last.looks.len()));
        if let Some(child) = smallest.and_then(Process::awake) {
            child.tell(&Order::Add(count)).await?;
        }
        Ok(())
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
