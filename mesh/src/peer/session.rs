//! A peer and its server: what the server says, and what it is told.

use bytes::Bytes;
use tiercast_codec::{
    Assign, ChannelId, Code, DecodeError, ErrorMessage, Expect, Feed, Gap, Hello, Item, LinkId, LinkMessage,
    LinkRole, LivingLink, PROTOCOL_VERSION, Ping, Pong, Position, PublicKey, Report, Resume, SignalMessage,
    Subscribe, Subscribed, ToHub, ToPeer, Welcome, WireMessage, limits::LIVING_LINKS_MAX,
};

use super::{
    Output, Peer, Session, Status, Target, Tell, Timer,
    link::{End, Link, bye},
    subscription::{Stall, Subscription},
};

/// Why a session is closed: the code, and a text for people.
pub(super) struct Refusal(pub(super) Code, pub(super) String);

impl Refusal {
    fn malformed(error: DecodeError) -> Self {
        Self(Code::MALFORMED, error.to_string())
    }

    fn because(code: Code) -> Self {
        Self(code, code.name().replace('_', " "))
    }
}

impl Peer {
    pub(super) fn on_session_opened(&mut self) {
        self.session = Session::Greeting;
        self.outbox.clear();
        self.is_announced = false;
        self.last_received = self.now;
        self.heartbeat = self.config.welcome_timeout;
        self.timers.set(Timer::SessionSilent, self.now + self.config.welcome_timeout);
        let id = self.request();
        let client = self.config.client.clone();
        let resume = self.identity;
        self.push_to_hub(&ToHub::Hello(Hello { id, protocol: PROTOCOL_VERSION, client, resume }));
    }

    pub(super) fn on_session_closed(&mut self) {
        self.session = Session::Closed;
        self.outbox.clear();
        self.timers.clear(Timer::SessionSilent);
        for (id, subscription) in &mut self.subscriptions {
            subscription.request = None;
            self.timers.clear(Timer::Subscribe(*id));
        }
    }

    pub(super) fn close_session(&mut self, code: Code, reason: String) {
        self.on_session_closed();
        self.outputs.push_back(Output::CloseSession { code, reason });
    }

    pub(super) fn on_session_data(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        if self.session == Session::Closed {
            return Ok(());
        }
        self.last_received = self.now;
        let items = Item::all(bytes).map_err(Refusal::malformed)?;
        for item in items {
            match item {
                Item::Frame(frame) => self.on_frame(frame, Target::Session).map_err(Refusal::because)?,
                Item::Head(head) => self.on_head(head, Target::Session).map_err(Refusal::because)?,
                Item::Chunk { .. } | Item::Nack(_) => return Err(Refusal::because(Code::UNEXPECTED)),
                Item::Control(bytes) => match ToPeer::decode(&bytes) {
                    Ok(message) => self.on_message(message)?,
                    // A newer server says what an older peer need not know.
                    Err(DecodeError::UnknownMessage { .. }) => {}
                    Err(error) => return Err(Refusal::malformed(error)),
                },
            }
        }
        Ok(())
    }

    pub(super) fn on_message(&mut self, message: ToPeer) -> Result<(), Refusal> {
        match message {
            ToPeer::Welcome(welcome) => self.on_welcome(welcome),
            ToPeer::Subscribed(subscribed) => self.on_subscribed(&subscribed),
            ToPeer::Unsubscribed(_) | ToPeer::Pong(_) => {}
            ToPeer::Assign(assign) => self.on_assign(assign),
            ToPeer::Expect(expect) => self.on_expect(expect),
            ToPeer::Place(place) => {
                if let Some(subscription) = self.subscriptions.get_mut(&place.channel.id()) {
                    subscription.tier = place.tier;
                    let (channel, tier) = (place.channel, place.tier);
                    self.outputs.push_back(Output::Status(Status::Placed { channel, tier }));
                }
            }
            ToPeer::Signal(SignalMessage { link, signal }) => {
                if self.links.contains_key(&link) {
                    self.outputs.push_back(Output::RemoteSignal(link, signal));
                }
            }
            ToPeer::Lost(lost) => {
                if self.links.contains_key(&lost.link) {
                    self.outputs.push_back(Output::CloseLink { link: lost.link, bye: Some(bye(lost.code)) });
                    self.drop_link(lost.link, lost.code, Tell::Nothing);
                }
            }
            ToPeer::Away(away) => self.on_away(away.link),
            ToPeer::Gap(gap) => self.on_gap(&gap),
            ToPeer::Error(error) => self.on_error(error),
            ToPeer::Ping(Ping { time_us }) => self.tell_hub(ToHub::Pong(Pong { time_us })),
        }
        Ok(())
    }

    pub(super) fn on_welcome(&mut self, welcome: Welcome) {
        if self.session == Session::Open {
            return;
        }
        let keys: Vec<_> = welcome.keys.iter().map(|key| key.0).collect();
        let identity = Resume { peer: welcome.peer, token: welcome.resume };
        let earlier = self.identity.replace(identity);
        let is_resumed = earlier.is_some_and(|earlier| earlier.peer == identity.peer) && self.keys == keys;
        self.close_links_of_earlier_session(is_resumed);
        self.session = Session::Open;
        self.learn_keys(keys);
        self.heartbeat = std::time::Duration::from_millis(welcome.heartbeat_ms.into());
        self.head_interval = std::time::Duration::from_millis(welcome.head_ms.into());
        self.timers.set(Timer::SessionSilent, self.now + self.heartbeat);
        let Welcome { peer, server_time_us, ice_servers, .. } = welcome;
        self.outputs.push_back(Output::Status(Status::Welcome { peer, server_time_us, ice_servers }));
        for id in self.subscriptions.keys().copied().collect::<Vec<_>>() {
            self.ask_for(id);
        }
    }

    /// Links that stand outlive a session, if we are still the same to the server and it is the same to us. To another
    /// server they are those of strangers.
    fn close_links_of_earlier_session(&mut self, is_resumed: bool) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            if !is_resumed || self.living(link).is_none() {
                self.outputs.push_back(Output::CloseLink { link, bye: Some(bye(Code::DEPARTED)) });
                self.drop_link(link, Code::DEPARTED, Tell::Nothing);
            }
        }
    }

    /// What the server is told of a link that stands.
    fn living(&self, link: LinkId) -> Option<LivingLink> {
        let state = self.links.get(&link)?;
        let subscription = self.subscriptions.get(&state.channel)?;
        let role = match &state.end {
            End::Follows(_) if subscription.parent == Some(link) => LinkRole::Parent,
            End::Follows(_) if subscription.standby == Some(link) => LinkRole::Standby,
            End::Serves(service) if service.is_held() => LinkRole::Held,
            End::Serves(_) => LinkRole::Child,
            _ => return None,
        };
        Some(LivingLink { link, peer: state.other, role, token: state.token })
    }

    /// The session of a link's other end has ended. If that feeds us, the standby does from now on; where there is none,
    /// or it may be gone as well, the links may be well, and then their other ends answer.
    fn on_away(&mut self, link: LinkId) {
        let Some(id) = self.links.get(&link).map(|state| state.channel) else { return };
        if self.subscriptions.get(&id).is_some_and(|subscription| subscription.standby == Some(link)) {
            // It feeds nobody, so there is no hurry.
            return self.doubt(link);
        }
        match self.standby_of(id).filter(|_| self.is_fed_by(id, link)) {
            Some((standby, _)) if self.is_asked(standby) => {
                self.ask(standby);
                self.ask(link);
            }
            Some((standby, shown)) => self.turn_to(id, standby, shown),
            None => self.ask(link),
        }
    }

    /// Whether a link's other end was asked a while ago whether it is there, and may not be.
    fn is_asked(&self, link: LinkId) -> bool {
        [Timer::LinkAnswer(link), Timer::LinkDoubt(link)]
            .into_iter()
            .any(|timer| self.timers.due(timer).is_some())
    }

    /// Asks one that feeds us or stands by whether it is there. The link ends if nothing comes.
    fn ask(&mut self, link: LinkId) {
        let Some(round_trip) = self.feeder(link).map(|feeder| feeder.round_trip) else { return };
        let patience = self.config.link_answer.max(round_trip * 2);
        self.timers.set(Timer::LinkAnswer(link), self.now + patience);
        self.tell(link, LinkMessage::Ping(Ping { time_us: self.now.0 }));
    }

    /// Takes the server's keys. What was signed with earlier ones is good for us, but not for children who know
    /// only the new ones.
    fn learn_keys(&mut self, keys: Vec<PublicKey>) {
        if self.keys != keys {
            for subscription in self.subscriptions.values_mut() {
                subscription.serves_from = subscription.position();
                subscription.head = None;
                subscription.ahead.clear();
            }
            self.keys = keys;
        }
    }

    /// Asks the server for a channel, from where we are.
    pub(super) fn ask_for(&mut self, id: ChannelId) {
        let request = self.request();
        let relay = self.config.relay;
        let Some(subscription) = self.subscriptions.get_mut(&id).filter(|_| self.session == Session::Open)
        else {
            return;
        };
        subscription.request = Some(request);
        subscription.named_parent = subscription.parent;
        let (channel, since) = (subscription.channel.clone(), subscription.since());
        let feeders = subscription.parent.into_iter().chain(subscription.standby);
        let named = feeders.chain(subscription.children.iter().copied());
        let named: Vec<_> = named.collect();
        let links = named.into_iter().filter_map(|link| self.living(link)).take(LIVING_LINKS_MAX).collect();
        let window_bytes = self.config.window();
        self.tell_hub(ToHub::Subscribe(Subscribe {
            id: request,
            channel,
            since,
            window_bytes,
            relay,
            links,
        }));
    }

    pub(super) fn on_subscribed(&mut self, subscribed: &Subscribed) {
        let limits = self.config.log;
        let Some(subscription) = self.subscriptions.get_mut(&subscribed.channel_id) else { return };
        if subscription.request != Some(subscribed.id) {
            return;
        }
        subscription.request = None;
        let (named_parent, parent) = (subscription.named_parent.take(), subscription.parent);
        subscription.has_asked = false;
        subscription.unsaid_bytes = 0;
        if let Some(stall) = &mut subscription.stall {
            // What comes next comes by itself now.
            *stall = Stall::default();
        }
        let head = Position::new(subscribed.position.epoch, subscribed.head);
        subscription.start(subscribed.position, head, limits);
        self.outputs.push_back(Output::Status(Status::Subscribed {
            channel: subscribed.channel.clone(),
            position: subscribed.position,
            recovered: subscribed.recovered,
        }));
        // The server does not feed us if we named a parent; but that one may have gone meanwhile.
        if let Some(named) = named_parent.filter(|_| parent.is_none()) {
            self.ask_feed(subscribed.channel_id, Some(named), Code::LOST);
        }
    }

    pub(super) fn on_gap(&mut self, gap: &Gap) {
        let id = gap.channel.id();
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let Some(taken) = &mut subscription.taken else { return };
        let reached = taken.log.head();
        if reached < gap.from {
            // Between what we have and the gap lies what the server sent and we did not take.
            self.ask_again(id);
        } else if gap.to > reached || gap.from == reached {
            // What we have got meanwhile from a parent is not gone. One that goes back is meant for us only if it
            // follows exactly what we have, and takes the whole log: that cannot hold both sides of it.
            let goes_back = gap.to < reached;
            let bytes = if goes_back { self.config.log.bytes } else { 0 };
            if !taken.has_room(1, bytes) {
                return self.refuse(id, bytes);
            }
            taken.log.jump(gap.to, gap.reason);
            subscription.ahead.clear();
            subscription.has_asked = false;
            if goes_back {
                // They have what is here no more, and find out from the server what that means for them.
                for link in subscription.children.iter().copied().collect::<Vec<_>>() {
                    self.close_link(link, Code::UNAVAILABLE);
                }
            }
            self.announce_children(id);
        }
    }

    pub(super) fn on_error(&mut self, error: ErrorMessage) {
        let asked = |(id, subscription): (&ChannelId, &Subscription)| {
            (subscription.request == error.id).then_some(*id)
        };
        let id = error.id.and_then(|_| self.subscriptions.iter().find_map(asked));
        let mut channel = None;
        if let Some(id) = id {
            if let Some(retry_after_ms) = error.retry_after_ms {
                let delay = std::time::Duration::from_millis(retry_after_ms.into());
                return self.timers.set(Timer::Subscribe(id), self.now + delay);
            }
            channel = self.subscriptions.get(&id).map(|subscription| subscription.channel.clone());
            self.forget_subscription(id, Code::DEPARTED);
        }
        let ErrorMessage { code, reason, retry_after_ms, .. } = error;
        self.outputs.push_back(Output::Status(Status::Refused { channel, code, reason, retry_after_ms }));
    }

    pub(super) fn on_assign(&mut self, assign: Assign) {
        let id = assign.channel.id();
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if subscription.stall.is_some() {
            return self.tell_hub(ToHub::Report(Report { link: assign.link, code: Code::LAGGING }));
        }
        let role = if assign.standby { &mut subscription.standby } else { &mut subscription.joining };
        if let Some(earlier) = role.replace(assign.link) {
            self.close_link(earlier, Code::REPLACED);
        }
        let link =
            Link::new(self.now, id, assign.parent, assign.token, End::AwaitsParent, self.config.outbox_bytes);
        self.open_link(assign.link, link, assign.offers, assign.via);
    }

    pub(super) fn on_expect(&mut self, expect: Expect) {
        let id = expect.channel.id();
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if subscription.stall.is_some() {
            return self.tell_hub(ToHub::Report(Report { link: expect.link, code: Code::LAGGING }));
        }
        subscription.children.insert(expect.link);
        let link =
            Link::new(self.now, id, expect.child, expect.token, End::AwaitsChild, self.config.outbox_bytes);
        self.open_link(expect.link, link, expect.offers, expect.via);
    }

    /// Asks the server to feed a subscription from where we are.
    pub(super) fn ask_feed(&mut self, id: ChannelId, link: Option<LinkId>, code: Code) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        // A request under way says where we are, too, and so does the first one of the next session.
        let may_ask = subscription.request.is_none() && self.session == Session::Open;
        if let Some(position) = subscription.position().filter(|_| may_ask) {
            subscription.has_asked = true;
            subscription.unsaid_bytes = 0;
            let (channel, window_bytes) = (subscription.channel.clone(), self.config.window());
            self.stats.feeds += 1;
            self.tell_hub(ToHub::Feed(Feed { channel, position, window_bytes, link, code }));
        }
    }

    /// Asks the server to feed a subscription that did not take what it sent. Asks once until something is taken,
    /// and not while the application is too slow: the end of that asks.
    pub(super) fn ask_again(&mut self, id: ChannelId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if let Some(stall) = &mut subscription.stall {
            stall.must_ask = true;
        } else if !subscription.has_asked {
            self.ask_feed(id, None, Code::UNAVAILABLE);
        }
    }

    pub(super) fn request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// Says something to the hub, if it is there to hear it. What it has to know after a reconnect is said
    /// by subscribing again.
    pub(super) fn tell_hub(&mut self, message: ToHub) {
        if self.session == Session::Open {
            self.push_to_hub(&message);
        }
    }

    pub(super) fn push_to_hub(&mut self, message: &ToHub) {
        if self.outbox.push(message.encode()).is_err() {
            self.close_session(Code::SLOW, "control messages are not being read".into());
        } else if !std::mem::replace(&mut self.is_announced, true) {
            self.outputs.push_back(Output::Transmit(Target::Session));
        }
    }
}
