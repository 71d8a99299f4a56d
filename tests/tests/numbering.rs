//! Where a stream ends, and what happens to its numbering when it loses its end.

use anyhow::{Result, bail};
use lapin::types::{AMQPValue, FieldTable, LongString};
use tiercast_codec::{Epoch, Position};
use tiercast_mesh::hub::Tier1;
use tiercast_peer_client::{ClientOptions, Notification};
use tiercast_signaling_server::{Config, Server, source::amqp::RetentionConfig};
use tiercast_tests::{
    fed::Fed,
    gate::Gate,
    listener::Listener,
    scene::{Scene, ids, numbered},
};

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
