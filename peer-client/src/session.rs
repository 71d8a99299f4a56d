//! The connection to a server: one task that connects, and carries messages both ways.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tiercast_codec::Code;
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode},
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::server_url::ServerUrl;

/// The WebSocket subprotocol of peers.
const SUBPROTOCOL: &str = "tiercast.v1";
/// A server that takes longer than this to answer the connection is tried again. Unvalidated.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that takes longer than this to say goodbye is left without. Unvalidated.
const FAREWELL: Duration = Duration::from_millis(500);
/// Messages that wait for the socket; the core keeps the rest.
const OUTGOING_MESSAGES: usize = 16;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What the session tells the peer's task.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// Connected; what is sent here goes to the server. Dropping it closes the connection.
    Opened(mpsc::Sender<Outgoing>),
    /// A message came.
    Data(Bytes),
    /// Disconnected.
    Closed(Ended),
}

/// What the peer's task tells the session.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Message(Bytes),
    Close(Code, String),
}

/// How a connection came to its end.
enum End {
    /// The server closed it, for the reason in its frame.
    Theirs(Option<CloseFrame>),
    /// We close it.
    Ours(CloseFrame),
    /// It broke.
    Broken(String),
}

/// How a connection ended, or the attempt at one.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reason: String,
    pub(crate) may_retry: bool,
    pub(crate) lasted: Duration,
}

/// Connects to `url` after a while, and carries messages for as long as the connection is there and somebody listens to
/// `events`.
pub(crate) async fn run(url: ServerUrl, delay: Duration, events: mpsc::Sender<SessionEvent>) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = events.closed() => return,
    }
    let ended = connect_and_carry(&url, &events).await;
    // Whoever does not listen any more needs not know.
    let _ = events.send(SessionEvent::Closed(ended)).await;
}

/// Says how the connection ended.
async fn connect_and_carry(url: &ServerUrl, events: &mpsc::Sender<SessionEvent>) -> Ended {
    let socket = tokio::select! {
        socket = connect_in_time(url) => socket,
        () = events.closed() => Err(Ended::retry("closed".into())),
    };
    match socket {
        Ok(socket) => {
            let since = Instant::now();
            let ended = carry(socket, events).await;
            Ended { lasted: since.elapsed(), ..ended }
        }
        Err(ended) => ended,
    }
}

async fn connect_in_time(url: &ServerUrl) -> Result<Socket, Ended> {
    match tokio::time::timeout(CONNECT_TIMEOUT, connect(url.as_str())).await {
        Ok(socket) => socket.map_err(|error| connect_error(url, &error)),
        Err(_) => {
            let limit_s = CONNECT_TIMEOUT.as_secs();
            Err(Ended::retry(format!("{url} does not answer within {limit_s} s: {NO_SERVER}")))
        }
    }
}

async fn connect(url: &str) -> Result<Socket, Error> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let largest = tiercast_codec::limits::FRAME_PAYLOAD_BYTES_MAX + (64 << 10);
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(4 << 10)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest));
    tokio_tungstenite::connect_async_with_config(request, Some(config), true).await.map(|(socket, _)| socket)
}

/// What to do when something is there, but not what was looked for.
const NO_SERVER: &str = "is it a signaling server? check host, port and path";

/// What to do where a key is asked for.
const NO_KEY: &str =
    "give a key that is valid, as in ws://HOST:PORT/v1/ws?key=KEY; a backend gets keys from POST /v1/keys";

/// An answer that the server will give again is no reason to ask again.
fn connect_error(url: &ServerUrl, error: &Error) -> Ended {
    match error {
        Error::Http(response) => {
            let text = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let answer = format!("{} {text}", response.status());
            let remedy = if response.status() == StatusCode::UNAUTHORIZED { NO_KEY } else { NO_SERVER };
            Ended {
                reason: format!("{url} answers {}: {remedy}", answer.trim()),
                may_retry: !is_final(response.status()),
                lasted: Duration::ZERO,
            }
        }
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ended::retry(format!("cannot reach {url}: {error}: is the signaling server running there?"))
        }
        Error::Io(error) => {
            Ended::retry(format!("cannot reach {url}: {error}: check host and port, and the network"))
        }
        other => Ended::retry(format!("cannot talk to {url}: {other}: {NO_SERVER}")),
    }
}

/// Whether the same request would be refused again: not if the server only asks for patience.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

async fn carry(socket: Socket, events: &mpsc::Sender<SessionEvent>) -> Ended {
    let (outgoing, mut messages) = mpsc::channel(OUTGOING_MESSAGES);
    if events.send(SessionEvent::Opened(outgoing)).await.is_err() {
        return part(socket, departure()).await;
    }
    let (mut sink, mut stream) = socket.split();
    let end = tokio::select! {
        end = read(&mut stream, events) => end,
        end = write(&mut sink, &mut messages) => end.unwrap_or_else(|error| End::Broken(error.to_string())),
    };
    part(sink.reunite(stream).expect("both halves are of one socket"), end).await
}

async fn read(stream: &mut SplitStream<Socket>, events: &mpsc::Sender<SessionEvent>) -> End {
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                if events.send(SessionEvent::Data(bytes)).await.is_err() {
                    return departure();
                }
            }
            Some(Ok(Message::Text(_))) => return malformed("the server sent text"),
            Some(Ok(Message::Close(frame))) => return End::Theirs(frame),
            Some(Ok(_)) => {}
            Some(Err(error @ Error::Capacity(_))) => return malformed(&error.to_string()),
            Some(Err(error)) => return End::Broken(error.to_string()),
            None => return End::Broken("the connection ended".into()),
        }
    }
}

async fn write(
    sink: &mut SplitSink<Socket, Message>,
    messages: &mut mpsc::Receiver<Outgoing>,
) -> Result<End, Error> {
    while let Some(outgoing) = messages.recv().await {
        match outgoing {
            Outgoing::Message(bytes) => {
                sink.feed(Message::Binary(bytes)).await?;
                if messages.is_empty() {
                    sink.flush().await?;
                }
            }
            Outgoing::Close(code, reason) => return Ok(close(code, &reason)),
        }
    }
    Ok(departure())
}

/// Says goodbye and waits for the answer, or answers: the end of a connection takes a frame from each side (RFC 6455,
/// 7.1.2).
async fn part(mut socket: Socket, end: End) -> Ended {
    let ours = match &end {
        End::Ours(frame) => Some(Message::Close(Some(frame.clone()))),
        _ => None,
    };
    let farewell = async {
        if let Some(frame) = ours {
            socket.send(frame).await?;
        }
        // An answer of ours goes out as this waits; what comes before theirs is for nobody any more.
        while socket.next().await.transpose()?.is_some() {}
        Ok::<_, Error>(())
    };
    if !matches!(end, End::Broken(_)) {
        // The connection is over, whether the server hears why or not.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
    match end {
        End::Theirs(frame) => closed_by_server(frame),
        End::Ours(frame) if frame.code == CloseCode::Normal => Ended::retry("closed".into()),
        End::Ours(frame) => Ended::retry(format!("closed with {}: {}", code_of(&frame), frame.reason)),
        End::Broken(reason) => Ended::retry(reason),
    }
}

fn departure() -> End {
    End::Ours(CloseFrame { code: CloseCode::Normal, reason: "".into() })
}

fn malformed(reason: &str) -> End {
    close(Code::MALFORMED, reason)
}

fn close(code: Code, reason: &str) -> End {
    End::Ours(CloseFrame { code: code.0.into(), reason: cut(reason).into() })
}

fn closed_by_server(frame: Option<CloseFrame>) -> Ended {
    let Some(frame) = frame else { return Ended::retry("closed by the server".into()) };
    let code = code_of(&frame);
    Ended {
        reason: format!("closed by the server with {code}: {}", frame.reason),
        may_retry: code.may_reconnect(),
        lasted: Duration::ZERO,
    }
}

fn code_of(frame: &CloseFrame) -> Code {
    Code(frame.code.into())
}

/// A close frame holds 123 bytes of reason.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(123)]
}

impl Ended {
    fn retry(reason: String) -> Self {
        Self { reason, may_retry: true, lasted: Duration::ZERO }
    }
}
