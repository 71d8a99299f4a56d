//! The wire format of Tiercast.
//!
//! A [`Frame`] is a signed batch of consecutive [`Event`]s, encoded once by the hub and forwarded unchanged
//! by every peer. A [`Head`] says how far a channel is. [`ToHub`], [`ToPeer`] and [`LinkMessage`] are the
//! control messages around them. [`Item`] tells them apart in what a WebSocket or a data channel brings.
//!
//! Nothing in here trusts its input: every limit is checked before memory is reserved, inflation stops at
//! the stated length, and what is wrong is said by a [`DecodeError`].
//!
//! ```
//! use bytes::Bytes;
//! use tiercast_codec::{Ed25519, Event, Item, Message, Position, Sealer, Signer, SigningKey};
//!
//! let key = SigningKey::from_seed(&[7; 32]);
//! let channel = "builds".parse()?;
//! let message = Message { routing_key: "build.done".into(), body: "{}".into(), ..Message::default() };
//! let before = Position::new(1, 41);
//! let events = [Event { offset: 42, message }];
//! let frame = Sealer::default().seal(&channel, before, 42, 1_790_000_000_000_000, &events, &key)?;
//!
//! let items = Item::all(frame.bytes().clone())?;
//! let [Item::Frame(received)] = items.as_slice() else { panic!("one frame") };
//! assert!(received.verify(&channel, &key.public_key(), &Ed25519));
//! assert_eq!(received.events()?, events);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channel;
mod code;
mod control;
mod error;
mod event;
mod event_name;
mod frame;
mod head;
mod ids;
mod item;
pub mod limits;
mod link_message;
mod message;
mod nack;
mod pattern;
mod pattern_set;
mod payload;
mod position;
mod range;
mod signal;
mod signature;
mod token;

pub use channel::{ChannelId, ChannelName, ChannelNameError};
pub use code::Code;
pub use control::{
    Assign, Away, ChannelAt, ErrorMessage, Expect, Fed, Feed, Gap, GapReason, Hello, LinkRole, LivingLink,
    Lost, NodeKind, PROTOCOL_VERSION, Ping, Place, Pong, PullMessage, Relay, Report, Resume, SignalMessage,
    Subscribe, Subscribed, ToHub, ToPeer, Unsubscribe, Unsubscribed, Welcome,
};
pub use error::{DecodeError, EncodeError};
pub use event::{Event, HeaderValue, Message};
pub use event_name::{EventName, EventNameError};
pub use frame::{FORMAT_VERSION, FRAME_HEADER_BYTES, FRAME_KIND, Frame, FrameHeader, Sealer};
pub use head::{HEAD_BYTES, HEAD_KIND, Head};
pub use ids::{LinkId, PeerId, SessionId};
pub use item::{CHUNK_HEADER_BYTES, CHUNK_KIND, Item, chunks, may_be_lost};
pub use link_message::{At, Bye, Have, Hold, Join, Joined, LinkMessage, SendMessage};
pub use message::WireMessage;
pub use nack::{NACK_BYTES, NACK_KIND, Nack};
pub use pattern::{Pattern, PatternError};
pub use pattern_set::PatternSet;
pub use position::{BEFORE_FIRST, Epoch, NUMBER_MAX, Offset, Position, PositionError, Since, SinceError};
pub use signal::{IceServer, Signal};
pub use signature::{Ed25519, PublicKey, SIGNATURE_BYTES, Signature, Signer, SigningKey, Verifier};
pub use token::{FixedBytes, KeyBytes, Token};
