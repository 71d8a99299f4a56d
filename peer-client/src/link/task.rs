//! The task behind a link: it owns the link's data channel, keeps polling it and the link's part of the lossy one, and is
//! the only one to speak for the link, so that its events have an order and an end.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelMessage};
use webrtc::error::Error;

use super::carrier::{Carrier, Channels, Founder};
use super::mailbox::Mailbox;
use super::{LinkCloseReason, LinkEvent, LinkId, MESSAGE_BYTES_MAX, Role};

/// How long a close waits for what was queued to be sent and acknowledged. A native receiver may
/// delay its acknowledgement longer, but by then it has the data.
const LINGER: Duration = Duration::from_millis(100);

/// Messages taken at a time before the task looks around. What the data channel's own queue holds.
const BATCH_MAX: usize = 256;

pub(super) struct LinkTask {
    pub(super) link: LinkId,
    pub(super) role: Role,
    pub(super) connect_timeout: Duration,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) events: mpsc::Sender<LinkEvent>,
}

impl LinkTask {
    /// Lives as long as the link does, and reports its end whatever happens. `carrier` is nothing if the link was to
    /// share a connection that is gone; `founder` is something if the connection is made for it.
    pub(super) async fn run(self, carrier: Option<Carrier>, founder: Option<Founder>) {
        let reason = match carrier {
            Some(carrier) => self.live(carrier, founder).await,
            None => LinkCloseReason::NotShared,
        };
        self.mailbox.close();
        tracing::debug!(link = self.link, %reason, "link closed");
        // Fails if the consumer is gone, who then does not care.
        let _ = self.events.send(LinkEvent::Closed { link: self.link, reason }).await;
    }

    async fn live(&self, mut carrier: Carrier, founder: Option<Founder>) -> LinkCloseReason {
        let mut session =
            Session { task: self, channels: None, up: None, outbox: VecDeque::new(), open: false };
        // What is below us is fed by strangers. Should it panic, that is one link's end.
        let reason = AssertUnwindSafe(session.run(&mut carrier, founder))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| LinkCloseReason::Transport("panicked".into()));
        // The end of a connection is seen at its channels as well.
        let reason = carrier.ended().filter(|_| reason != LinkCloseReason::Local).unwrap_or(reason);
        if let Some(Channels { own, .. }) = session.channels {
            if reason == LinkCloseReason::Local && session.open {
                linger(&self.mailbox, &*own).await;
            }
            carrier.close(&*own).await;
        }
        carrier.leave().await;
        reason
    }
}

struct Session<'a> {
    task: &'a LinkTask,
    channels: Option<Channels>,
    /// To be told when the connection is up, so that other links can open channels. That the other end knows that it is
    /// up shows when it has acknowledged this channel or has sent something: with webrtc 0.21.1 it does not see a channel
    /// that comes in one burst with the last step of the handshake.
    up: Option<oneshot::Sender<()>>,
    /// Events the consumer has no room for yet. While there are any, nothing is read from the data
    /// channel, so this holds at most one message and two more.
    outbox: VecDeque<LinkEvent>,
    open: bool,
}

impl Session<'_> {
    async fn run(&mut self, carrier: &mut Carrier, founder: Option<Founder>) -> LinkCloseReason {
        let deadline = Instant::now() + self.task.connect_timeout;
        if let Err(reason) = self.take_channels(carrier, founder, deadline).await {
            return reason;
        }
        loop {
            if let Err(reason) = self.step(carrier, deadline).await {
                return reason;
            }
        }
    }

    /// Waits for the channels.
    async fn take_channels(
        &mut self,
        carrier: &mut Carrier,
        founder: Option<Founder>,
        deadline: Instant,
    ) -> Result<(), LinkCloseReason> {
        let LinkTask { link, role, mailbox, events, .. } = self.task;
        let closing = async {
            while !mailbox.is_closing() {
                mailbox.changed().await;
            }
        };
        tokio::select! {
            opened = carrier.channels(*link, *role, founder) => {
                let (channels, up) = opened?;
                (self.channels, self.up) = (Some(channels), up);
                Ok(())
            }
            () = closing => Err(LinkCloseReason::Local),
            () = events.closed() => Err(LinkCloseReason::Local),
            () = sleep_until(deadline) => Err(LinkCloseReason::ConnectTimeout),
        }
    }

    /// Waits for whatever happens next and handles it. Every branch can be dropped while it waits.
    async fn step(&mut self, carrier: &mut Carrier, deadline: Instant) -> Result<(), LinkCloseReason> {
        let LinkTask { mailbox, events, .. } = self.task;
        let Some(Channels { own, lossy }) = &mut self.channels else { return Err(LinkCloseReason::Local) };
        if mailbox.is_closing() {
            return Err(LinkCloseReason::Local);
        }
        let (own, has_room) = (own.clone(), self.outbox.is_empty());
        let next = mailbox.message().filter(|_| self.open);
        let is_lossy = next.as_ref().is_some_and(|next| lossy.takes(next));
        let towards = if is_lossy { lossy.channel().clone() } else { own.clone() };
        tokio::select! {
            () = mailbox.changed() => Ok(()),
            permit = events.reserve(), if !self.outbox.is_empty() => {
                let Ok(permit) = permit else { return Err(LinkCloseReason::Local) };
                if let Some(event) = self.outbox.pop_front() {
                    permit.send(event);
                }
                Ok(())
            }
            () = events.closed() => Err(LinkCloseReason::Local),
            event = own.poll(), if has_room => self.on_channel_events(&*own, event),
            message = lossy.receive(), if has_room && self.open => self.on_lossy(message),
            room = towards.writable(), if next.is_some() => match room {
                Ok(()) => self.send().await,
                Err(error) => Err(send_failed(error)),
            },
            reason = carrier.end() => Err(reason),
            () = sleep_until(deadline), if !self.open => Err(LinkCloseReason::ConnectTimeout),
        }
    }

    /// Handles `event` and, as far as the consumer has room, those that are there already: a step for
    /// each message costs more than the message.
    fn on_channel_events(
        &mut self,
        channel: &dyn DataChannel,
        event: Option<DataChannelEvent>,
    ) -> Result<(), LinkCloseReason> {
        self.on_channel_event(event)?;
        for _ in 1..BATCH_MAX {
            self.flush()?;
            if !self.outbox.is_empty() {
                break;
            }
            let Some(event) = channel.poll().now_or_never() else { break };
            self.on_channel_event(event)?;
        }
        self.flush()
    }

    /// As [`on_channel_events`](Self::on_channel_events), for what has come on the lossy channel.
    fn on_lossy(&mut self, mut message: Bytes) -> Result<(), LinkCloseReason> {
        for _ in 0..BATCH_MAX {
            self.on_message(message);
            self.flush()?;
            if !self.outbox.is_empty() {
                break;
            }
            let Some(next) = self.channels.as_mut().and_then(|channels| channels.lossy.now()) else { break };
            message = next;
        }
        Ok(())
    }

    fn on_message(&mut self, bytes: Bytes) {
        self.outbox.push_back(LinkEvent::Data { link: self.task.link, bytes });
    }

    /// Hands the consumer what it has room for.
    fn flush(&mut self) -> Result<(), LinkCloseReason> {
        while let Some(event) = self.outbox.pop_front() {
            match self.task.events.try_reserve() {
                Ok(permit) => permit.send(event),
                Err(TrySendError::Full(())) => {
                    self.outbox.push_front(event);
                    break;
                }
                Err(TrySendError::Closed(())) => return Err(LinkCloseReason::Local),
            }
        }
        Ok(())
    }

    fn on_channel_event(&mut self, event: Option<DataChannelEvent>) -> Result<(), LinkCloseReason> {
        let link = self.task.link;
        match event {
            Some(DataChannelEvent::OnOpen) => {
                self.open = true;
                if self.task.role == Role::Offerer {
                    self.say_up();
                }
                self.outbox.push_back(LinkEvent::Opened { link });
            }
            Some(DataChannelEvent::OnMessage(RTCDataChannelMessage { data, is_string })) => {
                self.say_up();
                if data.len() > MESSAGE_BYTES_MAX {
                    return Err(LinkCloseReason::MessageTooLarge);
                }
                // Text; an empty message is as malformed, and closes the link with a word to the hub.
                self.on_message(if is_string { Bytes::new() } else { data.freeze() });
            }
            Some(DataChannelEvent::OnClosing | DataChannelEvent::OnClose) => {
                return Err(LinkCloseReason::Remote);
            }
            Some(_) => {}
            None => return Err(LinkCloseReason::Transport("the connection's driver stopped".into())),
        }
        Ok(())
    }

    fn say_up(&mut self) {
        // Nobody hears it if the connection has ended meanwhile.
        let _ = self.up.take().map(|up| up.send(()));
    }

    /// Sends what is queued as long as SCTP takes it. Called when it has room for at least one.
    async fn send(&mut self) -> Result<(), LinkCloseReason> {
        let mut is_first = true;
        while let Some(next) = self.task.mailbox.message() {
            let Some(Channels { own, lossy }) = &self.channels else { break };
            let is_lossy = lossy.takes(&next);
            let sent = match (is_lossy, is_first) {
                (true, _) => lossy.channel().try_send(lossy.wrap(&next)).await,
                // `try_send` would refuse a message that only just does not fit, for as long as there is
                // room for a smaller one; `send` takes it. Nobody else sends here, so it need not wait.
                (false, true) => own.send(BytesMut::from(next)).await,
                (false, false) => own.try_send(BytesMut::from(next)).await,
            };
            match sent {
                Ok(()) => self.sent(),
                // It did have room: other links took it, or it only just does not fit.
                Err(Error::ErrSendBufferFull) if is_lossy && is_first => self.sent(),
                Err(Error::ErrSendBufferFull) => break,
                Err(error) => return Err(send_failed(error)),
            }
            is_first = false;
        }
        Ok(())
    }

    fn sent(&mut self) {
        if self.task.mailbox.remove_message() {
            self.outbox.push_back(LinkEvent::Writable { link: self.task.link });
        }
    }
}

/// Sends what was queued before the close, so that a goodbye arrives. Closing then flushes what SCTP
/// has, but not what it has no window for: hence the wait for acknowledgements.
async fn linger(mailbox: &Mailbox, channel: &dyn DataChannel) {
    let flush = async {
        while let Some(message) = mailbox.message() {
            channel.send(BytesMut::from(message)).await?;
            mailbox.remove_message();
        }
        while channel.outstanding_bytes().await? > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok::<_, Error>(())
    };
    // Inbound messages go on being taken, and dropped, lest acknowledgements wait behind them.
    let discard = async { while channel.poll().await.is_some() {} };
    let _ = tokio::time::timeout(LINGER, async {
        tokio::select! {
            _ = flush => {}
            () = discard => {}
        }
    })
    .await;
}

fn send_failed(error: Error) -> LinkCloseReason {
    match error {
        Error::ErrDataChannelClosed => LinkCloseReason::Remote,
        error => LinkCloseReason::Transport(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Option<DataChannelEvent> {
        let data = BytesMut::zeroed(bytes);
        Some(DataChannelEvent::OnMessage(RTCDataChannelMessage { is_string: false, data }))
    }

    fn task() -> LinkTask {
        let (events, _) = mpsc::channel(1);
        let connect_timeout = Duration::from_secs(10);
        LinkTask { link: 1, role: Role::Answerer, connect_timeout, mailbox: Arc::default(), events }
    }

    fn open_session(task: &LinkTask) -> Session<'_> {
        Session { task, channels: None, up: None, outbox: VecDeque::new(), open: true }
    }

    #[tokio::test]
    async fn regression_text_is_not_taken_for_the_bytes_of_a_message() {
        let task = task();
        let mut session = open_session(&task);
        let text = RTCDataChannelMessage { is_string: true, data: BytesMut::from(&b"\x80"[..]) };
        assert_eq!(session.on_channel_event(Some(DataChannelEvent::OnMessage(text))), Ok(()));
        let Some(LinkEvent::Data { bytes, .. }) = session.outbox.pop_front() else { panic!("no message") };
        assert!(bytes.is_empty(), "which is malformed, as in browsers");
    }

    #[tokio::test]
    async fn a_message_that_is_too_large_ends_the_session() {
        let task = task();
        let mut session = open_session(&task);
        assert_eq!(session.on_channel_event(message(MESSAGE_BYTES_MAX)), Ok(()));
        let reason = session.on_channel_event(message(MESSAGE_BYTES_MAX + 1));
        assert_eq!(reason, Err(LinkCloseReason::MessageTooLarge));
    }
}
