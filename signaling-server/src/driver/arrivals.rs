//! Who waits for a channel to get somewhere.

use std::collections::BTreeMap;

use tiercast_codec::ChannelName;
use tokio::sync::oneshot;

use crate::source::roster::Milestone;

/// Those who wait, by channel. Each holds a request of its own, so that there are no more than those.
#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeMap<ChannelName, Vec<(Milestone, oneshot::Sender<()>)>>);

impl Arrivals {
    /// Somebody waits until a channel has got so far; it may be there already.
    pub(super) fn wait(
        &mut self,
        channel: ChannelName,
        milestone: Milestone,
        reply: oneshot::Sender<()>,
        is_there: impl Fn(&ChannelName, Milestone) -> bool,
    ) {
        self.0.entry(channel.clone()).or_default().push((milestone, reply));
        self.tell(&channel, is_there);
    }

    /// A channel has got somewhere.
    pub(super) fn tell(&mut self, channel: &ChannelName, is_there: impl Fn(&ChannelName, Milestone) -> bool) {
        let Some(waiting) = self.0.get_mut(channel) else { return };
        let arrived = waiting.extract_if(.., |(milestone, _)| is_there(channel, *milestone));
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
    use tiercast_codec::Position;

    use super::*;

    #[test]
    fn whoever_waits_is_told_when_the_channel_has_got_so_far() {
        let (channel, mut arrivals): (ChannelName, _) = ("a".parse().unwrap(), Arrivals::default());
        let at = |offset| Milestone::Position(Position::new(7, offset));
        let mut wait = |milestone, is_there| {
            let (reply, told) = oneshot::channel();
            arrivals.wait(channel.clone(), milestone, reply, |_, other| is_there && other == milestone);
            told
        };
        let (mut there, mut soon) = (wait(at(3), true), wait(at(4), false));
        let (mut later, mut current) = (wait(at(5), false), wait(Milestone::Current, false));
        assert_eq!((there.try_recv().is_ok(), soon.try_recv().is_ok()), (true, false));
        arrivals.tell(&channel, |_, milestone| milestone == at(4));
        assert_eq!((soon.try_recv().is_ok(), current.try_recv().is_ok()), (true, false));
        arrivals.tell(&channel, |_, milestone| milestone == Milestone::Current);
        assert_eq!((current.try_recv().is_ok(), later.try_recv().is_ok()), (true, false));
        arrivals.end(&channel);
        assert_eq!(later.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(arrivals.0.is_empty());
    }
}
