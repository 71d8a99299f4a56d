//! Publishes events to a Tiercast server: for backends that tell what happened to what.
//!
//! ```
//! use serde_json::json;
//! use tiercast_emit::Emitter;
//! use tiercast_signaling_server::testing::{TestServer, assert_events, capture};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tiercast_emit::EmitError> {
//! let server = TestServer::start(["tickets"]).await;
//! let emitter = Emitter::new(&server.url(), "tickets", server.key())?;
//! let (position, events) = capture(&server, "tickets", async {
//!     emitter.emit("ticket", 1234, "updated", &json!({"status": "fixed"})).await
//! })
//! .await;
//! println!("published at {}", position?);
//! assert_events(&events, [("ticket.1234.updated", json!({"status": "fixed"}))]);
//! # server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! An event about `ticket` 1234 that was `updated` has the routing key `ticket.1234.updated` ([`EventName`]), so that whoever
//! listens knows the pattern: `ticket.1234.*`, `ticket.*.deleted`.
//!
//! Events are published in their order, each once: what is not known to be published is sent again under the same
//! message id, after a while and until [`EmitOptions::give_up`] is over. While one request is under way, those that come
//! wait and go together in the next one.
//!
//! It speaks `http://` only: where the server is not near, put a proxy in between that speaks TLS.

mod connection;
mod emitter;
mod error;
mod new_event;
mod sender;

pub use emitter::{EmitOptions, Emitter};
pub use error::EmitError;
pub use new_event::NewEvent;
pub use tiercast_codec::{ChannelName, ChannelNameError, Code, EventName, EventNameError, Position};
