//! What the forms of the settings page send, and the claim mapping among it, read field by field.

use crate::{
    model::{
        claim_mapping::{ClaimMapping, UsernameClaim},
        device::Format,
    },
    web::forms::FieldErrors,
};

/// The longest prefix or claim.
const LONGEST: usize = 60;

/// What the page's forms send; which of them says `change`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct SettingsForm {
    pub(super) change: String,
    pub(super) name: String,
    pub(super) labels: String,
    pub(super) provider: String,
    pub(super) username_claim: String,
    pub(super) username_prefix: String,
    pub(super) groups_claim: String,
    pub(super) groups_prefix: String,
    pub(super) drop: String,
    pub(super) how: String,
    pub(super) relay: String,
    #[serde(rename = "format_provider")]
    pub(super) directly: String,
    pub(super) kubelogin: String,
}

impl SettingsForm {
    /// The formats that are ticked.
    pub(super) fn formats(&self) -> Vec<Format> {
        let ticked = |format: &Format| match format {
            Format::Relay => !self.relay.is_empty(),
            Format::Provider => !self.directly.is_empty(),
            Format::Kubelogin => !self.kubelogin.is_empty(),
        };
        Format::ALL.into_iter().filter(ticked).collect()
    }

    pub(super) fn mapping(&self, errors: &mut FieldErrors) -> Option<ClaimMapping> {
        let claim = UsernameClaim::parse(&self.username_claim);
        let claim = errors.keep("username_claim", claim.ok_or("Choose the claim that names a user."));
        let username_prefix = errors.keep("username_prefix", prefix(&self.username_prefix));
        let groups_claim = errors.keep("groups_claim", claim_name(&self.groups_claim));
        let groups_prefix = errors.keep("groups_prefix", prefix(&self.groups_prefix));
        Some(ClaimMapping {
            username_claim: claim?,
            username_prefix: username_prefix?,
            groups_claim: groups_claim?,
            groups_prefix: groups_prefix?,
        })
    }

    /// What was typed, right or wrong, to be shown again.
    pub(super) fn as_typed(&self) -> ClaimMapping {
        ClaimMapping {
            username_claim: UsernameClaim::parse(&self.username_claim).unwrap_or(UsernameClaim::Email),
            username_prefix: self.username_prefix.clone(),
            groups_claim: self.groups_claim.clone(),
            groups_prefix: self.groups_prefix.clone(),
        }
    }
}

fn prefix(typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    if typed.len() > LONGEST || typed.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("A prefix has at most {LONGEST} characters and no spaces."));
    }
    if typed.to_ascii_lowercase().starts_with("system:") {
        return Err("Kubernetes keeps names that begin with “system:” for itself.".into());
    }
    Ok(typed.to_owned())
}

fn claim_name(typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if (1..=LONGEST).contains(&typed.len()) && typed.chars().all(good) {
        Ok(typed.to_owned())
    } else {
        Err("Name the claim that lists groups as it stands in the token: “groups” in most.".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_11_no_prefix_makes_names_of_kubernetes_own() {
        for bad in ["system:", "System:x", "a b", "a\nb", &"x".repeat(61)] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
        assert_eq!(prefix("").as_deref(), Ok(""));
        assert_eq!(prefix(" oidc: ").as_deref(), Ok("oidc:"));
    }

    #[test]
    fn a_claim_is_named_as_tokens_name_it() {
        for bad in ["", " ", "a b", "a'b", "<b>"] {
            assert!(claim_name(bad).is_err(), "{bad}");
        }
        for good in ["groups", "cognito:groups", "https://example.com/groups"] {
            assert_eq!(claim_name(good).as_deref(), Ok(good));
        }
    }
}
