//! JSON over WebSocket, subprotocol `tiercast.v1.json`: for clients that want to subscribe, pause and change what they want
//! on one connection, and are no peers.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use serde_json::{Value, json};
use tiercast_codec::{ChannelName, Code, PROTOCOL_VERSION, Pattern, Position, limits::CONTROL_BYTES_MAX};
use tiercast_mesh::hub::{Opening, Portion, Refusal, Rights};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as WsError, Message as WsMessage, protocol::frame::coding::Data},
};

use tracing::{debug, info};

mod message;
mod read;

use super::{
    query,
    subscription::{Subscription, Wanted},
    turns::next_of,
    visit::Visit,
};
use crate::{
    app::App,
    counters::Transport,
    sheets::Form,
    shown::{cut, fields},
    source::amqp::dynamic::Lease,
    stopped::Stopped,
    visitor::Visitor,
    websocket,
};
use message::{FromClient, Request, Subscribe};
use read::{Next, Read};

/// The subprotocol that these clients speak.
pub(crate) const SUBPROTOCOL: &str = "tiercast.v1.json";

/// A client that has not answered so many pings is gone.
const PINGS_MAX: u32 = 3;

/// What a client is told on its connection, and what it reads.
struct Session<T> {
    socket: WebSocketStream<T>,
    app: Arc<App>,
    visitor: Visitor,
    /// When its key does, if that is not good for ever.
    expires: Option<Instant>,
    subscriptions: BTreeMap<ChannelName, Read>,
    /// Exchanges that are being bound for it, which may take as long as `amqp.dynamic.bind_ms`; all else goes on meanwhile.
    /// With the subscriptions no more than `hub.subscriptions_max`.
    opening: FuturesUnordered<BoxFuture<'static, Opened>>,
    /// WebSocket pings since something was heard.
    unanswered: u32,
    said_at: Instant,
    /// Which of its subscriptions was given something last: the next turn is another one's.
    last_read: Option<ChannelName>,
}

/// A subscription that was asked for by this request.
type Opened = (u64, Result<Box<(Subscription, Visit)>, Refusal>);

/// The type of an answer, and what is in it.
type Answer = (&'static str, Value);

/// What happens next on a connection.
enum Happening {
    Came(Option<Result<WsMessage, WsError>>),
    Opened(Opened),
    Next(ChannelName, Next),
    Due,
    Expired,
    Stopping,
}

/// How a connection ends.
enum End {
    /// The client has ended it, or it broke.
    Gone,
    /// Its connection took nothing for too long.
    Stalled,
    /// The server ends it.
    Refused(Refusal),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<WsError> for End {
    fn from(error: WsError) -> Self {
        match error {
            WsError::Capacity(_) => {
                let reason = format!("a message may have {CONTROL_BYTES_MAX} bytes, this one has more");
                Self::Refused(Refusal::new(Code::MALFORMED, reason))
            }
            error => {
                debug!(%error, "connection broke");
                if websocket::is_stalled(&error) { Self::Stalled } else { Self::Gone }
            }
        }
    }
}

/// Serves a client on a connection that has been upgraded, until either side has had enough.
pub(crate) async fn run<T>(io: T, leftover: Bytes, visitor: Visitor, app: Arc<App>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let socket = websocket::accept(io, leftover).await;
    let (limit, handle, now) = (app.config.limits.close, app.handle.clone(), Instant::now());
    let (subscriptions, opening) = (BTreeMap::new(), FuturesUnordered::new());
    let expires = visitor.rights.until.map(|until| now + until.since(app.clock.now()));
    let mut session = Session {
        socket,
        app,
        visitor,
        expires,
        subscriptions,
        opening,
        unanswered: 0,
        said_at: now,
        last_read: None,
    };
    let Err(end) = session.serve().await;
    if let End::Refused(refusal) = &end
        && refusal.code.may_reconnect()
    {
        // It goes out with the close. A connection that takes nothing is not waited for.
        let _ = timeout(limit, session.fail(None, None, refusal.clone())).await;
    }
    let (channel, since) = fields(session.subscriptions.values().map(|read| read.visit.reads()));
    let mut socket = session.socket;
    let closing = match end {
        End::Gone => {
            info!(channel, since, "session ended");
            None
        }
        End::Stalled => {
            info!(channel, since, "session lost: it took nothing any more");
            return handle.counters().stalled().add(1);
        }
        End::Refused(refusal) => {
            info!(channel, since, code = refusal.code.0, reason = cut(&refusal.reason), "closing session");
            Some(refusal)
        }
    };
    websocket::close(&mut socket, closing, limit).await;
}

impl<T: AsyncRead + AsyncWrite + Unpin> Session<T> {
    async fn serve(&mut self) -> Result<Infallible, End> {
        loop {
            match self.next().await {
                Happening::Came(message) => {
                    self.unanswered = 0;
                    self.on_message(message.ok_or(End::Gone)??).await?;
                }
                Happening::Opened((id, opened)) => {
                    let answer = opened.and_then(|opened| {
                        let (subscription, visit) = *opened;
                        self.subscribed(subscription, visit).map(Some)
                    });
                    self.answer(id, None, answer).await?;
                }
                Happening::Next(channel, Next::Leased(nth, leased)) => {
                    self.on_leased(&channel, nth, leased).await?;
                }
                Happening::Next(channel, Next::Portion(Ok(portion))) => {
                    self.on_portion(&channel, &portion).await?;
                    self.last_read = Some(channel);
                }
                Happening::Next(_, Next::Portion(Err(refusal))) if ends_session(refusal.code) => {
                    return Err(refusal.into());
                }
                Happening::Next(channel, Next::Portion(Err(refusal))) => {
                    self.give_up_binding(&channel).await?;
                    if let Some(mut read) = self.subscriptions.remove(&channel) {
                        read.visit.end(&refusal);
                    }
                    self.fail(None, Some(&channel), refusal).await?;
                }
                Happening::Due => self.on_due().await?,
                Happening::Expired => return Err(Rights::expired().into()),
                Happening::Stopping => return Err(Refusal::from(Stopped).into()),
            }
            self.socket.flush().await?;
        }
    }

    async fn on_message(&mut self, message: WsMessage) -> Result<(), End> {
        match message {
            WsMessage::Text(text) => self.on_text(&text).await,
            WsMessage::Binary(_) => {
                let reason = format!("{SUBPROTOCOL} has text messages only, this one was binary");
                Err(Refusal::new(Code::MALFORMED, reason).into())
            }
            WsMessage::Close(_) => Err(End::Gone),
            WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_) => Ok(()),
        }
    }

    async fn next(&mut self) -> Happening {
        let due = self.due();
        let mut stopping = self.app.stopping.clone();
        tokio::select! {
            message = self.socket.next() => Happening::Came(message),
            Some(opened) = self.opening.next() => Happening::Opened(opened),
            (channel, next) = any(&mut self.subscriptions, self.last_read.as_ref()) => Happening::Next(channel, next),
            () = sleep_until(due) => Happening::Due,
            () = sleep_until(self.expires.unwrap_or(due)), if self.expires.is_some() => Happening::Expired,
            _ = stopping.wait_for(|stop| *stop) => Happening::Stopping,
        }
    }

    /// When something has to be said: a heartbeat after the last word on the connection, and on each subscription that has
    /// moved since.
    fn due(&self) -> Instant {
        let moved = self.subscriptions.values().filter(|read| read.said != read.reached);
        let quiet_since = moved.map(|read| read.said_at).fold(self.said_at, Instant::min);
        quiet_since + self.app.config.limits.reader_heartbeat
    }

    async fn on_due(&mut self) -> Result<(), End> {
        let heartbeat = self.app.config.limits.reader_heartbeat;
        let now = Instant::now();
        if self.said_at + heartbeat <= now {
            self.ping().await?;
        }
        let quiet = |read: &Read| read.said != read.reached && read.said_at + heartbeat <= now;
        let moved = self.subscriptions.iter_mut().filter(|(_, read)| quiet(read));
        let at = |(channel, read): (&ChannelName, &mut Read)| {
            (read.said, read.said_at) = (read.reached, now);
            json!({ "type": "at", "channel": channel, "position": read.reached.to_string() })
        };
        for message in moved.map(at).collect::<Vec<_>>() {
            self.say(message).await?;
        }
        Ok(())
    }

    /// Asks whether the client is there.
    async fn ping(&mut self) -> Result<(), End> {
        if self.unanswered >= PINGS_MAX {
            let reason = format!("{PINGS_MAX} pings were not answered");
            return Err(Refusal::new(Code::SILENT, reason).into());
        }
        self.said_at = Instant::now();
        self.unanswered += 1;
        Ok(self.socket.feed(WsMessage::Ping(Bytes::new())).await?)
    }

    async fn on_portion(&mut self, channel: &ChannelName, portion: &Portion) -> Result<(), End> {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return Ok(()) };
        subscription.reached = portion.position();
        match portion {
            Portion::Events { frame, .. } => {
                let sheet = self.app.sheets.of(channel, frame);
                let (mut count, mut bytes) = (0, 0);
                for nth in sheet.wanted(portion) {
                    self.said_at = Instant::now();
                    (subscription.said, subscription.said_at) = (sheet.position(nth), self.said_at);
                    let event = sheet.event(Form::Json, nth);
                    (count, bytes) = (count + 1, bytes + event.len());
                    for fragment in websocket::fragments(event, Data::Text) {
                        self.socket.feed(fragment).await?;
                    }
                }
                subscription.visit.sent(count, bytes);
                Ok(())
            }
            Portion::Gap(gap) => {
                (subscription.said, subscription.said_at) = (gap.to, Instant::now());
                subscription.visit.gap();
                let mut message = super::gap(gap);
                message["type"] = json!("gap");
                self.say(message).await
            }
        }
    }

    async fn on_text(&mut self, text: &str) -> Result<(), End> {
        let message = match FromClient::parse(text) {
            Ok(message) => message,
            Err(unreadable) => {
                let refusal = unreadable.refusal()?;
                info!(code = refusal.code.0, reason = cut(&refusal.reason), "request refused");
                return self.fail(unreadable.id, None, refusal).await;
            }
        };
        match message {
            FromClient::Hello { id, protocol } => {
                if protocol != PROTOCOL_VERSION {
                    let reason = format!("this server speaks version {PROTOCOL_VERSION}, not {protocol}");
                    return Err(Refusal::new(Code::UNSUPPORTED_VERSION, reason).into());
                }
                let heartbeat = self.app.config.limits.reader_heartbeat;
                let now = self.app.clock.now();
                self.say(json!({
                    "type": "welcome", "id": id, "server_time_us": now.0, "heartbeat_ms": heartbeat.as_millis() as u64,
                }))
                .await
            }
            FromClient::Ping { time_us } => self.say(json!({ "type": "pong", "time_us": time_us })).await,
            FromClient::Subscribe { id, wanted, subscribe } => {
                let answer = self.subscribe(id, wanted, subscribe).await;
                self.answer(id, None, answer).await
            }
            FromClient::Request { id, channel, request } => {
                if request == Request::Unsubscribe {
                    self.give_up_binding(&channel).await?;
                }
                let answer = self.on_request(id, &channel, request).await;
                self.answer(id, Some(&channel), answer).await
            }
        }
    }

    /// Answers a request: with a message of this type, or with why not; or later, if there is no answer yet.
    async fn answer(
        &mut self,
        id: u64,
        channel: Option<&ChannelName>,
        answer: Result<Option<Answer>, Refusal>,
    ) -> Result<(), End> {
        match answer {
            Ok(None) => Ok(()),
            Ok(Some((name, mut answer))) => {
                answer["type"] = json!(name);
                answer["id"] = json!(id);
                if let Some(channel) = channel {
                    answer["channel"] = json!(channel);
                }
                self.say(answer).await
            }
            Err(refusal) => {
                // Who does not get a subscription is told of elsewhere.
                if let Some(channel) = channel {
                    info!(%channel, code = refusal.code.0, reason = cut(&refusal.reason), "request refused");
                }
                self.fail(Some(id), channel, refusal).await
            }
        }
    }

    /// Does what is asked for, or begins to.
    async fn on_request(
        &mut self,
        id: u64,
        channel: &ChannelName,
        request: Request,
    ) -> Result<Option<Answer>, Refusal> {
        let patterns_max = self.app.config.limits.patterns_max;
        let handle = self.app.handle.clone();
        let read = self.read(channel)?;
        let at = |position: Position| json!({ "position": position.to_string() });
        let answer = match request {
            Request::Unsubscribe => {
                self.subscriptions.remove(channel);
                ("unsubscribed", json!({}))
            }
            Request::Pause => ("paused", at(read.subscription.pause().await?)),
            Request::Resume => ("resumed", at(read.subscription.resume().await?)),
            Request::Bind { patterns } => {
                let patterns = query::patterns(&patterns, patterns_max).map_err(bad_request)?;
                if read.count_with(&patterns) > patterns_max {
                    return Err(bad_request(format!("a subscription may have {patterns_max} patterns")));
                }
                let Some(position) = read.bind(&handle, id, patterns).await? else { return Ok(None) };
                ("bound", patterns_from(read, position))
            }
            Request::Unbind { patterns } => {
                let patterns = query::patterns(&patterns, patterns_max).map_err(bad_request)?;
                let position = read.unbind(patterns).await?;
                ("unbound", patterns_from(read, position))
            }
        };
        Ok(Some(answer))
    }

    /// The broker has bound what was asked for, or not.
    async fn on_leased(
        &mut self,
        channel: &ChannelName,
        nth: usize,
        leased: Result<Lease, Refusal>,
    ) -> Result<(), End> {
        let Some(read) = self.subscriptions.get_mut(channel) else { return Ok(()) };
        let (id, bound) = read.leased(nth, leased).await;
        let answer = bound.map(|position| Some(("bound", patterns_from(read, position))));
        self.answer(id, Some(channel), answer).await
    }

    /// A subscription ends: says so to those of its requests that wait for the broker.
    async fn give_up_binding(&mut self, channel: &ChannelName) -> Result<(), End> {
        let ids = self.subscriptions.get_mut(channel).map(Read::give_up_binding);
        for id in ids.unwrap_or_default() {
            self.fail(Some(id), Some(channel), not_subscribed(channel)).await?;
        }
        Ok(())
    }

    /// Subscribes to a channel, which is answered at once and in its turn; or begins to, for an exchange.
    async fn subscribe(
        &mut self,
        id: u64,
        wanted: Wanted,
        Subscribe { since, patterns }: Subscribe,
    ) -> Result<Option<Answer>, Refusal> {
        let patterns = self.may_subscribe(&patterns).inspect_err(|Refusal { code, reason }| {
            info!(channel = %wanted, %since, code = code.0, reason = cut(reason), "reader refused");
        })?;
        let takes_long = matches!(wanted, Wanted::Exchange(_));
        let (handle, visitor) = (self.app.handle.clone(), self.visitor.clone());
        let opening =
            async move { Visit::open(&handle, Transport::Json, &visitor, (wanted, since), patterns).await };
        if takes_long {
            self.opening.push(opening.map(move |opened| (id, opened.map(Box::new))).boxed());
            return Ok(None);
        }
        let (subscription, visit) = opening.await?;
        self.subscribed(subscription, visit).map(Some)
    }

    /// Whether there may be another subscription; gives its patterns.
    fn may_subscribe(&self, patterns: &[String]) -> Result<Vec<Pattern>, Refusal> {
        let subscriptions_max = self.app.config.hub.subscriptions_max;
        if self.subscriptions.len() + self.opening.len() >= subscriptions_max {
            return Err(bad_request(format!("a session may have {subscriptions_max} subscriptions")));
        }
        query::patterns(patterns, self.app.config.limits.patterns_max).map_err(bad_request)
    }

    fn subscribed(&mut self, subscription: Subscription, mut visit: Visit) -> Result<Answer, Refusal> {
        let channel = subscription.channel().clone();
        if self.subscriptions.contains_key(&channel) {
            let refusal = bad_request(format!("already subscribed to `{channel}`: unsubscribe first"));
            visit.end(&refusal);
            return Err(refusal);
        }
        let Opening { position, head, recovered } = *subscription.opening();
        let answer = json!({
            "channel": channel, "position": position.to_string(), "head": head.to_string(), "recovered": recovered,
        });
        self.subscriptions.insert(channel, Read::new(subscription, visit));
        Ok(("subscribed", answer))
    }

    fn read(&mut self, channel: &ChannelName) -> Result<&mut Read, Refusal> {
        self.subscriptions.get_mut(channel).ok_or_else(|| not_subscribed(channel))
    }

    async fn fail(
        &mut self,
        id: Option<u64>,
        channel: Option<&ChannelName>,
        refusal: Refusal,
    ) -> Result<(), End> {
        let mut message = json!({ "type": "error" });
        if let Some(id) = id {
            message["id"] = json!(id);
        }
        if let Some(channel) = channel {
            message["channel"] = json!(channel);
        }
        message["code"] = json!(refusal.code);
        message["reason"] = json!(refusal.reason);
        if refusal.code.may_reconnect() {
            message["retry_after_ms"] = json!(self.app.retry_after().as_millis() as u64);
        }
        self.say(message).await
    }

    async fn say(&mut self, message: Value) -> Result<(), End> {
        self.said_at = Instant::now();
        Ok(self.socket.feed(WsMessage::text(message.to_string())).await?)
    }
}

/// What comes next on any of the subscriptions.
async fn any(
    subscriptions: &mut BTreeMap<ChannelName, Read>,
    last: Option<&ChannelName>,
) -> (ChannelName, Next) {
    let turn = last.map_or(0, |last| subscriptions.range(..=last).count());
    next_of(subscriptions.iter_mut().map(|one| Box::pin(next(one))), turn).await.0
}

async fn next((channel, read): (&ChannelName, &mut Read)) -> (ChannelName, Next) {
    (channel.clone(), read.next().await)
}

/// What is wanted from a position on.
fn patterns_from(read: &Read, position: Position) -> Value {
    let mut patterns: Vec<_> = read.subscription.filter().iter().map(ToString::to_string).collect();
    patterns.sort();
    json!({ "position": position.to_string(), "match": patterns })
}

/// Whether what ends one subscription for this reason ends the whole session.
fn ends_session(code: Code) -> bool {
    code == Code::SHUTDOWN || code == Code::EXPIRED
}

fn not_subscribed(channel: &ChannelName) -> Refusal {
    Refusal::new(Code::NOT_SUBSCRIBED, format!("not subscribed to `{channel}`"))
}

fn bad_request(reason: String) -> Refusal {
    Refusal::new(Code::BAD_REQUEST, reason)
}
