//! Peers that misbehave: those of the simulator, in a real mesh.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tiercast_codec::LinkId;
use tiercast_peer_client::faults::Villain;
use tiercast_sim::liar::{Liar, Lie, accusation};

/// A peer that stalls sends for a second, and then nothing until this has gone by.
const STALL_PERIOD: Duration = Duration::from_secs(4);

/// What a peer does that it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Misdeed {
    /// Answers pings and passes on no event.
    Withhold,
    /// Changes a bit in one message of ten.
    Corrupt,
    /// Sends an earlier message in the place of one in three.
    Replay,
    /// Sends for a second, then nothing for three.
    Stall,
    /// Tells the server that everybody at the other end of its links forges.
    Accuse,
}

impl Misdeed {
    /// What `--lie` does, one after the other.
    pub(crate) const LIES: [Self; 4] = [Self::Corrupt, Self::Replay, Self::Stall, Self::Accuse];

    /// A villain that does this; `seed` sets it apart from others.
    pub(crate) fn villain(self, seed: u64) -> Box<dyn Villain> {
        let lie = match self {
            Self::Withhold => Some(Lie::Withhold),
            Self::Corrupt => Some(Lie::Corrupt),
            Self::Replay => Some(Lie::Replay),
            Self::Stall | Self::Accuse => None,
        };
        Box::new(One { misdeed: self, liar: lie.map(Liar::new), seed, since: Instant::now() })
    }
}

#[derive(Debug)]
struct One {
    misdeed: Misdeed,
    liar: Option<Liar>,
    seed: u64,
    since: Instant,
}

impl Villain for One {
    fn stalls(&mut self) -> bool {
        let within = self.since.elapsed().as_millis() % STALL_PERIOD.as_millis();
        self.misdeed == Misdeed::Stall && within >= 1_000
    }

    fn tell(&mut self, _: LinkId, bytes: Bytes) -> Option<Bytes> {
        match &mut self.liar {
            Some(liar) => liar.tell(self.seed, bytes),
            None => Some(bytes),
        }
    }

    fn accuse(&mut self, link: LinkId) -> Option<Bytes> {
        (self.misdeed == Misdeed::Accuse).then(|| accusation(link))
    }
}
