//! Where a session comes from: the part of the network in which one person can have any number of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;
use tiercast_mesh::hub::Network;

/// What a proxy in front of the server adds the address of its client to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Public IPv4 addresses are handed out by 256, public IPv6 addresses by 2^80 (a /48), and count as one. Private addresses
/// count one by one. On one machine the address tells nothing.
pub(crate) fn network_of(address: IpAddr) -> Option<Network> {
    let address = address.to_canonical();
    let host_bits = match address {
        _ if address.is_loopback() => return None,
        IpAddr::V4(v4) if is_private(v4) => 0,
        IpAddr::V4(_) => 8,
        IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => 0,
        IpAddr::V6(_) => 80,
    };
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    Some(Network(Ipv6Addr::to_bits(bits) >> host_bits << host_bits))
}

/// Private, link-local, or shared by the customers of a carrier (RFC 6598).
fn is_private(v4: Ipv4Addr) -> bool {
    let [first, second, ..] = v4.octets();
    v4.is_private() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
}

/// The client of the proxy that passed on a request: the last address that is named, as that is the one which our own proxy
/// has added. Those before it are the client's word.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn are_one(one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|address| network_of(address.parse().unwrap()).unwrap());
        one == other
    }

    #[test]
    fn public_addresses_count_by_their_prefix_and_private_ones_one_by_one() {
        assert!(are_one("203.0.113.1", "203.0.113.254"));
        assert!(!are_one("203.0.113.1", "203.0.114.1"));
        assert!(are_one("2001:db8:7:1::1", "2001:db8:7:ffff::9"));
        assert!(!are_one("2001:db8:7::1", "2001:db8:8::1"));
        for (one, other) in [
            ("10.0.0.1", "10.0.0.2"),
            ("192.168.1.1", "192.168.1.2"),
            ("100.64.0.1", "100.64.0.2"),
            ("fd00::1", "fd00::2"),
            ("fe80::1", "fe80::2"),
        ] {
            assert!(!are_one(one, other), "{one} and {other}");
        }
        assert!(are_one("::ffff:203.0.113.1", "203.0.113.9"), "IPv4 by way of IPv6");
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(network_of(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn of_the_addresses_that_are_named_the_proxys_own_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append(FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("192.0.2.2, 2001:db8::7"));
        assert_eq!(forwarded_for(&headers), Some("2001:db8::7".parse().unwrap()));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("unknown"));
        assert_eq!(forwarded_for(&headers), None);
    }
}
