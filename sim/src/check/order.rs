//! Every application gets every event once and in order, from where it was told that it starts. Where gaps may be, they say
//! what is missing.

use tiercast_codec::Position;
use tiercast_mesh::peer::Delivery;

use super::{Check, Verdict, reached::Reached};
use crate::net::Given;

/// Where each application is.
#[derive(Debug)]
pub struct Order {
    reached: Reached,
    may_have_gaps: bool,
}

impl Order {
    /// Whether there may be gaps.
    pub fn new(may_have_gaps: bool) -> Self {
        Self { reached: Reached::default(), may_have_gaps }
    }
}

impl Check for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn started(&mut self, node: u64, position: Position) {
        self.reached.started(node, position);
    }

    fn given(&mut self, given: &Given) -> Verdict {
        let reached = self.reached.of(given.node);
        match &given.delivery {
            Delivery::Event { position, .. } => {
                let follows = |reached: Position| {
                    reached.epoch == position.epoch && reached.offset + 1 == position.offset
                };
                if !reached.is_some_and(follows) {
                    return Err(format!("node {} got {position} after {reached:?}", given.node));
                }
            }
            Delivery::Gap { from, to, .. } => {
                if !self.may_have_gaps || reached != Some(*from) || to <= from {
                    return Err(format!("node {} got a gap {from} to {to} after {reached:?}", given.node));
                }
            }
            Delivery::CaughtUp { position, .. } => {
                if reached.is_some_and(|reached| reached > *position) {
                    return Err(format!("node {} is at {position} again after {reached:?}", given.node));
                }
            }
        }
        self.reached.given(given);
        Ok(())
    }

    fn left(&mut self, node: u64) {
        self.reached.left(node);
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::{Event, GapReason, Message};

    use super::*;
    use crate::net::{BEGIN, channel};

    fn event(offset: i64) -> Delivery {
        let event = Event { offset, message: Message::default() };
        Delivery::Event { channel: channel(), position: Position::new(7, offset), sealed_us: 0, event }
    }

    fn gap(from: i64, to: i64) -> Delivery {
        let (from, to) = (Position::new(7, from), Position::new(7, to));
        Delivery::Gap { channel: channel(), from, to, reason: GapReason::Source }
    }

    fn is_right_if(may_have_gaps: bool, deliveries: Vec<Delivery>) -> bool {
        let mut order = Order::new(may_have_gaps);
        order.started(1, Position::new(7, 2));
        order.started(1, Position::new(7, 5));
        deliveries.into_iter().all(|delivery| order.given(&Given { at: BEGIN, node: 1, delivery }).is_ok())
    }

    fn is_right(deliveries: Vec<Delivery>) -> bool {
        is_right_if(true, deliveries)
    }

    #[test]
    fn what_is_repeated_or_missing_or_out_of_order_is_noticed() {
        assert!(is_right(vec![event(3), event(4), gap(4, 6), event(7)]));
        assert!(!is_right(vec![event(3), event(3)]), "repeated");
        assert!(!is_right(vec![event(3), event(5)]), "missing");
        assert!(!is_right(vec![event(4)]), "missing at the beginning");
        assert!(!is_right_if(false, vec![event(3), gap(3, 6)]), "a gap where there is to be none");
        assert!(!is_right(vec![event(3), event(2)]), "out of order");
        assert!(!is_right(vec![event(3), gap(4, 6)]), "a gap from elsewhere");
        assert!(!is_right(vec![event(3), gap(3, 3)]), "a gap of nothing");
    }
}
