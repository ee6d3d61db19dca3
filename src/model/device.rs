//! Devices: places where a person holds a kubeconfig. Each is named, dated and can be taken back by itself.

use std::{net::IpAddr, time::Duration};

use super::{
    id::{ClusterId, DeviceId, IdentityId},
    provider::ProviderId,
    time::Timestamp,
};

/// How a kubeconfig proves who somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// kubectl's built-in `oidc` provider with Kubelend's relay as issuer: taken back one by one.
    #[default]
    Relay,
    /// The same with the provider itself as issuer: Kubelend is not asked afterwards.
    Provider,
    /// The plugin kubelogin, which signs people in by itself.
    Kubelogin,
}

impl Format {
    /// All of them, the usual one first.
    pub const ALL: [Self; 3] = [Self::Relay, Self::Provider, Self::Kubelogin];

    /// As stored and in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Provider => "provider",
            Self::Kubelogin => "kubelogin",
        }
    }

    /// As stored and in addresses.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// Whether Kubelend is asked each time the ID token ends, so that it sees the device and can refuse it.
    pub fn is_relayed(self) -> bool {
        self == Self::Relay
    }
}

/// When and from where a device was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// When.
    pub at: Timestamp,
    /// From this address.
    pub from: IpAddr,
}

/// One kubeconfig that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Whose it is.
    pub identity: IdentityId,
    /// For which cluster.
    pub cluster: ClusterId,
    /// At which provider the person signs in.
    pub provider: ProviderId,
    /// What kind of file.
    pub format: Format,
    /// What its owner calls it.
    pub name: String,
    /// When and from where the file was fetched.
    pub made: Use,
    /// The latest end of it.
    pub expires_at: Timestamp,
    /// When it last asked for a token; `None` also for formats that do not ask here.
    pub used: Option<Use>,
    /// When it was last used from two far-apart places within an hour, and from where besides.
    pub apart: Option<Use>,
    /// When it was taken back, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// How long devices live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimits {
    /// In all.
    pub longest: Duration,
    /// Unused.
    pub unused: Duration,
}

impl Default for DeviceLimits {
    fn default() -> Self {
        Self { longest: Duration::from_hours(90 * 24), unused: Duration::from_hours(30 * 24) }
    }
}

/// Whether a device may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// It may.
    Living,
    /// Nobody used it for so long that it ended.
    Unused,
    /// Its time is up.
    Expired,
    /// Somebody took it back.
    Revoked,
}

/// Two uses within this span from far-apart places are not one person on the move.
const AT_ONCE: Duration = Duration::from_hours(1);

impl Device {
    /// Whether it may go on.
    pub fn state(&self, limits: DeviceLimits, now: Timestamp) -> DeviceState {
        if self.revoked_at.is_some() {
            DeviceState::Revoked
        } else if now >= self.expires_at {
            DeviceState::Expired
        } else if self.format.is_relayed() && now >= self.last_sign_of_life().plus(limits.unused) {
            DeviceState::Unused
        } else {
            DeviceState::Living
        }
    }

    /// When it was last used, or made.
    pub fn last_sign_of_life(&self) -> Timestamp {
        self.used.map_or(self.made.at, |used| used.at.max(self.made.at))
    }

    /// Whether a use from there now shows that two places have the file.
    pub fn is_apart(&self, from: IpAddr, now: Timestamp) -> bool {
        self.used.is_some_and(|used| now.since(used.at) < AT_ONCE && far_apart(used.from, from))
    }
}

/// Whether two addresses are in different networks as far as can be told by their numbers: the first 16 bits of IPv4, the first
/// 32 of IPv6. Addresses of the two kinds are not compared, since one machine may well use both.
fn far_apart(a: IpAddr, b: IpAddr) -> bool {
    match (a.to_canonical(), b.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..2] != b.octets()[..2],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..2] != b.segments()[..2],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn device(format: Format) -> Device {
        Device {
            id: DeviceId::new(),
            identity: IdentityId::new(),
            cluster: ClusterId::new(),
            provider: "dex".parse().unwrap(),
            format,
            name: "laptop".into(),
            made: Use { at: NOW, from: HERE },
            expires_at: NOW.plus(DeviceLimits::default().longest),
            used: None,
            apart: None,
            revoked_at: None,
        }
    }

    fn days(n: u64) -> Timestamp {
        NOW.plus(Duration::from_hours(24 * n))
    }

    #[test]
    fn a_device_ends_when_it_is_unused_old_or_taken_back() {
        let (limits, mut device) = (DeviceLimits::default(), device(Format::Relay));
        assert_eq!(device.state(limits, days(29)), DeviceState::Living);
        assert_eq!(device.state(limits, days(30)), DeviceState::Unused);
        device.used = Some(Use { at: days(29), from: HERE });
        assert_eq!(device.state(limits, days(58)), DeviceState::Living);
        device.used = Some(Use { at: days(89), from: HERE });
        assert_eq!(device.state(limits, days(90)), DeviceState::Expired);
        device.revoked_at = Some(NOW);
        assert_eq!(device.state(limits, NOW), DeviceState::Revoked);
    }

    #[test]
    fn what_kubelend_does_not_see_used_does_not_end_for_being_unused() {
        let limits = DeviceLimits::default();
        assert_eq!(device(Format::Provider).state(limits, days(89)), DeviceState::Living);
        assert_eq!(device(Format::Kubelogin).state(limits, days(90)), DeviceState::Expired);
    }

    #[test]
    fn far_apart_is_another_network_within_the_hour() {
        let mut device = device(Format::Relay);
        let other: IpAddr = "198.51.100.7".parse().unwrap();
        assert!(!device.is_apart(other, NOW), "it was not used yet");
        device.used = Some(Use { at: NOW, from: HERE });
        assert!(device.is_apart(other, NOW));
        assert!(!device.is_apart(other, NOW.plus(AT_ONCE)), "a person travels");
        for near in ["192.0.77.1", "::ffff:192.0.2.9", "2001:db8::1"] {
            assert!(!device.is_apart(near.parse().unwrap(), NOW), "{near}");
        }
        device.used = Some(Use { at: NOW, from: "2001:db8::1".parse().unwrap() });
        assert!(device.is_apart("2001:db9::1".parse().unwrap(), NOW));
        assert!(!device.is_apart("2001:db8:ffff::1".parse().unwrap(), NOW));
    }

    #[test]
    fn formats_are_read_as_they_are_written() {
        for format in Format::ALL {
            assert_eq!(Format::parse(format.as_str()), Some(format));
        }
        assert_eq!(Format::parse("Relay"), None);
    }
}
