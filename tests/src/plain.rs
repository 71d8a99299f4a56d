//! Plain clients that connect again by themselves, and write down everything they get: by SSE, long poll, and JSON over
//! WebSocket.

use std::{
    mem::{replace, take},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message as WsMessage, client::IntoClientRequest},
};

use crate::listener::PATIENCE;

/// A client that lost its connection waits so long before it goes to the next server.
const BACKOFF: Duration = Duration::from_millis(50);

/// Longest that a long poll is asked to wait, in seconds.
const POLL_WAIT_S_MAX: u64 = 10;

/// What a plain client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// Server-sent events.
    Sse,
    /// Long poll.
    Poll,
    /// JSON over WebSocket.
    Json,
}

impl Speech {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Sse, Self::Poll, Self::Json];
}

/// What a client got, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Got {
    /// The bodies of events.
    pub bodies: Vec<String>,
    /// Gaps, and how many events had come before each.
    pub gaps: Vec<(usize, Value)>,
    /// The patterns, and after which position they count, of each change.
    pub bound: Vec<(String, Vec<String>)>,
    /// Where it is.
    pub position: Option<String>,
    /// Whether it reads; of long poll, whether the last request was answered.
    pub is_connected: bool,
    /// How often it has begun to read. Requests of long poll that are answered one after the other count once.
    pub connections: usize,
    /// Where it goes on, while it is paused.
    pub paused_at: Option<String>,
}

/// What a client is told to do.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// Stop for a while; JSON only.
    Pause,
    /// Go on; JSON only.
    Resume,
    /// Want what matches this pattern, too.
    Bind(&'static str),
    /// No longer want what matches this pattern alone.
    Unbind(&'static str),
}

/// A client.
pub struct Plain {
    orders: mpsc::Sender<Order>,
    got: watch::Receiver<Got>,
    task: JoinHandle<()>,
}

impl Plain {
    /// Reads a channel, from the earliest event on, at one of these servers (`HOST:PORT`), and at the next one whenever that
    /// ends, or says nothing for so long. `patterns`: which events; all if there are none.
    pub fn start(
        speech: Speech,
        servers: Vec<String>,
        channel: &str,
        patterns: &[&str],
        silence: Duration,
    ) -> Self {
        let (orders, inbox) = mpsc::channel(16);
        let (told, got) = watch::channel(Got::default());
        let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let channel = channel.to_owned();
        let mut client = Client { channel, patterns, silence, told, inbox };
        let task = tokio::spawn(async move {
            for server in servers.iter().cycle() {
                let read = match speech {
                    Speech::Sse => client.read_sse(server).await,
                    Speech::Poll => client.read_poll(server).await,
                    Speech::Json => client.read_json(server).await,
                };
                if let Err(error) = read {
                    tracing::debug!(%error, ?speech, server, "connection ended");
                }
                client.ends();
                sleep(BACKOFF).await;
            }
        });
        Self { orders, got, task }
    }

    /// Tells the client to do something.
    pub async fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).await.context("the client has ended")
    }

    /// How many events have come.
    pub fn count(&self) -> usize {
        self.got.borrow().bodies.len()
    }

    /// Waits until something is so, and says what there is then.
    pub async fn wait_until(&self, what: &str, is_so: impl FnMut(&Got) -> bool) -> Result<Got> {
        let mut got = self.got.clone();
        match timeout(PATIENCE, got.wait_for(is_so)).await {
            Ok(reached) => Ok(reached.context("the client has ended")?.clone()),
            Err(_) => {
                let got = self.got.borrow();
                bail!(
                    "not {what}: {} events, {:?}, {} connections",
                    got.bodies.len(),
                    got.gaps,
                    got.connections
                )
            }
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The client's own side.
struct Client {
    channel: String,
    patterns: Vec<String>,
    silence: Duration,
    told: watch::Sender<Got>,
    inbox: mpsc::Receiver<Order>,
}

impl Client {
    fn since(&self) -> String {
        self.told.borrow().position.clone().unwrap_or_else(|| "earliest".to_owned())
    }

    /// What a request asks for.
    fn query(&self) -> String {
        let encoded = self.patterns.iter().map(|pattern| pattern.replace('#', "%23"));
        let matches: String = encoded.map(|pattern| format!("&match={pattern}")).collect();
        format!("since={}{matches}", self.since())
    }

    fn begins(&self) {
        self.told.send_modify(|got| got.connections += usize::from(!replace(&mut got.is_connected, true)));
    }

    fn ends(&self) {
        self.told.send_modify(|got| got.is_connected = false);
    }

    fn take_event(&self, event: &Value) {
        self.told.send_modify(|got| {
            got.bodies.push(event["body"].as_str().unwrap_or_default().to_owned());
            got.position = event["position"].as_str().map(str::to_owned);
        });
    }

    fn take_gap(&self, gap: &Value) {
        self.told.send_modify(|got| {
            got.gaps.push((got.bodies.len(), gap.clone()));
            got.position = gap["to"].as_str().map(str::to_owned);
        });
    }

    fn take_bound(&mut self, bound: &Value) -> Result<()> {
        self.patterns = serde_json::from_value(bound["match"].clone())?;
        let position = bound["position"].as_str().context("no position")?;
        self.count_from(position);
        Ok(())
    }

    /// There is no way up: other patterns are what the next request asks for, from where the client is.
    fn change(&mut self, order: Option<Order>) -> Result<()> {
        match order.context("nobody listens")? {
            Order::Bind(pattern) => self.patterns.push(pattern.to_owned()),
            Order::Unbind(pattern) => self.patterns.retain(|other| other != pattern),
            order => bail!("{order:?} is for JSON only"),
        }
        self.count_from(&self.since());
        Ok(())
    }

    /// The patterns count for what comes after this position.
    fn count_from(&self, position: &str) {
        self.told.send_modify(|got| got.bound.push((position.to_owned(), self.patterns.clone())));
    }

    fn pauses(&self, at: Option<&str>) {
        self.told.send_modify(|got| got.paused_at = at.map(str::to_owned));
    }

    fn reaches(&self, position: &str) {
        self.told.send_modify(|got| got.position = Some(position.to_owned()));
    }

    async fn read_sse(&mut self, server: &str) -> Result<()> {
        let path = format!("/v1/sse/{}?{}", self.channel, self.query());
        let mut events = timeout(self.silence, Sse::open(server, &path)).await??;
        loop {
            let event = tokio::select! {
                event = events.next_within(self.silence) => event?,
                order = self.inbox.recv() => return self.change(order),
            };
            match event {
                SseEvent { data: Some(event), name, .. } if name.is_empty() => self.take_event(&event),
                SseEvent { data: Some(gap), name, .. } if name == "gap" => self.take_gap(&gap),
                SseEvent { data: Some(_), name, .. } if name == "ready" => self.begins(),
                SseEvent { id: Some(id), name, .. } if name == "at" => self.reaches(&id),
                other => bail!("{other:?}"),
            }
        }
    }

    async fn read_poll(&mut self, server: &str) -> Result<()> {
        loop {
            let wait_s = (self.silence.as_secs() / 2).min(POLL_WAIT_S_MAX);
            let path = format!("/v1/poll/{}?wait={wait_s}&{}", self.channel, self.query());
            let page = tokio::select! {
                page = timeout(self.silence, get(server, &path)) => page??,
                order = self.inbox.recv() => return self.change(order),
            };
            self.begins();
            if let Some(gap) = page.get("gap") {
                self.take_gap(gap);
            }
            page["events"].as_array().context("no events")?.iter().for_each(|event| self.take_event(event));
            self.reaches(page["next"].as_str().context("no next")?);
        }
    }

    async fn read_json(&mut self, server: &str) -> Result<()> {
        let mut session = timeout(self.silence, Json::connect(server)).await??;
        let (channel, since, patterns) = (self.channel.clone(), self.since(), self.patterns.clone());
        let subscribe =
            json!({ "type": "subscribe", "id": 1, "channel": channel, "since": since, "match": patterns });
        session.say(&subscribe).await?;
        loop {
            let message = tokio::select! {
                message = session.hear_within(self.silence) => message?,
                order = self.inbox.recv() => {
                    let (name, patterns) = match order.context("nobody listens")? {
                        Order::Pause => ("pause", None),
                        Order::Resume => ("resume", None),
                        Order::Bind(pattern) => ("bind", Some([pattern])),
                        Order::Unbind(pattern) => ("unbind", Some([pattern])),
                    };
                    session.say(&json!({ "type": name, "id": 2, "channel": channel, "match": patterns })).await?;
                    continue;
                }
            };
            match message["type"].as_str().unwrap_or_default() {
                "event" => self.take_event(&message),
                "gap" => self.take_gap(&message),
                "at" => self.reaches(message["position"].as_str().context("no position")?),
                "subscribed" => self.begins(),
                "bound" | "unbound" => self.take_bound(&message)?,
                "paused" => self.pauses(message["position"].as_str()),
                "resumed" => self.pauses(None),
                _ => bail!("{message}"),
            }
        }
    }
}

/// A session of JSON over WebSocket.
pub struct Json(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Json {
    /// Connects.
    pub async fn connect(server: &str) -> Result<Self> {
        let mut request = format!("ws://{server}/v1/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "tiercast.v1.json".parse()?);
        Ok(Self(connect_async(request).await?.0))
    }

    /// Says something.
    pub async fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.0.send(WsMessage::text(message.to_string())).await?)
    }

    /// The next message.
    pub async fn hear(&mut self) -> Result<Value> {
        self.hear_within(PATIENCE).await
    }

    /// The next message; an error if nothing at all comes for so long, not even a ping.
    pub async fn hear_within(&mut self, silence: Duration) -> Result<Value> {
        loop {
            let message = timeout(silence, self.0.next()).await?.context("the end")??;
            if let WsMessage::Text(text) = message {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }

    /// Says something, and hears what comes next.
    pub async fn ask(&mut self, message: &Value) -> Result<Value> {
        self.say(message).await?;
        self.hear().await
    }
}

/// One block of `text/event-stream`.
#[derive(Debug, Default)]
pub struct SseEvent {
    /// Its event field.
    pub name: String,
    /// Its id.
    pub id: Option<String>,
    /// Its data.
    pub data: Option<Value>,
}

/// A stream of server-sent events. The chunks of HTTP/1.1 end where events do, and their sizes stand in lines that mean nothing.
pub struct Sse {
    lines: Lines<BufReader<TcpStream>>,
    event: SseEvent,
}

impl Sse {
    /// Asks for a path.
    pub async fn open(server: &str, path: &str) -> Result<Self> {
        Self::ask(server, path, "").await
    }

    /// Asks for a path again, by the id of what came last.
    pub async fn reopen(server: &str, path: &str, id: &str) -> Result<Self> {
        Self::ask(server, path, &format!("last-event-id: {id}\r\n")).await
    }

    async fn ask(server: &str, path: &str, header: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next_line().await?.context("no answer")?;
        ensure!(status.contains(" 200 "), "{status}");
        while !lines.next_line().await?.context("no answer")?.is_empty() {}
        Ok(Self { lines, event: SseEvent::default() })
    }

    /// The next event that says something.
    pub async fn next(&mut self) -> Result<SseEvent> {
        self.next_within(PATIENCE).await
    }

    /// The next event that says something; an error if there is no line at all for so long, not even a comment.
    pub async fn next_within(&mut self, silence: Duration) -> Result<SseEvent> {
        loop {
            let line = timeout(silence, self.lines.next_line()).await??.context("the end")?;
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut self.event.name),
                Some(("id", id)) => self.event.id = Some(id.to_owned()),
                Some(("data", data)) => self.event.data = Some(serde_json::from_str(data)?),
                _ if line.is_empty() && self.event.data.is_some() => {
                    return Ok(take(&mut self.event));
                }
                _ => {}
            }
        }
    }
}

/// What a GET is answered with, as JSON.
pub async fn get(server: &str, path: &str) -> Result<Value> {
    ask(server, &format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n")).await
}

/// What is answered to a POST of JSON by somebody with an API key.
pub async fn post(server: &str, path: &str, api_key: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\nauthorization: Bearer {api_key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    ask(server, &format!("{head}{body}")).await
}

async fn ask(server: &str, request: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
    Ok(serde_json::from_str(body)?)
}
