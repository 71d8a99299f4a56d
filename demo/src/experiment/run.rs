//! One run: what goes wrong by plan, until everything is delivered, and what came of it.

use std::{collections::VecDeque, pin::pin, time::Duration};

use tiercast_peer_client::swarm::{Look, Spread};
use tiercast_platform::{end_progress, say, say_progress};
use tokio::time::Instant;

use super::{
    Task,
    broker::Broker,
    figures::{Cpu, Egress, Figures, IncidentFigures, Stalls},
    measure::Second,
    options::{Deed, ExperimentOptions},
    server,
    stage::{Stage, TICK},
};

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(500);
/// Once everything is there, so much longer: a repeated event would come late.
const QUIET: Duration = Duration::from_millis(1_500);
/// Churn ends so long before the events do, so that who comes last gets some.
const CHURN_ENDS: Duration = Duration::from_secs(3);

/// A run under way.
struct Run {
    stage: Stage,
    options: ExperimentOptions,
    /// How many were delivered when, the last time that it was more than before.
    delivered: (u64, Instant),
    /// When everybody had had the first event: what goes wrong counts from then.
    ready: Option<Instant>,
    /// When progress was last said, and whether that was all.
    said: Instant,
    said_all: bool,
}

/// What is still to go wrong, by the time since everybody was ready.
struct Ahead {
    ready: Instant,
    plan: VecDeque<Deed>,
    /// When one comes and one goes.
    churn: VecDeque<Duration>,
}

/// What came of a run.
pub(super) struct Outcome {
    pub(super) figures: Figures,
    pub(super) seconds: Vec<Second>,
}

/// Runs an experiment once.
pub(super) async fn run(task: Task, broker: Option<&mut Broker>) -> anyhow::Result<Outcome> {
    let options = task.options.clone();
    let stage = Stage::start(task).await?;
    let start = stage.start;
    let mut run = Run {
        stage,
        options: options.clone(),
        delivered: (0, start),
        ready: None,
        said: start,
        said_all: false,
    };
    let publishing = async {
        match broker {
            Some(broker) => broker.publish(&options).await,
            None => Ok(()),
        }
    };
    beside(publishing, run.watch()).await?;
    run.conclude().await
}

/// Watches while it is published. Where nobody is left to get anything the watch ends before all is published.
async fn beside(
    publishing: impl Future<Output = anyhow::Result<()>>,
    watching: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut watching = pin!(watching);
    tokio::select! {
        watched = &mut watching => return watched,
        published = publishing => published?,
    }
    watching.await
}

impl Ahead {
    /// When the next of it is due.
    fn next(&self) -> Option<Instant> {
        let next = [self.plan.front().map(|deed| deed.at), self.churn.front().copied()];
        next.into_iter().flatten().min().map(|at| self.ready + at)
    }

    fn is_over(&self) -> bool {
        self.plan.is_empty() && self.churn.is_empty()
    }
}

impl Run {
    /// Lets go wrong what shall, until everything is delivered, or nothing more comes.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut ahead = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut complete_since = None;
        loop {
            let next = ahead.as_ref().and_then(Ahead::next).unwrap_or_else(|| Instant::now() + TICK);
            tokio::select! {
                _ = tick.tick() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            self.look().await?;
            if ahead.is_none() {
                ahead = self.ready.map(|ready| self.ahead(ready));
            }
            if let Some(ahead) = &mut ahead {
                self.strike(ahead).await?;
            }
            if self.stage.crowd.len() == 0 {
                end_progress();
                say("nobody is left: ending");
                return Ok(());
            }
            self.show();
            let is_complete = ahead.as_ref().is_some_and(Ahead::is_over) && self.is_complete();
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

    /// What is to go wrong from now on, where everybody is ready.
    fn ahead(&self, ready: Instant) -> Ahead {
        Ahead { ready, plan: self.options.plan().into(), churn: self.churn(ready - self.stage.start) }
    }

    /// When one comes and one goes; the events began so long ago.
    fn churn(&self, begun: Duration) -> VecDeque<Duration> {
        let Some(rate) = self.options.churn else { return VecDeque::new() };
        let events_s = self.options.events() as f64 / self.options.rate as f64;
        let count = (events_s - (begun + CHURN_ENDS).as_secs_f64()).max(0.0) * rate;
        (1..=count as u32).map(|number| Duration::from_secs_f64(f64::from(number) / rate)).collect()
    }

    /// Lets go wrong what is due.
    async fn strike(&mut self, ahead: &mut Ahead) -> anyhow::Result<()> {
        let now = ahead.ready.elapsed();
        while let Some(deed) = ahead.plan.pop_front_if(|deed| deed.at <= now) {
            if self.is_complete() {
                end_progress();
                say(format_args!("--{} comes when every event is there: raise --events", deed.asked));
            }
            self.stage.strike(&deed).await?;
        }
        while ahead.churn.pop_front_if(|at| *at <= now).is_some() {
            self.stage.come_and_go().await?;
        }
        Ok(())
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        self.stage.look().await?;
        let delivered = self.delivered();
        if delivered > self.delivered.0 {
            self.delivered = (delivered, Instant::now());
        }
        if self.ready.is_none() && self.stage.crowd.ready() == self.stage.crowd.len() {
            self.ready = Some(Instant::now());
        }
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.stage.crowd.lines().map(|line| line.report.delivered).sum()
    }

    /// Whether everybody has everything. Who has had nothing may have come after the last event.
    fn is_complete(&self) -> bool {
        let events = self.options.events();
        let is_complete = |next: Option<u64>, missing| next.is_none_or(|next| next >= events) && missing == 0;
        let living = self.stage.crowd.living();
        !self.stage.crowd.is_frozen()
            && living.values().all(|look| is_complete(look.next, look.missing))
            && living.values().any(|look| look.next.is_some())
    }

    fn show(&mut self) {
        let living = self.stage.crowd.living();
        let events = self.options.events();
        let had =
            living.values().map(|look| look.next.unwrap_or(0).saturating_sub(look.missing)).sum::<u64>();
        // The last line is that which says that everything is there.
        let is_over = had == living.len() as u64 * events;
        if self.said_all || self.said.elapsed() < PROGRESS && !is_over {
            return;
        }
        (self.said, self.said_all) = (Instant::now(), is_over);
        let ready = self.stage.crowd.ready();
        let expected = living.len() as u64 * events;
        let latency_ms = Spread::of(&self.stage.measure.latencies);
        // The figures are what counts, even if nobody follows.
        say_progress(format_args!(
            "{:.0} s: {ready}/{} peers ready, {had} of {expected} delivered ({:.0} %), p50 {:.1} ms, p99 {:.1} ms",
            self.stage.start.elapsed().as_secs_f64(),
            living.len(),
            had as f64 * 100.0 / expected.max(1) as f64,
            latency_ms.p50,
            latency_ms.p99,
        ));
    }

    async fn conclude(mut self) -> anyhow::Result<Outcome> {
        end_progress();
        let elapsed_s = self.stage.start.elapsed().as_secs_f64();
        self.look().await?;
        let figures = self.figures(elapsed_s);
        let measure = self.stage.end().await?;
        Ok(Outcome { figures, seconds: measure.seconds })
    }

    fn figures(&self, elapsed_s: f64) -> Figures {
        let (options, measure, counters) = (&self.options, &self.stage.measure, &self.stage.measure.counters);
        let events = options.events();
        let reports = || self.stage.crowd.lines().map(|line| &line.report);
        // One who never had any misses one at least.
        let missing = |look: &Look| look.missing + events.saturating_sub(look.next.unwrap_or(events - 1));
        let tiers = server::by_tier(&self.stage.seen.nodes);
        Figures {
            source: if options.source == "embedded" { "embedded" } else { "amqp" },
            peers: options.peers,
            tier1: tiers.get(&1).copied().unwrap_or(0),
            peers_by_tier: tiers,
            living: self.stage.crowd.len(),
            events,
            frames: counters.frames,
            delivered: self.delivered(),
            missing: self.stage.crowd.living().values().map(missing).sum(),
            duplicates: reports().map(|report| report.duplicates).sum(),
            out_of_order: reports().map(|report| report.out_of_order).sum(),
            wrong: reports().map(|report| report.wrong).sum(),
            gaps: reports().map(|report| report.gaps).sum(),
            nacks: reports().map(|report| report.nacks).sum(),
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
            accusations: counters.accusations,
            suspensions: counters.suspensions,
            ready_s: self.ready.map(|ready| (ready - self.stage.start).as_secs_f64()),
            elapsed_s,
            cpu_s: Cpu {
                server: self.stage.seen.cpu_s.map(|cpu_s| cpu_s + self.stage.cpu_before_s),
                peers: self.stage.crowd.lines().map(|line| line.cpu_s).sum(),
            },
        }
    }
}
