//! Whether a cluster takes tokens of a provider's client, as the last test with somebody's token showed. Formats of kubeconfig
//! carry tokens of different clients, so this decides which of them are of use there.
//!
//! One person's trouble must not take a format from all the others. So a refusal counts only where its likeliest reason lies in
//! what the API server trusts, and, once somebody's token was taken, only if that is certain or the token of that same person is
//! refused. An acceptance counts whoever's it is.

use super::{
    diagnosis::{Cause, Certainty, Finding},
    id::IdentityId,
    provider::ProviderId,
    time::Timestamp,
};

/// A test of one client's tokens on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrial {
    /// The provider.
    pub provider: ProviderId,
    /// Its client: the audience of the token.
    pub client: String,
    /// Whose token it was.
    pub by: IdentityId,
    /// When.
    pub at: Timestamp,
    /// Why it was refused, likeliest first; `None` where it was taken.
    pub refused: Option<Vec<Finding>>,
}

impl ClientTrial {
    /// Out of a test in which the API server knew somebody or did not; `None` for one that says nothing of trust.
    pub fn of(
        provider: ProviderId,
        client: String,
        by: IdentityId,
        at: Timestamp,
        known: bool,
        findings: &[Finding],
    ) -> Option<Self> {
        let trouble = || findings.iter().filter(|finding| finding.trouble);
        let of_trust = trouble().next().is_some_and(|first| {
            matches!(first.cause, Cause::IssuerUnknown { .. } | Cause::IssuerNotReached { .. } | Cause::Audience { .. })
        });
        let refused = match (known, of_trust) {
            (true, _) => None,
            (false, true) => Some(trouble().cloned().collect()),
            (false, false) => return None,
        };
        Some(Self { provider, client, by, at, refused })
    }

    /// Whether it counts after the one before it.
    pub fn counts_after(&self, last: Option<&Self>) -> bool {
        let first = self.refused.iter().flatten().next();
        first.is_none_or(|first| first.certainty == Certainty::Certain)
            || last.is_none_or(|last| last.refused.is_some() || last.by == self.by)
    }

    /// Whether it found what another one found, with the same person's token.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self == &Self { at: self.at, ..other.clone() }
    }
}

/// How a client stands with a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has shown it a token of this client.
    Untried,
    /// It took one, then.
    Accepted(Timestamp),
    /// It refused one, then, for one of these reasons, the likeliest first.
    Refused(Timestamp, Vec<Finding>),
}

impl Standing {
    /// Of a client, by all that is known of its cluster. An issuer that the cluster does not know, or does not reach, is so for
    /// all of its clients.
    pub fn of(trials: &[ClientTrial], provider: &ProviderId, client: &str) -> Self {
        let here = || trials.iter().filter(|trial| trial.provider == *provider);
        let issuer_refused = |trial: &&ClientTrial| {
            let first = trial.refused.iter().flatten().next();
            first.is_some_and(|f| matches!(f.cause, Cause::IssuerUnknown { .. } | Cause::IssuerNotReached { .. }))
        };
        let own = here().find(|trial| trial.client == client);
        match own.or_else(|| here().find(issuer_refused)) {
            None => Self::Untried,
            Some(ClientTrial { at, refused: None, .. }) => Self::Accepted(*at),
            Some(ClientTrial { at, refused: Some(why), .. }) => Self::Refused(*at, why.clone()),
        }
    }

    /// Whether it was refused.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(..))
    }

    /// Whether it was accepted.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Timestamp = Timestamp::from_secs(9);

    fn trial(client: &str, by: IdentityId, known: bool, causes: &[Cause]) -> Option<ClientTrial> {
        let findings: Vec<Finding> = causes.iter().cloned().map(Finding::possible).collect();
        ClientTrial::of("dex".parse().unwrap(), client.into(), by, THEN, known, &findings)
    }

    fn audience() -> Cause {
        Cause::Audience { token: vec!["a".into()], wanted: vec!["b".into()] }
    }

    #[test]
    fn only_a_refusal_that_lies_in_the_clusters_trust_is_one() {
        let by = IdentityId::new();
        for own_fault in [Cause::TooOld, Cause::NoEmail, Cause::Claims, Cause::ClocksDiffer(9), Cause::Silent] {
            assert_eq!(trial("a", by, false, &[own_fault.clone(), audience()]), None, "{own_fault:?}");
        }
        assert_eq!(trial("a", by, false, &[]), None);
        for trust in [audience(), Cause::IssuerUnknown { counted: false }, Cause::IssuerNotReached { counted: true }] {
            let refused = trial("a", by, false, &[trust, Cause::Claims]).unwrap();
            assert_eq!(refused.refused.unwrap().len(), 2);
        }
        let renamed = Cause::GroupsMissing("groups".into());
        assert_eq!(trial("a", by, true, &[renamed]).unwrap().refused, None);
    }

    #[test]
    fn after_an_acceptance_only_the_same_persons_refusal_counts() {
        let (alice, bob) = (IdentityId::new(), IdentityId::new());
        let accepted = trial("a", alice, true, &[]).unwrap();
        let refused = |by| trial("a", by, false, &[audience()]).unwrap();
        assert!(refused(bob).counts_after(None) && refused(alice).counts_after(Some(&accepted)));
        assert!(!refused(bob).counts_after(Some(&accepted)));
        let unknown = Finding::certain(Cause::IssuerUnknown { counted: true });
        let certain = ClientTrial { refused: Some(vec![unknown]), ..refused(bob) };
        assert!(certain.counts_after(Some(&accepted)));
        assert!(refused(bob).counts_after(Some(&refused(alice))));
        assert!(accepted.counts_after(Some(&refused(bob))));
    }

    #[test]
    fn an_issuer_that_is_not_known_stands_for_all_its_clients() {
        let (by, dex) = (IdentityId::new(), "dex".parse().unwrap());
        let unknown = trial("a", by, false, &[Cause::IssuerUnknown { counted: true }]).unwrap();
        assert!(Standing::of(std::slice::from_ref(&unknown), &dex, "b").is_refused());
        assert_eq!(Standing::of(std::slice::from_ref(&unknown), &"corp".parse().unwrap(), "a"), Standing::Untried);
        let accepted = trial("b", by, true, &[]).unwrap();
        assert_eq!(Standing::of(&[unknown, accepted], &dex, "b"), Standing::Accepted(THEN));
        let audience = trial("a", by, false, &[audience()]).unwrap();
        assert_eq!(Standing::of(std::slice::from_ref(&audience), &dex, "b"), Standing::Untried);
        assert!(Standing::of(&[audience], &dex, "a").is_refused());
    }
}
