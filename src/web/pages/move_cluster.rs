//! `/clusters/{cluster}/move`: puts a cluster into another workspace. Says first who gains and who loses by that.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    cluster::{AtCluster, Head, Tab},
    member_form::key,
    member_list::named,
    wide_access::reaching,
    workspace::a_role,
};
use crate::{
    access::{AccessError, Gate, Presets, Workspaces},
    model::{
        group::SeatedGroup,
        id::WorkspaceId,
        identity::Identity,
        workspace::{Member, MemberRole, Seats},
    },
    policy::{Authorized, Forbidden, MoveCluster},
    store::Store,
    web::{
        errors::{NextStep, PageError},
        forms::{Choice, ProtectedForm},
        frame::{Frame, render},
        labels::counted,
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/move_cluster.html")]
struct MoveClusterPage {
    frame: Frame,
    head: Head,
    here: String,
    back: String,
    id: WorkspaceId,
    to: String,
    from: String,
    changes: Changes,
    stays: String,
}

/// Who gains and who loses, each with what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    gain: Vec<String>,
    lose: Vec<String>,
}

/// Where to.
#[derive(Debug, serde::Deserialize)]
pub struct To {
    to: WorkspaceId,
}

/// Where a cluster is, and where its owner can put it.
pub(super) struct Place {
    pub(super) workspace: NextStep,
    pub(super) targets: Vec<Choice>,
    pub(super) action: String,
}

/// For the settings of a cluster.
pub(super) async fn place(at: &AtCluster, store: &Store) -> Result<Place, PageError> {
    let workspace = store.workspace(at.cluster().workspace).await?;
    let person = &at.who.person;
    let all = store.workspaces_of(person.identity(), person.is_platform_admin()).await?;
    let takes = |role: Option<MemberRole>| person.is_platform_admin() || role == Some(MemberRole::Owner);
    let targets = all
        .into_iter()
        .filter(|(w, role)| takes(*role) && w.removing.is_none() && w.id != workspace.id)
        .map(|(w, _)| Choice::new(w.id.to_string(), w.name, ""))
        .collect();
    let here = NextStep::new(workspace.name, paths::workspace(workspace.id));
    Ok(Place { workspace: here, targets, action: paths::move_cluster(at.id()) })
}

/// Asks.
pub async fn get(
    at: AtCluster,
    Query(to): Query<To>,
    State(gate): State<Gate>,
    State(store): State<Store>,
) -> Result<Response, PageError> {
    let permit = gate.move_cluster(&at.who.person, at.id(), to.to).await?;
    if permit.to().removing.is_some() {
        return Err(Forbidden::WorkspaceGoing.into());
    }
    let (before, after) = (store.members(permit.from().id).await?, store.members(permit.to().id).await?);
    let holders = store.count_grantees(&[at.id()], at.now).await?;
    let held = holders.first().map_or((0, 0), |(_, people, groups)| (*people, *groups));
    let mut changes = changes(&before, &after);
    // A Group of all workspaces may be a member of both.
    let (was, is) = (
        store.seated_groups(Seats::Workspace(permit.from().id)).await?,
        store.seated_groups(Seats::Workspace(permit.to().id)).await?,
    );
    changes.lose.extend(seats_beyond(&was, &is));
    changes.gain.extend(seats_beyond(&is, &was));
    changes.lose.extend(reaching(&store, permit.from(), at.cluster()).await?);
    changes.gain.extend(reaching(&store, permit.to(), at.cluster()).await?);
    changes.lose.extend(left_behind(&at, &store, &permit).await?);
    Ok(render(&MoveClusterPage {
        frame: at.frame(),
        head: at.head(Tab::Settings),
        here: paths::move_cluster(at.id()),
        back: paths::settings(at.id()),
        id: permit.to().id,
        to: permit.to().name.clone(),
        from: permit.from().name.clone(),
        changes,
        stays: stays(held),
    }))
}

/// Moves it.
pub async fn post(
    at: AtCluster,
    State(gate): State<Gate>,
    State(workspaces): State<Workspaces>,
    State(presets): State<Presets>,
    ProtectedForm(to): ProtectedForm<To>,
) -> Result<Response, PageError> {
    let permit = gate.move_cluster(&at.who.person, at.id(), to.to).await?;
    match workspaces.move_cluster(&permit).await {
        Ok(()) => {
            presets.follow(&gate.manage_cluster(&at.who.person, at.id()).await?).await?;
            Ok(Redirect::to(&paths::settings(at.id())).into_response())
        }
        Err(error @ AccessError::Invalid { .. }) => {
            let back = NextStep::new("Back to the cluster’s settings", paths::settings(at.id()));
            Err(PageError::from(error).with_next(back))
        }
        Err(other) => Err(other.into()),
    }
}

/// What Groups of our own are in the one and are not, or less, in the other.
fn seats_beyond(here: &[SeatedGroup], there: &[SeatedGroup]) -> Vec<String> {
    let elsewhere =
        |seat: &SeatedGroup| there.iter().find(|other| other.group.id == seat.group.id).map(|other| other.role);
    let more = here.iter().filter(|seat| elsewhere(seat) < Some(seat.role));
    more.map(|seat| format!("Kubelend group {}: {}", seat.group.spelt(), a_role(seat.role))).collect()
}

/// The workspace's own providers that the cluster trusts no longer then, each with whom that takes access from.
async fn left_behind(
    at: &AtCluster,
    store: &Store,
    permit: &Authorized<MoveCluster>,
) -> Result<Vec<String>, PageError> {
    let mut words = Vec::new();
    for provider in store.own_providers_of(permit.from().id).await? {
        if at.cluster().mapping(&provider.id).is_none() {
            continue;
        }
        let (people, groups) = store.count_grantees_of(at.id(), &provider.id, at.now).await?;
        let who = [(people, "person"), (groups, "group")].into_iter().filter(|(n, _)| *n > 0);
        let who: Vec<String> = who.map(|(n, noun)| counted(n, noun)).collect();
        let who = if who.is_empty() { "nobody".to_owned() } else { who.join(" and ") };
        words.push(format!(
            "{}, a provider of {} alone, is not trusted there: {who} of it had access, which ends, as do their kubeconfigs. Take its issuer out of the API server’s configuration",
            provider.rules.name,
            permit.from().name
        ));
    }
    Ok(words)
}

type Listed = [(Member, Option<Identity>)];

/// Whoever looks after the cluster after the move and not before, and the other way round; a changed role is one of the two.
fn changes(before: &Listed, after: &Listed) -> Changes {
    let roles = |members: &Listed| -> BTreeMap<String, MemberRole> {
        members.iter().map(|(m, _)| (key(&m.who), m.role)).collect()
    };
    let (was, is) = (roles(before), roles(after));
    let words = |(member, person): &(Member, Option<Identity>)| {
        let id = key(&member.who);
        let what = match (was.get(&id), is.get(&id)) {
            (Some(was), Some(is)) => format!("{} in place of {}", a_role(*is), a_role(*was)),
            (None, _) => format!("becomes {}", a_role(member.role)),
            (_, None) => format!("no longer {}", a_role(member.role)),
        };
        format!("{}: {what}", named(&member.who, person.as_ref()))
    };
    let gain = after.iter().filter(|(m, _)| was.get(&key(&m.who)) < Some(&m.role));
    let lose = before.iter().filter(|(m, _)| is.get(&key(&m.who)) < Some(&m.role));
    Changes { gain: gain.map(words).collect(), lose: lose.map(words).collect() }
}

/// “3 people and 1 group keep the access that they were given on it; its share links go along.”
fn stays((people, groups): (u32, u32)) -> String {
    let holders: Vec<String> = [(people, "person"), (groups, "group")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| counted(n, noun))
        .collect();
    let links = "its share links and the kubeconfigs that people hold go along";
    if holders.is_empty() {
        return format!("Nobody has access to it yet; {links}.");
    }
    let keep = if people + groups == 1 { "keeps" } else { "keep" };
    format!("{} {keep} the access that was given on it; {links}.", holders.join(" and "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster::tests::{cluster, head},
        members::tests::sample_members,
        samples::{HOSTILE, NOW, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |changes| {
            MoveClusterPage {
                frame: frame(),
                head: head(&staging, None, NOW, Tab::Settings),
                here: "/m".into(),
                back: "/s".into(),
                id: WorkspaceId::new(),
                to: HOSTILE.into(),
                from: "Clusters of alice@example.com".into(),
                changes,
                stays: stays((3, 1)),
            }
            .render()
            .unwrap()
        };
        let (some, others) = (sample_members(), sample_members());
        vec![("move-cluster", draw(changes(&some, &others))), ("move-cluster-same", draw(Changes::default()))]
    }

    #[test]
    fn a_move_says_who_gains_and_who_loses_what() {
        let all = sample_members();
        let (alice, devs) = (all[0].clone(), all[4].clone());
        let editing = |(mut member, person): (Member, Option<Identity>)| {
            member.role = MemberRole::Editor;
            (member, person)
        };
        let made = changes(&[alice.clone(), devs.clone()], &[editing(alice.clone()), all[2].clone(), editing(devs)]);
        assert_eq!(made.lose, ["alice@example.com: an editor in place of an owner"]);
        assert_eq!(made.gain.len(), 2);
        assert!(made.gain[0].ends_with(": becomes an editor"), "{:?}", made.gain);
        assert_eq!(made.gain[1], "group devs: an editor in place of a viewer");
        let alone = std::slice::from_ref(&alice);
        assert_eq!(changes(alone, &[]).lose, ["alice@example.com: no longer an owner"]);
        assert_eq!(changes(alone, alone), Changes::default());
    }

    #[test]
    fn what_was_given_stays() {
        assert!(stays((1, 0)).starts_with("1 person keeps the access"));
        assert!(stays((2, 1)).starts_with("2 people and 1 group keep the access"));
        assert!(stays((0, 0)).starts_with("Nobody has access"));
    }
}
