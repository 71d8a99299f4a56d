//! What the end-to-end tests share.

pub mod broker;
pub mod listener;
pub mod programs;
