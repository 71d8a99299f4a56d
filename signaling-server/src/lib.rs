//! The Tiercast signaling server: takes events from sources, seals them into signed frames and feeds them to
//! peers over WebSocket.
//!
//! One task, the driver, owns the hub, which decides everything (`tiercast_mesh`). Sessions, sources and HTTP
//! requests send it inputs through a bounded queue, and it hands messages to the sessions that can take some.
//!
//! ```
//! use tiercast_codec::Message;
//! use tiercast_signaling_server::{Config, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { listen: "127.0.0.1:0".parse()?, ..Config::default() };
//! let server = Server::start(config).await?;
//! println!("peers connect to ws://{}/v1/ws", server.addr());
//!
//! let message = Message { routing_key: "build.done".into(), body: "{}".into(), ..Message::default() };
//! let position = server.publisher("events")?.publish(message).await?;
//! assert_eq!(position.offset, 0);
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod config;
mod counters;
mod driver;
pub mod epoch;
mod http;
mod listener;
mod metrics;
mod server;
mod session;
pub mod source;
mod state;

pub use config::{ApiKey, Config, ConfigErrors, KeySource, Layers, Limits, SourceKind};
pub use driver::{ChannelSnapshot, Handle, PublishError, Snapshot, Stopped};
pub use server::{Server, StartError, Task};
pub use source::embedded::EmbeddedPublisher;
pub use state::StateError;
