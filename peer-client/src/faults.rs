//! Peers that do what none should, for experiments and tests. Only in builds with the feature `faults`.

use std::fmt::Debug;

use bytes::Bytes;
use tiercast_codec::LinkId;

use crate::{Client, driver::Command, link::Weather};

/// Spoils what a peer sends.
pub trait Villain: Debug + Send {
    /// Whether nothing leaves on its links now. What waits is looked at again when the peer next has something to do.
    fn stalls(&mut self) -> bool;

    /// What becomes of a message on a link; `None`: nobody gets it.
    fn tell(&mut self, link: LinkId, bytes: Bytes) -> Option<Bytes>;

    /// What it says of a link to the server, asked with each message on it.
    fn accuse(&mut self, link: LinkId) -> Option<Bytes>;
}

impl Client {
    /// Lets the peer do from now on what the villain wants.
    pub async fn misbehave(&self, villain: Box<dyn Villain>) {
        // A peer that has ended does no harm.
        let _ = self.commands.send(Command::Misbehave(villain)).await;
    }

    /// Gives the peer's links another weather, also those that are open.
    pub async fn set_weather(&self, weather: Weather) {
        // A peer that has ended has no links.
        let _ = self.commands.send(Command::Weather(weather)).await;
    }
}
