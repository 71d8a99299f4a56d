//! Seeds that once went wrong. They are kept and played again.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    scenario::Scenario,
    simulation::{self, Outcome},
};

/// The list that is kept in the repository.
pub const LIST: &str = include_str!("../regressions.toml");

/// A list of them, as a file of TOML.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regressions {
    /// The seeds.
    #[serde(default, rename = "regression")]
    pub all: Vec<Regression>,
}

/// A seed that once went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// Of which scenario.
    pub scenario: String,
    /// With how many peers.
    pub peers: u64,
    /// The seed.
    pub seed: u64,
    /// What was found.
    pub found: String,
}

impl Regressions {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// Adds one to the list in a file, which is made if there is none; what is in it stays as it is.
    pub fn append(file: &Path, regression: Regression) -> Result<()> {
        let named = || format!("--regressions {}", file.display());
        let text = if file.exists() { fs::read_to_string(file).with_context(named)? } else { String::new() };
        let known = Self::parse(&text).with_context(named)?;
        let is_same = |other: &Regression| {
            (&other.scenario, other.peers, other.seed)
                == (&regression.scenario, regression.peers, regression.seed)
        };
        if known.all.iter().any(is_same) {
            return Ok(());
        }
        let added = toml::to_string(&Self { all: vec![regression] })?;
        fs::write(file, format!("{text}\n{added}")).with_context(named)
    }
}

impl Regression {
    /// Plays it again.
    pub fn play(&self) -> Result<Outcome> {
        let mut scenario = Scenario::load(&self.scenario)?;
        scenario.peers = self.peers;
        Ok(simulation::run(&scenario, self.seed, &mut |_, _| {}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_added_once_and_comments_stay() {
        let file = std::env::temp_dir().join(format!("tiercast-regressions-{}.toml", std::process::id()));
        fs::write(&file, "# Ours.\n").unwrap();
        let regression =
            |seed| Regression { scenario: "mixed".into(), peers: 200, seed, found: "order".into() };
        for seed in [1, 2, 1] {
            Regressions::append(&file, regression(seed)).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(text.starts_with("# Ours."), "{text}");
        assert_eq!(Regressions::parse(&text).unwrap().all, [regression(1), regression(2)]);
    }
}
