//! Roles that others have defined, as they stand on a cluster: for the forms that offer them, the page that shows what one allows, and
//! for noticing that one is no more what was given.

use super::upkeep::{NotOurs, Upheld, Upkeep};
use crate::{
    access::{AccessError, Observer, observe::bounded},
    bindings,
    k8s::{K8sError, StandingRole},
    model::{
        grant::{Grant, Origin},
        name::Namespace,
        namespace_role::NamespaceRole,
        power::Power,
        rbac::PolicyRule,
        reach::{beyond_admin, further},
        role::Role,
        scope::Scope,
        vouch::Vouch,
    },
    policy::{Authorized, ManageAccess, ViewCluster},
};

/// The roles that are marked as ones to give on a cluster, besides those that every cluster has.
#[derive(Clone, Debug, Default)]
pub struct Assignable {
    /// They, ClusterRoles first, by name.
    pub roles: Vec<(Role, StandingRole)>,
    /// The custom roles that can be given there, as they are written in Kubelend.
    pub custom: Vec<(Role, StandingRole)>,
    /// What `admin` allows there.
    pub admin: Vec<PolicyRule>,
}

/// How a role has come to differ from what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// It lets do more than it did: what, in words.
    Grown(Vec<String>),
    /// The same, and further than `admin`, which no owner has vouched for.
    Further(Vec<String>),
    /// It is gone, or not marked as one to give any more.
    NotOffered,
}

impl Assignable {
    /// How far a role reaches beyond `admin` there, in words.
    pub fn beyond(&self, role: &StandingRole, whole_cluster: bool) -> Vec<String> {
        beyond_admin(&role.rules, &self.admin, whole_cluster)
    }

    /// How the role of a grant has changed since it was given; `vouch` is what was kept then.
    pub fn change(&self, grant: &Grant, vouch: Option<&Vouch>) -> Option<RoleChange> {
        let role = grant.role.as_ref().filter(|role| role.is_named())?;
        let whole = grant.scope.is_whole_cluster();
        let mut grown = Vec::new();
        for place in super::places(role, &grant.scope) {
            let mut all = self.roles.iter().chain(&self.custom);
            let live = all.find(|(r, found)| r == role && found.namespace.as_deref() == place);
            let Some((_, live)) = live else {
                // What Kubelend makes is not listed among what others have defined, and kept as it is.
                return role.of_namespace().is_none().then_some(RoleChange::NotOffered);
            };
            let beyond = self.beyond(live, whole);
            // What reaches further than one cluster only owners give of it.
            let of_owners = role.custom_name().is_some() && matches!(grant.origin, Origin::Federated(_));
            if !beyond.is_empty() && !of_owners && vouch.is_none_or(|vouch| vouch.owner.is_none()) {
                return Some(RoleChange::Further(beyond));
            }
            grown.extend(vouch.iter().flat_map(|vouch| vouch.grown(place, &live.rules, whole)));
        }
        (!grown.is_empty()).then_some(RoleChange::Grown(grown))
    }
}

/// A role as it stands on a cluster.
#[derive(Clone, Debug)]
pub struct RoleView {
    /// It.
    pub found: StandingRole,
    /// What of it reaches further than `admin` on the whole cluster, in words.
    pub beyond: Vec<String>,
    /// The same in a namespace.
    pub beyond_in_namespaces: Vec<String>,
    /// Whether Kubelend makes it where it is given: a custom role, or one of a namespace that does not stand there yet.
    pub to_be_made: bool,
}

impl Observer {
    /// The roles that are marked as ones to give there, with their rules.
    pub async fn assignable_roles(&self, permit: &Authorized<ManageAccess>) -> Result<Assignable, AccessError> {
        let cluster = permit.cluster();
        bounded(Box::pin(async {
            let client = self.client(cluster).await?;
            let (all, admin) = tokio::try_join!(
                client.assignable_roles(bindings::OWNER_LABEL),
                client.role(None, Role::Admin.as_str())
            )?;
            // What bears the mark and a name of Kubernetes' own is not offered, whoever marked it.
            let roles = all.into_iter().filter_map(|found| Some((found.given()?, found)));
            let others = |(role, _): &(Role, _)| role.is_named() && role.custom_name().is_none();
            Ok(Assignable {
                roles: roles.filter(others).collect(),
                custom: self.custom_roles(cluster).await?,
                admin: admin.rules,
            })
        }))
        .await
    }

    /// A role as it stands there; `namespace` is a Role's own. One of the roles of a namespace is shown as Kubelend makes it where it does
    /// not stand, or where no namespace is named.
    pub async fn role(
        &self,
        permit: &Authorized<ViewCluster>,
        role: &Role,
        namespace: Option<&Namespace>,
    ) -> Result<RoleView, AccessError> {
        let cluster = permit.cluster();
        let place = namespace.filter(|_| role.is_local()).map(Namespace::as_str);
        let written = self.custom_role(cluster, role).await?;
        bounded(Box::pin(async {
            let client = self.client(cluster).await?;
            let standing = async {
                if let Some(written) = written {
                    return Ok((written, true));
                }
                match (super::to_be_made(role, place), place) {
                    (Some(made), None) => Ok((made, true)),
                    (Some(made), Some(_)) => match client.role(place, role.as_str()).await {
                        Ok(found) => Ok((found, false)),
                        Err(K8sError::NotFound) => Ok((made, true)),
                        Err(other) => Err(other),
                    },
                    (None, _) => Ok((client.role(place, role.as_str()).await?, false)),
                }
            };
            let ((found, to_be_made), admin) = tokio::try_join!(standing, client.role(None, Role::Admin.as_str()))?;
            let beyond = beyond_admin(&found.rules, &admin.rules, true);
            let beyond_in_namespaces = beyond_admin(&found.rules, &admin.rules, false);
            Ok(RoleView { found, beyond, beyond_in_namespaces, to_be_made })
        }))
        .await
    }
}

/// Whether a role that not every cluster has may be bound still, as it stands there now.
pub(in crate::access) enum Standing {
    /// It may.
    Good,
    /// It is gone, or not marked as one to give: “ClusterRole x”.
    NotOffered(String),
    /// It reaches further than `admin` by now, for which no owner has vouched.
    Further(String, Vec<String>),
    /// Something that is not ours bears the name of one that Kubelend makes: what, and what to do.
    Taken(String),
    /// It is Kubelend's to make, and the power for that is missing.
    Powerless(Power),
    /// A custom role was changed to allow more than it did when this was given, for which nobody has answered: what.
    Grown(String, Vec<String>),
}

/// Asked before each attempt: somebody may have withdrawn it, deleted it and made another one of that name, or added rules to it since
/// it was given.
pub(in crate::access) async fn stands(
    upkeep: &Upkeep<'_>,
    role: &Role,
    scope: &Scope,
    vouch: Option<&Vouch>,
) -> Result<Standing, AccessError> {
    if role.custom_name().is_some() {
        return custom(upkeep, role, scope, vouch).await;
    }
    let client = upkeep.client;
    let mut rules = Vec::new();
    for place in super::places(role, scope) {
        if let (Some(made), Some(namespace)) = (role.of_namespace(), place) {
            match upheld(upkeep, made, namespace, vouch).await? {
                Ok(found) => rules.extend(found),
                Err(why) => return Ok(why),
            }
            continue;
        }
        match client.role(place, role.as_str()).await {
            Ok(found) if found.assignable => rules.extend(found.rules),
            Ok(_) | Err(K8sError::NotFound) => return Ok(Standing::NotOffered(role.reference())),
            Err(error) => return Err(error.into()),
        }
    }
    // What an owner has vouched for, and what the version before gave without keeping anything, goes on.
    if vouch.is_none_or(|vouch| vouch.owner.is_some()) {
        return Ok(Standing::Good);
    }
    let admin = client.role(None, Role::Admin.as_str()).await?;
    let further = beyond_admin(&rules, &admin.rules, scope.is_whole_cluster());
    Ok(if further.is_empty() { Standing::Good } else { Standing::Further(role.reference(), further) })
}

/// The same of a custom role: what counts is what is written in Kubelend, and on whose word. Then it is made to stand.
async fn custom(
    upkeep: &Upkeep<'_>,
    role: &Role,
    scope: &Scope,
    vouch: Option<&Vouch>,
) -> Result<Standing, AccessError> {
    let Some(written) = upkeep.store.custom_role_of(role, Some(upkeep.workspace)).await? else {
        return Ok(Standing::NotOffered(role.to_string()));
    };
    let whole = scope.is_whole_cluster();
    let grown = vouch.map(|vouch| vouch.grown(None, &written.rules, whole)).unwrap_or_default();
    if !grown.is_empty() {
        return Ok(Standing::Grown(role.to_string(), grown));
    }
    if vouch.is_some_and(|vouch| vouch.owner.is_none()) {
        let admin = upkeep.client.role(None, Role::Admin.as_str()).await?;
        let further = beyond_admin(&written.rules, &admin.rules, whole);
        if !further.is_empty() {
            return Ok(Standing::Further(role.to_string(), further));
        }
    }
    let wanted = bindings::custom_role(role.as_str(), written.name.as_str(), &written.rules, upkeep.instance);
    Ok(match upkeep.uphold(&wanted).await? {
        Upheld::Ours => Standing::Good,
        Upheld::Powerless => Standing::Powerless(Power::CustomRoles),
        Upheld::Foreign(found) => Standing::Taken(NotOurs(&found).to_string()),
    })
}

/// Makes one of the roles of a namespace stand there. One that somebody else has made under its name is used as it stands where somebody
/// has vouched for it, and where it lets do no more than ours: what is returned then is its rules. It is never changed.
async fn upheld(
    upkeep: &Upkeep<'_>,
    made: NamespaceRole,
    namespace: &str,
    vouch: Option<&Vouch>,
) -> Result<Result<Vec<PolicyRule>, Standing>, AccessError> {
    let wanted = bindings::namespace_role(made, namespace, upkeep.instance);
    let found = match upkeep.uphold(&wanted).await? {
        Upheld::Ours => return Ok(Ok(Vec::new())),
        Upheld::Powerless => return Ok(Err(Standing::Powerless(Power::NamespaceRoles))),
        Upheld::Foreign(found) => found,
    };
    let vouched = vouch.is_some_and(|vouch| vouch.rules.get(namespace).is_some_and(|rules| *rules != made.rules()));
    let within = !found.role.cut && further(&found.role.rules, &made.rules(), false).is_empty();
    Ok(if found.role.assignable && (vouched || within) {
        Ok(found.role.rules)
    } else {
        Err(Standing::Taken(NotOurs(&found).to_string()))
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, slice};

    use super::*;
    use crate::model::{
        grant::{GrantState, Grantee, Origin},
        id::{ClusterId, GrantId, IdentityId},
        time::Timestamp,
    };

    fn rule(verb: &str, what: &str) -> PolicyRule {
        PolicyRule {
            verbs: vec![verb.into()],
            groups: vec![String::new()],
            resources: vec![what.into()],
            ..PolicyRule::default()
        }
    }

    fn found(namespace: Option<&str>, rules: &[PolicyRule]) -> (Role, StandingRole) {
        let namespace = namespace.map(ToOwned::to_owned);
        let name = "log-reader".to_owned();
        let found =
            StandingRole { namespace, name, assignable: true, aggregated: false, rules: rules.to_vec(), cut: false };
        (found.given().unwrap(), found)
    }

    fn grant(role: Role, namespaces: &[&str]) -> Grant {
        Grant {
            id: GrantId::new(),
            grantee: Grantee::Group("dex".parse().unwrap(), "devs".into()),
            role: Some(role),
            scope: Scope::new(ClusterId::new(), namespaces.iter().map(|n| n.parse().unwrap()).collect()),
            expires_at: None,
            reason: None,
            origin: Origin::Manual,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            state: GrantState::Applied,
            state_detail: None,
            state_since: Timestamp::from_secs(0),
            ended: None,
        }
    }

    #[test]
    fn immune_28_a_role_that_has_grown_or_lost_its_label_since_it_was_given_is_noticed() {
        let (logs, secrets, nodes) = (rule("get", "pods/log"), rule("get", "secrets"), rule("get", "nodes"));
        let of = |rules: &[PolicyRule]| Assignable {
            custom: Vec::new(),
            roles: vec![found(None, rules), found(Some("shop"), rules)],
            admin: vec![logs.clone(), secrets.clone()],
        };
        let kept =
            |place: &str, owner| Vouch { rules: BTreeMap::from([(place.to_owned(), vec![logs.clone()])]), owner };
        let cluster_role = grant(Role::named("log-reader").unwrap(), &[]);
        let seen = |rules: &[PolicyRule], owner| of(rules).change(&cluster_role, Some(&kept("", owner)));
        let owner = Some(IdentityId::new());
        assert_eq!(seen(slice::from_ref(&logs), None), None);
        assert_eq!(seen(&[logs.clone(), secrets.clone()], None), Some(RoleChange::Grown(vec!["get secrets".into()])));
        assert_eq!(seen(&[logs.clone(), nodes.clone()], None), Some(RoleChange::Further(vec!["get nodes".into()])));
        assert_eq!(seen(&[logs.clone(), nodes.clone()], owner), Some(RoleChange::Grown(vec!["get nodes".into()])));
        assert_eq!(
            of(slice::from_ref(&nodes)).change(&cluster_role, None),
            Some(RoleChange::Further(vec!["get nodes".into()]))
        );
        assert_eq!(
            of(slice::from_ref(&logs)).change(&cluster_role, None),
            None,
            "of what was given before, nothing was kept"
        );
        // A Role of one namespace says nothing of that of another.
        let local = grant(Role::local("log-reader").unwrap(), &["bank", "shop"]);
        assert_eq!(of(slice::from_ref(&logs)).change(&local, Some(&kept("shop", None))), Some(RoleChange::NotOffered));
        let in_shop = grant(Role::local("log-reader").unwrap(), &["shop"]);
        assert_eq!(of(slice::from_ref(&logs)).change(&in_shop, Some(&kept("shop", None))), None);
        let renamed = grant(Role::named("reader").unwrap(), &[]);
        assert_eq!(of(slice::from_ref(&logs)).change(&renamed, None), Some(RoleChange::NotOffered));
        assert_eq!(of(&[]).change(&grant(Role::View, &[]), None), None, "those that every cluster has are their own");
    }
}
