//! The writing half of a session: takes what is queued, and flushes when there is no more.

use bytes::Bytes;
use futures_util::{SinkExt, stream::SplitSink};
use tiercast_codec::SessionId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message as WsMessage,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use crate::driver::{Command, Handle, Messages};

/// A larger message is written in fragments of this size, each as soon as the socket has taken the one before:
/// otherwise the whole message would be copied into a buffer that a session then keeps for good.
const FRAGMENT_BYTES: usize = 16 << 10;

/// Writes until the driver has closed the session and everything is written.
pub(super) async fn run<T>(
    sink: &mut SplitSink<WebSocketStream<T>, WsMessage>,
    messages: &mut Messages<Bytes>,
    session: SessionId,
    handle: &Handle,
) -> Result<(), WsError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = messages.queue.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            for fragment in fragments(message) {
                sink.feed(fragment).await?;
            }
            if messages.has_room_again() && handle.send(Command::Writable(session)).await.is_err() {
                return Ok(());
            }
            next = messages.queue.try_recv().ok();
        }
        sink.flush().await?;
    }
    Ok(())
}

/// The WebSocket frames of a message.
fn fragments(message: Bytes) -> impl Iterator<Item = WsMessage> {
    let count = message.len().div_ceil(FRAGMENT_BYTES).max(1);
    (0..count).map(move |index| {
        if count == 1 {
            return WsMessage::Binary(message.clone());
        }
        let (start, is_last) = (index * FRAGMENT_BYTES, index + 1 == count);
        let part = message.slice(start..message.len().min(start + FRAGMENT_BYTES));
        let kind = if index == 0 { Data::Binary } else { Data::Continue };
        WsMessage::Frame(Frame::message(part, OpCode::Data(kind), is_last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_message_is_cut_into_fragments_and_a_small_one_is_not() {
        assert!(matches!(fragments(Bytes::from_static(b"small")).next(), Some(WsMessage::Binary(_))));
        let large = Bytes::from(vec![7; 2 * FRAGMENT_BYTES + 1]);
        let frames: Vec<_> = fragments(large.clone())
            .map(|message| match message {
                WsMessage::Frame(frame) => frame,
                other => panic!("not a fragment: {other:?}"),
            })
            .collect();
        assert_eq!(
            frames.iter().map(|frame| frame.header().is_final).collect::<Vec<_>>(),
            [false, false, true]
        );
        assert_eq!(frames.iter().flat_map(|frame| frame.payload().to_vec()).collect::<Vec<_>>(), large);
    }
}
