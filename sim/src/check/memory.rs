//! Logs stay within their bounds.

use super::{Check, Verdict, View};
use crate::net::channel;

/// Looks at each peer's log.
#[derive(Debug)]
pub struct Memory;

impl Check for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        for (id, node) in &view.net.nodes {
            let (bytes, max) = node.peer.log_bytes(&channel());
            if bytes > max {
                return Err(format!("the log of node {id} has {bytes} bytes, {max} are allowed"));
            }
        }
        Ok(())
    }
}
