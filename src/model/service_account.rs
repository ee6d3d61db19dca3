//! ServiceAccounts: how they are named, those that Kubelend makes on clusters, and the leases of their tokens.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    grant::GrantState,
    id::{ClusterId, IdentityId, LeaseId, ServiceAccountId},
    name::{BadName, Namespace},
    rbac::service_account_user,
    subject::{Subject, SubjectKind},
    time::Timestamp,
};

/// Longest name of one, as Kubernetes has it (an RFC 1123 subdomain).
const LONGEST: usize = 253;

/// A ServiceAccount of a cluster, by namespace and name: `shop/deployer`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName {
    namespace: Namespace,
    name: String,
}

impl AccountName {
    /// Out of what was typed in two fields.
    ///
    /// # Errors
    /// What is wrong with the name, in words.
    pub fn new(namespace: Namespace, name: &str) -> Result<Self, BadName> {
        let name = name.trim();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let label =
            |part: &str| part.starts_with(plain) && part.ends_with(plain) && part.chars().all(|c| plain(c) || c == '-');
        if name.len() > LONGEST || !name.split('.').all(label) {
            return Err(BadName(
                "A ServiceAccount's name has lower-case letters, digits, “-” and “.”, and begins and ends with a letter or digit."
                    .into(),
            ));
        }
        Ok(Self { namespace, name: name.to_owned() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The name in it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As bindings name it.
    pub fn subject(&self) -> Subject {
        Subject {
            kind: SubjectKind::ServiceAccount,
            name: self.name.clone(),
            namespace: Some(self.namespace.to_string()),
        }
    }

    /// Its user name.
    pub fn user(&self) -> String {
        service_account_user(self.namespace.as_str(), &self.name)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for AccountName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let (namespace, name) = s
            .trim()
            .split_once('/')
            .ok_or_else(|| BadName("Name a ServiceAccount with its namespace: shop/deployer.".into()))?;
        Self::new(namespace.parse()?, name)
    }
}

/// A ServiceAccount that Kubelend makes. Its row is what is wanted; `state` says how far its cluster has followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its id; its object on the cluster carries it as a label.
    pub id: ServiceAccountId,
    /// The cluster.
    pub cluster: ClusterId,
    /// What it is called there.
    pub name: AccountName,
    /// The UID of the object that Kubelend made; `None` until it stands.
    pub uid: Option<String>,
    /// Who wanted it.
    pub created_by: IdentityId,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub ended_at: Option<Timestamp>,
    /// How far the cluster has followed.
    pub state: GrantState,
    /// What stands in the way, in words for a page.
    pub state_detail: Option<String>,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Somebody revoked it.
    Revoked,
    /// The token has run out.
    Expired,
    /// The token was never made, or reached nobody.
    NotMade,
    /// Its ServiceAccount was deleted.
    AccountDeleted,
}

impl LeaseEnd {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotMade => "not_made",
            Self::AccountDeleted => "account_deleted",
        }
    }

    /// As stored.
    pub fn parse(s: &str) -> Option<Self> {
        [Self::Revoked, Self::Expired, Self::NotMade, Self::AccountDeleted].into_iter().find(|x| x.as_str() == s)
    }
}

/// A token of a ServiceAccount that was handed out: everything about it but the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its id; the Secret that the token is bound to is named after it.
    pub id: LeaseId,
    /// Whose token.
    pub account: ServiceAccountId,
    /// What was asked for.
    pub lasts: TokenLife,
    /// The UID of the Secret; `None` while it is not known to stand.
    pub secret_uid: Option<String>,
    /// Who got it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// Since when the token is out.
    pub issued_at: Option<Timestamp>,
    /// The token's own end; before it is out, until when that is waited for.
    pub expires_at: Timestamp,
    /// Why it ended, once it has.
    pub ended: Option<LeaseEnd>,
    /// When its Secret was off the cluster.
    pub gone_at: Option<Timestamp>,
}

/// How long a token is asked for, within Kubelend's bounds: ten minutes, which is Kubernetes' own least, to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife(Duration);

impl TokenLife {
    /// The least.
    pub const SHORTEST: Self = Self(Duration::from_mins(10));
    /// Where nothing else is chosen.
    pub const USUAL: Self = Self(Duration::from_hours(1));
    /// The most.
    pub const LONGEST: Self = Self(Duration::from_hours(24));
    /// What an API server may take for one of the tokens that it puts into pods itself, and then makes a year of it.
    const OF_PODS: Duration = Duration::from_secs(3_607);

    /// This long, if that is within the bounds.
    pub fn new(span: Duration) -> Option<Self> {
        ((Self::SHORTEST.0..=Self::LONGEST.0).contains(&span) && span != Self::OF_PODS).then_some(Self(span))
    }

    /// How long.
    pub fn span(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_with_its_namespace_as_kubernetes_names_it() {
        let account: AccountName = " shop/ci.deployer-2 ".parse().unwrap();
        assert_eq!(account.to_string(), "shop/ci.deployer-2");
        assert_eq!(account.user(), "system:serviceaccount:shop:ci.deployer-2");
        let subject = account.subject();
        assert_eq!((subject.kind, subject.namespace.as_deref()), (SubjectKind::ServiceAccount, Some("shop")));
        let long = format!("shop/{}", "a".repeat(254));
        for bad in ["deployer", "shop/", "/x", "shop/x/y", "shop/-x", "shop/x.", "shop/A", "shop/a b", "Shop/x", &long]
        {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn immune_11_no_account_is_named_so_that_it_becomes_one_of_kubernetes_own_users() {
        for bad in ["system:masters", "system:node:x", "shop/system:masters", "system:serviceaccount:shop:x", "shop:x"]
        {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_lives_between_ten_minutes_and_a_day_and_never_as_long_as_a_pods() {
        for good in [600, 3_600, 86_400] {
            assert!(TokenLife::new(Duration::from_secs(good)).is_some(), "{good}");
        }
        for bad in [0, 599, 3_607, 86_401, u64::MAX] {
            assert!(TokenLife::new(Duration::from_secs(bad)).is_none(), "{bad}");
        }
    }
}
