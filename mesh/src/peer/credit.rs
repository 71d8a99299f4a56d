//! What a peer tells those who feed it: how far it is, after every quarter of the window that they have; and nothing
//! while its application is too slow, so that they wait.

use tiercast_codec::{At, ChannelAt, ChannelId, Code, LinkMessage, ToHub};

use super::{
    Peer, Target,
    subscription::{Stall, Subscription},
};

impl Peer {
    /// Counts what came, taken or not: the sender counts the same.
    pub(super) fn count_received(&mut self, id: ChannelId, from: Target, bytes: usize) {
        let due_bytes = self.config.window().get() as usize / 4;
        let Some(unsaid_bytes) = self.unsaid_bytes(id, from) else { return };
        *unsaid_bytes += bytes;
        if *unsaid_bytes < due_bytes {
            return;
        }
        let Some(subscription) = self.subscriptions.get(&id).filter(|state| state.stall.is_none()) else {
            return;
        };
        if subscription.taken.as_ref().is_some_and(|taken| taken.is_behind()) {
            self.stall(id);
        } else {
            self.say_at(id, from);
        }
    }

    /// There is no room for what came, of so many bytes: it has to come once more.
    pub(super) fn refuse(&mut self, id: ChannelId, bytes: usize) {
        self.stall(id);
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let stall = subscription.stall.get_or_insert_default();
        stall.must_ask = true;
        stall.refused_bytes = stall.refused_bytes.max(bytes);
        if let Some(parent) = subscription.parent {
            self.close_link(parent, Code::LAGGING);
        }
    }

    /// Goes on once the application has caught up.
    pub(super) fn end_stall(&mut self, id: ChannelId) {
        let Some(Subscription { stall, taken: Some(taken), parent, .. }) = self.subscriptions.get_mut(&id)
        else {
            return;
        };
        let Some(Stall { must_ask, .. }) =
            stall.take_if(|stall| taken.has_caught_up() && taken.has_room(2, stall.refused_bytes))
        else {
            return;
        };
        if let Some(parent) = *parent {
            self.say_at(id, Target::Link(parent));
        }
        if must_ask {
            self.ask_feed(id, None, Code::LAGGING);
        } else {
            self.say_at(id, Target::Session);
        }
    }

    /// The application is too slow: the children have to go elsewhere, and so has who was about to be our parent. Who
    /// feeds us now waits.
    fn stall(&mut self, id: ChannelId) {
        let Some(subscription) = self.subscriptions.get_mut(&id).filter(|state| state.stall.is_none()) else {
            return;
        };
        subscription.stall = Some(Stall::default());
        self.stats.stalls += 1;
        let links = subscription.children.iter().chain(&subscription.joining).chain(&subscription.standby);
        for link in links.copied().collect::<Vec<_>>() {
            self.close_link(link, Code::LAGGING);
        }
    }

    fn say_at(&mut self, id: ChannelId, to: Target) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        let Some(position) = subscription.position() else { return };
        let channel = subscription.channel.clone();
        if let Some(unsaid_bytes) = self.unsaid_bytes(id, to) {
            *unsaid_bytes = 0;
        }
        match to {
            Target::Session => self.tell_hub(ToHub::At(ChannelAt { channel, position })),
            Target::Link(link) => self.tell(link, LinkMessage::At(At { position })),
        }
    }

    /// How much came from one who feeds us since that one was last told how far we are.
    fn unsaid_bytes(&mut self, id: ChannelId, from: Target) -> Option<&mut usize> {
        match from {
            Target::Session => Some(&mut self.subscriptions.get_mut(&id)?.unsaid_bytes),
            Target::Link(link) => Some(&mut self.feeder_mut(link)?.unsaid_bytes),
        }
    }
}
