//! Small beginnings: a parent and a child on a calm network, and what tests like to say of them.

use std::{collections::BTreeSet, time::Duration};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tiercast_codec::{Relay, Since};
use tiercast_mesh::{
    hub::{self, HubConfig},
    peer::PeerConfig,
};

use crate::{
    check::{self, Check},
    net::Net,
    wires::CALM,
};

/// A native peer's settings.
pub fn relay(children_max: u16) -> PeerConfig {
    let relay = Relay { node: tiercast_codec::NodeKind::Native, children_max };
    PeerConfig { relay: Some(relay), ..PeerConfig::default() }
}

/// A hub with so many tier-1 peers. Whoever has a place keeps it.
pub fn roots(count: usize) -> HubConfig {
    let tier1 = hub::Tier1 { min: count, max: count };
    HubConfig { tier1, improve: Duration::from_secs(86_400), ..HubConfig::default() }
}

/// The first peer of a pair.
pub const PARENT: u64 = 1;
/// The second.
pub const CHILD: u64 = 2;

/// Bodies that tell their number.
pub fn bodies(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("body {number}").into_bytes()).collect()
}

/// A body that does not compress, the same for the same number.
pub fn noise(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = vec![0; bytes];
    ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut body);
    body
}

/// A parent that is fed by the server, and a child that is fed by it.
pub fn pair() -> Net {
    pair_with(roots(1), relay(4), relay(0))
}

/// The same with other settings.
pub fn pair_with(hub: HubConfig, parent: PeerConfig, child: PeerConfig) -> Net {
    let mut net = Net::new(1, hub, CALM);
    net.join(PARENT, parent, Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    net.join(CHILD, child, Since::Earliest);
    net.run_until("the child is fed by the parent", |net| net.parent(CHILD) == Some(PARENT));
    net
}

/// The first so many offsets.
pub fn sequence(count: i64) -> Vec<i64> {
    (0..count).collect()
}

impl Net {
    /// Checks what must always hold of the tree.
    pub fn check_tree(&self) {
        let checks: [&mut dyn Check; 2] = [&mut check::Tree, &mut check::Capacity::default()];
        check::look_at(self, &[], &BTreeSet::new(), |view| {
            for check in checks {
                assert_eq!(check.look(view), Ok(()), "{}", check.name());
            }
        });
    }
}
