//! What is said of a simulation.

use std::{fmt, time::Duration};

use serde::Serialize;
use tiercast_mesh::hub::Class;

use crate::{
    measure::{Measures, Second, Sums},
    net::Traffic,
    scenario::Scenario,
    stats::{Sample, median},
};

/// What was measured. Milliseconds, bytes, shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names and the text say it")]
pub struct Figures {
    pub about: String,
    pub seed: u64,
    pub peers: u64,
    pub joined: u64,
    pub events_delivered: u64,
    pub gaps: u64,
    pub latency_ms_p50: f64,
    pub latency_ms_p99: f64,
    pub latency_ms_max: f64,
    pub within_600_ms: f64,
    pub direct_ms_p50: f64,
    pub start_round_trips_p50: f64,
    pub start_round_trips_p99: f64,
    pub stalled: u64,
    pub stall_ms_p50: f64,
    pub stall_ms_p99: f64,
    pub stall_ms_max: f64,
    pub stalled_within_2_s: f64,
    pub others_stall_ms_p50: f64,
    pub others_stall_ms_p99: f64,
    pub offload: f64,
    pub server_share_by_class: [f64; Class::ALL.len()],
    pub sent_twice: f64,
    pub relayed_in_vain: f64,
    pub control_bits_per_peer_s: f64,
    pub control_share_of_data: f64,
    pub server_bytes_per_s_steady: f64,
    pub server_bytes_per_s_max: u64,
    pub fed_by_server_in_the_end: u64,
    pub fed_by_server_2_s_after_faults: f64,
    pub server_bytes_per_s_max_after_faults: u64,
    /// Only where peers are somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_round_trip_ms_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_round_trip_ms_p50: Option<f64>,
}

impl Figures {
    pub(crate) fn new(
        scenario: &Scenario,
        seed: u64,
        joined: u64,
        measures: &Measures,
        sums: &Sums,
        traffic: Traffic,
        join_s: usize,
    ) -> Self {
        let ms = |sample: &Sample, share| sample.quantile(share).as_secs_f64() * 1_000.0;
        let (latencies, stalls, others) =
            (&measures.latencies, &measures.stalls.hit, &measures.stalls.others);
        let busy = measures.seconds.get(join_s..).unwrap_or_default();
        let steady = median(busy.iter().map(|second| second.server_bytes));
        let peer_seconds: u64 = measures.seconds.iter().map(|second| second.peers).sum();
        let all = traffic.down + traffic.up + traffic.links;
        let data = sums.data_bytes + sums.relayed_bytes.max(sums.parent_bytes);
        let control = all.saturating_sub(data);
        let is_somewhere = scenario.network.earth.is_some();
        Self {
            about: scenario.about.clone(),
            seed,
            peers: scenario.peers,
            joined,
            events_delivered: latencies.len(),
            gaps: sums.gaps,
            latency_ms_p50: ms(latencies, 0.5),
            latency_ms_p99: ms(latencies, 0.99),
            latency_ms_max: ms(latencies, 1.0),
            direct_ms_p50: ms(&measures.direct, 0.5),
            start_round_trips_p50: measures.starts.quantile(0.5).as_secs_f64(),
            start_round_trips_p99: measures.starts.quantile(0.99).as_secs_f64(),
            stalled_within_2_s: stalls.share_within(Duration::from_secs(2)),
            within_600_ms: latencies.share_within(Duration::from_millis(600)),
            stalled: stalls.len(),
            stall_ms_p50: ms(stalls, 0.5),
            stall_ms_p99: ms(stalls, 0.99),
            stall_ms_max: ms(stalls, 1.0),
            others_stall_ms_p50: ms(others, 0.5),
            others_stall_ms_p99: ms(others, 0.99),
            offload: sums.offload(),
            server_share_by_class: sums.bytes_by_class.map(|bytes| sums.share(bytes)),
            sent_twice: sums.duplicates as f64 / (sums.frames + sums.duplicates).max(1) as f64,
            relayed_in_vain: sums.relayed_in_vain(),
            control_share_of_data: control as f64 / data.max(1) as f64,
            control_bits_per_peer_s: 8.0 * control as f64 / peer_seconds.max(1) as f64,
            server_bytes_per_s_steady: steady,
            server_bytes_per_s_max: busy.iter().map(|second| second.server_bytes).max().unwrap_or(0),
            fed_by_server_in_the_end: measures
                .seconds
                .last()
                .map_or(0, |second: &Second| second.fed_by_server),
            fed_by_server_2_s_after_faults: measures.fed_by_server_2_s_after(),
            server_bytes_per_s_max_after_faults: measures.busiest_after_faults(),
            link_round_trip_ms_mean: is_somewhere.then(|| measures.links.mean().as_secs_f64() * 1_000.0),
            link_round_trip_ms_p50: is_somewhere.then(|| ms(&measures.links, 0.5)),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.about)?;
        writeln!(f, "seed {}, {} peers at a time, {} in all", self.seed, self.peers, self.joined)?;
        writeln!(f)?;
        writeln!(f, "delivered             {} events, {} gaps", self.events_delivered, self.gaps)?;
        writeln!(
            f,
            "latency               p50 {:.0} ms ({:.0} ms direct), p99 {:.0} ms, longest {:.0} ms; {:.2} % within 600 ms",
            self.latency_ms_p50,
            self.direct_ms_p50,
            self.latency_ms_p99,
            self.latency_ms_max,
            100.0 * self.within_600_ms
        )?;
        writeln!(
            f,
            "joining               {:.1} round trips to the server until everything comes, p99 {:.1}",
            self.start_round_trips_p50, self.start_round_trips_p99
        )?;
        writeln!(
            f,
            "stalls                {} cut off by faults: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms; {:.2} % within 2 s (the others {:.0} and {:.0} ms)",
            self.stalled,
            self.stall_ms_p50,
            self.stall_ms_p99,
            self.stall_ms_max,
            100.0 * self.stalled_within_2_s,
            self.others_stall_ms_p50,
            self.others_stall_ms_p99
        )?;
        writeln!(
            f,
            "offload               {:.2} % of the data was not sent by the server",
            100.0 * self.offload
        )?;
        let [root, orphan, leaf, pulled, direct] = self.server_share_by_class.map(|share| 100.0 * share);
        writeln!(
            f,
            "the server's data     {root:.2} % for tier 1, {orphan:.2} % for others with children, {leaf:.2} % for those without, {direct:.2} % for those apart; {pulled:.2} % pulled"
        )?;
        writeln!(
            f,
            "sent twice            {:.2} % of the frames; {:.2} % of the bytes on links were taken by nobody",
            100.0 * self.sent_twice,
            100.0 * self.relayed_in_vain
        )?;
        writeln!(
            f,
            "control               {:.0} bit/s for each peer, {:.1} % of the data",
            self.control_bits_per_peer_s,
            100.0 * self.control_share_of_data
        )?;
        writeln!(
            f,
            "the server sends      {:.0} bytes/s, {} in the busiest second ({:.1} times), when all are there",
            self.server_bytes_per_s_steady,
            self.server_bytes_per_s_max,
            self.server_bytes_per_s_max as f64 / self.server_bytes_per_s_steady.max(1.0)
        )?;
        write!(
            f,
            "fed by the server     {} in the end; 2 s after faults {:.1} % at most, {} bytes in the busiest second",
            self.fed_by_server_in_the_end,
            100.0 * self.fed_by_server_2_s_after_faults,
            self.server_bytes_per_s_max_after_faults
        )?;
        match (self.link_round_trip_ms_mean, self.link_round_trip_ms_p50) {
            (Some(mean), Some(p50)) => {
                write!(f, "\nlinks                 round trip {mean:.0} ms in the mean, p50 {p50:.0} ms")
            }
            _ => Ok(()),
        }
    }
}
