//! The two data channels of a link: a reliable one, and a lossy one for what is asked for again when it is missing.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tiercast_codec::may_be_lost;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::error::Result;

use super::{LinkCloseReason, LinkId};

/// What follows the link's number in the label of its lossy channel.
const LOSSY: &str = " lossy";

/// The two channels of a link.
#[derive(Clone)]
pub(super) struct Channels {
    pub(super) reliable: Arc<dyn DataChannel>,
    pub(super) lossy: Arc<dyn DataChannel>,
}

/// Those of the two that the other end has opened so far.
#[derive(Default)]
pub(super) struct Half {
    reliable: Option<Arc<dyn DataChannel>>,
    lossy: Option<Arc<dyn DataChannel>>,
}

/// Which of the two a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reliable,
    Lossy,
}

impl Kind {
    /// The channel's label. The reliable one is the link's number.
    pub(super) fn label(self, link: LinkId) -> String {
        match self {
            Self::Reliable => link.to_string(),
            Self::Lossy => format!("{link}{LOSSY}"),
        }
    }

    pub(super) fn init(self) -> Option<RTCDataChannelInit> {
        match self {
            Self::Reliable => None,
            Self::Lossy => {
                Some(RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() })
            }
        }
    }
}

/// The link whose data channel this is, and which of its two, if it is that of a link.
pub(super) async fn link_of(channel: &dyn DataChannel) -> Option<(LinkId, Kind)> {
    let label = channel.label().await.ok()?;
    let (link, kind) = match label.strip_suffix(LOSSY) {
        Some(link) => (link, Kind::Lossy),
        None => (label.as_str(), Kind::Reliable),
    };
    let is_ordered = channel.ordered().await.ok()?;
    let link = link.parse().ok().filter(|_| is_ordered == (kind == Kind::Reliable))?;
    Some((link, kind))
}

impl Half {
    /// Adds a channel; gives it back if there is one of its kind.
    pub(super) fn add(&mut self, kind: Kind, channel: Arc<dyn DataChannel>) -> Option<Arc<dyn DataChannel>> {
        let place = match kind {
            Kind::Reliable => &mut self.reliable,
            Kind::Lossy => &mut self.lossy,
        };
        if place.is_some() {
            return Some(channel);
        }
        *place = Some(channel);
        None
    }

    /// Both, if they are there.
    pub(super) fn both(&self) -> Option<Channels> {
        Some(Channels { reliable: self.reliable.clone()?, lossy: self.lossy.clone()? })
    }

    pub(super) async fn close(self) {
        for channel in self.reliable.into_iter().chain(self.lossy) {
            close(&*channel).await;
        }
    }
}

impl Channels {
    /// The channel on which a message goes.
    fn of(&self, message: &[u8]) -> &dyn DataChannel {
        if may_be_lost(message) { &*self.lossy } else { &*self.reliable }
    }

    /// Resolves when the channel of a message has room. Cancel safe.
    pub(super) async fn writable(&self, message: Option<Bytes>) -> Result<()> {
        match message {
            Some(message) => self.of(&message).writable().await,
            None => std::future::pending().await,
        }
    }

    /// Sends a message as soon as there is room.
    pub(super) async fn send(&self, message: Bytes) -> Result<()> {
        self.of(&message).send(BytesMut::from(message)).await
    }

    /// Sends a message if there is room.
    pub(super) async fn try_send(&self, message: Bytes) -> Result<()> {
        self.of(&message).try_send(BytesMut::from(message)).await
    }

    /// The next event of either. Cancel safe.
    pub(super) async fn poll(&self) -> Option<DataChannelEvent> {
        tokio::select! {
            event = self.reliable.poll() => event,
            event = self.lossy.poll() => event,
        }
    }

    /// The next event of either, if there is one.
    pub(super) fn now(&self) -> Option<Option<DataChannelEvent>> {
        self.reliable.poll().now_or_never().or_else(|| self.lossy.poll().now_or_never())
    }

    pub(super) async fn close(&self) {
        close(&*self.lossy).await;
        close(&*self.reliable).await;
    }
}

/// Resolves when a channel is open. What it brings comes after that.
pub(super) async fn opened(channel: &dyn DataChannel) -> std::result::Result<(), LinkCloseReason> {
    loop {
        match channel.poll().await {
            Some(DataChannelEvent::OnOpen) => return Ok(()),
            Some(DataChannelEvent::OnClosing | DataChannelEvent::OnClose) => {
                return Err(LinkCloseReason::Remote);
            }
            Some(_) => {}
            None => return Err(LinkCloseReason::Transport("the connection's driver stopped".into())),
        }
    }
}

pub(super) async fn close(channel: &dyn DataChannel) {
    // One that has closed meanwhile needs no closing.
    let _ = channel.close().await;
}
