//! Progress is the sign of life: a peer that sees that there is more than its parent brings turns to its standby, and
//! if that does not help, pulls what is missing from the server. A parent or standby that stays behind is given up.
//!
//! Who has more than we have is said by the standby (`have`) and by the server (heads). When a parent
//! brings neither frames nor heads for longer than heads take, the server is asked how far the channel is.

use std::time::Duration;

use tiercast_codec::{
    ChannelId, Code, Fed, Have, Hold, LinkId, LinkMessage, Ping, Position, PullMessage, SendMessage, ToHub,
};

use super::{Output, Peer, Session, Status, Timer, feeder::Feeder, link::End, subscription::Subscription};
use crate::Time;

/// A parent that so many times in a row does not bring what it has shown is given up. Unvalidated.
const BROKEN_PROMISES: u32 = 3;

impl Peer {
    /// A parent says how far it is: one that we hold, or how far it has sent.
    pub(super) fn on_have(&mut self, link: LinkId, have: Have) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        let End::Follows(feeder) = &mut state.end else { return Err(Code::UNEXPECTED) };
        feeder.says(have.position);
        let (id, is_held) = (state.channel, feeder.is_held);
        if !is_held {
            self.on_tail(id, have.position);
        }
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Ok(()) };
        if subscription.standby != Some(link) || subscription.parent.is_none() {
            return Ok(());
        }
        if subscription.position().is_some_and(|position| position >= have.position) {
            subscription.watch.learn(Duration::ZERO);
        } else if subscription.watch.should_exchange(self.now) {
            self.stats.exchanges += 1;
            self.promote(id, link);
        } else {
            let due = self.now + self.patience(id);
            self.leads(id, have.position, due);
        }
        Ok(())
    }

    /// For how long the standby may be ahead: what was lost on the parent's link takes more than a round trip to come again.
    pub(super) fn patience(&self, id: ChannelId) -> Duration {
        let subscription = &self.subscriptions[&id];
        let parent = subscription.parent.and_then(|parent| self.feeder(parent));
        let again = parent.map_or(Duration::ZERO, |feeder| feeder.round_trip * 3 / 2);
        let (least, most) = (self.config.lead_min, self.config.lead_max);
        subscription.watch.patience(again.clamp(least, most), most)
    }

    /// The server says how far the channel is, whoever brings its word. A parent that has brought nothing for long is
    /// late already; but if all who are above us wait for the same, the first of them is to ask for it, and not everybody.
    pub(super) fn on_fresh_head(&mut self, id: ChannelId, position: Position) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        let is_silent = subscription.watch.silent_at(self.head_interval) <= self.now;
        let patience = if is_silent {
            let for_those_above = self.config.lead_tier * subscription.tier.saturating_sub(2);
            self.config.lead_max / 2 + for_those_above.min(self.config.lead_max)
        } else {
            self.head_interval * 5 / 2
        };
        self.leads(id, position, self.now + patience);
    }

    /// Somebody has more than we have. While we are fed by the server, or our application is too slow, that is no
    /// fault of a parent's.
    pub(super) fn leads(&mut self, id: ChannelId, goal: Position, due: Time) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let is_parents_affair = subscription.parent.is_some() && subscription.stall.is_none();
        if is_parents_affair && subscription.position().is_some_and(|position| position < goal) {
            let due = subscription.watch.leads(self.now, goal, due);
            self.timers.set(Timer::Lead(id), due);
        }
    }

    /// What somebody else had has not come.
    pub(super) fn on_lead_due(&mut self, id: ChannelId) {
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let Some(lead) = subscription.watch.overdue(now) else { return };
        let Some(position) = subscription.position().filter(|position| *position < lead.goal) else { return };
        let Some(parent) = subscription.parent.filter(|_| subscription.stall.is_none()) else { return };
        match self.better_standby(id, position).filter(|_| !lead.is_second) {
            Some(standby) => {
                let has_shown_it = self.feeder(parent).is_some_and(|feeder| feeder.shown > position);
                self.stats.swaps += 1;
                self.turn_to(id, standby, lead.goal);
                if has_shown_it {
                    self.on_broken_promise(parent);
                }
            }
            None => {
                self.pull(id, position, lead.is_second);
                if lead.is_second {
                    self.on_broken_promise(parent);
                } else {
                    self.asked_for(id, parent, lead.goal);
                }
            }
        }
    }

    /// Somebody was asked for what is missing; it is to be there soon.
    fn asked_for(&mut self, id: ChannelId, parent: LinkId, goal: Position) {
        let round_trip = self.feeder(parent).map_or(Duration::ZERO, |feeder| feeder.round_trip);
        let due = self.now + self.config.hedge + round_trip;
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.watch.asked_for(self.now, goal, due);
            self.timers.set(Timer::Lead(id), due);
        }
    }

    /// A parent has not brought what it had shown. Once, that is a lost packet; a few times in a row it never had it. Where
    /// there is no server to bring it in its place, that says nothing.
    fn on_broken_promise(&mut self, parent: LinkId) {
        if self.session != Session::Open {
            return;
        }
        let Some(feeder) = self.feeder_mut(parent) else { return };
        feeder.broken_promises += 1;
        if feeder.broken_promises >= BROKEN_PROMISES {
            self.close_link(parent, Code::STALE);
        }
    }

    /// Asks the server for what is missing; nothing else changes. If nobody else has brought it, that is all there is.
    fn pull(&mut self, id: ChannelId, position: Position, is_all: bool) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        let (channel, to) = (subscription.channel.clone(), subscription.ahead.first().filter(|_| !is_all));
        self.stats.pulls += 1;
        self.tell_hub(ToHub::Pull(PullMessage { channel, position, to }));
    }

    /// The standby, if it has more than we have.
    fn better_standby(&self, id: ChannelId, position: Position) -> Option<LinkId> {
        let standby = self.subscriptions.get(&id)?.standby?;
        self.feeder(standby).filter(|feeder| feeder.is_held && feeder.shown > position)?;
        Some(standby)
    }

    /// Lets the standby feed us, and looks soon whether it brings what it has shown to have.
    pub(super) fn turn_to(&mut self, id: ChannelId, standby: LinkId, goal: Position) {
        self.promote(id, standby);
        if let Some(earlier) = self.subscriptions.get(&id).and_then(|subscription| subscription.standby) {
            self.doubt(earlier);
        }
        self.asked_for(id, standby, goal);
    }

    /// Lets the standby feed us from now on; who did stands by.
    pub(super) fn promote(&mut self, id: ChannelId, standby: LinkId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let Some(position) = subscription.position() else { return };
        subscription.standby = subscription.parent.take();
        if let Some(earlier) = subscription.standby {
            self.hold(earlier);
        }
        self.release(standby, position);
        self.follow(id, standby);
    }

    /// A link is our parent from now on.
    pub(super) fn follow(&mut self, id: ChannelId, link: LinkId) {
        let Some(other) = self.links.get(&link).map(|state| state.other) else { return };
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.parent = Some(link);
        subscription.ahead.forget_end();
        subscription.watch.swapped(self.now);
        let due = subscription.watch.silent_at(self.head_interval);
        let channel = subscription.channel.clone();
        self.timers.set(Timer::Stale(id), due);
        self.tell_hub(ToHub::Fed(Fed { channel: channel.clone(), link }));
        self.outputs.push_back(Output::Status(Status::Parent { channel, parent: Some(other) }));
    }

    /// Asks one who brought nothing whether it is there at all.
    pub(super) fn doubt(&mut self, link: LinkId) {
        self.timers.set(Timer::LinkDoubt(link), self.now + self.config.link_doubt);
        self.tell(link, LinkMessage::Ping(Ping { time_us: self.now.0 }));
    }

    pub(super) fn on_doubt_due(&mut self, link: LinkId) {
        let doubt = self.config.link_doubt;
        if self.links.get(&link).is_some_and(|state| self.now.since(state.last_received) >= doubt) {
            self.close_link(link, Code::SILENT);
        }
    }

    fn hold(&mut self, link: LinkId) {
        if let Some(feeder) = self.feeder_mut(link) {
            feeder.is_held = true;
            self.tell(link, LinkMessage::Hold(Hold {}));
        }
    }

    pub(super) fn release(&mut self, link: LinkId, position: Position) {
        if let Some(feeder) = self.feeder_mut(link) {
            feeder.is_held = false;
            feeder.unsaid_bytes = 0;
            self.tell(link, LinkMessage::Send(SendMessage { position }));
        }
    }

    /// Looks whether the parent brings anything, and whether the standby follows the channel.
    pub(super) fn on_stale_due(&mut self, id: ChannelId) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        if subscription.parent.is_none() {
            return;
        }
        let feeders = [subscription.parent, subscription.standby];
        let mut due = subscription.watch.silent_at(self.head_interval);
        if due <= self.now {
            due = self.now + self.head_interval;
            self.tell_hub(ToHub::Ping(Ping { time_us: self.now.0 }));
        }
        self.timers.set(Timer::Stale(id), due);
        for feeder in feeders.into_iter().flatten() {
            self.part_if_stale(id, feeder);
        }
    }

    /// One that stays behind us for good is of no use.
    fn part_if_stale(&mut self, id: ChannelId, link: LinkId) {
        let (now, patience) = (self.now, self.head_interval * 3);
        let subscription = self.subscriptions.get(&id).filter(|subscription| subscription.stall.is_none());
        let Some(position) = subscription.and_then(Subscription::position) else { return };
        if self.feeder_mut(link).is_some_and(|feeder| feeder.lacks_for(now, position) >= patience) {
            self.close_link(link, Code::STALE);
        }
    }

    /// The standby, if it is up, and how far it has shown to be.
    pub(super) fn standby_of(&self, id: ChannelId) -> Option<(LinkId, Position)> {
        let standby = self.subscriptions.get(&id)?.standby?;
        Some((standby, self.feeder(standby)?.shown))
    }

    /// Whether a link is that of our parent, and our application keeps up with it.
    pub(super) fn is_fed_by(&self, id: ChannelId, link: LinkId) -> bool {
        let subscription = self.subscriptions.get(&id);
        subscription
            .is_some_and(|subscription| subscription.parent == Some(link) && subscription.stall.is_none())
    }

    pub(super) fn feeder(&self, link: LinkId) -> Option<&Feeder> {
        match &self.links.get(&link)?.end {
            End::Follows(feeder) => Some(feeder),
            _ => None,
        }
    }

    pub(super) fn feeder_mut(&mut self, link: LinkId) -> Option<&mut Feeder> {
        match &mut self.links.get_mut(&link)?.end {
            End::Follows(feeder) => Some(feeder),
            _ => None,
        }
    }
}
