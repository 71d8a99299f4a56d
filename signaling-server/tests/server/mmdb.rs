//! Writes small databases in MaxMind's format: a binary tree of the bits of addresses, the records that its leaves point to,
//! and a description at the end (maxmind.github.io/MaxMind-DB).

use std::net::IpAddr;

/// What stands before the description.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// Types from 8 on stand in a byte of their own, less 7: arrays are 11, numbers of eight bytes 9.
const EMPTY_ARRAY: [u8; 2] = [0, 4];
const EIGHT_BYTES: [u8; 2] = [8, 2];

/// Zeros between the tree and the records.
const SEPARATOR: [u8; 16] = [0; 16];

/// Where a bit of an address leads.
#[derive(Clone, Copy)]
enum Branch {
    Nowhere,
    Node(usize),
    /// The offset of a record.
    Record(usize),
}

/// A database of networks, such as `192.0.2.0/24`, with latitude and longitude of each; nothing: a record without a location.
pub fn database(kind: &str, networks: &[(&str, Option<[f64; 2]>)]) -> Vec<u8> {
    let (mut nodes, mut records) = (vec![[Branch::Nowhere; 2]], Vec::new());
    for (network, place) in networks {
        insert(&mut nodes, network, records.len());
        records.extend(record(*place));
    }
    let count = nodes.len();
    let value = |branch: &Branch| match branch {
        Branch::Nowhere => count,
        Branch::Node(node) => *node,
        Branch::Record(offset) => count + SEPARATOR.len() + offset,
    };
    let tree = nodes.iter().flatten().flat_map(|branch| (value(branch) as u32).to_be_bytes()).collect();
    [tree, SEPARATOR.to_vec(), records, MARKER.to_vec(), description(kind, count as u32)].concat()
}

/// Networks do not overlap. IPv4 addresses are the last of 96 zeros.
fn insert(nodes: &mut Vec<[Branch; 2]>, network: &str, record: usize) {
    let (address, length) = network.split_once('/').expect("address/bits");
    let length: usize = length.parse().expect("a number");
    let (bits, length) = match address.parse().expect("an address") {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), length + 96),
        IpAddr::V6(v6) => (u128::from(v6), length),
    };
    let bit = |depth: usize| (bits >> (127 - depth) & 1) as usize;
    let mut node = 0;
    for depth in 0..length - 1 {
        node = match nodes[node][bit(depth)] {
            Branch::Node(next) => next,
            _ => {
                let next = nodes.len();
                nodes[node][bit(depth)] = Branch::Node(next);
                nodes.push([Branch::Nowhere; 2]);
                next
            }
        };
    }
    nodes[node][bit(length - 1)] = Branch::Record(record);
}

fn record(place: Option<[f64; 2]>) -> Vec<u8> {
    match place {
        Some([latitude, longitude]) => {
            let location = map(&[("latitude", double(latitude)), ("longitude", double(longitude))]);
            map(&[("city", map(&[("geoname_id", number(7))])), ("location", location)])
        }
        None => map(&[("autonomous_system_number", number(64_496))]),
    }
}

fn description(kind: &str, nodes: u32) -> Vec<u8> {
    map(&[
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", long(1_790_000_000)),
        ("database_type", text(kind)),
        ("description", map(&[("en", text("made by a test"))])),
        ("ip_version", short(6)),
        ("languages", EMPTY_ARRAY.to_vec()),
        ("node_count", number(nodes)),
        ("record_size", short(32)),
    ])
}

/// A value of a type begins with the type and its size, which is small here.
fn typed(kind: u8, size: usize, bytes: &[u8]) -> Vec<u8> {
    assert!(size < 29, "a longer size has more bytes");
    [&[kind << 5 | size as u8], bytes].concat()
}

fn text(text: &str) -> Vec<u8> {
    typed(2, text.len(), text.as_bytes())
}

fn double(value: f64) -> Vec<u8> {
    typed(3, 8, &value.to_be_bytes())
}

fn short(value: u16) -> Vec<u8> {
    typed(5, 2, &value.to_be_bytes())
}

fn long(value: u64) -> Vec<u8> {
    [&EIGHT_BYTES[..], &value.to_be_bytes()].concat()
}

fn number(value: u32) -> Vec<u8> {
    typed(6, 4, &value.to_be_bytes())
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let bytes: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    typed(7, entries.len(), &bytes)
}
