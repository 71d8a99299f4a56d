//! A simulation: a scenario is played, checked and measured.

mod faults;
mod population;

use std::{collections::BTreeSet, time::Duration};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tiercast_mesh::{
    Time,
    hub::{HubConfig, Place, Tier1},
    peer::Delivery,
};

use crate::{
    check::{self, Check, Verdict},
    internet::Internet,
    liar::Gang,
    measure::{Measures, Second, Sums, between},
    net::{Given, Net, Traffic, channel},
    queue::Queue,
    report::Figures,
    scenario::Scenario,
    signature::FakeSigner,
    workload,
};

/// Something that is planned.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Join,
    Publish,
    Leave(u64),
    Strike(usize),
    Relent(usize),
    Flap(usize),
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
    /// How far everybody is from everybody.
    map: Internet,
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
    let usual = HubConfig::default();
    let budget = scenario.budget.feed_bytes_per_peer.map(|bytes| bytes.saturating_mul(scenario.peers));
    let feed_bytes = budget.unwrap_or(usual.feed_bytes);
    HubConfig { tier1: Tier1 { min, max }, sessions_max: usize::MAX, feed_bytes, ..usual }
}

/// Empties a list that is kept for us; nothing is allocated where it is empty.
fn take_all<T>(list: &mut Option<Vec<T>>) -> Vec<T> {
    list.as_mut().map(std::mem::take).unwrap_or_default()
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let internet = Internet::new(scenario.network.clone(), seed);
        let map = Internet::new(scenario.network.clone(), seed);
        let mut net = Net::new(seed, hub_config(scenario), internet);
        (net.fresh, net.sent, net.started) = (Some(Vec::new()), Some(Vec::new()), Some(Vec::new()));
        let gang = Gang::default();
        if let Some(liars) = &scenario.liars {
            net.tamper = Some(gang.tamper());
            net.hold_back = Some(gang.hold_back(Duration::from_secs_f64(liars.delay_s)));
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
            map,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x5eed),
            agenda,
            checks: check::all(
                scenario.gaps,
                check::Budget::new(&hub_config(scenario), scenario.budget.egress_times, begin),
            ),
            measures: Measures::default(),
            sums: Sums::default(),
            published: Vec::new(),
            next_node: 0,
            victims: vec![Vec::new(); scenario.faults.len()],
            excused: BTreeSet::new(),
            gang,
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
        self.measures.stalls.conclude(self.net.now);
        let (net, published, excused) = (&self.net, &self.published, &self.excused);
        let checks = &mut self.checks;
        check::look_at(net, published, excused, |view| check::ask(checks, |check| check.end(view)))
    }

    /// Takes what was sent and what applications were given, and lets those connect again whose session has ended.
    fn after_step(&mut self) -> Verdict {
        for sent in take_all(&mut self.net.sent) {
            check::ask(&mut self.checks, |check| check.sent(&sent))?;
        }
        let started = take_all(&mut self.net.started);
        for (node, position) in &started {
            self.checks.iter_mut().for_each(|check| check.started(*node, *position));
        }
        for given in take_all(&mut self.net.fresh) {
            self.take(&given)?;
        }
        for (node, _) in started {
            self.measures.started(node, self.net.now);
        }
        for node in std::mem::take(&mut self.net.cut_off) {
            self.connect_soon(node);
        }
        Ok(())
    }

    fn take(&mut self, given: &Given) -> Verdict {
        if let Delivery::Event { position, .. } = &given.delivery
            && let Some(published) = self.published.get(position.offset as usize)
        {
            self.measures.came(given.node, *published, given.at);
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
            Plan::Leave(node) => self.leave(node),
            Plan::Strike(number) => self.strike(number),
            Plan::Relent(number) => self.relent(number),
            Plan::Flap(number) => self.flap(number),
            Plan::ServerBack => {
                self.net.start_server(hub_config(self.scenario), Box::new(FakeSigner(9)), true);
            }
            Plan::Connect(node) => self.connect(node),
            Plan::Look => {
                self.agenda.plan(now + Duration::from_secs(1), Plan::Look);
                self.accuse();
                self.look(progress)?;
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        let body = workload::body(self.published.len() as i64, self.scenario.workload.bytes);
        self.published.push(self.net.now);
        self.measures.stalls.published(self.net.now);
        self.net.publish([body]);
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
        let waiting = self.net.hub.spending().iter().map(|spending| spending.waiting as u64).sum();
        if let Some(second) = self.measures.seconds.last_mut() {
            *second = Second { server_bytes, link_bytes, peers, fed_by_server, waiting, ..*second };
            progress(self.net.now.since(crate::net::BEGIN).as_secs_f64(), second);
        }
        self.measures.seconds.push(Second::default());
        verdict
    }

    fn measure_links(&mut self) {
        for entry in self.net.hub.topology(&channel()).into_iter().flatten() {
            let ends = [Some(entry.peer), entry.parent].map(|peer| self.net.node_of(peer?));
            if let [Some(child), Some(parent)] = ends {
                self.measures.links.add(2 * self.map.latency(child, parent));
            }
        }
    }

    fn outcome(mut self, seed: u64, wrong: Option<String>) -> Outcome {
        for node in self.net.nodes.values() {
            self.sums.add_peer(node.peer.stats());
        }
        self.measure_links();
        let stats = self.net.hub.channel_stats(&channel()).unwrap_or_default();
        self.sums.add_hub(stats, &self.net.hub.spending());
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
