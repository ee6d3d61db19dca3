//! Where Kubelend itself may connect to: every connection that leaves it, to clusters and to providers, goes through these
//! rules, after name resolution and on every connect, so that neither an uploaded kubeconfig nor a name that resolves
//! differently the second time can point it at an internal address.

mod https;
mod own;

use std::net::{IpAddr, SocketAddr};

pub use https::{HttpsClient, HttpsError};
pub use own::ask_own_server;

/// Chooses ring as this process' TLS provider, unless one was chosen: rustls has no default of its own here.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Whether loopback addresses may (for development and tests).
    pub allow_loopback: bool,
}

/// An address that must not be dialled, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}, and Kubelend does not connect there{hint}")]
pub struct ForbiddenAddress {
    /// The address.
    pub address: IpAddr,
    /// What kind of address it is.
    pub kind: &'static str,
    /// What an operator can set, if anything.
    pub hint: &'static str,
}

impl AddressRules {
    /// Whether this address may be dialled.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let plain = address.to_canonical();
        let refuse = |kind, hint| Err(ForbiddenAddress { address, kind, hint });
        match plain {
            _ if plain.is_unspecified() => refuse("no address of a host", ""),
            _ if plain.is_multicast() => refuse("a multicast address", ""),
            _ if plain.is_loopback() && !self.allow_loopback => {
                refuse("a loopback address", " (network.allow_loopback permits it)")
            }
            IpAddr::V4(v4) if v4.is_broadcast() => refuse("a broadcast address", ""),
            IpAddr::V4(v4) if v4.is_link_local() => refuse("a link-local address, where metadata services live", ""),
            IpAddr::V4(v4) if v4.octets()[0] == 0 => refuse("no address of a host", ""),
            // Alibaba's and Oracle's metadata services sit outside the link-local range.
            IpAddr::V4(v4) if [[100, 100, 100, 200], [192, 0, 0, 192]].contains(&v4.octets()) => {
                refuse("a metadata service's address", "")
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => refuse("a link-local address", ""),
            // AWS' metadata service.
            IpAddr::V6(v6) if v6.segments()[..4] == [0xfd00, 0xec2, 0, 0] => refuse("a metadata service's address", ""),
            _ => Ok(()),
        }
    }

    /// Resolves a host and keeps the addresses that may be dialled.
    ///
    /// # Errors
    /// When the name does not resolve, or none of its addresses may be dialled.
    pub async fn resolve(self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let all: Vec<SocketAddr> = tokio::net::lookup_host((bare, port)).await?.collect();
        let mut refused = None;
        let mut good = Vec::with_capacity(all.len());
        for address in all {
            match self.check(address.ip()) {
                Ok(()) => good.push(address),
                Err(why) => refused = Some(why),
            }
        }
        match (good.is_empty(), refused) {
            (false, _) => Ok(good),
            (true, Some(why)) => Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why)),
            (true, None) => Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_10_internal_addresses_are_refused_in_every_spelling() {
        let strict = AddressRules::default();
        for bad in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "224.0.0.1",
            "255.255.255.255",
            "0.1.2.3",
        ] {
            assert!(strict.check(bad.parse().unwrap()).is_err(), "{bad}");
        }
        for good in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd12::1"] {
            assert!(strict.check(good.parse().unwrap()).is_ok(), "{good}");
        }
        let open = AddressRules { allow_loopback: true };
        assert!(open.check("127.0.0.1".parse().unwrap()).is_ok());
        assert!(open.check("169.254.169.254".parse().unwrap()).is_err());
    }
}
