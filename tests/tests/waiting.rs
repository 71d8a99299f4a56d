//! What waits for a hub that is slow is bounded, on our side and on a real broker's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tiercast_codec::Event;
use tiercast_mesh::SourceUpdate;
use tiercast_signaling_server::source::amqp::{AmqpStats, Mode};
use tiercast_tests::{
    broker::Outgoing,
    fed::{Fed, UPDATE_MAX},
    raw::{RawMessage, RawPublisher},
    scene::Scene,
};
use tokio::time::{Instant, sleep};

const MIB: u64 = 1 << 20;

/// Looks at what waits until it is so.
async fn wait_for(stats: &AmqpStats, is_so: impl Fn(u64) -> bool) -> Result<()> {
    let deadline = Instant::now() + UPDATE_MAX;
    while !is_so(stats.buffered_bytes()) {
        ensure!(Instant::now() < deadline, "{} bytes wait", stats.buffered_bytes());
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn regression_large_messages_that_wait_for_the_hub_are_bounded_in_bytes() -> Result<()> {
    const COUNT: usize = 100;
    let scene = Scene::set("bounded").await?;
    let mut config = scene.config();
    config.buffer_bytes = 16 << 20;
    let mut first = Fed::start(config.clone())?;
    first.opened().await?;
    first.stop().await?;
    let mut publisher = RawPublisher::connect(scene.broker.url(), &scene.exchange).await?;
    for _ in 0..COUNT {
        publisher.publish(&[RawMessage::new("a.b", vec![7; MIB as usize])]).await?;
    }

    let mut fed = Fed::start(config)?;
    fed.opened().await?;
    // Nobody takes what comes. All that may come does, and no more within a time in which all would.
    wait_for(&fed.stats, |bytes| bytes >= 8 * MIB).await?;
    let mut most = 0;
    for _ in 0..300 {
        most = most.max(fed.stats.buffered_bytes());
        sleep(Duration::from_millis(10)).await;
    }
    println!("at most {most} bytes waited");
    assert!(most <= 16 * MIB, "{most} bytes wait");
    assert!(most >= 8 * MIB, "only {most} bytes wait");
    let events: Vec<Event> = fed.events(COUNT).await?;
    assert!(events.iter().all(|event| event.message.body.len() == MIB as usize));
    wait_for(&fed.stats, |bytes| bytes == 0).await?;
    fed.stop().await
}

#[tokio::test]
async fn regression_a_queue_on_the_broker_is_bounded_and_what_it_loses_is_a_gap() -> Result<()> {
    const COUNT: usize = 2_000;
    const BYTES_MAX: usize = 1_000_000;
    let mut scene = Scene::set("overflow").await?;
    scene.channel.mode = Mode::Queue;
    let mut config = scene.config();
    config.queue_bytes = BYTES_MAX;
    let mut fed = Fed::start(config)?;
    let before = fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    let large = |number: usize| Outgoing::new("a.b", &number.to_string(), vec![7; 10_000]);
    // Nobody takes what comes.
    publisher.publish(&(0..COUNT).map(large).collect::<Vec<_>>()).await?;
    if scene.broker.can_restart() {
        let queues = scene.broker.control(&["list_queues", "name", "message_bytes_ready"]).await?;
        println!("{queues}");
        let ours = queues.lines().filter(|line| line.starts_with(&scene.stream()));
        let waiting: Vec<usize> = ours.filter_map(|line| line.split('\t').nth(1)?.parse().ok()).collect();
        assert!(waiting.iter().all(|bytes| *bytes <= BYTES_MAX), "{waiting:?} bytes wait on the broker");
        assert!(waiting.len() == 2, "the queue and what tells its overflow: {queues}");
    }

    // Then everything is taken, up to the end that follows a gap. Each gap is said, is told with a new epoch, and is the only
    // place where something is missing. There may be several: the queue that follows the first one was filled, too.
    let (mut epoch, mut came, mut missing, mut gaps) = (before.epoch, 0, 0, 0);
    let mut after_gap = false;
    'taking: loop {
        match fed.next().await? {
            SourceUpdate::Messages(messages) => {
                for message in messages {
                    let id = message.message_id.context("no id")?;
                    if id == "end" {
                        break 'taking;
                    }
                    let number: usize = id.parse()?;
                    assert!(number == came || after_gap && number > came, "{number} came after {came}");
                    missing += number - came;
                    (came, after_gap) = (number + 1, false);
                }
            }
            SourceUpdate::Lost { reason } => {
                assert!(reason.contains("amqp.queue_bytes"), "{reason}");
                gaps += 1;
            }
            SourceUpdate::Opened(position) => {
                assert!(position.epoch > epoch && position.offset == -1, "{position} after {epoch:?}");
                (epoch, after_gap) = (position.epoch, true);
                publisher.publish(&[Outgoing::new("a.b", "end", "end")]).await?;
            }
            other => anyhow::bail!("unexpected: {other:?}"),
        }
    }
    missing += COUNT - came;
    println!("of {COUNT} messages {missing} are missing, in {gaps} gaps");
    assert!(missing > 0 && gaps > 0);
    assert_eq!(fed.stats.queue_overflows(), gaps);
    fed.stop().await
}
