//! Who waits for a channel to get somewhere.

use std::collections::BTreeMap;

use tiercast_codec::{ChannelName, Position};
use tokio::sync::oneshot;

/// Those who wait, by channel. Each holds a request of its own, so that there are no more than those.
#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeMap<ChannelName, Vec<(Position, oneshot::Sender<()>)>>);

impl Arrivals {
    /// Somebody waits until a channel has got to a position.
    pub(super) fn wait(
        &mut self,
        channel: ChannelName,
        position: Position,
        reply: oneshot::Sender<()>,
        now: impl FnOnce(&ChannelName) -> Option<Position>,
    ) {
        let now = now(&channel);
        self.0.entry(channel.clone()).or_default().push((position, reply));
        self.tell(&channel, now);
    }

    /// A channel is here.
    pub(super) fn tell(&mut self, channel: &ChannelName, now: Option<Position>) {
        let Some(waiting) = self.0.get_mut(channel) else { return };
        let arrived = waiting.extract_if(.., |(position, _)| now.is_some_and(|now| *position <= now));
        // Whoever asked may have gone away meanwhile.
        arrived.for_each(|(_, reply)| _ = reply.send(()));
        waiting.retain(|(_, reply)| !reply.is_closed());
        if waiting.is_empty() {
            self.0.remove(channel);
        }
    }

    /// A channel is no more.
    pub(super) fn end(&mut self, channel: &ChannelName) {
        self.0.remove(channel);
    }
}
