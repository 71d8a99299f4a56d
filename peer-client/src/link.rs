//! Links: the WebRTC transport between two peers, a thin driver below the sans-IO core.
//!
//! One [`Links`] belongs to one peer. It opens a link for each neighbour that the hub assigns; every
//! link is one task that owns a data channel, and every PeerConnection another one, which owns the lossy data channel that its
//! links share and ends with the last of them. The peer's task talks to a link through a
//! [`LinkHandle`], whose methods never wait, and hears from all of its links on one bounded channel
//! of [`LinkEvent`]s:
//!
//! ```no_run
//! use tiercast_peer_client::link::{LinkEvent, LinkSettings, Links, Role};
//! use tokio::sync::mpsc;
//!
//! # async fn example() {
//! let (events, mut inbox) = mpsc::channel(64);
//! let links = Links::new(LinkSettings::default(), events);
//! let link = links.open(7, Role::Offerer);
//! while let Some(event) = inbox.recv().await {
//!     match event {
//!         LinkEvent::Signal { link, signal } => { /* to the hub, which forwards it */ }
//!         LinkEvent::Opened { .. } | LinkEvent::Writable { .. } => { /* try_send until it refuses */ }
//!         LinkEvent::Data { link, bytes } => { /* to the core */ }
//!         LinkEvent::Closed { link, reason } => break,
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! What the other end must do, whatever it is written in: the offerer creates one data channel for each link,
//! labelled with the link's number, ordered and reliable (the defaults) and not `negotiated`; the answerer takes it
//! from its `datachannel` event. Both ends create the lossy one with the connection: `negotiated` with stream 0, unordered,
//! `maxRetransmits` 0; each message on it comes behind the number of its link, 8 bytes, big-endian. Both ends know a link by
//! the same number. Messages are binary, at most [`MESSAGE_BYTES_MAX`]. Which of them may be lost
//! [`may_be_lost`](tiercast_codec::may_be_lost) says; all others arrive, in order.
//!
//! **Back-pressure.** Outward, [`LinkHandle::try_send`] refuses when its small queue is full and
//! [`LinkEvent::Writable`] follows once. Inward, a full event channel makes the link stop reading; SCTP
//! then slows the sender down, but after a long stall it may never speed up again, so the protocol
//! above keeps a window of its own. A link that waits for its consumer still sends, and still
//! closes at once when told to.

mod addresses;
mod carrier;
mod connection;
mod lossy;
mod mailbox;
mod negotiation;
mod rest;
mod runtime;
mod signals;
mod task;
#[cfg(feature = "faults")]
mod weather;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tiercast_codec::{IceServer, Signal};
use tokio::sync::mpsc;

use carrier::{CarrierRef, CarrierTask};
use mailbox::Mailbox;
use rest::StreamRest;
use runtime::LinkRuntime;
use task::LinkTask;
#[cfg(feature = "faults")]
use weather::Sky;
#[cfg(feature = "faults")]
pub use weather::Weather;

/// What the hub calls a link; never used twice, as a link that was closed speaks once more.
pub type LinkId = u64;

/// Largest message a link carries, in bytes; RFC 8841's default for `max-message-size`. The core
/// stays near 16 KiB, where the measured throughput per CPU is best. A larger one from the other
/// side closes the link; one that is larger than what we advertised never comes out of SCTP at all.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Which end of a link this is. The hub decides; both ends must have been told differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Makes the offer.
    Offerer,
    /// Waits for the offer and answers it.
    Answerer,
}

/// Which of its addresses a peer may use and show to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CandidatePolicy {
    /// The host's own addresses, what STUN finds, and TURN relays. The default.
    #[default]
    All,
    /// Only TURN relays, so that a neighbour never learns an address of ours. Without a TURN server
    /// every link closes at once with [`LinkCloseReason::Transport`].
    RelayOnly,
}

/// What all links of a peer have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    /// STUN and TURN servers, as the server's `welcome` names them. Default: none, which is enough
    /// where one of the two ends is directly reachable. One that cannot be used is left out.
    pub ice_servers: Vec<IceServer>,
    /// UDP addresses to bind, port 0 for any. Default `None`: the addresses of the default routes,
    /// one per IP version (RFC 8828 mode 2: those that the server sees anyway); `127.0.0.1` on a host
    /// that has no default route.
    pub bind: Option<Vec<SocketAddr>>,
    /// From [`Links::open`] to [`LinkEvent::Opened`], signaling included. Default 10 s, unvalidated.
    pub connect_timeout: Duration,
    /// Which addresses may be used. Default: all.
    pub candidates: CandidatePolicy,
    /// Whether frames may be lost on their way, and are asked for again; if not, SCTP repeats what is lost, and what follows
    /// waits for it, for a second and more. Default true.
    pub lossy: bool,
    /// What happens to packets. Default: nothing.
    #[cfg(feature = "faults")]
    pub weather: Weather,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            bind: None,
            connect_timeout: Duration::from_secs(10),
            candidates: CandidatePolicy::default(),
            lossy: true,
            #[cfg(feature = "faults")]
            weather: Weather::default(),
        }
    }
}

/// What a link tells its peer. Events of one link keep their order, but for messages that may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// To be brought to the other end.
    Signal {
        /// The link that speaks.
        link: LinkId,
        /// What the other end's [`LinkHandle::signal`] wants.
        signal: Signal,
    },
    /// Connected; once.
    Opened {
        /// The link that opened.
        link: LinkId,
    },
    /// A message of the other side.
    Data {
        /// The link it came over.
        link: LinkId,
        /// The message, at most [`MESSAGE_BYTES_MAX`].
        bytes: Bytes,
    },
    /// [`LinkHandle::try_send`] has room again; once after it refused, however often it did.
    Writable {
        /// The link that has room.
        link: LinkId,
    },
    /// Gone, with everything it held; exactly once per link, and its last event.
    Closed {
        /// The link that closed.
        link: LinkId,
        /// Why.
        reason: LinkCloseReason,
    },
}

impl LinkEvent {
    /// The link that speaks.
    pub fn link(&self) -> LinkId {
        match self {
            Self::Signal { link, .. }
            | Self::Opened { link }
            | Self::Data { link, .. }
            | Self::Writable { link }
            | Self::Closed { link, .. } => *link,
        }
    }
}

/// Why a link closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkCloseReason {
    /// This side wanted it: [`LinkHandle::close`], the handle dropped, or the event channel closed.
    #[error("closed by this side")]
    Local,
    /// The other side closed it.
    #[error("closed by the other side")]
    Remote,
    /// It did not open in time: the other end did not answer, or no path exists between the two.
    #[error("not connected in time")]
    ConnectTimeout,
    /// No path could be found, or the one in use has been silent for about three seconds.
    #[error("connectivity lost or never found")]
    IceFailed,
    /// The other end's signaling makes no sense. Its fault, or the hub's.
    #[error("bad signal: {0}")]
    BadSignal(String),
    /// The other end sent more than [`MESSAGE_BYTES_MAX`] at once. Its fault.
    #[error("message too large")]
    MessageTooLarge,
    /// The connection that it was to share is gone.
    #[error("the connection that it was to share is gone")]
    NotShared,
    /// Anything else below us: no address to bind, no socket left, a protocol error of DTLS or SCTP.
    #[error("transport: {0}")]
    Transport(String),
}

/// Why [`LinkHandle::try_send`] did not take a message. It kept nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// No room: one [`LinkEvent::Writable`] follows, try again then.
    #[error("no room")]
    Full,
    /// Closed or closing: [`LinkEvent::Closed`] follows or has come.
    #[error("closed")]
    Closed,
    /// Larger than [`MESSAGE_BYTES_MAX`]: it will never be taken. The caller's mistake.
    #[error("message too large")]
    TooLarge,
}

/// Opens the links of one peer. See the [module](self).
#[derive(Debug)]
pub struct Links {
    settings: Arc<LinkSettings>,
    events: mpsc::Sender<LinkEvent>,
    connections: Arc<AtomicUsize>,
    #[cfg(feature = "faults")]
    sky: Sky,
}

impl Links {
    /// A factory whose links all report to `events`. Dropping the receiver closes them.
    pub fn new(settings: LinkSettings, events: mpsc::Sender<LinkEvent>) -> Self {
        Self {
            #[cfg(feature = "faults")]
            sky: Sky::of(settings.weather),
            settings: Arc::new(settings),
            events,
            connections: Arc::default(),
        }
    }

    /// Replaces the STUN and TURN servers for links opened from now on.
    pub fn set_ice_servers(&mut self, ice_servers: Vec<IceServer>) {
        Arc::make_mut(&mut self.settings).ice_servers = ice_servers;
    }

    /// Starts a link with a connection of its own. It closes when the handle is dropped.
    ///
    /// Must be called within a tokio runtime; the tasks live on it.
    pub fn open(&self, link: LinkId, role: Role) -> LinkHandle {
        let task = CarrierTask {
            link,
            role,
            settings: self.settings.clone(),
            runtime: Arc::new(self.runtime()),
            events: self.events.clone(),
            count: self.connections.clone(),
            rest: StreamRest::default(),
        };
        let (held, carrier, founder) = task.start();
        let task = self.task(link, role);
        let mailbox = task.mailbox.clone();
        tokio::spawn(task.run(Some(held), Some(founder)));
        LinkHandle { link, mailbox, carrier: Some(carrier) }
    }

    /// Starts a link that shares the connection of another: one that is up, or is being set up. If that is gone, so is
    /// the link.
    pub fn open_via(&self, link: LinkId, role: Role, via: Option<&LinkHandle>) -> LinkHandle {
        let carrier = via.and_then(|via| via.carrier.clone());
        let held = carrier.as_ref().and_then(CarrierRef::hold);
        let task = self.task(link, role);
        let mailbox = task.mailbox.clone();
        tokio::spawn(task.run(held, None));
        LinkHandle { link, mailbox, carrier }
    }

    /// How many connections there are; one that is being closed counts.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn task(&self, link: LinkId, role: Role) -> LinkTask {
        let connect_timeout = self.settings.connect_timeout;
        LinkTask { link, role, connect_timeout, mailbox: Arc::default(), events: self.events.clone() }
    }

    /// Changes the weather, also of links that are open.
    #[cfg(feature = "faults")]
    pub fn set_weather(&self, weather: Weather) {
        self.sky.set(weather);
    }

    #[cfg(feature = "faults")]
    fn runtime(&self) -> LinkRuntime {
        LinkRuntime::under(self.sky.clone())
    }

    #[cfg(not(feature = "faults"))]
    fn runtime(&self) -> LinkRuntime {
        LinkRuntime::default()
    }
}

/// The peer's hold on one link. Nothing here waits. Dropping it closes the link.
#[derive(Debug)]
pub struct LinkHandle {
    link: LinkId,
    mailbox: Arc<Mailbox>,
    carrier: Option<CarrierRef>,
}

impl LinkHandle {
    /// The link's number.
    pub fn id(&self) -> LinkId {
        self.link
    }

    /// Hands over what the other end signaled, in any order: candidates that precede their
    /// description wait for it. They are about its connection.
    pub fn signal(&self, signal: Signal) {
        if let Some(carrier) = &self.carrier {
            carrier.signals.push(signal);
        }
    }

    /// Queues one message, to be sent in order, exactly once, as long as the link lives; one that
    /// [may be lost](tiercast_codec::may_be_lost) arrives at any time or not at all. Messages may be queued before the link is
    /// open.
    ///
    /// # Errors
    ///
    /// See [`TrySendError`]; nothing of `bytes` was kept, so send a clone and keep the original.
    pub fn try_send(&self, bytes: Bytes) -> Result<(), TrySendError> {
        self.mailbox.try_send(bytes)
    }

    /// Closes the link. What [`try_send`](Self::try_send) took before is still sent, as far as that
    /// takes no longer than a tenth of a second, so a goodbye can go ahead of it.
    /// [`LinkEvent::Closed`] follows; of the link's other events only those come that are in the event
    /// channel already.
    pub fn close(&self) {
        self.mailbox.close();
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
