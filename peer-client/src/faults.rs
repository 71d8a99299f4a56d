//! Peers that do what none should, for experiments and tests. Only in builds with the feature `faults`.

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use tiercast_codec::LinkId;

use crate::{Client, driver::Command};

/// Spoils what a peer sends.
pub trait Villain: Debug + Send {
    /// Whether nothing leaves on its links now. What waits is looked at again when the peer next has something to do.
    fn stalls(&mut self) -> bool;

    /// What becomes of a message on a link; `None`: nobody gets it.
    fn tell(&mut self, link: LinkId, bytes: Bytes) -> Option<Bytes>;

    /// What it says of a link to the server, asked with each message on it.
    fn accuse(&mut self, link: LinkId) -> Option<Bytes>;
}

/// What becomes of a peer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It does what this wants.
    Villain(Box<dyn Villain>),
    /// It does nothing at all for so long, as a program that was stopped.
    Freeze(Duration),
}

impl Client {
    /// Lets the peer misbehave from now on.
    pub async fn corrupt(&self, villain: Box<dyn Villain>) {
        self.suffer(Fault::Villain(villain)).await;
    }

    /// Freezes the peer: its connections stay, and nobody reads or writes them.
    pub async fn freeze(&self, duration: Duration) {
        self.suffer(Fault::Freeze(duration)).await;
    }

    async fn suffer(&self, fault: Fault) {
        // A peer that has ended does no harm.
        let _ = self.commands.send(Command::Fault(fault)).await;
    }
}
