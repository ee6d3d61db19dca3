//! Devices as rows, for the person who holds them and for the people who lend the cluster.

use std::time::Duration;

use crate::{
    model::{
        device::{Device, DeviceLimits, DeviceState, Format},
        time::Timestamp,
    },
    web::{labels::length, when::When},
};

/// ID tokens that live longer than this make taking back slow: the page says so.
const LONG_LIFE: Duration = Duration::from_hours(1);

/// How many a page lists.
pub const A_PAGE: u32 = 40;

/// One page of devices of which one more was read, and where the next page is if there is one.
pub fn a_page(mut devices: Vec<Device>, here: &str) -> (Vec<Device>, Option<String>) {
    let more = devices.len() > A_PAGE as usize;
    devices.truncate(A_PAGE as usize);
    let next = devices.last().filter(|_| more).map(|last| format!("{here}?before={}", last.id));
    (devices, next)
}

/// A device.
pub struct DeviceRow {
    /// What its owner calls it.
    pub name: String,
    /// The cluster, or whose it is.
    pub whose: String,
    /// What kind of file.
    pub format: &'static str,
    /// When the file was fetched.
    pub made: When,
    /// From where.
    pub made_from: String,
    /// When it was last used.
    pub used: Used,
    /// When it ends by itself.
    pub ends: When,
    /// Why it has ended already, if it has.
    pub over: Option<&'static str>,
    /// The addresses of two uses that cannot be one person's.
    pub apart: Option<(String, String, When)>,
    /// Where it is taken back; `None` where Kubelend cannot.
    pub revoke: Option<String>,
}

/// When a device was last used.
pub enum Used {
    /// Not yet.
    Never,
    /// Then, from there.
    At(When, String),
    /// Kubelend is not asked.
    Unknown,
}

impl DeviceRow {
    /// A device as seen from `now`; `whose` is the other half of the story.
    pub fn new(device: &Device, whose: String, limits: DeviceLimits, now: Timestamp, revoke: String) -> Self {
        let relayed = device.format.is_relayed();
        let over = match device.state(limits, now) {
            DeviceState::Living => None,
            DeviceState::Unused => Some("ended: not used for too long"),
            DeviceState::Expired => Some("ended: its time is up"),
            DeviceState::Revoked => Some("taken back"),
        };
        let idle_end = device.last_sign_of_life().plus(limits.unused);
        let ends = if relayed { device.expires_at.min(idle_end) } else { device.expires_at };
        Self {
            name: device.name.clone(),
            whose,
            format: word(device.format),
            made: When::new(device.made.at, now),
            made_from: device.made.from.to_string(),
            used: match device.used {
                _ if !relayed => Used::Unknown,
                None => Used::Never,
                Some(used) => Used::At(When::new(used.at, now), used.from.to_string()),
            },
            ends: When::new(ends, now),
            over,
            apart: device
                .apart
                .zip(device.used)
                .map(|(apart, used)| (apart.from.to_string(), used.from.to_string(), When::new(apart.at, now))),
            revoke: (relayed && over.is_none()).then_some(revoke),
        }
    }
}

/// A format's short name.
pub fn word(format: Format) -> &'static str {
    match format {
        Format::Relay => "kubectl",
        Format::Provider => "provider directly",
        Format::Kubelogin => "kubelogin",
    }
}

/// How fast something that is taken back stops working.
pub struct Bound {
    /// “10 minutes”.
    pub span: String,
    /// Whether that is too long for comfort.
    pub long: bool,
    /// Whose tokens.
    pub provider: String,
}

impl Bound {
    /// From the life of the provider's ID tokens, where one was seen.
    pub fn new(life: Option<Duration>, provider: String) -> Option<Self> {
        life.map(|life| Self { span: length(life), long: life > LONG_LIFE, provider })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{
            device::Use,
            id::{ClusterId, DeviceId, IdentityId},
        },
        web::pages::samples::{HOSTILE, NOW},
    };

    pub(in crate::web) fn device(format: Format, n: u64) -> Device {
        let from = "192.0.2.1".parse().unwrap();
        let at = NOW.minus(Duration::from_hours(20 * n));
        Device {
            id: DeviceId::new(),
            identity: IdentityId::new(),
            cluster: ClusterId::new(),
            provider: "dex".parse().unwrap(),
            format,
            name: "Firefox on Linux".into(),
            made: Use { at, from },
            expires_at: at.plus(Duration::from_hours(90 * 24)),
            used: (!n.is_multiple_of(3)).then(|| Use { at: NOW.minus(Duration::from_mins(4 * n)), from }),
            apart: (n % 5 == 4).then(|| Use { at: NOW, from: "2001:db8::7".parse().unwrap() }),
            revoked_at: None,
        }
    }

    pub(in crate::web) fn rows(count: u64) -> Vec<DeviceRow> {
        let row = |n: u64| {
            let mut device = device(Format::ALL[usize::try_from(n).unwrap() % 3], n);
            if n == 2 {
                device.name = HOSTILE.into();
            }
            DeviceRow::new(&device, "staging".into(), DeviceLimits::default(), NOW, "/x".into())
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn what_kubelend_is_not_asked_about_is_said_to_be_unknown_and_has_no_button() {
        let limits = DeviceLimits::default();
        let of = |format| DeviceRow::new(&device(format, 1), "x".into(), limits, NOW, "/x".into());
        for format in [Format::Provider, Format::Kubelogin] {
            let row = of(format);
            assert!(matches!(row.used, Used::Unknown) && row.revoke.is_none());
        }
        let relayed = of(Format::Relay);
        assert!(matches!(relayed.used, Used::At(..)) && relayed.revoke.is_some());
        assert_eq!(relayed.ends.relative, "in 30 days", "when it is not used again");
    }

    #[test]
    fn a_bound_over_an_hour_is_long() {
        let of = |life| Bound::new(Some(life), "Dex".into()).unwrap();
        assert!(!of(Duration::from_hours(1)).long && of(Duration::from_hours(24)).long);
        assert_eq!(of(Duration::from_mins(10)).span, "10 minutes");
        assert!(Bound::new(None, "Dex".into()).is_none());
    }
}
