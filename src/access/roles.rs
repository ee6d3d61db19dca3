//! Whether a role can be given: policy says by whom, the role itself where, and the cluster whether it has it and lets Kubelend
//! bind it. Asked before a grant or a link is written; what changes afterwards is found out when it is applied.

use super::{AccessError, Observer, observe::bounded};
use crate::{
    k8s::{ClusterClient, K8sError, ResourceQuestion},
    model::{power::Power, role::Role, scope::Scope},
    policy::{self, Authorized, ManageAccess},
};

const RBAC: &str = "rbac.authorization.k8s.io";

impl Observer {
    /// Whether they can give this role there: to whom policy lets them, in a place that it fits, and on a cluster that has it and
    /// lets Kubelend bind it.
    ///
    /// # Errors
    /// `Invalid` at the field `role`, with what to do; or why the cluster could not be asked.
    pub(super) async fn check_role(
        &self,
        permit: &Authorized<ManageAccess>,
        role: Option<&Role>,
        scope: &Scope,
    ) -> Result<(), AccessError> {
        let Some(role) = role else { return Ok(()) };
        policy::give(permit, Some(role)).map_err(|why| invalid(format!("You cannot give this: {why}.")))?;
        role.fits(scope.is_whole_cluster()).map_err(|why| invalid(why.to_owned()))?;
        if !role.is_named() && Power::of(role).is_none() {
            return Ok(());
        }
        let looked = bounded(async {
            let client = self.client(permit.cluster()).await?;
            Ok(refusal(&client, permit, role).await?)
        });
        looked.await?.map_or(Ok(()), |message| Err(invalid(message)))
    }
}

/// What the cluster has against it, in words for whoever gives it.
async fn refusal(
    client: &ClusterClient,
    permit: &Authorized<ManageAccess>,
    role: &Role,
) -> Result<Option<String>, K8sError> {
    if role.is_named() {
        match client.is_assignable(role.as_str()).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some(not_marked(role))),
            Err(K8sError::NotFound) => return Ok(Some(format!("This cluster has no ClusterRole “{role}”."))),
            Err(error) => return Err(error),
        }
        // Whatever its name, it is cluster-admin to whoever holds it.
        if client.allows_everything(role.as_str()).await? && policy::give(permit, Some(&Role::ClusterAdmin)).is_err() {
            return Ok(Some(everything(role)));
        }
    }
    if client.can_i(&may_bind(role.as_str())).await? {
        return Ok(None);
    }
    Ok(Some(match Power::of(role) {
        Some(power) => lacking(power),
        None => not_bindable(role, &client.who_am_i().await?.username),
    }))
}

fn may_bind(name: &str) -> ResourceQuestion {
    ResourceQuestion {
        verb: "bind",
        group: RBAC,
        resource: "clusterroles",
        namespace: None,
        name: Some(name.to_owned()),
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

fn everything(role: &Role) -> String {
    format!("The ClusterRole “{role}” allows everything, as cluster-admin does: only owners of the workspace give it.")
}

fn not_marked(role: &Role) -> String {
    format!(
        "The ClusterRole “{role}” is not marked as one to give. An admin of the cluster marks it: kubectl label clusterrole \
         {role} kubelend.io/assignable=true"
    )
}

/// `role` and `me` hold nothing that a shell reads: the one by its type, the other is left out if it does.
fn not_bindable(role: &Role, me: &str) -> String {
    let plain = me.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b));
    let me = if plain { me } else { "USER" };
    format!(
        "Kubelend may not bind the ClusterRole “{role}” there yet. An admin of the cluster lets it: kubectl create clusterrole \
         kubelend-binds-{role} --verb=bind --resource=clusterroles.rbac.authorization.k8s.io --resource-name={role} && \
         kubectl create clusterrolebinding kubelend-binds-{role} --clusterrole=kubelend-binds-{role} --user={me}"
    )
}

fn invalid(message: String) -> AccessError {
    AccessError::Invalid { field: "role", message }
}
