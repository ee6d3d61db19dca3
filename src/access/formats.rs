//! Which formats of kubeconfig are offered on a cluster: what its owners and the provider allow, less what the cluster is known
//! not to take.

use crate::{
    model::{
        client_trial::{ClientTrial, Standing},
        cluster::Cluster,
        device::Format,
    },
    oidc::ProviderSettings,
};

/// The formats that somebody could have for a cluster, the usual one first, each with how its client stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats(Vec<(Format, Standing)>);

impl Formats {
    /// Of a provider and a cluster.
    pub fn of(cluster: &Cluster, provider: &ProviderSettings, trials: &[ClientTrial]) -> Self {
        let allowed = provider.formats().into_iter().filter(|format| cluster.offers(*format));
        let standing = |format| {
            let client = provider.client_of(format);
            client.map_or(Standing::Untried, |client| Standing::of(trials, &provider.id, client))
        };
        Self(allowed.map(|format| (format, standing(format))).collect())
    }

    /// All of them, those that are not offered too.
    pub fn all(&self) -> &[(Format, Standing)] {
        &self.0
    }

    /// Whether it is offered. A format whose client the cluster refused is not, unless the cluster refused all that there are:
    /// then any of them is of use as soon as somebody sets the cluster up, and none is better than another.
    pub fn offers(&self, wanted: Format) -> bool {
        let all_refused = self.0.iter().all(|(_, standing)| standing.is_refused());
        self.0.iter().any(|(format, standing)| *format == wanted && (all_refused || !standing.is_refused()))
    }

    /// The first that is offered.
    pub fn usual(&self) -> Option<Format> {
        self.0.iter().map(|(format, _)| *format).find(|format| self.offers(*format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn formats(relay: Standing, direct: Standing) -> Formats {
        Formats(vec![(Format::Relay, relay), (Format::Provider, direct.clone()), (Format::Kubelogin, direct)])
    }

    #[test]
    fn a_refused_format_is_offered_only_where_no_other_is_left() {
        let refused = || Standing::Refused(Timestamp::from_secs(1), Vec::new());
        let accepted = Standing::Accepted(Timestamp::from_secs(1));
        for (relay, direct, offered) in [
            (Standing::Untried, Standing::Untried, vec![Format::Relay, Format::Provider, Format::Kubelogin]),
            (accepted, refused(), vec![Format::Relay]),
            (refused(), Standing::Untried, vec![Format::Provider, Format::Kubelogin]),
            (refused(), refused(), vec![Format::Relay, Format::Provider, Format::Kubelogin]),
        ] {
            let formats = formats(relay, direct);
            let now: Vec<Format> = Format::ALL.into_iter().filter(|format| formats.offers(*format)).collect();
            assert_eq!((now, formats.usual()), (offered.clone(), offered.first().copied()));
        }
        assert!(!Formats(vec![(Format::Relay, refused())]).offers(Format::Provider));
        assert_eq!(Formats::default().usual(), None);
    }
}
