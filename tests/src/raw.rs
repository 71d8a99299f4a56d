//! A publisher that writes AMQP 0-9-1 by hand, and so can say what no library lets one say.

use std::{collections::BTreeSet, io};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lapin::uri::AMQPUri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::broker::ANSWER_MAX;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;

/// Largest payload of a body frame that is sent; RabbitMQ allows 131,064 bytes.
const BODY_FRAME_MAX: usize = 100_000;

/// Messages that are on their way at once.
const WINDOW: usize = 500;

/// A message in the bytes of the wire.
#[derive(Debug, Clone, Default)]
pub struct RawMessage {
    /// Its routing key, at most 255 bytes.
    pub routing_key: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
    flags: u16,
    properties: Vec<u8>,
}

/// A property that is a short string, as its place in the order of the properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what they are")]
pub enum Text {
    ContentType = 0,
    ContentEncoding = 1,
    CorrelationId = 5,
    ReplyTo = 6,
    MessageId = 8,
    Type = 10,
    AppId = 12,
    ClusterId = 13,
}

/// The place of the headers in the order of the properties.
const HEADERS: u16 = 2;

impl RawMessage {
    /// A message without properties.
    pub fn new(routing_key: impl Into<Vec<u8>>, body: impl Into<Vec<u8>>) -> Self {
        Self { routing_key: routing_key.into(), body: body.into(), ..Self::default() }
    }

    /// With a property. Properties are to be added in their order.
    pub fn with(self, text: Text, value: &[u8]) -> Self {
        self.property(text as u16, &short(value))
    }

    /// With headers: the bytes of their fields, see [`field`].
    pub fn with_headers(self, fields: &[u8]) -> Self {
        self.property(HEADERS, &long(fields))
    }

    fn property(mut self, place: u16, bytes: &[u8]) -> Self {
        let flag = 1 << (15 - place);
        assert!(self.flags & (flag | (flag - 1)) == 0, "properties out of order");
        self.flags |= flag;
        self.properties.extend_from_slice(bytes);
        self
    }

    fn write(&self, exchange: &str, into: &mut Vec<u8>) {
        let mut publish = vec![0, 60, 0, 40, 0, 0];
        publish.extend(short(exchange.as_bytes()));
        publish.extend(short(&self.routing_key));
        publish.push(1);
        frame(METHOD, 1, &publish, into);
        let mut header = vec![0, 60, 0, 0];
        header.extend((self.body.len() as u64).to_be_bytes());
        header.extend(self.flags.to_be_bytes());
        header.extend(&self.properties);
        frame(HEADER, 1, &header, into);
        for part in self.body.chunks(BODY_FRAME_MAX) {
            frame(BODY, 1, part, into);
        }
    }
}

/// A header: its key, the letter of its type, and the bytes of its value.
pub fn field(key: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = short(key);
    bytes.push(kind);
    bytes.extend_from_slice(value);
    bytes
}

/// The value of a header of type `F` or `S`: its bytes behind their number.
pub fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn short(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short string has at most 255 bytes");
    [&[length], bytes].concat()
}

fn frame(kind: u8, channel: u16, payload: &[u8], into: &mut Vec<u8>) {
    into.push(kind);
    into.extend(channel.to_be_bytes());
    into.extend(long(payload));
    into.push(FRAME_END);
}

/// A connection that publishes with confirms and `mandatory`.
#[derive(Debug)]
pub struct RawPublisher {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    exchange: String,
    published: u64,
}

impl RawPublisher {
    /// Connects.
    pub async fn connect(url: &str, exchange: &str) -> Result<Self> {
        let uri: AMQPUri = url.parse().map_err(|error| anyhow!("{error}"))?;
        let authority = &uri.authority;
        let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
        stream.set_nodelay(true)?;
        let (input, output) = stream.into_split();
        let mut publisher =
            Self { input: BufReader::new(input), output, exchange: exchange.to_owned(), published: 0 };
        publisher.output.write_all(b"AMQP\x00\x00\x09\x01").await?;
        publisher.expect(10, 10).await?;
        let user = &authority.userinfo;
        let secret = format!("\0{}\0{}", user.username, user.password);
        let start_ok = [long(b""), short(b"PLAIN"), long(secret.as_bytes()), short(b"en_US")].concat();
        publisher.call(0, (10, 11), &start_ok, (10, 30)).await?;
        // One channel, frames of the default size, no heartbeat.
        let tune_ok = [0, 1, 0, 2, 0, 0, 0, 0];
        publisher.send(0, (10, 31), &tune_ok).await?;
        let open = [short(uri.vhost.as_bytes()), vec![0, 0]].concat();
        publisher.call(0, (10, 40), &open, (10, 41)).await?;
        publisher.call(1, (20, 10), &[0], (20, 11)).await?;
        publisher.call(1, (85, 10), &[0], (85, 11)).await?;
        Ok(publisher)
    }

    /// Publishes each message; returns when all have been confirmed.
    pub async fn publish(&mut self, messages: &[RawMessage]) -> Result<()> {
        for window in messages.chunks(WINDOW) {
            let mut bytes = Vec::new();
            window.iter().for_each(|message| message.write(&self.exchange, &mut bytes));
            self.output.write_all(&bytes).await?;
            let first = self.published + 1;
            self.published += window.len() as u64;
            self.wait_for((first..=self.published).collect()).await?;
        }
        Ok(())
    }

    async fn wait_for(&mut self, mut unconfirmed: BTreeSet<u64>) -> Result<()> {
        while !unconfirmed.is_empty() {
            let confirm = self.expect(60, 80).await?;
            let (tag, is_multiple) = (u64::from_be_bytes(confirm[..8].try_into()?), confirm[8] == 1);
            unconfirmed.retain(|open| if is_multiple { *open > tag } else { *open != tag });
        }
        Ok(())
    }

    async fn send(&mut self, channel: u16, method: (u8, u8), arguments: &[u8]) -> io::Result<()> {
        let payload = [&[0, method.0, 0, method.1], arguments].concat();
        let mut bytes = Vec::new();
        frame(METHOD, channel, &payload, &mut bytes);
        self.output.write_all(&bytes).await
    }

    async fn call(
        &mut self,
        channel: u16,
        method: (u8, u8),
        arguments: &[u8],
        answer: (u8, u8),
    ) -> Result<()> {
        self.send(channel, method, arguments).await?;
        self.expect(answer.0, answer.1).await?;
        Ok(())
    }

    /// The arguments of the next method, which must be this one.
    async fn expect(&mut self, class: u8, method: u8) -> Result<Vec<u8>> {
        let payload = timeout(ANSWER_MAX, self.method()).await.context("no answer from the broker")??;
        let found = (payload[1], payload[3]);
        ensure!(
            found == (class, method),
            "{found:?} instead of {:?}: {}",
            (class, method),
            String::from_utf8_lossy(&payload)
        );
        Ok(payload[4..].to_vec())
    }

    async fn method(&mut self) -> Result<Vec<u8>> {
        loop {
            let mut head = [0; 7];
            self.input.read_exact(&mut head).await?;
            let length = u32::from_be_bytes(head[3..].try_into()?) as usize;
            let mut payload = vec![0; length + 1];
            self.input.read_exact(&mut payload).await?;
            ensure!(payload.pop() == Some(FRAME_END), "a frame without its end");
            match head[0] {
                METHOD => return Ok(payload),
                8 => {}
                other => bail!("a frame of type {other}"),
            }
        }
    }
}
