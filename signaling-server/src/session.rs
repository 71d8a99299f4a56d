//! One WebSocket session: a task that reads and writes until either side has had enough.
//!
//! Reading waits for room in the hub's queue; writing waits for the socket. Neither waits for the other, and
//! the hub waits for neither.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream::SplitStream};
use tiercast_codec::{Code, SessionId, limits::CONTROL_BYTES_MAX};
use tiercast_mesh::hub::Whereabouts;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message as WsMessage,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tracing::{debug, info};

mod stall_guard;
mod writer;

use crate::{
    config::Limits,
    driver::{Closing, Command, Handle, Inlet, Outlet},
};
use stall_guard::StallGuard;

/// The subprotocol that peers speak.
pub(crate) const SUBPROTOCOL: &str = "tiercast.v1";

/// A close frame holds two bytes of code and at most so many of reason (RFC 6455, 5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Peers send small messages, and one at a time.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Small messages share a write up to this.
const WRITE_BUFFER_BYTES: usize = 8 << 10;

type Socket<T> = WebSocketStream<StallGuard<T>>;

/// How a session ended.
enum End {
    /// The peer closed the session to leave for good.
    Departed,
    /// Its connection broke, or the peer closed it to make another one.
    Lost,
    /// The peer broke a rule that the hub does not see.
    Refused(Closing),
    /// The hub closed it and has forgotten it already.
    ClosedByHub(Closing),
    /// Nothing can be written any more.
    Unwritable(WsError),
}

/// Runs a session on a connection that has been upgraded. `leftover` came behind the upgrade request.
pub(crate) async fn run<T>(io: T, leftover: Bytes, from: Whereabouts, handle: Handle, limits: &Limits)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let io = StallGuard::new(io, limits.write_stall);
    let config = Some(websocket_config());
    let socket = WebSocketStream::from_partially_read(io, leftover.to_vec(), Role::Server, config).await;
    let session = handle.next_session();
    let (outlet, inlet) = Outlet::new(limits.writer_queue_messages);
    if handle.send(Command::Opened(session, from, outlet)).await.is_err() {
        return;
    }
    debug!(%session, "session opened");
    let (socket, end) = exchange(socket, session, inlet, &handle, limits).await;
    let gone = match end {
        End::ClosedByHub(_) => None,
        End::Departed | End::Refused(_) => Some(Command::Departed(session)),
        End::Lost | End::Unwritable(_) => Some(Command::Closed(session)),
    };
    if let Some(gone) = gone {
        // An error means that the hub is gone: then it has forgotten the session, too.
        let _ = handle.send(gone).await;
    }
    conclude(socket, session, end, &handle, limits.close).await;
}

fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(CONTROL_BYTES_MAX))
        .max_frame_size(Some(CONTROL_BYTES_MAX))
}

/// Reads and writes until the session ends.
async fn exchange<T>(
    socket: Socket<T>,
    session: SessionId,
    inlet: Inlet,
    handle: &Handle,
    limits: &Limits,
) -> (Socket<T>, End)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Inlet { mut messages, mut closing } = inlet;
    let (mut sink, mut stream) = socket.split();
    let mut said = None;
    let end = tokio::select! {
        // Writing first: what is queued before a close goes out before it, if the socket takes it at once.
        biased;
        written = writer::run(&mut sink, &mut messages, session, handle) => written.err().map(End::Unwritable),
        () = overdue(&mut closing, &mut said, limits.close) => None,
        end = read(&mut stream, session, handle) => Some(end),
    };
    let end = end.unwrap_or_else(|| {
        let closing = said.or_else(|| closing.try_recv().ok());
        // The driver has gone without a word only if the whole server has.
        let gone = || Closing { code: Code::SHUTDOWN, reason: "the server has stopped".to_owned() };
        End::ClosedByHub(closing.unwrap_or_else(gone))
    });
    (sink.reunite(stream).expect("both halves are of one socket"), end)
}

/// Waits until the hub has closed the session and then as long as the rest may take to be written.
async fn overdue(closing: &mut oneshot::Receiver<Closing>, said: &mut Option<Closing>, limit: Duration) {
    *said = closing.await.ok();
    sleep(limit).await;
}

async fn read<T>(stream: &mut SplitStream<Socket<T>>, session: SessionId, handle: &Handle) -> End
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = stream.next().await {
        match message {
            Ok(WsMessage::Binary(bytes)) => {
                if handle.send(Command::Data(session, bytes)).await.is_err() {
                    return End::Departed;
                }
            }
            Ok(WsMessage::Text(_)) => {
                return refuse(format!(
                    "{SUBPROTOCOL} has binary messages only (msgpack), this one was text"
                ));
            }
            Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_)) => {}
            Ok(WsMessage::Close(frame)) => {
                return if is_farewell(frame.as_ref()) { End::Departed } else { End::Lost };
            }
            Err(WsError::Capacity(_)) => {
                return refuse(format!("a message may have {CONTROL_BYTES_MAX} bytes, this one has more"));
            }
            Err(error @ (WsError::Protocol(_) | WsError::Utf8(_))) if !is_cut(&error) => {
                return refuse(format!("not WebSocket: {error}"));
            }
            Err(error) => {
                debug!(%session, %error, "connection broke");
                return End::Lost;
            }
        }
    }
    End::Lost
}

/// Whether a peer that closes its session leaves for good: it gives no reason, is done, its page goes away, or it says so.
/// With any other code it comes back.
fn is_farewell(frame: Option<&CloseFrame>) -> bool {
    let is_final =
        |code| matches!(code, CloseCode::Normal | CloseCode::Away) || u16::from(code) == Code::DEPARTED.0;
    frame.is_none_or(|frame| is_final(frame.code))
}

/// Whether the connection ended without a closing handshake, which is no one's fault.
fn is_cut(error: &WsError) -> bool {
    matches!(error, WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))
}

fn refuse(reason: String) -> End {
    End::Refused(Closing { code: Code::MALFORMED, reason })
}

/// Ends the connection in the way that its end asks for. `limit`: for the closing handshake as a whole.
async fn conclude<T>(mut socket: Socket<T>, session: SessionId, end: End, handle: &Handle, limit: Duration)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let closing = match end {
        End::Departed => {
            debug!(%session, "session departed");
            None
        }
        End::Lost => {
            debug!(%session, "session ended without a goodbye");
            None
        }
        End::Unwritable(error) => {
            info!(%session, %error, "session lost");
            if matches!(&error, WsError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut) {
                handle.counters().stalled().add(1);
            }
            return;
        }
        End::Refused(closing) => {
            handle.counters().violations().add(1);
            Some(closing)
        }
        End::ClosedByHub(closing) => Some(closing),
    };
    if let Some(Closing { code, reason }) = &closing {
        info!(%session, %code, reason, "closing session");
    }
    if timeout(limit, shake_hands(&mut socket, closing)).await.is_err() {
        debug!(%session, "cut off: the peer did not finish the closing handshake in time");
    }
}

/// The closing handshake (RFC 6455, 7.1): says Close, unless it is the peer who closes; waits for the peer's, which is
/// answered if it came first; and ends the connection, which is the server's part.
async fn shake_hands<T>(socket: &mut Socket<T>, closing: Option<Closing>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(Closing { code, reason }) = closing {
        let frame = CloseFrame { code: code.0.into(), reason: cut(&reason).into() };
        // Refused if the peer's close has come meanwhile; that one is answered below.
        let _ = socket.close(Some(frame)).await;
    }
    // Writes the answer, too. Ends once both have said Close, or the peer says what is not WebSocket.
    while let Some(Ok(_)) = socket.next().await {}
    // Whatever goes wrong now, the connection is dropped.
    let _ = linger(socket.get_mut()).await;
}

/// Ends our side and waits for the peer to end its own. A connection that is dropped with unread bytes is reset, and a
/// reset can overtake the close frame.
async fn linger<T>(io: &mut StallGuard<T>) -> std::io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    io.shutdown().await?;
    let mut unread = [0; 1_024];
    while io.read(&mut unread).await? > 0 {}
    Ok(())
}

/// Cuts a reason to what a close frame holds.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_is_done_or_whose_page_goes_away_does_not_come_back() {
        let closes = |code: u16| is_farewell(Some(&CloseFrame { code: code.into(), reason: "".into() }));
        assert!(is_farewell(None) && [1000, 1001, 3100].into_iter().all(closes));
        assert!(![1006, 1011, 3001, 3002, 3500].into_iter().any(closes));
    }

    #[test]
    fn a_reason_is_cut_between_two_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"a".repeat(200)).len(), 123);
        let cut_text = format!("{}ü and more", "a".repeat(122));
        assert_eq!(cut(&cut_text), "a".repeat(122));
    }
}
