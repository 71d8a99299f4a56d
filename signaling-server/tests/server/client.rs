//! A peer without a mesh: says what it is told to, and checks everything that it receives.

use std::{collections::VecDeque, net::SocketAddr, num::NonZeroU32, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tiercast_codec::{
    ChannelName, Code, Ed25519, ErrorMessage, Event, Gap, Hello, Item, PROTOCOL_VERSION, Position, Relay,
    Since, Subscribe, Subscribed, ToHub, ToPeer, Welcome, WireMessage,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message as WsMessage,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One thing that a client received.
#[derive(Debug)]
pub enum Received {
    /// Events of a frame that was verified and follows what was received before.
    Events(Vec<Event>),
    /// A gap that begins where the client is.
    Gap(Gap),
    /// The connection was closed.
    Closed(Code, String),
}

/// A session, subscribed to at most one channel.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    pub welcome: Welcome,
    channel: Option<ChannelName>,
    pub position: Option<Position>,
    items: VecDeque<Item>,
    answers_pings: bool,
}

/// Opens a WebSocket with these subprotocols.
pub async fn open(
    addr: SocketAddr,
    subprotocols: &str,
) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    open_on(TcpStream::connect(addr).await?, addr, subprotocols, None).await
}

async fn open_on<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    addr: SocketAddr,
    subprotocols: &str,
    header: Option<(&'static str, HeaderValue)>,
) -> Result<WebSocketStream<T>, tungstenite::Error> {
    let mut request = format!("ws://{addr}/v1/ws").into_client_request()?;
    if let Ok(offered) = HeaderValue::from_str(subprotocols) {
        request.headers_mut().insert("sec-websocket-protocol", offered);
    }
    request.headers_mut().extend(header.map(|(name, value)| (HeaderName::from_static(name), value)));
    Ok(client_async(request, io).await?.0)
}

impl Client {
    /// Connects and says hello.
    pub async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        Self::greet(open(addr, "tiercast.v1").await?).await
    }

    /// Connects by way of a proxy, which says where it comes from, and says hello.
    pub async fn connect_from(addr: SocketAddr, address: &str) -> anyhow::Result<Self> {
        Self::connect_with(addr, ("x-forwarded-for", address.parse()?)).await
    }

    /// Connects with a key, and says hello.
    pub async fn connect_by_key(addr: SocketAddr, key: &str) -> anyhow::Result<Self> {
        Self::connect_with(addr, ("authorization", format!("Bearer {key}").parse()?)).await
    }

    async fn connect_with(addr: SocketAddr, header: (&'static str, HeaderValue)) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        Self::greet(open_on(stream, addr, "tiercast.v1", Some(header)).await?).await
    }

    /// Connects with a small receive buffer, so that one who does not read soon takes nothing more.
    pub async fn connect_narrow(addr: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(16 << 10)?;
        Self::greet(open_on(socket.connect(addr).await?, addr, "tiercast.v1", None).await?).await
    }

    async fn greet(mut socket: WebSocketStream<TcpStream>) -> anyhow::Result<Self> {
        let hello = Hello { id: 1, protocol: PROTOCOL_VERSION, client: "test".to_owned(), resume: None };
        socket.send(WsMessage::Binary(ToHub::Hello(hello).encode())).await?;
        let answer = timeout(PATIENCE, socket.next()).await?.context("the end instead of a welcome")??;
        let welcome = match answer {
            WsMessage::Binary(bytes) => match ToPeer::decode(&bytes)? {
                ToPeer::Welcome(welcome) => welcome,
                other => bail!("no welcome: {other:?}"),
            },
            other => bail!("no welcome: {other:?}"),
        };
        ensure!(welcome.id == 1, "the answer to another request");
        let (channel, position, items) = (None, None, VecDeque::new());
        Ok(Self { socket, welcome, channel, position, items, answers_pings: true })
    }

    /// Connects, says hello and subscribes.
    pub async fn subscribed(addr: SocketAddr, since: Since) -> anyhow::Result<Self> {
        let mut client = Self::connect(addr).await?;
        client.subscribe("events", since).await?.map_err(|error| anyhow::anyhow!("refused: {error:?}"))?;
        Ok(client)
    }

    /// Subscribes; the server's refusal is the inner error.
    pub async fn subscribe(
        &mut self,
        channel: &str,
        since: Since,
    ) -> anyhow::Result<Result<Subscribed, ErrorMessage>> {
        self.subscribe_as(channel, since, None).await
    }

    /// The same for one who may take part in the mesh.
    pub async fn subscribe_as(
        &mut self,
        channel: &str,
        since: Since,
        relay: Option<Relay>,
    ) -> anyhow::Result<Result<Subscribed, ErrorMessage>> {
        let channel: ChannelName = channel.parse()?;
        // It never says how far it is.
        let window_bytes = NonZeroU32::MAX;
        let subscribe =
            Subscribe { id: 2, channel: channel.clone(), since, window_bytes, relay, links: Vec::new() };
        self.send(ToHub::Subscribe(subscribe)).await?;
        loop {
            match self.control().await? {
                ToPeer::Subscribed(subscribed) => {
                    ensure!(subscribed.id == 2 && subscribed.channel_id == channel.id());
                    self.channel = Some(channel);
                    self.position = Some(subscribed.position);
                    return Ok(Ok(subscribed));
                }
                ToPeer::Error(error) => return Ok(Err(error)),
                _ => {}
            }
        }
    }

    /// Answers no ping from now on.
    pub fn fall_silent(&mut self) {
        self.answers_pings = false;
    }

    pub async fn send(&mut self, message: ToHub) -> anyhow::Result<()> {
        self.send_raw(WsMessage::Binary(message.encode())).await
    }

    pub async fn send_raw(&mut self, message: WsMessage) -> anyhow::Result<()> {
        Ok(self.socket.send(message).await?)
    }

    /// The next control message; nothing else may come before it.
    pub async fn control(&mut self) -> anyhow::Result<ToPeer> {
        loop {
            match self.item().await? {
                Ok(Item::Control(bytes)) => match ToPeer::decode(&bytes)? {
                    ToPeer::Ping(ping) => self.on_ping(ping).await?,
                    message => return Ok(message),
                },
                Ok(other) => bail!("not a control message: {other:?}"),
                Err((code, reason)) => bail!("closed: {code} {reason}"),
            }
        }
    }

    /// The next events, gap or end. Everything is checked: signatures, and that nothing is missing.
    pub async fn receive(&mut self) -> anyhow::Result<Received> {
        loop {
            let item = match self.item().await? {
                Ok(item) => item,
                Err((code, reason)) => return Ok(Received::Closed(code, reason)),
            };
            match item {
                Item::Frame(frame) => {
                    let channel = self.channel.as_ref().context("a frame without a subscription")?;
                    let key = self.welcome.keys.first().context("no key")?.0;
                    ensure!(frame.verify(channel, &key, &Ed25519), "the signature does not match");
                    let position = self.position.context("a frame without a position")?;
                    let header = *frame.header();
                    ensure!(
                        header.epoch == position.epoch
                            && header.after <= position.offset
                            && position.offset < header.last,
                        "{header:?} does not cover {position}"
                    );
                    self.position = Some(frame.position());
                    let mut events = frame.events()?;
                    events.retain(|event| event.offset > position.offset);
                    return Ok(Received::Events(events));
                }
                Item::Control(bytes) => match ToPeer::decode(&bytes)? {
                    ToPeer::Gap(gap) => {
                        ensure!(Some(gap.from) == self.position, "the gap begins elsewhere: {gap:?}");
                        self.position = Some(gap.to);
                        return Ok(Received::Gap(gap));
                    }
                    ToPeer::Ping(ping) => self.on_ping(ping).await?,
                    _ => {}
                },
                Item::Head(_) => {}
                Item::Chunk { .. } | Item::Nack(_) => bail!("what belongs on links, on a WebSocket"),
            }
        }
    }

    /// The next `count` events, without a gap.
    pub async fn events(&mut self, count: usize) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        while events.len() < count {
            match self.receive().await? {
                Received::Events(more) => events.extend(more),
                other => bail!("{other:?} after {} of {count} events", events.len()),
            }
        }
        ensure!(events.len() == count, "{} events instead of {count}", events.len());
        Ok(events)
    }

    /// Waits for the end.
    pub async fn closed(&mut self) -> anyhow::Result<(Code, String)> {
        loop {
            if let Received::Closed(code, reason) = self.receive().await? {
                return Ok((code, reason));
            }
        }
    }

    /// Answers so many pings. An end before that is an error.
    pub async fn answer_pings(&mut self, count: usize) -> anyhow::Result<()> {
        let mut answered = 0;
        while answered < count {
            match self.item().await? {
                Ok(Item::Control(bytes)) => {
                    if let ToPeer::Ping(ping) = ToPeer::decode(&bytes)? {
                        self.on_ping(ping).await?;
                        answered += 1;
                    }
                }
                Ok(_) => {}
                Err((code, reason)) => bail!("closed after {answered} answers: {code} {reason}"),
            }
        }
        Ok(())
    }

    /// Leaves without a closing handshake, and waits until the server has noticed: it tells the hub before it ends
    /// its side of the connection.
    pub async fn vanish(self) -> anyhow::Result<()> {
        let mut stream = self.socket.into_inner();
        stream.shutdown().await?;
        timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.context("not noticed")??;
        Ok(())
    }

    async fn on_ping(&mut self, ping: tiercast_codec::Ping) -> anyhow::Result<()> {
        if self.answers_pings {
            let pong = tiercast_codec::Pong { time_us: ping.time_us };
            self.send(ToHub::Pong(pong)).await?;
        }
        Ok(())
    }

    async fn item(&mut self) -> anyhow::Result<Result<Item, (Code, String)>> {
        while self.items.is_empty() {
            let message = timeout(PATIENCE, self.socket.next()).await.context("nothing came")?;
            match message.context("the end without a close")?? {
                WsMessage::Binary(bytes) => self.items.extend(Item::all(bytes)?),
                WsMessage::Close(frame) => {
                    let frame = frame.context("a close without a code")?;
                    return Ok(Err((Code(frame.code.into()), frame.reason.to_string())));
                }
                WsMessage::Ping(_) | WsMessage::Pong(_) => {}
                other => bail!("not binary: {other:?}"),
            }
        }
        Ok(Ok(self.items.pop_front().context("just filled")?))
    }
}
