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
use tiercast_mesh::hub::{Opening, Portion, Refusal};
use tiercast_platform::Clock;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as WsError, Message as WsMessage, protocol::frame::coding::Data},
};

use tracing::{debug, info};

mod message;

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
    stopped::Stopped,
    visitor::Visitor,
    websocket,
};
use message::{FromClient, Request, Subscribe};

/// The subprotocol that these clients speak.
pub(crate) const SUBPROTOCOL: &str = "tiercast.v1.json";

/// A client that has not answered so many pings is gone.
const PINGS_MAX: u32 = 3;

/// What a client is told on its connection, and what it reads.
struct Session<T> {
    socket: WebSocketStream<T>,
    app: Arc<App>,
    visitor: Visitor,
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

struct Read {
    subscription: Subscription,
    visit: Visit,
    /// How far it is, and how far the client knows that it is, and since when.
    reached: Position,
    said: Position,
    said_at: Instant,
}

/// A subscription that was asked for by this request.
type Opened = (u64, Result<Box<(Subscription, Visit)>, Refusal>);

/// What happens next on a connection.
enum Happening {
    Came(Option<Result<WsMessage, WsError>>),
    Opened(Opened),
    Read(ChannelName, Result<Portion, Refusal>),
    Due,
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
    let mut session = Session {
        socket,
        app,
        visitor,
        subscriptions,
        opening,
        unanswered: 0,
        said_at: now,
        last_read: None,
    };
    let Err(end) = session.serve().await;
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
                        self.subscribed(subscription, visit)
                    });
                    self.answer(id, None, answer).await?;
                }
                Happening::Read(channel, Ok(portion)) => {
                    self.on_portion(&channel, &portion).await?;
                    self.last_read = Some(channel);
                }
                Happening::Read(_, Err(refusal)) if refusal.code == Code::SHUTDOWN => {
                    return Err(refusal.into());
                }
                Happening::Read(channel, Err(refusal)) => {
                    if let Some(mut read) = self.subscriptions.remove(&channel) {
                        read.visit.end(&refusal);
                    }
                    self.fail(None, Some(&channel), refusal).await?;
                }
                Happening::Due => self.on_due().await?,
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
            (channel, portion) = any(&mut self.subscriptions, self.last_read.as_ref()) => Happening::Read(channel, portion),
            () = sleep_until(due) => Happening::Due,
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
                let now = Clock::start().now();
                self.say(json!({
                    "type": "welcome", "id": id, "server_time_us": now.0, "heartbeat_ms": heartbeat.as_millis() as u64,
                }))
                .await
            }
            FromClient::Ping { time_us } => self.say(json!({ "type": "pong", "time_us": time_us })).await,
            FromClient::Subscribe { id, wanted, subscribe } => {
                match self.subscribe(id, wanted, subscribe).await {
                    Ok(Some(answer)) => self.answer(id, None, Ok(answer)).await,
                    Ok(None) => Ok(()),
                    Err(refusal) => self.fail(Some(id), None, refusal).await,
                }
            }
            FromClient::Request { id, channel, request } => {
                let answer =
                    self.on_request(&channel, request).await.inspect_err(|Refusal { code, reason }| {
                        info!(%channel, code = code.0, reason = cut(reason), "request refused");
                    });
                self.answer(id, Some(&channel), answer).await
            }
        }
    }

    /// Answers a request: with a message of this type, or with why not.
    async fn answer(
        &mut self,
        id: u64,
        channel: Option<&ChannelName>,
        answer: Result<(&'static str, Value), Refusal>,
    ) -> Result<(), End> {
        match answer {
            Ok((name, mut answer)) => {
                answer["type"] = json!(name);
                answer["id"] = json!(id);
                if let Some(channel) = channel {
                    answer["channel"] = json!(channel);
                }
                self.say(answer).await
            }
            Err(refusal) => self.fail(Some(id), channel, refusal).await,
        }
    }

    /// Does what is asked for. Gives the answer's type, and what is in it.
    async fn on_request(
        &mut self,
        channel: &ChannelName,
        request: Request,
    ) -> Result<(&'static str, Value), Refusal> {
        let at = |position: Position| json!({ "position": position.to_string() });
        match request {
            Request::Unsubscribe => {
                self.subscription(channel)?;
                self.subscriptions.remove(channel);
                Ok(("unsubscribed", json!({})))
            }
            Request::Pause => Ok(("paused", at(self.subscription(channel)?.subscription.pause().await?))),
            Request::Resume => Ok(("resumed", at(self.subscription(channel)?.subscription.resume().await?))),
            Request::Bind { patterns } => {
                let patterns_max = self.app.config.limits.patterns_max;
                let patterns = query::patterns(&patterns, patterns_max).map_err(bad_request)?;
                let handle = self.app.handle.clone();
                let Read { subscription, .. } = self.subscription(channel)?;
                let more = patterns
                    .iter()
                    .filter(|pattern| !subscription.filter().iter().any(|one| one == *pattern));
                if subscription.filter().len() + more.count() > patterns_max {
                    return Err(bad_request(format!("a subscription may have {patterns_max} patterns")));
                }
                let position = subscription.bind(&handle, patterns).await?;
                Ok(("bound", patterns_from(subscription, position)))
            }
            Request::Unbind { patterns } => {
                let patterns_max = self.app.config.limits.patterns_max;
                let patterns = query::patterns(&patterns, patterns_max).map_err(bad_request)?;
                let Read { subscription, .. } = self.subscription(channel)?;
                let position = subscription.unbind(patterns).await?;
                Ok(("unbound", patterns_from(subscription, position)))
            }
        }
    }

    /// Subscribes to a channel, which is answered at once and in its turn; or begins to, for an exchange.
    async fn subscribe(
        &mut self,
        id: u64,
        wanted: Wanted,
        Subscribe { since, patterns }: Subscribe,
    ) -> Result<Option<(&'static str, Value)>, Refusal> {
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

    fn subscribed(
        &mut self,
        subscription: Subscription,
        mut visit: Visit,
    ) -> Result<(&'static str, Value), Refusal> {
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
        let read = Read { subscription, visit, reached: position, said: position, said_at: Instant::now() };
        self.subscriptions.insert(channel, read);
        Ok(("subscribed", answer))
    }

    fn subscription(&mut self, channel: &ChannelName) -> Result<&mut Read, Refusal> {
        let missing = || Refusal::new(Code::NOT_SUBSCRIBED, format!("not subscribed to `{channel}`"));
        self.subscriptions.get_mut(channel).ok_or_else(missing)
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
            let wait = super::retry_after(self.app.config.limits.reader_retry);
            message["retry_after_ms"] = json!(wait.as_millis() as u64);
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
) -> (ChannelName, Result<Portion, Refusal>) {
    let turn = last.map_or(0, |last| subscriptions.range(..=last).count());
    next_of(subscriptions.iter_mut().map(|one| Box::pin(next(one))), turn).await.0
}

async fn next((channel, subscription): (&ChannelName, &mut Read)) -> (ChannelName, Result<Portion, Refusal>) {
    (channel.clone(), subscription.subscription.next().await)
}

/// What is wanted from a position on.
fn patterns_from(subscription: &Subscription, position: Position) -> Value {
    let patterns: Vec<_> = subscription.filter().iter().map(ToString::to_string).collect();
    json!({ "position": position.to_string(), "match": patterns })
}

fn bad_request(reason: String) -> Refusal {
    Refusal::new(Code::BAD_REQUEST, reason)
}
