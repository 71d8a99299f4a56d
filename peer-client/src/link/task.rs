//! The task behind a link: it owns the PeerConnection, keeps polling its data channel, and is the
//! only one to speak for the link, so that its events have an order and an end.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tiercast_codec::Signal;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until};
use webrtc::data_channel::{DataChannelEvent, RTCDataChannelMessage};
use webrtc::error::Error;
use webrtc::peer_connection::RTCPeerConnectionState;

use super::connection::Connection;
use super::mailbox::Mailbox;
use super::negotiation::Negotiation;
use super::runtime::LinkRuntime;
use super::{LinkCloseReason, LinkEvent, LinkId, LinkSettings, MESSAGE_BYTES_MAX, Role};

/// How long a close waits for what was queued to be sent and acknowledged. A native receiver may
/// delay its acknowledgement longer, but by then it has the data.
const LINGER: Duration = Duration::from_millis(100);

/// Messages taken at a time before the task looks around. What the data channel's own queue holds.
const BATCH_MAX: usize = 256;

pub(super) struct LinkTask {
    pub(super) link: LinkId,
    pub(super) role: Role,
    pub(super) settings: Arc<LinkSettings>,
    pub(super) runtime: Arc<LinkRuntime>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) events: mpsc::Sender<LinkEvent>,
}

impl LinkTask {
    /// Lives as long as the link does, and reports its end whatever happens.
    pub(super) async fn run(self) {
        // The SDP parser below us is fed by strangers. Should it panic, that is one link's end.
        let reason = AssertUnwindSafe(self.live())
            .catch_unwind()
            .await
            .unwrap_or_else(|_| LinkCloseReason::Transport("panicked".into()));
        self.mailbox.close();
        tracing::debug!(link = self.link, %reason, "link closed");
        // Fails if the consumer is gone, who then does not care.
        let _ = self.events.send(LinkEvent::Closed { link: self.link, reason }).await;
    }

    async fn live(&self) -> LinkCloseReason {
        let connection = Connection::new(&self.settings, self.role, self.runtime.clone()).await;
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => return LinkCloseReason::Transport(error.to_string()),
        };
        let mut session = Session {
            task: self,
            negotiation: Negotiation::new(self.role),
            outbox: VecDeque::new(),
            open: false,
        };
        let reason = session.run(&mut connection).await;
        if reason == LinkCloseReason::Local && session.open {
            linger(&self.mailbox, &connection).await;
        }
        connection.close().await;
        reason
    }
}

struct Session<'a> {
    task: &'a LinkTask,
    negotiation: Negotiation,
    /// Events the consumer has no room for yet. While there are any, nothing is read from the data
    /// channel, so this holds at most the signals of a negotiation, one message, and two more.
    outbox: VecDeque<LinkEvent>,
    open: bool,
}

impl Session<'_> {
    async fn run(&mut self, connection: &mut Connection) -> LinkCloseReason {
        let deadline = Instant::now() + self.task.settings.connect_timeout;
        match self.negotiation.begin(connection).await {
            Ok(signals) => self.say(signals),
            Err(reason) => return reason,
        }
        loop {
            if let Err(reason) = self.step(connection, deadline).await {
                return reason;
            }
        }
    }

    /// Waits for whatever happens next and handles it. Every branch can be dropped while it waits.
    async fn step(&mut self, connection: &mut Connection, deadline: Instant) -> Result<(), LinkCloseReason> {
        let LinkTask { mailbox, events, .. } = self.task;
        let sends = self.open && mailbox.has_message();
        let channel = connection.channel.clone();
        let event = async {
            match &channel {
                Some(channel) => channel.poll().await,
                None => std::future::pending().await,
            }
        };
        let room = async {
            match &channel {
                Some(channel) => channel.writable().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = mailbox.changed() => self.on_mail(connection).await,
            permit = events.reserve(), if !self.outbox.is_empty() => {
                let Ok(permit) = permit else { return Err(LinkCloseReason::Local) };
                if let Some(event) = self.outbox.pop_front() {
                    permit.send(event);
                }
                Ok(())
            }
            () = events.closed() => Err(LinkCloseReason::Local),
            event = event, if self.outbox.is_empty() => self.on_channel_events(connection, event),
            room = room, if sends => match room {
                Ok(()) => self.send(connection).await,
                Err(error) => Err(send_failed(error)),
            },
            Some(channel) = connection.channels.recv() => match connection.accept(channel).await {
                true => Ok(()),
                false => Err(LinkCloseReason::Transport("not the data channel of a link".into())),
            },
            Some(candidate) = connection.candidates.recv() => {
                let signal = self.negotiation.own_candidate(candidate);
                self.say(signal.into_iter().collect());
                Ok(())
            }
            Ok(()) = connection.status.changed() => self.on_status(connection),
            () = sleep_until(deadline), if !self.open => Err(LinkCloseReason::ConnectTimeout),
        }
    }

    async fn on_mail(&mut self, connection: &mut Connection) -> Result<(), LinkCloseReason> {
        let mailbox = &self.task.mailbox;
        if mailbox.is_closing() {
            return Err(LinkCloseReason::Local);
        }
        let (signals, dropped) = mailbox.take_signals();
        self.negotiation.ignore(dropped, "too many at once");
        for signal in signals {
            let replies = self.negotiation.on_signal(connection, signal).await?;
            self.say(replies);
        }
        Ok(())
    }

    /// Handles `event` and, as far as the consumer has room, those that are there already: a step for
    /// each message costs more than the message.
    fn on_channel_events(
        &mut self,
        connection: &Connection,
        event: Option<DataChannelEvent>,
    ) -> Result<(), LinkCloseReason> {
        self.on_channel_event(event)?;
        for _ in 1..BATCH_MAX {
            self.flush()?;
            let Some(channel) = connection.channel.as_ref().filter(|_| self.outbox.is_empty()) else { break };
            let Some(event) = channel.poll().now_or_never() else { break };
            self.on_channel_event(event)?;
        }
        self.flush()
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
                self.outbox.push_back(LinkEvent::Opened { link });
            }
            Some(DataChannelEvent::OnMessage(RTCDataChannelMessage { data, is_string })) => {
                if data.len() > MESSAGE_BYTES_MAX {
                    return Err(LinkCloseReason::MessageTooLarge);
                }
                // Text; an empty message is as malformed, and closes the link with a word to the hub.
                let bytes = if is_string { Bytes::new() } else { data.freeze() };
                self.outbox.push_back(LinkEvent::Data { link, bytes });
            }
            Some(DataChannelEvent::OnClosing | DataChannelEvent::OnClose) => {
                return Err(LinkCloseReason::Remote);
            }
            Some(_) => {}
            None => return Err(LinkCloseReason::Transport("the connection's driver stopped".into())),
        }
        Ok(())
    }

    fn on_status(&mut self, connection: &mut Connection) -> Result<(), LinkCloseReason> {
        let status = *connection.status.borrow_and_update();
        match status.state {
            RTCPeerConnectionState::Failed => Err(LinkCloseReason::IceFailed),
            _ => Ok(()),
        }
    }

    /// Sends what is queued as long as SCTP takes it. Called when it has room for at least one.
    async fn send(&mut self, connection: &Connection) -> Result<(), LinkCloseReason> {
        let mailbox = &self.task.mailbox;
        let (Some(channel), Some(first)) = (&connection.channel, mailbox.message()) else { return Ok(()) };
        // `try_send` would refuse a message that only just does not fit, for as long as there is
        // room for a smaller one; `send` takes it.
        channel.send(BytesMut::from(first)).await.map_err(send_failed)?;
        self.sent();
        while let Some(next) = mailbox.message() {
            match channel.try_send(BytesMut::from(next)).await {
                Ok(()) => self.sent(),
                Err(Error::ErrSendBufferFull) => break,
                Err(error) => return Err(send_failed(error)),
            }
        }
        Ok(())
    }

    fn sent(&mut self) {
        if self.task.mailbox.remove_message() {
            self.outbox.push_back(LinkEvent::Writable { link: self.task.link });
        }
    }

    fn say(&mut self, signals: Vec<Signal>) {
        let link = self.task.link;
        self.outbox.extend(signals.into_iter().map(|signal| LinkEvent::Signal { link, signal }));
    }
}

/// Sends what was queued before the close, so that a goodbye arrives. Closing then flushes what SCTP
/// has, but not what it has no window for: hence the wait for acknowledgements.
async fn linger(mailbox: &Mailbox, connection: &Connection) {
    let Some(channel) = &connection.channel else { return };
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
        let (settings, mailbox) = (Arc::default(), Arc::default());
        LinkTask { link: 1, role: Role::Answerer, settings, runtime: Default::default(), mailbox, events }
    }

    fn open_session(task: &LinkTask) -> Session<'_> {
        let negotiation = Negotiation::new(task.role);
        Session { task, negotiation, outbox: VecDeque::new(), open: true }
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
