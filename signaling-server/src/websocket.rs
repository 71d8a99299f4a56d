//! What all WebSockets of the server have in common: how they begin, and how they end.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tiercast_codec::limits::CONTROL_BYTES_MAX;
use tiercast_mesh::hub::Refusal;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

/// A close frame holds two bytes of code and at most so many of reason (RFC 6455, 5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Clients send small messages, and one at a time.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Small messages share a write up to this.
const WRITE_BUFFER_BYTES: usize = 8 << 10;

/// A WebSocket on a connection that has been upgraded. `leftover` came behind the upgrade request.
pub(crate) async fn accept<T>(io: T, leftover: Bytes) -> WebSocketStream<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(CONTROL_BYTES_MAX))
        .max_frame_size(Some(CONTROL_BYTES_MAX));
    WebSocketStream::from_partially_read(io, leftover.to_vec(), Role::Server, Some(config)).await
}

/// Whether a connection took no byte for too long.
pub(crate) fn is_stalled(error: &WsError) -> bool {
    matches!(error, WsError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// Ends a WebSocket: for this reason, or because the client has ended it. False if that was not done in time, and it was
/// cut off.
pub(crate) async fn close<T>(
    socket: &mut WebSocketStream<T>,
    closing: Option<Refusal>,
    limit: Duration,
) -> bool
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    timeout(limit, shake_hands(socket, closing)).await.is_ok()
}

/// The closing handshake (RFC 6455, 7.1): says Close, unless it is the peer who closes; waits for the peer's, which is
/// answered if it came first; and ends the connection, which is the server's part.
async fn shake_hands<T>(socket: &mut WebSocketStream<T>, closing: Option<Refusal>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(Refusal { code, reason }) = closing {
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
async fn linger<T>(io: &mut T) -> std::io::Result<()>
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
    fn a_reason_is_cut_between_two_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"a".repeat(200)).len(), 123);
        let cut_text = format!("{}ü and more", "a".repeat(122));
        assert_eq!(cut(&cut_text), "a".repeat(122));
    }
}
