//! Messages that the AMQP library cannot read, on a real broker: each is left out alone, and nothing else is disturbed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use tiercast_codec::Position;
use tiercast_mesh::SourceUpdate;
use tiercast_signaling_server::source::amqp::Mode;
use tiercast_tests::{
    fed::{Fed, UPDATE_MAX},
    raw::{RawMessage, RawPublisher, Text, field, long},
    scene::Scene,
};
use tokio::time::timeout;

/// What no UTF-8 text holds.
const POISON: &[u8] = b"\xff/x";

/// One message of each kind that cannot be read. A stream keeps none of the last three as they are.
fn of_every_kind() -> Vec<RawMessage> {
    let texts = [
        Text::ContentType,
        Text::ContentEncoding,
        Text::CorrelationId,
        Text::ReplyTo,
        Text::MessageId,
        Text::Type,
        Text::AppId,
        Text::ClusterId,
    ];
    let headers = |fields: &[u8]| RawMessage::new("a.b", "").with_headers(fields);
    let table = |fields: &[u8]| field(b"table", b'F', &long(fields));
    let mut kinds =
        vec![RawMessage::new(b"a.\xff".as_slice(), "the routing key"), headers(&field(POISON, b't', &[1]))];
    kinds
        .extend(texts.into_iter().map(|text| RawMessage::new("a.b", format!("{text:?}")).with(text, POISON)));
    kinds.push(headers(&table(&field(POISON, b't', &[1]))));
    // As deep as a frame allows: the library's parser would exhaust its stack, and that ends the process.
    kinds.push(headers(&(0..10_000).fold(Vec::new(), |inner, _| table(&inner))));
    kinds
}

/// Those of them that come out of a stream as they went in.
fn of_every_kind_in_a_stream() -> Vec<RawMessage> {
    let mut kinds = of_every_kind();
    kinds.truncate(kinds.len() - 3);
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
            SourceUpdate::Lost { reason } => bail!("{channel} was lost: {reason}"),
            SourceUpdate::Behind | SourceUpdate::CaughtUp => {}
            other => bail!("unexpected: {other:?}"),
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

    let kinds = of_every_kind_in_a_stream();
    let mut messages = numbered(0..COUNT);
    // At the beginning, two in a row, one of each kind in the middle, and last.
    let mut unreadable = vec![0, 2_000, 2_001, COUNT - 1];
    unreadable.extend((0..kinds.len()).map(|nth| 5_000 + 3 * nth));
    for (nth, place) in unreadable.iter().enumerate() {
        messages[*place] = kinds[nth % kinds.len()].clone();
    }
    let mut publisher = RawPublisher::connect(scene.broker.url(), &scene.exchange).await?;
    let mut undisturbed = RawPublisher::connect(other.broker.url(), &other.exchange).await?;
    let good = numbered(0..COUNT);
    let publishing = async {
        tokio::try_join!(publisher.publish(&messages), undisturbed.publish(&good))?;
        anyhow::Ok(())
    };
    let last = (COUNT - 1) as i64;
    let ends = BTreeMap::from([&scene, &other].map(|scene| (scene.channel.name.to_string(), last)));
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
    assert_eq!(fed.stats.unreadable(), unreadable.len() as u64);
    fed.stop().await
}

#[tokio::test]
async fn regression_unreadable_messages_at_both_ends_of_the_history_do_not_keep_a_source_from_starting()
-> Result<()> {
    let scene = Scene::set("ends").await?;
    let mut first = Fed::start(scene.config())?;
    let epoch = first.opened().await?.epoch;
    first.stop().await?;
    let poison = || RawMessage::new("a.b", "").with(Text::ContentType, POISON);
    let good = |body: &str| RawMessage::new("a.b", body);
    let mut publisher = RawPublisher::connect(scene.broker.url(), &scene.exchange).await?;
    // Each in a chunk of its own, so that the looks for the first and the last meet them.
    for message in [poison(), poison(), good("2"), poison()] {
        publisher.publish(&[message]).await?;
    }

    let mut fed = Fed::start(scene.config())?;
    for offset in [-1, 0, 1] {
        assert_eq!(fed.opened().await?, Position::new(epoch, offset));
    }
    assert_eq!(fed.events(1).await?[0].offset, 2);
    assert_eq!(fed.opened().await?, Position::new(epoch, 3));
    publisher.publish(&[good("4")]).await?;
    assert_eq!(fed.events(1).await?[0].offset, 4);
    fed.stop().await
}

#[tokio::test]
async fn regression_an_unreadable_message_in_a_queue_takes_a_number_of_its_own() -> Result<()> {
    let mut scene = Scene::set("unreadable-queue").await?;
    scene.channel.mode = Mode::Queue;
    let mut fed = Fed::start(scene.config())?;
    let epoch = fed.opened().await?.epoch;
    let mut publisher = RawPublisher::connect(scene.broker.url(), &scene.exchange).await?;
    for (nth, poison) in of_every_kind().into_iter().enumerate() {
        let body = nth.to_string();
        publisher.publish(&[poison, RawMessage::new("a.b", &*body)]).await?;
        assert_eq!(fed.opened().await?, Position::new(epoch, 2 * nth as i64), "{body}");
        assert_eq!(fed.messages(1).await?[0].body, body.as_bytes());
    }
    assert_eq!(fed.stats.reconnects(), 0);
    fed.stop().await
}
