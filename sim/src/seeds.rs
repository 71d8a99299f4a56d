//! Many seeds of one scenario, one after the other.

use std::{io::IsTerminal, str::FromStr, time::Instant};

use anyhow::{Context, Result, ensure};

use crate::{
    scenario::Scenario,
    simulation::{self, Outcome},
};

/// From the first seed to the last one, or on and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    first: u64,
    last: Option<u64>,
}

impl FromStr for Seeds {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (first, last) =
            text.split_once('-').context("two numbers with a dash between, or one before it")?;
        let last = (!last.is_empty()).then(|| last.parse()).transpose()?;
        let first = first.parse()?;
        ensure!(last.is_none_or(|last| first <= last), "the first seed comes before the last");
        Ok(Self { first, last })
    }
}

impl Seeds {
    /// Plays each, and hands over those that went wrong. True if none did.
    pub fn play(self, scenario: &Scenario, wrong: &mut dyn FnMut(&Outcome) -> Result<()>) -> Result<bool> {
        let (mut progress, mut failures) = (Progress::new(), 0_u64);
        for seed in self.first..=self.last.unwrap_or(u64::MAX) {
            let outcome = simulation::run(scenario, seed, &mut |_, _| {});
            if outcome.wrong.is_some() {
                failures += 1;
                wrong(&outcome)?;
            }
            progress.played(seed, failures);
        }
        println!("{} seeds played, {failures} went wrong", progress.played);
        Ok(failures == 0)
    }
}

/// Says how far it is: all the time to a person, else once a minute.
struct Progress {
    played: u64,
    said: Instant,
    is_watched: bool,
}

impl Progress {
    fn new() -> Self {
        Self { played: 0, said: Instant::now(), is_watched: std::io::stderr().is_terminal() }
    }

    fn played(&mut self, seed: u64, failures: u64) {
        self.played += 1;
        let text = format!("seed {seed}: {failures} of {} went wrong", self.played);
        if self.is_watched {
            eprint!("\r{text}  ");
        } else if self.said.elapsed().as_secs() >= 60 {
            self.said = Instant::now();
            eprintln!("{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_a_first_one_and_may_have_a_last_one() {
        let seeds = |text: &str| text.parse::<Seeds>().ok();
        assert_eq!(seeds("3-5"), Some(Seeds { first: 3, last: Some(5) }));
        assert_eq!(seeds("3-"), Some(Seeds { first: 3, last: None }));
        for mistake in ["3", "-5", "5-3", "a-b"] {
            assert_eq!(seeds(mistake), None, "{mistake}");
        }
    }
}
