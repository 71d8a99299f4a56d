//! Credit: nobody is sent more than a window beyond what it said that it has, so that an application that reads slowly
//! costs those who feed it nothing.

mod support;

use std::time::Duration;

use support::{CALM, Net, channel, noise, relay, roots, sequence};
use tiercast_codec::Since;
use tiercast_mesh::{
    LogLimits,
    peer::PeerConfig,
};

const READER: u64 = 9;
const EVENTS: i64 = 4_000;
const EVENT_BYTES: usize = 1_000;

/// A backlog of 4 MB, and an application that takes an event each millisecond. How many bytes of frames the server sent.
fn bytes_for_a_slow_application(log_bytes: usize, config: PeerConfig) -> u64 {
    let mut net = Net::new(1, roots(1), CALM);
    for number in 0..EVENTS {
        net.publish([noise(number as u64, EVENT_BYTES)]);
    }
    net.run_for(Duration::from_millis(10));
    net.join(READER, PeerConfig { log: LogLimits { bytes: log_bytes, entries: 16_384 }, ..config }, Since::Earliest);
    net.set_reads(READER, false);
    let patience = net.now + Duration::from_secs(60);
    while net.nodes[&READER].deliveries.len() < EVENTS as usize {
        net.run_for(Duration::from_millis(1));
        net.read_one(READER);
        assert!(net.now < patience, "it hangs: {:?}", net.nodes[&READER].peer.stats());
    }
    assert_eq!(net.offsets(READER), sequence(EVENTS));
    let sent = net.hub.channel_stats(&channel()).unwrap().data_bytes;
    println!("a log of {log_bytes} bytes: the server sent {sent} bytes, {:?}", net.nodes[&READER].peer.stats());
    sent
}

#[test]
fn regression_a_slow_application_is_sent_its_backlog_once() {
    let costs = [64 << 10, 500_000].map(|log_bytes| bytes_for_a_slow_application(log_bytes, relay(0)));
    assert!(costs.iter().all(|cost| *cost < 4_500_000), "4 MB of backlog cost {costs:?} bytes");
}
