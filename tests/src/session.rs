//! A session without a mesh: it is fed by the server and checks that nothing is missing and nothing comes twice.

use std::{collections::VecDeque, net::SocketAddr, num::NonZeroU32};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tiercast_codec::{
    ChannelName, Code, Event, Gap, Hello, Item, PROTOCOL_VERSION, Pong, Position, Since, Subscribe, ToHub,
    ToPeer, WireMessage,
};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::listener::PATIENCE;

/// A session that is subscribed to one channel.
#[derive(Debug)]
pub struct Session {
    socket: WebSocketStream<TcpStream>,
    items: VecDeque<Item>,
    /// What came and has not been taken.
    events: VecDeque<Event>,
    /// How far it is.
    pub position: Position,
    /// Whether the server said that everything after the position asked for is there.
    pub recovered: bool,
    /// The gaps that came.
    pub gaps: Vec<Gap>,
}

impl Session {
    /// Connects and subscribes; comes back as long as the server is not ready.
    pub async fn subscribe(addr: SocketAddr, channel: &ChannelName, since: Since) -> Result<Self> {
        let mut request = format!("ws://{addr}/v1/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "tiercast.v1".parse()?);
        let socket = client_async(request, TcpStream::connect(addr).await?).await?.0;
        let (items, events, position) = (VecDeque::new(), VecDeque::new(), Position::new(0, -1));
        let mut session = Self { socket, items, events, position, recovered: false, gaps: Vec::new() };
        let hello = Hello { id: 1, protocol: PROTOCOL_VERSION, client: "test".to_owned(), resume: None };
        session.send(ToHub::Hello(hello)).await?;
        while !session.is_subscribed(channel, since).await? {}
        Ok(session)
    }

    async fn is_subscribed(&mut self, channel: &ChannelName, since: Since) -> Result<bool> {
        let (channel, links, window_bytes) = (channel.clone(), Vec::new(), NonZeroU32::MAX);
        let subscribe = Subscribe { id: 2, channel, since, window_bytes, relay: None, links };
        self.send(ToHub::Subscribe(subscribe)).await?;
        loop {
            match self.control().await? {
                ToPeer::Subscribed(subscribed) => {
                    (self.position, self.recovered) = (subscribed.position, subscribed.recovered);
                    return Ok(true);
                }
                ToPeer::Error(error) if error.code == Code::NOT_READY => {
                    let wait = error.retry_after_ms.context("not ready, and no time to come back")?;
                    sleep(std::time::Duration::from_millis(wait.into())).await;
                    return Ok(false);
                }
                ToPeer::Error(error) => bail!("refused: {error:?}"),
                _ => {}
            }
        }
    }

    /// The next so many events. Gaps are kept aside.
    pub async fn events(&mut self, count: usize) -> Result<Vec<Event>> {
        while self.events.len() < count {
            let so_far = self.events.len();
            let item = self.item().await.with_context(|| format!("after {so_far} of {count} events"))?;
            match item {
                Item::Frame(frame) => {
                    let (header, position) = (*frame.header(), self.position);
                    let covers = header.epoch == position.epoch && header.after <= position.offset;
                    ensure!(covers && position.offset < header.last, "{header:?} does not cover {position}");
                    self.position = frame.position();
                    let new = frame.events()?.into_iter().filter(|event| event.offset > position.offset);
                    self.events.extend(new);
                }
                Item::Control(bytes) => self.on_control(ToPeer::decode(&bytes)?).await?,
                _ => {}
            }
        }
        Ok(self.events.drain(..count).collect())
    }

    async fn on_control(&mut self, message: ToPeer) -> Result<()> {
        match message {
            ToPeer::Gap(gap) => {
                ensure!(gap.from == self.position, "the gap begins elsewhere: {gap:?}");
                self.position = gap.to;
                self.gaps.push(gap);
                Ok(())
            }
            ToPeer::Ping(ping) => self.send(ToHub::Pong(Pong { time_us: ping.time_us })).await,
            _ => Ok(()),
        }
    }

    async fn control(&mut self) -> Result<ToPeer> {
        match self.item().await? {
            Item::Control(bytes) => Ok(ToPeer::decode(&bytes)?),
            other => bail!("not a control message: {other:?}"),
        }
    }

    async fn item(&mut self) -> Result<Item> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(item);
            }
            let message = timeout(PATIENCE, self.socket.next()).await.context("nothing came")?;
            match message.context("the end without a close")?? {
                Message::Binary(bytes) => self.items.extend(Item::all(bytes)?),
                Message::Close(frame) => bail!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    async fn send(&mut self, message: ToHub) -> Result<()> {
        Ok(self.socket.send(Message::Binary(message.encode())).await?)
    }
}
