//! Whose request this is, as far as an address can say: what limits are counted by.
//!
//! The connection's own address is the only one that nobody can make up. Where it is that of a proxy which the configuration
//! names, the proxy's word counts: the rightmost entry of `X-Forwarded-For` that is not itself such a proxy's. What stands left
//! of that was brought by the client and may be anything. Nothing but limits depends on this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts as RequestParts},
};

use super::Parts;
use crate::model::network::Network;

const FORWARDED: &str = "x-forwarded-for";
/// More entries than this are no chain of proxies.
const LONGEST_CHAIN: usize = 32;

/// The address that a request counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of a request that came over a connection from `peer`.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_proxy = |address: IpAddr| trusted.iter().any(|network| network.holds(address));
        let mut found = peer.to_canonical();
        if !is_proxy(found) {
            return Self(found);
        }
        for entry in entries(headers).iter().rev().take(LONGEST_CHAIN) {
            // What a trusted proxy wrote and we cannot read is counted for the proxy.
            let Some(address) = parse(entry) else { break };
            found = address;
            if !is_proxy(found) {
                break;
            }
        }
        Self(found)
    }

    /// What limits are kept for: somebody with an IPv6 address has 2⁶⁴ of them, so their network counts as one.
    pub fn counted(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        }
    }
}

/// All entries of all such headers, in order.
fn entries(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(FORWARDED).iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(str::trim).collect()
}

/// `10.0.0.1`, `10.0.0.1:1234`, `fd00::1`, `[fd00::1]`, `[fd00::1]:1234`.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|s| s.ip()));
    address.map(|a: IpAddr| a.to_canonical())
}

impl FromRequestParts<Parts> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Self::Rejection> {
        // Without a connection (in tests) all requests are one client's.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        Ok(Self::of(peer, &parts.headers, &state.settings.trusted_proxies))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED, HeaderValue::from_str(line).unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|n| n.parse().unwrap()).collect();
        ClientAddress::of(peer.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn immune_18_nobody_chooses_the_address_that_they_are_counted_by() {
        let proxies = &["10.0.0.0/8", "fd00::/8"][..];
        for (peer, forwarded, trusted, client) in [
            // Nobody is believed who is not named.
            ("203.0.113.9", &["198.51.100.1"][..], &[][..], "203.0.113.9"),
            ("203.0.113.9", &["198.51.100.1"], proxies, "203.0.113.9"),
            // A proxy's word counts, and what the client wrote before it does not.
            ("10.0.0.1", &["198.51.100.1"], proxies, "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], proxies, "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1"], proxies, "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.0.1"], proxies, "198.51.100.1"),
            ("10.0.0.1", &["10.9.9.9, 10.2.0.1"], proxies, "10.9.9.9"),
            ("::ffff:10.0.0.1", &["[2001:db8::1]:443"], proxies, "2001:db8::1"),
            ("fd00::1", &["198.51.100.1:1234"], proxies, "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]"], proxies, "2001:db8::1"),
            // Without a word, or with one that is no address, the proxy itself counts.
            ("10.0.0.1", &[], proxies, "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], proxies, "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, _hidden, 10.0.0.7"], proxies, "10.0.0.7"),
            ("10.0.0.1", &[""], proxies, "10.0.0.1"),
        ] {
            assert_eq!(seen(peer, forwarded, trusted), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let counted = |a: &str| ClientAddress(a.parse().unwrap()).counted().to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("203.0.113.9"), "203.0.113.9");
    }
}
