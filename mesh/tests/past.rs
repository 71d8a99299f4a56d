//! Whoever is behind the hub's log reads pages of the past that the source retains, and meets the log without a seam.

use std::time::Duration;

use tiercast_codec::{Event, GapReason, Message, Position, Since};
use tiercast_mesh::{
    LogLimits, Page, PageEntry, SourceUpdate,
    hub::{Class, HubConfig, PastLimits},
    peer::{Delivery, PeerConfig, Status},
};
use tiercast_sim::{
    CALM, CHILD, FIRST_EPOCH, Net, PARENT, bodies, channel, pair_with, relay, roots, sequence,
};

const PAGE_EVENTS: usize = 100;

/// A log of ten frames at most, and small pages.
fn hub() -> HubConfig {
    let past = PastLimits { page_events: PAGE_EVENTS, ..PastLimits::default() };
    HubConfig { log: LogLimits { entries: 10, ..roots(1).log }, past, ..roots(1) }
}

/// Takes no part in the mesh.
fn direct() -> PeerConfig {
    PeerConfig { relay: None, ..relay(0) }
}

fn at(offset: i64) -> Position {
    Position::new(FIRST_EPOCH, offset)
}

fn gap(from: i64, to: i64, reason: GapReason) -> Delivery {
    Delivery::Gap { channel: channel(), from: at(from), to: at(to), reason }
}

/// A network whose source retains all of so many events, in frames of one.
fn net(config: HubConfig, events: usize) -> Net {
    let mut net = Net::new(1, config, CALM);
    net.retain(-1);
    publish(&mut net, events);
    net.fetches.clear();
    net
}

fn publish(net: &mut Net, events: usize) {
    for body in bodies(events) {
        net.publish([body]);
        net.run_for(Duration::from_millis(10));
    }
}

/// Looks at a network each millisecond until everybody has everything.
fn until_caught_up(net: &mut Net, mut look: impl FnMut(&Net)) {
    for _ in 0..600_000 {
        if net.is_caught_up() {
            return;
        }
        net.run_for(Duration::from_millis(1));
        look(net);
    }
    panic!("not caught up after ten minutes");
}

/// Whether the server told a node that it gets everything that it asked for.
fn recovered(net: &Net, node: u64) -> Option<bool> {
    net.nodes[&node].statuses.iter().find_map(|status| match status {
        Status::Subscribed { recovered, .. } => Some(*recovered),
        _ => None,
    })
}

#[test]
fn the_past_is_read_while_new_events_come_and_then_all_is_live_without_a_seam() {
    let mut net = net(hub(), 1_000);
    net.join(PARENT, relay(4), Since::Earliest);
    net.join(CHILD, relay(0), Since::Position(at(499)));
    publish(&mut net, 500);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), sequence(1_500));
    assert_eq!(net.offsets(CHILD), (500..1_500).collect::<Vec<_>>());
    for node in [PARENT, CHILD] {
        assert_eq!((net.gaps(node).len(), recovered(&net, node)), (0, Some(true)));
    }
    let fetched = net.fetches.len();
    publish(&mut net, 50);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.fetches.len(), fetched, "what is live comes from the log");
}

#[test]
fn those_who_come_back_together_share_each_page() {
    let mut net = net(hub(), 1_000);
    for node in 1..=50 {
        net.join(node, direct(), Since::Position(at(node as i64)));
    }
    net.run_until("caught up", Net::is_caught_up);
    for node in 1..=50 {
        assert_eq!(net.offsets(node), (node as i64 + 1..1_000).collect::<Vec<_>>());
    }
    let least = 1_000 / PAGE_EVENTS;
    println!("{} pages for 50 who lack {least} each", net.fetches.len());
    assert!(net.fetches.len() <= least + 2, "{} pages", net.fetches.len());
}

#[test]
fn no_more_pages_are_fetched_at_a_time_than_may_be_and_everybody_gets_its_turn() {
    let past = PastLimits { fetches_max: 2, ..hub().past };
    let mut net = net(HubConfig { past, ..hub() }, 1_000);
    for node in 1..=8 {
        net.join(node, direct(), Since::Position(at(node as i64 * 110)));
    }
    let mut most = 0;
    until_caught_up(&mut net, |net| {
        let now = net.hub.past();
        assert!(now.fetching <= 2, "{now:?}");
        most = most.max(now.waiting);
    });
    assert_eq!(most, 8);
    let order: Vec<_> = net.fetches.iter().take(8).map(|fetch| fetch.after.offset / 110).collect();
    assert_eq!(order, [1, 2, 3, 4, 5, 6, 7, 8], "those who came first");
    assert_eq!(net.hub.past().waiting, 0);
}

#[test]
fn pages_that_are_kept_are_bounded_and_those_who_read_them_are_waited_for() {
    let past = PastLimits { page_bytes: 4_000, bytes: 40_000, ..hub().past };
    let mut net = net(HubConfig { past, feed_bytes: 50_000, ..hub() }, 1_000);
    for node in 1..=30 {
        net.join(node, direct(), Since::Position(at(node as i64 * 30)));
    }
    until_caught_up(&mut net, |net| {
        let bytes = net.hub.past().bytes;
        assert!(bytes <= past.bytes, "{bytes} bytes");
    });
    println!("{} pages", net.fetches.len());
    assert!(net.fetches.len() < 300, "{} pages", net.fetches.len());
    for node in 1..=30 {
        assert_eq!(net.offsets(node), (node as i64 * 30 + 1..1_000).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_not_retained_is_exactly_one_gap_and_earliest_is_where_it_ends() {
    let mut net = net(hub(), 1_000);
    net.retain(299);
    net.join(PARENT, relay(4), Since::Position(at(9)));
    net.join(CHILD, direct(), Since::Earliest);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.gaps(PARENT), [&gap(9, 299, GapReason::Retention)]);
    assert!(net.gaps(CHILD).is_empty());
    for node in [PARENT, CHILD] {
        assert_eq!(net.offsets(node), (300..1_000).collect::<Vec<_>>());
    }
    assert_eq!((recovered(&net, PARENT), recovered(&net, CHILD)), (Some(false), Some(true)));
}

#[test]
fn what_is_cut_before_the_hub_knows_is_one_gap_where_it_is_missed() {
    let mut net = net(hub(), 1_000);
    net.forget_past(299);
    net.join(PARENT, relay(4), Since::Position(at(9)));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.gaps(PARENT), [&gap(9, 299, GapReason::Retention)]);
    assert_eq!(net.offsets(PARENT), (300..1_000).collect::<Vec<_>>());
    // From now on it knows.
    net.join(CHILD, direct(), Since::Earliest);
    net.run_until("caught up", Net::is_caught_up);
    assert!(net.gaps(CHILD).is_empty());
}

#[test]
fn where_all_before_the_log_is_cut_the_gap_ends_at_the_log() {
    let mut net = net(hub(), 100);
    net.forget_past(95);
    net.join(PARENT, relay(4), Since::Position(at(9)));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.gaps(PARENT), [&gap(9, 89, GapReason::Retention)]);
    assert_eq!(net.offsets(PARENT), (90..100).collect::<Vec<_>>());
}

#[test]
fn a_source_that_is_lost_meanwhile_is_asked_again_when_it_is_back() {
    let mut net = net(hub(), 1_000);
    net.fetch_time = None;
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_for(Duration::from_secs(1));
    assert_eq!((net.fetches.len(), net.hub.past().fetching), (1, 1));
    net.source(SourceUpdate::Lost { reason: "the broker is down".into() });
    net.fetch_time = Some(Duration::from_millis(20));
    net.run_for(Duration::from_secs(10));
    assert_eq!((net.fetches.len(), net.hub.past().fetching), (1, 0), "nobody is there to be asked");
    net.source(SourceUpdate::Opened(net.position));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), sequence(1_000));
    assert!(net.gaps(PARENT).is_empty());
}

#[test]
fn a_page_that_cannot_be_had_now_is_asked_for_again_after_a_second() {
    let mut net = net(hub(), 1_000);
    net.fetch_time = None;
    net.join(PARENT, relay(4), Since::Earliest);
    // A page that brings nobody further is none.
    let nothing = Page { asked: at(-1), after: -1, entries: Vec::new(), last: -1 };
    let none = SourceUpdate::NotFetched { after: at(-1) };
    for (times, answer) in [none.clone(), SourceUpdate::Fetched(nothing), none].into_iter().enumerate() {
        net.run_for(Duration::from_millis(900));
        assert_eq!(net.fetches.len(), times + 1);
        net.source(answer);
        net.run_for(Duration::from_millis(200));
    }
    net.fetch_time = Some(Duration::from_millis(20));
    net.source(SourceUpdate::NotFetched { after: at(-1) });
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), sequence(1_000));
    assert_eq!(net.hub.channel_stats(&channel()).unwrap().pages_failed, 4);
}

#[test]
fn pages_of_an_old_numbering_are_thrown_away_and_whoever_waits_gets_one_gap() {
    let mut net = net(hub(), 1_000);
    net.fetch_time = None;
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_for(Duration::from_secs(1));
    let late = net.answer(&net.fetches[0]);
    net.source(SourceUpdate::Retains(Position::new(FIRST_EPOCH + 1, -1)));
    net.renumber();
    net.source(late);
    net.fetch_time = Some(Duration::from_millis(20));
    publish(&mut net, 500);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(
        net.offsets(PARENT),
        [(992..1_000).collect(), sequence(500)].concat(),
        "the log's, and the new ones"
    );
    let reasons: Vec<_> = net.gaps(PARENT).iter().map(|gap| reason(gap)).collect();
    assert_eq!(reasons, [GapReason::Retention, GapReason::Epoch]);

    // One who comes later, when the log has nothing of the old numbering any more, misses nothing of the new one.
    net.join(CHILD, direct(), Since::Position(at(499)));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(500));
    assert_eq!(net.gaps(CHILD).iter().map(|gap| reason(gap)).collect::<Vec<_>>(), [GapReason::Epoch]);
}

fn reason(gap: &Delivery) -> GapReason {
    let Delivery::Gap { reason, .. } = gap else { panic!("an event") };
    *reason
}

#[test]
fn who_would_have_to_wait_too_long_is_told_to_come_back_and_who_has_begun_waits() {
    let mut net = net(hub(), 1_000);
    net.fetch_time = None;
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_for(Duration::from_secs(11));
    net.join(CHILD, direct(), Since::Earliest);
    net.join(3, direct(), Since::Now);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.place(CHILD).map(|_| ()), None, "it was told to come back");
    assert!(net.place(PARENT).is_some() && net.place(3).is_some());
    net.fetch_time = Some(Duration::from_millis(20));
    net.source(SourceUpdate::NotFetched { after: at(-1) });
    net.run_until("caught up", |net| net.is_settled(CHILD) && net.is_caught_up());
    for node in [PARENT, CHILD] {
        assert_eq!(net.offsets(node), sequence(1_000));
    }
}

#[test]
fn what_a_page_lacks_is_a_gap_in_its_place_and_what_was_never_there_is_none() {
    let mut net = net(hub(), 100);
    net.fetch_time = None;
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_for(Duration::from_secs(1));
    let event = |offset| PageEntry::Event(Event { offset, message: Message::default() });
    let huge =
        Message { body: vec![0; tiercast_codec::limits::EVENT_BYTES_MAX + 1].into(), ..Message::default() };
    let entries = vec![
        PageEntry::LeftOut(0),
        event(1),
        event(5),
        PageEntry::LeftOut(6),
        PageEntry::LeftOut(7),
        PageEntry::Event(Event { offset: 8, message: huge }),
        event(9),
    ];
    net.source(SourceUpdate::Fetched(Page { asked: at(-1), after: -1, entries, last: 40 }));
    net.run_for(Duration::from_secs(1));
    // All that is between the page and the log are offsets that nobody has.
    let nothing = Page { asked: at(40), after: 40, entries: Vec::new(), last: 89 };
    net.source(SourceUpdate::Fetched(nothing));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), [vec![1, 5, 9], (90..100).collect()].concat());
    let gaps = [(-1, 0), (5, 6), (6, 7), (7, 8)].map(|(from, to)| gap(from, to, GapReason::Source));
    assert_eq!(net.gaps(PARENT), gaps.iter().collect::<Vec<_>>());
}

#[test]
fn a_source_that_retains_nothing_gives_a_gap_at_once() {
    let mut net = Net::new(1, hub(), CALM);
    publish(&mut net, 100);
    net.join(PARENT, relay(4), Since::Position(at(9)));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.gaps(PARENT), [&gap(9, 89, GapReason::Retention)]);
    assert_eq!((net.fetches.len(), recovered(&net, PARENT)), (0, Some(false)));
}

#[test]
fn the_past_is_paid_from_the_budget_even_by_tier_1() {
    let mut net = net(HubConfig { feed_bytes: 2_000, ..hub() }, 1_000);
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_until("caught up", Net::is_caught_up);
    let [root, orphan, ..] = net.hub.spending();
    assert_eq!((root.class, orphan.class), (Class::Root, Class::Orphan));
    assert!(orphan.bytes > 5_000, "{orphan:?}");
    assert_eq!(root.bytes, 0, "all of it was the past");
    assert_eq!(net.offsets(PARENT), sequence(1_000));
}

#[test]
fn who_leaves_while_it_waits_is_waited_for_by_nobody() {
    let past = PastLimits { fetches_max: 1, ..hub().past };
    let mut net = net(HubConfig { past, ..hub() }, 1_000);
    net.fetch_time = None;
    for node in 1..=3 {
        net.join(node, direct(), Since::Position(at(node as i64 * 200)));
    }
    net.run_for(Duration::from_secs(1));
    let first = net.fetches[0].clone();
    net.kill(1);
    net.kill(2);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.hub.past().waiting, 1);
    net.fetch_time = Some(Duration::from_millis(20));
    net.source(net.answer(&first));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.fetches[1].after, at(600), "nobody wants that of the second");
    assert_eq!(net.offsets(3), (601..1_000).collect::<Vec<_>>());
}

#[test]
fn a_child_that_its_parent_cannot_serve_reads_the_past_and_is_then_fed_by_the_parent() {
    let mut net = net(hub(), 1_000);
    let forgetful = PeerConfig { log: LogLimits { entries: 5, ..relay(4).log }, ..relay(4) };
    net.join(PARENT, forgetful, Since::Now);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    net.join(CHILD, relay(0), Since::Earliest);
    publish(&mut net, 100);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(1_100));
    assert!(net.gaps(CHILD).is_empty());
    net.run_until("fed by the parent", |net| net.parent(CHILD) == Some(PARENT));
}

#[test]
fn a_child_that_loses_its_parent_while_the_log_moves_on_misses_nothing() {
    let mut net = pair_with(hub(), relay(4), relay(0));
    net.retain(-1);
    publish(&mut net, 20);
    net.freeze(CHILD);
    net.crash(PARENT);
    publish(&mut net, 200);
    net.thaw(CHILD);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(220));
    assert!(net.gaps(CHILD).is_empty() && !net.fetches.is_empty());
}
