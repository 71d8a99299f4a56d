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
        Error as WsError, Message as WsMessage,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

/// A close frame holds two bytes of code and at most so many of reason (RFC 6455, 5.5).
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Clients send small messages, and one at a time.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Small messages share a write up to this.
const WRITE_BUFFER_BYTES: usize = 8 << 10;

/// A larger message is written in fragments of this size, each as soon as the socket has taken the one before:
/// otherwise the whole message would be copied into a buffer that its WebSocket then keeps for good.
const FRAGMENT_BYTES: usize = 16 << 10;

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

/// The WebSocket frames of a message, text or binary.
pub(crate) fn fragments(message: Bytes, kind: Data) -> impl Iterator<Item = WsMessage> {
    let count = message.len().div_ceil(FRAGMENT_BYTES).max(1);
    (0..count).map(move |index| {
        let (start, is_last) = (index * FRAGMENT_BYTES, index + 1 == count);
        let part = message.slice(start..message.len().min(start + FRAGMENT_BYTES));
        let kind = if index == 0 { kind } else { Data::Continue };
        WsMessage::Frame(Frame::message(part, OpCode::Data(kind), is_last))
    })
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

    #[test]
    fn a_large_message_is_cut_into_fragments_and_a_small_one_is_not() {
        let frames = |message: &Bytes| -> Vec<Frame> {
            fragments(message.clone(), Data::Text)
                .map(|message| match message {
                    WsMessage::Frame(frame) => frame,
                    other => panic!("not a fragment: {other:?}"),
                })
                .collect()
        };
        let kinds = |frames: &[Frame]| -> Vec<_> {
            frames.iter().map(|frame| (frame.header().opcode, frame.header().is_final)).collect()
        };
        let (text, more) = (OpCode::Data(Data::Text), OpCode::Data(Data::Continue));
        assert_eq!(kinds(&frames(&Bytes::from_static(b"small"))), [(text, true)]);
        assert_eq!(kinds(&frames(&Bytes::new())), [(text, true)]);
        let large = Bytes::from(vec![7; 2 * FRAGMENT_BYTES + 1]);
        let cut = frames(&large);
        assert_eq!(kinds(&cut), [(text, false), (more, false), (more, true)]);
        assert_eq!(cut.iter().flat_map(|frame| frame.payload().to_vec()).collect::<Vec<_>>(), large);
    }
}
