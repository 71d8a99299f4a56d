//! A scenario that goes wrong is made smaller as long as it goes wrong in the same way.

use crate::{scenario::Scenario, simulation};

/// More is not tried.
const RUNS_MAX: usize = 60;

/// With more peers than this a run is not cheap.
const PEERS_MAX: u64 = 2_000;

/// The smallest scenario found in which the same check is broken with this seed; none if nothing can be left out.
pub fn shrink(scenario: &Scenario, seed: u64, wrong: &str) -> Option<Scenario> {
    let mut smallest = None;
    let mut runs = 0;
    let mut goes_wrong = |smaller: &Scenario| {
        runs += 1;
        let outcome = (runs <= RUNS_MAX).then(|| simulation::run(smaller, seed, &mut |_, _| {}));
        outcome.and_then(|outcome| outcome.wrong).is_some_and(|other| check_of(&other) == check_of(wrong))
    };
    if scenario.peers > PEERS_MAX {
        return None;
    }
    while let Some(smaller) =
        smaller_than(smallest.as_ref().unwrap_or(scenario)).into_iter().find(&mut goes_wrong)
    {
        smallest = Some(smaller);
    }
    smallest
}

/// The name of the check that is broken.
fn check_of(wrong: &str) -> &str {
    wrong.split(':').next().unwrap_or(wrong)
}

/// Scenarios with one thing less, the greatest savings first.
fn smaller_than(scenario: &Scenario) -> Vec<Scenario> {
    let with = |change: &dyn Fn(&mut Scenario)| {
        let mut smaller = scenario.clone();
        change(&mut smaller);
        smaller
    };
    let mut all = vec![
        with(&|smaller| smaller.peers = (smaller.peers / 2).max(3)),
        with(&|smaller| smaller.run_s = (smaller.run_s / 2.0).floor().max(5.0)),
        with(&|smaller| smaller.churn = None),
        with(&|smaller| smaller.liars = None),
        with(&|smaller| (smaller.network.loss, smaller.network.jitter_ms) = ([0.0; 2], 0.0)),
    ];
    all.extend(
        (0..scenario.faults.len()).rev().map(|number| with(&|smaller| _ = smaller.faults.remove(number))),
    );
    let lies = scenario.liars.as_ref().map_or(0, |liars| liars.lies.len());
    if lies > 1 {
        all.extend((0..lies).map(|number| {
            with(&|smaller| {
                smaller.liars.iter_mut().for_each(|liars| _ = liars.lies.remove(number));
            })
        }));
    }
    all.retain(|smaller| smaller != scenario);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let mut scenario = Scenario::load("mixed").unwrap();
        (scenario.peers, scenario.run_s, scenario.settle_s) = (20, 20.0, 20.0);
        assert_eq!(shrink(&scenario, 1, "budget: nothing is wrong with it"), None);
        // A budget that nobody can keep.
        scenario.budget.egress_times = Some(0.1);
        let smallest = shrink(&scenario, 1, "budget: the server sent too much").unwrap();
        assert_eq!((smallest.peers, smallest.faults.len(), smallest.churn), (3, 0, None));
        assert_eq!((smallest.liars, smallest.run_s), (None, 5.0));
    }
}
