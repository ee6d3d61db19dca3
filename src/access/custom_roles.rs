//! Custom roles: making, changing and deleting one. Bringing them to clusters is done with the grants that need them.

use super::{AccessError, audit};
use crate::{
    clock::Clock,
    model::{
        audit::Action,
        custom_role::{CustomRole, CustomRoleName, check_all},
        id::CustomRoleId,
        rbac::PolicyRule,
        reach::further,
    },
    policy::{Authorized, Forbidden, MakeRole, ManageRole},
    store::{NewCustomRole, Store, StoreError, Widening},
};

/// Custom roles.
#[derive(Clone, Debug)]
pub struct CustomRoles {
    store: Store,
    clock: Clock,
}

impl CustomRoles {
    /// With these parts.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Makes one. `Invalid` names the form's field (`name`, `yaml`).
    pub async fn create(
        &self,
        permit: &Authorized<MakeRole>,
        name: CustomRoleName,
        rules: Vec<PolicyRule>,
    ) -> Result<CustomRoleId, AccessError> {
        check_all(&rules).map_err(|why| invalid("yaml", &why))?;
        let new = NewCustomRole {
            id: CustomRoleId::new(),
            workspace: permit.workspace().map(|workspace| workspace.id),
            name,
            rules,
            created_by: permit.person().identity().id,
        };
        let event = audit::by(permit.person(), Action::CustomRoleAdded, format!("{}: {}", new.name, many(&new.rules)));
        self.store.add_custom_role(&new, event, self.clock.now()).await.map_err(refused)?;
        Ok(new.id)
    }

    /// What would be let beyond what is let now, in words; of named objects with their names, since without them it is more.
    pub fn widens(role: &CustomRole, rules: &[PolicyRule]) -> Vec<String> {
        let mut all = Vec::new();
        for rule in rules {
            let named =
                if rule.names.is_empty() { String::new() } else { format!(" named {}", rule.names.join(" or ")) };
            for words in further(std::slice::from_ref(rule), &role.rules, true) {
                let words = format!("{words}{named}");
                if !all.contains(&words) {
                    all.push(words);
                }
            }
        }
        all
    }

    /// Gives it other rules, everywhere at once. Where it lets do more by them, those who hold it already get that only with `vouches`:
    /// this owner's word for each of them. `Invalid` names the form's field (`yaml`, `vouch`).
    pub async fn change(
        &self,
        permit: &Authorized<ManageRole>,
        rules: &[PolicyRule],
        vouches: bool,
    ) -> Result<(), AccessError> {
        check_all(rules).map_err(|why| invalid("yaml", &why))?;
        let role = permit.role();
        if role.rules == rules {
            return Ok(());
        }
        let more = Self::widens(role, rules);
        let widening = match (more.is_empty(), vouches) {
            (true, _) => Widening::None,
            (false, false) => Widening::Unanswered,
            (false, true) => Widening::On(permit.person().identity().id),
        };
        let words = if more.is_empty() { String::new() } else { format!(", more by {}", more.join(", ")) };
        let event =
            audit::by(permit.person(), Action::CustomRoleChanged, format!("{}: {}{words}", role.name, many(rules)));
        match self.store.change_custom_role(role, rules, widening, event, self.clock.now()).await {
            Err(StoreError::Held) => Err(invalid(
                "vouch",
                &format!(
                    "Whoever holds it gets more by this: {}. Say that they may, or make another role.",
                    more.join(", ")
                ),
            )),
            done => done.map_err(refused),
        }
    }

    /// Deletes it. Repeating it is fine. `Invalid` at `delete` where somebody holds it.
    pub async fn remove(&self, permit: &Authorized<ManageRole>) -> Result<(), AccessError> {
        let role = permit.role();
        let event = audit::by(permit.person(), Action::CustomRoleRemoved, role.name.as_str());
        match self.store.remove_custom_role(role, event, self.clock.now()).await {
            Err(StoreError::Held) => Err(invalid(
                "delete",
                "Somebody holds it, or would by a share link. Take that back first; below is where.",
            )),
            done => done.map_err(Into::into),
        }
    }
}

fn many(rules: &[PolicyRule]) -> String {
    if rules.len() == 1 { "1 rule".into() } else { format!("{} rules", rules.len()) }
}

fn refused(error: StoreError) -> AccessError {
    match error {
        StoreError::Duplicate(_) => invalid("name", "There is a role of that name here already."),
        StoreError::Full(most) => invalid("name", &format!("There are {most} already, and that is the most.")),
        StoreError::Stale => Forbidden::WorkspaceGoing.into(),
        other => other.into(),
    }
}

fn invalid(field: &'static str, message: &str) -> AccessError {
    AccessError::Invalid { field, message: message.to_owned() }
}
