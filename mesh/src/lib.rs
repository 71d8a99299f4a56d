//! The sans-IO core of Tiercast: [`Hub`], the server's half of the protocol, and [`Peer`], a node's half.
//!
//! Neither does IO, spawns anything, reads a clock or holds a lock. A driver hands in what happened and when,
//! then asks what to do until there is nothing more, and sleeps until the next deadline. Its enums can be
//! matched exhaustively: a driver that overlooks something new does not compile:
//!
//! ```
//! use tiercast_codec::{ChannelName, Ed25519, Message, Position, SessionId, Since, SigningKey};
//! use tiercast_mesh::{Hub, Peer, SourceUpdate, Time, hub, peer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Time(1_790_000_000_000_000);
//! let channel: ChannelName = "builds".parse()?;
//! let session = SessionId(1);
//!
//! // The server: a channel whose source is open.
//! let mut hub = Hub::new(hub::HubConfig::default(), Box::new(SigningKey::from_seed(&[1; 32])), [2; 32]);
//! hub.add_channel(now, &channel)?;
//! hub.handle(now, hub::Input::Source(&channel, SourceUpdate::Opened(Position::new(7, -1))))?;
//! hub.handle(now, hub::Input::SessionOpened(session, hub::Whereabouts::default(), hub::Rights::default()))?;
//!
//! // A node: wants that channel, and has just connected.
//! let mut peer = Peer::new(peer::PeerConfig::default(), Box::new(Ed25519));
//! peer.handle(now, peer::Input::Subscribe { channel: channel.clone(), since: Since::Earliest })?;
//! peer.handle(now, peer::Input::SessionOpened)?;
//!
//! let message = Message { routing_key: "build.done".into(), body: "{}".into(), ..Message::default() };
//! hub.handle(now, hub::Input::Source(&channel, SourceUpdate::Messages(vec![message])))?;
//!
//! // The drivers: carry bytes between the two until both are quiet. Real ones send only what is writable, and
//! // wake up again at `poll_timeout`.
//! let mut got = Vec::new();
//! loop {
//!     while hub.poll_output().is_some() || peer.poll_output().is_some() {}
//!     got.extend(std::iter::from_fn(|| peer.poll_delivery(&channel)));
//!     if let Some(bytes) = peer.poll_transmit(peer::Target::Session) {
//!         hub.handle(now, hub::Input::SessionData(session, bytes))?;
//!     } else if let Some(bytes) = hub.poll_transmit(session) {
//!         peer.handle(now, peer::Input::SessionData(bytes))?;
//!     } else {
//!         break;
//!     }
//! }
//! let [peer::Delivery::Event { event, .. }] = got.as_slice() else { panic!("one event, once: {got:?}") };
//! assert_eq!(event.message.body, "{}");
//! assert!(hub.poll_timeout() > Some(now), "nothing is due yet");
//! # Ok(())
//! # }
//! ```
//!
//! What a remote says is never our `Err`: it is counted, and its link or session is closed with a
//! [`Code`](tiercast_codec::Code). An `Err` is the driver's misuse.

mod batch;
mod cursor;
mod held;
pub mod hub;
mod log;
mod outbox;
pub mod peer;
mod source;
mod time;
mod timers;

pub use batch::BatchLimits;
pub use held::Held;
pub use hub::Hub;
pub use log::{FrameLog, LogLimits, Read, covers};
pub use peer::Peer;
pub use source::{Page, PageEntry, SourceUpdate};
pub use time::Time;
