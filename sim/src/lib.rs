//! The simulator: the production [`Hub`](tiercast_mesh::Hub) and [`Peer`](tiercast_mesh::Peer)s on a network in memory.
//!
//! [`net`] is the network with its hub and nodes, driven by the contract that real drivers keep; tests of the core use it
//! as it is. [`simulation`] plays a [`scenario`] on it: who comes and goes, what is published, what goes wrong. What must
//! always hold is checked as it goes, by one [`check`] each, and what happens is measured.

mod chance;
pub mod check;
pub mod cli;
pub mod cut;
mod downlink;
pub mod earth;
pub mod fault;
pub mod internet;
pub mod liar;
pub mod measure;
pub mod net;
mod node;
pub mod page;
pub mod pair;
mod queue;
pub mod regression;
pub mod report;
pub mod report_file;
pub mod scenario;
pub mod seeds;
pub mod sessions;
pub mod shrink;
pub mod signature;
pub mod simulation;
pub mod stalls;
pub mod stats;
pub mod trace;
pub mod wires;
pub mod workload;

pub use net::{FIRST_EPOCH, Net, Node, Tamper, channel};
pub use pair::*;
pub use signature::{FakeSigner, FakeVerifier};
pub use wires::{CALM, ROUGH, Weather};
