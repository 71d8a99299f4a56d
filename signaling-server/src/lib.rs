//! The Tiercast signaling server: takes events from sources, seals them into signed frames and feeds them to
//! peers over WebSocket.
//!
//! One task, the driver, owns the hub, which decides everything (`tiercast_mesh`). Sessions, sources and HTTP
//! requests send it inputs through a bounded queue, and it hands messages to the sessions that can take some.
//!
//! ```
//! use tiercast_signaling_server::{Config, Message, Server};
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
//!
//! All types that an application can meet are exported here or in the module that they belong to.

mod access;
mod api_error;
mod app;
pub mod config;
mod counters;
mod driver;
pub mod epoch;
mod geo_database;
mod http;
mod in_path;
mod listener;
mod metrics;
mod network;
mod server;
mod session;
mod sheets;
mod shown;
pub mod source;
mod stall_guard;
mod state;
mod stopped;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transport;
mod visitor;
mod websocket;

pub use axum::Router;
pub use bytes::Bytes;
pub use config::{
    ApiKey, ApiKeyError, Config, ConfigError, ConfigErrors, CorsOrigins, KeySource, Layers, Limits, Origin,
    OriginError, SigningKeyError, SourceKind,
};
pub use driver::{ChannelSnapshot, EmbeddedPublisher, Handle, Reader, Snapshot};
pub use geo_database::{GeoDatabase, GeoDatabaseError};
pub use server::{Server, StartError, Task};
pub use source::{
    embedded::{PublishError, Published},
    message_ids::DuplicateLimits,
    store::{Retention, StoreError},
    stored::StoreConfig,
};
pub use state::StateError;
pub use stopped::Stopped;
pub use tiercast_codec::{
    BEFORE_FIRST, ChannelName, ChannelNameError, Epoch, Event, HeaderValue, IceServer, LinkId, Message,
    NodeKind, Offset, Pattern, PatternError, PatternSet, PeerId, Position, PublicKey, Relay, Since,
};
pub use tiercast_mesh::{
    BatchLimits, LogLimits, SourceUpdate, Time,
    hub::{
        ChannelStats, CommandError, HubConfig, HubStats, Location, Opening, Place, Portion, Reading, Refusal,
        Rights, SourceState, Tier1, TreeNode,
    },
};
