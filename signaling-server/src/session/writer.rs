//! The writing half of a session: takes what is queued, and flushes when there is no more.

use bytes::Bytes;
use futures_util::{SinkExt, stream::SplitSink};
use tiercast_codec::SessionId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as WsError, Message as WsMessage, protocol::frame::coding::Data},
};

use super::introduction::Introduction;
use crate::{
    driver::{Command, Handle, Messages},
    websocket,
};

/// Writes until the driver has closed the session and everything is written.
pub(super) async fn run<T>(
    sink: &mut SplitSink<WebSocketStream<T>, WsMessage>,
    messages: &mut Messages<Bytes>,
    session: SessionId,
    handle: &Handle,
    peer: &Introduction,
) -> Result<(), WsError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = messages.queue.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            peer.answer(&message);
            for fragment in websocket::fragments(message, Data::Binary) {
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
