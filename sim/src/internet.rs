//! A model of the internet between the server and its peers: distances, lines that are narrow, packets that are lost,
//! and pairs that cannot connect.
//!
//! What two ends are to each other (distance, loss, whether they can connect) is drawn from a hash of both, so that it
//! takes no memory and is the same however often they meet.

use std::time::Duration;

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tiercast_mesh::{Time, hub::Whereabouts};

use crate::{
    chance::{exponential, hash, normal, uniform},
    cut::{Cut, Cuts},
    downlink::Downlink,
    earth::Earth,
    node::SERVER,
    wires::{Carried, Parcel, Way, Wires},
};

/// Payload bytes of a packet (SCTP over DTLS over UDP).
const PACKET_BYTES: usize = 1_160;

/// What a packet costs on the wire beside its payload.
const OVERHEAD_BYTES: usize = 120;

/// What may wait before a line: a data channel's or a socket's buffer.
const BUFFER_BYTES: u64 = 65_536;

/// So many packets that follow a lost one make the loss known (RFC 9260, 7.2.4).
const FOLLOWERS: u32 = 3;

/// SCTP's least retransmission timeout (RFC 9260, 16); nobody's implementation here lets it be set.
const RTO_MIN: Duration = Duration::from_secs(1);

/// TCP's, as Linux has it.
const TCP_RTO_MIN: Duration = Duration::from_millis(200);

/// How the network is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InternetConfig {
    /// Median of the one-way latency between two ends, in milliseconds. It is distributed lognormally.
    pub latency_ms: f64,
    /// The deviation of its logarithm.
    pub latency_sigma: f64,
    /// No latency is more than this.
    pub latency_ms_max: f64,
    /// What each message takes beyond that in the mean, in milliseconds. It is distributed exponentially.
    pub jitter_ms: f64,
    /// Least and greatest share of packets that are lost on the way between two ends.
    pub loss: [f64; 2],
    /// Share of pairs of peers that can connect.
    pub connectable: f64,
    /// Round trips that the setting up of a link takes once both ends have described themselves.
    pub set_up_round_trips: f64,
    /// Least and greatest rate at which a peer can send, in bits a second.
    pub uplink_bps: [f64; 2],
    /// Least and greatest rate at which a peer can receive, in bits a second.
    pub downlink_bps: [f64; 2],
    /// The rate at which the server can send, in bits a second.
    pub server_bps: f64,
    /// Where everybody is, if that matters: latencies follow from it, and those above are what lines add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earth: Option<Earth>,
}

impl Default for InternetConfig {
    fn default() -> Self {
        Self {
            latency_ms: 75.0,
            latency_sigma: 0.5,
            latency_ms_max: 400.0,
            jitter_ms: 0.0,
            loss: [0.01, 0.05],
            connectable: 0.8,
            set_up_round_trips: 3.0,
            uplink_bps: [2e6, 50e6],
            downlink_bps: [10e6, 200e6],
            server_bps: 10e9,
            earth: None,
        }
    }
}

/// The network.
#[derive(Debug)]
pub struct Internet {
    config: InternetConfig,
    seed: u64,
    /// When each sender's line is free again.
    free: FxHashMap<u64, Time>,
    /// The lines on which nodes receive.
    downlinks: FxHashMap<u64, Downlink>,
    /// Between which ends something was sent.
    paths: FxHashMap<(u64, u64), Path>,
    /// Share of a node's uplink that is left.
    narrowed: FxHashMap<u64, f64>,
    cuts: Cuts,
}

/// What lies between two ends, in one direction.
#[derive(Debug, Clone, Copy)]
struct Path {
    latency: Duration,
    loss: f64,
    /// When the last message went out: what follows soon makes a loss known.
    last_sent: Option<Time>,
}

impl Internet {
    /// A network; the same seed makes the same one.
    pub fn new(config: InternetConfig, seed: u64) -> Self {
        let (free, downlinks, paths, narrowed, cuts) = Default::default();
        Self { config, seed, free, downlinks, paths, narrowed, cuts }
    }

    /// The one-way latency between two ends.
    pub fn latency(&self, one: u64, other: u64) -> Duration {
        let deviation = normal(hash(&[self.seed, 1, one.min(other), one.max(other)]));
        let lines = self.config.latency_ms * (self.config.latency_sigma * deviation).exp();
        let ms = self.config.earth.as_ref().map_or(lines, |earth| earth.way_ms(self.seed, one, other, lines));
        Duration::from_secs_f64(ms.min(self.config.latency_ms_max) / 1_000.0)
    }

    /// What the hub is told of where a node is.
    pub fn told(&self, node: u64) -> Whereabouts {
        self.config.earth.as_ref().map_or(Whereabouts::default(), |earth| earth.told(self.seed, node))
    }

    fn loss(&self, one: u64, other: u64) -> f64 {
        let [least, greatest] = self.config.loss;
        least + (greatest - least) * uniform(hash(&[self.seed, 2, one.min(other), one.max(other)]))
    }

    fn uplink_bps(&self, node: u64) -> f64 {
        if node == SERVER {
            return self.config.server_bps;
        }
        let [least, greatest] = self.config.uplink_bps;
        let rate = least + (greatest - least) * uniform(hash(&[self.seed, 3, node]));
        rate * self.narrowed.get(&node).unwrap_or(&1.0)
    }

    fn downlink_bps(&self, node: u64) -> f64 {
        let [least, greatest] = self.config.downlink_bps;
        least + (greatest - least) * uniform(hash(&[self.seed, 9, node]))
    }

    /// When what is sent has left the sender's line; and when there is room before it again.
    fn leave(&mut self, now: Time, from: u64, bytes: usize) -> (Time, Time) {
        let bps = self.uplink_bps(from);
        let free = self.free.entry(from).or_default();
        *free = (*free).max(now) + Duration::from_secs_f64(bits(bytes) / bps);
        let buffered = Duration::from_secs_f64(8.0 * BUFFER_BYTES as f64 / bps);
        let writable =
            if free.since(now) > buffered { Time(free.0 - buffered.as_micros() as u64) } else { now };
        (*free, writable)
    }

    /// When what reaches the receiver's line is through; `None`: it is dropped. The server's line is never full.
    fn enter(&mut self, now: Time, at: Time, to: u64, parcel: Parcel) -> Option<Time> {
        if to == SERVER {
            return Some(at);
        }
        let busy = Duration::from_secs_f64(bits(parcel.bytes) / self.downlink_bps(to));
        self.downlinks.entry(to).or_default().pass(now, at, busy, parcel.may_be_lost)
    }

    fn jitter(&self, rng: &mut ChaCha8Rng) -> Duration {
        match self.config.jitter_ms {
            0.0 => Duration::ZERO,
            ms => exponential(rng.next_u64(), Duration::from_secs_f64(ms / 1_000.0)),
        }
    }

    /// The path between two ends, as it was before a message that is sent on it now.
    fn path(&mut self, now: Time, from: u64, to: u64) -> Path {
        let (latency, loss) = match self.paths.get(&(from, to)) {
            Some(path) => (path.latency, path.loss),
            None => (self.latency(from, to), self.loss(from, to)),
        };
        let last_sent = Some(now);
        let before = self.paths.insert((from, to), Path { latency, loss, last_sent });
        before.unwrap_or(Path { latency, loss, last_sent: None })
    }
}

impl Path {
    /// Whether one of a message's packets is lost.
    fn loses(&self, rng: &mut ChaCha8Rng, bytes: usize) -> bool {
        (0..bytes.div_ceil(PACKET_BYTES).max(1)).any(|_| uniform(rng.next_u64()) < self.loss)
    }

    /// What the losses of a message's packets add, the longest for one of them: they are repaired side by side. SCTP sends a
    /// packet again, once, when three that follow it have been acknowledged; if that takes too long, or it is lost again,
    /// after a timeout that doubles. How soon the next three follow behind the message is taken from how long ago the last
    /// one went.
    fn delay(&self, rng: &mut ChaCha8Rng, now: Time, is_tcp: bool, bytes: usize) -> Duration {
        let round_trip = 2 * self.latency;
        let first_timeout =
            round_trip + if is_tcp { TCP_RTO_MIN } else { RTO_MIN.saturating_sub(round_trip) };
        let fast = self.last_sent.map(|last| FOLLOWERS * now.since(last) + round_trip);
        let fast = fast.filter(|fast| *fast < first_timeout);
        let packets = bytes.div_ceil(PACKET_BYTES).max(1) as u32;
        let delays = (0..packets).rev().map(|followers| {
            let mut fast = if followers < FOLLOWERS { fast } else { Some(round_trip) };
            let (mut delay, mut timeout) = (Duration::ZERO, first_timeout);
            while uniform(rng.next_u64()) < self.loss {
                match fast.take() {
                    Some(fast) => delay += fast,
                    None => {
                        delay += timeout;
                        timeout *= 2;
                    }
                }
            }
            delay
        });
        delays.max().unwrap_or_default()
    }
}

impl Wires for Internet {
    fn carry(&mut self, rng: &mut ChaCha8Rng, now: Time, way: Way, parcel: Parcel) -> Carried {
        let (from, to) = ends(way);
        let Parcel { bytes, may_be_lost } = parcel;
        let (left, writable) = self.leave(now, from, bytes);
        let path = self.path(now, from, to);
        let is_tcp = !matches!(way, Way::Link { .. });
        if may_be_lost && (self.cuts.heals(now, from, to).is_some() || path.loses(rng, bytes)) {
            return Carried { arrives: None, writable };
        }
        let passes = self.cuts.heals(now, from, to).unwrap_or(left).max(left);
        let repeated = if may_be_lost { Duration::ZERO } else { path.delay(rng, now, is_tcp, bytes) };
        let arrives = passes + path.latency + self.jitter(rng) + repeated;
        Carried { arrives: self.enter(now, arrives, to, parcel), writable }
    }

    fn set_up(&mut self, _: &mut ChaCha8Rng, now: Time, one: u64, other: u64) -> Option<Duration> {
        let is_cut = [(one, other), (other, one)].iter().any(|(a, b)| self.cuts.heals(now, *a, *b).is_some());
        let luck = uniform(hash(&[self.seed, 4, one.min(other), one.max(other)]));
        let can_connect = luck < self.config.connectable && !is_cut;
        let round_trip = 2 * self.latency(one, other);
        can_connect.then(|| round_trip.mul_f64(self.config.set_up_round_trips))
    }

    fn forget(&mut self, way: Way) {
        self.paths.remove(&ends(way));
    }

    fn cut(&mut self, now: Time, cut: Cut) {
        self.cuts.add(now, cut);
    }

    /// What still waits to be sent goes at the new rate: what is sent next need not wait for it at the old one.
    fn narrow(&mut self, now: Time, node: u64, share: f64) {
        let before = self.narrowed.insert(node, share).unwrap_or(1.0);
        if let Some(free) = self.free.get_mut(&node).filter(|free| **free > now) {
            *free = now + free.since(now).mul_f64(before / share);
        }
    }
}

/// What a message takes on the wire.
fn bits(bytes: usize) -> f64 {
    let packets = bytes.div_ceil(PACKET_BYTES).max(1);
    8.0 * (bytes + packets * OVERHEAD_BYTES) as f64
}

fn ends(way: Way) -> (u64, u64) {
    match way {
        Way::Up { node, .. } => (node, SERVER),
        Way::Down { node, .. } => (SERVER, node),
        Way::Link { from, to, .. } => (from, to),
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;
    use tiercast_codec::LinkId;

    use super::*;
    use crate::{net::BEGIN, stats::Sample};

    const WAY: Way = Way::Link { link: LinkId(1), from: 1, to: 2 };

    fn seeded(config: InternetConfig) -> (Internet, ChaCha8Rng) {
        (Internet::new(config, 1), ChaCha8Rng::seed_from_u64(1))
    }

    fn reliable(bytes: usize) -> Parcel {
        Parcel { bytes, may_be_lost: false }
    }

    fn arrivals(config: InternetConfig, bytes: usize, apart: Duration) -> Sample {
        let (mut internet, mut rng) = seeded(config);
        let mut sample = Sample::default();
        let mut now = BEGIN;
        for _ in 0..10_000 {
            now = now + apart;
            let arrives = internet.carry(&mut rng, now, WAY, reliable(bytes)).arrives.expect("it arrives");
            sample.add(arrives.since(now));
        }
        sample
    }

    #[test]
    fn latencies_are_distributed_as_configured() {
        let internet = Internet::new(InternetConfig::default(), 7);
        let mut sample = Sample::default();
        (1..20_000).for_each(|node| sample.add(internet.latency(0, node)));
        let ms = |share| sample.quantile(share).as_secs_f64() * 1_000.0;
        assert!((ms(0.5) - 75.0).abs() < 2.0, "{}", ms(0.5));
        // One deviation above: e^0.5 times as much.
        assert!((ms(0.841) - 123.7).abs() < 4.0, "{}", ms(0.841));
        assert!(ms(1.0) <= 401.0);
    }

    #[test]
    fn a_lost_packet_waits_for_a_timeout_where_little_follows_and_for_the_next_three_where_much_does() {
        let config = InternetConfig { loss: [0.02, 0.02], latency_sigma: 0.0, ..InternetConfig::default() };
        let seldom = arrivals(config.clone(), 300, Duration::from_secs(1));
        let often = arrivals(config, 300, Duration::from_millis(10));
        let ms = |sample: &Sample, share| sample.quantile(share).as_millis();
        assert_eq!((ms(&seldom, 0.9), ms(&often, 0.9)), (75, 75));
        assert_eq!((ms(&seldom, 0.99), ms(&often, 0.99)), (1_075, 255));
    }

    #[test]
    fn what_may_be_lost_is_lost_as_often_as_its_packets_are_and_comes_as_soon_as_it_can() {
        let config = InternetConfig { loss: [0.1, 0.1], latency_sigma: 0.0, ..InternetConfig::default() };
        let (mut internet, mut rng) = seeded(config);
        let mut arrived = 0.0;
        for second in 0..10_000 {
            let now = BEGIN + Duration::from_secs(second);
            let parcel = Parcel { bytes: 2 * PACKET_BYTES, may_be_lost: true };
            if let Some(at) = internet.carry(&mut rng, now, WAY, parcel).arrives {
                assert!(at.since(now).as_millis() < 100, "{:?}", at.since(now));
                arrived += 1.0 / 10_000.0;
            }
        }
        assert!((arrived - 0.81_f64).abs() < 0.02, "{arrived}");
    }

    #[test]
    fn regression_losses_within_a_large_message_are_repaired_side_by_side() {
        let config = InternetConfig { loss: [0.05, 0.05], latency_sigma: 0.0, ..InternetConfig::default() };
        let sample = arrivals(config, 50 * PACKET_BYTES, Duration::from_secs(60));
        // Two or three of fifty are lost, and come again a round trip of 150 ms later. In a quarter of the messages one is
        // lost again, or is among the last three: it waits for a timeout of a second, or several.
        let quantiles = [0.5, 0.7, 0.99].map(|share| sample.quantile(share).as_millis());
        assert!(quantiles[0] < 500 && quantiles[1] < 600 && quantiles[2] < 4_000, "{quantiles:?}");
    }

    #[test]
    fn jitter_adds_its_mean_and_a_cut_holds_up_what_is_sent_until_it_heals() {
        let config = InternetConfig { loss: [0.0, 0.0], latency_sigma: 0.0, ..InternetConfig::default() };
        let jitter =
            arrivals(InternetConfig { jitter_ms: 20.0, ..config.clone() }, 300, Duration::from_secs(1));
        // The median of an exponential distribution is its mean times ln 2.
        assert!((jitter.quantile(0.5).as_secs_f64() - 0.0889).abs() < 0.002, "{:?}", jitter.quantile(0.5));
        let (mut internet, mut rng) = seeded(config);
        let (island, lasts) = ([1].into(), Duration::from_secs(5));
        internet.cut(BEGIN, Cut { island, from: Default::default(), one_way: false, lasts });
        let carried = internet.carry(&mut rng, BEGIN, WAY, reliable(300));
        assert_eq!(carried.arrives.map(|at| at.since(BEGIN).as_millis()), Some(5_075));
        assert_eq!(internet.set_up(&mut rng, BEGIN, 2, 1), None);
    }

    #[test]
    fn a_narrow_line_holds_up_what_is_more_than_it_can_carry() {
        let config = InternetConfig { uplink_bps: [1e6, 1e6], loss: [0.0, 0.0], ..InternetConfig::default() };
        let (mut internet, mut rng) = seeded(config);
        let mut carry = |bytes| internet.carry(&mut rng, BEGIN, WAY, reliable(bytes));
        let first = carry(50_000);
        assert_eq!(first.writable, BEGIN, "there is room in the buffer");
        let second = carry(50_000);
        assert!(second.arrives > first.arrives && second.writable > BEGIN);
        // 100,000 bytes and their packets' overhead at 125,000 bytes a second.
        let left = second.arrives.expect("it arrives").since(BEGIN) - internet.latency(1, 2);
        assert!((0.87..0.89).contains(&left.as_secs_f64()), "{left:?}");
    }

    #[test]
    fn regression_a_line_that_is_wide_again_is_not_busy_any_longer_with_what_it_had_to_send_while_it_was_narrow()
     {
        let config = InternetConfig { uplink_bps: [1e6, 1e6], loss: [0.0, 0.0], ..InternetConfig::default() };
        let (mut internet, mut rng) = seeded(config);
        internet.narrow(BEGIN, 1, 0.01);
        internet.carry(&mut rng, BEGIN, WAY, reliable(50_000));
        internet.narrow(BEGIN, 1, 1.0);
        let next = internet.carry(&mut rng, BEGIN, WAY, reliable(50_000));
        let left = next.arrives.expect("it arrives").since(BEGIN) - internet.latency(1, 2);
        assert!((0.87..0.89).contains(&left.as_secs_f64()), "{left:?}");
    }

    #[test]
    fn what_several_send_to_one_at_once_waits_before_its_line() {
        let lines = InternetConfig { downlink_bps: [1e6, 1e6], uplink_bps: [1e9, 1e9], ..Default::default() };
        let config = InternetConfig { loss: [0.0, 0.0], latency_sigma: 0.0, ..lines };
        let (mut internet, mut rng) = seeded(config);
        let mut carry = |from, may_be_lost| {
            let way = Way::Link { link: LinkId(from), from, to: 1 };
            let arrives = internet.carry(&mut rng, BEGIN, way, Parcel { bytes: 50_000, may_be_lost }).arrives;
            arrives.map(|at| at.since(BEGIN).as_millis())
        };
        // 50,000 bytes and their packets' overhead take 442 ms at 125,000 bytes a second, and 75 ms more to get there.
        // Time is given away in slots of 10 ms: the first message has all of the one in which it arrives.
        let arrivals = [carry(2, false), carry(3, false), carry(4, true), carry(5, false)];
        assert_eq!(arrivals, [Some(517), Some(954), None, Some(1_396)]);
    }
}
