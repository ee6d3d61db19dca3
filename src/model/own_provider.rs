//! Providers of a workspace's own: what its owners say of one, and the names that clusters give its people.

use std::str::FromStr;

use super::{
    claim_mapping::{ClaimMapping, UsernameClaim},
    id::{IdentityId, WorkspaceId},
    name::{BadName, WorkspaceName},
    provider::ProviderId,
    time::Timestamp,
};

/// What stands before groups, in front of the provider's own prefix.
const GROUPS: &str = "oidc:";
/// What names of others begin with: Kubernetes' own, other providers' groups, ours, an API server's own prefix of an issuer, clouds'.
const TAKEN: [&str; 10] = ["system", "oidc", "kubelend", "https", "http", "arn", "eks", "aks", "gke", "spiffe"];
/// The longest client id, claim and scope.
const LONGEST: usize = 200;
/// How many scopes one asks for at most.
const MOST_SCOPES: usize = 20;

/// What a provider is called: “Sign in with NAME”.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderName(String);

impl ProviderName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ProviderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProviderName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let name: WorkspaceName = s.parse().map_err(|_| {
            BadName("Give it a name of one line and at most 63 characters: people read “Sign in with …”.".into())
        })?;
        Ok(Self(name.as_str().to_owned()))
    }
}

/// What stands before the names of its people on clusters, and, behind `oidc:`, before those of their groups. Drawn from the
/// workspace's name once, and never given to another provider, of any workspace: bindings, and an API server's trust, may outlive the one that had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPrefix(String);

impl OwnPrefix {
    /// For the `n`th provider of a workspace of this name, counted from 0.
    pub fn of(workspace: &str, n: usize) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let text: String = workspace.chars().map(plain).collect();
        let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
        let text: String = parts.join("-").chars().take(30).collect();
        let text = match text.trim_end_matches('-') {
            "" => "workspace",
            text => text,
        };
        let taken = TAKEN.contains(&text);
        let text = if taken { format!("{text}-workspace") } else { text.to_owned() };
        Self(if n == 0 { text } else { format!("{text}-{}", n + 1) })
    }

    /// As it is stored: without a colon.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Before user names: `WORKSPACE:`.
    pub fn users(&self) -> String {
        format!("{}:", self.0)
    }

    /// Before groups: `oidc:WORKSPACE:`.
    pub fn groups(&self) -> String {
        format!("{GROUPS}{}:", self.0)
    }
}

impl FromStr for OwnPrefix {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !s.is_empty() && s.len() <= 60 && s.chars().all(plain) && s != "system" {
            Ok(Self(s.to_owned()))
        } else {
            Err(BadName("this is no prefix of a workspace's own provider".into()))
        }
    }
}

/// What may be changed of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRules {
    /// What people read.
    pub name: ProviderName,
    /// A second, public client for kubeconfigs that talk to the provider by themselves.
    pub direct_client_id: Option<String>,
    /// The issuer's CA as PEM, where it is private.
    pub ca_pem: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that names people.
    pub username_claim: UsernameClaim,
    /// The claim that lists their groups.
    pub groups_claim: String,
}

/// A workspace's own provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnProvider {
    /// Its id, which names the workspace.
    pub id: ProviderId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The issuer, to the letter; it stays.
    pub issuer: String,
    /// Our client there; it stays.
    pub client_id: String,
    /// Whether that has a secret, which is kept sealed.
    pub has_secret: bool,
    /// What may be changed.
    pub rules: OwnRules,
    /// What stands before names.
    pub prefix: OwnPrefix,
    /// Grows with each change.
    pub revision: i64,
    /// Who added it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// Since when nobody signs in with it, where it is switched off.
    pub off_since: Option<Timestamp>,
}

impl OwnProvider {
    /// How each cluster that trusts it names its people.
    pub fn mapping(&self) -> ClaimMapping {
        ClaimMapping {
            username_claim: self.rules.username_claim,
            username_prefix: self.prefix.users(),
            groups_claim: self.rules.groups_claim.clone(),
            groups_prefix: self.prefix.groups(),
        }
    }
}

/// Reads a client's id.
///
/// # Errors
/// What is wrong with it.
pub fn client_id(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    // RFC 6749 appendix A.1: printable ASCII.
    if (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("This is no client id: at most 200 letters, digits and signs, without spaces.")
    }
}

/// Reads the claim that lists groups.
///
/// # Errors
/// What is wrong with it.
pub fn groups_claim(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("Name the claim that lists groups, most often “groups”.")
    }
}

/// Reads scopes, separated by spaces.
///
/// # Errors
/// What is wrong with them.
pub fn scopes(text: &str) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    for scope in text.split_whitespace() {
        if !is_scope(scope) || scope.len() > LONGEST {
            return Err(format!("“{}” is no scope.", scope.chars().take(80).collect::<String>()));
        }
        if !all.iter().any(|other| other == scope) {
            all.push(scope.to_owned());
        }
    }
    if !all.iter().any(|scope| scope == "openid") {
        return Err("“openid” is not among them: without it there is no ID token.".into());
    }
    if all.len() > MOST_SCOPES { Err("At most 20 scopes.".into()) } else { Ok(all) }
}

/// RFC 6749 section 3.3.
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_11_a_prefix_is_drawn_from_the_workspaces_name_and_is_nobody_elses() {
        for (name, n, prefix) in [
            ("Payments", 0, "payments"),
            ("  Pay & Ship, EU!", 0, "pay-ship-eu"),
            ("支払い", 0, "workspace"),
            ("System", 0, "system-workspace"),
            ("OIDC", 0, "oidc-workspace"),
            ("https", 0, "https-workspace"),
            ("kubelend", 1, "kubelend-workspace-2"),
            ("Payments", 2, "payments-3"),
        ] {
            let made = OwnPrefix::of(name, n);
            assert_eq!(made.as_str(), prefix, "{name}");
            assert_eq!(prefix.parse::<OwnPrefix>().as_ref(), Ok(&made));
            assert_eq!(made.users(), format!("{prefix}:"));
            assert_eq!(made.groups(), format!("oidc:{prefix}:"));
        }
        let long = OwnPrefix::of(&"x".repeat(63), 0);
        assert!(long.as_str().len() <= 30);
        for bad in ["", "system", "a:b", "A", "a b"] {
            assert!(bad.parse::<OwnPrefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_claims_and_clients_are_read_and_mistakes_said() {
        assert_eq!(scopes(" openid  email openid ").unwrap(), ["openid", "email"]);
        assert!(scopes("email").unwrap_err().contains("openid"));
        assert!(scopes("openid \"x").unwrap_err().contains("no scope"));
        assert!(client_id(" kubelend ").is_ok() && client_id("a b").is_err() && client_id("").is_err());
        assert!(groups_claim("groups").is_ok() && groups_claim("").is_err());
    }
}
