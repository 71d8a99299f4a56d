//! Links over real sockets on loopback: what the module promises, and what it costs.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tiercast_codec::{IceServer, Signal, limits::SIGNAL_DESCRIPTION_BYTES_MAX};
use tiercast_peer_client::link::{
    CandidatePolicy, LinkCloseReason, LinkEvent, LinkHandle, LinkSettings, Links, MESSAGE_BYTES_MAX, Role,
    TrySendError,
};
use tiercast_platform::cpu_seconds;
use tokio::sync::{Mutex, MutexGuard, mpsc};

/// Only a broken link takes as long.
const DEADLINE: Duration = Duration::from_secs(60);

/// Tests run one at a time: they measure, and they count the sockets of the process.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("still waiting")
}

fn loopback() -> LinkSettings {
    LinkSettings { bind: Some(vec!["127.0.0.1:0".parse().unwrap()]), ..LinkSettings::default() }
}

/// One end of a link, with an event channel of its own.
struct End {
    link: LinkHandle,
    inbox: mpsc::Receiver<LinkEvent>,
}

impl End {
    fn open(settings: LinkSettings, role: Role, inbox_events: usize) -> Self {
        let (events, inbox) = mpsc::channel(inbox_events);
        Self { link: Links::new(settings, events).open(1, role), inbox }
    }

    async fn any_event(&mut self) -> LinkEvent {
        soon(self.inbox.recv()).await.expect("a last event")
    }

    /// The next event that is not about signaling.
    async fn event(&mut self) -> LinkEvent {
        loop {
            match self.any_event().await {
                LinkEvent::Signal { .. } => {}
                event => return event,
            }
        }
    }

    async fn data(&mut self) -> Bytes {
        loop {
            match self.event().await {
                LinkEvent::Data { bytes, .. } => return bytes,
                LinkEvent::Writable { .. } => {}
                event => panic!("{event:?} in place of data"),
            }
        }
    }

    /// Why the link closed, after whatever comes before that.
    async fn closed(&mut self) -> LinkCloseReason {
        loop {
            if let LinkEvent::Closed { reason, .. } = self.any_event().await {
                assert_eq!(soon(self.inbox.recv()).await, None, "Closed is the last event");
                return reason;
            }
        }
    }

    async fn send(&mut self, message: Bytes) {
        while let Err(refusal) = self.link.try_send(message.clone()) {
            assert_eq!(refusal, TrySendError::Full);
            assert_eq!(self.event().await, LinkEvent::Writable { link: 1 });
        }
    }

    async fn description(&mut self) -> Signal {
        loop {
            match self.any_event().await {
                LinkEvent::Signal { signal: Signal::Candidate { .. }, .. } => {}
                LinkEvent::Signal { signal, .. } => return signal,
                event => panic!("{event:?} in place of a description"),
            }
        }
    }
}

/// Brings signals across until both ends are open; says how many there were.
async fn introduce(a: &mut End, b: &mut End) -> usize {
    let (mut opened, mut signals) = (0, 0);
    while opened < 2 {
        let (event, other) = tokio::select! {
            event = a.inbox.recv() => (event, &b.link),
            event = b.inbox.recv() => (event, &a.link),
            () = tokio::time::sleep(DEADLINE) => panic!("not connected"),
        };
        match event.expect("an event") {
            LinkEvent::Signal { signal, .. } => {
                other.signal(signal);
                signals += 1;
            }
            LinkEvent::Opened { link: 1 } => opened += 1,
            event => panic!("{event:?} before both ends are open"),
        }
    }
    signals
}

async fn pair_with(settings: LinkSettings, inbox_events: usize) -> (End, End) {
    let mut a = End::open(settings.clone(), Role::Offerer, inbox_events);
    let mut b = End::open(settings, Role::Answerer, inbox_events);
    introduce(&mut a, &mut b).await;
    (a, b)
}

async fn pair() -> (End, End) {
    pair_with(loopback(), 64).await
}

fn numbered(number: u32, bytes: usize) -> Bytes {
    let mut message = vec![0; bytes];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message.into()
}

fn number(message: &[u8]) -> u32 {
    u32::from_be_bytes(message[..4].try_into().unwrap())
}

/// UDP sockets of this process. Only links have any, whatever the runtimes of other tests open.
fn udp_sockets() -> usize {
    let inodes: HashSet<String> = ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .into_iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| {
            let inode = |line: &str| Some(format!("socket:[{}]", line.split_whitespace().nth(9)?));
            table.lines().skip(1).filter_map(inode).collect::<Vec<_>>()
        })
        .collect();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let target =
        |fd: std::fs::DirEntry| std::fs::read_link(fd.path()).ok()?.into_os_string().into_string().ok();
    open.filter_map(target).filter(|target| inodes.contains(target)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_echoed_in_order_whoever_offers() {
    let _alone = alone().await;
    let (mut offerer, mut answerer) = pair().await;
    for offerer_begins in [true, false] {
        let (a, b) =
            if offerer_begins { (&mut offerer, &mut answerer) } else { (&mut answerer, &mut offerer) };
        for i in 0..20 {
            a.link.try_send(numbered(i, 300)).unwrap();
        }
        for i in 0..20 {
            let message = b.data().await;
            assert_eq!(message, numbered(i, 300));
            b.send(message).await;
        }
        for i in 0..20 {
            assert_eq!(number(&a.data().await), i);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_and_the_empty_message_arrive() {
    let _alone = alone().await;
    let (mut a, mut b) = pair().await;
    for bytes in [MESSAGE_BYTES_MAX, 4, 0, 16 * 1024, 1160] {
        let message = Bytes::from(vec![7; bytes]);
        a.send(message.clone()).await;
        assert_eq!(b.data().await, message);
    }
    let too_large = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    assert_eq!(a.link.try_send(too_large), Err(TrySendError::TooLarge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_addresses_chosen_by_default_connect() {
    let _alone = alone().await;
    let (mut a, mut b) = pair_with(LinkSettings::default(), 64).await;
    a.send(numbered(1, 300)).await;
    assert_eq!(number(&b.data().await), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_negotiation_says_is_far_below_what_the_hub_forwards() {
    let _alone = alone().await;
    let mut a = End::open(LinkSettings::default(), Role::Offerer, 64);
    let mut b = End::open(LinkSettings::default(), Role::Answerer, 64);
    let offer = a.description().await;
    b.link.signal(offer.clone());
    for signal in [offer, b.description().await] {
        let (Signal::Offer { sdp } | Signal::Answer { sdp }) = &signal else { panic!("{signal:?}") };
        let candidates = sdp.matches("a=candidate").count();
        println!("a description of {} bytes, {candidates} candidates in it", sdp.len());
        assert!(sdp.len() < SIGNAL_DESCRIPTION_BYTES_MAX / 4, "{sdp}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_queued_before_the_link_is_open_are_sent_once_it_is() {
    let _alone = alone().await;
    let mut a = End::open(loopback(), Role::Offerer, 64);
    let mut b = End::open(loopback(), Role::Answerer, 64);
    for i in 0..10 {
        a.link.try_send(numbered(i, 300)).unwrap();
    }
    while let Some(event) = tokio::select! {
        event = soon(a.inbox.recv()) => event.map(|event| (event, true)),
        event = soon(b.inbox.recv()) => event.map(|event| (event, false)),
    } {
        match event {
            (LinkEvent::Signal { signal, .. }, true) => b.link.signal(signal),
            (LinkEvent::Signal { signal, .. }, false) => a.link.signal(signal),
            (LinkEvent::Opened { .. }, true) => {}
            (LinkEvent::Opened { .. }, false) => break,
            event => panic!("{event:?}"),
        }
    }
    for i in 0..10 {
        assert_eq!(number(&b.data().await), i);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_is_set_up_within_milliseconds_by_two_signals() {
    let _alone = alone().await;
    const PAIRS: usize = 20;
    let (mut times, mut signals) = (Vec::new(), 0);
    let (mut open, before) = (Vec::new(), cpu_seconds().unwrap());
    for _ in 0..PAIRS {
        let start = Instant::now();
        let mut a = End::open(loopback(), Role::Offerer, 64);
        let mut b = End::open(loopback(), Role::Answerer, 64);
        signals += introduce(&mut a, &mut b).await;
        times.push(start.elapsed());
        open.push((a, b));
    }
    let cpu_ms = (cpu_seconds().unwrap() - before) * 1e3 / PAIRS as f64;
    times.sort();
    println!(
        "set-up: p50 {:.1?}, max {:.1?}, {cpu_ms:.1} ms CPU and {:.1} signals per pair",
        times[PAIRS / 2],
        times[PAIRS - 1],
        signals as f64 / PAIRS as f64,
    );
    assert_eq!(signals, 2 * PAIRS, "candidates travel inside the descriptions");
    assert!(times[PAIRS / 2] < Duration::from_millis(300), "waits for ICE ticks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_with_backpressure_honoured() {
    let _alone = alone().await;
    for (bytes, count) in [(300, 100_000), (1_100, 60_000), (16 * 1024, 8_000)] {
        let (mut a, mut b) = pair().await;
        let (start, before) = (Instant::now(), cpu_seconds().unwrap());
        let sender = tokio::spawn(async move {
            for i in 0..count {
                a.send(numbered(i, bytes)).await;
            }
            a
        });
        for i in 0..count {
            let message = b.data().await;
            assert_eq!((number(&message), message.len()), (i, bytes));
        }
        let (took, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds().unwrap() - before);
        println!(
            "{bytes} B: {:.0} messages/s, {:.0} MB/s, {:.1} us CPU per message",
            f64::from(count) / took,
            f64::from(count) * bytes as f64 / took / 1e6,
            cpu * 1e6 / f64::from(count),
        );
        drop(soon(sender).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_writable_follows_any_number_of_refusals() {
    let _alone = alone().await;
    let (mut a, mut b) = pair().await;
    let mut sent = 0;
    while a.link.try_send(numbered(sent, 16 * 1024)).is_ok() {
        sent += 1;
    }
    for _ in 0..10 {
        let _ = a.link.try_send(numbered(sent, 16 * 1024));
    }
    for i in 0..sent {
        assert_eq!(number(&b.data().await), i);
    }
    assert_eq!(a.event().await, LinkEvent::Writable { link: 1 });
    // Had there been a second one, it would be before this echo.
    b.send(numbered(99, 4)).await;
    assert_eq!(a.event().await, LinkEvent::Data { link: 1, bytes: numbered(99, 4) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stops_and_resumes_loses_nothing() {
    let _alone = alone().await;
    for (bytes, count) in [(300, 3_000), (16 * 1024, 600)] {
        let (mut a, mut b) = pair_with(loopback(), 2).await;
        let (stalled_tx, mut stalled) = mpsc::channel(1);
        let sender = tokio::spawn(async move {
            for i in 0..count {
                while a.link.try_send(numbered(i, bytes)).is_err() {
                    let writable = tokio::time::timeout(Duration::from_millis(300), a.event()).await;
                    if writable.is_err() {
                        // Nothing moves any more: the receiver's refusal has come through.
                        let _ = stalled_tx.try_send(());
                        assert_eq!(a.event().await, LinkEvent::Writable { link: 1 });
                    }
                }
            }
            let _ = stalled_tx.try_send(());
            a
        });
        soon(stalled.recv()).await.unwrap();
        let resumed = Instant::now();
        for i in 0..count {
            assert_eq!(number(&b.data().await), i);
        }
        println!("{bytes} B: all {count} there {:.1?} after the stall", resumed.elapsed());
        drop(soon(sender).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_waits_for_its_consumer_still_closes_and_still_sends() {
    let _alone = alone().await;
    let (mut a, mut b) = pair_with(loopback(), 1).await;
    // Fills the other's event channel, which nobody reads.
    for i in 0..20 {
        a.send(numbered(i, 300)).await;
    }
    b.link.try_send(numbered(1, 300)).unwrap();
    assert_eq!(number(&a.data().await), 1);
    b.link.close();
    assert_eq!(a.closed().await, LinkCloseReason::Remote);
    assert_eq!(b.closed().await, LinkCloseReason::Local);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_seen_by_the_other_side_at_once() {
    let _alone = alone().await;
    for offerer_closes in [true, false] {
        let (mut a, mut b) = pair().await;
        let (closing, other) = if offerer_closes { (&mut a, &mut b) } else { (&mut b, &mut a) };
        let start = Instant::now();
        closing.link.close();
        assert_eq!(other.closed().await, LinkCloseReason::Remote);
        println!("close seen after {:.1?}", start.elapsed());
        assert_eq!(closing.closed().await, LinkCloseReason::Local);
        assert_eq!(closing.link.try_send(numbered(1, 4)), Err(TrySendError::Closed));
        assert_eq!(other.link.try_send(numbered(1, 4)), Err(TrySendError::Closed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_sent_before_the_close_arrives() {
    let _alone = alone().await;
    for _ in 0..10 {
        let (mut a, mut b) = pair().await;
        for i in 0..20 {
            a.link.try_send(numbered(i, 1_100)).unwrap();
        }
        a.link.close();
        for i in 0..20 {
            assert_eq!(number(&b.data().await), i);
        }
        assert_eq!(b.closed().await, LinkCloseReason::Remote);
        assert_eq!(a.closed().await, LinkCloseReason::Local);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_handle_closes_the_link() {
    let _alone = alone().await;
    let (a, mut b) = pair().await;
    let End { link, mut inbox } = a;
    drop(link);
    assert_eq!(b.closed().await, LinkCloseReason::Remote);
    let last = soon(inbox.recv()).await;
    assert_eq!(last, Some(LinkEvent::Closed { link: 1, reason: LinkCloseReason::Local }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_goes_away_closes_its_links() {
    let _alone = alone().await;
    let (a, mut b) = pair().await;
    let End { link: _link, inbox } = a;
    drop(inbox);
    assert_eq!(b.closed().await, LinkCloseReason::Remote);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_closed_before_it_is_open_says_so() {
    let _alone = alone().await;
    for role in [Role::Offerer, Role::Answerer] {
        let mut end = End::open(loopback(), role, 64);
        end.link.close();
        assert_eq!(end.closed().await, LinkCloseReason::Local);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_the_other_end_is_a_connect_timeout() {
    let _alone = alone().await;
    for role in [Role::Offerer, Role::Answerer] {
        let settings = LinkSettings { connect_timeout: Duration::from_millis(200), ..loopback() };
        let mut end = End::open(settings, role, 64);
        assert_eq!(end.closed().await, LinkCloseReason::ConnectTimeout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_path_between_them_both_ends_give_up() {
    let _alone = alone().await;
    // A relay that does not answer: the discard port.
    let dead = IceServer {
        urls: vec!["turn:127.0.0.1:9".into()],
        username: Some("name".into()),
        credential: Some("password".into()),
    };
    let settings = LinkSettings {
        ice_servers: vec![dead],
        candidates: CandidatePolicy::RelayOnly,
        connect_timeout: Duration::from_secs(1),
        ..loopback()
    };
    let mut a = End::open(settings.clone(), Role::Offerer, 64);
    let mut b = End::open(settings, Role::Answerer, 64);
    let offer = a.description().await;
    assert!(!format!("{offer:?}").contains("127.0.0.1"), "no address is revealed");
    b.link.signal(offer);
    a.link.signal(b.description().await);
    for end in [&mut a, &mut b] {
        let reason = end.closed().await;
        assert!(matches!(reason, LinkCloseReason::ConnectTimeout | LinkCloseReason::IceFailed), "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_only_without_a_relay_is_a_transport_failure() {
    let _alone = alone().await;
    let settings = LinkSettings { candidates: CandidatePolicy::RelayOnly, ..loopback() };
    let mut end = End::open(settings, Role::Offerer, 64);
    assert!(matches!(end.closed().await, LinkCloseReason::Transport(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_cannot_be_bound_is_a_transport_failure() {
    let _alone = alone().await;
    let settings =
        LinkSettings { bind: Some(vec!["203.0.113.1:9".parse().unwrap()]), ..LinkSettings::default() };
    let mut end = End::open(settings, Role::Offerer, 64);
    assert!(matches!(end.closed().await, LinkCloseReason::Transport(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptions_that_make_no_sense_close_the_link() {
    let _alone = alone().await;
    let mut source = End::open(loopback(), Role::Offerer, 64);
    let Signal::Offer { sdp } = source.description().await else { panic!("an offerer offers") };
    let offer = |sdp: &str| Signal::Offer { sdp: sdp.into() };
    let answer = |sdp: &str| Signal::Answer { sdp: sdp.into() };
    let cases = [
        (Role::Answerer, vec![offer("")]),
        (Role::Answerer, vec![offer("garbage")]),
        (Role::Answerer, vec![offer(&sdp.replace("a=fingerprint", "a=nothing"))]),
        (Role::Answerer, vec![offer(&sdp[..sdp.len() / 2])]),
        (Role::Answerer, vec![offer(&format!("{sdp}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"))]),
        (Role::Answerer, vec![offer(&sdp), offer(&sdp)]),
        (Role::Answerer, vec![answer(&sdp)]),
        (Role::Offerer, vec![offer(&sdp)]),
        (Role::Offerer, vec![answer("v=0\r\n\u{0}\u{fffd}")]),
    ];
    for (role, signals) in cases {
        let mut end = End::open(loopback(), role, 64);
        for signal in &signals {
            end.link.signal(signal.clone());
        }
        let reason = end.closed().await;
        assert!(matches!(reason, LinkCloseReason::BadSignal(_)), "{reason:?} after {signals:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_that_make_no_sense_or_come_early_or_in_masses_do_no_harm() {
    let _alone = alone().await;
    let mut a = End::open(loopback(), Role::Offerer, 64);
    let mut b = End::open(loopback(), Role::Answerer, 64);
    let garbage =
        ["", "x", "candidate:", "candidate:1 1 udp", "candidate:1 1 udp 1 999.0.0.1 70000 typ host"];
    for candidate in garbage {
        for end in [&a, &b] {
            end.link.signal(Signal::Candidate { candidate: candidate.into(), mid: "7".into() });
        }
    }
    a.link.signal(Signal::Candidate { candidate: "y".repeat(100_000), mid: "0".into() });
    for port in 1..500 {
        let candidate = format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host");
        b.link.signal(Signal::Candidate { candidate, mid: "0".into() });
    }
    introduce(&mut a, &mut b).await;
    a.send(numbered(1, 300)).await;
    assert_eq!(number(&b.data().await), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_pairs_leave_nothing_behind() {
    let _alone = alone().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let open = pair().await;
    assert!(tasks() >= 4 && udp_sockets() >= 2, "there is something to count");
    drop(open);
    for way in 0..60 {
        match way % 6 {
            0 => drop(pair().await),
            1 => {
                let (mut a, mut b) = pair().await;
                a.link.close();
                a.closed().await;
                b.closed().await;
            }
            2 => {
                let (a, mut b) = pair().await;
                drop(a.inbox);
                b.closed().await;
            }
            3 => drop(End::open(loopback(), Role::Offerer, 64)),
            4 => {
                let mut end = End::open(loopback(), Role::Answerer, 1);
                end.link.signal(Signal::Offer { sdp: "garbage".into() });
                end.closed().await;
            }
            _ => {
                let (mut a, b) = pair_with(loopback(), 1).await;
                for i in 0..100 {
                    let _ = a.link.try_send(numbered(i, 1_100));
                }
                drop((a.link, b));
                while a.inbox.recv().await.is_some() {}
            }
        }
    }
    let start = Instant::now();
    while tasks() + udp_sockets() > 0 {
        assert!(start.elapsed() < DEADLINE, "left: {} tasks, {} sockets", tasks(), udp_sockets());
        // Nothing announces the end of a task.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
