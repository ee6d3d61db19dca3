//! OpenID Connect providers as the rest of the house names them. Talking to one is `oidc`'s part.

use std::{fmt, str::FromStr};

use super::{id::WorkspaceId, name::BadName};

/// What the id of a workspace's own provider begins with; the configuration may name none that reads like one.
const OWN: &str = "w-";
/// How many letters and digits stand behind the workspace in such an id.
const DRAWN: usize = 5;
/// What these are drawn from: none looks like another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The short name of a provider in configuration and URLs: lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderId(String);

impl ProviderId {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A provider of this workspace's own: the workspace is part of its id, so that whatever names the provider says where its people
    /// count. `drawn` is random.
    pub fn of_workspace(workspace: WorkspaceId, drawn: [u8; DRAWN]) -> Self {
        let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
        let drawn: String = drawn.into_iter().map(letter).collect();
        Self(format!("{OWN}{}-{drawn}", workspace.digits()))
    }

    /// The one workspace in which its people count, where it is that workspace's own; `None` for a configured one, whose people count
    /// wherever they are named.
    pub fn home(&self) -> Option<WorkspaceId> {
        let (workspace, drawn) = self.0.strip_prefix(OWN)?.split_once('-')?;
        if drawn.len() == DRAWN { WorkspaceId::of_digits(workspace) } else { None }
    }

    /// Whether its people count in this workspace, or (`None`) everywhere.
    pub fn counts_in(&self, workspace: Option<WorkspaceId>) -> bool {
        self.home().is_none_or(|home| workspace == Some(home))
    }
}

impl FromStr for ProviderId {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let good =
            (1..=40).contains(&s.len()) && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good {
            Ok(Self(s.to_owned()))
        } else {
            Err(BadName("a provider's id has 1–40 lower-case letters, digits and “-”".into()))
        }
    }
}

impl TryFrom<String> for ProviderId {
    type Error = BadName;
    fn try_from(s: String) -> Result<Self, BadName> {
        s.parse()
    }
}

impl From<ProviderId> for String {
    fn from(id: ProviderId) -> Self {
        id.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a kubeconfig needs to know of a provider so that kubectl can refresh tokens there by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigIssuer {
    /// The issuer URL, exactly as the provider's tokens have it.
    pub issuer: String,
    /// The public client that the tokens are for.
    pub client_id: String,
    /// The CA of the issuer as PEM, where it is private.
    pub ca_pem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_32_the_id_of_a_workspaces_own_provider_says_where_its_people_count() {
        let (home, other) = (WorkspaceId::new(), WorkspaceId::new());
        let own = ProviderId::of_workspace(home, [0, 31, 32, 200, 255]);
        assert_eq!(own.as_str().parse::<ProviderId>().as_ref(), Ok(&own));
        assert_eq!(own.home(), Some(home));
        assert_ne!(own, ProviderId::of_workspace(home, [1, 31, 32, 200, 255]));
        assert!(own.counts_in(Some(home)));
        assert!(!own.counts_in(Some(other)) && !own.counts_in(None));
        let configured: ProviderId = "dex".parse().unwrap();
        assert!(configured.home().is_none() && configured.counts_in(None) && configured.counts_in(Some(other)));
    }

    #[test]
    fn immune_32_nothing_that_only_looks_like_it_is_a_workspaces_own() {
        let digits = WorkspaceId::new().digits();
        let hyphenated = format!("w-{}", WorkspaceId::new());
        for text in
            [format!("w-{digits}"), format!("w-{digits}-abcd"), format!("x-{digits}-abcde"), hyphenated, "w-".into()]
        {
            assert_eq!(text.parse::<ProviderId>().ok().and_then(|id| id.home()), None, "{text}");
        }
    }
}
