//! How a grant stands in its row, and back.

use crate::{
    model::{
        grant::{EndReason, Grant, GrantState, Grantee, Origin},
        id::{ClusterId, IdentityId},
        identity::Identity,
        name::Namespace,
        provider::ProviderId,
        reason::Reason,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    store::{StoreError, db::parsed, identities::IdentityRow},
};

/// A grant joined with the identity of a person's grant.
#[derive(sqlx::FromRow)]
pub(in crate::store) struct GrantRow {
    id: String,
    cluster_id: String,
    namespaces: String,
    role: String,
    to_group: bool,
    identity_id: Option<String>,
    provider: Option<String>,
    grantee_name: Option<String>,
    origin: String,
    expires_at: Option<i64>,
    reason: Option<String>,
    created_by: String,
    created_at: i64,
    state: String,
    state_detail: Option<String>,
    state_since: i64,
    ended: Option<String>,
    i_provider: Option<String>,
    i_issuer: Option<String>,
    i_sub: Option<String>,
    i_email: Option<String>,
    i_email_verified: Option<bool>,
    i_name: Option<String>,
    i_group_list: Option<String>,
    i_last_sign_in: Option<i64>,
}

/// Reads grants `g` with identities `i`: `select_grants!("WHERE …")`.
macro_rules! select_grants {
    ($($rest:expr),+) => {
        concat!(
            "SELECT g.id, g.cluster_id, g.namespaces, g.role, g.to_group, g.identity_id, g.provider, g.grantee_name, \
             g.origin, g.expires_at, g.reason, g.created_by, g.created_at, g.state, g.state_detail, g.state_since, g.ended, \
             i.provider AS i_provider, i.issuer AS i_issuer, i.sub AS i_sub, i.email AS i_email, \
             i.email_verified AS i_email_verified, i.name AS i_name, i.group_list AS i_group_list, \
             i.last_sign_in AS i_last_sign_in \
             FROM grants g LEFT JOIN identities i ON i.id = g.identity_id ",
            $($rest),+
        )
    };
}

impl GrantRow {
    pub(in crate::store) fn grant(mut self) -> Result<(Grant, Option<Identity>), StoreError> {
        let person = self.person()?;
        let grant = Grant {
            id: parsed(&self.id, "id of a grant")?,
            grantee: self.grantee()?,
            role: role_of(&self.role)?,
            scope: scope_of(&self.cluster_id, &self.namespaces)?,
            expires_at: self.expires_at.map(Timestamp::from_millis),
            reason: reason_of(self.reason.as_deref(), "reason of a grant")?,
            origin: origin_of(&self.origin)?,
            created_by: parsed(&self.created_by, "maker of a grant")?,
            created_at: Timestamp::from_millis(self.created_at),
            state: GrantState::parse(&self.state).ok_or(StoreError::Corrupt("state of a grant"))?,
            state_detail: self.state_detail,
            state_since: Timestamp::from_millis(self.state_since),
            ended: self
                .ended
                .map(|why| EndReason::parse(&why).ok_or(StoreError::Corrupt("end of a grant")))
                .transpose()?,
        };
        Ok((grant, person))
    }

    fn person(&mut self) -> Result<Option<Identity>, StoreError> {
        let whole = (
            self.identity_id.clone(),
            self.i_provider.take(),
            self.i_issuer.take(),
            self.i_sub.take(),
            self.i_email_verified,
            self.i_group_list.take(),
            self.i_last_sign_in,
        );
        let (Some(id), Some(provider), Some(issuer), Some(sub), Some(email_verified), Some(group_list), Some(last)) =
            whole
        else {
            return Ok(None);
        };
        let (email, name) = (self.i_email.take(), self.i_name.take());
        IdentityRow { id, provider, issuer, sub, email, email_verified, name, group_list, last_sign_in: last }
            .identity()
            .map(Some)
    }

    fn grantee(&self) -> Result<Grantee, StoreError> {
        GranteeColumns {
            to_group: self.to_group,
            identity_id: self.identity_id.clone(),
            provider: self.provider.clone(),
            name: self.grantee_name.clone(),
        }
        .grantee()
    }
}

/// The columns that say whom a grant is for.
pub(in crate::store) struct GranteeColumns {
    pub(in crate::store) to_group: bool,
    pub(in crate::store) identity_id: Option<String>,
    pub(in crate::store) provider: Option<String>,
    pub(in crate::store) name: Option<String>,
}

impl From<&Grantee> for GranteeColumns {
    fn from(grantee: &Grantee) -> Self {
        let (identity_id, provider, name) = match grantee {
            Grantee::Person(id) => (Some(id.to_string()), None, None),
            Grantee::Email(provider, email) => (None, Some(provider.to_string()), Some(email.as_str().to_owned())),
            Grantee::Group(provider, group) => (None, Some(provider.to_string()), Some(group.clone())),
            Grantee::ServiceAccount(account) => (None, None, Some(account.to_string())),
        };
        Self { to_group: matches!(grantee, Grantee::Group(..)), identity_id, provider, name }
    }
}

impl GranteeColumns {
    pub(in crate::store) fn grantee(self) -> Result<Grantee, StoreError> {
        match (self.identity_id, self.provider, self.name) {
            (Some(id), _, _) => Ok(Grantee::Person(parsed(&id, "grantee of a grant")?)),
            (None, Some(provider), Some(name)) => {
                let provider = parsed(&provider, "provider of a grant")?;
                if self.to_group {
                    Ok(Grantee::Group(provider, name))
                } else {
                    Ok(Grantee::Email(provider, parsed(&name, "grantee of a grant")?))
                }
            }
            (None, None, Some(name)) => parsed(&name, "grantee of a grant").map(Grantee::ServiceAccount),
            (None, ..) => Err(StoreError::Corrupt("grantee of a grant")),
        }
    }
}

/// What grants are found by: one text for whom they are for. A provider's id holds no colon, so no two grantees share one.
pub(in crate::store) fn key(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Person(id) => person_key(*id),
        Grantee::Email(provider, email) => email_key(provider, &email.normalised()),
        Grantee::Group(provider, group) => group_key(provider, group),
        Grantee::ServiceAccount(account) => format!("account:{account}"),
    }
}

pub(in crate::store) fn person_key(id: IdentityId) -> String {
    format!("person:{id}")
}

/// `email` in ASCII lower case.
pub(in crate::store) fn email_key(provider: &ProviderId, email: &str) -> String {
    format!("email:{provider}:{email}")
}

pub(super) fn group_key(provider: &ProviderId, group: &str) -> String {
    format!("group:{provider}:{group}")
}

/// The keys of all that reaches a person: themselves, and the groups of their provider that they are in. Sorted, each once.
pub(in crate::store) fn keys_reaching(person: &Identity) -> Vec<String> {
    // PostgreSQL refuses NUL in a text, and no group that is stored has one.
    let groups = person.groups.iter().filter(|group| !group.contains('\0'));
    let mut keys: Vec<String> = groups.map(|group| group_key(&person.provider, group)).collect();
    keys.push(person_key(person.id));
    keys.sort();
    keys.dedup();
    keys
}

/// The one workspace that a person counts in, where there is one; else an empty text.
pub(in crate::store) fn home_text(person: &Identity) -> String {
    person.provider.home().map(|home| home.to_string()).unwrap_or_default()
}

/// What the text filter looks at; a person's email and name are looked up, since they change.
pub(super) fn search_text(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Person(_) => String::new(),
        Grantee::Email(_, email) => email.normalised(),
        Grantee::Group(_, group) => group.to_ascii_lowercase(),
        Grantee::ServiceAccount(account) => account.to_string(),
    }
}

/// What stands before the name of a ClusterRole that is none of Kubernetes' three, so that one called `none` or `view` is never
/// taken for something else.
const NAMED: &str = "role:";
/// The same for a Role of the grant's namespaces.
const LOCAL: &str = "local:";

/// A role as stored: `none`, one of Kubernetes' own, `role:NAME` or `local:NAME`.
pub(in crate::store) fn role_text(role: Option<&Role>) -> String {
    match role {
        None => "none".into(),
        Some(Role::Named(name)) => format!("{NAMED}{}", name.as_str()),
        Some(Role::Local(name)) => format!("{LOCAL}{}", name.as_str()),
        Some(role) => role.as_str().into(),
    }
}

pub(in crate::store) fn role_of(text: &str) -> Result<Option<Role>, StoreError> {
    match (text, text.strip_prefix(NAMED), text.strip_prefix(LOCAL)) {
        ("none", ..) => Ok(None),
        (_, Some(name), _) => parsed(name, "role").map(|name| Some(Role::Named(name))),
        (.., Some(name)) => parsed(name, "role").map(|name| Some(Role::Local(name))),
        (_, None, None) => parsed(text, "role").map(Some),
    }
}

/// A stored reason.
pub(in crate::store) fn reason_of(text: Option<&str>, what: &'static str) -> Result<Option<Reason>, StoreError> {
    let read = text.map(Reason::read).transpose().map_err(|_| StoreError::Corrupt(what))?;
    Ok(read.flatten())
}

/// What grants are listed by role by: the most first. What others have defined comes after those that are known.
pub(super) fn role_rank(role: Option<&Role>) -> i64 {
    match role {
        Some(Role::ClusterAdmin) => 0,
        Some(Role::Admin) => 1,
        Some(Role::Edit) => 2,
        Some(Role::View) => 3,
        Some(Role::Named(_) | Role::Local(_)) => 4,
        None => 5,
    }
}

/// What grants are listed by end by: those without one last.
pub(super) fn ends_at(expires_at: Option<Timestamp>) -> i64 {
    expires_at.map_or(i64::MAX, Timestamp::millis)
}

pub(in crate::store) fn origin_text(origin: Origin) -> String {
    match origin {
        Origin::Manual => "manual".into(),
        Origin::Owner => "owner".into(),
        Origin::Link(id) => format!("link:{id}"),
        Origin::Request(id) => format!("request:{id}"),
        Origin::Federated(id) => format!("federated:{id}"),
        Origin::File(id) => format!("file:{id}"),
    }
}

pub(in crate::store) fn origin_of(text: &str) -> Result<Origin, StoreError> {
    const WHAT: &str = "origin of a grant";
    match text.split_once(':') {
        None if text == "manual" => Ok(Origin::Manual),
        None if text == "owner" => Ok(Origin::Owner),
        Some(("link", id)) => parsed(id, WHAT).map(Origin::Link),
        Some(("request", id)) => parsed(id, WHAT).map(Origin::Request),
        Some(("federated", id)) => parsed(id, WHAT).map(Origin::Federated),
        Some(("file", id)) => parsed(id, WHAT).map(Origin::File),
        _ => Err(StoreError::Corrupt(WHAT)),
    }
}

/// A scope's namespaces as stored: equal scopes are equal texts.
pub(in crate::store) fn namespaces_text(scope: &Scope) -> String {
    names_text(scope.namespaces())
}

/// The same for namespaces of a scope that is still to be.
pub(in crate::store) fn names_text(names: &[Namespace]) -> String {
    let mut names: Vec<&str> = names.iter().map(Namespace::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

pub(in crate::store) fn names_of(namespaces: &str) -> Result<Vec<Namespace>, StoreError> {
    let names = namespaces.split(',').filter(|name| !name.is_empty());
    names.map(|name| parsed(name, "namespace")).collect()
}

pub(in crate::store) fn scope_of(cluster: &str, namespaces: &str) -> Result<Scope, StoreError> {
    let cluster: ClusterId = parsed(cluster, "cluster")?;
    Ok(Scope::new(cluster, names_of(namespaces)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scopes_are_equal_texts_and_come_back() {
        let cluster = ClusterId::new();
        let names = |list: &[&str]| list.iter().map(|n| n.parse().unwrap()).collect::<Vec<Namespace>>();
        let scope = Scope::new(cluster, names(&["shop", "payments", "shop"]));
        assert_eq!(namespaces_text(&scope), "payments,shop");
        assert_eq!(
            scope_of(&cluster.to_string(), "payments,shop").unwrap(),
            Scope::new(cluster, names(&["payments", "shop"]))
        );
        assert_eq!(scope_of(&cluster.to_string(), "").unwrap(), Scope::Cluster(cluster));
        assert!(scope_of(&cluster.to_string(), "Not A Name").is_err());
    }

    #[test]
    fn immune_32_no_two_grantees_share_a_key() {
        let provider = |id: &str| id.parse::<ProviderId>().unwrap();
        let email = Grantee::Email(provider("dex"), "Bob@Example.com".parse().unwrap());
        assert_eq!(key(&email), key(&Grantee::Email(provider("dex"), "bob@example.com".parse().unwrap())));
        for other in [
            Grantee::Email(provider("other"), "bob@example.com".parse().unwrap()),
            Grantee::Group(provider("dex"), "bob@example.com".into()),
            Grantee::Group(provider("dex"), "email:dex:bob@example.com".into()),
        ] {
            assert_ne!(key(&email), key(&other));
        }
        assert_ne!(
            key(&Grantee::Group(provider("a"), "b:c".into())),
            key(&Grantee::Group(provider("a-b"), "c".into()))
        );
    }

    #[test]
    fn immune_28_a_stored_role_is_never_taken_for_another() {
        let named = |name: &str| Some(Role::Named(name.parse().unwrap()));
        for role in [
            None,
            Some(Role::View),
            Some(Role::Admin),
            Some(Role::ClusterAdmin),
            named("none"),
            named("log-reader"),
            named("role:x"),
            named("local:x"),
            Role::local("log-reader").ok(),
            Role::local("role:x").ok(),
        ] {
            assert_eq!(role_of(&role_text(role.as_ref())).unwrap(), role);
        }
        assert_ne!(role_text(named("view").as_ref()), role_text(Some(&Role::View)));
        assert_ne!(role_text(named("x").as_ref()), role_text(Role::local("x").ok().as_ref()));
        for bad in ["root", "role:", "role:system:node", "local:", "local:system:node", "Cluster-Admin", ""] {
            assert!(role_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_come_back() {
        let link = crate::model::id::ShareLinkId::new();
        let federated = crate::model::id::FederatedGrantId::new();
        let request = crate::model::id::AccessRequestId::new();
        let file = crate::model::id::FileId::new();
        for origin in [
            Origin::Manual,
            Origin::Owner,
            Origin::Link(link),
            Origin::Request(request),
            Origin::Federated(federated),
            Origin::File(file),
        ] {
            assert_eq!(origin_of(&origin_text(origin)).unwrap(), origin);
        }
        assert!(origin_of("link:").is_err());
        assert!(origin_of("else").is_err());
    }
}
