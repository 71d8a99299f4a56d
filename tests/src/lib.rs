//! What the end-to-end tests share.

pub mod audience;
pub mod broker;
pub mod cluster;
pub mod crowd;
pub mod fed;
pub mod gate;
pub mod http_publisher;
pub mod listener;
pub mod measure;
pub mod nginx;
pub mod plain;
pub mod programs;
pub mod raw;
pub mod scene;
pub mod server_program;
pub mod session;
pub mod wire;
