//! What the end-to-end tests share.

pub mod broker;
pub mod fed;
pub mod gate;
pub mod listener;
pub mod nginx;
pub mod plain;
pub mod programs;
pub mod raw;
pub mod scene;
pub mod session;
pub mod victim;
