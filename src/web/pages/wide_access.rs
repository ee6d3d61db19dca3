//! What the pages of access that reaches further than one cluster share: the form, the table, and the words about how far the clusters
//! have followed. They differ in their reach alone.

use std::collections::HashMap;

use axum::extract::FromRef;

use super::{
    access::grantee_name,
    member_form::provider_choices,
    roles::{self, OfferedRole},
    wide_form::WideForm,
};
use crate::{
    access::{AccessError, Federation},
    clock::Clock,
    model::{
        cluster::Cluster,
        federation::{FederatedGrant, WideScope},
        grant::Grantee,
        group::{Group, Holder},
        id::{FederatedGrantId, IdentityId, WorkspaceId},
        identity::Identity,
        role::Role,
        time::Timestamp,
        workspace::Workspace,
    },
    oidc::Providers,
    policy::{Authorized, ManageReach},
    store::{PlacementCounts, Store},
    web::{
        Parts,
        errors::PageError,
        forms::{Choice, FieldErrors},
        labels::{RoleTag, counted},
        paths,
        when::When,
    },
};

/// How many rows a page lists.
pub(super) const A_PAGE: u32 = 30;
/// How many are named where a cluster joins or leaves.
const NAMED: u32 = 20;

/// The form and the table.
pub struct Wide {
    /// Where they are.
    pub here: String,
    /// The form's token.
    pub csrf: String,
    /// Whether the form and the buttons are there.
    pub may_change: bool,
    /// What the form's sentence ends with: “on every cluster of Payments”.
    pub place: String,
    /// What was typed.
    pub form: WideForm,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// The Groups that it can be given to, as they are typed; empty where there is none.
    pub groups: String,
    /// Whether Groups can be named at all: not by whoever may not look at the workspace.
    pub names_groups: bool,
    /// Where people sign in.
    pub providers: Vec<Choice>,
    /// The roles that are offered besides view, edit and admin.
    pub roles: Vec<OfferedRole>,
    /// Who has what.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
    /// Whether this is the first page.
    pub newest: bool,
}

impl Wide {
    pub(super) fn kinds(&self) -> Vec<Choice> {
        self.form.kinds(self.names_groups)
    }
}

/// A federated grant as a row.
pub struct Row {
    /// `User`, `Group` or `Kubelend group`.
    pub kind: &'static str,
    /// As people call them.
    pub name: String,
    /// The role.
    pub role: RoleTag,
    /// Until when.
    pub expires: Option<When>,
    /// Why it was made.
    pub reason: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// The state's style.
    pub class: &'static str,
    /// How far the clusters have followed, in words.
    pub state: String,
    /// Its own page: a row for each cluster, and the way to take it back.
    pub href: String,
}

/// How far the clusters have followed, in words, with the style of it.
pub(super) fn progress(holder: &Holder, counts: PlacementCounts) -> (&'static str, String) {
    match holder {
        Holder::One(_) => progress_of_one(counts),
        Holder::Group(..) => progress_of_group(counts),
    }
}

/// Of a Group there is one binding for each member on each cluster.
pub(super) fn progress_of_group(counts: PlacementCounts) -> (&'static str, String) {
    let bindings = |n: i64| counted(u64::try_from(n).unwrap_or_default(), "binding");
    match (counts.wanted(), counts.failed, counts.pending) {
        (0, ..) => ("", "nobody is in it, or it is on no cluster yet".into()),
        (all, failed @ 1.., _) => ("failed", format!("{failed} of {} refused", bindings(all))),
        (all, 0, 1..) => ("waiting", format!("{} of {} in force", counts.applied, bindings(all))),
        (all, ..) => ("passed", format!("{} in force", bindings(all))),
    }
}

fn progress_of_one(counts: PlacementCounts) -> (&'static str, String) {
    let clusters = |n: i64| counted(u64::try_from(n).unwrap_or_default(), "cluster");
    if counts.wanted() == 0 {
        return ("", "on no cluster yet".into());
    }
    if counts.failed > 0 {
        return ("failed", format!("{} of {} refused", counts.failed, clusters(counts.wanted())));
    }
    if counts.pending > 0 {
        return ("waiting", format!("on {} of {}", counts.applied, clusters(counts.wanted())));
    }
    ("passed", format!("on {}", clusters(counts.applied)))
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(super) federation: Federation,
    pub(super) store: Store,
    providers: Providers,
    pub(super) clock: Clock,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            federation: parts.federation.clone(),
            store: parts.store.clone(),
            providers: parts.providers.clone(),
            clock: parts.clock.clone(),
        }
    }
}

/// What a request wants of the form and the table.
pub(super) struct Wanted<'a> {
    pub(super) scope: WideScope,
    pub(super) here: String,
    pub(super) place: String,
    pub(super) csrf: &'a str,
    /// Set for those who may give.
    pub(super) gives: Option<Authorized<ManageReach>>,
    pub(super) before: Option<FederatedGrantId>,
    pub(super) form: WideForm,
    pub(super) errors: FieldErrors,
}

impl Desk {
    /// Gives what the form asks for; what is wrong stands at its fields.
    pub(super) async fn give(
        &self,
        permit: &Authorized<ManageReach>,
        form: &WideForm,
        errors: &mut FieldErrors,
    ) -> Result<Option<FederatedGrantId>, AccessError> {
        let home = permit.reach().workspace().map(|workspace| workspace.id);
        let Some(request) = form.read(&self.providers, home, self.clock.now(), errors) else { return Ok(None) };
        match self.federation.grant(permit, request).await {
            Ok(id) => Ok(Some(id)),
            Err(AccessError::Invalid { field, message }) => {
                errors.add(field, message);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) async fn wide(&self, wanted: Wanted<'_>, now: Timestamp) -> Result<Wide, PageError> {
        let page = self.store.federated_grants(wanted.scope, wanted.before, A_PAGE).await?;
        let people = people(&self.store, page.rows.iter().map(|(grant, _)| grant)).await?;
        Ok(Wide {
            rows: page.rows.iter().map(|(grant, counts)| row(grant, *counts, &people, now)).collect(),
            next: page.next.map(|id| format!("{}?before={id}", wanted.here)),
            newest: wanted.before.is_none(),
            providers: provider_choices(
                &self.providers,
                wanted.gives.as_ref().and_then(|permit| permit.reach().workspace()).map(|workspace| workspace.id),
                &wanted.form.provider,
            ),
            groups: match &wanted.gives {
                Some(permit) if permit.sees_workspace() => {
                    usable_groups(&self.store, permit.reach().workspace().map(|w| w.id)).await?
                }
                Some(_) | None => String::new(),
            },
            names_groups: wanted.gives.as_ref().is_some_and(Authorized::<ManageReach>::sees_workspace),
            csrf: wanted.csrf.to_owned(),
            here: wanted.here,
            may_change: wanted.gives.is_some(),
            roles: match &wanted.gives {
                Some(permit) => {
                    let home = permit.reach().workspace().map(|workspace| workspace.id);
                    roles::offered_widely(permit, &self.store.custom_roles_usable_in(home).await?)
                }
                None => Vec::new(),
            },
            place: wanted.place,
            form: wanted.form,
            errors: wanted.errors,
        })
    }
}

/// The Groups to which something in a workspace (`None`: everywhere) can be given, as they are typed.
pub(super) async fn usable_groups(store: &Store, workspace: Option<WorkspaceId>) -> Result<String, PageError> {
    const SHOWN: usize = 12;
    let all = store.groups_usable_in(workspace).await?;
    let shown: Vec<String> = all.iter().take(SHOWN).map(Group::spelt).collect();
    Ok(match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    })
}

/// Whom a grant is for, as people call them.
pub(super) fn named(grant: &FederatedGrant, people: &HashMap<IdentityId, Identity>) -> String {
    match &grant.grantee {
        Holder::One(grantee) => grantee_name(grantee, grant.grantee.person().and_then(|id| people.get(&id))),
        Holder::Group(_, name) => name.to_string(),
    }
}

fn row(grant: &FederatedGrant, counts: PlacementCounts, people: &HashMap<IdentityId, Identity>, now: Timestamp) -> Row {
    let (class, state) = progress(&grant.grantee, counts);
    Row {
        kind: holder_kind(&grant.grantee),
        name: named(grant, people),
        role: RoleTag(Some(grant.role.clone())),
        expires: grant.expires_at.map(|t| When::new(t, now)),
        reason: grant.reason.as_ref().map(|r| r.as_str().to_owned()),
        by: people.get(&grant.created_by).map(|p| p.display().to_owned()),
        class,
        state,
        href: paths::federated(grant.id),
    }
}

pub(super) fn holder_kind(holder: &Holder) -> &'static str {
    match holder {
        Holder::One(grantee) => kind(grantee),
        Holder::Group(..) => "Kubelend group",
    }
}

pub(super) fn kind(grantee: &Grantee) -> &'static str {
    match grantee {
        Grantee::Group(..) => "Group",
        Grantee::Person(_) | Grantee::Email(..) => "User",
        Grantee::ServiceAccount(_) => "ServiceAccount",
    }
}

/// What a role amounts to on each cluster in reach: the words of the form.
pub(super) fn means(role: &Role, namespace: bool) -> &'static str {
    role.amounts_to(!namespace)
}

/// What is given on every cluster of a workspace, or in those of its projects that this cluster would be in there, a line for each: what
/// comes with a cluster that joins, and goes with one that leaves.
pub(super) async fn reaching(
    store: &Store,
    workspace: &Workspace,
    cluster: &Cluster,
) -> Result<Vec<String>, PageError> {
    let mut scopes =
        vec![(WideScope::Workspace(workspace.id), format!("given on every cluster of {}", workspace.name))];
    let projects = store.projects_of(workspace.id).await?;
    let selected = projects.into_iter().filter(|p| p.placement.selects(cluster.id, &cluster.labels));
    scopes.extend(selected.map(|p| (WideScope::Project(p.id), format!("given in the project {}", p.name))));
    let mut lines = Vec::new();
    for (scope, how) in scopes {
        let page = store.federated_grants(scope, None, NAMED).await?;
        let people = people(store, page.rows.iter().map(|(grant, _)| grant)).await?;
        let line = |grant: &FederatedGrant| format!("{}: {}, {how}", named(grant, &people), grant.role);
        lines.extend(page.rows.iter().map(|(grant, _)| line(grant)));
        if page.next.is_some() {
            lines.push(format!("and more, {how}"));
        }
    }
    lines.extend(own_groups_on(store, workspace, cluster).await?);
    Ok(lines)
}

/// What Groups of this workspace were given on the cluster by itself: they count nowhere else.
async fn own_groups_on(store: &Store, workspace: &Workspace, cluster: &Cluster) -> Result<Vec<String>, PageError> {
    let own: Vec<_> = store.groups_of(Some(workspace.id)).await?.into_iter().map(|group| group.id).collect();
    let page = store.federated_grants(WideScope::Cluster(cluster.id), None, NAMED).await?;
    let there = page.rows.iter().filter(|(grant, _)| grant.grantee.group().is_some_and(|id| own.contains(&id)));
    let line = |grant: &FederatedGrant| {
        format!("{}: {}, given to this group of the workspace", named(grant, &HashMap::new()), grant.role)
    };
    let mut lines: Vec<String> = there.map(|(grant, _)| line(grant)).collect();
    if page.next.is_some() {
        lines.push("and more, given to groups of the workspace".into());
    }
    Ok(lines)
}

/// Whom grants are for and who made them.
pub(super) async fn people(
    store: &Store,
    grants: impl Iterator<Item = &FederatedGrant>,
) -> Result<HashMap<IdentityId, Identity>, PageError> {
    let ids: Vec<IdentityId> =
        grants.flat_map(|grant| grant.grantee.person().into_iter().chain([grant.created_by])).collect();
    Ok(store.identities(&ids).await?.into_iter().map(|p| (p.id, p)).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::samples::{HOSTILE, LONG_EMAIL, NOW};

    /// The form and the table, with as many rows as a page has.
    pub(in crate::web) fn wide(rows: usize, wrong: bool) -> Wide {
        let mut errors = FieldErrors::default();
        if wrong {
            for field in ["kind", "name", "role", "expires", "reason"] {
                errors.add(field, HOSTILE);
            }
        }
        let row = |n: i64| {
            let (class, state) =
                progress_of_group(PlacementCounts { applied: 480, pending: n % 3, failed: n % 2, removing: 0 });
            Row {
                kind: "Kubelend group",
                name: LONG_EMAIL.into(),
                role: RoleTag(Some(Role::Admin)),
                expires: Some(When::new(NOW, NOW)),
                reason: Some(HOSTILE.into()),
                by: Some(LONG_EMAIL.into()),
                class,
                state,
                href: paths::federated(FederatedGrantId::new()),
            }
        };
        Wide {
            here: "/workspaces/x/access".into(),
            csrf: "t".repeat(43),
            may_change: true,
            place: format!("on every cluster of {HOSTILE}"),
            form: WideForm { name: HOSTILE.into(), ..WideForm::default() },
            errors,
            groups: format!("Ops, {HOSTILE} (everywhere) and 12 more"),
            names_groups: true,
            providers: vec![Choice::new("dex", "Dex", "dex"), Choice::new("corp", HOSTILE, "dex")],
            roles: roles::tests::offered(),
            rows: (0..i64::try_from(rows).unwrap()).map(row).collect(),
            next: Some("/workspaces/x/access?before=y".into()),
            newest: false,
        }
    }

    #[test]
    fn progress_says_what_stands_and_what_is_in_the_way() {
        let counts = |applied, pending, failed, removing| PlacementCounts { applied, pending, failed, removing };
        for (counts, class, words) in [
            (counts(0, 0, 0, 0), "", "on no cluster yet"),
            (counts(3, 0, 0, 0), "passed", "on 3 clusters"),
            (counts(1, 0, 0, 1), "passed", "on 1 cluster"),
            (counts(2, 1, 0, 0), "waiting", "on 2 of 3 clusters"),
            (counts(2, 1, 1, 0), "failed", "1 of 4 clusters refused"),
        ] {
            assert_eq!(progress_of_one(counts), (class, words.to_owned()));
        }
        for (counts, class, words) in [
            (counts(0, 0, 0, 0), "", "nobody is in it, or it is on no cluster yet"),
            (counts(3, 0, 0, 0), "passed", "3 bindings in force"),
            (counts(1, 0, 0, 1), "passed", "1 binding in force"),
            (counts(2, 1, 0, 0), "waiting", "2 of 3 bindings in force"),
            (counts(2, 1, 1, 0), "failed", "1 of 4 bindings refused"),
        ] {
            assert_eq!(progress_of_group(counts), (class, words.to_owned()));
        }
    }
}
