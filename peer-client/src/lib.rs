//! The native Tiercast peer.
//!
//! ```no_run
//! use tiercast_peer_client::{Client, ClientOptions, Notification, SubscribeOptions};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), tiercast_peer_client::ClientError> {
//! let client = Client::connect("ws://127.0.0.1:8780/v1/ws".parse()?, ClientOptions::default());
//! let mut events = client.subscribe("builds", SubscribeOptions::default()).await?;
//! while let Some(notification) = events.next().await {
//!     match notification {
//!         Notification::Event { event, .. } => println!("{} {:?}", event.offset, event.message.routing_key),
//!         Notification::Gap { from, to, .. } => println!("gone for good: what lies between {from} and {to}"),
//!         Notification::Subscribed { position, .. } => println!("listening from {position}"),
//!         Notification::Refused { reason, .. } => println!("the end: {reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The peer reconnects by itself, relays to others unless told not to, and gives every event once and in
//! order. Of several servers (`"h:1,h:2".parse()`) it uses one at a time. [`Subscription::position`] is what to keep in order
//! to go on there when the program is started again: `examples/keep_position.rs` does it. An application that reads slowly costs nobody anything: what it has not read waits in the peer's
//! log, and when that is full, on the server.
//!
//! All types that an application can meet are exported here. Enums that will grow are `non_exhaustive`; options are
//! written as `ClientOptions { relay: false, ..ClientOptions::default() }`, which goes on to compile when there are
//! more of them.

mod client;
mod command;
mod driver;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
pub mod link;
mod notification;
mod options;
mod server_url;
mod servers;
mod session;
mod sessions;
mod subscription;
pub mod swarm;

pub use bytes::Bytes;
pub use client::Client;
pub use error::ClientError;
pub use notification::{News, Notification, Standing};
pub use options::{ClientOptions, SubscribeOptions};
pub use server_url::{ServerUrl, ServerUrlError, ServerUrls};
pub use subscription::{Controls, Subscription};
pub use tiercast_codec::{
    BEFORE_FIRST, ChannelName, ChannelNameError, Code, Epoch, Event, GapReason, HeaderValue, IceServer,
    Message, Offset, Pattern, PatternError, PeerId, Position, PositionError, Signal, Since, SinceError,
};
pub use tiercast_mesh::peer::PeerStats;
