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
        id::{FederatedGrantId, IdentityId},
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

/// A federated grant as a row.
pub struct Row {
    /// `User` or `Group`.
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
pub(super) fn progress(counts: PlacementCounts) -> (&'static str, String) {
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
        let Some(request) = form.read(&self.providers, self.clock.now(), errors) else { return Ok(None) };
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
            providers: provider_choices(&self.providers, &wanted.form.provider),
            csrf: wanted.csrf.to_owned(),
            here: wanted.here,
            may_change: wanted.gives.is_some(),
            roles: wanted.gives.as_ref().map(roles::offered_widely).unwrap_or_default(),
            place: wanted.place,
            form: wanted.form,
            errors: wanted.errors,
        })
    }
}

/// Whom a grant is for, as people call them.
pub(super) fn named(grant: &FederatedGrant, people: &HashMap<IdentityId, Identity>) -> String {
    let who = if let Grantee::Person(id) = grant.grantee { people.get(&id) } else { None };
    grantee_name(&grant.grantee, who)
}

fn row(grant: &FederatedGrant, counts: PlacementCounts, people: &HashMap<IdentityId, Identity>, now: Timestamp) -> Row {
    let (class, state) = progress(counts);
    Row {
        kind: kind(&grant.grantee),
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
    Ok(lines)
}

/// Whom grants are for and who made them.
pub(super) async fn people(
    store: &Store,
    grants: impl Iterator<Item = &FederatedGrant>,
) -> Result<HashMap<IdentityId, Identity>, PageError> {
    let ids: Vec<IdentityId> = grants
        .flat_map(|grant| {
            let grantee = if let Grantee::Person(id) = grant.grantee { Some(id) } else { None };
            grantee.into_iter().chain([grant.created_by])
        })
        .collect();
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
            let (class, state) = progress(PlacementCounts { applied: 480, pending: n % 3, failed: n % 2, removing: 0 });
            Row {
                kind: "User",
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
            assert_eq!(progress(counts), (class, words.to_owned()));
        }
    }
}
