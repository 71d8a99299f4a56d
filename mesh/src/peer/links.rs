//! A peer and its links: to its parent, and to its children.

use bytes::Bytes;
use tiercast_codec::{
    At, ChannelId, Code, DecodeError, Frame, Head, Item, Join, Joined, LinkId, LinkMessage, Ping, Pong,
    Position, Report, SendMessage, ToHub, WireMessage,
};

use super::{
    Output, Peer, Status, Target, Timer, announce,
    feeder::Feeder,
    link::{End, Link, bye},
    service::{Serve, Service},
    subscription::Subscription,
};

/// What the hub is told of the end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// It knows.
    Nothing,
    /// What we saw ourselves.
    Why,
    /// That the other end closed the link, and said why. What it holds against us it tells the hub itself: said by
    /// us, it would look as if we held it against the other.
    OtherEnded,
}

impl Peer {
    pub(super) fn open_link(&mut self, link: LinkId, state: Link, offers: bool, via: Option<LinkId>) {
        self.links.insert(link, state);
        self.timers.set(Timer::LinkSetup(link), self.now + self.config.link_setup);
        self.outputs.push_back(Output::OpenLink { link, offers, via });
    }

    pub(super) fn on_link_opened(&mut self, link: LinkId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.last_received = self.now;
        state.last_sent = self.now;
        self.timers.set(Timer::LinkHeartbeat(link), self.now + self.config.link_heartbeat);
        match state.end {
            End::AwaitsChild => state.end = End::AwaitsJoin,
            End::AwaitsParent => {
                let subscription = self.subscriptions.get(&state.channel);
                let hold = subscription.is_some_and(|subscription| subscription.standby == Some(link));
                let Some(position) = subscription.and_then(Subscription::position) else {
                    return self.close_link(link, Code::UNEXPECTED);
                };
                state.end = End::Joins { asked: self.now, hold };
                let window_bytes = self.config.window();
                let join = Join { token: state.token, channel: state.channel, position, window_bytes, hold };
                self.tell(link, LinkMessage::Join(join));
            }
            _ => {}
        }
    }

    pub(super) fn on_link_data(&mut self, link: LinkId, bytes: Bytes) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        state.last_received = self.now;
        self.timers.clear(Timer::LinkAnswer(link));
        for item in Item::all(bytes).map_err(|_| Code::MALFORMED)? {
            // An item before may have closed the link.
            let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
            let follows = matches!(state.end, End::Follows(_));
            match item {
                Item::Control(bytes) => match LinkMessage::decode(&bytes) {
                    Ok(message) => self.on_link_message(link, message)?,
                    Err(DecodeError::UnknownMessage { .. }) => {}
                    Err(_) => return Err(Code::MALFORMED),
                },
                Item::Nack(nack) => self.on_nack(link, nack)?,
                // The answer to `join` was overtaken.
                Item::Frame(_) | Item::Head(_) if matches!(state.end, End::Joins { .. }) => {}
                _ if !follows => return Err(Code::UNEXPECTED),
                Item::Frame(frame) => self.on_link_frame(link, frame)?,
                Item::Head(head) => self.on_link_head(link, head)?,
                Item::Chunk { is_last, part } => {
                    if let Some(frame) = state.assemble(&part, is_last).map_err(|_| Code::MALFORMED)? {
                        self.on_link_frame(link, frame)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn on_link_head(&mut self, link: LinkId, head: Head) -> Result<(), Code> {
        if self.links.get(&link).is_some_and(|state| state.channel != head.channel) {
            return Err(Code::UNEXPECTED);
        }
        self.on_head(head, Target::Link(link))
    }

    pub(super) fn on_link_frame(&mut self, link: LinkId, frame: Frame) -> Result<(), Code> {
        if self.links.get(&link).is_some_and(|state| state.channel != frame.header().channel) {
            return Err(Code::UNEXPECTED);
        }
        let (position, taken, came) = (frame.position(), self.stats.frames, self.stats.parent_bytes);
        self.on_frame(frame, Target::Link(link))?;
        let (is_progress, is_new) = (self.stats.frames > taken, self.stats.parent_bytes > came);
        if let Some(feeder) = self.feeder_mut(link) {
            feeder.shows(position);
            if is_new {
                feeder.brings();
            }
            if is_progress {
                feeder.broken_promises = 0;
            }
        }
        self.check_goal(link);
        Ok(())
    }

    pub(super) fn on_link_message(&mut self, link: LinkId, message: LinkMessage) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        match (message, &mut state.end) {
            (LinkMessage::Ping(Ping { time_us }), _) => self.tell(link, LinkMessage::Pong(Pong { time_us })),
            (LinkMessage::Pong(_), _) => {}
            (LinkMessage::Bye(bye), _) => {
                self.outputs.push_back(Output::CloseLink { link, bye: None });
                self.drop_link(link, bye.code, Tell::OtherEnded);
            }
            (LinkMessage::Join(join), End::AwaitsJoin) => return self.on_join(link, join),
            (LinkMessage::At(At { position }), End::Serves(service)) => {
                if let Some(log) = self.subscriptions.get(&state.channel).and_then(Subscription::log) {
                    service.acknowledge(log, position);
                }
                announce(&mut self.outputs, link, state);
            }
            (LinkMessage::Send(SendMessage { position }), End::Serves(service)) => {
                let log = self.subscriptions.get(&state.channel).and_then(Subscription::log);
                if log.is_some_and(|log| !service.may_go_back(log, position)) {
                    return Err(Code::LAGGING);
                }
                service.release(position);
                announce(&mut self.outputs, link, state);
            }
            (LinkMessage::Hold(_), End::Serves(service)) => {
                if let Some(position) =
                    self.subscriptions.get(&state.channel).and_then(Subscription::position)
                {
                    service.hold(self.now, position);
                }
            }
            (LinkMessage::Have(have), End::Follows(_)) => return self.on_have(link, have),
            (LinkMessage::Joined(Joined { position }), End::Joins { .. }) => self.on_joined(link, position),
            _ => return Err(Code::UNEXPECTED),
        }
        Ok(())
    }

    pub(super) fn on_join(&mut self, link: LinkId, join: Join) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        if join.token != state.token || join.channel != state.channel {
            return Err(Code::BAD_TOKEN);
        }
        let subscription = self.subscriptions.get(&state.channel);
        let Some(position) = subscription.and_then(Subscription::position) else {
            return Err(Code::UNAVAILABLE);
        };
        if subscription.is_some_and(|subscription| subscription.stall.is_some()) {
            return Err(Code::LAGGING);
        }
        if subscription
            .and_then(|subscription| subscription.serves_from)
            .is_some_and(|from| join.position < from)
        {
            return Err(Code::UNAVAILABLE);
        }
        self.timers.clear(Timer::LinkSetup(link));
        let mut service = Service::new(join.position, join.window_bytes, self.config.again_bytes);
        if join.hold {
            service.hold(self.now, position);
        }
        state.end = End::Serves(service);
        let (channel, count) =
            (subscription.map(|subscription| subscription.channel.clone()), self.serves(join.channel));
        if let Some(channel) = channel {
            self.outputs.push_back(Output::Status(Status::Children { channel, count }));
        }
        self.tell(link, LinkMessage::Joined(Joined { position }));
        Ok(())
    }

    /// How many children are being served.
    pub(super) fn serves(&self, id: ChannelId) -> usize {
        let is_child = |link: &&Link| link.channel == id && matches!(link.end, End::Serves(_));
        self.links.values().filter(is_child).count()
    }

    /// The parent has answered.
    fn on_joined(&mut self, link: LinkId, position: Position) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let End::Joins { asked, hold } = state.end else { return };
        let subscription = self.subscriptions.get(&state.channel);
        let Some(ours) = subscription.and_then(Subscription::position) else { return };
        self.timers.clear(Timer::LinkSetup(link));
        state.end = End::Follows(Feeder::new(position, ours, hold, self.now.since(asked)));
        self.check_goal(link);
    }

    /// Lets a link that has caught us up become our parent.
    pub(super) fn check_goal(&mut self, link: LinkId) {
        let Some(Link { end: End::Follows(feeder), channel, .. }) = self.links.get(&link) else { return };
        let id = *channel;
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let is_there = subscription.position().is_some_and(|position| feeder.has_caught_up(position));
        if subscription.joining != Some(link) || !is_there {
            return;
        }
        subscription.joining = None;
        let earlier = subscription.parent.take();
        self.follow(id, link);
        if let Some(earlier) = earlier {
            self.close_link(earlier, Code::REPLACED);
        }
    }

    pub(super) fn poll_link(&mut self, link: LinkId) -> Option<Bytes> {
        let state = self.links.get_mut(&link)?;
        if let Some(bytes) = state.pop() {
            state.last_sent = self.now;
            return Some(bytes);
        }
        let End::Serves(service) = &mut state.end else { return None };
        let subscription = self.subscriptions.get(&state.channel)?;
        let log = subscription.log()?;
        match service.next(self.now, log, subscription.head.as_ref(), self.config.have) {
            Serve::Send { bytes, frames, frame_bytes } => {
                state.last_sent = self.now;
                self.stats.relayed_frames += frames;
                self.stats.relayed_bytes += frame_bytes;
                Some(bytes)
            }
            Serve::Say(have) => {
                state.last_sent = self.now;
                Some(LinkMessage::Have(have).encode())
            }
            Serve::Later(due) => {
                self.timers.set(Timer::Have(link), due);
                None
            }
            Serve::Nothing => None,
            Serve::Unavailable => {
                self.close_link(link, Code::UNAVAILABLE);
                None
            }
        }
    }

    pub(super) fn tell(&mut self, link: LinkId, message: LinkMessage) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.push(message).is_ok() {
            announce(&mut self.outputs, link, state);
        } else {
            self.close_link(link, Code::SLOW);
        }
    }

    /// Closes a link of our own accord.
    pub(super) fn close_link(&mut self, link: LinkId, code: Code) {
        if self.links.contains_key(&link) {
            self.outputs.push_back(Output::CloseLink { link, bye: Some(bye(code)) });
            self.drop_link(link, code, Tell::Why);
        }
    }

    /// Forgets a link, and goes on without it.
    pub(super) fn drop_link(&mut self, link: LinkId, code: Code, tell: Tell) {
        let Some(state) = self.links.remove(&link) else { return };
        self.timers.clear(Timer::LinkSetup(link));
        self.timers.clear(Timer::LinkHeartbeat(link));
        self.timers.clear(Timer::LinkAnswer(link));
        self.timers.clear(Timer::LinkDoubt(link));
        self.timers.clear(Timer::Have(link));
        self.outputs.push_back(Output::Status(Status::LinkLost { other: state.other, code }));
        let code = match code {
            Code::MALFORMED | Code::BAD_SIGNATURE | Code::LAGGING if tell == Tell::OtherEnded => {
                Code::DEPARTED
            }
            _ => code,
        };
        let id = state.channel;
        let count = self.serves(id);
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if subscription.parent == Some(link) {
            subscription.parent = None;
            subscription.ahead.forget_end();
            let channel = subscription.channel.clone();
            self.outputs.push_back(Output::Status(Status::Parent { channel, parent: None }));
            match &mut subscription.stall {
                Some(stall) => stall.must_ask = true,
                None => return self.go_on_without(id, link, code, tell),
            }
        }
        if subscription.joining == Some(link) {
            subscription.joining = None;
        } else if subscription.standby == Some(link) {
            subscription.standby = None;
        } else if subscription.children.remove(&link) && matches!(state.end, End::Serves(_)) {
            let channel = subscription.channel.clone();
            self.outputs.push_back(Output::Status(Status::Children { channel, count }));
        }
        if tell != Tell::Nothing {
            self.tell_hub(ToHub::Report(Report { link, code }));
        }
    }

    /// Our parent is gone: the standby takes its place if it is up, else the server.
    fn go_on_without(&mut self, id: ChannelId, link: LinkId, code: Code, tell: Tell) {
        let Some((standby, shown)) = self.standby_of(id) else { return self.ask_feed(id, Some(link), code) };
        if tell != Tell::Nothing {
            self.tell_hub(ToHub::Report(Report { link, code }));
        }
        self.turn_to(id, standby, shown);
    }
}
