//! One run: the server, the crowd, what goes wrong, and what is seen of it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use anyhow::Context;
use rand::{SeedableRng, rngs::SmallRng};
use tiercast_codec::PeerId;
use tiercast_peer_client::{
    link::Weather,
    swarm::{Look, Spread},
};
use tiercast_platform::{end_progress, say, say_progress};
use tokio::time::Instant;

use super::{
    Task,
    broker::Broker,
    crowd::{Crowd, Who, below},
    fault::{Amount, Fault, Kind},
    figures::{Cpu, Egress, Figures, IncidentFigures, Stalls},
    measure::{CHURN, Incident, Measure, Second, Sight},
    options::{Deed, ExperimentOptions, What},
    process::Child,
    proxy::Proxy,
    server::{self, Order, Ready, ServerLook},
};
use crate::villain::Misdeed;

/// Between two looks at everything.
const TICK: Duration = Duration::from_millis(250);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(500);
/// Once everything is there, so much longer: a repeated event would come late.
const QUIET: Duration = Duration::from_millis(1_500);
/// A server that is to be restarted waits so long for events that are under way: it keeps none.
const PAUSE: Duration = Duration::from_secs(5);
/// Churn ends so long before the events do, so that who comes last gets some.
const CHURN_ENDS: Duration = Duration::from_secs(3);

/// A run under way.
struct Run {
    options: ExperimentOptions,
    task: Task,
    server: Child,
    /// What the server said last.
    seen: ServerLook,
    /// CPU time of servers that were restarted.
    cpu_before_s: f64,
    crowd: Crowd,
    proxy: Option<Proxy>,
    measure: Measure,
    random: SmallRng,
    start: Instant,
    /// How many were delivered when, the last time that it was more than before.
    delivered: (u64, Instant),
    /// When progress was last said, and whether that was all.
    said: Instant,
    said_all: bool,
}

/// What came of a run.
pub(super) struct Outcome {
    pub(super) figures: Figures,
    pub(super) seconds: Vec<Second>,
}

/// Runs an experiment once.
pub(super) async fn run(mut task: Task, broker: Option<&mut Broker>) -> anyhow::Result<Outcome> {
    let options = task.options.clone();
    let mut server = Child::start("experiment-server", &task)?;
    let ready: Ready = server.line().await.context("the server did not start")?;
    // When it is restarted it is found where it was.
    task.listen = ready.addr;
    let proxy = if options.blink.is_empty() { None } else { Some(Proxy::start(ready.addr).await?) };
    task.url = format!("ws://{}/v1/ws", proxy.as_ref().map_or(ready.addr, |proxy| proxy.addr));
    let (start, crowd) = (Instant::now(), Crowd::start(&task)?);
    let random = SmallRng::seed_from_u64(options.seed);
    let mut run = Run {
        options: options.clone(),
        task,
        server,
        seen: ServerLook::default(),
        cpu_before_s: 0.0,
        crowd,
        proxy,
        measure: Measure::new(),
        random,
        start,
        delivered: (0, start),
        said: start,
        said_all: false,
    };
    let publishing = async {
        match broker {
            Some(broker) => broker.publish(&options).await,
            None => Ok(()),
        }
    };
    if options.source == "embedded" {
        run.server.tell(&Order::Publish(0)).await?;
    }
    let (published, watched) = tokio::join!(publishing, run.watch());
    published?;
    watched?;
    run.conclude().await
}

impl Run {
    /// Lets go wrong what shall, until everything is delivered, or nothing more comes.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut plan = VecDeque::from(self.options.plan());
        let mut churn = self.churn();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut complete_since = None;
        loop {
            let next = [plan.front().map(|deed| deed.at), churn.front().copied()];
            let next = next.into_iter().flatten().min().map_or(Instant::now() + TICK, |at| self.start + at);
            tokio::select! {
                _ = tick.tick() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            self.crowd.thaw()?;
            self.look().await?;
            let now = self.start.elapsed();
            while let Some(deed) = plan.pop_front_if(|deed| deed.at <= now) {
                self.strike(&deed).await?;
            }
            while churn.pop_front_if(|at| *at <= now).is_some() {
                self.come_and_go().await?;
            }
            self.show();
            let is_complete = plan.is_empty() && churn.is_empty() && self.is_complete();
            let since = *complete_since.get_or_insert_with(Instant::now);
            if !is_complete {
                complete_since = None;
            } else if since.elapsed() >= QUIET {
                return Ok(());
            }
            if self.delivered.1.elapsed() > self.options.patience {
                end_progress();
                say(format_args!("nothing was delivered for {:?}: giving up", self.options.patience));
                return Ok(());
            }
        }
    }

    /// When one comes and one goes.
    fn churn(&self) -> VecDeque<Duration> {
        let Some(rate) = self.options.churn else { return VecDeque::new() };
        let events_s = self.options.events() as f64 / self.options.rate as f64;
        let count = (events_s - CHURN_ENDS.as_secs_f64()).max(0.0) * rate;
        (1..=count as u32).map(|number| Duration::from_secs_f64(f64::from(number) / rate)).collect()
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        self.server.tell(&Order::Look).await?;
        for (process, line) in self.crowd.look().await? {
            self.measure.heard(process, line);
        }
        self.seen = self.server.line().await?;
        let delivered = self.delivered();
        if delivered > self.delivered.0 {
            self.delivered = (delivered, Instant::now());
        }
        self.with_sight(Measure::saw);
        Ok(())
    }

    /// Does something with what is seen now.
    fn with_sight<T>(&mut self, look: impl FnOnce(&mut Measure, &Sight) -> T) -> T {
        let (nodes, names) = (&self.seen.nodes, self.crowd.names());
        let children = |parents: &BTreeSet<Who>| {
            let is_one = |parent: PeerId| names.get(&parent).is_some_and(|who| parents.contains(who));
            nodes.iter().filter(|node| node.parent.is_some_and(is_one)).count()
        };
        let sight = Sight {
            at: self.start.elapsed(),
            server: &self.seen,
            living: &self.crowd.living(),
            children: &children,
            tier1: self.options.tier1(),
        };
        look(&mut self.measure, &sight)
    }

    fn delivered(&self) -> u64 {
        self.crowd.lines().map(|line| line.report.delivered).sum()
    }

    /// Whether everybody has everything. Who has had nothing may have come after the last event.
    fn is_complete(&self) -> bool {
        let events = self.options.events();
        let is_complete = |next: Option<u64>, missing| next.is_none_or(|next| next >= events) && missing == 0;
        let living = self.crowd.living();
        !self.crowd.is_frozen()
            && living.values().all(|look| is_complete(look.next, look.missing))
            && living.values().any(|look| look.next.is_some())
    }

    async fn strike(&mut self, deed: &Deed) -> anyhow::Result<()> {
        match &deed.what {
            What::Kill(fault) => {
                let victims = self.choose(fault, Kind::Peers);
                self.struck(&deed.asked, &victims);
                self.crowd.kill(&victims).await?;
                if self.options.replace {
                    self.crowd.add(victims.len()).await?;
                }
            }
            What::Freeze(fault) => {
                let victims = self.choose(fault, Kind::Relays);
                let victims = self.crowd.freeze(victims, fault.lasts.unwrap_or_default())?;
                self.struck(&deed.asked, &victims);
            }
            What::Withhold(fault) => self.spoil(deed, fault, &[Misdeed::Withhold]).await?,
            What::Lie(fault) => {
                let lies = self.options.lies().to_vec();
                self.spoil(deed, fault, &lies).await?;
            }
            What::SlowUplink(fault) => {
                let uplink_bytes_per_s = fault.bytes_per_s;
                self.cloud(deed, fault, Weather { uplink_bytes_per_s, ..self.options.weather() }).await?;
            }
            What::Cut(fault) => {
                self.cloud(deed, fault, Weather { is_cut: true, ..self.options.weather() }).await?;
            }
            What::Blink => {
                self.struck_all(&deed.asked);
                if let Some(proxy) = &self.proxy {
                    proxy.blink();
                }
            }
            What::RestartServer => self.restart_server(deed).await?,
        }
        Ok(())
    }

    fn choose(&mut self, fault: &Fault, usual: Kind) -> BTreeSet<Who> {
        self.crowd.choose(fault, usual, &self.seen.nodes, &mut self.random)
    }

    /// An incident begins, of these and of those below them.
    fn struck(&mut self, asked: &str, victims: &BTreeSet<Who>) {
        let hit = below(victims, &self.seen.nodes, &self.crowd.names());
        let incident = self.with_sight(|_, sight| Incident::new(asked, sight, victims.clone(), hit));
        self.measure.struck(incident);
    }

    /// An incident of everybody begins.
    fn struck_all(&mut self, asked: &str) {
        let all = self.crowd.living().into_keys().collect();
        let incident = self.with_sight(|_, sight| Incident::new(asked, sight, Default::default(), all));
        self.measure.struck(incident);
    }

    async fn spoil(&mut self, deed: &Deed, fault: &Fault, lies: &[Misdeed]) -> anyhow::Result<()> {
        let victims = self.choose(fault, Kind::Relays);
        self.struck(&deed.asked, &victims);
        self.crowd.spoil(&victims, lies).await
    }

    /// The links of some get another weather.
    async fn cloud(&mut self, deed: &Deed, fault: &Fault, weather: Weather) -> anyhow::Result<()> {
        let victims = self.choose(fault, Kind::Relays);
        self.struck(&deed.asked, &victims);
        self.crowd.weather(&victims, weather).await
    }

    /// One is killed, and one comes.
    async fn come_and_go(&mut self) -> anyhow::Result<()> {
        let one = Fault {
            amount: Amount::Count(1),
            of: None,
            at: Duration::ZERO,
            lasts: None,
            bytes_per_s: None,
            text: String::new(),
        };
        let victims = self.choose(&one, Kind::Peers);
        let going_on = self.measure.incidents.iter().position(|incident| incident.asked == CHURN);
        match going_on {
            None => self.struck(CHURN, &victims),
            Some(index) => {
                let hit = below(&victims, &self.seen.nodes, &self.crowd.names());
                let more = victims.clone();
                self.with_sight(|measure, sight| measure.incidents[index].goes_on(sight, more, hit));
            }
        }
        self.crowd.kill(&victims).await?;
        self.crowd.add(1).await
    }

    /// Stops the server and starts another in its place. One that publishes itself keeps no events, so what it has
    /// published is delivered first.
    async fn restart_server(&mut self, deed: &Deed) -> anyhow::Result<()> {
        self.server.tell(&Order::Pause).await?;
        self.seen = self.server.line().await?;
        let (published, paused) = (self.seen.published, Instant::now());
        let is_behind = |run: &Self| {
            run.crowd.living().values().any(|look| look.next.is_some_and(|next| next < published))
        };
        while is_behind(self) && paused.elapsed() < PAUSE {
            tokio::time::sleep(TICK / 10).await;
            self.look().await?;
        }
        self.struck_all(&deed.asked);
        self.measure.server_restarts(&self.seen);
        self.cpu_before_s += self.seen.cpu_s.unwrap_or(0.0);
        self.server.end().await?;
        self.server = Child::start("experiment-server", &self.task)?;
        let _: Ready = self.server.line().await.context("the server did not start again")?;
        if self.options.source == "embedded" {
            self.server.tell(&Order::Publish(published)).await?;
        }
        Ok(())
    }

    fn show(&mut self) {
        let living = self.crowd.living();
        let events = self.options.events();
        let had =
            living.values().map(|look| look.next.unwrap_or(0).saturating_sub(look.missing)).sum::<u64>();
        // The last line is that which says that everything is there.
        let is_over = had == living.len() as u64 * events;
        if self.said_all || self.said.elapsed() < PROGRESS && !is_over {
            return;
        }
        (self.said, self.said_all) = (Instant::now(), is_over);
        let ready = living.values().filter(|look| look.next.is_some_and(|next| next > 0)).count();
        let expected = living.len() as u64 * events;
        let latency_ms = Spread::of(&self.measure.latencies);
        // The figures are what counts, even if nobody follows.
        say_progress(format_args!(
            "{:.0} s: {ready}/{} peers ready, {had} of {expected} delivered ({:.0} %), p50 {:.1} ms, p99 {:.1} ms",
            self.start.elapsed().as_secs_f64(),
            living.len(),
            had as f64 * 100.0 / expected.max(1) as f64,
            latency_ms.p50,
            latency_ms.p99,
        ));
    }

    async fn conclude(mut self) -> anyhow::Result<Outcome> {
        end_progress();
        let elapsed_s = self.start.elapsed().as_secs_f64();
        self.look().await?;
        let figures = self.figures(elapsed_s);
        self.server.end().await?;
        self.crowd.end().await?;
        Ok(Outcome { figures, seconds: self.measure.seconds })
    }

    fn figures(&self, elapsed_s: f64) -> Figures {
        let (options, measure, counters) = (&self.options, &self.measure, &self.measure.counters);
        let events = options.events();
        let reports = || self.crowd.lines().map(|line| &line.report);
        // One who never had any misses one at least.
        let missing = |look: &Look| look.missing + events.saturating_sub(look.next.unwrap_or(events - 1));
        let tiers = server::by_tier(&self.seen.nodes);
        Figures {
            source: if options.source == "embedded" { "embedded" } else { "amqp" },
            peers: options.peers,
            tier1: tiers.get(&1).copied().unwrap_or(0),
            peers_by_tier: tiers,
            events,
            frames: counters.frames,
            delivered: self.delivered(),
            missing: self.crowd.living().values().map(missing).sum(),
            duplicates: reports().map(|report| report.duplicates).sum(),
            out_of_order: reports().map(|report| report.out_of_order).sum(),
            wrong: reports().map(|report| report.wrong).sum(),
            gaps: reports().map(|report| report.gaps).sum(),
            latency_ms: Spread::of(&measure.latencies),
            join_ms: Spread::of(&measure.joins),
            stalls: Stalls::of(measure, &measure.incidents),
            incidents: measure.incidents.iter().map(|one| IncidentFigures::of(measure, one)).collect(),
            server_data_bytes: counters.data_bytes,
            server_control_bytes: counters.control_bytes,
            direct_data_bytes: counters.direct_data_bytes,
            offload: counters.offload_since(&Default::default()),
            // Who found a place only with the last event leaves nothing to take a share of.
            offload_after_joins: measure
                .joined
                .filter(|joined| joined.direct_data_bytes < counters.direct_data_bytes)
                .map(|joined| counters.offload_since(&joined)),
            server_bytes_per_s: Egress::of(&measure.seconds),
            links: counters.links,
            links_lost: counters.links_lost,
            elapsed_s,
            cpu_s: Cpu {
                server: self.seen.cpu_s.map(|cpu_s| cpu_s + self.cpu_before_s),
                peers: self.crowd.lines().map(|line| line.cpu_s).sum(),
            },
        }
    }
}
