//! placeholder

pub mod link;
