//! Which roles somebody may give. Whoever manages access gives what every role of a cluster amounts to, but `cluster-admin` is for
//! owners to give: an editor who could would make themselves the owner of a cluster, by a grant, by a link or from further up. So is
//! a role that others have defined where it lets do more than `admin`, whatever it is called.

use super::{Authorized, Forbidden, ManageAccess, ManageReach, Person, at_least};
use crate::model::{cluster::Cluster, role::Role, share_link::ShareLink, workspace::MemberRole};

impl Authorized<ManageAccess> {
    /// Whether they manage it as one of its owners, or as a platform admin.
    pub fn as_owner(&self) -> bool {
        self.permit.1
    }
}

impl Authorized<ManageReach> {
    /// Whether they own all that is in reach, or are a platform admin.
    pub fn as_owner(&self) -> bool {
        self.permit.1
    }
}

/// May they give this role on the permit's cluster, or hand on what gives it?
///
/// # Errors
/// [`Forbidden::OwnersGive`].
pub fn give(permit: &Authorized<ManageAccess>, role: Option<&Role>) -> Result<(), Forbidden> {
    given_by(permit.as_owner(), role)
}

/// May they give a role that lets do more than `admin` where it is given?
///
/// # Errors
/// [`Forbidden::OwnersGiveFurther`].
pub fn give_further(permit: &Authorized<ManageAccess>) -> Result<(), Forbidden> {
    if permit.as_owner() { Ok(()) } else { Err(Forbidden::OwnersGiveFurther) }
}

/// May they hand on what this link gives: open it again, or have its address?
///
/// # Errors
/// [`Forbidden::OwnersGive`], [`Forbidden::OwnersGiveFurther`].
pub fn hand_on(permit: &Authorized<ManageAccess>, link: &ShareLink) -> Result<(), Forbidden> {
    give(permit, link.rules.role.as_ref())?;
    if link.is_an_owners() { give_further(permit) } else { Ok(()) }
}

/// May they give this role on everything in the permit's reach?
///
/// # Errors
/// [`Forbidden::OwnersGive`]; [`Forbidden::OwnersGiveFurther`] for a custom role, since how far it reaches is each cluster's.
pub fn give_widely(permit: &Authorized<ManageReach>, role: &Role) -> Result<(), Forbidden> {
    if role.custom_name().is_some() && !permit.as_owner() {
        return Err(Forbidden::OwnersGiveFurther);
    }
    given_by(permit.as_owner(), Some(role))
}

/// Whether a link still has its maker's word: what only owners give it gives only while its maker is one. Whoever changed its rules
/// since was an owner, too, or it would not give that.
///
/// # Errors
/// [`Forbidden::MakerNoOwner`].
pub(super) fn vouched(
    link: &ShareLink,
    cluster: &Cluster,
    maker: &Person,
    makers_role: Option<MemberRole>,
) -> Result<(), Forbidden> {
    let owner = link.created_by == maker.identity.id
        && at_least(maker, cluster.workspace, makers_role, MemberRole::Owner).is_ok();
    if owner || !link.is_an_owners() { Ok(()) } else { Err(Forbidden::MakerNoOwner) }
}

fn given_by(owner: bool, role: Option<&Role>) -> Result<(), Forbidden> {
    if owner || !role.is_some_and(Role::is_for_owners) { Ok(()) } else { Err(Forbidden::OwnersGive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            audience::Audience,
            id::{IdentityId, ShareLinkId, WorkspaceId},
            scope::Scope,
            share_link::LinkRules,
            time::Timestamp,
            vouch::Vouch,
            workspace::Workspace,
        },
        policy::{
            PersonRule, Policy, Reach, accept_link, manage_access, manage_reach,
            tests::{cluster, identity},
        },
    };
    use MemberRole::{Editor, Owner, Viewer};

    fn people() -> (Person, Person, Person) {
        let root = PersonRule::Group("dex".parse().unwrap(), "root".into());
        let policy = Policy { platform_admins: vec![root], ..Policy::default() };
        let person = |email: &str, groups: &[&str]| policy.person(identity(email, true, "dex", groups));
        (person("root@example.com", &["root"]), person("bob@example.com", &[]), person("eve@example.com", &[]))
    }

    #[test]
    fn immune_28_an_editor_gives_no_cluster_admin_on_a_cluster_or_further() {
        let (admin, bob, _) = people();
        let others = [None, Some(Role::View), Some(Role::Admin), Role::named("Cluster-Admin").ok()];
        for (person, member, gives) in
            [(&bob, Some(Editor), false), (&bob, Some(Owner), true), (&admin, None, true), (&admin, Some(Viewer), true)]
        {
            let permit = manage_access(person, cluster("dex"), member).unwrap();
            assert_eq!(give(&permit, Some(&Role::ClusterAdmin)).is_ok(), gives, "{member:?}");
            assert!(others.iter().all(|role| give(&permit, role.as_ref()).is_ok()));
            let workspace = Workspace {
                id: WorkspaceId::new(),
                name: "Payments".into(),
                created_by: None,
                created_at: Timestamp::from_secs(0),
                removing: None,
            };
            let wide = manage_reach(person, Reach::Workspace(workspace), member).unwrap();
            assert_eq!(give_widely(&wide, &Role::ClusterAdmin).is_ok(), gives, "{member:?}");
        }
        // Owning one workspace is nothing everywhere else.
        assert!(manage_reach(&bob, Reach::Global, Some(Owner)).is_err());
        assert!(give_widely(&manage_reach(&admin, Reach::Global, None).unwrap(), &Role::ClusterAdmin).is_ok());
    }

    #[test]
    fn immune_28_a_link_gives_cluster_admin_only_while_its_maker_is_an_owner() {
        let (admin, bob, eve) = people();
        let link = |role, by: IdentityId| ShareLink {
            id: ShareLinkId::new(),
            rules: LinkRules {
                role,
                scope: Scope::Cluster(crate::model::id::ClusterId::new()),
                access_lasts: None,
                expires_at: Timestamp::from_secs(100),
                max_uses: None,
                audience: Audience::Anyone,
                note: None,
                reason: None,
            },
            created_by: by,
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            paused_at: None,
            uses: 0,
            vouch: None,
        };
        let accepted = |role, maker: &Person, by, member| {
            accept_link((&eve, &[]), link(role, by), cluster("dex"), (maker, member), Timestamp::from_secs(1)).map(drop)
        };
        let bobs = bob.identity.id;
        assert_eq!(accepted(Some(Role::ClusterAdmin), &bob, bobs, Some(Owner)), Ok(()));
        assert_eq!(accepted(Some(Role::ClusterAdmin), &admin, admin.identity.id, None), Ok(()));
        for member in [None, Some(Viewer), Some(Editor)] {
            assert_eq!(accepted(Some(Role::ClusterAdmin), &bob, bobs, member), Err(Forbidden::MakerNoOwner));
            assert_eq!(accepted(Some(Role::Admin), &bob, bobs, member), Ok(()), "other roles are as they were given");
        }
        // Somebody else's word is none.
        assert_eq!(accepted(Some(Role::ClusterAdmin), &admin, bobs, None), Err(Forbidden::MakerNoOwner));
    }

    #[test]
    fn immune_28_a_role_that_reaches_further_than_admin_is_an_owners_under_any_name() {
        let (_, bob, eve) = people();
        let mut link = ShareLink {
            id: ShareLinkId::new(),
            rules: LinkRules {
                role: Role::named("log-reader").ok(),
                scope: Scope::Cluster(crate::model::id::ClusterId::new()),
                access_lasts: None,
                expires_at: Timestamp::from_secs(100),
                max_uses: None,
                audience: Audience::Anyone,
                note: None,
                reason: None,
            },
            created_by: bob.identity.id,
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            paused_at: None,
            uses: 0,
            vouch: Some(Vouch::default()),
        };
        let accepted = |link: &ShareLink, member| {
            accept_link((&eve, &[]), link.clone(), cluster("dex"), (&bob, member), Timestamp::from_secs(1)).map(drop)
        };
        let [editor, owner] = [Editor, Owner].map(|member| manage_access(&bob, cluster("dex"), Some(member)).unwrap());
        assert_eq!((accepted(&link, Some(Editor)), hand_on(&editor, &link)), (Ok(()), Ok(())));
        link.vouch = Some(Vouch { owner: Some(bob.identity.id), ..Vouch::default() });
        assert_eq!(accepted(&link, Some(Owner)), Ok(()));
        assert_eq!(accepted(&link, Some(Editor)), Err(Forbidden::MakerNoOwner));
        assert_eq!(hand_on(&editor, &link), Err(Forbidden::OwnersGiveFurther));
        assert_eq!((hand_on(&owner, &link), give_further(&owner)), (Ok(()), Ok(())));
        assert_eq!(give_further(&editor), Err(Forbidden::OwnersGiveFurther));
    }
}
