//! Every scenario that comes with the program, with few peers: all that must hold does.

use tiercast_codec::{Event, Message, Position, Sealer, limits::LINK_MESSAGE_BYTES_MAX};
use tiercast_sim::{
    FIRST_EPOCH, FakeSigner, channel,
    regression::{LIST, Regressions},
    scenario::{NAMED, Scenario},
    simulation::{Outcome, run},
    workload::body,
};

const PEERS: u64 = 60;

/// So many seeds of everything at once in each run of the tests; `--seeds` plays more.
const SEEDS: u64 = 10;

fn play(name: &str, seed: u64) -> Outcome {
    let mut scenario = Scenario::load(name).unwrap();
    scenario.peers = PEERS;
    run(&scenario, seed, &mut |_, _| {})
}

#[test]
fn every_scenario_keeps_what_must_hold() {
    for (name, _) in NAMED {
        let outcome = play(name, 1);
        let replay =
            format!("cargo run --release -p tiercast-sim -- --scenario {name} --peers {PEERS} --seed 1");
        assert_eq!(outcome.wrong, None, "{replay}");
        let figures = outcome.figures;
        assert!(figures.events_delivered > PEERS * 4, "{name}: {figures:?}");
        assert_eq!(figures.gaps, 0, "{name}: {figures:?}");
    }
}

#[test]
fn everything_goes_wrong_and_still_all_that_must_hold_does() {
    let scenario = Scenario::load("mixed").unwrap();
    let mut waits = Vec::new();
    for seed in 1..=SEEDS {
        let Outcome { wrong, seconds, .. } = run(&scenario, seed, &mut |_, _| {});
        assert_eq!(wrong, None, "--scenario mixed --seed {seed}");
        waits.push(seconds.iter().filter(|second| second.waiting > 0).count());
    }
    println!("seconds at whose end somebody waited: {waits:?}");
    assert!(
        waits.iter().any(|seconds| *seconds > 0),
        "the budget made nobody wait, so nothing shows that it is kept"
    );
}

#[test]
fn a_large_event_takes_several_messages_on_a_link() {
    let workload = Scenario::load("large").unwrap().workload;
    let message = Message { body: body(1, workload.bytes).into(), ..Message::default() };
    let (after, event) = (Position::new(FIRST_EPOCH, 0), Event { offset: 1, message });
    let frame = Sealer::default().seal(&channel(), after, 1, 0, &[event], &FakeSigner(1)).unwrap();
    assert!(frame.bytes().len() > 3 * LINK_MESSAGE_BYTES_MAX, "{}", frame.bytes().len());
}

#[test]
fn regression_seeds_that_once_went_wrong_go_well() {
    for regression in Regressions::parse(LIST).unwrap().all {
        assert_eq!(regression.play().unwrap().wrong, None, "{regression:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_course_and_another_one_another() {
    let [one, again, other] = [7, 7, 8].map(|seed| play("churn", seed));
    assert_eq!((&one.figures, &one.seconds), (&again.figures, &again.seconds));
    assert_ne!(one.seconds, other.seconds);
}

#[test]
fn faults_are_felt_by_those_below_and_by_nobody_where_there_are_none() {
    assert_eq!(play("steady", 1).figures.stalled, 0);
    let figures = play("mass-kill", 1).figures;
    assert!(figures.stalled > 0 && figures.stall_ms_max > 100.0, "{figures:?}");
}
