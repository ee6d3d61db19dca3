//! The forms of the members page: whom to make what, read field by field.

use crate::{
    model::{
        grant::Grantee,
        id::{GroupId, WorkspaceId},
        name::{Email, group_name},
        provider::ProviderId,
        workspace::MemberRole,
    },
    oidc::Providers,
    web::forms::{Choice, FieldErrors},
};

/// The kind of a Group of our own.
const OWN: &str = "own";
/// What the name of one begins with that is a member.
const OWN_KEY: &str = "own:";

/// What a Group of our own is called in a form.
pub(super) fn own_key(group: GroupId) -> String {
    format!("{OWN_KEY}{group}")
}

/// The forms, as they are typed; `change` says which.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub struct MemberForm {
    /// `add`, `role`, `remove` or `leave`.
    pub change: String,
    /// `user` or `group`; `own` where Groups of our own can be members.
    pub kind: String,
    /// Email or group.
    pub name: String,
    /// Where there are several.
    pub provider: String,
    /// The role.
    pub role: String,
    /// In place of kind, name and provider: a member that there is.
    pub member: String,
}

impl Default for MemberForm {
    fn default() -> Self {
        Self {
            change: String::new(),
            kind: "user".into(),
            name: String::new(),
            provider: String::new(),
            role: MemberRole::Viewer.as_str().into(),
            member: String::new(),
        }
    }
}

/// What a member is called in a form.
pub(super) fn key(who: &Grantee) -> String {
    match who {
        Grantee::Person(id) => format!("person:{id}"),
        Grantee::Email(provider, email) => format!("email:{provider}:{email}"),
        Grantee::Group(provider, group) => format!("group:{provider}:{group}"),
        Grantee::ServiceAccount(account) => format!("account:{account}"),
    }
}

/// The roles as choices.
pub(super) fn roles(chosen: &str) -> Vec<Choice> {
    MemberRole::ALL.into_iter().map(|role| Choice::new(role.as_str(), role.as_str(), chosen)).collect()
}

/// The providers as choices whose people count in this workspace, or (`None`) everywhere.
pub(super) fn provider_choices(providers: &Providers, workspace: Option<WorkspaceId>, chosen: &str) -> Vec<Choice> {
    let all = providers.around(workspace);
    let settings = all.iter().map(|p| p.settings());
    settings.map(|s| Choice::new(s.id.to_string(), s.name.clone(), chosen)).collect()
}

impl MemberForm {
    pub(super) fn kinds(&self) -> Vec<Choice> {
        self.kinds_with(false)
    }

    /// The same, Groups of our own among them where those can be named.
    pub(super) fn kinds_with(&self, own_groups: bool) -> Vec<Choice> {
        [("user", "Person"), ("group", "Group"), (OWN, "Kubelend group")]
            .into_iter()
            .filter(|(value, _)| own_groups || *value != OWN)
            .map(|(value, label)| Choice::new(value, label, &self.kind))
            .collect()
    }

    /// Whether a Group of our own is to be added.
    pub(super) fn adds_own_group(&self) -> bool {
        self.change == "add" && self.kind == OWN
    }

    /// The Group of our own that it is about, where it is about one that is a member.
    pub(super) fn own_group(&self) -> Option<GroupId> {
        self.member.strip_prefix(OWN_KEY)?.parse().ok()
    }

    pub(super) fn roles(&self) -> Vec<Choice> {
        roles(&self.role)
    }

    pub(super) fn role(&self, errors: &mut FieldErrors) -> Option<MemberRole> {
        errors.keep("role", MemberRole::parse(&self.role).ok_or("Choose what they may do."))
    }

    /// Whom to add there, and as what.
    pub(super) fn read(
        &self,
        providers: &Providers,
        workspace: Option<WorkspaceId>,
        errors: &mut FieldErrors,
    ) -> Option<(Grantee, MemberRole)> {
        let known: Vec<ProviderId> = providers.around(workspace).iter().map(|p| p.settings().id.clone()).collect();
        let who = self.who(&known, errors);
        Some((who?, self.role(errors)?))
    }

    fn who(&self, known: &[ProviderId], errors: &mut FieldErrors) -> Option<Grantee> {
        let provider = match known {
            [only] => Some(only),
            several => several.iter().find(|id| id.as_str() == self.provider),
        };
        let provider = errors.keep("provider", provider.cloned().ok_or("Choose where they sign in."))?;
        let name = self.name.trim();
        match self.kind.as_str() {
            "user" => errors.keep("name", name.parse::<Email>()).map(|email| Grantee::Email(provider, email)),
            "group" => errors.keep("name", group_name(name)).map(|name| Grantee::Group(provider, name.to_owned())),
            _ => {
                errors.add("kind", "Choose person or group.");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, name: &str, provider: &str, known: &[&str]) -> Result<String, Vec<&'static str>> {
        let form =
            MemberForm { kind: kind.into(), name: name.into(), provider: provider.into(), ..MemberForm::default() };
        let known: Vec<ProviderId> = known.iter().map(|id| id.parse().unwrap()).collect();
        let mut errors = FieldErrors::default();
        form.who(&known, &mut errors).map(|who| key(&who)).ok_or_else(|| errors.0.iter().map(|(f, _)| *f).collect())
    }

    #[test]
    fn a_member_is_named_by_email_or_group_at_a_provider() {
        assert_eq!(read("user", " Bob@example.com ", "", &["dex"]).unwrap(), "email:dex:Bob@example.com");
        assert_eq!(read("group", " devs", "corp", &["dex", "corp"]).unwrap(), "group:corp:devs");
        for (kind, name, provider, field) in [
            ("user", "bob", "dex", "name"),
            ("user", "a@evil.com@good.com", "dex", "name"),
            ("group", " ", "dex", "name"),
            ("robot", "x", "dex", "kind"),
            ("user", "bob@example.com", "other", "provider"),
        ] {
            assert_eq!(read(kind, name, provider, &["dex", "corp"]).unwrap_err(), [field], "{kind} {name}");
        }
    }
}
