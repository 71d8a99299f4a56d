//! Which UDP addresses a link binds when nobody says so.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Where the probes point: public unicast, so that it is the default route that answers. Nothing is
/// ever sent there. Addresses of large public resolvers, because ranges reserved for documentation
/// are in use on test networks.
const PROBE_V4: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const PROBE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888);

/// The local addresses of the default routes, port 0; loopback if there is none.
///
/// One socket per IP version, where binding every interface costs a socket, a buffer of 64 KiB and a
/// row of candidate pairs for each bridge and tunnel of the host. Asked anew for every link, because
/// hosts move; it costs a few microseconds.
pub(super) fn default_addresses() -> Vec<SocketAddr> {
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let any_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let routes = [(any_v4, SocketAddr::from((PROBE_V4, 53))), (any_v6, SocketAddr::from((PROBE_V6, 53)))];
    let mut addresses: Vec<_> = routes.into_iter().filter_map(|(any, to)| local_address(any, to)).collect();
    if addresses.is_empty() {
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    addresses
}

/// The address the system would send from. Connecting a UDP socket only looks the route up.
fn local_address(any: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    let mut address = socket.local_addr().ok()?;
    address.set_port(0);
    (!address.ip().is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_an_address_that_can_be_bound() {
        let addresses = default_addresses();
        assert!(!addresses.is_empty());
        for address in addresses {
            assert_eq!(address.port(), 0);
            UdpSocket::bind(address).unwrap();
        }
    }

    #[test]
    fn a_route_over_loopback_names_loopback() {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        assert_eq!(local_address(any, to), Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
    }
}
