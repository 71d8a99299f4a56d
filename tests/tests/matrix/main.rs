//! Every transport through every kind of break: each event once and in order, and no gap. The server keeps so little in
//! memory that whoever comes back reads the stream's past.
//!
//! `TIERCAST_MATRIX=20000 cargo test --release --test matrix -- --nocapture` takes more events than the test does unasked.

mod breaks;
mod cluster;
mod cut;
mod embedded;
mod filters;
mod queue;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    ops::{Range, RangeBounds},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lapin::message::Delivery;
use tiercast_tests::{
    audience::Audience,
    broker::{Broker, Outgoing, stream_offset},
    listener::PATIENCE,
    scene::unique,
    server_program::broker_config,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};

/// What events are about, one after the other.
const KEYS: [&str; 3] = ["a.x", "b.x", "c.x"];

/// Events are published in so many parts, the last one aside.
const PARTS: usize = 40;

/// How long publishing takes, unless a break takes longer.
const USUALLY: Duration = Duration::from_secs(2);

/// A stream that cannot be read is read again after this.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A server's tree has one root. This and what follows are lines of its configuration.
const ONE_ROOT: &str = "hub.tier1_min = 1\nhub.tier1_max = 1\n";

/// It has nearly nothing in memory.
const SMALL_LOG: &str = "hub.log_bytes = 65536\nhub.log_frames = 64\n";

/// An event of a stream: offset, routing key, body.
type Held = (i64, String, String);

/// How many events a cell takes.
fn events() -> Result<usize> {
    let given = std::env::var("TIERCAST_MATRIX").ok().map(|count| count.parse()).transpose()?;
    Ok(given.unwrap_or(2_000))
}

/// An exchange, and the channel of the same name that it feeds.
struct Feed {
    name: String,
    events: usize,
}

impl Feed {
    async fn new(what: &str, broker: &Broker) -> Result<Self> {
        let feed = Self { name: unique(what), events: events()? };
        broker.declare_topic_exchange(&feed.name).await?;
        Ok(feed)
    }

    /// A server that is connected to one of these, the first one first, and has nearly nothing in memory.
    fn config(&self, brokers: &[&str]) -> String {
        self.config_in("stream", brokers) + SMALL_LOG
    }

    /// Likewise, in this mode, and with a memory as usual.
    fn config_in(&self, mode: &str, brokers: &[&str]) -> String {
        broker_config(brokers, &self.name, &self.name, mode) + ONE_ROOT
    }

    fn stream(&self) -> String {
        format!("tiercast.{}", self.name)
    }

    fn last(&self) -> String {
        (self.events - 1).to_string()
    }

    fn message(number: usize) -> Outgoing {
        Outgoing::new(KEYS[number % KEYS.len()], &number.to_string(), number.to_string())
    }

    /// Publishes in the background, as [`publish`] does.
    fn publish(&self, broker: &Broker, during: Duration) -> Publishing {
        let mut publisher = broker.publisher(&self.name);
        publish(self.events, during, async move |mut course| {
            while let Some(numbers) = course.next().await? {
                publisher.publish(&numbers.map(Self::message).collect::<Vec<_>>()).await?;
            }
            Ok(())
        })
    }

    /// What the stream holds: offset, routing key, body. It is all that was published. Read at one of these nodes: one that was
    /// started again may have no replica yet.
    async fn held(&self, nodes: &[&Broker]) -> Result<Vec<Held>> {
        let reading = async {
            for node in nodes.iter().cycle() {
                match self.read(node).await {
                    Ok(held) => return held,
                    Err(error) => println!("{}: {error:#}", self.stream()),
                }
                sleep(READ_AGAIN_AFTER).await;
            }
            Vec::new()
        };
        let held = timeout(PATIENCE, reading).await.context("the stream cannot be read")?;
        let distinct: BTreeSet<usize> =
            held.iter().map(|(_, _, body)| body.parse()).collect::<Result<_, _>>()?;
        ensure!(distinct.into_iter().eq(0..self.events), "the stream does not hold what was published");
        Ok(held)
    }

    async fn read(&self, node: &Broker) -> Result<Vec<Held>> {
        let last = self.last();
        let is_last =
            |read: &[Delivery]| read.last().is_some_and(|delivery| delivery.data == last.as_bytes());
        let stream = node.read_stream_until(&self.stream(), is_last).await?;
        let held = stream.iter().map(|delivery| {
            let body = String::from_utf8(delivery.data.clone())?;
            Ok((stream_offset(delivery), delivery.routing_key.to_string(), body))
        });
        held.collect()
    }

    /// Each client has what the stream holds, and has had to connect so often.
    async fn check(
        &self,
        cell: &str,
        nodes: &[&Broker],
        audience: &Audience,
        connections: impl RangeBounds<usize> + Debug,
    ) -> Result<()> {
        let held: Vec<_> = self.held(nodes).await?.into_iter().map(|(_, _, body)| body).collect();
        for had in audience.had_until(&self.last()).await? {
            had.is_exactly(&held).with_context(|| cell.to_owned())?;
            ensure!(
                connections.contains(&had.connections),
                "{cell}: {}, where there have to be {connections:?}",
                had.who
            );
            println!("{cell}: {}: {} events of {} published", had.who, had.bodies.len(), self.events);
        }
        Ok(())
    }
}

/// Each client has a gap for all that it misses, so many events at least, and one gap at least: the numbering is another.
async fn check_gaps(cell: &str, audience: &Audience, last: &str, missing_min: usize) -> Result<()> {
    for had in audience.had_until(last).await? {
        let missing = had.has_a_gap_for_all_that_is_missing().with_context(|| cell.to_owned())?;
        ensure!(!had.gaps.is_empty(), "{cell}: {} does not know of a new numbering", had.who);
        ensure!(missing >= missing_min, "{cell}: {} misses {missing} of {missing_min}", had.who);
        let (who, events, gaps) = (&had.who, had.bodies.len(), &had.gaps);
        println!("{cell}: {who}: {events} events, {missing} missing, gaps after {gaps:?}");
    }
    Ok(())
}

/// Events that are on their way.
struct Publishing {
    task: JoinHandle<Result<()>>,
    may_go_to: watch::Sender<usize>,
    published: watch::Receiver<usize>,
}

impl Publishing {
    /// What is to break has broken, while events were under way: the other half may come.
    fn go_on(&self) {
        self.may_go_to.send_replace(usize::MAX);
    }

    /// Waits until so many events are published, and no more for the moment.
    async fn go_on_to(&self, events: usize) -> Result<()> {
        self.may_go_to.send_replace(events);
        self.published.clone().wait_for(|published| *published >= events).await?;
        Ok(())
    }

    /// How many events are published.
    fn published(&self) -> usize {
        *self.published.borrow()
    }

    /// Waits until everything is published.
    async fn end(self) -> Result<()> {
        self.go_on();
        self.task.await?
    }
}

/// When numbered events are to be published, part by part: one half, and the other one when it may go on. The last event is a
/// part by itself: it comes when all others are there.
struct Course {
    ahead: Range<usize>,
    part: usize,
    pace: Interval,
    goes_to: watch::Receiver<usize>,
    published: watch::Sender<usize>,
}

impl Course {
    /// Waits until the next part is due; those before it are published. None: there are no more.
    async fn next(&mut self) -> Result<Option<Range<usize>>> {
        let (from, end) = (self.ahead.start, self.ahead.end);
        self.published.send_replace(from);
        if from == end {
            return Ok(None);
        }
        self.goes_to.wait_for(|to| from < *to).await?;
        self.pace.tick().await;
        self.ahead.start = if from + 1 == end { end } else { (from + self.part).min(end - 1) };
        Ok(Some(from..self.ahead.start))
    }
}

/// Publishes in the background, in so long, unless the second half may go on late.
fn publish<F>(events: usize, during: Duration, publish: impl FnOnce(Course) -> F) -> Publishing
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (may_go_to, goes_to) = watch::channel(events / 2);
    let (published, is_published) = watch::channel(0);
    let mut pace = interval(during / PARTS as u32);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let course = Course { ahead: 0..events, part: events.div_ceil(PARTS), pace, goes_to, published };
    Publishing { task: tokio::spawn(publish(course)), may_go_to, published: is_published }
}
