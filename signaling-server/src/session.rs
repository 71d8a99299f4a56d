//! One WebSocket session: a task that reads and writes until either side has had enough.
//!
//! Reading waits for room in the hub's queue; writing waits for the socket. Neither waits for the other, and
//! the hub waits for neither.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream::SplitStream};
use tiercast_codec::{Code, SessionId, limits::CONTROL_BYTES_MAX};
use tiercast_mesh::hub::{Refusal, Rights, Whereabouts};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::sleep,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message as WsMessage,
        error::ProtocolError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tracing::{Span, debug, field::display, info};

mod introduction;
mod writer;

use crate::{
    config::Limits,
    driver::{Command, Handle, Inlet, Outlet},
    stopped::Stopped,
    websocket,
};
use introduction::Introduction;

/// The subprotocol that peers speak.
pub(crate) const SUBPROTOCOL: &str = "tiercast.v1";

/// How a session ended.
enum End {
    /// The peer closed the session to leave for good.
    Departed,
    /// Its connection broke, or the peer closed it to make another one.
    Lost,
    /// The peer broke a rule that the hub does not see.
    Refused(Refusal),
    /// The hub closed it and has forgotten it already.
    ClosedByHub(Refusal),
    /// Nothing can be written any more.
    Unwritable(WsError),
}

/// Runs a session on a connection that has been upgraded. `leftover` came behind the upgrade request.
pub(crate) async fn run<T>(
    io: T,
    leftover: Bytes,
    visitor: (Whereabouts, Rights),
    handle: Handle,
    limits: &Limits,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let socket = websocket::accept(io, leftover).await;
    let session = handle.next_session();
    let (outlet, inlet) = Outlet::new(limits.writer_queue_messages);
    if handle.send(Command::Opened(session, visitor, outlet)).await.is_err() {
        return;
    }
    Span::current().record("session", display(session));
    debug!("session opened");
    let peer = Introduction::default();
    let (socket, end) = exchange(socket, session, inlet, &handle, limits, &peer).await;
    let gone = match end {
        End::ClosedByHub(_) => None,
        End::Departed | End::Refused(_) => Some(Command::Departed(session)),
        End::Lost | End::Unwritable(_) => Some(Command::Closed(session)),
    };
    if let Some(gone) = gone {
        // An error means that the hub is gone: then it has forgotten the session, too.
        let _ = handle.send(gone).await;
    }
    conclude(socket, end, &peer, &handle, limits.close).await;
}

/// Reads and writes until the session ends.
async fn exchange<T>(
    socket: WebSocketStream<T>,
    session: SessionId,
    inlet: Inlet<Bytes>,
    handle: &Handle,
    limits: &Limits,
    peer: &Introduction,
) -> (WebSocketStream<T>, End)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Inlet { mut messages, mut closing } = inlet;
    let (mut sink, mut stream) = socket.split();
    let mut said = None;
    let end = tokio::select! {
        // Writing first: what is queued before a close goes out before it, if the socket takes it at once.
        biased;
        written = writer::run(&mut sink, &mut messages, session, handle, peer) => written.err().map(End::Unwritable),
        () = overdue(&mut closing, &mut said, limits.close) => None,
        end = read(&mut stream, session, handle, peer) => Some(end),
    };
    let end = end.unwrap_or_else(|| {
        let closing = said.or_else(|| closing.try_recv().ok());
        // The driver has gone without a word only if the whole server has.
        End::ClosedByHub(closing.unwrap_or_else(|| Stopped.into()))
    });
    (sink.reunite(stream).expect("both halves are of one socket"), end)
}

/// Waits until the hub has closed the session and then as long as the rest may take to be written.
async fn overdue(closing: &mut oneshot::Receiver<Refusal>, said: &mut Option<Refusal>, limit: Duration) {
    *said = closing.await.ok();
    sleep(limit).await;
}

async fn read<T>(
    stream: &mut SplitStream<WebSocketStream<T>>,
    session: SessionId,
    handle: &Handle,
    peer: &Introduction,
) -> End
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = stream.next().await {
        match message {
            Ok(WsMessage::Binary(bytes)) => {
                peer.hear(&bytes);
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
                debug!(%error, "connection broke");
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
    End::Refused(Refusal::new(Code::MALFORMED, reason))
}

/// Ends the connection in the way that its end asks for. `limit`: for the closing handshake as a whole.
async fn conclude<T>(
    mut socket: WebSocketStream<T>,
    end: End,
    peer: &Introduction,
    handle: &Handle,
    limit: Duration,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (channel, since) = peer.fields();
    let closing = match end {
        End::Departed => {
            info!(channel, since, "session departed");
            None
        }
        End::Lost => {
            info!(channel, since, "session ended without a goodbye");
            None
        }
        End::Unwritable(error) => {
            info!(channel, since, %error, "session lost");
            if websocket::is_stalled(&error) {
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
    if let Some(Refusal { code, reason }) = &closing {
        info!(channel, since, code = code.0, reason, "closing session");
    }
    if !websocket::close(&mut socket, closing, limit).await {
        debug!("cut off: the peer did not finish the closing handshake in time");
    }
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
}
