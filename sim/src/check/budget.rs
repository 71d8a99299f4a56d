//! The server does not spend more within a second than so many times what it spends in the median one.

use tiercast_mesh::Time;

use super::{Check, Verdict, View};
use crate::stats::median;

/// Looks at what the server sends in each second once everybody is there.
#[derive(Debug)]
pub struct Budget {
    egress_times: f64,
    begin: Time,
    sent: u64,
    seconds: Vec<u64>,
}

impl Budget {
    /// A budget for the time from `begin` on.
    pub fn new(egress_times: f64, begin: Time) -> Self {
        Self { egress_times, begin, sent: 0, seconds: Vec::new() }
    }

    fn spent(&mut self, now: Time, sent: u64) {
        if now > self.begin {
            self.seconds.push(sent - self.sent);
        }
        self.sent = sent;
    }

    fn verdict(&self) -> Verdict {
        let median = median(self.seconds.iter().copied());
        let most = self.seconds.iter().copied().max().unwrap_or(0) as f64;
        if most <= median * self.egress_times {
            return Ok(());
        }
        Err(format!(
            "the server sent {most} bytes in a second, {:.1} times the median; {} times are its budget",
            most / median.max(1.0),
            self.egress_times
        ))
    }
}

impl Check for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        self.spent(view.net.now, view.net.traffic.down);
        Ok(())
    }

    fn end(&mut self, _: &View<'_>) -> Verdict {
        self.verdict()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{CALM, Net, bodies, net::BEGIN, relay, roots};

    /// Ten peers get an event a second; in one second so many events.
    fn verdict(burst: usize) -> Verdict {
        let mut net = Net::new(1, roots(10), CALM);
        (1..=10).for_each(|node| net.join(node, relay(0), tiercast_codec::Since::Now));
        net.run_for(Duration::from_secs(2));
        let mut budget = Budget::new(3.0, BEGIN + Duration::from_secs(2));
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
}
