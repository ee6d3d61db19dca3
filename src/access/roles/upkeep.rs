//! Roles that Kubelend makes itself: asked for before a binding to one is made, and put back where somebody has changed or deleted them.
//! Every step may be repeated, and may be died after.

use std::fmt;

use crate::{
    access::{AccessError, audit},
    bindings,
    clock::Clock,
    k8s::{ClusterClient, FoundOwnRole, K8sError, PlacedRole, RoleObject},
    model::{
        audit::Action,
        id::{ClusterId, WorkspaceId},
        made_role::MadeRole,
        power::Power,
    },
    store::{AuditDraft, RoleAt, Store},
};

/// How often one is looked at anew because somebody changed it in between.
const ATTEMPTS: usize = 3;

/// Makes roles stand on one cluster.
pub(in crate::access) struct Upkeep<'a> {
    pub(in crate::access) store: &'a Store,
    pub(in crate::access) client: &'a ClusterClient,
    pub(in crate::access) cluster: ClusterId,
    pub(in crate::access) workspace: WorkspaceId,
    pub(in crate::access) instance: &'a str,
    pub(in crate::access) clock: &'a Clock,
}

/// How it went.
pub(in crate::access) enum Upheld {
    /// It stands as it should, and is ours.
    Ours,
    /// Something that is not ours bears the name.
    Foreign(Box<FoundOwnRole>),
    /// Kubelend has not been given the power to make it.
    Powerless,
}

/// A role that is not ours, in words with a way out.
pub(in crate::access) struct NotOurs<'a>(pub(in crate::access) &'a FoundOwnRole);

impl Upkeep<'_> {
    /// Makes one stand as it should.
    pub(in crate::access) async fn uphold(&self, wanted: &RoleObject) -> Result<Upheld, AccessError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.attempt(wanted).await {
                // Changed, made or deleted between our look and our step: look again.
                Err(AccessError::Cluster(error @ (K8sError::Conflict(_) | K8sError::NotFound))) => last = Some(error),
                Err(AccessError::Cluster(K8sError::Forbidden(_))) => return Ok(Upheld::Powerless),
                other => return other,
            }
        }
        Err(last.unwrap_or(K8sError::NotFound).into())
    }

    async fn attempt(&self, wanted: &RoleObject) -> Result<Upheld, AccessError> {
        let at = RoleAt { cluster: self.cluster, namespace: wanted.namespace.as_deref(), name: &wanted.name };
        // First what is remembered: so nothing counts as gone that was made in between.
        let memory = self.store.made_role(at).await?;
        if let Some(until) = memory.as_ref().and_then(|memory| memory.leaving) {
            if until > self.clock.now() {
                return Err(K8sError::Conflict("it is just being deleted, since nobody needed it".into()).into());
            }
            self.store.keep_needed_role(at, Some(until)).await?;
        }
        let before = memory.as_ref().and_then(|memory| memory.uid.clone());
        let (found, memory) = if let Some(found) = self.client.own_role(at.namespace, at.name).await? {
            (found, memory)
        } else {
            self.make(wanted, at, before.as_deref()).await?
        };
        if !bindings::is_our_role(&found, memory.as_ref()) {
            return Ok(Upheld::Foreign(Box::new(found)));
        }
        let looks = bindings::role_looks(wanted);
        let was = memory.as_ref().and_then(|memory| memory.looks.clone());
        if memory.is_some_and(|memory| memory.stands_as(&found.uid, &looks)) && bindings::role_looks_of(&found) == looks
        {
            return Ok(Upheld::Ours);
        }
        if bindings::role_looks_of(&found) != looks {
            self.client.write_role(&found.uid, wanted).await?;
        }
        // Where it is the wish that has changed, nobody has touched it, and that is told already.
        let event = match was {
            None => Some(event(wanted, Action::RoleMade)),
            Some(was) if was == looks => Some(event(wanted, Action::RoleRepaired)),
            Some(_) => None,
        };
        self.store.keep_role(at, (&found.uid, &looks), event, self.clock.now()).await?;
        Ok(Upheld::Ours)
    }

    /// Makes one where none stands, or finds the one that another attempt has made meanwhile. `gone` is the UID of the one that stood.
    async fn make(
        &self,
        wanted: &RoleObject,
        at: RoleAt<'_>,
        gone: Option<&str>,
    ) -> Result<(FoundOwnRole, Option<MadeRole>), AccessError> {
        let memory = self.store.begin_role(at, gone).await?;
        if memory.uid.is_some() {
            return Err(K8sError::Conflict("another attempt has just made it".into()).into());
        }
        let placed = self.client.create_role(&bindings::marked_role(wanted, &memory.mark)).await?;
        let (PlacedRole::Created(found) | PlacedRole::Exists(found)) = placed;
        Ok((found, Some(memory)))
    }
}

/// Deletes one where it is ours; `Ok` where it is gone already, or another one bears its name. Whoever took the power away keeps it.
pub(in crate::access) async fn remove(client: &ClusterClient, made: &MadeRole) -> Result<(), K8sError> {
    let Some(found) = client.own_role(made.namespace.as_deref(), &made.name).await? else { return Ok(()) };
    if !bindings::is_our_role(&found, Some(made)) {
        return Ok(());
    }
    match client.delete_role(made.namespace.as_deref(), &made.name, &found.uid).await {
        Err(K8sError::Forbidden(why)) => {
            tracing::warn!(role = %made.name, %why, "a role that nobody holds any more stays on its cluster");
            Ok(())
        }
        other => other,
    }
}

fn event(wanted: &RoleObject, action: Action) -> AuditDraft {
    let place = wanted.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    let kind = kind(wanted.namespace.as_deref());
    audit::by_kubelend(action, format!("{kind} {}{place}", wanted.name))
}

fn kind(namespace: Option<&str>) -> &'static str {
    if namespace.is_some() { "Role" } else { "ClusterRole" }
}

impl fmt::Display for NotOurs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = &self.0.role;
        let kind = kind(role.namespace.as_deref());
        let (place, flag) = match &role.namespace {
            Some(namespace) => (format!(" in namespace {namespace}"), format!(" --namespace {namespace}")),
            None => (String::new(), String::new()),
        };
        let (name, lower) = (&role.name, kind.to_lowercase());
        write!(
            f,
            "a {kind} {name}{place} stands there, and this Kubelend did not make it. It was left alone. Delete it with “kubectl \
             delete {lower} {name}{flag}”"
        )
    }
}

/// What a page says where the power to make a role is missing.
pub(in crate::access) fn powerless(power: Power) -> String {
    format!("Kubelend may not {} on this cluster; the cluster's overview has what to run.", power.title())
}
