//! How a connection to the server ends: with a close frame from each side.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tiercast_codec::{ErrorMessage, ToPeer, WireMessage};
use tiercast_peer_client::{Client, ClientOptions, Code, News, Notification, ServerUrl, SubscribeOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

/// Longest wait for what comes at once: generous, since machines that run tests are busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// A departing peer waits at least so long for an answer that does not come.
const WAITED: Duration = Duration::from_millis(400);

/// A server that does as the test says.
struct Server {
    listener: TcpListener,
    client: Client,
}

impl Server {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/v1/ws", listener.local_addr()?);
        Ok(Self { client: Client::connect(url.parse()?, ClientOptions::default()), listener })
    }

    async fn accept(&self) -> Result<WebSocketStream<TcpStream>> {
        let (io, _) = timeout(DEADLINE, self.listener.accept()).await.context("nobody comes")??;
        as_server(io).await
    }
}

async fn as_server(io: TcpStream) -> Result<WebSocketStream<TcpStream>> {
    // The error's type is the library's.
    #[allow(clippy::result_large_err)]
    let subprotocol = |request: &Request, mut response: Response| {
        if let Some(asked) = request.headers().get("Sec-WebSocket-Protocol") {
            response.headers_mut().insert("Sec-WebSocket-Protocol", asked.clone());
        }
        Ok(response)
    };
    Ok(accept_hdr_async(io, subprotocol).await?)
}

/// The close frame that comes, whatever comes before it.
async fn closed(socket: &mut WebSocketStream<TcpStream>) -> Result<Option<CloseFrame>> {
    let closed = async {
        loop {
            match socket.next().await.context("it ends without a close frame")?? {
                Message::Close(frame) => return Ok(frame),
                _ => continue,
            }
        }
    };
    timeout(DEADLINE, closed).await.context("no close frame")?
}

fn code(frame: Option<CloseFrame>) -> Result<u16> {
    Ok(frame.context("a close frame without a code")?.code.into())
}

#[tokio::test]
async fn regression_a_close_frame_is_answered() -> Result<()> {
    let server = Server::start().await?;
    let mut socket = server.accept().await?;
    let frame = CloseFrame { code: Code::SHUTDOWN.0.into(), reason: "again later".into() };
    socket.send(Message::Close(Some(frame))).await?;
    ensure!(code(closed(&mut socket).await?)? == Code::SHUTDOWN.0);
    // It comes again, as the code lets it.
    server.accept().await?;
    Ok(())
}

#[tokio::test]
async fn regression_a_departure_waits_for_the_answer() -> Result<()> {
    let server = Server::start().await?;
    let mut socket = server.accept().await?;
    // It is connected when it says hello.
    timeout(DEADLINE, socket.next()).await?.context("no hello")??;
    let Server { listener: _listener, client } = server;
    let leaving = tokio::spawn(client.close());
    ensure!(code(closed(&mut socket).await?)? == 1000);
    // A server that does not answer: the raw connection, on which nothing is said any more.
    let (said, mut io) = (Instant::now(), socket.into_inner());
    let end = async { while io.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {} };
    timeout(DEADLINE, end).await.context("the connection stays")?;
    ensure!(said.elapsed() >= WAITED, "it does not wait: {:?}", said.elapsed());
    timeout(DEADLINE, leaving).await.context("it does not end")??;
    Ok(())
}

/// What a server asks for that has no time now.
const PATIENCE_MS: u32 = 1_500;

/// Asks for patience and closes; gives the time.
async fn send_away(socket: &mut WebSocketStream<TcpStream>) -> Result<Instant> {
    let retry_after_ms = Some(PATIENCE_MS);
    let error = ErrorMessage { id: None, code: Code::SHUTDOWN, reason: "not now".into(), retry_after_ms };
    socket.send(Message::Binary(ToPeer::Error(error).encode())).await?;
    let frame = CloseFrame { code: Code::SHUTDOWN.0.into(), reason: "".into() };
    socket.send(Message::Close(Some(frame))).await?;
    Ok(Instant::now())
}

#[tokio::test]
async fn regression_a_server_that_asks_for_patience_is_left_alone_for_as_long() -> Result<()> {
    let server = Server::start().await?;
    let mut socket = server.accept().await?;
    let asked = send_away(&mut socket).await?;
    server.accept().await?;
    ensure!(asked.elapsed() >= Duration::from_millis(PATIENCE_MS.into()), "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_peer_that_is_sent_away_turns_to_another_server_and_leaves_the_first_alone() -> Result<()> {
    let listeners = [TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?];
    let urls: Vec<_> = listeners
        .iter()
        .map(|listener| listener.local_addr().map(|at| at.to_string()))
        .collect::<Result<_, _>>()?;
    let client = Client::connect(urls.join(",").parse()?, ClientOptions::default());
    let mut news = client.news();
    let [one, other] = &listeners;
    let (io, second) = tokio::select! {
        came = one.accept() => (came?.0, other),
        came = other.accept() => (came?.0, one),
    };
    let asked = send_away(&mut as_server(io).await?).await?;
    let (io, _) = timeout(DEADLINE, second.accept()).await.context("nobody comes")??;
    ensure!(asked.elapsed() < Duration::from_millis(PATIENCE_MS.into()), "{:?}", asked.elapsed());
    drop(io);
    let mut next = Vec::new();
    while next.len() < 2 {
        if let News::Reconnecting { attempt, server, .. } = timeout(DEADLINE, news.recv()).await?? {
            next.push((attempt, server));
        }
    }
    let second: ServerUrl = second.local_addr()?.to_string().parse()?;
    ensure!(next[0] == (2, second), "{next:?}");
    ensure!(next[1].0 == 3, "{next:?}");
    Ok(())
}

#[tokio::test]
async fn regression_a_server_that_sends_text_is_told_that_this_is_malformed() -> Result<()> {
    let server = Server::start().await?;
    let mut socket = server.accept().await?;
    socket.send(Message::Text("hello".into())).await?;
    ensure!(code(closed(&mut socket).await?)? == Code::MALFORMED.0);
    Ok(())
}

#[tokio::test]
async fn regression_one_that_cannot_go_on_says_why_also_to_whoever_asks_later() -> Result<()> {
    let server = Server::start().await?;
    let mut news = server.client.news();
    let (mut io, _) = timeout(DEADLINE, server.listener.accept()).await.context("nobody comes")??;
    io.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
    let heard = timeout(DEADLINE, news.recv()).await.context("it does not end")??;
    ensure!(matches!(heard, News::Closed { .. }), "{heard:?}");
    let mut subscription = server.client.subscribe("builds", SubscribeOptions::default()).await?;
    let said = timeout(DEADLINE, subscription.next()).await.context("it says nothing")?;
    let Some(Notification::Refused { code: None, reason }) = &said else { bail!("{said:?}") };
    ensure!(reason.contains("404"), "{reason}");
    ensure!(timeout(DEADLINE, subscription.next()).await.context("it does not end")?.is_none());
    Ok(())
}
