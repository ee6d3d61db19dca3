//! The form of access that reaches further than one cluster, read field by field.

use super::{
    access_form::{group, own_group},
    roles::{self, OfferedRole},
};
use crate::{
    access::{FederatedRequest, Recipient},
    model::{
        grant::Grantee, id::WorkspaceId, name::Email, provider::ProviderId, reason::Reason, role::Role, time::Timestamp,
    },
    oidc::Providers,
    web::forms::{Choice, FieldErrors, parse_span, span_choices},
};

/// The form, as it is typed.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub struct WideForm {
    /// `user`, `group` or `own`.
    pub kind: String,
    /// Email, group, or a Group of our own.
    pub name: String,
    /// Where there are several.
    pub provider: String,
    /// The role.
    pub role: String,
    /// Until when.
    pub expires: String,
    /// Why.
    pub reason: String,
}

impl Default for WideForm {
    fn default() -> Self {
        Self {
            kind: "group".into(),
            name: String::new(),
            provider: String::new(),
            role: Role::View.as_str().into(),
            expires: "never".into(),
            reason: String::new(),
        }
    }
}

impl WideForm {
    pub(super) fn kinds(&self, own_groups: bool) -> Vec<Choice> {
        let kinds = [("user", "User"), ("group", "Group"), ("own", "Kubelend group")];
        kinds
            .into_iter()
            .filter(|(value, _)| own_groups || *value != "own")
            .map(|(value, label)| Choice::new(value, label, &self.kind))
            .collect()
    }

    pub(super) fn roles(&self, offered: &[OfferedRole]) -> Vec<Choice> {
        roles::choices(offered, &self.role)
    }

    pub(super) fn expires_options(&self) -> Vec<Choice> {
        let mut options = span_choices(&self.expires, true);
        options.rotate_right(1);
        options
    }

    pub(super) fn read(
        &self,
        providers: &Providers,
        workspace: Option<WorkspaceId>,
        now: Timestamp,
        errors: &mut FieldErrors,
    ) -> Option<FederatedRequest> {
        let known: Vec<(ProviderId, String)> = providers
            .around(workspace)
            .iter()
            .map(|p| (p.settings().id.clone(), p.settings().claim_mapping.groups_prefix.clone()))
            .collect();
        let grantee = if self.kind == "own" {
            errors.keep("name", own_group(&self.name)).map(Recipient::Group)
        } else {
            self.grantee(&known, errors).map(Recipient::One)
        };
        let role = errors.keep("role", roles::read(&self.role));
        let lasts = errors.keep("expires", parse_span(&self.expires, true).ok_or("Choose when the access ends."));
        let reason = errors.keep("reason", Reason::read(&self.reason));
        Some(FederatedRequest {
            grantee: grantee?,
            role: role?,
            expires_at: lasts?.map(|span| now.plus(span)),
            reason: reason?,
        })
    }

    fn grantee(&self, known: &[(ProviderId, String)], errors: &mut FieldErrors) -> Option<Grantee> {
        let chosen = match known {
            [only] => Some(only),
            several => several.iter().find(|(id, _)| id.as_str() == self.provider),
        };
        let (provider, prefix) = errors.keep("provider", chosen.cloned().ok_or("Choose where they sign in."))?;
        let name = self.name.trim();
        match self.kind.as_str() {
            "user" => errors.keep("name", name.parse::<Email>()).map(|email| Grantee::Email(provider, email)),
            "group" => errors.keep("name", group(name, &prefix)).map(|name| Grantee::Group(provider, name)),
            _ => {
                errors.add("kind", "Choose user, group or Kubelend group.");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, name: &str, provider: &str) -> Result<Grantee, FieldErrors> {
        let form = WideForm { kind: kind.into(), name: name.into(), provider: provider.into(), ..WideForm::default() };
        let known = ["dex", "corp"].map(|id| (id.parse::<ProviderId>().unwrap(), "oidc:".to_owned()));
        let mut errors = FieldErrors::default();
        form.grantee(&known, &mut errors).ok_or(errors)
    }

    #[test]
    fn people_and_groups_are_named_at_a_provider() {
        assert!(
            matches!(read("user", " Bob@example.com ", "dex").unwrap(), Grantee::Email(p, _) if p.as_str() == "dex")
        );
        assert!(
            matches!(read("group", "devs", "corp").unwrap(), Grantee::Group(p, g) if p.as_str() == "corp" && g == "devs")
        );
        for (kind, name, provider, field) in [
            ("user", "bob", "dex", "name"),
            ("group", "", "dex", "name"),
            ("group", "oidc:devs", "dex", "name"),
            ("group", "devs", "", "provider"),
            ("robot", "x", "dex", "kind"),
        ] {
            assert!(read(kind, name, provider).unwrap_err().has(field), "{kind} {name}");
        }
    }
}
