//! A peer and its server: what the server says, and what it is told.

use bytes::Bytes;
use tiercast_codec::{
    Assign, ChannelId, Code, DecodeError, ErrorMessage, Expect, Feed, Gap, Hello, Item, LinkId,
    PROTOCOL_VERSION, Ping, Pong, PublicKey, Report, SignalMessage, Subscribe, Subscribed, ToHub, ToPeer,
    Welcome, WireMessage,
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
        self.push_to_hub(&ToHub::Hello(Hello { id, protocol: PROTOCOL_VERSION, client }));
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
                Item::Chunk { .. } => return Err(Refusal::because(Code::UNEXPECTED)),
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
        // The hub knows nothing of the links of an earlier session.
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.outputs.push_back(Output::CloseLink { link, bye: Some(bye(Code::DEPARTED)) });
            self.drop_link(link, Code::DEPARTED, Tell::Nothing);
        }
        self.session = Session::Open;
        self.learn_keys(welcome.keys.iter().map(|key| key.0).collect());
        self.heartbeat = std::time::Duration::from_millis(welcome.heartbeat_ms.into());
        self.head_interval = std::time::Duration::from_millis(welcome.head_ms.into());
        self.timers.set(Timer::SessionSilent, self.now + self.heartbeat);
        let Welcome { peer, server_time_us, ice_servers, .. } = welcome;
        self.outputs.push_back(Output::Status(Status::Welcome { peer, server_time_us, ice_servers }));
        for id in self.subscriptions.keys().copied().collect::<Vec<_>>() {
            self.ask_for(id);
        }
    }

    /// Takes the server's keys. What was signed with earlier ones is good for us, but not for children who know
    /// only the new ones.
    fn learn_keys(&mut self, keys: Vec<PublicKey>) {
        if self.keys != keys {
            for subscription in self.subscriptions.values_mut() {
                subscription.serves_from = subscription.position();
                subscription.head = None;
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
        let (channel, since) = (subscription.channel.clone(), subscription.since());
        let window_bytes = self.config.window();
        self.tell_hub(ToHub::Subscribe(Subscribe { id: request, channel, since, window_bytes, relay }));
    }

    pub(super) fn on_subscribed(&mut self, subscribed: &Subscribed) {
        let limits = self.config.log;
        let Some(subscription) = self.subscriptions.get_mut(&subscribed.channel_id) else { return };
        if subscription.request != Some(subscribed.id) {
            return;
        }
        subscription.request = None;
        subscription.has_asked = false;
        subscription.unsaid_bytes = 0;
        if let Some(stall) = &mut subscription.stall {
            // What comes next comes by itself now.
            *stall = Stall::default();
        }
        subscription.start(subscribed.position, limits);
        self.outputs.push_back(Output::Status(Status::Subscribed {
            channel: subscribed.channel.clone(),
            position: subscribed.position,
            recovered: subscribed.recovered,
        }));
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
        let ErrorMessage { code, reason, .. } = error;
        self.outputs.push_back(Output::Status(Status::Refused { channel, code, reason }));
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
        self.open_link(assign.link, link, assign.offers);
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
        self.open_link(expect.link, link, expect.offers);
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
