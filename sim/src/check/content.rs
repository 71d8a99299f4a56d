//! Nobody is given anything that was not published.

use std::collections::BTreeMap;

use tiercast_mesh::peer::Delivery;

use super::{Check, Verdict};
use crate::{net::Given, workload};

/// Compares bodies with what was published.
#[derive(Debug, Default)]
pub struct Content {
    /// The bodies that were compared last, by offset and length: everybody gets the same.
    known: BTreeMap<(i64, usize), Vec<u8>>,
}

/// So many bodies are remembered.
const KNOWN: usize = 1_024;

impl Content {
    fn is_body(&mut self, offset: i64, body: &[u8]) -> bool {
        let key = (offset, body.len());
        let known = self.known.entry(key).or_insert_with(|| workload::body(offset, body.len()));
        let is_body = known == body;
        if self.known.len() > KNOWN {
            self.known.pop_first();
        }
        is_body
    }
}

impl Check for Content {
    fn name(&self) -> &'static str {
        "content"
    }

    fn given(&mut self, given: &Given) -> Verdict {
        match &given.delivery {
            Delivery::Event { position, event, .. }
                if !self.is_body(position.offset, &event.message.body) =>
            {
                Err(format!("node {} got something else at {position}", given.node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::{Event, Message, Position};

    use super::*;
    use crate::net::{BEGIN, channel};

    #[test]
    fn another_body_is_noticed() {
        let verdict = |body: Vec<u8>| {
            let event = Event { offset: 5, message: Message { body: body.into(), ..Message::default() } };
            let position = Position::new(7, 5);
            let delivery = Delivery::Event { channel: channel(), position, sealed_us: 0, event };
            Content::default().given(&Given { at: BEGIN, node: 1, delivery })
        };
        assert!(verdict(workload::body(5, 100)).is_ok());
        assert!(verdict(workload::body(6, 100)).is_err());
        let mut flipped = workload::body(5, 100);
        flipped[50] ^= 1;
        assert!(verdict(flipped).is_err());
    }
}
