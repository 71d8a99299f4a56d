//! What lies before the server's log, read from the stream of a real RabbitMQ.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tiercast_codec::{ChannelName, Event, GapReason, Position};
use tiercast_mesh::hub::PastUse;
use tiercast_peer_client::{ClientOptions, Notification, Since};
use tiercast_signaling_server::{Config, Server, source::amqp::AmqpConfig};
use tiercast_tests::{
    broker::{Broker, Outgoing},
    listener::{Listener, PATIENCE},
    plain::get,
    scene::{Scene, ids, numbered},
    session::Session,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// A server whose log keeps so many frames, of 64 events at most.
async fn serve(amqp: AmqpConfig, log_frames: usize, set: impl FnOnce(&mut Config)) -> Result<Server> {
    let amqp = Some(amqp);
    let mut config =
        Config { listen: "127.0.0.1:0".parse()?, embedded_channels: Vec::new(), amqp, ..Config::default() };
    config.hub.log.entries = log_frames;
    set(&mut config);
    Ok(Server::start(config).await?)
}

async fn past(server: &Server) -> Result<PastUse> {
    Ok(server.handle().snapshot().await?.past)
}

/// Pages that were fetched, and gaps that subscribers were told of.
async fn counted(server: &Server) -> Result<(u64, u64)> {
    let stats = server.handle().snapshot().await?.channels.remove(0).stats;
    Ok((stats.pages, stats.gaps))
}

/// The ids of these messages.
fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A session that waits until the server has this last event, and so all before it.
async fn at_the_end(server: &Server, scene: &Scene, last: usize) -> Result<Vec<Event>> {
    let mut session = Session::subscribe(server.addr(), &scene.channel.name, Since::Earliest).await?;
    let events = session.events(last + 1).await?;
    ensure!(session.gaps.is_empty() && session.recovered, "{:?}", session.gaps);
    Ok(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_and_sessions_that_are_behind_the_log_get_everything_while_new_events_come() -> Result<()> {
    const OLD: usize = 5_000;
    const NEW: usize = 2_000;
    let scene = Scene::set("deep").await?;
    let server = serve(scene.config(), 8, |_| ()).await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish_one("a.b", "0", b"the first, so that the stream is there").await?;
    at_the_end(&server, &scene, 0).await?;
    publisher.publish(&numbered(1..OLD)).await?;
    let old = at_the_end(&server, &scene, OLD - 1).await?;
    assert_eq!(ids(&old), numbers(0..OLD));
    let (pages, _) = counted(&server).await?;
    ensure!(pages > 0, "it came from the log");

    let url = format!("ws://{}/v1/ws", server.addr());
    let name = scene.channel.name.as_str();
    let position = Session::subscribe(server.addr(), &scene.channel.name, Since::Now).await?.position;
    let middle = Since::Position(Position::new(position.epoch, old[1_999].offset));
    let earliest = Listener::start(&url, name, ClientOptions::default()).await?;
    let behind = Listener::start_at(&url, name, ClientOptions::default(), middle).await?;
    let mut session = Session::subscribe(server.addr(), &scene.channel.name, middle).await?;
    publisher.publish(&numbered(OLD..OLD + NEW)).await?;
    assert_eq!(ids(&session.events(OLD + NEW - 2_000).await?), numbers(2_000..OLD + NEW));
    assert!(session.gaps.is_empty() && session.recovered);
    for (peer, first) in [(&earliest, 0), (&behind, 2_000)] {
        peer.wait_for(OLD + NEW - first).await?;
        let got: Vec<String> = peer.notifications().iter().filter_map(id).collect();
        assert_eq!(got, numbers(first..OLD + NEW));
        assert!(peer.gaps().is_empty());
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_a_page_for_one_who_is_ahead_of_the_stream_tells_the_gap() -> Result<()> {
    let scene = Scene::set("ahead").await?;
    let server = serve(scene.config(), 8, |_| ()).await?;
    scene.broker.publisher(&scene.exchange).publish_one("a.b", "0", b"the only one").await?;
    at_the_end(&server, &scene, 0).await?;
    let (addr, name) = (server.addr().to_string(), &scene.channel.name);
    let next = get(&addr, &format!("/v1/history/{name}")).await?["next"].clone();
    let epoch = next.as_str().and_then(|next| next.split('-').next()).context("a position")?.to_owned();
    // Whether the stream ever came so far, only the broker can say.
    for path in [format!("/v1/history/{name}?"), format!("/v1/poll/{name}?wait=0&")] {
        let page = get(&addr, &format!("{path}since={epoch}-1000")).await?;
        ensure!(page["gap"]["from"] == format!("{epoch}-1000"), "{path}: {page}");
    }
    server.shutdown().await;
    Ok(())
}

fn id(notification: &Notification) -> Option<String> {
    match notification {
        Notification::Event { event, .. } => event.message.message_id.clone(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_has_cut_is_a_gap_and_then_comes_all() -> Result<()> {
    let mut scene = Scene::set("cut").await?;
    (scene.channel.retention.segment_bytes, scene.channel.retention.max_age_s) = (50_000, 1);
    let server = serve(scene.config(), 4, |_| ()).await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    let mut published = 0;
    let mut publish = async |count: usize| {
        let large = |number: usize| Outgoing::new("a.b", &number.to_string(), vec![7; 500]);
        publisher.publish(&(published..published + count).map(large).collect::<Vec<_>>()).await?;
        published += count;
        anyhow::Ok(published)
    };
    publish(1).await?;
    let begin = Session::subscribe(server.addr(), &scene.channel.name, Since::Earliest).await?.position;
    // The broker cuts when a segment is full and another is old enough; nobody is told of it.
    let oldest = loop {
        publish(500).await?;
        let oldest = scene.broker.read_stream(&scene.stream(), 1).await?.remove(0);
        let oldest: usize = oldest.properties.message_id().as_ref().context("no id")?.as_str().parse()?;
        if oldest > 1_000 {
            break oldest;
        }
        sleep(Duration::from_millis(100)).await;
    };
    let published = publish(500).await?;

    let mut session = Session::subscribe(server.addr(), &scene.channel.name, Since::Position(begin)).await?;
    let first = read_to_the_end(&mut session, published).await?;
    let gaps = &session.gaps;
    println!(
        "{published} published, the broker had {oldest} as its oldest, {first} came first, {} gaps",
        gaps.len()
    );
    ensure!(first >= oldest, "{first} was gone");
    assert_eq!((gaps[0].from, gaps[0].reason), (begin, GapReason::Retention));
    ensure!(gaps.windows(2).all(|two| two[0].to <= two[1].from), "told twice: {gaps:?}");

    // The server knows by now where it began.
    let mut earliest = Session::subscribe(server.addr(), &scene.channel.name, Since::Earliest).await?;
    let known = gaps.iter().rfind(|gap| gap.reason == GapReason::Retention).context("no gap")?.to;
    ensure!(earliest.recovered && earliest.position >= known, "{} instead of {known}", earliest.position);
    read_to_the_end(&mut earliest, published).await?;
    server.shutdown().await;
    Ok(())
}

/// Reads up to the last of so many numbered events, and returns the first. The broker may go on cutting meanwhile: wherever
/// an event is missing, a gap has said so.
async fn read_to_the_end(session: &mut Session, published: usize) -> Result<usize> {
    let (mut first, mut last) = (None, None);
    while last.is_none_or(|last| last + 1 < published) {
        let gaps = session.gaps.len();
        let id: usize = session.events(1).await?.remove(0).message.message_id.context("no id")?.parse()?;
        let is_told = session.gaps.len() > gaps;
        ensure!(last.is_none_or(|last| id == last + 1 || id > last && is_told), "{id} came after {last:?}");
        first.get_or_insert(id);
        last = Some(id);
    }
    first.context("nothing was published")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_while_one_catches_up_costs_no_event() -> Result<()> {
    const EVENTS: usize = 5_000;
    let mut scene = Scene::set("killed").await?;
    if !scene.broker.can_restart() {
        return Ok(());
    }
    let mut broker = Broker::start().await?;
    broker.declare_topic_exchange(&scene.exchange).await?;
    scene.url = broker.url().parse()?;
    let set = |config: &mut Config| {
        (config.hub.past.page_events, config.hub.past.bytes, config.hub.feed_bytes) = (200, 1, 100_000);
        config.limits.request = Duration::from_millis(500);
    };
    let server = serve(scene.config(), 4, set).await?;
    let name = &scene.channel.name;
    let mut session = Session::subscribe(server.addr(), name, Since::Earliest).await?;
    // See `Broker::kill`.
    broker.stop().await?;
    broker.start_again().await?;
    // What is returned while the stream is not back yet is published again, behind others.
    let mut publisher = broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..1)).await?;
    session.events(1).await?;
    publisher.publish(&numbered(1..EVENTS)).await?;
    session.events(EVENTS - 1).await?;
    let mut session = Session::subscribe(server.addr(), name, Since::Earliest).await?;
    let mut events = session.events(500).await.context("the beginning")?;
    let (before, _) = counted(&server).await?;
    broker.kill().await?;
    refuses_what_it_cannot_read(&server, name).await?;
    let coming = tokio::spawn(async move { (session.events(EVENTS - 500).await, session.gaps) });
    broker.start_again().await?;
    let (rest, gaps) = coming.await?;
    events.extend(rest?);
    assert_eq!(ids(&events), numbers(0..EVENTS));
    assert!(gaps.is_empty(), "{gaps:?}");
    let (after, _) = counted(&server).await?;
    println!("{before} pages before the kill, {after} in the end");
    ensure!(before > 0 && after > before, "it was not killed in the middle");
    server.shutdown().await;
    Ok(())
}

/// A page of the past is not waited for until the broker is back.
async fn refuses_what_it_cannot_read(server: &Server, channel: &ChannelName) -> Result<()> {
    let path = format!("/v1/history/{channel}?since=earliest");
    let addr = server.addr().to_string();
    let answer = timeout(PATIENCE, get(&addr, &path)).await.context("it hangs")?;
    let refused = answer.err().context("it answers")?.to_string();
    ensure!(refused.contains(" 503 ") && refused.contains("cannot be read now"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_read_the_broker_at_a_time_than_may() -> Result<()> {
    const EVENTS: usize = 6_000;
    const SESSIONS: usize = 12;
    const PAGES: u64 = 2_500;
    let scene = Scene::set("bounded").await?;
    if !scene.broker.can_restart() {
        return Ok(());
    }
    let set = |config: &mut Config| {
        let past = &mut config.hub.past;
        (past.fetches_max, past.page_events, past.page_bytes, past.bytes) = (2, 20, 10_000, 60_000);
    };
    let server = serve(scene.config(), 4, set).await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..1)).await?;
    at_the_end(&server, &scene, 0).await?;
    publisher.publish(&numbered(1..EVENTS)).await?;
    let events = at_the_end(&server, &scene, EVENTS - 1).await?;
    let epoch = Session::subscribe(server.addr(), &scene.channel.name, Since::Now).await?.position.epoch;
    // They come again and again until there was a need for more AMQP channels than a connection has.
    let (looked_at, is_over) = watch::channel(false);
    let mut reading = JoinSet::new();
    for session in 0..SESSIONS {
        let first = session * EVENTS / SESSIONS / 2;
        let since = Since::Position(Position::new(epoch, events[first].offset));
        let (addr, name, is_over) = (server.addr(), scene.channel.name.clone(), is_over.clone());
        reading.spawn(async move {
            while !*is_over.borrow() {
                let mut session = Session::subscribe(addr, &name, since).await?;
                let events = session.events(EVENTS - first - 1).await?;
                ensure!(ids(&events) == numbers(first + 1..EVENTS) && session.gaps.is_empty());
            }
            anyhow::Ok(())
        });
    }
    let looks = async {
        let mut most = 0;
        while counted(&server).await?.0 < PAGES {
            most = most.max(scene.broker.consumers(&scene.stream()).await?);
        }
        looked_at.send(true)?;
        anyhow::Ok(most)
    };
    let readers = async {
        while let Some(read) = reading.join_next().await {
            read??;
        }
        anyhow::Ok(())
    };
    let (mut most, mut most_waiting) = (0, 0);
    let watching = async {
        loop {
            let now = past(&server).await?;
            ensure!(now.fetching <= 2, "{now:?}");
            (most, most_waiting) = (most.max(now.fetching), most_waiting.max(now.waiting));
            sleep(Duration::from_millis(1)).await;
        }
    };
    let consumers = tokio::select! {
        both = async { tokio::try_join!(looks, readers) } => both?.0,
        failed = watching => return failed,
    };
    let stats = server.handle().snapshot().await?.channels.remove(0).stats;
    let (pages, failed) = (stats.pages, stats.pages_failed);
    println!("{most} pages at a time for {most_waiting} who waited, {consumers} consumers; {pages} pages");
    assert_eq!((most, failed), (2, 0));
    assert!(most_waiting > 2, "the bound was not needed");
    // One reads what is new; and one that has ended may still be counted when the next one has begun.
    assert!(consumers <= 5, "{consumers} consumers");
    server.shutdown().await;
    Ok(())
}

/// How many come back at once; for measurements, more.
fn crowd() -> usize {
    std::env::var("TIERCAST_TEST_SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_comes_back_at_once_costs_the_broker_little() -> Result<()> {
    const BEHIND: usize = 5_000;
    const EVENTS: usize = BEHIND + 1_000;
    let scene = Scene::set("crowd").await?;
    // About half of what they lack.
    let server = serve(scene.config(), BEHIND / 2 / 64, |_| ()).await?;
    let mut publisher = scene.broker.publisher(&scene.exchange);
    publisher.publish(&numbered(0..1)).await?;
    at_the_end(&server, &scene, 0).await?;
    publisher.publish(&numbered(1..EVENTS)).await?;
    let events = at_the_end(&server, &scene, EVENTS - 1).await?;
    server.shutdown().await;
    // One that has fetched nothing yet. It says where now is when it has read what there is.
    let server = serve(scene.config(), BEHIND / 2 / 64, |_| ()).await?;
    let epoch = Session::subscribe(server.addr(), &scene.channel.name, Since::Now).await?.position.epoch;
    let rss = tiercast_platform::resident_bytes().unwrap_or(0);
    let begun = Instant::now();
    let mut reading = JoinSet::new();
    for session in 0..crowd() {
        let first = EVENTS - BEHIND + session % 500 - 250;
        let since = Since::Position(Position::new(epoch, events[first].offset));
        let (addr, name) = (server.addr(), scene.channel.name.clone());
        reading.spawn(async move {
            let mut session = Session::subscribe(addr, &name, since).await?;
            for number in first + 1..EVENTS + 100 {
                let event = session.events(1).await?.remove(0);
                ensure!(event.message.message_id == Some(number.to_string()), "{event:?}, not {number}");
            }
            ensure!(session.gaps.is_empty(), "{:?}", session.gaps);
            anyhow::Ok(begun.elapsed())
        });
    }
    publisher.publish(&numbered(EVENTS..EVENTS + 100)).await?;
    let (mut last, mut most) = (Duration::ZERO, rss);
    while let Some(took) = reading.join_next().await {
        last = last.max(took??);
        most = most.max(tiercast_platform::resident_bytes().unwrap_or(0));
    }
    let (pages, gaps) = counted(&server).await?;
    println!(
        "{} sessions, {BEHIND} events behind: all had everything after {last:.1?}, by {pages} pages; resident memory \
         (sessions included) {} MiB before, {} MiB at most",
        crowd(),
        rss >> 20,
        most >> 20,
    );
    assert_eq!(gaps, 0);
    assert!((1..=20).contains(&pages), "{pages} pages");
    server.shutdown().await;
    Ok(())
}
