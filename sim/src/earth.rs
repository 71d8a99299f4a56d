//! Where peers live: places on the earth, from which follows how far they are from each other, and networks, some of which
//! several of them share.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tiercast_mesh::hub::{Location, Network, Whereabouts};

use crate::{
    chance::{hash, normal, uniform},
    node::SERVER,
};

/// How far a message comes in a millisecond: light in glass makes 200 km of cable, and cables make detours.
const KM_PER_MS: f64 = 130.0;

/// What it takes between two in one network, in milliseconds.
const NEIGHBOURS_MS: f64 = 1.0;

/// Kilometres of a degree of latitude.
const DEGREE_KM: f64 = 111.2;

/// Where peers live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earth {
    /// Latitude and longitude of the server.
    pub server: [f64; 2],
    /// Where the others are.
    pub regions: Vec<Region>,
    /// Share of peers that share a network, and so a place, with others.
    #[serde(default)]
    pub sharing: f64,
    /// How many such networks there are.
    #[serde(default = "Earth::default_networks")]
    pub networks: u64,
    /// What the hub is told of it.
    #[serde(default)]
    pub known: Known,
}

/// A part of the earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Latitude and longitude of its middle.
    pub at: [f64; 2],
    /// The deviation of how far north and how far east of it its peers are.
    pub spread_km: f64,
    /// How many peers live there, in comparison.
    pub share: f64,
}

/// What a hub knows of where peers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Nothing.
    Nothing,
    /// Their networks, as every server does that sees their addresses.
    Networks,
    /// Also where they are on the earth.
    #[default]
    Locations,
}

impl Earth {
    fn default_networks() -> u64 {
        1
    }

    /// The way of a message between two, in milliseconds: what follows from where they are, and what their lines add.
    pub(crate) fn way_ms(&self, seed: u64, one: u64, other: u64, lines_ms: f64) -> f64 {
        let [one, other] = [one, other].map(|node| self.whereabouts(seed, node));
        let km = one.location.zip(other.location).map_or(0, |(one, other)| one.km(other));
        if one.network == other.network { NEIGHBOURS_MS } else { lines_ms + f64::from(km) / KM_PER_MS }
    }

    /// What the hub is told of where a node is.
    pub(crate) fn told(&self, seed: u64, node: u64) -> Whereabouts {
        let Whereabouts { location, network } = self.whereabouts(seed, node);
        match self.known {
            Known::Nothing => Whereabouts::default(),
            Known::Networks => Whereabouts { location: None, network },
            Known::Locations => Whereabouts { location, network },
        }
    }

    /// Where a node is. Networks have numbers that say nothing about where they are.
    fn whereabouts(&self, seed: u64, node: u64) -> Whereabouts {
        let shares = node != SERVER && uniform(hash(&[seed, 5, node])) < self.sharing;
        let network = match shares {
            true => hash(&[seed, 6, node]) % self.networks,
            false => self.networks + node,
        };
        let [latitude, longitude] = if node == SERVER { self.server } else { self.place(seed, network) };
        let number = hash(&[seed, 7, network]);
        Whereabouts {
            location: Location::new(latitude, longitude),
            network: Some(Network(u128::from(number) << 64 | u128::from(network))),
        }
    }

    /// Where a network is.
    fn place(&self, seed: u64, network: u64) -> [f64; 2] {
        let all: f64 = self.regions.iter().map(|region| region.share).sum();
        let mut left = all * uniform(hash(&[seed, 8, network]));
        let region = self.regions.iter().find(|region| {
            left -= region.share;
            left < 0.0
        });
        let Some(Region { at, spread_km, .. }) = region else { return self.server };
        let [north, east] =
            [9, 10].map(|number| spread_km * normal(hash(&[seed, number, network])) / DEGREE_KM);
        let latitude = (at[0] + north).clamp(-90.0, 90.0);
        let longitude = at[1] + east / at[0].to_radians().cos();
        [latitude, (longitude + 540.0).rem_euclid(360.0) - 180.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earth() -> Earth {
        let region = |at, share| Region { at, spread_km: 300.0, share };
        Earth {
            server: [50.0, 9.0],
            regions: vec![region([50.0, 9.0], 3.0), region([-33.0, 151.0], 1.0)],
            sharing: 0.5,
            networks: 10,
            known: Known::Locations,
        }
    }

    #[test]
    fn peers_live_in_their_regions_and_half_of_them_share_ten_networks() {
        let (earth, nodes) = (earth(), 1..=4_000);
        let all: Vec<_> = nodes.map(|node| earth.told(1, node)).collect();
        let server = Location::new(50.0, 9.0).unwrap();
        let near = all.iter().filter(|from| from.location.is_some_and(|place| place.km(server) < 2_000));
        // Where ten shared networks are is chance.
        assert!((2_200..3_800).contains(&near.count()));
        let mut networks: Vec<_> = all.iter().map(|from| from.network).collect();
        networks.sort();
        networks.dedup();
        assert!(networks.len().abs_diff(2_010) < 100, "{}", networks.len());
    }

    #[test]
    fn the_way_grows_with_the_distance_and_is_short_within_a_network() {
        let earth = earth();
        let from: Vec<_> = (1..100).map(|node| (node, earth.told(1, node))).collect();
        for (one, other) in from.iter().zip(&from[1..]) {
            let km = f64::from(one.1.location.unwrap().km(other.1.location.unwrap()));
            let expected = if one.1.network == other.1.network { 1.0 } else { 10.0 + km / 130.0 };
            assert!((earth.way_ms(1, one.0, other.0, 10.0) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn a_hub_is_told_what_the_scenario_says() {
        let told = |known| Earth { known, ..earth() }.told(1, 7);
        assert_eq!(told(Known::Nothing), Whereabouts::default());
        let (networks, locations) = (told(Known::Networks), told(Known::Locations));
        assert_eq!((networks.location, networks.network), (None, locations.network));
        assert!(locations.location.is_some());
    }
}
