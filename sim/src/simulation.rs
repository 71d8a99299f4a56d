//! A simulation: a scenario is played, checked and measured.

use std::{collections::BTreeSet, time::Duration};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tiercast_codec::{NodeKind, Relay, SessionId, Since};
use tiercast_mesh::{
    Time,
    hub::{HubConfig, Input, Place, Tier1},
    peer::{Delivery, PeerConfig},
};

use crate::{
    chance::{exponential, uniform, weibull_half},
    check::{self, Check, Verdict},
    fault::{FaultKind, below},
    internet::Internet,
    liar::{Gang, Lie, accusation},
    measure::{Measures, Second, Sums, between},
    net::{Given, Net, Traffic, channel},
    queue::Queue,
    report::Figures,
    scenario::Scenario,
    signature::FakeSigner,
    workload,
};

/// The first ceiling of the delay before a peer connects again (protocol page, "Reconnecting").
const RECONNECT_WITHIN: Duration = Duration::from_millis(500);

/// Places that a liar promises.
const PROMISED: u16 = 64;

/// What it has of an uplink.
const NARROW: f64 = 0.001;

/// How long a server is away when it restarts.
const RESTART: Duration = Duration::from_secs(1);

/// Something that is planned.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Join,
    Publish,
    Leave(u64),
    Strike(usize),
    Relent(usize),
    ServerBack,
    Connect(u64),
    Look,
}

/// How a simulation went.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured.
    pub figures: Figures,
    /// What was measured in each second.
    pub seconds: Vec<Second>,
    /// What was wrong, if anything was.
    pub wrong: Option<String>,
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    net: Net,
    rng: ChaCha8Rng,
    agenda: Queue<Plan>,
    checks: Vec<Box<dyn Check>>,
    measures: Measures,
    sums: Sums,
    published: Vec<Time>,
    next_node: u64,
    victims: Vec<Vec<u64>>,
    excused: BTreeSet<u64>,
    gang: Gang,
    is_server_away: bool,
    traffic: Traffic,
    /// When everybody is there.
    begin: Time,
    /// When nothing is published any more.
    end: Time,
}

/// Plays a scenario. The same seed gives the same outcome.
pub fn run(scenario: &Scenario, seed: u64, progress: &mut dyn FnMut(f64, &Second)) -> Outcome {
    let mut simulation = Simulation::new(scenario, seed);
    let wrong = simulation.play(progress).err();
    simulation.outcome(seed, wrong)
}

fn hub_config(scenario: &Scenario) -> HubConfig {
    let [min, max] = scenario.tier1;
    HubConfig { tier1: Tier1 { min, max }, sessions_max: usize::MAX, ..HubConfig::default() }
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let internet = Internet::new(scenario.network.clone(), seed);
        let mut net = Net::new(seed, hub_config(scenario), internet);
        net.fresh = Some(Vec::new());
        let gang = Gang::default();
        if scenario.liars.is_some() {
            net.tamper = Some(gang.tamper());
        }
        let begin = net.now + Duration::from_secs_f64(scenario.join_s);
        let end = begin + Duration::from_secs_f64(scenario.run_s);
        let mut agenda = Queue::new();
        for number in 0..scenario.peers {
            agenda.plan(net.now + scenario.join_every() * number as u32, Plan::Join);
        }
        agenda.plan(net.now, Plan::Publish);
        agenda.plan(net.now, Plan::Look);
        for (number, fault) in scenario.faults.iter().enumerate() {
            agenda.plan(begin + Duration::from_secs_f64(fault.at_s), Plan::Strike(number));
        }
        Self {
            scenario,
            net,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x5eed),
            agenda,
            checks: check::all(),
            measures: Measures::default(),
            sums: Sums::default(),
            published: Vec::new(),
            next_node: 0,
            victims: vec![Vec::new(); scenario.faults.len()],
            excused: BTreeSet::new(),
            gang,
            is_server_away: false,
            traffic: Traffic::default(),
            begin,
            end,
        }
    }

    fn play(&mut self, progress: &mut dyn FnMut(f64, &Second)) -> Verdict {
        let over = self.end + Duration::from_secs_f64(self.scenario.settle_s);
        while let Some(next) = self.agenda.next().filter(|next| *next <= over) {
            while self.net.step(next) {
                self.after_step()?;
            }
            self.net.now = self.net.now.max(next);
            let Some((_, plan)) = self.agenda.pop() else { break };
            self.act(plan, progress)?;
            self.after_step()?;
        }
        self.measures.conclude();
        let (net, published, excused) = (&self.net, &self.published, &self.excused);
        let checks = &mut self.checks;
        check::look_at(net, published, excused, |view| check::ask(checks, |check| check.end(view)))
    }

    /// Takes what applications were given, and lets those connect again whose session has ended.
    fn after_step(&mut self) -> Verdict {
        if self.net.fresh.as_ref().is_some_and(|fresh| !fresh.is_empty()) {
            let fresh = self.net.fresh.replace(Vec::new()).unwrap_or_default();
            for given in &fresh {
                self.take(given)?;
            }
        }
        for node in std::mem::take(&mut self.net.cut_off) {
            self.connect_soon(node);
        }
        Ok(())
    }

    fn connect_soon(&mut self, node: u64) {
        let delay = RECONNECT_WITHIN.mul_f64(uniform(self.rng.next_u64()));
        self.agenda.plan(self.net.now + delay, Plan::Connect(node));
    }

    fn take(&mut self, given: &Given) -> Verdict {
        if let Delivery::Event { position, .. } = &given.delivery
            && let Some(published) = self.published.get(position.offset as usize)
        {
            self.measures.came(given.node, given.at.since(*published));
        }
        check::ask(&mut self.checks, |check| check.given(given))
    }

    fn act(&mut self, plan: Plan, progress: &mut dyn FnMut(f64, &Second)) -> Verdict {
        let now = self.net.now;
        match plan {
            Plan::Join => self.join(),
            Plan::Publish => {
                if now < self.end {
                    self.agenda.plan(now + self.scenario.publish_every(), Plan::Publish);
                    self.publish();
                }
            }
            Plan::Leave(node) => {
                if now < self.end && self.net.nodes.contains_key(&node) {
                    let is_silent =
                        self.scenario.churn.is_some_and(|churn| uniform(self.rng.next_u64()) < churn.silent);
                    let kind = if is_silent { FaultKind::Vanish } else { FaultKind::Goodbye };
                    self.go(kind, node);
                    self.join();
                }
            }
            Plan::Strike(number) => self.strike(number),
            Plan::Relent(number) => {
                let fault = self.scenario.faults[number];
                for node in std::mem::take(&mut self.victims[number]) {
                    fault.relent(&mut self.net, node);
                    self.excused.remove(&node);
                }
            }
            Plan::ServerBack => {
                self.net.start_server(hub_config(self.scenario), Box::new(FakeSigner(9)), true);
                self.is_server_away = false;
            }
            Plan::Connect(node) => {
                let is_away = self.net.nodes.get(&node).is_some_and(|state| state.session.is_none());
                if is_away && self.is_server_away {
                    self.connect_soon(node);
                } else if is_away {
                    self.net.connect(node);
                }
            }
            Plan::Look => {
                self.agenda.plan(now + Duration::from_secs(1), Plan::Look);
                self.accuse();
                self.look(progress)?;
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        if self.is_server_away {
            return;
        }
        let body = workload::body(self.published.len() as i64, self.scenario.workload.bytes);
        self.published.push(self.net.now);
        self.net.publish([body]);
    }

    fn join(&mut self) {
        self.next_node += 1;
        let node = self.next_node;
        let population = self.scenario.population;
        let [least, greatest] = population.children;
        let is_leaf = uniform(self.rng.next_u64()) < population.leaves;
        let children = least + (self.rng.next_u64() % u64::from(greatest - least + 1)) as u16;
        let lie = self.scenario.liars.filter(|liars| uniform(self.rng.next_u64()) < liars.share);
        let children_max = match lie.map(|liars| liars.lie) {
            Some(Lie::Promise) => PROMISED,
            _ if is_leaf => 0,
            _ => children,
        };
        let relay = Some(Relay { node: NodeKind::Native, children_max });
        self.net.join(node, PeerConfig { relay, ..PeerConfig::default() }, Since::Now);
        if let Some(liars) = lie {
            self.gang.join(node, liars.lie);
            if liars.lie == Lie::Promise {
                self.net.narrow(node, NARROW);
            }
        }
        if let Some(churn) = self.scenario.churn {
            let stays = match uniform(self.rng.next_u64()) < churn.short {
                true => exponential(self.rng.next_u64(), Duration::from_secs_f64(churn.short_s)),
                false => weibull_half(self.rng.next_u64(), Duration::from_secs_f64(churn.long_s)),
            };
            self.agenda.plan(self.net.now + stays, Plan::Leave(node));
        }
    }

    /// A node goes for good.
    fn go(&mut self, kind: FaultKind, node: u64) {
        if let Some(state) = self.net.nodes.get(&node) {
            self.sums.add_peer(state.peer.stats());
        }
        kind.depart(&mut self.net, node);
        self.measures.left(node);
        self.excused.remove(&node);
        self.gang.leave(node);
        self.checks.iter_mut().for_each(|check| check.left(node));
    }

    fn strike(&mut self, number: usize) {
        let fault = self.scenario.faults[number];
        if fault.kind == FaultKind::Restart {
            self.measures.struck(self.net.nodes.keys().copied().collect());
            self.sums.add_hub(self.net.hub.channel_stats(&channel()).unwrap_or_default());
            self.is_server_away = true;
            self.net.stop_server();
            self.agenda.plan(self.net.now + RESTART, Plan::ServerBack);
            return;
        }
        let victims = fault.victims(&mut self.net);
        self.measures.struck(match fault.kind {
            FaultKind::Blink => victims.iter().copied().collect(),
            _ => below(&self.net, &victims),
        });
        for node in &victims {
            if fault.is_final() {
                self.go(fault.kind, *node);
            } else {
                fault.strike(&mut self.net, *node);
            }
        }
        if matches!(fault.kind, FaultKind::Freeze | FaultKind::Slow) {
            self.excused.extend(&victims);
        }
        if !fault.is_final() && fault.for_s > 0.0 {
            self.victims[number] = victims;
            self.agenda.plan(self.net.now + fault.lasts(), Plan::Relent(number));
        }
    }

    /// Those who accuse do so.
    fn accuse(&mut self) {
        for node in self.gang.accusers() {
            let Some(session) = self.net.nodes.get(&node).and_then(|node| node.session) else { continue };
            for link in self.net.links_of(node) {
                self.net.hub_input(Input::SessionData(SessionId(session), accusation(link)));
            }
        }
    }

    fn look(&mut self, progress: &mut dyn FnMut(f64, &Second)) -> Verdict {
        let (server_bytes, link_bytes) = between(self.traffic, self.net.traffic);
        self.traffic = self.net.traffic;
        let (net, published, excused) = (&self.net, &self.published, &self.excused);
        let checks = &mut self.checks;
        let (verdict, fed_by_server) = check::look_at(net, published, excused, |view| {
            let is_fed = |place: Place| !matches!(place, Place::Child(_) | Place::Orphan);
            let fed = view.tree.iter().filter(|node| is_fed(node.place)).count() as u64;
            (check::ask(checks, |check| check.look(view)), fed)
        });
        let peers = self.net.nodes.len() as u64;
        if let Some(second) = self.measures.seconds.last_mut() {
            *second = Second { server_bytes, link_bytes, peers, fed_by_server, ..*second };
            progress(self.net.now.since(crate::net::BEGIN).as_secs_f64(), second);
        }
        self.measures.seconds.push(Second::default());
        verdict
    }

    fn outcome(mut self, seed: u64, wrong: Option<String>) -> Outcome {
        for node in self.net.nodes.values() {
            self.sums.add_peer(node.peer.stats());
        }
        self.sums.add_hub(self.net.hub.channel_stats(&channel()).unwrap_or_default());
        self.measures.seconds.pop();
        let join_s = self.scenario.join_s as usize;
        let figures = Figures::new(
            self.scenario,
            seed,
            self.next_node,
            &self.measures,
            &self.sums,
            self.net.traffic,
            join_s,
        );
        let wrong = wrong.map(|wrong| {
            let at_s = self.net.now.since(self.begin).as_secs_f64();
            format!("{wrong} ({at_s:.1} s after everybody was there)")
        });
        Outcome { figures, seconds: self.measures.seconds, wrong }
    }
}
