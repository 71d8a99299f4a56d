//! The simulator: the production [`Hub`](tiercast_mesh::Hub) and [`Peer`](tiercast_mesh::Peer)s on a network in memory.

pub mod net;
pub mod pair;
mod queue;
pub mod sessions;
pub mod signature;
pub mod trace;
pub mod wires;

pub use net::{FIRST_EPOCH, Net, Node, channel};
pub use pair::*;
pub use signature::{FakeSigner, FakeVerifier};
pub use wires::{CALM, ROUGH, Weather};
