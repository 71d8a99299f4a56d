//! Where a stream ends, and what happens to its numbering when it loses its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use lapin::types::{AMQPValue, FieldTable, LongString};
use tiercast_codec::{ChannelName, Epoch, Event, Position};
use tiercast_mesh::{SourceUpdate, hub::Tier1};
use tiercast_peer_client::{ClientOptions, Notification, Since};
use tiercast_signaling_server::{
    Config, Server,
    source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig, Mode, RetentionConfig},
};
use tiercast_tests::{
    broker::{Broker, Outgoing},
    fed::{Fed, UPDATE_MAX},
    gate::Gate,
    listener::Listener,
    scene::{Scene, ids, numbered},
};

/// What a publisher has put into a stream since its broker was killed: what was not confirmed, perhaps twice.
fn are_all(events: &[Event], range: std::ops::Range<usize>) -> bool {
    ids(events).into_iter().collect::<BTreeSet<_>>() == texts(range).into_iter().collect()
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// The arguments that a source gives to a stream of this epoch.
fn arguments(epoch: Epoch, retention: &RetentionConfig) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("stream"));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt((1 << 62) + epoch as i64));
    arguments.insert("x-max-age".into(), text(&format!("{}s", retention.max_age_s)));
    let segment_bytes = AMQPValue::LongLongInt(retention.segment_bytes as i64);
    arguments.insert("x-stream-max-segment-size-bytes".into(), segment_bytes);
    arguments
}

/// Deletes the stream of a scene and makes it again just as it was, but empty, as restored definitions do.
async fn make_stream_again(scene: &Scene, epoch: Epoch) -> Result<()> {
    scene.broker.delete_queue(&scene.stream()).await?;
    let arguments = arguments(epoch, &scene.channel.retention);
    scene.broker.declare_stream(&scene.stream(), &scene.exchange, arguments).await
}

#[tokio::test]
async fn regression_a_slow_broker_does_not_make_a_source_read_everything_that_is_retained() -> Result<()> {
    let mut scene = Scene::set("slow").await?;
    scene.channel.history_s = 0;
    let mut first = Fed::start(scene.config())?;
    let opened = first.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    for number in 0..20 {
        publisher.publish_one("a.b", &number.to_string(), &vec![0; 100_000]).await?;
        first.events(1).await?;
    }
    first.stop().await?;

    let gate = Gate::before(&scene.broker).await?;
    // A message takes a second.
    gate.narrow(100_000);
    let mut second = Fed::start(scene.config_through(&gate)?)?;
    assert_eq!(second.opened().await?, Position::new(opened.epoch, 18));
    assert_eq!(ids(&second.events(1).await?), ["19"]);
    second.stop().await
}

#[tokio::test]
async fn regression_a_stream_made_again_with_the_same_arguments_begins_a_new_numbering() -> Result<()> {
    for again in [500, 1_500] {
        let scene = Scene::set("restored").await?;
        let gate = Gate::before(&scene.broker).await?;
        let mut fed = Fed::start(scene.config_through(&gate)?)?;
        let before = fed.opened().await?;
        let mut publisher = scene.broker.publisher(&scene.exchange);
        publisher.publish(&numbered(0..1_000)).await?;
        fed.events(1_000).await?;

        gate.close();
        fed.lost().await?;
        make_stream_again(&scene, before.epoch).await?;
        publisher.publish(&numbered(1_000..1_000 + again)).await?;
        gate.open();
        let after = fed.opened().await?;
        assert!(after.epoch > before.epoch, "{after} after {before}");
        assert_eq!(after.offset, -1);
        assert_eq!(ids(&fed.events(again).await?), texts(1_000..1_000 + again));
        fed.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn regression_what_a_stream_loses_while_no_server_runs_is_noticed_by_the_next_start() -> Result<()> {
    for again in [0, 10, 50, 300] {
        let (scene, folder) = (Scene::set("unwatched").await?, tempfile::tempdir()?);
        let mut fed = Fed::start_in(scene.config(), folder.path())?;
        let before = fed.opened().await?;
        let mut publisher = scene.broker.publisher(&scene.exchange);
        publisher.publish(&numbered(0..50)).await?;
        fed.events(50).await?;
        fed.stop().await?;

        let mut fed = Fed::start_in(scene.config(), folder.path())?;
        ensure!(fed.opened().await?.epoch == before.epoch, "nothing was lost");
        fed.stop().await?;

        make_stream_again(&scene, before.epoch).await?;
        publisher.publish(&numbered(50..50 + again)).await?;
        let mut fed = Fed::start_in(scene.config(), folder.path())?;
        let after = fed.opened().await?;
        ensure!(after.epoch > before.epoch, "{again} messages later: {after} after {before}");
        ensure!(ids(&fed.events(again).await?) == texts(50..50 + again));
        fed.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_a_peer_gets_all_of_a_stream_that_was_made_again_with_the_same_arguments() -> Result<()> {
    let scene = Scene::set("restored-peer").await?;
    let gate = Gate::before(&scene.broker).await?;
    let amqp = Some(scene.config_through(&gate)?);
    let listen = ([127, 0, 0, 1], 0).into();
    let mut config = Config { listen, embedded_channels: Vec::new(), amqp, ..Config::default() };
    config.hub.tier1 = Tier1 { min: 1, max: 1 };
    let server = Server::start(config).await?;
    let url = format!("ws://{}/v1/ws", server.addr());
    let peer = Listener::start(&url, scene.channel.name.as_str(), ClientOptions::default()).await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..1_000)).await?;
    peer.wait_for(1_000).await?;
    let Some(Notification::Event { epoch, .. }) = peer.notifications().pop() else { bail!("no event") };

    gate.close();
    make_stream_again(&scene, epoch).await?;
    publisher.publish(&numbered(1_000..2_500)).await?;
    gate.open();
    peer.wait_for(2_500).await?;
    let (events, gaps) = (peer.events(), peer.gaps());
    assert_eq!((events.len(), gaps.len()), (2_500, 1), "{gaps:?}");
    let [Notification::Gap { from, to, .. }] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!((from.offset, to.offset), (999, -1));
    assert!(to.epoch > from.epoch);
    server.shutdown().await;
    Ok(())
}

/// A broker of the test's own, which can lose what it has, and a source that is fed by it.
async fn fed_by_a_broker_of_its_own() -> Result<(Broker, AmqpConfig)> {
    let broker = Broker::start().await?;
    ensure!(broker.can_restart(), "this test needs a broker of its own: unset TIERCAST_TEST_AMQP_URL");
    broker.declare_topic_exchange("events").await?;
    let channel = AmqpChannelConfig::new("all".parse()?, vec![BindingConfig::new("events", ["#"])?]);
    let config = AmqpConfig::new(broker.url().parse()?, vec![channel]);
    Ok((broker, config))
}

async fn restart(broker: &mut Broker) -> Result<()> {
    broker.stop().await?;
    broker.keep_data()?;
    broker.start_again().await
}

/// The broker dies with all that it got since the last restart.
async fn lose(broker: &mut Broker) -> Result<()> {
    broker.kill().await?;
    broker.lose_data()?;
    broker.start_again().await
}

#[tokio::test]
async fn regression_a_stream_that_loses_its_end_begins_a_new_numbering_and_so_it_does_again() -> Result<()> {
    let (mut broker, config) = fed_by_a_broker_of_its_own().await?;
    let mut fed = Fed::start(config.clone())?;
    let mut epoch = fed.opened().await?.epoch;
    let mut publisher = broker.publisher("events");
    publisher.publish(&numbered(0..100)).await?;
    fed.events(100).await?;
    restart(&mut broker).await?;
    ensure!(fed.opened().await? == Position::new(epoch, 99), "nothing is lost by a stop");
    for round in 1..3 {
        let first = 100 * round;
        publisher.publish(&numbered(first..first + 20)).await?;
        fed.events(20).await?;
        lose(&mut broker).await?;
        // It holds 100 messages, and soon more than we have seen.
        let again = first + 20..first + 60;
        let last = again.end - 1;
        publisher.publish(&numbered(again.start..last)).await?;
        publisher.publish(&numbered(last..again.end)).await?;
        let after = fed.opened().await?;
        ensure!(after.epoch > epoch, "{after} after {epoch}");
        epoch = after.epoch;
        ensure!(after.offset == -1, "{after}: what is young enough to be history comes again");
        let events = fed.events_until(&last.to_string()).await?;
        let (kept, new) = events.split_at(100);
        ensure!(ids(kept) == texts(0..100) && are_all(new, again), "{:?}", ids(&events));
        // Without a memory of what it was the numbering is the same.
        let mut other = Fed::start(config.clone())?;
        ensure!(other.opened().await? == after);
        ensure!(other.events_until(&last.to_string()).await? == events);
        other.stop().await?;
    }
    fed.stop().await
}

#[tokio::test]
async fn regression_a_server_that_did_not_see_what_was_lost_follows_the_one_that_did() -> Result<()> {
    let (mut broker, config) = fed_by_a_broker_of_its_own().await?;
    let gates = [Gate::before(&broker).await?, Gate::before(&broker).await?];
    let behind = |gate: &Gate| -> Result<Fed> {
        let url = gate.url(&broker)?.parse()?;
        Fed::start(AmqpConfig { url, ..config.clone() })
    };
    let mut witness = behind(&gates[0])?;
    let before = witness.opened().await?;
    let mut publisher = broker.publisher("events");
    publisher.publish(&numbered(0..100)).await?;
    witness.events(100).await?;
    let mut other = behind(&gates[1])?;
    ensure!(other.opened().await? == before);
    other.events(100).await?;
    gates[1].close();
    other.lost().await?;
    restart(&mut broker).await?;
    ensure!(witness.opened().await? == Position::new(before.epoch, 99));
    publisher.publish(&numbered(100..150)).await?;
    witness.events(50).await?;
    gates[0].close();
    witness.lost().await?;
    lose(&mut broker).await?;
    for range in [150..299, 299..300] {
        publisher.publish(&numbered(range)).await?;
    }

    gates[1].open();
    ensure!(other.opened().await? == Position::new(before.epoch, 99), "all that it had is there");
    let new = other.events_until("299").await?;
    ensure!(are_all(&new, 150..300), "{:?}", ids(&new));
    gates[0].open();
    let after = witness.opened().await?;
    ensure!(after.epoch > before.epoch && after.offset == -1, "{after}");
    let events = witness.events_until("299").await?;
    ensure!(ids(&events[..100]) == texts(0..100) && ids(&events[100..]) == ids(&new));
    // It is told, and has everything already.
    let last = events.last().context("no events")?.offset;
    ensure!(other.opened().await? == Position::new(after.epoch, last));
    publisher.publish(&numbered(300..310)).await?;
    ensure!(other.events(10).await? == witness.events(10).await?);
    witness.stop().await?;
    other.stop().await
}

#[tokio::test]
async fn a_stream_that_is_empty_is_known_to_be_so_and_one_that_is_not_is_no_longer_behind() -> Result<()> {
    let scene = Scene::set("empty").await?;
    let mut first = Fed::start(scene.config())?;
    let opened = first.opened().await?;
    let mut second = Fed::start(scene.config())?;
    ensure!(second.opened().await? == opened);
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    let events = second.events(10).await?;
    ensure!(first.events(10).await? == events, "marks are no events");
    ensure!(second.is_caught_up && ids(&events) == texts(0..10));
    for fed in [first, second] {
        fed.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_source_says_where_its_channel_ends() -> Result<()> {
    for mode in [Mode::Stream, Mode::Queue] {
        let mut scene = Scene::set("end").await?;
        scene.channel.mode = mode;
        let mut fed = Fed::start(scene.config())?;
        let epoch = fed.opened().await?.epoch;
        let mut publisher = scene.broker.publisher(&scene.exchange);
        publisher.publish(&numbered(0..10)).await?;
        match mode {
            Mode::Stream => drop(fed.events(10).await?),
            _ => drop(fed.messages(10).await?),
        }
        for claimed in [9, 5_000] {
            let end = fed.find_end(scene.channel.name.clone(), Position::new(epoch, claimed)).await?;
            ensure!(end == Position::new(epoch, 9), "{claimed} claimed: {end}");
        }
        fed.stop().await?;
    }
    Ok(())
}

/// A stream that is made again while a source is away; with ten events before that and ten after.
async fn renumbered(scene: &Scene, gate: &Gate, fed: &mut Fed) -> Result<(Position, Position)> {
    let first = fed.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    fed.events(10).await?;
    gate.close();
    fed.lost().await?;
    make_stream_again(scene, first.epoch).await?;
    publisher.publish(&numbered(10..20)).await?;
    gate.open();
    let second = fed.opened().await?;
    fed.events(10).await?;
    Ok((first, second))
}

#[tokio::test]
async fn a_numbering_that_was_thrown_away_begins_anew_where_it_is_missed() -> Result<()> {
    let scene = Scene::set("thrown").await?;
    let gate = Gate::before(&scene.broker).await?;
    let mut fed = Fed::start(scene.config_through(&gate)?)?;
    let (first, second) = renumbered(&scene, &gate, &mut fed).await?;
    let mut other = Fed::start(scene.config())?;
    ensure!(other.opened().await?.epoch == second.epoch);
    other.events(10).await?;
    gate.close();
    fed.lost().await?;
    scene.broker.delete_exchange(&scene.stream()).await?;
    gate.open();
    let third = fed.opened().await?;
    ensure!(first.epoch < second.epoch && second.epoch < third.epoch, "{first} {second} {third}");
    ensure!(third.offset == 9, "{third}: the stream itself goes on where it was");
    ensure!(other.opened().await? == third, "another server is told while it runs");
    fed.stop().await?;
    other.stop().await
}

#[tokio::test]
async fn regression_a_numbering_that_was_thrown_away_is_known_by_its_mark() -> Result<()> {
    let scene = Scene::set("mark").await?;
    let gate = Gate::before(&scene.broker).await?;
    let mut fed = Fed::start(scene.config_through(&gate)?)?;
    let (first, second) = renumbered(&scene, &gate, &mut fed).await?;
    fed.stop().await?;
    scene.broker.delete_exchange(&scene.stream()).await?;

    // It knows nothing of all that, and begins with the stream's own numbering until it finds the mark.
    let mut fresh = Fed::start(scene.config())?;
    let mut opened = fresh.opened().await?;
    ensure!(opened.epoch == first.epoch, "{opened}");
    while opened.epoch <= second.epoch {
        opened = match fresh.next().await? {
            SourceUpdate::Opened(position) => position,
            _ => opened,
        };
    }
    scene.broker.publisher(&scene.exchange).publish(&numbered(20..21)).await?;
    fresh.events_until("20").await?;
    fresh.stop().await
}

#[tokio::test]
async fn regression_a_look_at_the_end_that_fails_ends_no_session_and_is_taken_again() -> Result<()> {
    let scene = Scene::set("look").await?;
    let mut config = scene.config();
    config.rpc_timeout_ms = 1_000;
    let mut fed = Fed::start(config)?;
    let epoch = fed.opened().await?.epoch;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..10)).await?;
    fed.events(10).await?;
    // No mark gets into the stream any more.
    scene.broker.delete_exchange(&scene.stream()).await?;
    fed.ask(scene.channel.name.clone(), Position::new(epoch, 1 << 40)).await?;
    let marks = fed.stats.marks();
    for number in 10.. {
        publisher.publish(&numbered(number..number + 1)).await?;
        let next = fed.next().await?;
        ensure!(matches!(&next, SourceUpdate::Events(_)), "{next:?}");
        if fed.stats.marks() >= marks + 2 {
            break;
        }
    }
    fed.stop().await
}

#[tokio::test]
async fn regression_a_question_is_answered_by_the_session_that_follows() -> Result<()> {
    let scene = Scene::set("question").await?;
    let gate = Gate::before(&scene.broker).await?;
    let mut fed = Fed::start(scene.config_through(&gate)?)?;
    let epoch = fed.opened().await?.epoch;
    scene.broker.publisher(&scene.exchange).publish(&numbered(0..10)).await?;
    fed.events(10).await?;
    let marks = fed.stats.marks();
    // Looked into only after some time.
    fed.ask(scene.channel.name.clone(), Position::new(epoch, 5_000)).await?;
    gate.close();
    fed.lost().await?;
    ensure!(fed.stats.marks() == marks, "too late: it has been answered");
    gate.open();
    ensure!(fed.opened().await? == Position::new(epoch, 9));
    ensure!(fed.end().await? == Position::new(epoch, 9));
    fed.stop().await
}

/// The name of the connection on which a source publishes marks.
const MARKING: &str = "tiercast-signaling-server marks";

/// Waits until the broker takes nothing more from the connection of this name.
async fn until_blocked(broker: &Broker, name: &str) -> Result<()> {
    let is_blocked = |line: &str| line.starts_with("block") && line.contains(name);
    let connections = ["list_connections", "state", "client_properties"];
    while !broker.control(&connections).await?.lines().any(is_blocked) {}
    Ok(())
}

#[tokio::test]
async fn regression_a_broker_in_an_alarm_stops_no_channel_from_reading() -> Result<()> {
    const EVENTS: usize = 5_000;
    let (broker, config) = fed_by_a_broker_of_its_own().await?;
    let gate = Gate::before(&broker).await?;
    let other = AmqpChannelConfig::new("other".parse()?, vec![BindingConfig::new("others", ["#"])?]);
    broker.declare_topic_exchange("others").await?;
    let channels = config.channels.into_iter().chain([other]).collect();
    let mut fed = Fed::start(AmqpConfig::new(gate.url(&broker)?.parse()?, channels))?;
    let mut opened = BTreeMap::new();
    while opened.len() < 2 {
        let (channel, update) = fed.next_named().await?;
        let SourceUpdate::Opened(position) = update else { bail!("{update:?}") };
        opened.insert(channel, position.epoch);
    }
    let epoch = opened["all"];
    // Far more than may be on its way: it takes a minute and a half, and acknowledgements.
    gate.narrow(60_000);
    let events: Vec<_> = (0..EVENTS).map(|_| Outgoing::new("a.b", "", vec![7; 1_000])).collect();
    broker.publisher("others").publish(&events).await?;
    broker.control(&["set_vm_memory_high_watermark", "0"]).await?;

    // The first marks may still get through.
    let (quiet, claimed) = ("all".parse::<ChannelName>()?, Position::new(epoch, 5_000));
    fed.ask(quiet.clone(), claimed).await?;
    let mut blocked = Box::pin(until_blocked(&broker, MARKING));
    let mut count = 0;
    loop {
        tokio::select! {
            blocked = &mut blocked => break blocked?,
            update = fed.next() => match update? {
                SourceUpdate::Events(events) => count += events.len(),
                SourceUpdate::End(_) => fed.ask(quiet.clone(), claimed).await?,
                other => bail!("{other:?}"),
            },
        }
    }
    ensure!(count + 1_000 < EVENTS, "too late: {count} have come");
    gate.narrow(u64::MAX);
    while count < EVENTS {
        match fed.next().await? {
            SourceUpdate::Events(events) => count += events.len(),
            SourceUpdate::End(_) => fed.ask(quiet.clone(), claimed).await?,
            other => bail!("{other:?}"),
        }
    }
    broker.control(&["set_vm_memory_high_watermark", "0.4"]).await?;
    ensure!(fed.end().await?.epoch == epoch);
    fed.stop().await
}

#[tokio::test]
async fn regression_a_stream_that_is_never_quiet_is_caught_up_with() -> Result<()> {
    let scene = Scene::set("busy").await?;
    let mut first = Fed::start(scene.config())?;
    first.opened().await?;
    first.stop().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..1_000)).await?;
    // More comes within a round trip than may be on its way.
    let gate = Gate::before(&scene.broker).await?;
    gate.delay(Duration::from_millis(50));
    let publishing = async {
        let mut often = tokio::time::interval(Duration::from_millis(100));
        loop {
            often.tick().await;
            publisher.publish(&numbered(0..250)).await?;
        }
    };
    let catching_up = async {
        let mut fed = Fed::start(scene.config_through(&gate)?)?;
        fed.opened().await?;
        while !fed.is_caught_up {
            fed.next().await?;
        }
        fed.stop().await
    };
    tokio::select! {
        published = publishing => published,
        caught_up = tokio::time::timeout(UPDATE_MAX, catching_up) => caught_up.context("never caught up")?,
    }
}

#[tokio::test]
async fn a_stream_that_was_created_again_is_read_from_its_beginning_although_the_first_try_failed()
-> Result<()> {
    let mut scene = Scene::set("try").await?;
    scene.channel.history_s = 0;
    let gate = Gate::before(&scene.broker).await?;
    let mut fed = Fed::start(scene.config_through(&gate)?)?;
    let before = fed.opened().await?;
    scene.broker.publisher(&scene.exchange).publish(&numbered(0..5)).await?;
    fed.events(5).await?;
    gate.close();
    fed.lost().await?;
    scene.broker.delete_queue(&scene.stream()).await?;
    scene.broker.delete_exchange(&scene.exchange).await?;
    gate.open();
    while !fed.lost().await?.contains("does not exist") {}
    // The stream is there again, and nothing is bound to it.
    let mut publisher = scene.broker.publisher("");
    for number in 5..8 {
        publisher.publish_one(&scene.stream(), &number.to_string(), b"").await?;
    }
    scene.broker.declare_topic_exchange(&scene.exchange).await?;
    let after = fed.opened().await?;
    ensure!(after.epoch > before.epoch && after.offset == -1, "{after}");
    ensure!(ids(&fed.events(3).await?) == texts(5..8));
    fed.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_now_is_the_streams_end_while_its_history_is_being_read() -> Result<()> {
    let scene = Scene::set("now").await?;
    let mut first = Fed::start(scene.config())?;
    first.opened().await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    let old: Vec<_> = (0..990).map(|_| Outgoing::new("a.b", "old", vec![7; 2_000])).collect();
    publisher.publish(&old).await?;
    first.events(990).await?;
    first.stop().await?;

    let gate = Gate::before(&scene.broker).await?;
    // The history takes some seconds.
    gate.narrow(400_000);
    let amqp = Some(scene.config_through(&gate)?);
    let listen = ([127, 0, 0, 1], 0).into();
    let server =
        Server::start(Config { listen, embedded_channels: Vec::new(), amqp, ..Config::default() }).await?;
    let url = format!("ws://{}/v1/ws", server.addr());
    let channel = scene.channel.name.as_str();
    let now = Listener::start_at(&url, channel, ClientOptions::default(), Since::Now).await?;
    let earliest = Listener::start(&url, channel, ClientOptions::default()).await?;
    earliest.wait_for(100).await?;
    ensure!(now.notifications().is_empty(), "it is not subscribed before now is known");
    earliest.wait_for(990).await?;
    now.wait_until("subscribed", |standing| standing.tier > 0).await?;
    for number in 0..5 {
        publisher.publish_one("a.b", "new", number.to_string().as_bytes()).await?;
    }
    now.wait_for(5).await?;
    earliest.wait_for(995).await?;
    let bodies: Vec<_> = now.events().into_iter().map(|(_, body)| body).collect();
    ensure!(
        bodies == texts(0..5).into_iter().map(String::into_bytes).collect::<Vec<_>>(),
        "{}",
        bodies.len()
    );
    server.shutdown().await;
    Ok(())
}
