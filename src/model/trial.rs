//! The last test of a cluster with the own token of somebody who looks after it: whether its API server trusts a provider as
//! Kubelend was told.

use serde::{Deserialize, Serialize};

use super::{
    diagnosis::{Cause, Finding},
    provider::ProviderId,
    time::Timestamp,
};

/// How many groups are kept of an answer.
const MAX_GROUPS: usize = 20;

/// A test of one provider's tokens on a cluster. Its field names are stored: they stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The provider.
    pub provider: ProviderId,
    /// Whose token it was made with, for display.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Who they are to the API server, if it knows them.
    pub username: Option<String>,
    /// Their groups there, without Kubernetes' own; at most 20.
    pub groups: Vec<String>,
    /// What is wrong or could be.
    pub findings: Vec<Finding>,
}

impl Trial {
    /// Out of a test; `None` for one that says nothing of trust, since no token was shown or no API server answered.
    pub fn of(
        provider: ProviderId,
        by: String,
        at: Timestamp,
        user: Option<(String, Vec<String>)>,
        mut findings: Vec<Finding>,
    ) -> Option<Self> {
        let untold = |finding: &Finding| {
            matches!(
                finding.cause,
                Cause::NoToken
                    | Cause::TokenOver(_)
                    | Cause::ProviderDown
                    | Cause::Unreachable(_)
                    | Cause::Silent
                    | Cause::Certificate(_)
                    | Cause::NotKubernetes(_)
                    | Cause::Refused(_)
            )
        };
        if findings.iter().any(untold) {
            return None;
        }
        // What they may do was not asked.
        findings.retain(|finding| finding.cause != Cause::NothingGranted);
        for finding in &mut findings {
            // Nobody's grants hang on it here, and yet it is what the cluster's people have to mend.
            finding.trouble |= matches!(finding.cause, Cause::GroupsDiffer { .. });
        }
        let (username, groups) = user.map_or((None, Vec::new()), |(name, groups)| (Some(name), groups));
        let groups = groups.into_iter().filter(|group| !group.starts_with("system:")).take(MAX_GROUPS).collect();
        Some(Self { provider, by, at, username, groups, findings })
    }

    /// Whether it found what another one found.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self == &Self { at: self.at, ..other.clone() }
    }

    /// The first trouble, if there is any.
    pub fn trouble(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diagnosis::Certainty;

    fn of(cause: Cause) -> Option<Trial> {
        let user = Some(("alice".to_owned(), vec!["oidc:a".to_owned(), "system:authenticated".to_owned()]));
        let finding = Finding { cause, certainty: Certainty::Certain, trouble: false };
        Trial::of("dex".parse().unwrap(), "alice".into(), Timestamp::from_secs(9), user, vec![finding])
    }

    #[test]
    fn only_a_test_that_says_something_of_trust_is_kept() {
        assert_eq!((of(Cause::Silent), of(Cause::NoToken)), (None, None));
        let trial = of(Cause::NothingGranted).unwrap();
        assert_eq!((trial.findings.len(), trial.groups.as_slice()), (0, &["oidc:a".to_owned()][..]));
        let differ = Cause::GroupsDiffer { expected: vec!["oidc:a".into()], answered: vec![], prefix: None };
        assert!(of(differ).unwrap().trouble().is_some());
        assert!(of(Cause::GroupsMissing("groups".into())).unwrap().trouble().is_none());
    }

    #[test]
    fn the_same_later_is_the_same() {
        let first = of(Cause::NothingGranted).unwrap();
        let later = Trial { at: Timestamp::from_secs(99), ..first.clone() };
        assert!(later.says_the_same(&first));
        assert!(!Trial { username: None, ..later }.says_the_same(&first));
    }
}
