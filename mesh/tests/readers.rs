//! Plain readers: each is a cursor over one channel, with a filter.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tiercast_codec::{
    BEFORE_FIRST, ChannelName, Code, Event, GapReason, Message, PatternSet, Position, SigningKey, Since,
};
use tiercast_mesh::{
    Hub, LogLimits, Page, PageEntry, SourceUpdate, Time,
    hub::{
        Fetch, HubConfig, Input, Opening, Output, PastLimits, Portion, ReaderId, Reading, Refusal, Rights,
    },
};

const EPOCH: u64 = 7;

/// A hub with one channel, and what its readers were given.
struct World {
    hub: Hub,
    now: Time,
    channel: ChannelName,
    got: BTreeMap<u64, Vec<String>>,
    /// Pages that the source was asked for.
    fetches: Vec<Fetch>,
    /// Of the readers that are opened next.
    rights: Rights,
    /// Readers whose sockets take nothing.
    stalled: BTreeSet<u64>,
}

impl World {
    fn new(config: HubConfig) -> Self {
        let mut hub = Hub::new(config, Box::new(SigningKey::from_seed(&[1; 32])), [2; 32]);
        let (now, channel) = (Time(1_790_000_000_000_000), "builds".parse::<ChannelName>().unwrap());
        hub.add_channel(now, &channel).unwrap();
        let (got, fetches, rights, stalled) =
            (BTreeMap::new(), Vec::new(), Rights::default(), BTreeSet::new());
        let mut world = Self { hub, now, channel, got, fetches, rights, stalled };
        world.source(SourceUpdate::Opened(Position::new(EPOCH, BEFORE_FIRST)));
        world
    }

    fn source(&mut self, update: SourceUpdate) {
        let channel = self.channel.clone();
        self.hub.handle(self.now, Input::Source(&channel, update)).unwrap();
        self.read();
    }

    /// Publishes messages with these routing keys, in frames of their own.
    fn publish(&mut self, keys: &[&str]) {
        for key in keys {
            self.publish_together(&[key]);
        }
    }

    /// The same, in one frame.
    fn publish_together(&mut self, keys: &[&str]) {
        let message = |key: &&str| Message { routing_key: (*key).to_owned(), ..Message::default() };
        self.source(SourceUpdate::Messages(keys.iter().map(message).collect()));
        self.later(10);
    }

    fn later(&mut self, ms: u64) {
        self.now = Time(self.now.0 + ms * 1_000);
        self.hub.handle(self.now, Input::Timeout).unwrap();
        self.read();
    }

    fn try_open(&mut self, id: u64, since: Since, patterns: &[&str]) -> Result<Opening, Refusal> {
        let filter = filter(patterns);
        let reading = Reading { channel: self.channel.clone(), since, filter, rights: self.rights.clone() };
        let opening = self.hub.open_reader(self.now, ReaderId(id), reading);
        self.read();
        opening
    }

    fn open(&mut self, id: u64, since: Since, patterns: &[&str]) -> Opening {
        self.try_open(id, since, patterns).unwrap()
    }

    fn at(&self, offset: i64) -> Position {
        Position::new(EPOCH, offset)
    }

    /// Gives all readers what there is for them, as a driver does.
    fn read(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            let id = match output {
                Output::Read(id) => id,
                Output::Fetch(fetch) => {
                    self.fetches.push(fetch);
                    continue;
                }
                _ => continue,
            };
            while !self.stalled.contains(&id.0)
                && let Some(portion) = self.hub.poll_read(id)
            {
                self.got.entry(id.0).or_default().extend(said(&portion));
            }
        }
    }

    /// Gives the page that was asked for last, which has events with these routing keys. Says where it begins.
    fn answer(&mut self, keys: &[&str]) -> i64 {
        let Fetch { after: asked, .. } = self.fetches.pop().expect("a page is asked for");
        let event = |(offset, key): (i64, &&str)| {
            let message = Message { routing_key: (*key).to_owned(), ..Message::default() };
            PageEntry::Event(Event { offset, message })
        };
        let (after, last) = (asked.offset, asked.offset + keys.len() as i64);
        let entries = (after + 1..).zip(keys).map(event).collect();
        self.source(SourceUpdate::Fetched(Page { asked, after, entries, last }));
        after
    }

    /// What a reader was given since this was last asked.
    fn got(&mut self, id: u64) -> Vec<String> {
        self.got.remove(&id).unwrap_or_default()
    }
}

fn filter(patterns: &[&str]) -> Arc<PatternSet> {
    PatternSet::new(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect()).into()
}

/// A portion in words.
fn said(portion: &Portion) -> Vec<String> {
    match portion {
        Portion::Gap(gap) => vec![format!("gap {} to {}: {:?}", gap.from, gap.to, gap.reason)],
        Portion::Events { frame, .. } => {
            let events = frame.events().unwrap();
            let held = events.iter().filter(|event| portion.holds(event));
            held.map(|event: &Event| format!("{} {}", event.offset, event.message.routing_key)).collect()
        }
    }
}

fn refused(result: Result<Opening, Refusal>) -> Code {
    result.expect_err("it was to be refused").code
}

#[test]
fn a_reader_gets_what_is_there_and_then_what_comes_each_once() {
    let mut world = World::new(HubConfig::default());
    world.publish(&["a", "b"]);
    let opening = world.open(1, Since::Earliest, &[]);
    assert_eq!((opening.position, opening.head, opening.recovered), (world.at(-1), world.at(1), true));
    world.open(2, Since::Now, &[]);
    world.publish(&["c"]);
    assert_eq!(world.got(1), ["0 a", "1 b", "2 c"]);
    assert_eq!(world.got(2), ["2 c"]);
}

#[test]
fn a_reader_that_comes_back_inside_a_frame_gets_the_rest_of_it() {
    let mut world = World::new(HubConfig::default());
    world.publish(&["first"]);
    world.publish_together(&["a", "b", "c"]);
    let position = Since::Position(world.at(2));
    world.open(1, position, &[]);
    assert_eq!(world.got(1), ["3 c"]);
}

#[test]
fn a_filter_gives_what_matches_and_moves_the_position_over_the_rest() {
    let mut world = World::new(HubConfig::default());
    world.open(1, Since::Now, &["build.*", "deploy.#"]);
    world.publish(&["build.done", "test.done", "deploy", "build.a.b"]);
    assert_eq!(world.got(1), ["0 build.done", "2 deploy"]);
    let reached = world.hub.filter_reader(ReaderId(1), filter(&["test.#"]));
    assert_eq!(reached, Some(world.at(3)), "also over what it did not ask for");
    world.publish(&["build.done", "test.done"]);
    assert_eq!(world.got(1), ["5 test.done"]);
}

#[test]
fn a_paused_reader_gets_nothing_and_misses_nothing() {
    let mut world = World::new(HubConfig::default());
    world.open(1, Since::Now, &[]);
    world.publish(&["a"]);
    assert_eq!(world.hub.pause_reader(ReaderId(1), true), Some(world.at(0)));
    world.got(1);
    world.publish(&["b", "c"]);
    assert_eq!(world.got(1), [""; 0]);
    world.hub.pause_reader(ReaderId(1), false);
    world.read();
    assert_eq!(world.got(1), ["1 b", "2 c"]);
}

#[test]
fn one_that_falls_off_the_log_is_told_so_once() {
    let log = LogLimits { bytes: 1 << 20, entries: 2 };
    let mut world = World::new(HubConfig { log, ..HubConfig::default() });
    world.open(1, Since::Now, &["b"]);
    world.hub.pause_reader(ReaderId(1), true);
    world.publish(&["a", "a", "b", "a"]);
    world.hub.pause_reader(ReaderId(1), false);
    world.read();
    let gap = format!("gap {EPOCH}--1 to {EPOCH}-1: {:?}", GapReason::Retention);
    assert_eq!(world.got(1), [&gap, "2 b"]);
    let opening = world.open(2, Since::Position(Position::new(EPOCH, 0)), &[]);
    assert!(!opening.recovered);
}

#[test]
fn one_that_comes_from_a_server_that_is_ahead_waits_until_this_one_is() {
    let mut world = World::new(HubConfig::default());
    world.publish(&["a"]);
    let position = Since::Position(world.at(2));
    world.open(1, position, &[]);
    world.publish(&["b", "c", "d"]);
    assert_eq!(world.got(1), [""; 0], "the source was asked, and has not answered");
    world.source(SourceUpdate::End(world.at(3)));
    assert_eq!(world.got(1), ["3 d"]);
}

#[test]
fn one_that_has_more_than_there_ever_was_is_told_that_the_numbering_is_another() {
    let mut world = World::new(HubConfig::default());
    world.publish(&["a"]);
    let position = Since::Position(world.at(9));
    world.open(1, position, &[]);
    world.source(SourceUpdate::End(world.at(0)));
    let gap = format!("gap {EPOCH}-9 to {EPOCH}--1: {:?}", GapReason::Epoch);
    assert_eq!(world.got(1), [&gap, "0 a"]);
}

#[test]
fn a_new_numbering_is_a_gap_for_readers_too() {
    let mut world = World::new(HubConfig::default());
    world.open(1, Since::Now, &[]);
    world.publish(&["a"]);
    world.source(SourceUpdate::Opened(Position::new(EPOCH + 1, BEFORE_FIRST)));
    world.publish(&["b"]);
    let gap = format!("gap {EPOCH}-0 to {}--1: {:?}", EPOCH + 1, GapReason::Epoch);
    assert_eq!(world.got(1), ["0 a", &gap, "0 b"]);
}

#[test]
fn who_is_gone_costs_nothing_and_who_is_not_served_is_told_why() {
    let mut world = World::new(HubConfig { readers_max: 1, ..HubConfig::default() });
    world.open(1, Since::Now, &[]);
    assert_eq!(refused(world.try_open(2, Since::Now, &[])), Code::FULL);
    world.hub.close_reader(ReaderId(1));
    assert_eq!(world.hub.readers(), 0);
    world.publish(&["a"]);
    assert_eq!(world.got(1), [""; 0]);
    world.channel = "others".parse().unwrap();
    assert_eq!(refused(world.try_open(2, Since::Now, &[])), Code::UNKNOWN_CHANNEL);
    world.hub.add_channel(world.now, &world.channel).unwrap();
    assert_eq!(refused(world.try_open(2, Since::Now, &[])), Code::NOT_READY);
    assert_eq!(world.hub.readers(), 0);
}

#[test]
fn readers_wait_for_their_turn_and_lose_nothing_by_it() {
    let mut world = World::new(HubConfig { feed_bytes: 1_024, ..HubConfig::default() });
    for id in 1..=3 {
        world.open(id, Since::Now, &[]);
    }
    world.publish(&["a"; 4]);
    world.later(1);
    let at_once: usize = (1..=3).map(|id| world.got(id).len()).sum();
    assert!(at_once < 12, "{at_once}");
    let newcomer = {
        world.later(2_500);
        world.try_open(4, Since::Now, &[])
    };
    let mut later = 0;
    for _ in 0..1_000 {
        world.later(100);
        later += (1..=3).map(|id| world.got(id).len()).sum::<usize>();
    }
    assert_eq!(at_once + later, 12);
    assert_eq!(refused(newcomer), Code::NOT_READY, "those before it have waited for more than feed_wait");
}

#[test]
fn a_reader_sees_what_it_may_see_and_no_longer_than_it_may() {
    let mut world = World::new(HubConfig::default());
    let until = Some(Time(world.now.0 + 1_000_000));
    world.rights = Rights { channel: Some(world.channel.clone()), filter: Some(filter(&["a.#"])), until };
    world.open(1, Since::Now, &["*.b", "c"]);
    world.publish(&["a.b", "a.a", "c", "c.b"]);
    assert_eq!(world.got(1), ["0 a.b"], "what it wants, of what it may see");
    world.hub.filter_reader(ReaderId(1), filter(&[]));
    world.publish(&["a", "c"]);
    assert_eq!(world.got(1), ["4 a"]);
    world.later(1_000);
    assert_eq!(world.hub.readers(), 0, "its time is over");
    assert_eq!(refused(world.try_open(2, Since::Now, &[])), Code::EXPIRED);
    world.rights = Rights { channel: Some("others".parse().unwrap()), ..Rights::default() };
    assert_eq!(refused(world.try_open(2, Since::Now, &[])), Code::NOT_ALLOWED);
}

#[test]
fn regression_a_reader_from_before_the_log_is_given_what_the_source_retains() {
    let log = LogLimits { bytes: 1 << 20, entries: 1 };
    let mut world = World::new(HubConfig { log, ..HubConfig::default() });
    world.source(SourceUpdate::Retains(world.at(-1)));
    world.publish(&["a", "b", "c"]);
    let opening = world.open(1, Since::Earliest, &[]);
    assert!(opening.recovered);
    world.later(1);
    assert_eq!(world.answer(&["a", "b"]), -1);
    assert_eq!(world.got(1), ["0 a", "1 b", "2 c"], "and then what is in the log");
}

/// A hub that keeps one frame, and one page of the past, with six events.
fn short_of_pages() -> World {
    let log = LogLimits { bytes: 1 << 20, entries: 1 };
    let past = PastLimits { page_events: 2, bytes: 1, ..PastLimits::default() };
    let mut world = World::new(HubConfig { log, past, ..HubConfig::default() });
    world.source(SourceUpdate::Retains(world.at(-1)));
    world.publish(&["a", "b", "c", "d", "e", "f"]);
    world
}

#[test]
fn regression_one_that_stalls_in_the_past_keeps_nobody_else_from_it() {
    let mut world = short_of_pages();
    world.open(1, Since::Earliest, &[]);
    world.later(1);
    world.stalled.insert(1);
    assert_eq!(world.answer(&["a", "b"]), -1, "a page is kept for one that takes nothing");
    world.open(2, Since::Position(world.at(1)), &[]);
    world.later(1_000);
    assert!(world.fetches.is_empty(), "it is given some time");
    (0..6).for_each(|_| world.later(1_000));
    assert_eq!(world.answer(&["c", "d"]), 1);
    assert_eq!(world.got(2), ["2 c", "3 d"]);
    world.later(1_000);
    assert_eq!(world.answer(&["e"]), 3);
    assert_eq!(world.got(2), ["4 e", "5 f"]);

    // It takes something again: its page is fetched anew.
    world.stalled.clear();
    assert_eq!(world.hub.poll_read(ReaderId(1)), None);
    world.later(1_000);
    assert_eq!(world.answer(&["a", "b", "c", "d", "e"]), -1);
    assert_eq!(world.got(1), ["0 a", "1 b", "2 c", "3 d", "4 e", "5 f"]);
}

#[test]
fn regression_one_that_pauses_in_the_past_keeps_nobody_else_from_it() {
    let mut world = short_of_pages();
    world.open(1, Since::Earliest, &[]);
    world.later(1);
    world.stalled.insert(1);
    world.answer(&["a", "b"]);
    world.hub.pause_reader(ReaderId(1), true);
    world.open(2, Since::Position(world.at(1)), &[]);
    world.later(1);
    assert_eq!(world.answer(&["c", "d"]), 1, "at once");
}
