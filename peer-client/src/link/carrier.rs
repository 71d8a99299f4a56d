//! The task behind a connection, and behind all links that share it: it negotiates, gives each link its data channel, and
//! closes the connection when the last of them has left.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use tiercast_codec::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::RTCPeerConnectionState;

use super::connection::{Connection, link_of};
use super::lossy::{LaneEntry, LossyLane};
use super::negotiation::Negotiation;
use super::rest::{StreamRest, close};
use super::runtime::LinkRuntime;
use super::signals::Signals;
use super::{LinkCloseReason, LinkEvent, LinkId, LinkSettings, Role};

/// Links on their way to the task; who comes then waits.
const WANTED_MAX: usize = 16;

/// Data channels that came before the hub's word about their links; more are closed.
const EARLY_MAX: usize = 16;

/// A link's hold on its connection, which is closed when nobody holds it any more.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    wanted: mpsc::Sender<Wanted>,
    ended: watch::Receiver<Option<LinkCloseReason>>,
    rest: StreamRest,
}

/// What a link's handle knows of its connection: it does not hold it.
#[derive(Debug, Clone)]
pub(super) struct CarrierRef {
    wanted: mpsc::WeakSender<Wanted>,
    ended: watch::Receiver<Option<LinkCloseReason>>,
    rest: StreamRest,
    pub(super) signals: Arc<Signals>,
}

/// What the link that a connection is made for has in hand.
pub(super) struct Founder {
    /// Its channels, of which its own comes first: an offer offers it.
    opened: Opened,
    /// To be told when the connection is up, so that other links can open channels.
    up: oneshot::Sender<()>,
}

type Opened = oneshot::Receiver<Channels>;

/// What a link speaks and hears on: a data channel of its own, and its part of the lossy one.
pub(super) struct Channels {
    pub(super) own: Arc<dyn DataChannel>,
    pub(super) lossy: LossyLane,
}

/// A link that is to have channels.
struct Wanted {
    link: LinkId,
    role: Role,
    channels: oneshot::Sender<Channels>,
}

/// What is to be known about a connection that is made for a link.
pub(super) struct CarrierTask {
    /// The link that it is made for: the other end knows the negotiation by it.
    pub(super) link: LinkId,
    pub(super) role: Role,
    pub(super) settings: Arc<LinkSettings>,
    pub(super) runtime: Arc<LinkRuntime>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    /// How many connections there are.
    pub(super) count: Arc<AtomicUsize>,
    /// Between the end of one of its links and the next one.
    pub(super) rest: StreamRest,
}

impl CarrierTask {
    /// Starts it. If the link that it is made for ends before the connection is up, nobody hears any more what is signaled.
    pub(super) fn start(self) -> (Carrier, CarrierRef, Founder) {
        let (wanted, wanted_rx) = mpsc::channel(WANTED_MAX);
        let (channels, opened) = oneshot::channel();
        // It is the first, so there is room.
        let _ = wanted.try_send(Wanted { link: self.link, role: self.role, channels });
        let (ended_tx, ended) = watch::channel(None);
        let (up, up_rx) = oneshot::channel();
        let signals = Arc::new(Signals::default());
        let carrier = Carrier { wanted, ended, rest: self.rest.clone() };
        let known = carrier.known(signals.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(self.run(signals, wanted_rx, up_rx, ended_tx));
        (carrier, known, Founder { opened, up })
    }

    async fn run(
        self,
        signals: Arc<Signals>,
        wanted: mpsc::Receiver<Wanted>,
        founder: oneshot::Receiver<()>,
        ended: watch::Sender<Option<LinkCloseReason>>,
    ) {
        // The SDP parser below us is fed by strangers. Should it panic, that is one connection's end.
        let reason = AssertUnwindSafe(self.live(&signals, wanted, founder, &ended))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| LinkCloseReason::Transport("panicked".into()));
        self.count.fetch_sub(1, Ordering::Relaxed);
        ended.send_replace(Some(reason));
    }

    async fn live(
        &self,
        signals: &Signals,
        wanted: mpsc::Receiver<Wanted>,
        founder: oneshot::Receiver<()>,
        ended: &watch::Sender<Option<LinkCloseReason>>,
    ) -> LinkCloseReason {
        let connection = match Connection::new(&self.settings, self.runtime.clone()).await {
            Ok(connection) => connection,
            Err(error) => return LinkCloseReason::Transport(error.to_string()),
        };
        let mut session = Session {
            task: self,
            negotiation: Negotiation::new(self.role),
            wanted,
            founder: Some(founder),
            waiting: VecDeque::new(),
            awaited: BTreeMap::new(),
            early: VecDeque::new(),
            lanes: BTreeMap::new(),
            outbox: VecDeque::new(),
            connection,
        };
        let reason = session.run(signals).await;
        // The links hear of it before the connection is closed, which would be another reason.
        ended.send_replace(Some(reason.clone()));
        session.connection.close().await;
        reason
    }
}

struct Session<'a> {
    task: &'a CarrierTask,
    connection: Connection,
    negotiation: Negotiation,
    wanted: mpsc::Receiver<Wanted>,
    /// The link that it is made for, until the connection is up.
    founder: Option<oneshot::Receiver<()>>,
    /// Links whose channels are to be opened when the connection is up.
    waiting: VecDeque<Wanted>,
    /// Links whose channels the other end opens.
    awaited: BTreeMap<LinkId, oneshot::Sender<Channels>>,
    /// Channels that the other end has opened for links that this one has not heard of, and how long they are kept.
    early: VecDeque<(Instant, LinkId, Arc<dyn DataChannel>)>,
    /// Where what comes on the lossy channel goes.
    lanes: BTreeMap<LinkId, LaneEntry>,
    /// Signals the consumer has no room for yet.
    outbox: VecDeque<Signal>,
}

impl Session<'_> {
    async fn run(&mut self, signals: &Signals) -> LinkCloseReason {
        let Some(first) = self.wanted.recv().await else { return LinkCloseReason::Local };
        if let Err(reason) = self.provide(first).await {
            return reason;
        }
        match self.negotiation.begin(&mut self.connection).await {
            Ok(signals) => self.outbox.extend(signals),
            Err(reason) => return reason,
        }
        loop {
            if let Err(reason) = self.step(signals).await {
                return reason;
            }
        }
    }

    /// Waits for whatever happens next and handles it. Every branch can be dropped while it waits.
    async fn step(&mut self, signals: &Signals) -> Result<(), LinkCloseReason> {
        let oldest = self.early.front().map(|(until, ..)| *until);
        tokio::select! {
            () = signals.changed() => self.on_signals(signals).await,
            permit = self.task.events.reserve(), if !self.outbox.is_empty() => {
                let Ok(permit) = permit else { return Err(LinkCloseReason::Local) };
                if let Some(signal) = self.outbox.pop_front() {
                    permit.send(LinkEvent::Signal { link: self.task.link, signal });
                }
                Ok(())
            }
            wanted = self.wanted.recv() => match wanted {
                Some(wanted) => self.on_wanted(wanted).await,
                None => Err(LinkCloseReason::Local),
            },
            Some(channel) = self.connection.channels.recv() => {
                self.on_channel(channel).await;
                Ok(())
            }
            (link, message) = self.connection.lossy.receive() => {
                self.on_lossy(link, message);
                Ok(())
            }
            Some(candidate) = self.connection.candidates.recv() => {
                self.outbox.extend(self.negotiation.own_candidate(candidate));
                Ok(())
            }
            Ok(()) = self.connection.status.changed() => self.on_status(),
            is_up = is_up(&mut self.founder) => match is_up {
                true => self.on_up().await,
                false => Err(LinkCloseReason::Transport("the link that it was made for has ended".into())),
            },
            () = until(oldest) => {
                self.drop_oldest().await;
                Ok(())
            }
        }
    }

    async fn on_signals(&mut self, signals: &Signals) -> Result<(), LinkCloseReason> {
        let (signals, dropped) = signals.take();
        self.negotiation.ignore(dropped, "too many at once");
        for signal in signals {
            let replies = self.negotiation.on_signal(&mut self.connection, signal).await?;
            self.outbox.extend(replies);
        }
        Ok(())
    }

    /// A link wants to share the connection.
    async fn on_wanted(&mut self, wanted: Wanted) -> Result<(), LinkCloseReason> {
        if wanted.role == Role::Offerer && self.founder.is_some() {
            self.waiting.push_back(wanted);
            return Ok(());
        }
        self.provide(wanted).await
    }

    async fn provide(&mut self, Wanted { link, role, channels }: Wanted) -> Result<(), LinkCloseReason> {
        if role == Role::Offerer {
            let opened = self.connection.open_channel(link).await;
            let channel = opened.map_err(|error| LinkCloseReason::Transport(error.to_string()))?;
            self.give(link, channels, channel).await;
        } else if let Some(index) = self.early.iter().position(|(_, early, _)| *early == link) {
            let (.., channel) = self.early.remove(index).expect("it was just found");
            self.give(link, channels, channel).await;
        } else {
            self.awaited.insert(link, channels);
        }
        Ok(())
    }

    /// Gives a link its channels. If it has ended meanwhile, its own is closed.
    async fn give(&mut self, link: LinkId, channels: oneshot::Sender<Channels>, own: Arc<dyn DataChannel>) {
        let (entry, lossy) = self.connection.lossy.lane(link);
        match channels.send(Channels { own, lossy }) {
            Ok(()) => {
                self.lanes.retain(|_, entry| !entry.is_closed());
                self.lanes.insert(link, entry);
            }
            Err(Channels { own, .. }) => self.task.rest.close(&*own).await,
        }
    }

    /// What has come on the lossy channel is lost if its link does not take it.
    fn on_lossy(&mut self, link: LinkId, message: Bytes) {
        if let Some(entry) = self.lanes.get(&link) {
            let _ = entry.try_send(message);
        }
    }

    /// The other end has opened a channel.
    async fn on_channel(&mut self, channel: Arc<dyn DataChannel>) {
        let Some(link) = link_of(&*channel).await else { return close(&*channel).await };
        if let Some(awaiting) = self.awaited.remove(&link) {
            return self.give(link, awaiting, channel).await;
        }
        let until = Instant::now() + self.task.settings.connect_timeout;
        self.early.push_back((until, link, channel));
        if self.early.len() > EARLY_MAX {
            self.drop_oldest().await;
        }
    }

    async fn drop_oldest(&mut self) {
        if let Some((.., channel)) = self.early.pop_front() {
            close(&*channel).await;
        }
    }

    async fn on_up(&mut self) -> Result<(), LinkCloseReason> {
        self.founder = None;
        for wanted in std::mem::take(&mut self.waiting) {
            self.provide(wanted).await?;
        }
        Ok(())
    }

    fn on_status(&mut self) -> Result<(), LinkCloseReason> {
        let status = *self.connection.status.borrow_and_update();
        match status.state {
            RTCPeerConnectionState::Failed => Err(LinkCloseReason::IceFailed),
            _ => Ok(()),
        }
    }
}

impl Carrier {
    /// The channels of a link, or why there are none; and whom to tell when the connection is up.
    pub(super) async fn channels(
        &mut self,
        link: LinkId,
        role: Role,
        founder: Option<Founder>,
    ) -> Result<(Channels, Option<oneshot::Sender<()>>), LinkCloseReason> {
        let (opened, up) = match founder {
            Some(Founder { opened, up }) => (opened, Some(up)),
            None => {
                let (channels, opened) = oneshot::channel();
                if role == Role::Offerer {
                    self.rest.over().await;
                }
                // If it cannot be sent, the connection has ended, and nobody opens anything.
                let _ = self.wanted.send(Wanted { link, role, channels }).await;
                (opened, None)
            }
        };
        match opened.await {
            Ok(channels) => Ok((channels, up)),
            Err(_) => Err(self.end().await),
        }
    }

    /// Closes a link's data channel.
    pub(super) async fn close(&self, channel: &dyn DataChannel) {
        self.rest.close(channel).await;
    }

    fn known(&self, signals: Arc<Signals>) -> CarrierRef {
        let Self { wanted, ended, rest } = self.clone();
        CarrierRef { wanted: wanted.downgrade(), ended, rest, signals }
    }

    /// Why the connection has ended, when it has.
    pub(super) async fn end(&mut self) -> LinkCloseReason {
        let ended = self.ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|reason| reason.clone()).unwrap_or(LinkCloseReason::Local)
    }

    /// Why it has ended, if it has.
    pub(super) fn ended(&self) -> Option<LinkCloseReason> {
        self.ended.borrow().clone()
    }

    /// Lets go of it. Whoever is the last waits until it is closed.
    pub(super) async fn leave(self) {
        let Self { wanted, mut ended, .. } = self;
        let others = wanted.downgrade();
        drop(wanted);
        if others.strong_count() == 0 {
            // An error says that its task is gone.
            while ended.changed().await.is_ok() {}
        }
    }
}

impl CarrierRef {
    /// Holds the connection, if somebody still does.
    pub(super) fn hold(&self) -> Option<Carrier> {
        let wanted = self.wanted.upgrade()?;
        self.ended.borrow().is_none().then_some(())?;
        Some(Carrier { wanted, ended: self.ended.clone(), rest: self.rest.clone() })
    }
}

/// Resolves when the link that a connection is made for says that it is up, or has ended.
async fn is_up(founder: &mut Option<oneshot::Receiver<()>>) -> bool {
    match founder {
        Some(founder) => founder.await.is_ok(),
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
