//! Links that share a connection, over real sockets on loopback: what they have in common, and what each has to itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
#[cfg(feature = "faults")]
use tiercast_codec::{FRAME_KIND, may_be_lost};
use tiercast_codec::{Nack, Position};
use tiercast_peer_client::link::{LinkCloseReason, LinkEvent, LinkHandle, LinkSettings, Links, Role};
use tiercast_platform::{cpu_seconds, resident_bytes};
use tokio::sync::{Mutex, MutexGuard, mpsc};

/// Tests run one at a time: they measure.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Only a broken link takes as long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A peer with its links.
struct Node {
    links: Links,
    handles: BTreeMap<u64, LinkHandle>,
    inbox: mpsc::Receiver<LinkEvent>,
    heard: VecDeque<LinkEvent>,
}

impl Node {
    fn new(settings: LinkSettings) -> Self {
        let (events, inbox) = mpsc::channel(64);
        Self { links: Links::new(settings, events), handles: BTreeMap::new(), inbox, heard: VecDeque::new() }
    }

    fn open(&mut self, link: u64, role: Role) {
        self.handles.insert(link, self.links.open(link, role));
    }

    fn open_via(&mut self, link: u64, role: Role, via: u64) {
        self.handles.insert(link, self.links.open_via(link, role, self.handles.get(&via)));
    }

    fn send(&self, link: u64, text: &str) {
        self.handles[&link].try_send(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    }
}

/// Two peers, and what is signaled between them.
struct Pair {
    nodes: [Node; 2],
    signals: usize,
}

impl Pair {
    fn new() -> Self {
        Self::with(Duration::from_secs(10))
    }

    fn with(connect_timeout: Duration) -> Self {
        let bind = Some(vec!["127.0.0.1:0".parse().unwrap()]);
        let settings = LinkSettings { bind, connect_timeout, ..LinkSettings::default() };
        Self { nodes: [Node::new(settings.clone()), Node::new(settings)], signals: 0 }
    }

    /// Two peers with a link.
    async fn connected() -> Self {
        let mut pair = Self::new();
        pair.open(1);
        pair.opened(1).await;
        pair
    }

    /// The same, and what they send is so long under way from now on.
    #[cfg(feature = "faults")]
    async fn apart(delay: Duration) -> Self {
        use tiercast_peer_client::link::Weather;
        let pair = Self::connected().await;
        for node in &pair.nodes {
            node.links.set_weather(Weather { delay, ..Weather::default() });
        }
        pair
    }

    /// Both ends of a link are told of it; the first one offers.
    fn open(&mut self, link: u64) {
        self.nodes[0].open(link, Role::Offerer);
        self.nodes[1].open(link, Role::Answerer);
    }

    fn open_via(&mut self, link: u64, via: u64, offerer: usize) {
        self.nodes[offerer].open_via(link, Role::Offerer, via);
        self.nodes[1 - offerer].open_via(link, Role::Answerer, via);
    }

    /// The next event of a node that is not about signaling. Signals are brought across.
    async fn event(&mut self, node: usize) -> LinkEvent {
        loop {
            if let Some(event) = self.nodes[node].heard.pop_front() {
                return event;
            }
            let [one, other] = &mut self.nodes;
            let (from, event) = tokio::select! {
                event = one.inbox.recv() => (0, event),
                event = other.inbox.recv() => (1, event),
                () = tokio::time::sleep(DEADLINE) => panic!("still waiting"),
            };
            match event.expect("the channel is open") {
                LinkEvent::Signal { link, signal } => {
                    self.signals += 1;
                    if let Some(handle) = self.nodes[1 - from].handles.get(&link) {
                        handle.signal(signal);
                    }
                }
                event => self.nodes[from].heard.push_back(event),
            }
        }
    }

    async fn opened(&mut self, links: usize) {
        for node in [0, 1] {
            for _ in 0..links {
                let event = self.event(node).await;
                assert!(matches!(event, LinkEvent::Opened { .. }), "{event:?}");
            }
        }
    }

    /// What is said on a link arrives there, in both directions.
    async fn talk(&mut self, link: u64) {
        for node in [0, 1] {
            self.nodes[node].send(link, "hello");
            let heard = self.event(1 - node).await;
            assert_eq!(heard, LinkEvent::Data { link, bytes: Bytes::from_static(b"hello") });
        }
    }

    /// The next events of a node are these, in whatever order.
    async fn hears(&mut self, node: usize, mut expected: Vec<LinkEvent>) {
        while !expected.is_empty() {
            let event = self.event(node).await;
            let index = expected.iter().position(|other| *other == event);
            expected.remove(index.unwrap_or_else(|| panic!("{event:?} in place of {expected:?}")));
        }
    }

    async fn closed(&mut self, node: usize, link: u64) -> LinkCloseReason {
        match self.event(node).await {
            LinkEvent::Closed { link: closed, reason } if closed == link => reason,
            event => panic!("{event:?} in place of the end of {link}"),
        }
    }

    fn connections(&self) -> [usize; 2] {
        [0, 1].map(|node| self.nodes[node].links.connections())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_links_share_one_connection_whether_it_is_up_already_or_not_and_whoever_offers() {
    let _alone = alone().await;
    let mut pair = Pair::new();
    pair.open(1);
    pair.open_via(2, 1, 0);
    pair.open_via(3, 1, 1);
    pair.opened(2).await;
    pair.nodes[0].send(1, "join");
    let (opened, said) =
        (LinkEvent::Opened { link: 3 }, LinkEvent::Data { link: 1, bytes: Bytes::from_static(b"join") });
    pair.hears(0, vec![opened.clone()]).await;
    pair.hears(1, vec![opened, said]).await;
    pair.open_via(4, 2, 0);
    pair.open_via(5, 3, 1);
    pair.opened(2).await;
    for link in 1..=5 {
        pair.talk(link).await;
    }
    assert_eq!(pair.connections(), [1, 1]);
    assert_eq!(pair.signals, 2, "an offer and an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_the_link_that_it_was_made_for_and_ends_with_the_last_one() {
    let _alone = alone().await;
    let mut pair = Pair::connected().await;
    pair.open_via(2, 1, 0);
    pair.opened(1).await;
    pair.nodes[0].send(1, "bye");
    pair.nodes[0].handles[&1].close();
    assert!(
        matches!(pair.event(1).await, LinkEvent::Data { link: 1, .. }),
        "a goodbye goes ahead of the end"
    );
    assert_eq!(pair.closed(1, 1).await, LinkCloseReason::Remote);
    assert_eq!(pair.closed(0, 1).await, LinkCloseReason::Local);
    assert_eq!(pair.connections(), [1, 1]);
    pair.talk(2).await;
    pair.open_via(3, 2, 1);
    pair.opened(1).await;
    pair.nodes[1].handles.clear();
    for (node, expected) in [(0, LinkCloseReason::Remote), (1, LinkCloseReason::Local)] {
        for _ in [2, 3] {
            let event = pair.event(node).await;
            assert!(matches!(&event, LinkEvent::Closed { reason, .. } if *reason == expected), "{event:?}");
        }
    }
    assert_eq!(pair.connections(), [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_comes_before_the_word_of_its_link_waits_for_it() {
    let _alone = alone().await;
    let mut pair = Pair::connected().await;
    pair.nodes[0].open_via(2, Role::Offerer, 1);
    assert_eq!(pair.event(0).await, LinkEvent::Opened { link: 2 });
    pair.nodes[0].send(2, "early");
    pair.talk(1).await;
    pair.nodes[1].open_via(2, Role::Answerer, 1);
    assert_eq!(pair.event(1).await, LinkEvent::Opened { link: 2 });
    assert_eq!(pair.event(1).await, LinkEvent::Data { link: 2, bytes: Bytes::from_static(b"early") });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_expects_is_closed_after_a_while_and_as_soon_as_there_are_many() {
    let _alone = alone().await;
    let mut pair = Pair::with(Duration::from_secs(2));
    pair.open(1);
    pair.opened(1).await;
    for link in 2..=20 {
        pair.nodes[0].open_via(link, Role::Offerer, 1);
    }
    let (mut opened, mut closed, begun) = (0, Vec::new(), Instant::now());
    while closed.len() < 19 {
        match pair.event(0).await {
            LinkEvent::Opened { .. } => opened += 1,
            LinkEvent::Closed { link, reason } => {
                assert_eq!(reason, LinkCloseReason::Remote);
                closed.push((begun.elapsed() >= Duration::from_millis(1_500), link));
            }
            event => panic!("{event:?}"),
        }
    }
    let (late, at_once): (Vec<_>, Vec<_>) = closed.into_iter().partition(|(is_late, _)| *is_late);
    assert_eq!((opened, at_once.len(), late.len()), (19, 3, 16));
    pair.talk(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_connection_is_gone_or_does_not_come_up_ends() {
    let _alone = alone().await;
    let mut pair = Pair::with(Duration::from_millis(300));
    pair.nodes[0].open_via(2, Role::Offerer, 1);
    assert_eq!(pair.closed(0, 2).await, LinkCloseReason::NotShared);
    pair.open(3);
    pair.opened(1).await;
    pair.nodes[1].open_via(4, Role::Answerer, 3);
    assert_eq!(pair.closed(1, 4).await, LinkCloseReason::ConnectTimeout, "the other end opens nothing");
    pair.nodes[0].open(5, Role::Offerer);
    pair.nodes[0].open_via(6, Role::Offerer, 5);
    pair.nodes[0].handles.remove(&5);
    assert_eq!(pair.closed(0, 5).await, LinkCloseReason::Local);
    let reason = pair.closed(0, 6).await;
    assert!(
        matches!(reason, LinkCloseReason::Transport(_)),
        "{reason}: nobody hears what is signaled for it"
    );
    pair.talk(3).await;
    assert_eq!(pair.connections(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_lost_goes_on_the_channel_that_all_links_share_and_reaches_its_own() {
    let _alone = alone().await;
    let mut pair = Pair::connected().await;
    pair.open_via(2, 1, 0);
    pair.opened(1).await;
    pair.talk(1).await;
    for link in [1, 2] {
        let to = Position::new(7, link as i64);
        let nack = Nack { after: Position::new(7, 0), to }.encode();
        for node in [0, 1] {
            pair.nodes[node].handles[&link].try_send(nack.clone()).unwrap();
            assert_eq!(pair.event(1 - node).await, LinkEvent::Data { link, bytes: nack.clone() });
        }
    }
}

/// Whoever offered: with webrtc 0.21.1 a channel that is not agreed on is lossy only for who opens it.
#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_lost_is_lost_in_both_directions_and_what_may_not_is_not() {
    use tiercast_peer_client::link::Weather;
    const ROUNDS: usize = 5;
    const MESSAGES: usize = 30;
    /// Each needs a packet of its own: of small ones, the few packets that carry them all may get through.
    const BYTES: usize = 1_000;
    let _alone = alone().await;
    let mut pair = Pair::connected().await;
    pair.talk(1).await;
    let message = Bytes::from_static(&[FRAME_KIND; BYTES]);
    assert!(may_be_lost(&message));
    for node in [0, 1] {
        pair.nodes[node].links.set_weather(Weather { lost_per_million: 100_000, ..Weather::default() });
        let mut came = 0;
        for round in 0..ROUNDS {
            for _ in 0..MESSAGES {
                pair.nodes[node].handles[&1].try_send(message.clone()).unwrap();
            }
            // Said more than once: what follows makes a loss known sooner than the transport's timer does.
            let done = format!("done with {round}");
            let mut again = tokio::time::interval(Duration::from_millis(50));
            loop {
                tokio::select! {
                    _ = again.tick() => pair.nodes[node].send(1, &done),
                    event = pair.event(1 - node) => match event {
                        LinkEvent::Data { bytes, .. } if bytes == done => break,
                        LinkEvent::Data { bytes, .. } => came += usize::from(bytes == message),
                        event => panic!("{event:?}"),
                    }
                }
            }
        }
        assert!((1..ROUNDS * MESSAGES).contains(&came), "{came} of {ROUNDS} times {MESSAGES}");
        pair.nodes[node].links.set_weather(Weather::default());
    }
}

/// It takes a while until the other end knows that the first one has ended; the second one is given its stream.
#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_a_link_that_follows_another_on_the_same_connection_opens() {
    let _alone = alone().await;
    let mut pair = Pair::apart(Duration::from_millis(100)).await;
    for link in 2..=4 {
        pair.open_via(link, 1, 0);
        pair.opened(1).await;
        pair.talk(link).await;
        pair.nodes[0].handles.remove(&link);
        assert_eq!(pair.closed(0, link).await, LinkCloseReason::Local);
        pair.open_via(link + 10, 1, 0);
        assert_eq!(pair.closed(1, link).await, LinkCloseReason::Remote);
        pair.opened(1).await;
        pair.talk(link + 10).await;
    }
}

/// When the links may take the stream of the first one to end, the other end has not heard of the second one's end: there and
/// back it takes longer than what is left of their wait.
#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_links_that_wait_for_a_stream_open_although_another_one_ends_meanwhile() {
    let _alone = alone().await;
    let mut pair = Pair::apart(Duration::from_millis(350)).await;
    for link in [2, 3] {
        pair.open_via(link, 1, 0);
        pair.opened(1).await;
        pair.talk(link).await;
    }
    pair.nodes[0].handles.remove(&2);
    assert_eq!(pair.closed(0, 2).await, LinkCloseReason::Local);
    for link in [4, 5] {
        pair.open_via(link, 1, 0);
    }
    assert_eq!(pair.closed(1, 2).await, LinkCloseReason::Remote);
    pair.nodes[0].handles.remove(&3);
    assert_eq!(pair.closed(0, 3).await, LinkCloseReason::Local);
    assert_eq!(pair.closed(1, 3).await, LinkCloseReason::Remote);
    pair.opened(2).await;
    for link in [4, 5] {
        pair.talk(link).await;
    }
}

/// More threads than there are cores, so that one is often stopped half way: the other end's answer was then there before
/// the channel was.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn regression_a_channel_opens_however_fast_the_other_end_answers() {
    let _alone = alone().await;
    let crowd = (0..8).map(|_| {
        tokio::spawn(async {
            for _ in 0..30 {
                let mut pair = Pair::connected().await;
                for links in [2..=16, 17..=32, 33..=48] {
                    for link in links.clone() {
                        pair.open_via(link, 1, 0);
                    }
                    pair.opened(links.count()).await;
                }
            }
        })
    });
    for pairs in crowd.collect::<Vec<_>>() {
        pairs.await.unwrap();
    }
}

/// Sets up pairs of peers with five links each; says what one pair cost.
async fn five_links(is_shared: bool) -> (usize, usize) {
    const PAIRS: usize = 20;
    let (before, rss) = (cpu_seconds().unwrap(), resident_bytes().unwrap());
    let (mut pairs, mut times) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let mut pair = Pair::connected().await;
        let begun = Instant::now();
        for link in 2..=5 {
            if is_shared { pair.open_via(link, 1, 0) } else { pair.open(link) }
        }
        pair.opened(4).await;
        times.push(begun.elapsed());
        pair.talk(5).await;
        pairs.push(pair);
    }
    times.sort();
    let (connections, signals) = (pairs[0].connections()[0], pairs[0].signals);
    println!(
        "{}: {connections} connections, {signals} signals, four more links in {:.1?} (p50), {:.1} ms CPU, {} KiB for both ends",
        if is_shared { "shared" } else { "each its own" },
        times[PAIRS / 2],
        (cpu_seconds().unwrap() - before) * 1e3 / PAIRS as f64,
        (resident_bytes().unwrap() as i64 - rss as i64) / (1_024 * PAIRS as i64),
    );
    (connections, signals)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_five_links_cost() {
    let _alone = alone().await;
    assert_eq!(five_links(true).await, (1, 2));
    assert_eq!(five_links(false).await, (5, 10));
}
