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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_when_the_channel_has_got_so_far() {
        let (channel, mut arrivals): (ChannelName, _) = ("a".parse().unwrap(), Arrivals::default());
        let mut wait = |offset, now: Option<i64>| {
            let (reply, told) = oneshot::channel();
            let now = now.map(|now| Position::new(7, now));
            arrivals.wait(channel.clone(), Position::new(7, offset), reply, |_| now);
            told
        };
        let (mut there, mut soon, mut later) = (wait(3, Some(3)), wait(4, Some(3)), wait(5, None));
        assert_eq!((there.try_recv().is_ok(), soon.try_recv().is_ok()), (true, false));
        arrivals.tell(&channel, Some(Position::new(7, 4)));
        assert_eq!((soon.try_recv().is_ok(), later.try_recv().is_ok()), (true, false));
        arrivals.end(&channel);
        assert_eq!(later.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(arrivals.0.is_empty());
    }
}
