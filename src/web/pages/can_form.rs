//! Whom the page “What can they do?” is about: a person or a provider's group, a ServiceAccount, or somebody as the cluster names
//! them. From an address, so that it can be linked and sent.

use super::access_form::{NamedProvider, group};
use crate::{
    access::Whom,
    bindings::one_name,
    model::{
        cluster::Cluster,
        grant::Grantee,
        id::{ClusterId, GrantId},
        name::{Email, Namespace},
        rbac::service_account_of,
        subject::{Subject, SubjectKind},
    },
    web::{
        forms::{Choice, FieldErrors},
        paths,
    },
};

/// Longest name of a user or group, as `k8s` has it.
const LONGEST: usize = 1024;
/// Longest name of a ServiceAccount.
const LONGEST_ACCOUNT: usize = 253;

const PERSON: &str = "person";
const GROUP: &str = "group";
const ACCOUNT: &str = "account";
const USER_THERE: &str = "user-there";
const GROUP_THERE: &str = "group-there";

/// The query.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct CanForm {
    /// What kind of somebody.
    pub kind: String,
    /// Their name.
    pub name: String,
    /// Where the cluster trusts several.
    pub provider: String,
    /// A namespace; empty for the whole cluster.
    pub ns: String,
    /// In place of kind and name: whom a grant is for.
    pub grant: Option<GrantId>,
}

impl CanForm {
    pub(super) fn kinds(&self) -> Vec<Choice> {
        [
            (PERSON, "Person"),
            (GROUP, "Provider group"),
            (ACCOUNT, "ServiceAccount"),
            (USER_THERE, "User, as the cluster has it"),
            (GROUP_THERE, "Group, as the cluster has it"),
        ]
        .into_iter()
        .map(|(value, label)| Choice::new(value, label, &self.kind))
        .collect()
    }

    pub(super) fn is_asked(&self) -> bool {
        !self.name.trim().is_empty()
    }

    /// The same about another namespace.
    pub(super) fn in_namespace(&self, cluster: ClusterId, namespace: &str) -> String {
        let [kind, name, provider] = [&self.kind, &self.name, &self.provider].map(String::as_str);
        paths::can(cluster, &[("kind", kind), ("name", name), ("provider", provider), ("ns", namespace)])
    }

    /// The namespace that is asked about.
    pub(super) fn namespace(&self, errors: &mut FieldErrors) -> Option<Namespace> {
        namespace(&self.ns, errors)
    }

    /// Reads whom it is about.
    pub(super) fn whom(&self, providers: &[NamedProvider], errors: &mut FieldErrors) -> Option<Whom> {
        match self.kind.as_str() {
            PERSON | GROUP | "" => self.grantee(providers, errors).map(Whom::Grantee),
            ACCOUNT => errors.keep("name", account(&self.name)).map(Whom::Subject),
            USER_THERE => errors.keep("name", there(&self.name)).map(|name| Whom::Subject(Subject::user(name))),
            GROUP_THERE => errors.keep("name", there(&self.name)).map(|name| Whom::Subject(Subject::group(name))),
            _ => {
                errors.add("kind", "Choose one of the kinds that are offered.");
                None
            }
        }
    }

    fn grantee(&self, providers: &[NamedProvider], errors: &mut FieldErrors) -> Option<Grantee> {
        let trusted = match providers {
            [only] => Some(only),
            several => several.iter().find(|p| p.value.as_str() == self.provider),
        };
        let Some(NamedProvider { value, mapping, .. }) = trusted else {
            errors.add("name", "Choose a provider that this cluster trusts.");
            return None;
        };
        if self.kind == GROUP {
            let name = errors.keep("name", group(&self.name, &mapping.groups_prefix))?;
            return Some(Grantee::Group(value.clone(), name));
        }
        let email = errors.keep("name", self.name.parse::<Email>())?;
        Some(Grantee::Email(value.clone(), email))
    }

    /// Filled in with whom a grant is for.
    pub(super) fn of_grantee(grantee: &Grantee, called: &str, provider: &str, ns: String) -> Self {
        let kind = match grantee {
            Grantee::Group(..) => GROUP,
            Grantee::ServiceAccount(_) => ACCOUNT,
            Grantee::Person(_) | Grantee::Email(..) => PERSON,
        };
        Self { kind: kind.into(), name: called.to_owned(), provider: provider.to_owned(), ns, grant: None }
    }
}

/// Reads a namespace; empty for none.
pub(super) fn namespace(typed: &str, errors: &mut FieldErrors) -> Option<Namespace> {
    let typed = Some(typed.trim()).filter(|ns| !ns.is_empty())?;
    errors.keep("ns", typed.parse())
}

/// `shop/deployer`, `shop:deployer`, or the whole user name.
pub(super) fn account(typed: &str) -> Result<Subject, String> {
    let typed = typed.trim();
    let (namespace, name) = service_account_of(typed)
        .or_else(|| typed.split_once(['/', ':']))
        .ok_or("Name a ServiceAccount with its namespace: shop/deployer.")?;
    let namespace: Namespace = namespace.parse().map_err(|e: crate::model::name::BadName| e.to_string())?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.is_empty() || name.len() > LONGEST_ACCOUNT || !name.chars().all(plain) {
        return Err("A ServiceAccount's name has small letters, digits, “-” and “.”.".into());
    }
    Ok(Subject { kind: SubjectKind::ServiceAccount, name: name.to_owned(), namespace: Some(namespace.to_string()) })
}

fn there(typed: &str) -> Result<String, &'static str> {
    let typed = typed.trim();
    if typed.is_empty() || typed.len() > LONGEST || typed.chars().any(char::is_control) {
        return Err("Type the name as bindings on the cluster have it.");
    }
    Ok(typed.to_owned())
}

/// The query that asks about a binding's subject; `home` is the binding's namespace.
fn about(subject: &Subject, home: Option<&str>) -> Vec<(&'static str, String)> {
    let subject = one_name(subject, home);
    let (kind, name) = match (subject.kind, &subject.namespace) {
        (SubjectKind::ServiceAccount, Some(namespace)) => (ACCOUNT, format!("{namespace}/{}", subject.name)),
        (SubjectKind::Group, _) => (GROUP_THERE, subject.name),
        (SubjectKind::ServiceAccount | SubjectKind::User, _) => (USER_THERE, subject.name),
    };
    vec![("kind", kind.to_owned()), ("name", name)]
}

/// The same as text.
pub(super) fn query(subject: &Subject, home: Option<&str>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(about(subject, home)).finish()
}

/// The address that asks about a binding's subject.
pub(super) fn address(cluster: &Cluster, subject: &Subject, home: Option<&str>, ns: &str) -> String {
    let query = about(subject, home);
    let mut pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    pairs.push(("ns", ns));
    paths::can(cluster.id, &pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_named_with_its_namespace() {
        for typed in ["shop/deployer", " shop:deployer ", "system:serviceaccount:shop:deployer"] {
            let account = account(typed).unwrap();
            assert_eq!((account.namespace.as_deref(), account.name.as_str()), (Some("shop"), "deployer"), "{typed}");
            let query = about(&account, None);
            assert_eq!(query, [("kind", ACCOUNT.to_owned()), ("name", "shop/deployer".into())]);
        }
        for bad in ["deployer", "shop/", "/x", "Shop/x", "shop/a b", "shop/A", "shop/x/y"] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subject_comes_back_from_its_address() {
        for subject in [Subject::user("eve"), Subject::group("oidc:devs")] {
            let query = about(&subject, Some("shop"));
            let form = CanForm { kind: query[0].1.clone(), name: query[1].1.clone(), ..CanForm::default() };
            assert_eq!(form.whom(&[], &mut FieldErrors::default()), Some(Whom::Subject(subject)));
        }
        let mut errors = FieldErrors::default();
        let nobody = CanForm { kind: "root".into(), name: "x".into(), ..CanForm::default() };
        assert!(nobody.whom(&[], &mut errors).is_none() && errors.get("kind").is_some());
    }
}
