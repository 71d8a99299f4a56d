//! Readers of every transport on bare sockets: so cheap that a thousand of them cost less than the server that they measure.

use std::{fmt, net::SocketAddr, num::NonZeroU32, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tiercast_codec::{
    ChannelName, Hello, Item, PROTOCOL_VERSION, Pong, Position, Since, Subscribe, ToHub, ToPeer, WireMessage,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Bytes that are read at a time.
const READ_BYTES: usize = 16 << 10;

/// A client that is told nothing else comes back after so long.
const RETRY: Duration = Duration::from_millis(100);

/// What a reader speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The binary session of a peer that takes no part in the mesh.
    Session,
    /// JSON over WebSocket.
    Json,
    /// Server-sent events.
    Sse,
    /// Long poll.
    Poll,
}

impl Transport {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Session, Self::Json, Self::Sse, Self::Poll];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Json => "json",
            Self::Sse => "sse",
            Self::Poll => "poll",
        }
    }
}

impl std::str::FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|transport| transport.name() == name);
        found.ok_or_else(|| format!("`{name}`: choose from session, json, sse, poll"))
    }
}

/// What a reader is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It reads from now on.
    Ready,
    /// An event; its message id is this number.
    Event(u64),
    /// Events are gone for good.
    Gap,
}

/// The server ended it, or said no.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub reason: String,
    /// When to come back.
    pub retry: Duration,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Ended {}

/// One reader on one connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// What came and is not understood yet.
    input: Vec<u8>,
    reading: Reading,
}

/// What a reader knows.
#[derive(Debug)]
struct Reading {
    transport: Transport,
    server: SocketAddr,
    channel: ChannelName,
    since: Since,
    /// The head of an answer is still to come.
    is_at_head: bool,
    /// Length of the body of an answer to a poll.
    body_bytes: usize,
    /// The beginning of a WebSocket message.
    message: Vec<u8>,
    retry: Duration,
    /// What is to be sent.
    out: Vec<u8>,
}

impl Wire {
    /// Connects and asks for what comes after `since`. `receive_buffer`: what the kernel is to hold for the reader, about.
    pub async fn open(
        transport: Transport,
        server: SocketAddr,
        channel: &ChannelName,
        since: Since,
        receive_buffer: Option<u32>,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        receive_buffer.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        let reading = Reading {
            transport,
            server,
            channel: channel.clone(),
            since,
            is_at_head: true,
            body_bytes: 0,
            message: Vec::new(),
            retry: RETRY,
            out: Vec::new(),
        };
        let mut wire = Self { stream, input: Vec::new(), reading };
        wire.reading.request();
        wire.send().await?;
        Ok(wire)
    }

    /// How far it is.
    pub fn since(&self) -> Since {
        self.reading.since
    }

    /// Reads once, and tells what came.
    pub async fn read(&mut self, told: impl FnMut(Told)) -> Result<()> {
        self.read_at_most(READ_BYTES, told).await
    }

    /// The same, no more than so many bytes.
    pub async fn read_at_most(&mut self, bytes: usize, mut told: impl FnMut(Told)) -> Result<()> {
        self.input.reserve(bytes);
        let count = (&mut self.stream).take(bytes as u64).read_buf(&mut self.input).await?;
        if count == 0 {
            return Err(self.reading.ended("the end"));
        }
        let mut used = 0;
        loop {
            let taken = self.reading.take(&self.input[used..], &mut told)?;
            if taken == 0 {
                break;
            }
            used += taken;
        }
        self.input.drain(..used);
        self.send().await
    }

    async fn send(&mut self) -> Result<()> {
        if !self.reading.out.is_empty() {
            self.stream.write_all(&self.reading.out).await?;
            self.reading.out.clear();
        }
        Ok(())
    }
}

impl Reading {
    fn ended(&self, reason: impl Into<String>) -> anyhow::Error {
        Ended { reason: reason.into(), retry: self.retry }.into()
    }

    /// What a transport begins with; of long poll, every request.
    fn request(&mut self) {
        let Self { server, channel, transport, .. } = self;
        let since = match self.since {
            Since::Position(position) => position.to_string(),
            Since::Earliest => "earliest".to_owned(),
            Since::Now => "now".to_owned(),
        };
        let head = match transport {
            Transport::Sse => {
                format!("GET /v1/sse/{channel}?since={since} HTTP/1.1\r\nhost: {server}\r\n\r\n")
            }
            Transport::Poll => {
                format!("GET /v1/poll/{channel}?since={since} HTTP/1.1\r\nhost: {server}\r\n\r\n")
            }
            Transport::Json => upgrade(*server, "tiercast.v1.json"),
            Transport::Session => upgrade(*server, "tiercast.v1"),
        };
        self.out.extend_from_slice(head.as_bytes());
        match transport {
            Transport::Json => {
                let subscribe = json!({ "type": "subscribe", "id": 1, "channel": channel, "since": since });
                self.say(1, subscribe.to_string().as_bytes());
            }
            Transport::Session => {
                let hello =
                    Hello { id: 1, protocol: PROTOCOL_VERSION, client: "measuring".to_owned(), resume: None };
                let subscribe = Subscribe {
                    id: 2,
                    channel: channel.clone(),
                    since: self.since,
                    window_bytes: NonZeroU32::MAX,
                    relay: None,
                    links: Vec::new(),
                };
                self.say(2, &ToHub::Hello(hello).encode());
                self.say(2, &ToHub::Subscribe(subscribe).encode());
            }
            Transport::Sse | Transport::Poll => {}
        }
    }

    /// A WebSocket frame, masked with zeros.
    fn say(&mut self, opcode: u8, payload: &[u8]) {
        self.out.push(0x80 | opcode);
        match u8::try_from(payload.len()).ok().filter(|length| *length < 126) {
            Some(length) => self.out.push(0x80 | length),
            None => {
                self.out.push(0x80 | 126);
                let length = u16::try_from(payload.len()).expect("clients say little");
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(payload);
    }

    /// Takes what comes next of the input. Says how many bytes that was; 0: it is not whole yet.
    fn take(&mut self, input: &[u8], told: &mut impl FnMut(Told)) -> Result<usize> {
        if self.is_at_head {
            return self.take_head(input, told);
        }
        match self.transport {
            Transport::Sse => self.take_block(input, told),
            Transport::Poll => self.take_page(input, told),
            Transport::Json | Transport::Session => self.take_frame(input, told),
        }
    }

    fn take_head(&mut self, input: &[u8], told: &mut impl FnMut(Told)) -> Result<usize> {
        let Some(length) = find(input, b"\r\n\r\n") else { return Ok(0) };
        let head = std::str::from_utf8(&input[..length])?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !matches!(status, "200" | "101") {
            return Err(self.ended(head));
        }
        if self.transport == Transport::Poll {
            let bytes = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
            self.body_bytes = bytes.context("no length")?.parse()?;
            told(Told::Ready);
        }
        self.is_at_head = false;
        Ok(length + 4)
    }

    /// A block of server-sent events. What HTTP/1.1 says about its chunks stands in lines of their own.
    fn take_block(&mut self, input: &[u8], told: &mut impl FnMut(Told)) -> Result<usize> {
        let Some(length) = find(input, b"\n\n") else { return Ok(0) };
        let (mut name, mut data, mut id) = ("", "", "");
        for line in std::str::from_utf8(&input[..length])?.split('\n') {
            match line.split_once(": ") {
                Some(("event", value)) => name = value,
                Some(("data", value)) => data = value,
                Some(("id", value)) => id = value,
                Some(("retry", value)) => self.retry = Duration::from_millis(value.parse()?),
                _ => {}
            }
        }
        if !id.is_empty() {
            self.since = Since::Position(id.parse()?);
        }
        match name {
            "" if data.is_empty() => {}
            "" => told(Told::Event(number(data)?)),
            "gap" => told(Told::Gap),
            "ready" => told(Told::Ready),
            _ => return Err(self.ended(format!("{name}: {data}"))),
        }
        Ok(length + 2)
    }

    /// An answer to a poll.
    fn take_page(&mut self, input: &[u8], told: &mut impl FnMut(Told)) -> Result<usize> {
        let Some(body) = input.get(..self.body_bytes) else { return Ok(0) };
        let (head, events) =
            std::str::from_utf8(body)?.split_once(",\"events\":[").context("no page of events")?;
        self.since = Since::Position(text_of(head, "next").context("no next")?.parse()?);
        if head.contains("\"gap\":") {
            told(Told::Gap);
        }
        for event in events.split("{\"type\":\"event\"").skip(1) {
            told(Told::Event(number(event)?));
        }
        self.is_at_head = true;
        self.request();
        Ok(self.body_bytes)
    }

    /// A frame of the WebSocket.
    fn take_frame(&mut self, input: &[u8], told: &mut impl FnMut(Told)) -> Result<usize> {
        let [first, second, rest @ ..] = input else { return Ok(0) };
        let (length, head) = match (second, rest) {
            (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize, 10)
            }
            (126 | 127, _) => return Ok(0),
            (length, _) => (usize::from(*length), 2),
        };
        let Some(payload) = input.get(head..head + length) else { return Ok(0) };
        match (first & 0x0f, first & 0x80 != 0) {
            (0..=2, false) => self.message.extend_from_slice(payload),
            (0, true) => {
                let message = [&std::mem::take(&mut self.message), payload].concat();
                self.on_items(message, told)?;
            }
            (1, true) => self.on_json(std::str::from_utf8(payload)?, told)?,
            (2, true) => self.on_items(payload.to_vec(), told)?,
            (8, _) => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Err(self.ended(format!("closed with {code:?}")));
            }
            (9, _) => self.say(10, payload),
            _ => {}
        }
        Ok(head + length)
    }

    fn on_json(&mut self, text: &str, told: &mut impl FnMut(Told)) -> Result<()> {
        if text.starts_with("{\"type\":\"event\"") {
            self.since = Since::Position(text_of(text, "position").context("no position")?.parse()?);
            told(Told::Event(number(text)?));
            return Ok(());
        }
        let message: Value = serde_json::from_str(text)?;
        match message["type"].as_str().unwrap_or_default() {
            "gap" => {
                self.since = Since::Position(message["to"].as_str().context("no end")?.parse()?);
                told(Told::Gap);
            }
            "subscribed" => told(Told::Ready),
            "at" => self.since = Since::Position(message["position"].as_str().context("where")?.parse()?),
            _ => {
                self.retry = message["retry_after_ms"].as_u64().map_or(self.retry, Duration::from_millis);
                return Err(self.ended(text));
            }
        }
        Ok(())
    }

    fn on_items(&mut self, message: Vec<u8>, told: &mut impl FnMut(Told)) -> Result<()> {
        for item in Item::all(message.into())? {
            match item {
                Item::Frame(frame) => {
                    let Since::Position(at) = self.since else { bail!("a frame before `subscribed`") };
                    let header = frame.header();
                    ensure!(header.after <= at.offset && header.epoch == at.epoch, "{header:?} after {at}");
                    for event in frame.events()?.iter().filter(|event| event.offset > at.offset) {
                        told(Told::Event(event.message.message_id.as_deref().context("no id")?.parse()?));
                    }
                    self.since = Since::Position(frame.position());
                }
                Item::Control(bytes) => self.on_control(ToPeer::decode(&bytes)?, told)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn on_control(&mut self, message: ToPeer, told: &mut impl FnMut(Told)) -> Result<()> {
        match message {
            ToPeer::Subscribed(subscribed) => {
                self.since = Since::Position(subscribed.position);
                told(Told::Ready);
            }
            ToPeer::Gap(gap) => {
                self.since = Since::Position(gap.to);
                told(Told::Gap);
            }
            ToPeer::Ping(ping) => self.say(2, &ToHub::Pong(Pong { time_us: ping.time_us }).encode()),
            ToPeer::Error(error) => {
                let retry = error.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
                self.retry = retry.unwrap_or(self.retry);
                return Err(self.ended(format!("{error:?}")));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A request for a WebSocket; its key is that of RFC 6455.
fn upgrade(server: SocketAddr, protocol: &str) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nhost: {server}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocol}\r\n\r\n"
    )
}

/// The message id of an event that is written as JSON.
fn number(event: &str) -> Result<u64> {
    Ok(text_of(event, "message_id").context("no id")?.parse()?)
}

/// The text of a field, which has nothing that is escaped.
fn text_of<'a>(json: &'a str, field: &str) -> Option<&'a str> {
    let begin =
        json.match_indices(field).find_map(|(at, _)| json[at + field.len()..].strip_prefix("\":\""))?;
    begin.split_once('"').map(|(text, _)| text)
}

fn find(input: &[u8], what: &[u8]) -> Option<usize> {
    input.windows(what.len()).position(|window| window == what)
}

/// Where a channel of a server is.
pub async fn position(server: SocketAddr, channel: &ChannelName) -> Result<Position> {
    let channels = crate::plain::get(&server.to_string(), "/v1/channels").await?;
    let channels = channels["channels"].as_array().context("no channels")?;
    let found = channels.iter().find(|one| one["name"] == channel.as_str()).context("no such channel")?;
    Ok(found["position"].as_str().context("not open yet")?.parse()?)
}
