//! Channels that come and go: how a source has the hub make them and take them away, and waits for them to get somewhere.

use tiercast_codec::{ChannelName, Position};
use tokio::sync::{mpsc, oneshot};

use crate::stopped::Stopped;

/// Requests that wait for the hub; whoever has another one waits, too.
const QUEUE_REQUESTS: usize = 64;

/// Asks the hub. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Roster(mpsc::Sender<RosterRequest>);

/// Brings what is asked.
pub(crate) type RosterRequests = mpsc::Receiver<RosterRequest>;

/// What the hub is asked about channels that come and go.
#[derive(Debug)]
pub(crate) enum RosterRequest {
    /// Make a channel. False if its name, or its number, is in use.
    Add(ChannelName, oneshot::Sender<bool>),
    /// Take it away again.
    Remove(ChannelName),
    /// Answer when a channel is there; not at all if it is taken away before.
    Await(ChannelName, Milestone, oneshot::Sender<()>),
}

/// Where a channel can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Milestone {
    /// It has everything up to this position.
    Position(Position),
    /// Its source is connected and has caught up: who begins to read gets what is published from then on.
    Current,
}

impl Roster {
    pub(crate) fn new() -> (Self, RosterRequests) {
        let (requests, asked) = mpsc::channel(QUEUE_REQUESTS);
        (Self(requests), asked)
    }

    /// Makes a channel. False if its name, or its number, is in use.
    pub(crate) async fn add(&self, channel: &ChannelName) -> Result<bool, Stopped> {
        self.ask(|reply| RosterRequest::Add(channel.clone(), reply)).await
    }

    /// Takes it away again.
    pub(crate) async fn remove(&self, channel: &ChannelName) -> Result<(), Stopped> {
        self.send(RosterRequest::Remove(channel.clone())).await
    }

    /// Waits until a channel has got so far.
    pub(crate) async fn reaches(&self, channel: &ChannelName, milestone: Milestone) -> Result<(), Stopped> {
        self.ask(|reply| RosterRequest::Await(channel.clone(), milestone, reply)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> RosterRequest) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    async fn send(&self, request: RosterRequest) -> Result<(), Stopped> {
        self.0.send(request).await.map_err(|_| Stopped)
    }
}
