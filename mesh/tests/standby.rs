//! A second parent that stands by, and what a peer does when nobody brings what others have.

use std::time::Duration;

use tiercast_codec::Since;
use tiercast_mesh::peer::PeerConfig;
use tiercast_sim::{CALM, CHILD, Net, PARENT, bodies, relay, roots};

const OTHER: u64 = 3;

#[test]
fn a_child_has_a_standby_soon() {
    let mut net = Net::new(1, roots(1), CALM);
    for (node, config) in [(PARENT, relay(4)), (OTHER, relay(4)), (CHILD, relay(0))] {
        net.join(node, config, Since::Earliest);
        net.run_until("it has a place", |net| net.is_settled(node));
    }
    net.run_for(Duration::from_secs(10));
    println!("{:?}", net.place(CHILD));
    println!("{:?}", net.place(OTHER));
    println!("{:?}", net.place(PARENT));
    panic!();
}
