//! The hub and what its sessions say.

use std::time::Duration;

use tiercast_codec::{
    BEFORE_FIRST, ChannelAt, ChannelName, Code, DecodeError, ErrorMessage, Feed, Hello, KeyBytes,
    PROTOCOL_VERSION, PeerId, Ping, Pong, PullMessage, Relay, Resume, SessionId, SignalMessage, Since,
    Subscribe, Subscribed, ToHub, ToPeer, Unsubscribed, Welcome, WireMessage,
};

use super::{
    Class, Hub, Receiver, Refusal, channel::Channel, leaving::Leave, saying::announce, session::Session,
    tickets::next_number,
};
use crate::Time;

/// Longest wait that a message can name, in milliseconds.
const WAIT_MAX_MS: u128 = 3_600_000;

impl Hub {
    pub(super) fn on_data(&mut self, now: Time, session: SessionId, bytes: &[u8]) -> Result<(), Refusal> {
        let message = match ToHub::decode(bytes) {
            Ok(message) => message,
            Err(error @ DecodeError::UnknownMessage { id, .. }) => {
                self.seen(now, session);
                self.fail(session, id, Code::UNKNOWN_MESSAGE, format!("{error}; it was ignored"));
                return Ok(());
            }
            Err(error) => {
                self.stats.malformed += 1;
                return Err(Refusal::new(Code::MALFORMED, error.to_string()));
            }
        };
        let peer = self.seen(now, session);
        let Some(peer) = peer else {
            return match message {
                ToHub::Hello(hello) => self.on_hello(now, session, &hello),
                _ => Err(Refusal::new(Code::UNEXPECTED, "the first message must be `hello`")),
            };
        };
        match message {
            ToHub::Hello(_) => return Err(Refusal::new(Code::UNEXPECTED, "`hello` was said before")),
            ToHub::Subscribe(subscribe) => self.on_subscribe(now, session, peer, subscribe),
            ToHub::Unsubscribe(unsubscribe) => {
                let id = unsubscribe.channel.id();
                if self.leave(now, session, peer, id) {
                    let answer = Unsubscribed { id: unsubscribe.id, channel: unsubscribe.channel };
                    self.send_on(id, session, ToPeer::Unsubscribed(answer));
                } else {
                    self.fail_not_subscribed(session, Some(unsubscribe.id), &unsubscribe.channel);
                }
            }
            ToHub::Relay(relay) => self.on_relay(now, session, peer, relay),
            ToHub::Feed(feed) => self.on_feed(now, session, peer, &feed),
            ToHub::Fed(fed) => {
                let id = fed.channel.id();
                let mut caught_up = false;
                self.with_tree(id, |tree, context| caught_up = tree.fed(now, peer, fed.link, context));
                if caught_up && let Some(channel) = self.channels.get_mut(&id) {
                    // What it asked for besides comes from there as well.
                    channel.forget(peer);
                    self.budget.forget((id, Receiver::Peer(peer)));
                }
            }
            ToHub::At(at) => self.on_at(now, session, peer, &at),
            ToHub::Pull(pull) => self.on_pull(session, peer, &pull),
            ToHub::Signal(signal) => self.on_signal(now, peer, signal),
            ToHub::Report(report) => {
                if let Some(id) = self.links.get(&report.link).copied() {
                    self.look_behind(now, id, peer, report.link, report.code);
                    self.with_tree(id, |tree, context| {
                        tree.reported(now, peer, report.link, report.code, context)
                    });
                }
            }
            ToHub::Ping(Ping { time_us }) => {
                self.say_heads(now, session);
                self.send(session, ToPeer::Pong(Pong { time_us }));
            }
            ToHub::Pong(_) => {}
        }
        Ok(())
    }

    /// Notes a sign of life. Says whose session it is, if it has been welcomed.
    pub(super) fn seen(&mut self, now: Time, session: SessionId) -> Option<PeerId> {
        let state = self.sessions.get_mut(&session)?;
        state.last_received = now;
        state.peer
    }

    pub(super) fn on_hello(&mut self, now: Time, session: SessionId, hello: &Hello) -> Result<(), Refusal> {
        if hello.protocol != PROTOCOL_VERSION {
            let reason = format!("this server speaks version {PROTOCOL_VERSION}, not {}", hello.protocol);
            return Err(Refusal::new(Code::UNSUPPORTED_VERSION, reason));
        }
        let peer = self.identify(now, hello.resume);
        if let Some(state) = self.sessions.get_mut(&session) {
            state.peer = Some(peer);
        }
        self.present.insert(peer, session);
        let welcome = Welcome {
            id: hello.id,
            session,
            peer,
            resume: self.tickets.of_peer(peer),
            server_time_us: now.0,
            keys: vec![KeyBytes::new(self.signer.public_key())],
            heartbeat_ms: self.config.heartbeat.as_millis() as u32,
            head_ms: self.config.head_interval.as_millis() as u32,
            ice_servers: self.config.ice_servers.clone(),
        };
        self.send(session, ToPeer::Welcome(welcome));
        Ok(())
    }

    /// Who a new session is: the peer that it says it was, if it can show that, or a new one.
    fn identify(&mut self, now: Time, resume: Option<Resume>) -> PeerId {
        let Some(Resume { peer, .. }) =
            resume.filter(|resume| self.tickets.is_peer(resume.peer, &resume.token))
        else {
            return PeerId(next_number(now, &mut self.last_peer));
        };
        self.stats.resumed += 1;
        if let Some(ghost) = self.present.get(&peer).copied() {
            self.say_close(ghost, Code::REPLACED, "the peer has another session".to_owned());
            self.forget(now, ghost, Leave::ForNow);
        }
        peer
    }

    pub(super) fn on_subscribe(&mut self, now: Time, session: SessionId, peer: PeerId, subscribe: Subscribe) {
        let (request, id) = (Some(subscribe.id), subscribe.channel.id());
        let comes_too_early = subscribe.relay.is_none() && self.has_no_time_for(subscribe.since);
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| channel.name == subscribe.channel)
        else {
            let reason = format!("there is no channel `{}` on this server", subscribe.channel);
            return self.fail(session, request, Code::UNKNOWN_CHANNEL, reason);
        };
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if let Err(Refusal { code, reason }) = state.rights.check_peer(now, &subscribe.channel) {
            return self.fail(session, request, code, reason);
        }
        if comes_too_early {
            let reason =
                "the server feeds as many as it may: come back later, or take part in the mesh".into();
            return self.fail(session, request, Code::NOT_READY, reason);
        }
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let from = state.from;
        if state.channels.contains(&id) {
            let reason = format!("already subscribed to `{}`: unsubscribe first", subscribe.channel);
            return self.fail(session, request, Code::BAD_REQUEST, reason);
        }
        if state.channels.len() >= self.config.subscriptions_max {
            let reason = format!("a session may have {} subscriptions", self.config.subscriptions_max);
            return self.fail(session, request, Code::BAD_REQUEST, reason);
        }
        let (start, recovered) = match channel.resolve(now, subscribe.since) {
            Ok(resolved) => resolved,
            Err(why) => {
                let reason = format!("the source of `{}` {why}", subscribe.channel);
                return self.fail(session, request, Code::NOT_READY, reason);
            }
        };
        state.channels.push(id);
        channel.stats.direct_data_bytes += channel.backlog_bytes(start);
        let answer = Subscribed {
            id: subscribe.id,
            channel: subscribe.channel,
            channel_id: id,
            position: start,
            head: channel.head().map_or(BEFORE_FIRST, |head| head.offset),
            recovered,
        };
        self.send_on(id, session, ToPeer::Subscribed(answer));
        let Subscribe { relay, links, window_bytes, .. } = subscribe;
        let mut has_parent = false;
        self.with_tree(id, |tree, context| has_parent = tree.join(now, peer, from, relay, &links, context));
        if let Some(channel) = self.channels.get_mut(&id).filter(|_| !has_parent) {
            channel.feed(Receiver::Peer(peer), start, window_bytes, relay.is_some());
        }
        self.ask_source(id);
    }

    /// Whether those who are no peers of the mesh wait so long for their turn that newcomers had better come back.
    pub(super) fn has_no_time_for(&self, since: Since) -> bool {
        let is_newcomer = !matches!(since, Since::Position(_));
        is_newcomer && self.budget.waited(self.now, Class::Direct) > self.config.feed_wait
    }

    /// A peer can do more for others from now on, or less.
    pub(super) fn on_relay(&mut self, now: Time, session: SessionId, peer: PeerId, relay: Relay) {
        let channels = self.sessions.get(&session).map(|state| state.channels.clone()).unwrap_or_default();
        for id in channels {
            self.with_tree(id, |tree, context| tree.resize(now, peer, relay, context));
        }
    }

    pub(super) fn on_feed(&mut self, now: Time, session: SessionId, peer: PeerId, feed: &Feed) {
        let id = feed.channel.id();
        if let Some(link) = feed.link {
            self.look_behind(now, id, peer, link, feed.code);
        }
        let is_subscribed = self.sessions.get(&session).is_some_and(|state| state.channels.contains(&id));
        let Some(channel) = self.channels.get_mut(&id).filter(|_| is_subscribed) else {
            return self.fail_not_subscribed(session, None, &feed.channel);
        };
        channel.stats.orphans += u64::from(!channel.feeds(peer));
        let wants_heads = channel.tree.is_relay(peer);
        channel.feed(Receiver::Peer(peer), feed.position, feed.window_bytes, wants_heads);
        self.with_tree(id, |tree, context| tree.orphaned(now, peer, feed.link, feed.code, context));
        announce(&mut self.sessions, &mut self.outputs, session);
        self.ask_source(id);
    }

    /// A peer can take more.
    pub(super) fn on_at(&mut self, now: Time, session: SessionId, peer: PeerId, at: &ChannelAt) {
        let id = at.channel.id();
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.acknowledge(peer, at.position) {
            announce(&mut self.sessions, &mut self.outputs, session);
        }
        self.with_tree(id, |tree, context| tree.keeps_up(now, peer, context));
        self.ask_source(id);
    }

    /// A peer that is fed by others asks for what they have not brought.
    fn on_pull(&mut self, session: SessionId, peer: PeerId, pull: &PullMessage) {
        let is_subscribed = |state: &Session| state.channels.contains(&pull.channel.id());
        if !self.sessions.get(&session).is_some_and(is_subscribed) {
            return self.fail_not_subscribed(session, None, &pull.channel);
        }
        if let Some(channel) = self.channels.get_mut(&pull.channel.id()) {
            channel.pull(peer, pull.position, pull.to);
            announce(&mut self.sessions, &mut self.outputs, session);
        }
    }

    pub(super) fn on_signal(&mut self, now: Time, peer: PeerId, message: SignalMessage) {
        let link = message.link;
        // A signal for a link that is no more crossed its `lost` on the way.
        let has_link = |channel: &Channel| channel.tree.has_link(link);
        let id = self.links.get(&link).copied();
        let Some(id) = id.filter(|id| self.channels.get(id).is_some_and(has_link)) else { return };
        let mut to = None;
        self.with_tree(id, |tree, context| {
            to = tree.signal(now, link, peer, &message.signal, context);
        });
        let Some(other) = to else { return self.count(id, |stats| stats.signals_dropped += 1) };
        if self.forward(id, other, message) {
            self.count(id, |stats| stats.signals += 1);
        } else {
            self.count(id, |stats| stats.signals_dropped += 1);
            self.with_tree(id, |tree, context| tree.unread(now, link, context));
        }
    }

    pub(super) fn fail_not_subscribed(
        &mut self,
        session: SessionId,
        request: Option<u64>,
        channel: &ChannelName,
    ) {
        self.fail(session, request, Code::NOT_SUBSCRIBED, format!("not subscribed to `{channel}`"));
    }

    /// Tells a peer, about nothing it has asked for, that it will be refused for so long.
    pub fn say_wait(&mut self, session: SessionId, refusal: &Refusal, wait: Duration) {
        let Refusal { code, reason } = refusal.clone();
        let retry_after_ms = Some(wait.as_millis().min(WAIT_MAX_MS) as u32);
        self.send(session, ToPeer::Error(ErrorMessage { id: None, code, reason, retry_after_ms }));
    }

    /// Answers a request that cannot be met.
    pub(super) fn fail(&mut self, session: SessionId, id: Option<u64>, code: Code, reason: String) {
        let retry_after_ms = (code == Code::NOT_READY).then_some(1_000);
        self.send(session, ToPeer::Error(ErrorMessage { id, code, reason, retry_after_ms }));
    }
}
