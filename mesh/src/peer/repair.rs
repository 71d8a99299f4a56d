//! Repair of losses: on a link what carries frames may lose them, and what comes after them shows that. Then they are
//! asked for again at once, of the parent and of the standby in turn; the transport's own timers take a second.

use std::time::Duration;

use bytes::Bytes;
use tiercast_codec::{ChannelId, Code, Frame, LinkId, Nack, Position};

use super::{Peer, Session, Timer, announce, feeder::Feeder, link::End, subscription::Subscription};

impl Peer {
    /// A frame has come before its turn: `before` is to come before it.
    pub(super) fn on_ahead(&mut self, id: ChannelId, frame: Frame, before: Position) {
        let now = self.now;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let is_kept = subscription.ahead.put(frame, before, self.config.window().get() as usize);
        self.stats.not_taken += u64::from(!is_kept);
        subscription.watch.progressed(now);
        self.look_for_holes(id, self.config.nack_wait);
        self.is_missing(id, before);
    }

    /// What came has shown that more is missing.
    pub(super) fn is_more_missing(&mut self, id: ChannelId) {
        let subscription = self.subscriptions.get(&id);
        let goal = subscription.and_then(|subscription| subscription.ahead.goal(subscription.position()?));
        if let Some(goal) = goal {
            self.is_missing(id, goal);
        }
    }

    /// If asking twice does not help, others do.
    fn is_missing(&mut self, id: ChannelId, goal: Position) {
        let patience = self.patience(id).max(self.config.nack_wait + 2 * self.nack_pause(id));
        self.leads(id, goal, self.now + patience);
    }

    /// Whoever feeds us says how far it has sent.
    pub(super) fn on_tail(&mut self, id: ChannelId, position: Position) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let Some(ours) = subscription.position() else { return };
        if ours < position {
            subscription.ahead.ends_at(position, ours);
            self.look_for_holes(id, Duration::ZERO);
            self.is_missing(id, position);
        }
    }

    /// Asks for what is missing after a while, if nothing was about to be asked for sooner.
    fn look_for_holes(&mut self, id: ChannelId, wait: Duration) {
        let due = self.now + wait;
        if self.timers.due(Timer::Nack(id)).is_none_or(|planned| due < planned) {
            self.timers.set(Timer::Nack(id), due);
        }
    }

    pub(super) fn on_nack_due(&mut self, id: ChannelId) {
        let (now, pause) = (self.now, self.nack_pause(id));
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let Some(ours) = subscription.position() else { return };
        let due = subscription.ahead.ask(now, ours, pause);
        let again = subscription.ahead.ask_at(pause);
        let holes = due.iter().filter(|(_, times)| *times == 0).count();
        for (nack, times) in due {
            self.ask_for_again(id, nack, times);
        }
        if let Some(again) = again {
            self.timers.set(Timer::Nack(id), again);
        }
        (0..holes).for_each(|_| self.on_hole(id));
    }

    /// Our parent has left a hole. Where there is no server to find us another one, the worst is better than none.
    fn on_hole(&mut self, id: ChannelId) {
        let Some(parent) = self.subscriptions.get(&id).and_then(|subscription| subscription.parent) else {
            return;
        };
        let is_too_much = self.feeder_mut(parent).is_some_and(Feeder::leaves_hole);
        if is_too_much && self.session == Session::Open {
            self.close_link(parent, Code::STALE);
        }
    }

    /// Asks one of those who feed us, or could.
    fn ask_for_again(&mut self, id: ChannelId, nack: Nack, times: u32) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        let parent = subscription.parent.or(subscription.joining);
        let standby = subscription.standby.filter(|standby| {
            times % 2 == 1 && self.feeder(*standby).is_some_and(|feeder| feeder.shown >= nack.to)
        });
        // One that has not answered yet is asked for nothing.
        let Some(link) = standby.or(parent).filter(|link| self.feeder(*link).is_some()) else { return };
        let Some(state) = self.links.get_mut(&link) else { return };
        self.stats.nacks += 1;
        state.repeat(nack.encode());
        announce(&mut self.outputs, link, state);
    }

    /// How long an answer to a nack takes, and a little more.
    fn nack_pause(&self, id: ChannelId) -> Duration {
        let parent = self.subscriptions.get(&id).and_then(|subscription| subscription.parent);
        let round_trip = parent.and_then(|parent| self.feeder(parent)).map(|feeder| feeder.round_trip);
        round_trip.map_or(self.config.nack_min, |round_trip| self.config.nack_min.max(round_trip * 5 / 4))
    }

    /// A child has not got what was sent to it.
    pub(super) fn on_nack(&mut self, link: LinkId, nack: Nack) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        let End::Serves(service) = &mut state.end else { return Err(Code::UNEXPECTED) };
        let Some(log) = self.subscriptions.get(&state.channel).and_then(Subscription::log) else {
            return Ok(());
        };
        let Some(frames) = service.again(self.now, log, nack) else {
            self.stats.nacks_refused += 1;
            return Ok(());
        };
        let said: Vec<_> = frames.into_iter().filter(|frame| state.repeat(frame.clone())).collect();
        self.stats.repeated_frames += said.len() as u64;
        if let End::Serves(service) = &mut state.end {
            service.repeats(said.iter().map(Bytes::len).sum());
        }
        announce(&mut self.outputs, link, state);
        Ok(())
    }
}
