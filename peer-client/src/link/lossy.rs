//! The lossy data channel of a connection, for what is asked for again when it is missing. Its links share it: each message
//! comes behind the number of its link.
//!
//! Both ends make it, under a stream that is agreed on. With webrtc 0.21.1 only the end that opens a channel sends as it was
//! told to; what this loses, because it is lost before the other end has its own, may be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tiercast_codec::may_be_lost;
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::error::Result;
use webrtc::peer_connection::PeerConnection;

use super::LinkId;

/// Its stream. The other channels take the next ones that are free.
const STREAM: u16 = 0;

/// Messages on their way to a link; more are lost.
const MESSAGES_MAX: usize = 256;

#[derive(Clone)]
pub(super) struct Lossy {
    channel: Arc<dyn DataChannel>,
    is_open: Arc<AtomicBool>,
    /// Whether we send on it.
    sends: bool,
}

/// A link's part of it.
pub(super) struct LossyLane {
    lossy: Lossy,
    link: LinkId,
    inbox: mpsc::Receiver<Bytes>,
}

/// Where the messages for a link go.
pub(super) type LaneEntry = mpsc::Sender<Bytes>;

impl Lossy {
    pub(super) async fn open(pc: &dyn PeerConnection, sends: bool) -> Result<Self> {
        let init = RTCDataChannelInit {
            negotiated: Some(STREAM),
            ordered: false,
            max_retransmits: Some(0),
            ..Default::default()
        };
        let channel = pc.create_data_channel("lossy", Some(init)).await?;
        Ok(Self { channel, is_open: Arc::default(), sends })
    }

    /// The next message that came, and its link. For ever, if there is none any more. Cancel safe.
    pub(super) async fn receive(&self) -> (LinkId, Bytes) {
        while let Some(event) = self.channel.poll().await {
            match event {
                DataChannelEvent::OnOpen => self.is_open.store(true, Ordering::Relaxed),
                DataChannelEvent::OnClosing => self.is_open.store(false, Ordering::Relaxed),
                DataChannelEvent::OnMessage(message) if !message.is_string => {
                    let mut data = message.data;
                    // What may not be lost does not come this way, however large it is.
                    if let Ok(link) = data.try_get_u64()
                        && may_be_lost(&data)
                    {
                        return (link, data.freeze());
                    }
                }
                _ => {}
            }
        }
        std::future::pending().await
    }

    pub(super) fn lane(&self, link: LinkId) -> (LaneEntry, LossyLane) {
        let (entry, inbox) = mpsc::channel(MESSAGES_MAX);
        (entry, LossyLane { lossy: self.clone(), link, inbox })
    }
}

impl LossyLane {
    /// Whether it takes a message. It may be that the other end has no lossy channel yet, and that is as good as a loss.
    pub(super) fn takes(&self, message: &[u8]) -> bool {
        self.lossy.sends && self.lossy.is_open.load(Ordering::Relaxed) && may_be_lost(message)
    }

    pub(super) fn channel(&self) -> &Arc<dyn DataChannel> {
        &self.lossy.channel
    }

    /// A message as it goes on the channel.
    pub(super) fn wrap(&self, message: &[u8]) -> BytesMut {
        let mut wrapped = BytesMut::with_capacity(size_of::<LinkId>() + message.len());
        wrapped.put_u64(self.link);
        wrapped.put_slice(message);
        wrapped
    }

    /// The next message. For ever, if there is none any more. Cancel safe.
    pub(super) async fn receive(&mut self) -> Bytes {
        match self.inbox.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }

    /// The next message, if there is one.
    pub(super) fn now(&mut self) -> Option<Bytes> {
        self.inbox.try_recv().ok()
    }
}
