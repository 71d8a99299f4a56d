//! Exchanges that no channel names, bound for those who ask for them: through a server's handle, with a real broker.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tiercast_codec::{Code, GapReason, Pattern, PatternSet, Position, Since};
use tiercast_mesh::hub::{Portion, Reading, Rights};
use tiercast_peer_client::{ClientOptions, Notification};
use tiercast_signaling_server::{
    Config, Server,
    source::amqp::{
        AmqpConfig,
        dynamic::{DynamicConfig, DynamicError, Lease},
    },
};
use tiercast_tests::{
    broker::{Broker, Outgoing},
    gate::Gate,
    listener::{Listener, PATIENCE},
    plain::{Json, Sse, SseEvent, get},
};
use tokio::time::{sleep, timeout};

/// Time between two looks at something that has no event to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// What every exchange of these tests begins with: those that clients may ask for.
const ALLOWED: &str = "open/";

/// A server with a broker and no channel, that lets go of what nobody wants after so long.
fn config(broker: &Broker, linger: Duration) -> Result<Config> {
    let dynamic = DynamicConfig {
        exchanges: vec![format!("{ALLOWED}*").parse()?],
        linger_ms: linger.as_millis() as u64,
        // Machines that run tests are busy.
        bind_ms: PATIENCE.as_millis() as u64,
        ..DynamicConfig::default()
    };
    let amqp = AmqpConfig { dynamic, ..AmqpConfig::new(broker.url().parse()?, Vec::new()) };
    let listen = ([127, 0, 0, 1], 0).into();
    Ok(Config { listen, embedded_channels: Vec::new(), amqp: Some(amqp), ..Config::default() })
}

fn limits(config: &mut Config) -> &mut DynamicConfig {
    &mut config.amqp.as_mut().expect("a broker").dynamic
}

async fn exchange(broker: &Broker, name: &str) -> Result<String> {
    let name = format!("{ALLOWED}{name}");
    broker.declare_topic_exchange(&name).await?;
    Ok(name)
}

fn pattern(text: &str) -> Pattern {
    text.parse().expect("a pattern")
}

async fn lease(server: &Server, exchange: &str, pattern: &str) -> Result<Lease, DynamicError> {
    server.handle().dynamic(exchange, [self::pattern(pattern)]).await
}

fn since(lease: &Lease, pattern: &str) -> Result<Position> {
    lease.since().get(&self::pattern(pattern)).copied().with_context(|| format!("{pattern} is not complete"))
}

async fn listener(server: &Server, lease: &Lease) -> Result<Listener> {
    let url = format!("ws://{}/v1/ws", server.addr());
    Listener::start(&url, lease.channel().as_str(), ClientOptions::default()).await
}

fn bodies(listener: &Listener) -> Vec<String> {
    listener.events().into_iter().map(|(_, body)| String::from_utf8_lossy(&body).into_owned()).collect()
}

async fn publish(broker: &Broker, exchange: &str, keys: &[&str]) -> Result<()> {
    let messages: Vec<_> = keys.iter().map(|key| Outgoing::new(key, key, *key)).collect();
    broker.publisher(exchange).publish(&messages).await
}

/// The keys by which an exchange is bound to streams, one for each server; marks aside.
async fn bound(broker: &Broker, exchange: &str) -> Result<Vec<String>> {
    let text = broker.control(&["list_bindings", "source_name", "routing_key"]).await?;
    let rows = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(rows.filter(|(source, _)| *source == exchange).map(|(_, key)| key.to_owned()).collect())
}

async fn streams(broker: &Broker) -> Result<Vec<String>> {
    Ok(broker.control(&["list_queues", "name"]).await?.lines().map(str::to_owned).collect())
}

async fn until_bound(broker: &Broker, exchange: &str, keys: &[&str]) -> Result<()> {
    let waiting = async {
        loop {
            let mut now = bound(broker, exchange).await?;
            now.sort();
            if now == keys {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    };
    match timeout(PATIENCE, waiting).await {
        Ok(done) => done,
        Err(_) => bail!("{exchange} is bound by {:?}", bound(broker, exchange).await?),
    }
}

/// Waits until the server has so many channels.
async fn until_channels(server: &Server, count: usize) -> Result<()> {
    let waiting = async {
        while server.handle().snapshot().await?.channels.len() != count {
            sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, waiting).await.with_context(|| format!("there are not {count} channels"))?
}

#[tokio::test]
async fn all_who_want_an_exchange_share_one_stream_and_get_what_they_asked_for() -> Result<()> {
    let broker = Broker::shared().await?;
    let name = exchange(&broker, "shared, with a name that no channel could have").await?;
    let server = Server::start(config(&broker, Duration::ZERO)?).await?;
    let one = lease(&server, &name, "a.*").await?;
    let listener = listener(&server, &one).await?;
    publish(&broker, &name, &["a.1"]).await?;
    listener.wait_for(1).await?;
    let other = lease(&server, &name, "b.#").await?;
    ensure!(one.channel() == other.channel());
    ensure!(since(&other, "b.#")? > since(&one, "a.*")?, "it was bound later");
    // Both patterns mean the last one: it comes once.
    let both = lease(&server, &name, "#.both").await?;
    publish(&broker, &name, &["b.1", "a.both"]).await?;
    listener.wait_for(3).await?;
    assert_eq!(bodies(&listener), ["a.1", "b.1", "a.both"]);
    assert!(listener.gaps().is_empty(), "{:?}", listener.gaps());
    let stream = format!("tiercast.{}", one.channel());
    ensure!(streams(&broker).await?.iter().filter(|queue| **queue == stream).count() == 1);

    drop((one, other));
    until_bound(&broker, &name, &["#.both"]).await?;
    drop(both);
    until_channels(&server, 0).await?;
    until_bound(&broker, &name, &[]).await?;
    ensure!(!streams(&broker).await?.contains(&stream), "nobody needs the stream");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn what_was_published_before_a_pattern_was_bound_is_before_the_place_where_it_begins() -> Result<()> {
    let broker = Broker::shared().await?;
    let name = exchange(&broker, "since").await?;
    let server = Server::start(config(&broker, Duration::ZERO)?).await?;
    let first = lease(&server, &name, "first").await?;
    let listener = listener(&server, &first).await?;
    publish(&broker, &name, &["first"]).await?;
    listener.wait_for(1).await?;
    let read = Position::new(since(&first, "first")?.epoch, listener.events()[0].0);
    // Nobody gets this one, although the stream goes on without a hole.
    broker.publish_to_nobody(&name, "second").await?;
    let second = lease(&server, &name, "second").await?;
    ensure!(
        since(&second, "second")? > read,
        "who goes on from {read} has to be told that something is missing"
    );
    publish(&broker, &name, &["second"]).await?;
    listener.wait_for(2).await?;
    let came = listener.events()[1].0;
    ensure!(came > since(&second, "second")?.offset, "everything from there on comes");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_pattern_that_is_wanted_again_soon_has_been_complete_all_along() -> Result<()> {
    let broker = Broker::shared().await?;
    let name = exchange(&broker, "linger").await?;
    let server = Server::start(config(&broker, PATIENCE)?).await?;
    let lease_of = |pattern: &'static str| lease(&server, &name, pattern);
    let first = lease_of("a").await?;
    let (begun, listener) = (since(&first, "a")?, listener(&server, &first).await?);
    drop(first);
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(1).await?;
    let mut again = lease_of("a").await?;
    assert_eq!(since(&again, "a")?, begun, "it has been bound since");

    server.handle().bind(&mut again, [pattern("a"), pattern("b")]).await?;
    ensure!(since(&again, "b")? > begun && since(&again, "a")? == begun);
    again.unbind([pattern("a")]);
    assert_eq!(again.since().keys().cloned().collect::<Vec<_>>(), [pattern("b")]);
    until_bound(&broker, &name, &["a", "b"]).await?;
    server.shutdown().await;
    until_bound(&broker, &name, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_not_allowed_or_missing_or_too_much_is_refused_with_a_code() -> Result<()> {
    let broker = Broker::shared().await?;
    let names = [exchange(&broker, "caps.1").await?, exchange(&broker, "caps.2").await?];
    let secret = "secret";
    broker.declare_topic_exchange(secret).await?;
    let mut config = config(&broker, PATIENCE)?;
    *limits(&mut config) = DynamicConfig {
        exchanges_max: 1,
        bindings_max: 4,
        exchange_patterns_max: 3,
        subscription_patterns_max: 2,
        ..limits(&mut config).clone()
    };
    let server = Server::start(config).await?;
    let ask = async |exchange: &str, patterns: &[&str]| {
        let patterns = patterns.iter().map(|text| pattern(text));
        server.handle().dynamic(exchange, patterns).await
    };
    let refused = async |exchange: &str, patterns: &[&str]| match ask(exchange, patterns).await {
        Ok(_) => bail!("{exchange} {patterns:?} is not refused"),
        Err(error) => Ok((error.code(), error.to_string())),
    };
    for name in [secret, "", "amq.topic", "tiercast.builds", &"x".repeat(256)] {
        let (code, text) = refused(name, &["#"]).await?;
        ensure!([Code::NOT_ALLOWED, Code::BAD_REQUEST].contains(&code), "{name}: {code} {text}");
    }
    assert_eq!(refused(&names[0], &[]).await?.0, Code::BAD_REQUEST);
    assert_eq!(refused(&names[0], &["a", "b", "c"]).await?.0, Code::BAD_REQUEST);
    let (code, text) = refused(&names[0], &["#.a.#.b.#"]).await?;
    assert_eq!((code, text.contains("2 `#`")), (Code::BAD_REQUEST, true), "{text}");
    let (code, text) = refused("open/missing", &["a"]).await?;
    assert_eq!((code, text.contains("open/missing")), (Code::UNKNOWN_EXCHANGE, true), "{text}");
    until_channels(&server, 0).await?;

    let mut held = ask(&names[0], &["a", "b"]).await?;
    let listener = listener(&server, &held).await?;
    assert_eq!(refused(&names[1], &["a"]).await?.0, Code::FULL, "another exchange");
    assert_eq!(refused(&names[0], &["c", "d"]).await?.0, Code::FULL, "patterns of one exchange");
    let more = server.handle().bind(&mut held, [pattern("c")]).await.map_err(|error| error.code());
    assert_eq!(more, Err(Code::BAD_REQUEST), "patterns of one subscription");
    let other = ask(&names[0], &["c"]).await?;
    drop(other);
    // `c` lingers, and makes room for others only where there is none.
    assert_eq!(refused(&names[0], &["d"]).await?.0, Code::FULL);
    until_bound(&broker, &names[0], &["a", "b"]).await?;
    let _other = ask(&names[0], &["d"]).await?;

    publish(&broker, &names[0], &["a", "b", "d"]).await?;
    listener.wait_for(3).await?;
    assert!(listener.gaps().is_empty(), "none of it disturbed those who read: {:?}", listener.gaps());
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn bindings_over_all_exchanges_are_capped() -> Result<()> {
    let broker = Broker::shared().await?;
    let names = [exchange(&broker, "all.1").await?, exchange(&broker, "all.2").await?];
    let mut config = config(&broker, PATIENCE)?;
    limits(&mut config).bindings_max = 2;
    let server = Server::start(config).await?;
    let first = lease(&server, &names[0], "a").await?;
    let _second = lease(&server, &names[1], "a").await?;
    let refusal = lease(&server, &names[1], "b").await.map(|_| ()).map_err(|error| error.code());
    assert_eq!(refusal, Err(Code::FULL));
    let _shared = lease(&server, &names[1], "a").await?;
    drop(first);
    // What nobody wants makes room.
    let refusal = lease(&server, &names[1], "b").await.map(|_| ()).map_err(|error| error.code());
    assert_eq!(refusal, Err(Code::FULL));
    until_channels(&server, 1).await?;
    let _third = lease(&server, &names[1], "b").await?;
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn two_servers_share_a_stream_and_none_unbinds_what_the_other_needs() -> Result<()> {
    let broker = Broker::shared().await?;
    let name = exchange(&broker, "servers").await?;
    let (one, other) = (config(&broker, Duration::ZERO)?, config(&broker, Duration::ZERO)?);
    let (one, other) = (Server::start(one).await?, Server::start(other).await?);
    let (first, second) = (lease(&one, &name, "a").await?, lease(&other, &name, "a").await?);
    assert_eq!(first.channel(), second.channel());
    let (at_one, at_other) = (listener(&one, &first).await?, listener(&other, &second).await?);
    publish(&broker, &name, &["a"]).await?;
    for listener in [&at_one, &at_other] {
        listener.wait_for(1).await?;
    }
    assert_eq!(at_one.events(), at_other.events(), "the same positions on both");
    until_bound(&broker, &name, &["a", "a"]).await?;

    drop(first);
    until_channels(&one, 0).await?;
    until_bound(&broker, &name, &["a"]).await?;
    let stream = format!("tiercast.{}", second.channel());
    ensure!(streams(&broker).await?.contains(&stream), "the other needs it");
    publish(&broker, &name, &["a"]).await?;
    at_other.wait_for(2).await?;
    assert!(at_other.gaps().is_empty(), "{:?}", at_other.gaps());

    drop(second);
    until_channels(&other, 0).await?;
    ensure!(!streams(&broker).await?.contains(&stream), "the last one deletes it");
    one.shutdown().await;
    other.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_restart_of_the_broker_is_no_gap() -> Result<()> {
    let mut broker = Broker::start().await?;
    if !broker.can_restart() {
        return Ok(());
    }
    let name = exchange(&broker, "restart").await?;
    let server = Server::start(config(&broker, PATIENCE)?).await?;
    let held = lease(&server, &name, "a").await?;
    let (begun, listener) = (since(&held, "a")?, listener(&server, &held).await?);
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(1).await?;
    broker.stop().await?;
    broker.start_again().await?;
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(2).await?;
    let again = lease(&server, &name, "a").await?;
    assert_eq!(since(&again, "a")?, begun);
    let new = lease(&server, &name, "b").await?;
    ensure!(since(&new, "b")? > begun);
    publish(&broker, &name, &["b"]).await?;
    listener.wait_for(3).await?;
    assert!(listener.gaps().is_empty(), "{:?}", listener.gaps());
    until_bound(&broker, &name, &["a", "b"]).await?;
    server.shutdown().await;
    Ok(())
}

/// The reasons of the gaps that came.
fn gaps(listener: &Listener) -> Vec<GapReason> {
    let reason = |notification: &Notification| match notification {
        Notification::Gap { reason, .. } => Some(*reason),
        _ => None,
    };
    listener.gaps().iter().filter_map(reason).collect()
}

#[tokio::test]
async fn an_exchange_that_is_made_again_is_one_gap_and_then_complete() -> Result<()> {
    let broker = Broker::start().await?;
    let name = exchange(&broker, "again").await?;
    let server = Server::start(config(&broker, PATIENCE)?).await?;
    let held = lease(&server, &name, "a").await?;
    let listener = listener(&server, &held).await?;
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(1).await?;
    broker.delete_exchange(&name).await?;
    // That is noticed when something is to be bound.
    let refusal = lease(&server, &name, "b").await.map(|_| ()).map_err(|error| error.code());
    assert_eq!(refusal, Err(Code::UNKNOWN_EXCHANGE));
    broker.declare_topic_exchange(&name).await?;
    until_bound(&broker, &name, &["a"]).await?;
    let again = lease(&server, &name, "a").await?;
    ensure!(since(&again, "a")? > since(&held, "a")?);
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(2).await?;
    assert_eq!(gaps(&listener), [GapReason::Source]);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_a_gap_that_the_log_has_forgotten_is_not_passed_by_pages_of_the_stream() -> Result<()> {
    let broker = Broker::start().await?;
    let name = exchange(&broker, "past").await?;
    let mut config = config(&broker, PATIENCE)?;
    config.hub.log.entries = 2;
    let server = Server::start(config).await?;
    let held = lease(&server, &name, "a").await?;
    let listener = listener(&server, &held).await?;
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(1).await?;
    let read = Position::new(since(&held, "a")?.epoch, listener.events()[0].0);
    broker.delete_exchange(&name).await?;
    let refusal = lease(&server, &name, "b").await.map(|_| ()).map_err(|error| error.code());
    assert_eq!(refusal, Err(Code::UNKNOWN_EXCHANGE));
    broker.declare_topic_exchange(&name).await?;
    until_bound(&broker, &name, &["a"]).await?;
    let again = lease(&server, &name, "a").await?;
    for nth in 2..6 {
        // Each in a frame of its own.
        publish(&broker, &name, &["a"]).await?;
        listener.wait_for(nth).await?;
    }
    let filter = Arc::new(PatternSet::new(vec![pattern("a")]));
    let reading = Reading {
        channel: held.channel().clone(),
        since: Since::Position(read),
        filter,
        rights: Rights::default(),
    };
    let mut reader =
        server.handle().read(reading).await.map_err(|refusal| anyhow::anyhow!(refusal.reason))?;
    let first = timeout(PATIENCE, reader.next()).await?.map_err(|refusal| anyhow::anyhow!(refusal.reason))?;
    match first {
        Portion::Gap(gap) => ensure!(gap.to >= since(&again, "a")?, "a gap to {} only", gap.to),
        Portion::Events { .. } => {
            bail!("what was published while there was no exchange is missing in silence")
        }
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_deleted_by_somebody_is_one_gap_and_then_complete() -> Result<()> {
    let broker = Broker::start().await?;
    let name = exchange(&broker, "deleted").await?;
    let server = Server::start(config(&broker, PATIENCE)?).await?;
    let held = lease(&server, &name, "a").await?;
    let listener = listener(&server, &held).await?;
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(1).await?;
    broker.delete_queue(&format!("tiercast.{}", held.channel())).await?;
    until_bound(&broker, &name, &["a"]).await?;
    let again = lease(&server, &name, "a").await?;
    ensure!(since(&again, "a")?.epoch > since(&held, "a")?.epoch);
    publish(&broker, &name, &["a"]).await?;
    listener.wait_for(2).await?;
    assert_eq!(gaps(&listener), [GapReason::Epoch]);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn what_the_broker_does_not_let_the_server_read_is_refused() -> Result<()> {
    let broker = Broker::start().await?;
    let names = [exchange(&broker, "readable").await?, exchange(&broker, "unreadable").await?];
    broker.control(&["add_user", "reader", "secret"]).await?;
    let ours = "^tiercast\\..*";
    let read = "^(tiercast\\..*|open/readable)$";
    broker.control(&["set_permissions", "reader", ours, ours, read]).await?;
    let mut config = config(&broker, PATIENCE)?;
    let url = broker.url().replace("guest:guest", "reader:secret");
    config.amqp.as_mut().context("a broker")?.url = url.parse()?;
    let server = Server::start(config).await?;
    let held = lease(&server, &names[0], "a").await?;
    let listener = listener(&server, &held).await?;
    let refusal = lease(&server, &names[1], "a").await.map(|_| ()).map_err(|error| error.code());
    assert_eq!(refusal, Err(Code::NOT_ALLOWED));
    until_channels(&server, 1).await?;
    publish(&broker, &names[0], &["a"]).await?;
    listener.wait_for(1).await?;
    assert!(listener.gaps().is_empty(), "{:?}", listener.gaps());
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn what_a_server_that_was_killed_has_left_bound_goes_with_its_next_start() -> Result<()> {
    let broker = Broker::shared().await?;
    let name = exchange(&broker, "killed").await?;
    let dir = tempfile::tempdir()?;
    let start = async |dir: &Path| {
        let state_dir = Some(dir.to_owned());
        Server::start(Config { state_dir, ..config(&broker, Duration::ZERO)? }).await.context("starting")
    };
    let server = start(dir.path()).await?;
    let held = lease(&server, &name, "a").await?;
    let stream = format!("tiercast.{}", held.channel());
    // Nothing of it has a chance to say goodbye.
    drop(server);
    drop(held);
    until_bound(&broker, &name, &["a"]).await?;
    let server = start(dir.path()).await?;
    until_bound(&broker, &name, &[]).await?;
    until_channels(&server, 0).await?;
    ensure!(!streams(&broker).await?.contains(&stream));
    server.shutdown().await;
    Ok(())
}

/// Publishes one message after the other, each when the one before it is confirmed; gives the longest time that one took.
async fn publish_until(
    broker: &Broker,
    exchange: String,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Result<(usize, Duration)> {
    let mut publisher = broker.publisher(&exchange);
    let (mut count, mut longest) = (0, Duration::ZERO);
    while stop.try_recv().is_err() {
        let begun = Instant::now();
        publisher.publish_one("tick", &count.to_string(), b"tick").await?;
        longest = longest.max(begun.elapsed());
        count += 1;
    }
    Ok((count, longest))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_patterns_come_and_go_and_nobody_who_publishes_is_held_up() -> Result<()> {
    const LEASES: usize = 20;
    const PATTERNS: usize = 100;
    let broker = Arc::new(Broker::start().await?);
    let name = exchange(&broker, "many").await?;
    let server = Server::start(config(&broker, Duration::ZERO)?).await?;
    let ticks = lease(&server, &name, "tick").await?;
    let listener = listener(&server, &ticks).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let publishing = tokio::spawn({
        let (broker, name) = (broker.clone(), name.clone());
        async move { publish_until(&broker, name, stopped).await }
    });

    let begun = Instant::now();
    let many = (0..LEASES).map(|nth| {
        let patterns = (0..PATTERNS).map(move |at| pattern(&format!("build.{nth}.*.{at}.#")));
        server.handle().dynamic(&name, patterns)
    });
    let leases = futures_util::future::try_join_all(many).await?;
    let added = begun.elapsed();
    assert_eq!(bound(&broker, &name).await?.len(), LEASES * PATTERNS + 1);
    let begun = Instant::now();
    drop(leases);
    until_bound(&broker, &name, &["tick"]).await?;
    let dropped = begun.elapsed();
    let begun = Instant::now();
    stop.send(()).ok().context("the publisher has ended")?;
    let (count, longest) = publishing.await??;
    listener.wait_for(count).await?;
    let distinct: BTreeSet<_> = listener.events().into_iter().map(|(offset, _)| offset).collect();
    assert_eq!((distinct.len(), listener.gaps().len()), (count, 0));
    let stream = format!("tiercast.{}", ticks.channel());
    drop(ticks);
    until_channels(&server, 0).await?;
    let gone = begun.elapsed();
    assert!(!streams(&broker).await?.contains(&stream));
    println!(
        "{} patterns bound in {added:.2?}, unbound (as rabbitmqctl sees it) in {dropped:.2?}, stream deleted after \
         {gone:.2?}; {count} messages published one by one meanwhile, the longest took {longest:.1?}",
        LEASES * PATTERNS
    );
    assert!(longest < Duration::from_secs(1), "a publisher was held up for {longest:?}");
    server.shutdown().await;
    Ok(())
}

/// What clients of taskcluster-events ask for who want a pattern of each of these exchanges.
fn as_taskcluster(exchanges: &[&str], pattern: &str) -> String {
    let binding = |exchange: &&str| json!({ "exchange": exchange, "routingKeyPattern": pattern });
    let bindings = json!({ "bindings": exchanges.iter().map(binding).collect::<Vec<_>>() }).to_string();
    let bindings = bindings.replace('"', "%22").replace('{', "%7B").replace('}', "%7D").replace('#', "%23");
    format!("/api/events/v1/connect/?bindings={bindings}")
}

#[tokio::test]
async fn plain_clients_read_exchanges_and_are_told_why_not() -> Result<()> {
    let broker = Broker::start().await?;
    let name = exchange(&broker, "plain").await?;
    let server = Server::start(config(&broker, PATIENCE)?).await?;
    let at = server.addr().to_string();
    let path = format!("/v1/poll?exchange={name}&match=a.%23");
    let page = get(&at, &format!("{path}&wait=0")).await?;
    let next = page["next"].as_str().context("next")?.to_owned();
    let mut old = Sse::open(&at, &as_taskcluster(&[&name], "*.1")).await?;
    ensure!(old.next().await?.name == "ready");
    publish(&broker, &name, &["a.1", "b.1", "a.2"]).await?;
    let page = get(&at, &format!("{path}&since={next}&wait=30")).await?;
    let bodies = |page: &Value| {
        let events = page["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["body"].clone()).collect::<Vec<_>>()
    };
    // The page may end before the last one was sealed.
    ensure!(bodies(&page).first() == Some(&json!("a.1")), "{page}");
    for key in ["a.1", "b.1"] {
        let data = old.next().await?.data.context("data")?;
        let expected = json!({ "payload": key, "exchange": name, "routingKey": key, "redelivered": false });
        ensure!(data == expected, "{data}");
    }
    let channel = page["channel"].as_str().context("channel")?;
    let all = get(&at, &format!("/v1/history/{channel}?since={next}")).await?;
    ensure!(bodies(&all) == ["a.1", "b.1", "a.2"], "the channel has what all asked for: {all}");
    for (wrong, code) in [("closed", "3509"), ("open/nothing", "3510")] {
        let refused = get(&at, &format!("/v1/poll?exchange={wrong}&match=a")).await;
        let said = refused.map(|page| page.to_string()).unwrap_or_else(|error| error.to_string());
        ensure!(said.contains(code), "{wrong}: {said}");
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_a_client_of_taskcluster_events_goes_on_in_each_of_its_exchanges() -> Result<()> {
    let broker = Broker::shared().await?;
    let names = [exchange(&broker, "left").await?, exchange(&broker, "right").await?];
    let server = Server::start(config(&broker, PATIENCE)?).await?;
    let at = server.addr().to_string();
    let path = as_taskcluster(&[&names[0], &names[1]], "#");
    let id = |event: SseEvent| event.id.with_context(|| format!("no id: {:?}", event.data));
    let mut last = id(Sse::open(&at, &path).await?.next().await?)?;

    let mut published = BTreeSet::new();
    for key in ["0", "1", "2"] {
        for name in &names {
            publish(&broker, name, &[key]).await?;
            published.insert((name.clone(), key.to_owned()));
        }
    }
    // One connection for each event: what comes on a connection behind the first is lost with it.
    let mut got = BTreeSet::new();
    for nth in 0..published.len() {
        let mut client = Sse::reopen(&at, &path, &last).await?;
        ensure!(id(client.next().await?)? == last, "it begins where it was");
        let event = client.next().await?;
        let data = event.data.as_ref().filter(|_| event.name.is_empty()).context("an event")?;
        let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
        got.insert((text("exchange"), text("routingKey")));
        ensure!(got.len() == nth + 1, "twice: {data}");
        last = id(event)?;
    }
    ensure!(got == published, "{got:?}");

    for torn in [last.rsplit_once('.').context("two positions")?.0, &last[..last.len() - 1], "x"] {
        let refused = Sse::reopen(&at, &path, torn).await?.next().await?;
        ensure!(refused.name == "error", "{torn}: {refused:?}");
    }
    let other = as_taskcluster(&[&names[1]], "#");
    let refused = Sse::reopen(&at, &other, &last).await?.next().await?;
    ensure!(refused.name == "error", "it is for another request: {refused:?}");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_while_more_of_an_exchange_is_being_bound_a_session_is_answered_all_else() -> Result<()> {
    let broker = Broker::shared().await?;
    let name = exchange(&broker, "held").await?;
    let gate = Gate::before(&broker).await?;
    let mut config = config(&broker, Duration::ZERO)?;
    let amqp = config.amqp.as_mut().context("a broker")?;
    amqp.url = gate.url(&broker)?.parse()?;
    (amqp.rpc_timeout_ms, amqp.heartbeat_s) = (60_000, 60);
    let server = Server::start(config).await?;
    let mut client = Json::connect(&server.addr().to_string()).await?;
    let subscribe = json!({ "type": "subscribe", "id": 1, "exchange": name, "match": ["a"] });
    let channel = client.ask(&subscribe).await?["channel"].clone();
    let request = |id: u64, what: &str, patterns: &[&str]| -> Value {
        json!({ "type": what, "id": id, "channel": channel, "match": patterns })
    };

    gate.hold();
    client.say(&request(2, "bind", &["b", "c"])).await?;
    client.say(&request(9, "bind", &["b"])).await?;
    for (id, what, patterns, answer) in [
        (3, "unbind", vec!["c"], "unbound"),
        (4, "pause", vec![], "paused"),
        (5, "resume", vec![], "resumed"),
        (6, "bind", vec!["a"], "bound"),
    ] {
        let said = client.ask(&request(id, what, &patterns)).await?;
        ensure!((&said["id"], &said["type"]) == (&json!(id), &json!(answer)), "{said}");
    }
    gate.release();
    let bound = [client.hear().await?, client.hear().await?];
    for id in [2, 9] {
        let is_it = |said: &Value| said["id"] == json!(id) && said["match"] == json!(["a", "b"]);
        ensure!(bound.iter().any(is_it), "{bound:?}");
    }
    until_bound(&broker, &name, &["a", "b"]).await?;
    publish(&broker, &name, &["b"]).await?;
    let event = client.hear().await?;
    ensure!(event["routing_key"] == json!("b"), "{event}");
    client.ask(&request(10, "unbind", &["b"])).await?;
    until_bound(&broker, &name, &["a"]).await?;

    gate.hold();
    client.say(&request(7, "bind", &["d"])).await?;
    let ended = client.ask(&request(8, "unsubscribe", &[])).await?;
    ensure!((&ended["id"], &ended["code"]) == (&json!(7), &json!(3508)), "{ended}");
    let ended = client.hear().await?;
    ensure!((&ended["id"], &ended["type"]) == (&json!(8), &json!("unsubscribed")), "{ended}");
    gate.release();
    until_bound(&broker, &name, &[]).await?;
    server.shutdown().await;
    Ok(())
}
