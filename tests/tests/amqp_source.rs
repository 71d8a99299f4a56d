//! The AMQP source against a real broker: nothing lost, nothing twice, nothing silently.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use tiercast_codec::{Event, HeaderValue, Message, Position};
use tiercast_mesh::SourceUpdate;
use tiercast_signaling_server::source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig, Mode};
use tiercast_tests::{
    broker::{Broker, Outgoing, stream_offset},
    fed::{Fed, STOP_MAX, UPDATE_MAX},
    gate::{Gate, address_of},
    scene::{Scene, ids, numbered, unique},
};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn everything_about_an_event_arrives_as_it_was_published() -> Result<()> {
    let scene = Scene::set("whole").await?;
    let mut fed = Fed::start(scene.config())?;
    let position = fed.opened().await?;
    assert_eq!(position.offset, -1);

    let mut headers = FieldTable::default();
    headers.insert("text".into(), AMQPValue::LongString("grüße".into()));
    headers.insert("int".into(), AMQPValue::LongLongInt(-5));
    headers.insert("small".into(), AMQPValue::ShortShortInt(7));
    headers.insert("truth".into(), AMQPValue::Boolean(true));
    headers.insert("double".into(), AMQPValue::Double(0.25));
    headers.insert("x-stream-offset".into(), AMQPValue::LongLongInt(4711));
    let properties = BasicProperties::default()
        .with_content_type("application/octet-stream".into())
        .with_message_id("id-0".into())
        .with_timestamp(1_700_000_000)
        .with_headers(headers);
    let all_bytes: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> =
        (0..70_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bare = |routing_key: &str, body: &[u8]| Outgoing {
        routing_key: routing_key.to_owned(),
        properties: BasicProperties::default(),
        body: body.to_vec(),
    };
    let messages = [
        Outgoing { routing_key: "a.b.c".into(), properties, body: all_bytes.clone() },
        bare("", b""),
        bare("large", &large),
    ];
    scene.broker.publisher(&scene.exchange).publish(&messages).await?;

    let events = fed.events(3).await?;
    let expected = Message {
        routing_key: "a.b.c".into(),
        exchange: scene.exchange.clone(),
        content_type: Some("application/octet-stream".into()),
        message_id: Some("id-0".into()),
        timestamp: Some(1_700_000_000),
        headers: BTreeMap::from([
            ("text".to_owned(), HeaderValue::Text("grüße".into())),
            ("int".to_owned(), HeaderValue::Int(-5)),
            ("small".to_owned(), HeaderValue::Int(7)),
            ("truth".to_owned(), HeaderValue::Bool(true)),
            ("double".to_owned(), HeaderValue::Float(0.25)),
        ]),
        body: all_bytes.into(),
    };
    assert_eq!(events[0], Event { offset: 0, message: expected });
    let bare = |routing_key: &str, body: Vec<u8>| Message {
        routing_key: routing_key.to_owned(),
        exchange: scene.exchange.clone(),
        body: body.into(),
        ..Message::default()
    };
    assert_eq!(events[1], Event { offset: 1, message: bare("", Vec::new()) });
    assert_eq!(events[2], Event { offset: 2, message: bare("large", large) });
    assert_eq!(fed.stats.messages(), 3);
    fed.stop().await
}

#[tokio::test]
async fn an_events_offset_is_the_streams_own() -> Result<()> {
    let mut scene = Scene::set("offsets").await?;
    // Small segments, so that the offsets have holes.
    scene.channel.retention.segment_bytes = 50_000;
    let mut fed = Fed::start(scene.config())?;
    fed.opened().await?;
    scene.broker.publisher(&scene.exchange).publish(&numbered(0..3_000)).await?;
    let events = fed.events(3_000).await?;
    let stored = scene.broker.read_stream(&scene.stream(), 3_000).await?;
    let offsets: Vec<i64> = stored.iter().map(stream_offset).collect();
    assert_eq!(events.iter().map(|event| event.offset).collect::<Vec<_>>(), offsets);
    assert_eq!(ids(&events), (0..3_000).map(|number| number.to_string()).collect::<Vec<_>>());
    fed.stop().await
}

#[derive(Clone, Copy)]
enum End {
    Stop,
    Kill,
}

async fn publish_across_the_end_of_the_broker(end: End) -> Result<()> {
    const COUNT: usize = 20_000;
    const WINDOW_SEEN: usize = 600;
    let mut broker = Broker::start().await?;
    if !broker.can_restart() {
        eprintln!("the broker is not ours to stop: nothing is tested");
        return Ok(());
    }
    broker.declare_topic_exchange("events").await?;
    let channel = AmqpChannelConfig::new("all".parse()?, vec![BindingConfig::new("events", ["#"])?]);
    let mut fed = Fed::start(AmqpConfig::new(broker.url().parse()?, vec![channel]))?;
    fed.opened().await?;
    if let End::Kill = end {
        // Or the broker would not know its first stream any more (see `Broker::kill`).
        broker.stop().await?;
        broker.start_again().await?;
    }

    let mut publisher = broker.publisher("events");
    let publishing = tokio::spawn(async move { publisher.publish(&numbered(0..COUNT)).await });
    let mut events = Vec::new();
    while events.len() < COUNT / 5 {
        events.extend(fed.batch().await?);
    }
    match end {
        End::Stop => broker.stop().await?,
        End::Kill => broker.kill().await?,
    }
    broker.start_again().await?;
    // What comes meanwhile has to be taken: the source waits for us.
    let mut publishing = publishing;
    loop {
        tokio::select! {
            batch = fed.batch() => events.extend(batch?),
            result = &mut publishing => break result??,
        }
    }
    // A broker that is killed may confirm what it then does not have. That is its publishers' loss, not the source's.
    let mut publisher = broker.publisher("events");
    for round in 0.. {
        let mark = format!("mark {round}");
        publisher.publish_one("mark", &mark, b"").await?;
        while !ids(&events).iter().rev().take(WINDOW_SEEN).any(|id| *id == mark) {
            events.extend(fed.batch().await?);
        }
        let seen: BTreeSet<String> = ids(&events).into_iter().collect();
        let missing: Vec<Outgoing> = (0..COUNT)
            .filter(|number| !seen.contains(&number.to_string()))
            .flat_map(|number| numbered(number..number + 1))
            .collect();
        if missing.is_empty() {
            break;
        }
        eprintln!("{} confirmed messages are not in the stream", missing.len());
        ensure!(round < 5, "the broker goes on losing messages");
        publisher.publish(&missing).await?;
    }

    // The stream itself says what must have come: a message whose confirm was lost is in it twice.
    let stored = broker.read_stream("tiercast.all", events.len()).await?;
    for (event, delivery) in events.iter().zip(&stored) {
        assert_eq!(event.offset, stream_offset(delivery));
        assert_eq!(event.message.body, delivery.data);
        let message_id = delivery.properties.message_id().as_ref().map(|id| id.as_str());
        assert_eq!(event.message.message_id.as_deref(), message_id);
    }
    assert!(fed.stats.reconnects() >= 1);
    assert_eq!(fed.stats.messages(), events.len() as u64);
    fed.stop().await
}

#[tokio::test]
async fn every_event_arrives_once_and_in_order_across_a_stop_of_the_broker() -> Result<()> {
    publish_across_the_end_of_the_broker(End::Stop).await
}

#[tokio::test]
async fn every_event_arrives_once_and_in_order_across_a_kill_of_the_broker() -> Result<()> {
    publish_across_the_end_of_the_broker(End::Kill).await
}

#[tokio::test]
async fn what_is_published_while_a_stream_is_disconnected_arrives_afterwards() -> Result<()> {
    let scene = Scene::set("outage").await?;
    let gate = Gate::before(&scene.broker).await?;
    let mut config = scene.config();
    config.url = gate.url(&scene.broker)?.parse()?;
    let mut fed = Fed::start(config)?;
    let opened = fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    fed.events(10).await?;

    gate.close();
    let reason = fed.lost().await?;
    assert!(reason.contains(&format!("127.0.0.1:{}", gate.port)), "{reason}");
    assert!(!fed.stats.connected());
    publisher.publish(&numbered(10..20)).await?;
    gate.open();
    assert_eq!(fed.opened().await?, Position::new(opened.epoch, 9));
    assert_eq!(ids(&fed.events(10).await?), (10..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(fed.stats.connected());
    assert_eq!(fed.stats.reconnects(), 1);
    fed.stop().await
}

#[tokio::test]
async fn a_node_that_lets_nobody_in_or_is_lost_is_followed_by_the_next_one() -> Result<()> {
    let scene = Scene::set("nodes").await?;
    let (refuses, goes) = (Gate::before(&scene.broker).await?, Gate::before(&scene.broker).await?);
    refuses.close();
    let mut config = scene.config_through(&refuses)?;
    config.other_urls = vec![goes.url(&scene.broker)?.parse()?, scene.url.clone()];
    let mut fed = Fed::start(config)?;
    let reason = fed.lost().await?;
    ensure!(reason.contains(&refuses.addr().to_string()), "{reason}");
    let opened = fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    fed.events(10).await?;

    goes.close();
    let reason = fed.lost().await?;
    ensure!(reason.contains(&goes.addr().to_string()), "{reason}");
    publisher.publish(&numbered(10..20)).await?;
    ensure!(fed.opened().await? == Position::new(opened.epoch, 9));
    ensure!(ids(&fed.events(10).await?) == (10..20).map(|number| number.to_string()).collect::<Vec<_>>());
    fed.stop().await
}

#[tokio::test]
async fn regression_a_node_that_keeps_the_connection_but_does_not_answer_in_time_is_left() -> Result<()> {
    let scene = Scene::set("mute").await?;
    let mute = Gate::before(&scene.broker).await?;
    let mut config = scene.config_through(&mute)?;
    config.other_urls = vec![scene.url.clone()];
    (config.rpc_timeout_ms, config.connect_timeout_ms, config.heartbeat_s) = (3_000, 60_000, 60);
    // A connection takes several answers, and may take that long; what is asked for then may not.
    mute.delay(Duration::from_secs(4));
    let mut fed = Fed::start(config)?;
    let reason = fed.lost().await?;
    ensure!(reason.contains("no answer") && reason.contains(&mute.addr().to_string()), "{reason}");
    // Through the gate nothing could have been opened.
    fed.opened().await?;
    fed.stop().await
}

#[tokio::test]
async fn events_that_the_stream_no_longer_retains_are_an_explicit_gap() -> Result<()> {
    let mut scene = Scene::set("expired").await?;
    scene.channel.retention.max_age_s = 1;
    scene.channel.retention.segment_bytes = 20_000;
    let gate = Gate::before(&scene.broker).await?;
    let mut config = scene.config();
    config.url = gate.url(&scene.broker)?.parse()?;
    let mut fed = Fed::start(config)?;
    let epoch = fed.opened().await?.epoch;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    fed.events(10).await?;

    gate.close();
    fed.lost().await?;
    let mut published = 10;
    let deadline = Instant::now() + UPDATE_MAX;
    while stream_offset(&scene.broker.read_stream(&scene.stream(), 1).await?[0]) <= 10 {
        assert!(Instant::now() < deadline, "the broker keeps everything");
        publisher.publish(&numbered(published..published + 500)).await?;
        published += 500;
    }
    gate.open();
    assert_eq!(fed.opened().await?, Position::new(epoch, 9));
    let gap = fed.opened().await?;
    assert_eq!(gap.epoch, epoch);
    assert!(gap.offset > 9, "{gap}");
    let events = fed.batch().await?;
    assert_eq!(events[0].offset, gap.offset + 1);
    fed.stop().await
}

#[tokio::test]
async fn regression_what_is_cut_while_the_source_lags_is_an_explicit_gap() -> Result<()> {
    let mut scene = Scene::set("lagging").await?;
    (scene.channel.retention.max_age_s, scene.channel.retention.segment_bytes) = (1, 20_000);
    let mut fed = Fed::start(scene.config())?;
    fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    let mut published = 0;
    let deadline = Instant::now() + UPDATE_MAX;
    // The source stands still at the first of them: nobody takes what it says.
    while published == 0 || stream_offset(&scene.broker.read_stream(&scene.stream(), 1).await?[0]) < 5_000 {
        ensure!(Instant::now() < deadline, "the broker keeps everything");
        publisher.publish(&numbered(published..published + 500)).await?;
        published += 500;
    }
    let (mut next, mut gaps, mut told) = (0, 0, None);
    while next < published {
        match fed.next().await? {
            SourceUpdate::Opened(gap) => (gaps, told) = (gaps + 1, Some(gap.offset)),
            SourceUpdate::Events(events) => {
                for (event, id) in events.iter().zip(ids(&events)) {
                    let (id, gap): (usize, _) = (id.parse()?, told.take());
                    ensure!(id == next || id > next && gap.is_some(), "{id} came in the place of {next}");
                    ensure!(
                        gap.is_none_or(|gap| event.offset == gap + 1),
                        "{} came behind {gap:?}",
                        event.offset
                    );
                    next = id + 1;
                }
            }
            other => bail!("expected events or a gap: {other:?}"),
        }
    }
    ensure!(gaps > 0, "the broker gave what it no longer had");
    fed.stop().await
}

#[tokio::test]
async fn a_stream_that_is_created_again_has_a_new_epoch() -> Result<()> {
    let scene = Scene::set("again").await?;
    let mut fed = Fed::start(scene.config())?;
    let before = fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..5)).await?;
    fed.events(5).await?;

    scene.broker.delete_queue(&scene.stream()).await?;
    fed.lost().await?;
    let after = fed.opened().await?;
    assert!(after.epoch > before.epoch);
    assert_eq!(after.offset, -1);
    publisher.publish(&numbered(5..10)).await?;
    let events = fed.events(5).await?;
    assert_eq!(events[0].offset, 0);
    assert_eq!(ids(&events), ["5", "6", "7", "8", "9"]);
    fed.stop().await
}

#[tokio::test]
async fn a_stream_that_was_created_again_while_disconnected_has_a_new_epoch() -> Result<()> {
    let scene = Scene::set("swapped").await?;
    let gate = Gate::before(&scene.broker).await?;
    let mut config = scene.config();
    config.url = gate.url(&scene.broker)?.parse()?;
    let mut fed = Fed::start(config)?;
    let before = fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..5)).await?;
    fed.events(5).await?;

    gate.close();
    fed.lost().await?;
    scene.broker.delete_queue(&scene.stream()).await?;
    let mut other = Fed::start(scene.config())?;
    let theirs = other.opened().await?;
    publisher.publish(&numbered(5..25)).await?;
    gate.open();
    let after = fed.opened().await?;
    assert!(after.epoch > before.epoch);
    assert_eq!(after, Position::new(theirs.epoch, -1));
    assert_eq!(fed.events(20).await?, other.events(20).await?);
    other.stop().await?;
    fed.stop().await
}

#[tokio::test]
async fn sources_that_race_to_create_a_stream_agree_on_its_epoch_and_offsets() -> Result<()> {
    let scene = Scene::set("race").await?;
    let mut racers = Vec::new();
    for _ in 0..4 {
        racers.push(Fed::start(scene.config())?);
    }
    let mut epochs = BTreeSet::new();
    for fed in &mut racers {
        epochs.insert(fed.opened().await?.epoch);
    }
    assert_eq!(epochs.len(), 1, "{epochs:?}");
    scene.broker.publisher(&scene.exchange).publish(&numbered(0..100)).await?;
    let expected = racers[0].events(100).await?;
    for fed in &mut racers[1..] {
        assert_eq!(fed.events(100).await?, expected);
    }
    for fed in racers {
        fed.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn recent_history_is_replayed_at_the_start() -> Result<()> {
    let scene = Scene::set("history").await?;
    let mut first = Fed::start(scene.config())?;
    let opened = first.opened().await?;
    first.stop().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..1_000)).await?;

    let mut second = Fed::start(scene.config())?;
    assert_eq!(second.opened().await?, opened);
    assert_eq!(
        ids(&second.events(1_000).await?),
        (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    publisher.publish_one("a.b", "live", b"").await?;
    assert_eq!(ids(&second.events(1).await?), ["live"]);
    second.stop().await
}

#[tokio::test]
async fn without_history_a_source_begins_at_the_newest_chunk() -> Result<()> {
    let mut scene = Scene::set("newest").await?;
    scene.channel.history_s = 0;
    let mut first = Fed::start(scene.config())?;
    let opened = first.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    first.events(10).await?;
    publisher.publish_one("a.b", "newest", b"").await?;
    first.events(1).await?;
    first.stop().await?;

    let mut second = Fed::start(scene.config())?;
    assert_eq!(second.opened().await?, Position::new(opened.epoch, 9));
    assert_eq!(ids(&second.events(1).await?), ["newest"]);
    second.stop().await
}

#[tokio::test]
async fn a_message_that_matches_several_patterns_is_delivered_once() -> Result<()> {
    let mut scene = Scene::set("overlap").await?;
    scene.channel.bindings = vec![
        BindingConfig::new(&scene.exchange, ["#", "a.*", "*.b"])?,
        BindingConfig::new(&scene.exchange, ["a.b", "#"])?,
    ];
    for mode in [Mode::Stream, Mode::Queue] {
        scene.channel.mode = mode;
        let mut fed = Fed::start(scene.config())?;
        fed.opened().await?;
        let mut publisher = scene.broker.publisher(&scene.exchange);
        publisher.publish(&numbered(0..3)).await?;
        let got = match mode {
            Mode::Stream => ids(&fed.events(3).await?),
            _ => fed.messages(3).await?.into_iter().filter_map(|message| message.message_id).collect(),
        };
        assert_eq!(got, ["0", "1", "2"]);
        fed.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_what_matches_the_patterns_arrives() -> Result<()> {
    let mut scene = Scene::set("match").await?;
    scene.channel.bindings = vec![BindingConfig::new(&scene.exchange, ["build.*.done"])?];
    let everything =
        AmqpChannelConfig::new(unique("rest").parse()?, vec![BindingConfig::new(&scene.exchange, ["#"])?]);
    // Another channel takes all of it, so that what does not match is not sent back to the publisher.
    let mut config = scene.config();
    config.channels.push(everything);
    let mut fed = Fed::start(config)?;
    fed.opened().await?;
    fed.opened().await?;
    let messages = [
        Outgoing::new("build.1.started", "0", ""),
        Outgoing::new("build.1.done", "1", ""),
        Outgoing::new("build.1.2.done", "2", ""),
        Outgoing::new("build.2.done", "3", ""),
    ];
    scene.broker.publisher(&scene.exchange).publish(&messages).await?;
    let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while got.values().map(Vec::len).sum::<usize>() < 6 {
        let update = timeout(UPDATE_MAX, fed.updates.recv()).await?.context("the source has ended")?;
        if update.1 == SourceUpdate::CaughtUp {
            continue;
        }
        let (channel, SourceUpdate::Events(events)) = update else { bail!("unexpected: {update:?}") };
        got.entry(channel).or_default().extend(ids(&events));
    }
    assert_eq!(got[scene.channel.name.as_str()], ["1", "3"]);
    fed.stop().await
}

#[tokio::test]
async fn an_event_that_is_too_large_is_an_explicit_gap() -> Result<()> {
    let scene = Scene::set("large").await?;
    let mut config = scene.config();
    config.max_event_bytes = 1_000;
    let mut fed = Fed::start(config)?;
    let epoch = fed.opened().await?.epoch;
    let messages = [
        Outgoing::new("a", "fits", vec![1; 1_000]),
        Outgoing::new("a", "too large", vec![1; 1_001]),
        Outgoing::new("a", "behind", vec![1; 10]),
    ];
    scene.broker.publisher(&scene.exchange).publish(&messages).await?;
    assert_eq!(ids(&fed.events(1).await?), ["fits"]);
    assert_eq!(fed.opened().await?, Position::new(epoch, 1));
    let behind = fed.events(1).await?;
    assert_eq!((behind[0].offset, ids(&behind)), (2, vec!["behind".to_owned()]));
    assert_eq!((fed.stats.skipped_too_large(), fed.stats.messages()), (1, 2));
    fed.stop().await
}

#[tokio::test]
async fn a_message_that_is_too_large_for_a_queue_takes_a_number_of_its_own() -> Result<()> {
    let mut scene = Scene::set("queue-large").await?;
    scene.channel.mode = Mode::Queue;
    let mut config = scene.config();
    config.max_event_bytes = 1_000;
    let mut fed = Fed::start(config)?;
    let epoch = fed.opened().await?.epoch;
    let messages = [Outgoing::new("a", "fits", vec![1; 9]), Outgoing::new("a", "too large", vec![1; 1_001])];
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&messages).await?;
    assert_eq!(fed.messages(1).await?[0].message_id.as_deref(), Some("fits"));
    assert_eq!(fed.opened().await?, Position::new(epoch, 1));
    publisher.publish_one("a", "behind", b"").await?;
    assert_eq!(fed.messages(1).await?[0].message_id.as_deref(), Some("behind"));
    fed.stop().await
}

#[tokio::test]
async fn a_queue_has_a_new_epoch_after_every_reconnect() -> Result<()> {
    let mut scene = Scene::set("queue").await?;
    scene.channel.mode = Mode::Queue;
    let gate = Gate::before(&scene.broker).await?;
    let mut config = scene.config();
    config.url = gate.url(&scene.broker)?.parse()?;
    let mut fed = Fed::start(config)?;
    let before = fed.opened().await?;
    assert_eq!(before.offset, -1);
    let mut headers = FieldTable::default();
    headers.insert("x-stream-offset".into(), AMQPValue::LongLongInt(4711));
    headers.insert("list".into(), AMQPValue::FieldArray(vec![AMQPValue::LongInt(1)].into()));
    let message = Outgoing {
        routing_key: "a.b".into(),
        properties: BasicProperties::default().with_headers(headers),
        body: b"body".to_vec(),
    };
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&[message]).await?;
    let expected = Message {
        routing_key: "a.b".into(),
        exchange: scene.exchange.clone(),
        headers: BTreeMap::from([
            ("x-stream-offset".to_owned(), HeaderValue::Int(4711)),
            ("list".to_owned(), HeaderValue::List(vec![HeaderValue::Int(1)])),
        ]),
        body: b"body".as_slice().into(),
        ..Message::default()
    };
    assert_eq!(fed.messages(1).await?, [expected]);

    gate.close();
    fed.lost().await?;
    gate.open();
    let after = fed.opened().await?;
    assert!(after.epoch > before.epoch);
    assert_eq!(after.offset, -1);
    publisher.publish_one("a.b", "after", b"").await?;
    assert_eq!(fed.messages(1).await?[0].message_id.as_deref(), Some("after"));
    fed.stop().await
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_reported_and_retried() -> Result<()> {
    let scene = Scene::set("unreachable").await?;
    let gate = Gate::before(&scene.broker).await?;
    gate.close();
    let mut config = scene.config();
    config.url = gate.url(&scene.broker)?.parse()?;
    let mut fed = Fed::start(config)?;
    let reason = fed.lost().await?;
    let address = format!("127.0.0.1:{}", gate.port);
    assert!(reason.contains(&address) && reason.contains("amqp.url"), "{reason}");
    assert!(!fed.stats.connected());
    gate.open();
    fed.opened().await?;
    assert!(fed.stats.connected());
    fed.stop().await
}

#[tokio::test]
async fn a_wrong_password_is_reported_without_being_told() -> Result<()> {
    let scene = Scene::set("password").await?;
    let address = address_of(&scene.broker)?;
    let mut config = scene.config();
    config.url = format!("amqp://guest:hunter2@{address}/%2f").parse()?;
    let mut fed = Fed::start(config)?;
    let reason = fed.lost().await?;
    assert!(reason.contains(&address), "{reason}");
    assert!(reason.contains("refuses the user or the password: check both in amqp.url"), "{reason}");
    assert!(!reason.contains("hunter2") && !reason.contains("ACCESS"), "{reason}");
    fed.stop().await
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_named() -> Result<()> {
    let scene = Scene::set("vhost").await?;
    let mut config = scene.config();
    config.url = format!("amqp://guest:guest@{}/nowhere", address_of(&scene.broker)?).parse()?;
    let mut fed = Fed::start(config)?;
    let reason = fed.lost().await?;
    assert!(
        reason.contains("virtual host `nowhere`") && reason.contains("check the virtual host"),
        "{reason}"
    );
    fed.stop().await
}

#[tokio::test]
async fn a_missing_exchange_is_named_and_retried_while_other_channels_go_on() -> Result<()> {
    for mode in [Mode::Stream, Mode::Queue] {
        let mut scene = Scene::set("present").await?;
        scene.channel.mode = mode;
        let missing = unique("missing");
        let mut broken = AmqpChannelConfig::new(missing.parse()?, vec![BindingConfig::new(&missing, ["#"])?]);
        broken.mode = mode;
        let mut config = scene.config();
        config.channels.push(broken);
        let mut fed = Fed::start(config)?;
        let (mut reason, mut opened) = (None, false);
        while reason.is_none() || !opened {
            match fed.next_named().await? {
                (channel, SourceUpdate::Lost { reason: text }) if channel == missing => reason = Some(text),
                (channel, SourceUpdate::Opened(_)) if channel == scene.channel.name.as_str() => opened = true,
                other => bail!("unexpected: {other:?}"),
            }
        }
        let reason = reason.unwrap_or_default();
        assert!(reason.contains(&format!("exchange `{missing}` does not exist")), "{reason}");

        scene.broker.declare_topic_exchange(&missing).await?;
        let (channel, update) = fed.next_named().await?;
        assert!(matches!(update, SourceUpdate::Opened(_)), "{update:?}");
        assert_eq!(channel, missing);
        assert_eq!(fed.stats.reconnects(), 0);
        fed.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_queue_of_that_name_that_is_not_ours_is_left_alone_and_named() -> Result<()> {
    let scene = Scene::set("foreign").await?;
    let connection = scene.broker.connect().await?;
    let channel = connection.create_channel().await?;
    let options = lapin::options::QueueDeclareOptions::durable();
    channel.queue_declare(scene.stream().as_str().into(), options, FieldTable::default()).await?;
    let mut fed = Fed::start(scene.config())?;
    let reason = fed.lost().await?;
    assert!(
        reason.contains(&format!("queue `{}` on the broker carries no epoch", scene.stream())),
        "{reason}"
    );
    scene.broker.delete_queue(&scene.stream()).await?;
    fed.opened().await?;
    fed.stop().await
}

#[tokio::test]
async fn a_source_stops_although_the_hub_takes_nothing() -> Result<()> {
    let scene = Scene::set("full").await?;
    let mut fed = Fed::start(scene.config())?;
    fed.opened().await?;
    scene.broker.publisher(&scene.exchange).publish(&numbered(0..5_000)).await?;
    fed.stop().await
}

#[tokio::test]
async fn a_source_stops_when_the_hub_is_gone() -> Result<()> {
    let scene = Scene::set("gone").await?;
    let mut fed = Fed::start(scene.config())?;
    fed.opened().await?;
    drop(fed.updates);
    timeout(STOP_MAX, fed.task).await.context("the source does not stop")??;
    Ok(())
}
