//! One run: what goes wrong by plan, until everything is delivered, and what came of it.

use std::{collections::VecDeque, pin::pin, time::Duration};

use tiercast_peer_client::swarm::{Look, Spread};
use tiercast_platform::{end_progress, say, say_progress};
use tokio::{sync::watch, time::Instant};

use super::{
    Task,
    broker::Broker,
    figures::{Cpu, Egress, Figures, IncidentFigures, Stalls},
    measure::Second,
    options::Deed,
    server,
    stage::{Stage, TICK},
};

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(500);
/// Once everything is there, so much longer: a repeated event would come late.
const QUIET: Duration = Duration::from_millis(1_500);

/// A run under way.
struct Run {
    stage: Stage,
    /// How many events there are, for the broker's publisher.
    events: watch::Sender<Option<u64>>,
    delivered: Growth,
    /// Peers that have had the first event.
    arrived: Growth,
    /// When everybody had had the first event: what goes wrong counts from then.
    ready: Option<Instant>,
    /// From then on.
    ahead: Option<Ahead>,
    /// When progress was last said, and whether that was all.
    said: Instant,
    said_all: bool,
}

/// A number that grows, and when it last did.
struct Growth {
    most: u64,
    at: Instant,
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
        events: watch::Sender::new(options.events()),
        delivered: Growth { most: 0, at: start },
        arrived: Growth { most: 0, at: start },
        ready: None,
        ahead: None,
        said: start,
        said_all: false,
    };
    let events = run.events.subscribe();
    let publishing = async {
        match broker {
            Some(broker) => broker.publish(&options, events).await,
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

impl Growth {
    fn is(&mut self, number: u64) {
        if number > self.most {
            (self.most, self.at) = (number, Instant::now());
        }
    }

    fn has_ended(&self, patience: Duration) -> bool {
        self.at.elapsed() > patience
    }
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
        let patience = self.stage.options.patience;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut complete_since = None;
        loop {
            let next = self.ahead.as_ref().and_then(Ahead::next).unwrap_or_else(|| Instant::now() + TICK);
            tokio::select! {
                _ = tick.tick() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            self.look().await?;
            self.count_events().await?;
            self.strike().await?;
            if self.stage.crowd.len() == 0 {
                end_progress();
                say("nobody is left: ending");
                return Ok(());
            }
            self.show();
            let is_complete = self.ahead.as_ref().is_some_and(Ahead::is_over) && self.is_complete();
            let since = *complete_since.get_or_insert_with(Instant::now);
            if !is_complete {
                complete_since = None;
            } else if since.elapsed() >= QUIET {
                return Ok(());
            }
            if self.delivered.has_ended(patience) {
                end_progress();
                say(format_args!("nothing was delivered for {patience:?}: giving up"));
                return Ok(());
            }
        }
    }

    /// Ends the events where it was not known when they end: after the faults, or when nobody more gets ready.
    async fn count_events(&mut self) -> anyhow::Result<()> {
        let (options, start) = (&self.stage.options, self.stage.start);
        let events = match self.ready {
            _ if options.events().is_some() => return Ok(()),
            Some(ready) => options.events_if_ready(ready - start),
            None if self.arrived.has_ended(options.patience) => options.events_until(start.elapsed()),
            None => return Ok(()),
        };
        if self.ready.is_none() {
            end_progress();
            say(format_args!("nobody more was ready for {:?}: the events end", options.patience));
        }
        self.stage.end_after(events).await?;
        self.events.send_replace(Some(events));
        Ok(())
    }

    /// Lets go wrong what is due.
    async fn strike(&mut self) -> anyhow::Result<()> {
        let (Some(ready), Some(events)) = (self.ready, self.stage.options.events()) else { return Ok(()) };
        let (options, start) = (&self.stage.options, self.stage.start);
        let ahead = self.ahead.get_or_insert_with(|| Ahead {
            ready,
            plan: options.plan().into(),
            churn: options.churn_times(events, ready - start),
        });
        let now = ready.elapsed();
        while let Some(deed) = ahead.plan.pop_front_if(|deed| deed.at <= now) {
            self.stage.strike(&deed).await?;
        }
        while ahead.churn.pop_front_if(|at| *at <= now).is_some() {
            self.stage.come_and_go().await?;
        }
        Ok(())
    }

    /// What was to go wrong and did not.
    fn never_came(&self) -> Vec<String> {
        let options = &self.stage.options;
        let plan = self.ahead.as_ref().map_or_else(|| options.plan(), |ahead| ahead.plan.clone().into());
        let has_churned = self.stage.measure.incidents.iter().any(|incident| incident.is_churn());
        let churn = options.churn.filter(|_| !has_churned).map(|rate| format!("churn {rate}"));
        plan.into_iter().map(|deed| deed.asked).chain(churn).collect()
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        self.stage.look().await?;
        self.delivered.is(self.delivered());
        self.arrived.is(self.stage.crowd.ready() as u64);
        if self.ready.is_none() && self.stage.crowd.ready() == self.stage.crowd.len() {
            self.ready = Some(Instant::now());
        }
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.stage.crowd.lines().map(|line| line.report.delivered).sum()
    }

    /// Whether everybody has everything, and runs.
    fn is_complete(&self) -> bool {
        !self.stage.crowd.is_frozen() && self.stage.has_delivered_all()
    }

    fn show(&mut self) {
        let living = self.stage.crowd.living();
        let had = living.values().map(|look| look.next.unwrap_or(0).saturating_sub(look.missing)).sum();
        let expected = self.stage.options.events().map(|events| living.len() as u64 * events);
        // The last line is that which says that everything is there.
        let is_over = expected == Some(had);
        if self.said_all || self.said.elapsed() < PROGRESS && !is_over {
            return;
        }
        (self.said, self.said_all) = (Instant::now(), is_over);
        let latency_ms = Spread::of(&self.stage.measure.latencies);
        // The figures are what counts, even if nobody follows.
        say_progress(format_args!(
            "{:.0} s: {}/{} peers ready, {}, p50 {:.1} ms, p99 {:.1} ms",
            self.stage.start.elapsed().as_secs_f64(),
            self.stage.crowd.ready(),
            living.len(),
            progress(had, expected),
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
        let (options, measure) = (&self.stage.options, &self.stage.measure);
        let counters = &measure.counters;
        // Known by now: nothing ends before that.
        let events = options.events().unwrap_or(self.stage.seen.published);
        let reports = || self.stage.crowd.lines().map(|line| &line.report);
        // One who never had any misses one at least.
        let missing =
            |look: &Look| look.missing + events.saturating_sub(look.next.unwrap_or(events.saturating_sub(1)));
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
            never_came: self.never_came(),
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

/// How much of all has been delivered, as far as it is known how much that is.
fn progress(had: u64, expected: Option<u64>) -> String {
    let Some(expected) = expected else { return format!("{had} delivered") };
    let percent = had as f64 * 100.0 / expected.max(1) as f64;
    format!("{had} of {expected} delivered ({percent:.0} %)")
}
