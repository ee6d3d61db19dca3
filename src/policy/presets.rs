//! Who may say what new clusters take over.

use super::{Authorized, Forbidden, Person, authorized, workspaces::in_workspace};
use crate::model::{
    id::WorkspaceId,
    preset::Preset,
    workspace::{MemberRole, Workspace},
};

/// May make presets of a workspace, or (`None`) of all.
#[derive(Clone, Debug)]
pub struct MakePreset(Option<Workspace>);
/// May change and remove a preset.
#[derive(Clone, Debug)]
pub struct ManagePreset(Preset);

impl Authorized<MakePreset> {
    /// The workspace; `None` for all.
    pub fn workspace(&self) -> Option<&Workspace> {
        self.permit.0.as_ref()
    }
}

impl Authorized<ManagePreset> {
    /// The preset.
    pub fn preset(&self) -> &Preset {
        &self.permit.0
    }
}

/// May they make presets there? Owners of a workspace for its clusters, platform admins for all.
///
/// # Errors
/// [`Forbidden::NotYourWorkspace`], [`Forbidden::NoPlatformAdmin`].
pub fn make_preset(
    person: &Person,
    workspace: Option<Workspace>,
    member: Option<MemberRole>,
) -> Result<Authorized<MakePreset>, Forbidden> {
    may(person, workspace.as_ref().map(|workspace| workspace.id), member)?;
    Ok(authorized(person, MakePreset(workspace)))
}

/// May they change and remove this one? Whoever could make it may.
///
/// # Errors
/// As for making.
pub fn manage_preset(
    person: &Person,
    preset: Preset,
    member: Option<MemberRole>,
) -> Result<Authorized<ManagePreset>, Forbidden> {
    may(person, preset.workspace, member)?;
    Ok(authorized(person, ManagePreset(preset)))
}

fn may(person: &Person, workspace: Option<WorkspaceId>, member: Option<MemberRole>) -> Result<(), Forbidden> {
    match workspace {
        Some(workspace) => in_workspace(person, workspace, member, MemberRole::Owner),
        None if person.is_platform_admin() => Ok(()),
        None => Err(Forbidden::NoPlatformAdmin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::time::Timestamp,
        policy::{PersonRule, Policy, tests::identity},
    };

    #[test]
    fn immune_28_owners_make_presets_of_their_workspace_and_platform_admins_those_of_all() {
        let rule = PersonRule::Group("dex".parse().unwrap(), "root".into());
        let policy = Policy { platform_admins: vec![rule], ..Policy::default() };
        let person = |groups: &[&str]| policy.person(identity("p@example.com", true, "dex", groups));
        let (root, other) = (person(&["root"]), person(&[]));
        let workspace = Workspace {
            id: WorkspaceId::new(),
            name: "w".into(),
            created_by: None,
            created_at: Timestamp::from_secs(0),
            removing: None,
        };
        for (who, role, own, all) in [
            (&root, None, true, true),
            (&other, Some(MemberRole::Owner), true, false),
            (&other, Some(MemberRole::Editor), false, false),
            (&other, None, false, false),
        ] {
            assert_eq!(make_preset(who, Some(workspace.clone()), role).is_ok(), own, "{role:?}");
            assert_eq!(make_preset(who, None, role).is_ok(), all, "{role:?}");
        }
    }
}
