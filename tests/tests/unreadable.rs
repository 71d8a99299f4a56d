//! Messages that the AMQP library cannot read, on a real broker: each is left out alone, and nothing else is disturbed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tiercast_mesh::SourceUpdate;
use tiercast_tests::{
    fed::{Fed, UPDATE_MAX},
    raw::{RawMessage, RawPublisher, Text, field},
    scene::Scene,
};
use tokio::time::timeout;

/// What no UTF-8 text holds.
const POISON: &[u8] = b"\xff/x";

/// One message of each kind that cannot be read.
fn of_every_kind() -> Vec<(&'static str, RawMessage)> {
    let texts = [
        ("content type", Text::ContentType),
        ("content encoding", Text::ContentEncoding),
        ("correlation id", Text::CorrelationId),
        ("reply to", Text::ReplyTo),
        ("message id", Text::MessageId),
        ("type", Text::Type),
        ("app id", Text::AppId),
        ("cluster id", Text::ClusterId),
    ];
    let mut kinds: Vec<_> = texts
        .into_iter()
        .map(|(name, text)| (name, RawMessage::new("a.b", name).with(text, POISON)))
        .collect();
    kinds.push(("header key", RawMessage::new("a.b", "").with_headers(&field(POISON, b't', &[1]))));
    kinds.push(("routing key", RawMessage::new(b"a.\xff".as_slice(), "")));
    kinds
}

fn numbered(range: std::ops::Range<usize>) -> Vec<RawMessage> {
    range.map(|number| RawMessage::new("a.b", number.to_string())).collect()
}

/// What came on one channel: the bodies of events, and `None` for each gap.
type Came = Vec<(i64, Option<String>)>;

/// Takes what comes until each channel has got so far.
async fn take_until(fed: &mut Fed, last: &BTreeMap<String, i64>) -> Result<BTreeMap<String, Came>> {
    let mut came: BTreeMap<String, Came> = BTreeMap::new();
    let mut open = last.clone();
    while !open.is_empty() {
        let update = timeout(UPDATE_MAX, fed.updates.recv()).await;
        let update = update.with_context(|| format!("nothing more comes for {open:?}"))?;
        let (channel, update) = update.context("the source has ended")?;
        let of_channel = came.entry(channel.clone()).or_default();
        match update {
            SourceUpdate::Opened(position) => of_channel.push((position.offset, None)),
            SourceUpdate::Events(events) => of_channel.extend(events.into_iter().map(|event| {
                (event.offset, Some(String::from_utf8_lossy(&event.message.body).into_owned()))
            })),
            SourceUpdate::Lost { reason } => anyhow::bail!("{channel} was lost: {reason}"),
            other => anyhow::bail!("unexpected: {other:?}"),
        }
        if of_channel.last().map(|(offset, _)| offset) == open.get(&channel) {
            open.remove(&channel);
        }
    }
    Ok(came)
}

#[tokio::test]
async fn regression_an_unreadable_message_is_left_out_alone_and_disturbs_no_other_channel() -> Result<()> {
    const COUNT: usize = 10_000;
    let scene = Scene::set("unreadable").await?;
    let other = Scene::set("undisturbed").await?;
    let mut config = scene.config();
    config.channels.push(other.channel.clone());
    let mut fed = Fed::start(config)?;
    fed.opened().await?;
    fed.opened().await?;

    let kinds = of_every_kind();
    let mut messages = numbered(0..COUNT);
    // At the beginning, two in a row, one of each kind in the middle, and last.
    let mut unreadable = vec![0, 2_000, 2_001, COUNT - 1];
    unreadable.extend((0..kinds.len()).map(|nth| 5_000 + 3 * nth));
    for (nth, place) in unreadable.iter().enumerate() {
        messages[*place] = kinds[nth % kinds.len()].1.clone();
    }
    let mut publisher = RawPublisher::connect(scene.broker.url(), &scene.exchange).await?;
    let mut undisturbed = RawPublisher::connect(other.broker.url(), &other.exchange).await?;
    let good = numbered(0..COUNT);
    let publishing = async {
        tokio::try_join!(publisher.publish(&messages), undisturbed.publish(&good))?;
        anyhow::Ok(())
    };
    let last = (COUNT - 1) as i64;
    let ends =
        BTreeMap::from([(scene.channel.name.to_string(), last), (other.channel.name.to_string(), last)]);
    let (published, came) = tokio::join!(publishing, take_until(&mut fed, &ends));
    published?;
    let came = came?;

    let expected: Came = (0..COUNT)
        .map(|number| (number as i64, (!unreadable.contains(&number)).then(|| number.to_string())))
        .collect();
    let differ: Vec<_> =
        came[scene.channel.name.as_str()].iter().zip(&expected).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty(), "came and expected: {differ:?}");
    assert_eq!(came[scene.channel.name.as_str()].len(), COUNT);
    assert!(
        came[other.channel.name.as_str()].iter().all(|(_, body)| body.is_some()),
        "the other channel has gaps"
    );
    assert_eq!(fed.stats.reconnects(), 0);
    fed.stop().await
}
