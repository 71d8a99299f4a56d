//! Crowds that come at once: what one change costs the hub does not grow with the number of those who wait.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tiercast_codec::{Code, Fed, LinkId, Report, ToHub, ToPeer};
use tiercast_mesh::hub::{HubConfig, Location, Place};
use tiercast_sim::{channel, roots, sessions::Sessions};

const FEW: u64 = 4_000;
const MANY: u64 = 10 * FEW;
/// Ten times as many changes of the same cost take ten times as long, and a little more for larger maps and caches
/// that are too small. If each change looks at everybody who waits, it is a hundred times.
const RATIO_MAX: f64 = 40.0;

/// CPU time that a run takes. What other programs do meanwhile does not count.
fn cpu_time(run: impl FnOnce()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let begun = now();
    run();
    now() - begun
}

/// Runs a crowd of few and one of many, and compares what each takes. The best of three runs each: other programs can
/// still take the caches away.
fn compare(what: &str, run: fn(u64)) {
    let best = |peers| (0..3).map(|_| cpu_time(|| run(peers))).min().unwrap();
    let (few, many) = (best(FEW), best(MANY));
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!("{what}: {FEW} peers {few:.1?}, {MANY} peers {many:.1?}: {ratio:.1} times");
    assert!(ratio < RATIO_MAX, "{what}: {ratio:.1} times as long for ten times as many");
}

/// Lets everybody who is given a parent answer, until nobody is.
fn answer(sessions: &mut Sessions, answer: fn(LinkId) -> ToHub) {
    while !sessions.awake.is_empty() {
        for session in std::mem::take(&mut sessions.awake) {
            for message in sessions.read(session) {
                if let ToPeer::Assign(assign) = message {
                    sessions.say(session, answer(assign.link));
                }
            }
        }
    }
}

fn count(sessions: &Sessions, is_counted: impl Fn(&Place) -> bool) -> u64 {
    assert!(sessions.closed.is_empty());
    let nodes = sessions.hub.topology(&channel()).unwrap();
    nodes.iter().filter(|node| is_counted(&node.place)).count() as u64
}

#[test]
fn regression_a_crowd_that_joins_at_once_is_placed_in_time_that_grows_with_its_size() {
    compare("relays with two places each", |peers| {
        let mut sessions = Sessions::new(roots(2));
        (0..peers).for_each(|_| _ = sessions.join(2));
        answer(&mut sessions, |link| ToHub::Fed(Fed { channel: channel(), link }));
        assert_eq!(count(&sessions, |place| matches!(place, Place::Child(_))), peers - 2);
    });
}

#[test]
fn what_it_costs_to_find_somebody_near_does_not_grow_with_those_who_are_there() {
    compare("relays from everywhere", |peers| {
        let mut sessions = Sessions::new(roots(2));
        for number in 0..peers {
            // Golden steps: no two are at one place, and those who come one after the other are far apart.
            let [north, east] = [0.618_034, 0.754_877].map(|step| (number as f64 * step).fract());
            sessions.from.location = Location::new(north * 180.0 - 90.0, east * 360.0 - 180.0);
            sessions.join(2);
        }
        answer(&mut sessions, |link| ToHub::Fed(Fed { channel: channel(), link }));
        assert_eq!(count(&sessions, |place| matches!(place, Place::Child(_))), peers - 2);
    });
}

#[test]
fn regression_leaves_that_wait_for_relays_cost_nothing_while_others_join() {
    compare("leaves without a relay", |peers| {
        let mut sessions = Sessions::new(roots(64));
        (0..peers).for_each(|_| _ = sessions.join(0));
        assert_eq!(count(&sessions, |place| *place == Place::Waiting), peers);
    });
}

#[test]
fn regression_those_whom_no_parent_suits_cost_nothing_while_others_are_tried() {
    compare("leaves that the one relay failed", |peers| {
        // The relay has its turn when all the others have answered.
        let mut sessions = Sessions::new(HubConfig { outbox_bytes: 1 << 30, ..roots(1) });
        sessions.join(64);
        (0..peers).for_each(|_| _ = sessions.join(0));
        answer(&mut sessions, |link| ToHub::Report(Report { link, code: Code::DEPARTED }));
        assert_eq!(count(&sessions, |place| *place == Place::Waiting), peers);
    });
}
