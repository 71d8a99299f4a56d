//! The server keeps to its budget: what it spends in a second on those who are not in tier 1 is bounded, and, if the
//! scenario says so, all of it as a multiple of what the median second costs.

use tiercast_mesh::{
    Time,
    hub::{Class, HubConfig},
};

use super::{Check, Verdict, View};
use crate::{net::Net, stats::median};

/// What was saved from the second before, and turns that were given in it.
const SAVED: u64 = 5;

/// The last frame of each turn may be begun with the last byte.
const LAST_FRAMES: u64 = 64 << 10;

/// Looks at what the server sends in each second.
#[derive(Debug)]
pub struct Budget {
    feed_bytes: u64,
    egress_times: Option<f64>,
    begin: Time,
    fed: u64,
    sent: u64,
    seconds: Vec<u64>,
}

impl Budget {
    /// The budget of a hub, and how much more it may send in one second than in another from `begin` on.
    pub fn new(config: &HubConfig, egress_times: Option<f64>, begin: Time) -> Self {
        Self { feed_bytes: config.feed_bytes, egress_times, begin, fed: 0, sent: 0, seconds: Vec::new() }
    }

    /// What the server gave in the last second to those who are not in tier 1.
    fn fed(&mut self, net: &Net) -> u64 {
        let classes = net.hub.spending().into_iter().filter(|spending| spending.class != Class::Root);
        let fed = classes.map(|spending| spending.bytes).sum();
        // A server that has restarted counts anew.
        let before = std::mem::replace(&mut self.fed, fed);
        fed.checked_sub(before).unwrap_or(fed)
    }

    fn spent(&mut self, now: Time, sent: u64) {
        if now > self.begin {
            self.seconds.push(sent - self.sent);
        }
        self.sent = sent;
    }

    fn verdict(&self) -> Verdict {
        let Some(times) = self.egress_times else { return Ok(()) };
        let median = median(self.seconds.iter().copied());
        let most = self.seconds.iter().copied().max().unwrap_or(0) as f64;
        if most <= median * times {
            return Ok(());
        }
        Err(format!(
            "the server sent {most} bytes in a second, {:.1} times the median; {times} times are its budget",
            most / median.max(1.0),
        ))
    }
}

impl Check for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        self.spent(view.net.now, view.net.traffic.down);
        let fed = self.fed(view.net);
        if fed <= self.feed_bytes + self.feed_bytes / SAVED + LAST_FRAMES {
            return Ok(());
        }
        Err(format!("the server fed {fed} bytes in a second; its budget is {}", self.feed_bytes))
    }

    fn end(&mut self, _: &View<'_>) -> Verdict {
        self.verdict()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use tiercast_mesh::peer::PeerConfig;

    use super::*;
    use crate::{CALM, Net, bodies, net::BEGIN, noise, relay, roots};

    /// Ten peers get an event a second; in one second so many events.
    fn verdict(burst: usize) -> Verdict {
        let mut net = Net::new(1, roots(10), CALM);
        (1..=10).for_each(|node| net.join(node, relay(0), tiercast_codec::Since::Now));
        net.run_for(Duration::from_secs(2));
        let mut budget = Budget::new(&roots(10), Some(3.0), BEGIN + Duration::from_secs(2));
        let excused = BTreeSet::new();
        for second in 0..20 {
            net.publish(bodies(if second == 10 { burst } else { 1 }));
            net.run_for(Duration::from_secs(1));
            budget.look(&View { net: &net, tree: &[], published: &[], excused: &excused })?;
        }
        budget.end(&View { net: &net, tree: &[], published: &[], excused: &excused })
    }

    #[test]
    fn a_second_that_costs_too_much_is_noticed() {
        assert_eq!(verdict(1), Ok(()));
        let wrong = verdict(200).unwrap_err();
        assert!(wrong.contains("times the median"), "{wrong}");
    }

    #[test]
    fn a_hub_that_does_not_keep_to_its_budget_is_noticed() {
        // One who takes no part gets 600 kB at once; the hub may, and its budget says what the checker is told.
        let fed = |feed_bytes| {
            let mut net = Net::new(1, roots(1), CALM);
            net.join(1, PeerConfig { relay: None, ..relay(0) }, tiercast_codec::Since::Now);
            net.run_for(Duration::from_secs(2));
            let told = HubConfig { feed_bytes, ..roots(1) };
            let mut budget = Budget::new(&told, None, BEGIN);
            net.publish((0..600).map(|number| noise(number, 1_000)));
            net.run_for(Duration::from_secs(1));
            budget.look(&View { net: &net, tree: &[], published: &[], excused: &BTreeSet::new() })
        };
        assert_eq!(fed(1 << 20), Ok(()));
        let wrong = fed(100_000).unwrap_err();
        assert!(wrong.contains("its budget is 100000"), "{wrong}");
    }
}
