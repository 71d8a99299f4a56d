//! Where a session comes from, and how near two of them are to each other.

use tiercast_codec::PeerId;

use super::reputation::{Network, Origin};

/// The earth's mean radius.
const EARTH_KM: f64 = 6_371.0;

/// The sides of the map on which cells are numbered: 65,536, so that a cell is 600 m wide at the equator.
const MAP_BITS: u32 = 16;

/// What differs by less than this is the same: it is a millisecond of a round trip, and databases know no better.
const KM_ALIKE: u16 = 100;

/// Where a session comes from, as far as that is known. Those near each other mostly come one after the other in its
/// order: by place on the earth, and where that is not known by number of their network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whereabouts {
    /// Where on the earth.
    pub location: Option<Location>,
    /// Where in the network.
    pub network: Option<Network>,
}

/// A place on the earth, to a kilometre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The number of its cell on a curve that fills the map; it comes first, so that locations are in that order.
    cell: u32,
    /// Kilometres from the centre of the earth: whole numbers, which everybody compares alike.
    x: i16,
    y: i16,
    z: i16,
}

/// How near two are to each other; the nearest is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Nearness {
    SameNetwork,
    /// So many kilometres.
    Apart(u16),
    Unknown,
}

impl From<Network> for Whereabouts {
    fn from(network: Network) -> Self {
        Self { location: None, network: Some(network) }
    }
}

impl Whereabouts {
    /// Whether nothing is known.
    pub(crate) fn is_nowhere(self) -> bool {
        self == Self::default()
    }

    /// Whom a peer that comes from there counts as.
    pub(crate) fn origin(self, peer: PeerId) -> Origin {
        self.network.map_or(Origin::Peer(peer), Origin::Network)
    }

    /// Whether two are known to come from the same network.
    pub(crate) fn shares_network(self, other: Self) -> bool {
        self.network.is_some() && self.network == other.network
    }

    /// How near two are to each other.
    pub(crate) fn nearness(self, other: Self) -> Nearness {
        match (self.location, other.location) {
            _ if self.shares_network(other) => Nearness::SameNetwork,
            (Some(one), Some(other)) => Nearness::Apart(one.km(other)),
            _ => Nearness::Unknown,
        }
    }
}

impl Location {
    /// A place by its latitude and longitude in degrees; nothing if there is no such place.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let is_there = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        let (north, east) = (latitude.to_radians(), longitude.to_radians());
        let km = |share: f64| (EARTH_KM * share).round() as i16;
        let (x, y, z) = (north.cos() * east.cos(), north.cos() * east.sin(), north.sin());
        let side = f64::from(1 << MAP_BITS);
        let on_map = |share: f64| (share * side).min(side - 1.0) as u32;
        let cell = hilbert(on_map((longitude + 180.0) / 360.0), on_map((latitude + 90.0) / 180.0));
        is_there.then_some(Self { cell, x: km(x), y: km(y), z: km(z) })
    }

    /// The way along the surface, in kilometres.
    pub fn km(self, other: Self) -> u16 {
        let squared = |one: i16, other: i16| (f64::from(one) - f64::from(other)).powi(2);
        let chord = (squared(self.x, other.x) + squared(self.y, other.y) + squared(self.z, other.z)).sqrt();
        (2.0 * EARTH_KM * (chord / (2.0 * EARTH_KM)).min(1.0).asin()).round() as u16
    }
}

impl Nearness {
    /// How far apart they are, as far as that is known; in one network not at all.
    pub(crate) fn km(self) -> Option<u16> {
        match self {
            Self::SameNetwork => Some(0),
            Self::Apart(km) => Some(km),
            Self::Unknown => None,
        }
    }

    /// The same for distances that make no difference.
    pub(crate) fn roughly(self) -> Self {
        match self {
            Self::Apart(km) => Self::Apart(km / KM_ALIKE),
            other => other,
        }
    }
}

/// The number of a cell on Hilbert's curve, on which cells that follow each other are neighbours.
fn hilbert(mut x: u32, mut y: u32) -> u32 {
    let (mut number, last) = (0, (1 << MAP_BITS) - 1);
    for bit in (0..MAP_BITS).rev() {
        let (right, up) = (x >> bit & 1, y >> bit & 1);
        number = number << 2 | ((3 * right) ^ up);
        if up == 0 {
            if right == 1 {
                (x, y) = (last - x, last - y);
            }
            (x, y) = (y, x);
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Location {
        Location::new(latitude, longitude).unwrap()
    }

    #[test]
    fn distances_are_those_along_the_surface() {
        let (berlin, paris, sydney) = (at(52.52, 13.405), at(48.857, 2.352), at(-33.869, 151.209));
        assert!(berlin.km(paris).abs_diff(878) <= 2, "{}", berlin.km(paris));
        assert!(berlin.km(sydney).abs_diff(16_095) <= 20, "{}", berlin.km(sydney));
        assert_eq!((berlin.km(berlin), berlin.km(paris)), (0, paris.km(berlin)));
        assert!(at(0.0, 179.9).km(at(0.0, -179.9)) < 25, "it is round");
        assert!(at(90.0, 0.0).km(at(-90.0, 0.0)).abs_diff(20_015) <= 1, "from pole to pole");
    }

    #[test]
    fn what_is_on_no_globe_is_no_place() {
        let nowhere = [(91.0, 0.0), (0.0, 181.0), (f64::NAN, 0.0), (0.0, f64::INFINITY)];
        assert!(nowhere.iter().all(|(latitude, longitude)| Location::new(*latitude, *longitude).is_none()));
    }

    #[test]
    fn cells_that_follow_each_other_are_neighbours_and_each_has_a_number_of_its_own() {
        let corner: Vec<_> = (0..32).flat_map(|x| (0..32).map(move |y| (hilbert(x, y), x, y))).collect();
        let mut sorted = corner;
        sorted.sort_unstable();
        assert!(sorted.iter().zip(0..).all(|((number, ..), expected)| *number == expected));
        let steps = sorted.windows(2).map(|two| two[0].1.abs_diff(two[1].1) + two[0].2.abs_diff(two[1].2));
        assert!(steps.into_iter().all(|step| step == 1));
    }

    #[test]
    fn the_same_network_is_nearest_then_what_is_few_kilometres_away_then_what_nobody_knows() {
        let from = |network: Option<u128>, location| Whereabouts { location, network: network.map(Network) };
        let here = from(Some(1), Some(at(0.0, 0.0)));
        let others = [
            from(Some(1), None),
            from(Some(2), Some(at(0.0, 1.0))),
            from(None, Some(at(0.0, 9.0))),
            from(Some(3), None),
            Whereabouts::default(),
        ];
        let nearness = others.map(|other| here.nearness(other));
        assert_eq!(
            nearness,
            [
                Nearness::SameNetwork,
                Nearness::Apart(111),
                Nearness::Apart(1_001),
                Nearness::Unknown,
                Nearness::Unknown
            ]
        );
        assert!(nearness.is_sorted());
        assert_eq!(Nearness::Apart(111).roughly(), Nearness::Apart(190).roughly());
    }
}
