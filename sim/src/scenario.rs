//! What is simulated: who is there, what is published, and what goes wrong. A file of TOML.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tiercast_mesh::peer::PeerConfig;

use crate::{fault::Fault, internet::InternetConfig, liar::Liars};

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, for people.
    pub about: String,
    /// How many peers there are.
    pub peers: u64,
    /// How long their coming takes. They come one after the other, evenly.
    pub join_s: f64,
    /// How long it goes on when they are there.
    pub run_s: f64,
    /// How long everybody has at the end, when nothing is published and nothing goes wrong any more, to get everything.
    pub settle_s: f64,
    /// What is published.
    pub workload: Workload,
    /// What the peers are like.
    #[serde(default)]
    pub population: Population,
    /// What lies between them.
    #[serde(default)]
    pub network: InternetConfig,
    /// How many peers the server keeps in tier 1, at least and at most.
    #[serde(default = "Scenario::default_tier1")]
    pub tier1: [usize; 2],
    /// How peers come and go, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// Who lies, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liars: Option<Liars>,
    /// What the server may spend.
    #[serde(default)]
    pub budget: Budget,
    /// Whether applications may be told of gaps: where logs are shorter than what somebody is behind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gaps: bool,
    /// What goes wrong, and when.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

/// What the server may spend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Bytes of frames in its busiest second, as a multiple of those in its median one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_times: Option<f64>,
    /// Bytes of frames a second for those who are not in tier 1, times the number of peers; if it says nothing, what is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_bytes_per_peer: Option<u64>,
}

/// Events that are published at even intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Events a second.
    pub rate: f64,
    /// Bytes of each, before compression.
    pub bytes: usize,
}

/// What peers are like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// Share of those that take no children.
    pub leaves: f64,
    /// Least and greatest number of children that the others take.
    pub children: [u16; 2],
    /// How many frames a peer keeps at most.
    pub log_frames: usize,
}

impl Default for Population {
    fn default() -> Self {
        Self { leaves: 0.5, children: [1, 8], log_frames: PeerConfig::default().log.entries }
    }
}

/// Lifetimes: some leave soon, the others have a Weibull distribution of shape 1/2: most leave early, some stay for hours.
/// For each that leaves another one comes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Share of those that leave soon.
    pub short: f64,
    /// Their mean lifetime; it is distributed exponentially.
    pub short_s: f64,
    /// The mean lifetime of the others.
    pub long_s: f64,
    /// Share of those that go without a word to anybody.
    pub silent: f64,
}

/// The scenarios that come with the program.
pub const NAMED: &[(&str, &str)] = &[
    ("steady", include_str!("../scenarios/steady.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("vanish", include_str!("../scenarios/vanish.toml")),
    ("close", include_str!("../scenarios/close.toml")),
    ("mass-kill", include_str!("../scenarios/mass-kill.toml")),
    ("blink", include_str!("../scenarios/blink.toml")),
    ("restart", include_str!("../scenarios/restart.toml")),
    ("large", include_str!("../scenarios/large.toml")),
    ("leaves", include_str!("../scenarios/leaves.toml")),
    ("corrupt", include_str!("../scenarios/corrupt.toml")),
    ("replay", include_str!("../scenarios/replay.toml")),
    ("promise", include_str!("../scenarios/promise.toml")),
    ("accuse", include_str!("../scenarios/accuse.toml")),
    ("withhold", include_str!("../scenarios/withhold.toml")),
    ("delay", include_str!("../scenarios/delay.toml")),
    ("crowd", include_str!("../scenarios/crowd.toml")),
    ("partition", include_str!("../scenarios/partition.toml")),
    ("one-way", include_str!("../scenarios/one-way.toml")),
    ("flap", include_str!("../scenarios/flap.toml")),
    ("idle", include_str!("../scenarios/idle.toml")),
    ("mixed", include_str!("../scenarios/mixed.toml")),
    ("near", include_str!("../scenarios/near.toml")),
];

impl Scenario {
    /// One that comes with the program, or that is in a file.
    pub fn load(name: &str) -> Result<Self> {
        let text = match NAMED.iter().find(|(named, _)| *named == name) {
            Some((_, text)) => (*text).to_owned(),
            None => {
                let names: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
                let unknown = || format!("`{name}` is no file, and no scenario of {}", names.join(", "));
                fs::read_to_string(Path::new(name)).with_context(unknown)?
            }
        };
        let scenario: Self = toml::from_str(&text).with_context(|| format!("scenario {name}"))?;
        scenario.check().with_context(|| format!("scenario {name}"))?;
        Ok(scenario)
    }

    fn check(&self) -> Result<()> {
        let Self { peers, workload, population, network, .. } = self;
        ensure!(*peers > 0, "peers: at least one");
        ensure!(workload.rate > 0.0, "workload.rate: more than nothing");
        ensure!(workload.bytes > 0, "workload.bytes: at least one");
        ensure!(population.log_frames > 0, "population.log_frames: at least one");
        ensure!(self.liars.as_ref().is_none_or(|liars| !liars.lies.is_empty()), "liars.lies: at least one");
        let shares = [population.leaves, network.connectable, network.loss[0], network.loss[1]];
        ensure!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "shares go from 0 to 1");
        let earth = network.earth.as_ref();
        ensure!(earth.is_none_or(|earth| earth.networks > 0), "network.earth.networks: at least one");
        ensure!(network.loss[1] < 1.0, "network.loss: less than all");
        Ok(())
    }

    fn default_tier1() -> [usize; 2] {
        [4, 64]
    }

    /// The time between two joins.
    pub fn join_every(&self) -> Duration {
        Duration::from_secs_f64(self.join_s / self.peers as f64)
    }

    /// The time between two events.
    pub fn publish_every(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.workload.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_comes_with_the_program_is_whole() {
        for (name, _) in NAMED {
            let scenario = Scenario::load(name).unwrap();
            assert!(!scenario.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = format!("{:#}", Scenario::load("nonsense").unwrap_err());
        assert!(error.contains("nonsense") && error.contains("churn"), "{error}");
        let steady = NAMED[0].1;
        for (mistake, named) in [
            (steady.replace("peers = ", "pears = "), "pears"),
            (steady.replace("peers = ", "peers = 0 # "), "peers"),
            (format!("{steady}liars = {{ share = 0.1, lies = [] }}"), "liars.lies"),
        ] {
            let folder =
                std::env::temp_dir().join(format!("tiercast-sim-{}-{named}.toml", std::process::id()));
            fs::write(&folder, mistake).unwrap();
            let error = format!("{:#}", Scenario::load(folder.to_str().unwrap()).unwrap_err());
            fs::remove_file(&folder).unwrap();
            assert!(error.contains(named), "{error}");
        }
    }
}
