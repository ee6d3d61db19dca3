//! The form of the access page: whom to give which role, where and until when, read field by field.

use crate::{
    access::{GrantRequest, GroupGrantRequest},
    model::{
        claim_mapping::{ClaimMapping, UsernameClaim},
        cluster::Cluster,
        grant::Grantee,
        id::GrantId,
        name::{Email, group_name},
        provider::ProviderId,
        reason::Reason,
        role::Role,
        service_account::AccountName,
        time::Timestamp,
    },
    oidc::Providers,
    web::forms::{Choice, FieldErrors, parse_span, span_choices},
};

use super::{
    roles::{self, OfferedRole},
    scope,
};

/// The form, as it is typed.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub struct AccessForm {
    /// `user`, `group`, `account` or `own`.
    pub kind: String,
    /// Email, group, a ServiceAccount with its namespace, or a Group of our own.
    pub name: String,
    /// Where the cluster trusts several.
    pub provider: String,
    /// The role.
    pub role: String,
    /// The whole cluster or namespaces.
    #[serde(rename = "where")]
    pub place: String,
    /// Which.
    pub namespaces: String,
    /// Until when.
    pub expires: String,
    /// Why.
    pub reason: String,
    /// In place of all that: an ended grant to give again.
    pub again: Option<GrantId>,
    /// In place of all that: a grant to take back.
    pub remove: Option<GrantId>,
    /// In place of all that: a grant to bring to the cluster at once.
    pub retry: Option<GrantId>,
}

impl Default for AccessForm {
    fn default() -> Self {
        Self {
            kind: "user".into(),
            name: String::new(),
            provider: String::new(),
            role: Role::View.as_str().into(),
            place: scope::WHOLE.into(),
            namespaces: String::new(),
            expires: "never".into(),
            reason: String::new(),
            again: None,
            remove: None,
            retry: None,
        }
    }
}

/// A provider that the cluster trusts, as a choice.
#[derive(Clone, Debug)]
pub struct NamedProvider {
    /// Its id.
    pub value: ProviderId,
    /// Its name.
    pub label: String,
    /// Whether it is the current one.
    pub selected: bool,
    /// How the cluster names its people.
    pub mapping: ClaimMapping,
}

/// The providers that a cluster trusts.
pub fn named_providers(cluster: &Cluster, providers: &Providers, chosen: &str) -> Vec<NamedProvider> {
    cluster
        .trusts
        .iter()
        .map(|(id, mapping)| NamedProvider {
            label: providers.get(id).map_or_else(|| id.to_string(), |p| p.settings().name.clone()),
            selected: id.as_str() == chosen,
            value: id.clone(),
            mapping: mapping.clone(),
        })
        .collect()
}

impl AccessForm {
    /// One that gives to this ServiceAccount.
    pub(super) fn for_account(name: &AccountName) -> Self {
        Self { kind: "account".into(), name: name.to_string(), ..Self::default() }
    }

    pub(super) fn kinds(&self) -> Vec<Choice> {
        [("user", "User"), ("group", "Group"), ("account", "ServiceAccount"), ("own", "Kubelend group")]
            .into_iter()
            .map(|(value, label)| Choice::new(value, label, &self.kind))
            .collect()
    }

    pub(super) fn roles(&self, offered: &[OfferedRole]) -> Vec<Choice> {
        roles::choices(offered, &self.role)
    }

    pub(super) fn wheres(&self) -> Vec<Choice> {
        scope::choices(&self.place)
    }

    pub(super) fn expires_options(&self) -> Vec<Choice> {
        let mut options = span_choices(&self.expires, true);
        options.rotate_right(1);
        options
    }

    pub(super) fn read(&self, cluster: &Cluster, now: Timestamp, errors: &mut FieldErrors) -> Option<GrantRequest> {
        let grantee = self.grantee(cluster, errors);
        let role = errors.keep("role", roles::read(&self.role));
        let namespaces = scope::read(&self.place, &self.namespaces, errors);
        let lasts = errors.keep("expires", parse_span(&self.expires, true).ok_or("Choose when the access ends."));
        let reason = errors.keep("reason", Reason::read(&self.reason));
        Some(GrantRequest {
            grantee: grantee?,
            role: role?,
            namespaces: namespaces?,
            expires_at: lasts?.map(|span| now.plus(span)),
            reason: reason?,
        })
    }

    /// Whether it gives to a Group of our own.
    pub(super) fn is_to_own_group(&self) -> bool {
        self.kind == "own"
    }

    /// The same for a Group of our own.
    pub(super) fn read_group(&self, now: Timestamp, errors: &mut FieldErrors) -> Option<GroupGrantRequest> {
        let group = errors.keep("name", own_group(&self.name));
        let role = errors.keep("role", roles::read(&self.role));
        let namespaces = scope::read(&self.place, &self.namespaces, errors);
        let lasts = errors.keep("expires", parse_span(&self.expires, true).ok_or("Choose when the access ends."));
        let reason = errors.keep("reason", Reason::read(&self.reason));
        Some(GroupGrantRequest {
            group: group?,
            role: role?,
            namespaces: namespaces?,
            expires_at: lasts?.map(|span| now.plus(span)),
            reason: reason?,
        })
    }

    fn grantee(&self, cluster: &Cluster, errors: &mut FieldErrors) -> Option<Grantee> {
        if self.kind == "account" {
            return errors.keep("name", self.name.parse::<AccountName>()).map(Grantee::ServiceAccount);
        }
        let trusted = match cluster.trusts.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|(id, _)| id.as_str() == self.provider),
        };
        let Some((provider, mapping)) = trusted else {
            let message = "Choose a provider that this cluster trusts.";
            errors.add(if cluster.trusts.len() > 1 { "provider" } else { "name" }, message);
            return None;
        };
        match self.kind.as_str() {
            "user" => self.person(provider, mapping, errors),
            "group" => {
                let name = group(&self.name, &mapping.groups_prefix)
                    .and_then(|name| mapping.group(&name).map(|_| name).map_err(|e| e.to_string()));
                errors.keep("name", name).map(|name| Grantee::Group(provider.clone(), name))
            }
            _ => {
                errors.add("kind", "Choose user, group, ServiceAccount or Kubelend group.");
                None
            }
        }
    }

    fn person(&self, provider: &ProviderId, mapping: &ClaimMapping, errors: &mut FieldErrors) -> Option<Grantee> {
        if mapping.username_claim != UsernameClaim::Email {
            errors.add(
                "name",
                "This cluster does not name people by email, so only somebody who accepts a share link can be given access.",
            );
            return None;
        }
        errors.keep("name", self.name.parse::<Email>()).map(|email| Grantee::Email(provider.clone(), email))
    }
}

/// Reads the name of a Group of our own, as it is offered.
pub(super) fn own_group(typed: &str) -> Result<String, &'static str> {
    match typed.trim() {
        "" => Err("Name the group."),
        name => Ok(name.to_owned()),
    }
}

/// Reads a group as the provider names it, without the prefix that clusters put before it.
pub(super) fn group(typed: &str, prefix: &str) -> Result<String, String> {
    let name = group_name(typed).map_err(|e| e.to_string())?;
    match name.strip_prefix(prefix).filter(|_| !prefix.is_empty()) {
        Some(bare) => {
            Err(format!("Leave the prefix out: type “{bare}”. It becomes “{prefix}{bare}” on the cluster by itself."))
        }
        None => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::cluster::tests::cluster;

    fn form(kind: &str, name: &str) -> AccessForm {
        AccessForm { kind: kind.into(), name: name.into(), ..AccessForm::default() }
    }

    fn read(form: &AccessForm) -> Result<GrantRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        form.read(&cluster("staging"), Timestamp::from_secs(0), &mut errors).ok_or(errors)
    }

    #[test]
    fn a_person_is_named_by_email_and_a_group_without_its_prefix() {
        let request = read(&form("user", " Bob@example.com ")).unwrap();
        assert!(matches!(request.grantee, Grantee::Email(_, e) if e.as_str() == "Bob@example.com"));
        let request = read(&form("group", "devs")).unwrap();
        assert!(matches!(request.grantee, Grantee::Group(_, g) if g == "devs"));
        assert_eq!(request.expires_at, None);
    }

    #[test]
    fn a_group_of_ours_is_named_as_it_is_offered() {
        let mut errors = FieldErrors::default();
        let request = form("own", " Ops (everywhere) ").read_group(Timestamp::from_secs(0), &mut errors).unwrap();
        assert_eq!((request.group.as_str(), request.role), ("Ops (everywhere)", Role::View));
        assert!(form("own", " ").read_group(Timestamp::from_secs(0), &mut errors).is_none() && errors.has("name"));
        assert!(form("own", "Ops").is_to_own_group() && !form("group", "Ops").is_to_own_group());
    }

    #[test]
    fn mistakes_are_named_at_their_fields() {
        for (kind, name) in [("user", "bob"), ("group", " "), ("group", "oidc:devs"), ("group", "a\nb"), ("user", "")] {
            let errors = read(&form(kind, name)).unwrap_err();
            assert!(errors.get("name").is_some(), "{kind} {name}");
        }
        assert!(read(&form("root", "x")).unwrap_err().get("kind").is_some());
        let both = AccessForm { role: "Cluster-Admin".into(), expires: "1s".into(), ..form("user", "bob") };
        let errors = read(&both).unwrap_err();
        assert!(["name", "role", "expires"].into_iter().all(|f| errors.get(f).is_some()));
    }

    #[test]
    fn immune_11_a_group_of_kubernetes_own_is_refused_at_the_field() {
        let mut bare = cluster("staging");
        bare.trusts[0].1.groups_prefix = String::new();
        let mut errors = FieldErrors::default();
        assert!(form("group", "system:masters").read(&bare, Timestamp::from_secs(0), &mut errors).is_none());
        assert!(errors.get("name").is_some());
    }

    #[test]
    fn several_providers_must_be_chosen_from() {
        let mut two = cluster("staging");
        two.trusts.push(("corp".parse().unwrap(), ClaimMapping::default()));
        let mut errors = FieldErrors::default();
        assert!(form("group", "devs").read(&two, Timestamp::from_secs(0), &mut errors).is_none());
        assert!(errors.get("provider").is_some());
        let chosen = AccessForm { provider: "corp".into(), ..form("group", "devs") };
        let request = chosen.read(&two, Timestamp::from_secs(0), &mut FieldErrors::default()).unwrap();
        assert!(matches!(request.grantee, Grantee::Group(p, _) if p.as_str() == "corp"));
    }
}
