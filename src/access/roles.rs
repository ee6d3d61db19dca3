//! Whether a role can be given: policy says by whom, the role itself where, and the cluster whether it has it and lets Kubelend
//! bind it. Asked before a grant or a link is written; what changes afterwards is found out when it is applied.
//!
//! A role that others have defined is what its rules are: neither its name nor its label says how far it reaches. So its rules are
//! read then and there, held against `admin` of that cluster, and kept with what is given.

mod standing;
mod upkeep;

pub use standing::{Assignable, RoleChange, RoleView};
pub(super) use standing::{Standing, stands};
pub(super) use upkeep::{Upkeep, powerless, remove};

use super::{AccessError, Observer, observe::bounded, probe::wanted_for};
use crate::{
    k8s::{ClusterClient, K8sError, ResourceQuestion, StandingRole},
    model::{
        custom_role::CustomRole,
        name::Namespace,
        power::Power,
        rbac::PolicyRule,
        reach::{beyond_admin, is_everything},
        role::Role,
        scope::Scope,
        vouch::{self, Vouch},
    },
    policy::{self, Authorized, ManageAccess},
};

const RBAC: &str = "rbac.authorization.k8s.io";

impl Observer {
    /// Whether they can give this role there: to whom policy lets them, in a place that it fits, and on a cluster that has it and
    /// lets Kubelend bind it. Returns what is kept of a role that others have defined.
    ///
    /// # Errors
    /// `Invalid` at the field `role`, with what to do; or why the cluster could not be asked.
    pub(super) async fn check_role(
        &self,
        permit: &Authorized<ManageAccess>,
        role: Option<&Role>,
        scope: &Scope,
    ) -> Result<Option<Vouch>, AccessError> {
        let Some(role) = role else { return Ok(None) };
        policy::give(permit, Some(role)).map_err(|why| invalid(format!("You cannot give this: {why}.")))?;
        role.fits(scope.is_whole_cluster()).map_err(|why| invalid(why.to_owned()))?;
        if !role.is_named() && Power::of(role).is_none() {
            return Ok(None);
        }
        let looked = bounded(async {
            let written = match role.custom_name() {
                Some(_) => match self.custom_role(permit.cluster(), role).await? {
                    Some(written) => Some(written),
                    None => return Ok(Err("There is no such role for this cluster (any more).".into())),
                },
                None => None,
            };
            let client = self.client(permit.cluster()).await?;
            Ok(judged(&client, permit, (role, written), scope).await?)
        });
        looked.await?.map_err(invalid)
    }
}

/// What the cluster has against it, in words for whoever gives it, or what is to be kept of it.
async fn judged(
    client: &ClusterClient,
    permit: &Authorized<ManageAccess>,
    (role, written): (&Role, Option<StandingRole>),
    scope: &Scope,
) -> Result<Result<Option<Vouch>, String>, K8sError> {
    let mut vouch = None;
    if role.is_named() {
        let found = match written {
            // What counts is what is written in Kubelend, whatever stands there.
            Some(written) => vec![written],
            None => match standing(client, role, scope).await? {
                Ok(found) => found,
                Err(words) => return Ok(Err(words)),
            },
        };
        let admin = client.role(None, Role::Admin.as_str()).await?;
        let upheld = |found: &StandingRole| role.of_namespace().is_none_or(|made| made.rules() == found.rules);
        if let Some(power) = Power::of(role).filter(|_| found.iter().any(upheld))
            && !holds(client, power, role).await?
        {
            return Ok(Err(lacking(power)));
        }
        match vouched(permit, role, scope, found, &admin.rules) {
            Ok(kept) => vouch = Some(kept),
            Err(words) => return Ok(Err(words)),
        }
    }
    for place in places(role, scope) {
        if !client.can_i(&may_bind(role, place)).await? {
            let words = match Power::of(role) {
                Some(power) => lacking(power),
                None => not_bindable(role, place, &client.who_am_i().await?.username),
            };
            return Ok(Err(words));
        }
    }
    Ok(Ok(vouch))
}

/// The role as it stands at each place that has its own.
async fn standing(
    client: &ClusterClient,
    role: &Role,
    scope: &Scope,
) -> Result<Result<Vec<StandingRole>, String>, K8sError> {
    let mut all = Vec::new();
    for place in places(role, scope) {
        match client.role(place, role.as_str()).await {
            Ok(found) if found.assignable && !found.rules.is_empty() => all.push(found),
            // Kubelend makes it, or gives it the rules that it lacks yet.
            Ok(StandingRole { assignable: true, .. }) | Err(K8sError::NotFound) if role.of_namespace().is_some() => {
                all.extend(to_be_made(role, place));
            }
            Ok(found) if found.assignable => all.push(found),
            Ok(_) => return Ok(Err(not_marked(role, place))),
            Err(K8sError::NotFound) => return Ok(Err(format!("{} has no {}.", owner_of(place), role.reference()))),
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(all))
}

/// One of the roles of a namespace, before it stands there.
pub(super) fn to_be_made(role: &Role, place: Option<&str>) -> Option<StandingRole> {
    let made = role.of_namespace()?;
    Some(StandingRole {
        namespace: place.map(ToOwned::to_owned),
        name: made.as_str().to_owned(),
        assignable: true,
        aggregated: false,
        rules: made.rules(),
        cut: false,
    })
}

/// A custom role, as it is written in Kubelend.
pub(super) fn as_written(role: &CustomRole) -> StandingRole {
    StandingRole {
        namespace: None,
        name: role.role.as_str().to_owned(),
        assignable: true,
        aggregated: false,
        rules: role.rules.clone(),
        cut: false,
    }
}

/// Whether Kubelend has a power there, as far as this role needs it.
async fn holds(client: &ClusterClient, power: Power, role: &Role) -> Result<bool, K8sError> {
    let about = |question: &ResourceQuestion| question.name.as_ref().is_none_or(|name| name == role.as_str());
    for question in wanted_for(power).into_iter().filter(about) {
        if !client.can_i(&question).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether they may give what it lets do.
fn vouched(
    permit: &Authorized<ManageAccess>,
    role: &Role,
    scope: &Scope,
    found: Vec<StandingRole>,
    admin: &[PolicyRule],
) -> Result<Vouch, String> {
    let size = |rules: &[PolicyRule]| serde_json::to_string(rules).map_or(usize::MAX, |text| text.len());
    if found.iter().any(|role| role.cut) || found.iter().map(|f| size(&f.rules)).sum::<usize>() > vouch::LONGEST {
        return Err(format!(
            "The {} has more rules than Kubelend looks through, so it is given to nobody.",
            role.reference()
        ));
    }
    let further: Vec<String> =
        found.iter().flat_map(|found| beyond_admin(&found.rules, admin, scope.is_whole_cluster())).collect();
    let mut owner = None;
    if !further.is_empty() {
        if policy::give_further(permit).is_err() {
            let all = found.iter().any(|found| is_everything(&found.rules));
            return Err(if all { everything(role) } else { reaches_further(role, &further) });
        }
        owner = Some(permit.person().identity().id);
    }
    let rules = found.into_iter().map(|found| (found.namespace.unwrap_or_default(), found.rules)).collect();
    Ok(Vouch { rules, owner })
}

/// Where a role stands: a ClusterRole on the cluster, a Role in each of its namespaces.
pub(super) fn places<'a>(role: &Role, scope: &'a Scope) -> Vec<Option<&'a str>> {
    if role.is_local() { scope.namespaces().iter().map(|n| Some(Namespace::as_str(n))).collect() } else { vec![None] }
}

fn may_bind(role: &Role, place: Option<&str>) -> ResourceQuestion {
    ResourceQuestion {
        verb: "bind",
        group: RBAC,
        resource: if role.is_local() { "roles" } else { "clusterroles" },
        namespace: place.map(ToOwned::to_owned),
        name: Some(role.as_str().to_owned()),
    }
}

/// What is said where a role needs a power that Kubelend has not been given there.
pub(super) fn lacking(power: Power) -> String {
    let (title, amounts_to) = (power.title(), power.amounts_to());
    format!(
        "Kubelend may not {title} on this cluster: that is a power of its own. {amounts_to} What to run to give it stands on the \
         cluster's overview, at “May {title}”."
    )
}

fn owner_of(place: Option<&str>) -> String {
    place.map_or_else(|| "This cluster".into(), |namespace| format!("The namespace {namespace}"))
}

fn everything(role: &Role) -> String {
    format!("The {} allows everything, as cluster-admin does: only owners of the workspace give it.", role.reference())
}

fn reaches_further(role: &Role, further: &[String]) -> String {
    format!(
        "The {} reaches further than admin does here ({}): only owners of the workspace give it.",
        role.reference(),
        further.join(", ")
    )
}

fn not_marked(role: &Role, place: Option<&str>) -> String {
    let (kind, flag) = match place {
        Some(namespace) => ("role", format!(" --namespace {namespace}")),
        None => ("clusterrole", String::new()),
    };
    let (reference, name) = (role.reference(), role.as_str());
    let or = if role.of_namespace().is_some() {
        format!(" Or it is deleted, and Kubelend makes its own: kubectl delete {kind} {name}{flag}")
    } else {
        String::new()
    };
    format!(
        "The {reference} is not marked as one to give. An admin of the cluster marks it: kubectl label {kind} {name} \
         kubelend.io/assignable=true{flag}{or}"
    )
}

/// `role` and `me` hold nothing that a shell reads: the one by its type, the other is left out if it does.
fn not_bindable(role: &Role, place: Option<&str>, me: &str) -> String {
    let plain = me.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b));
    let (me, reference, name) = (if plain { me } else { "USER" }, role.reference(), role.as_str());
    let (kind, flag) = match place {
        Some(namespace) => ("role", format!(" --namespace {namespace}")),
        None => ("clusterrole", String::new()),
    };
    format!(
        "Kubelend may not bind the {reference} there yet. An admin of the cluster lets it: kubectl create {kind} \
         kubelend-binds-{name} --verb=bind --resource={kind}s.{RBAC} --resource-name={name}{flag} && \
         kubectl create {kind}binding kubelend-binds-{name} --{kind}=kubelend-binds-{name} --user={me}{flag}"
    )
}

fn invalid(message: String) -> AccessError {
    AccessError::Invalid { field: "role", message }
}
