//! One hub and thirty peers on a rough network, with joins and deaths: whatever the seed, every survivor gets
//! every event once and in order. A failure names the seed; `TIERCAST_SEED=n` replays just that one.

mod support;

use std::time::Duration;

use support::{Net, ROUGH, channel, relay};
use tiercast_codec::Since;
use tiercast_mesh::{
    hub::{HubConfig, Tier1},
    peer::{Delivery, PeerConfig, Status},
};

const SEEDS: u64 = 200;
const PEERS: u64 = 30;
const EVENTS: i64 = 300;

fn seeds() -> Vec<u64> {
    match std::env::var("TIERCAST_SEED") {
        Ok(seed) => vec![seed.parse().expect("TIERCAST_SEED is a number")],
        Err(_) => (1..=SEEDS).collect(),
    }
}

#[test]
fn every_survivor_gets_every_event_once_and_in_order_whoever_joins_and_dies() {
    let (mut relayed, mut direct, mut deaths) = (0, 0, 0);
    for seed in seeds() {
        let run = std::panic::catch_unwind(|| run(seed));
        let run = run.unwrap_or_else(|_| panic!("seed {seed} failed: replay it with TIERCAST_SEED={seed}"));
        relayed += run.direct_bytes - run.server_bytes;
        direct += run.direct_bytes;
        deaths += run.deaths;
    }
    println!("share of bytes not sent by the server, {deaths} deaths: {:.3}", relayed as f64 / direct as f64);
    // The tree did the work, or the test would show nothing. A mean over seeds; single runs vary with the churn.
    assert!(relayed * 4 > direct, "the peers carried {relayed} of {direct} bytes");
    assert!(deaths as usize >= seeds().len(), "{deaths} deaths in {} runs", seeds().len());
}

struct Run {
    server_bytes: u64,
    direct_bytes: u64,
    deaths: u32,
}

fn config_of(net: &mut Net) -> PeerConfig {
    match net.below(10) {
        0 => PeerConfig::default(),
        1 => relay(0),
        _ => relay(1 + net.below(4) as u16),
    }
}

fn run(seed: u64) -> Run {
    let hub = HubConfig { tier1: Tier1 { min: 3, max: 3 }, ..HubConfig::default() };
    let mut net = Net::new(seed, hub, ROUGH);
    let mut joined = 0;
    let mut deaths = 0;
    let mut published = 0;
    while published < EVENTS || joined < PEERS {
        match net.below(12) {
            0..=2 if joined < PEERS => {
                joined += 1;
                let config = config_of(&mut net);
                let since = if net.below(4) == 0 { Since::Earliest } else { Since::Now };
                net.join(joined, config, since);
            }
            3 if net.nodes.len() > 5 && net.below(4) == 0 => {
                deaths += 1;
                let victim = random_node(&mut net);
                if net.below(2) == 0 { net.kill(victim) } else { net.crash(victim) }
            }
            4 if !net.nodes.is_empty() && net.below(4) == 0 => {
                let unlucky = random_node(&mut net);
                net.disconnect(unlucky);
                let away = Duration::from_millis(net.below(2_000));
                net.run_for(away);
                net.connect(unlucky);
            }
            _ if published < EVENTS => {
                let count = (1 + net.below(8) as i64).min(EVENTS - published);
                let body = |offset: i64| {
                    let size = [20, 300, 20, 1_200, 20, 20, 300, 20, 40_000][(offset as usize * 7) % 9];
                    format!("{offset:0size$}").into_bytes()
                };
                net.publish((published..published + count).map(body));
                published += count;
            }
            _ => {}
        }
        net.check_tree();
        let pause = Duration::from_millis(net.below(300));
        net.run_for(pause);
    }
    net.run_until("everybody has everything", Net::is_caught_up);
    net.run_for(Duration::from_secs(60));
    net.check_tree();
    check_deliveries(&net);
    let stats = net.hub.channel_stats(&channel()).unwrap();
    Run { server_bytes: stats.data_bytes, direct_bytes: stats.direct_data_bytes, deaths }
}

fn random_node(net: &mut Net) -> u64 {
    let nodes: Vec<_> = net.nodes.keys().copied().collect();
    nodes[net.below(nodes.len() as u64) as usize]
}

fn check_deliveries(net: &Net) {
    for (id, node) in &net.nodes {
        let start = node.statuses.iter().find_map(|status| match status {
            Status::Subscribed { position, .. } => Some(position.offset + 1),
            _ => None,
        });
        let all: Vec<i64> = (start.expect("subscribed")..EVENTS).collect();
        assert_eq!(net.offsets(*id), all, "node {id}");
        for delivery in &node.deliveries {
            let Delivery::Event { event, .. } = delivery else { panic!("node {id} got {delivery:?}") };
            let body = std::str::from_utf8(&event.message.body).unwrap();
            assert_eq!(body.parse(), Ok(event.offset), "node {id} got another body");
        }
    }
}
