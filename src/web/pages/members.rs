//! `/workspaces/{workspace}/members`: who is what in it; adding, changing and removing them. Removing asks first, and says who
//! loses what.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    member_form::{MemberForm, key, provider_choices, roles},
    workspace::{AtWorkspace, Head, Tab, a_role, role_means},
};
use crate::{
    access::{AccessError, Workspaces},
    model::{
        cluster::Cluster,
        grant::Grantee,
        id::IdentityId,
        identity::Identity,
        time::Timestamp,
        workspace::{Member, MemberRole},
    },
    oidc::Providers,
    policy::Forbidden,
    store::Store,
    web::{
        Parts,
        errors::{NextStep, PageError},
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
        when::When,
    },
};

/// How many members a page lists.
const A_PAGE: usize = 40;

#[derive(Template)]
#[template(path = "pages/members.html")]
struct MembersPage {
    frame: Frame,
    head: Head,
    here: String,
    may_change: bool,
    asking: Option<Asking>,
    form: MemberForm,
    errors: FieldErrors,
    providers: Vec<Choice>,
    rows: Vec<Row>,
    next: Option<String>,
    newest: bool,
}

struct Row {
    key: String,
    name: String,
    notes: Vec<String>,
    since: When,
    by: Option<String>,
    role: &'static str,
    /// Whether it is whoever looks, themselves.
    own: bool,
}

/// Something about one member that is asked before it is done.
struct Asking {
    title: String,
    text: Vec<String>,
    /// What the form sends as `change`; nothing where it cannot be done.
    change: Option<&'static str>,
    button: &'static str,
    key: String,
    /// What the role is to be.
    roles: Vec<Choice>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    workspaces: Workspaces,
    store: Store,
    providers: Providers,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { workspaces: parts.workspaces.clone(), store: parts.store.clone(), providers: parts.providers.clone() }
    }
}

/// Which page of it, and which member is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    change: String,
    remove: String,
    leave: String,
    page: usize,
}

type Listed = Vec<(Member, Option<Identity>)>;

/// A member as people call them: an email or a name, or a group.
pub(super) fn named(who: &Grantee, person: Option<&Identity>) -> String {
    let name = grantee_name(who, person);
    if matches!(who, Grantee::Group(..)) { format!("group {name}") } else { name }
}

/// The page.
pub async fn get(at: AtWorkspace, Query(asked): Query<Asked>, State(desk): State<Desk>) -> Result<Response, PageError> {
    desk.page(&at, asked, MemberForm::default(), FieldErrors::default()).await
}

/// Adds, changes or removes a member, or leaves.
pub async fn post(
    at: AtWorkspace,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<MemberForm>,
) -> Result<Response, PageError> {
    let here = paths::members(at.id());
    let mut errors = FieldErrors::default();
    match desk.change(&at, &form, &mut errors).await {
        Ok(()) if errors.is_empty() => {
            // Whoever has left may not see where they were.
            let stays = form.change != "leave";
            return Ok(Redirect::to(if stays { &here } else { paths::WORKSPACES }).into_response());
        }
        Ok(()) => {}
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(AccessError::Forbidden(why @ (Forbidden::LastOwner | Forbidden::RaisesThemselves))) => {
            return Err(PageError::from(why).with_next(NextStep::new("Back to the members", here)));
        }
        Err(other) => return Err(other.into()),
    }
    desk.page(&at, Asked::default(), form, errors).await
}

impl Desk {
    async fn change(&self, at: &AtWorkspace, form: &MemberForm, errors: &mut FieldErrors) -> Result<(), AccessError> {
        if form.change == "leave" {
            return self.workspaces.leave(&at.seen).await;
        }
        let permit = at.manage_members()?;
        if form.change == "add" {
            let Some((who, role)) = form.read(&self.providers, errors) else { return Ok(()) };
            return self.workspaces.add(&permit, who, role).await;
        }
        let members = self.store.members(at.id()).await?;
        let member = members.into_iter().find(|(m, _)| key(&m.who) == form.member);
        match (form.change.as_str(), member) {
            ("remove", Some((member, _))) => self.workspaces.remove(&permit, &member.who).await,
            // Somebody else was quicker.
            ("remove", None) => Ok(()),
            ("role", Some((member, _))) => {
                let Some(role) = form.role(errors) else { return Ok(()) };
                self.workspaces.change(&permit, member.who, role).await
            }
            _ => Err(AccessError::NotFound),
        }
    }

    async fn page(
        &self,
        at: &AtWorkspace,
        asked: Asked,
        form: MemberForm,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let members = self.store.members(at.id()).await?;
        let here = paths::members(at.id());
        let (from, to) = (asked.page.saturating_mul(A_PAGE), asked.page.saturating_add(1));
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = MembersPage {
            frame: at.frame(),
            head: at.head(Tab::Members),
            may_change: at.manage_members().is_ok() && at.workspace().removing.is_none(),
            asking: self.asking(at, &asked, &members).await?,
            providers: provider_choices(&self.providers, &form.provider),
            rows: self.rows(at, members.get(from..).unwrap_or_default()).await?,
            next: (members.len() > to.saturating_mul(A_PAGE)).then(|| format!("{here}?page={to}")),
            newest: asked.page == 0,
            here,
            form,
            errors,
        };
        Ok(render_with(status, &page))
    }

    async fn rows(&self, at: &AtWorkspace, members: &[(Member, Option<Identity>)]) -> Result<Vec<Row>, PageError> {
        let members = members.get(..A_PAGE).unwrap_or(members);
        let givers: Vec<IdentityId> = members.iter().map(|(m, _)| m.by).collect();
        let givers: HashMap<_, _> =
            self.store.identities(&givers).await?.into_iter().map(|p| (p.id, p.display().to_owned())).collect();
        let mut rows = Vec::with_capacity(members.len());
        for (member, person) in members {
            let own = member.who == Grantee::Person(at.who.person.identity().id);
            let by = givers.get(&member.by).filter(|_| member.who != Grantee::Person(member.by)).cloned();
            rows.push(row(member, person.as_ref(), own, by, self.notes(&member.who).await?, at.now));
        }
        Ok(rows)
    }

    /// What is to be said of a member beside the name.
    async fn notes(&self, who: &Grantee) -> Result<Vec<String>, PageError> {
        let at = |id| self.providers.get(id).map_or_else(|| id.to_string(), |p| p.settings().name.clone());
        Ok(match who {
            Grantee::Person(_) | Grantee::ServiceAccount(_) => Vec::new(),
            Grantee::Group(provider, _) => vec![format!("group at {}", at(provider))],
            Grantee::Email(provider, email) if self.store.email_changed_hands(provider, email).await? => vec![
                "This address has had several holders, so it gives nothing. Add it again once you know who has it now."
                    .into(),
            ],
            Grantee::Email(provider, _) => vec![format!("has not signed in yet at {}", at(provider))],
        })
    }

    async fn asking(&self, at: &AtWorkspace, asked: &Asked, members: &Listed) -> Result<Option<Asking>, PageError> {
        let own = key(&Grantee::Person(at.who.person.identity().id));
        let (wanted, leaves) = match (asked.change.as_str(), asked.remove.as_str(), asked.leave.as_str()) {
            ("", "", "") => return Ok(None),
            ("", "", _) => (own.as_str(), true),
            (change, remove, _) => (if change.is_empty() { remove } else { change }, false),
        };
        let Some((member, person)) = members.iter().find(|(m, _)| key(&m.who) == wanted) else { return Ok(None) };
        if !leaves && at.manage_members().is_err() {
            return Ok(None);
        }
        if last_owner(member, members) {
            return Ok(Some(keeps(member, person.as_ref())));
        }
        if !asked.change.is_empty() {
            return Ok(Some(changes(member, person.as_ref())));
        }
        let clusters = self.store.clusters_in(&[at.id()]).await?;
        Ok(Some(removes(member, person.as_ref(), members, &clusters, leaves)))
    }
}

fn row(
    member: &Member,
    person: Option<&Identity>,
    own: bool,
    by: Option<String>,
    notes: Vec<String>,
    now: Timestamp,
) -> Row {
    Row {
        key: key(&member.who),
        name: grantee_name(&member.who, person),
        notes,
        since: When::new(member.since, now),
        by,
        role: member.role.as_str(),
        own,
    }
}

fn last_owner(member: &Member, members: &Listed) -> bool {
    member.is_owning_person() && members.iter().filter(|(m, _)| m.is_owning_person()).count() == 1
}

fn keeps(member: &Member, person: Option<&Identity>) -> Asking {
    let name = named(&member.who, person);
    Asking {
        title: format!("{name} is the last person who owns this workspace"),
        text: vec![
            "Nobody could manage it any more, since a group or an address may turn out to be nobody. Make another person an owner first."
                .into(),
        ],
        change: None,
        button: "",
        key: String::new(),
        roles: Vec::new(),
    }
}

fn changes(member: &Member, person: Option<&Identity>) -> Asking {
    Asking {
        title: format!("What may {} do?", named(&member.who, person)),
        text: Vec::new(),
        change: Some("role"),
        button: "Save role",
        key: key(&member.who),
        roles: roles(member.role.as_str()),
    }
}

fn removes(member: &Member, person: Option<&Identity>, members: &Listed, clusters: &[Cluster], leaves: bool) -> Asking {
    let name = named(&member.who, person);
    let they = if leaves { "You" } else { "They" };
    let mut text =
        vec![format!("{they} can no longer {}. Its clusters: {}.", role_means(member.role), listed(clusters))];
    text.extend(still(person, members).map(|role| {
        format!(
            "By a group that {} in, {} {} here.",
            if leaves { "you are" } else { "they are" },
            if leaves { "you stay" } else { "they stay" },
            a_role(role)
        )
    }));
    text.push("What was granted on the clusters themselves stays; take that back under each cluster’s Access.".into());
    Asking {
        title: if leaves { "Leave this workspace?".into() } else { format!("Remove {name}, {}?", a_role(member.role)) },
        text,
        change: Some(if leaves { "leave" } else { "remove" }),
        button: if leaves { "Leave" } else { "Remove" },
        key: key(&member.who),
        roles: Vec::new(),
    }
}

/// What somebody stays by a group, when their own membership has gone.
fn still(person: Option<&Identity>, members: &Listed) -> Option<MemberRole> {
    let person = person?;
    let reaches = |who: &Grantee| match who {
        Grantee::Group(provider, group) => *provider == person.provider && person.groups.contains(group),
        Grantee::Person(_) | Grantee::Email(..) | Grantee::ServiceAccount(_) => false,
    };
    members.iter().filter(|(m, _)| reaches(&m.who)).map(|(m, _)| m.role).max()
}

/// “staging, production and 3 more”.
pub(super) fn listed(clusters: &[Cluster]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = clusters.iter().take(SHOWN).map(|c| c.name.as_str()).collect();
    match (names.as_slice(), clusters.len().saturating_sub(SHOWN)) {
        ([], _) => "none now".into(),
        ([one], 0) => (*one).to_owned(),
        ([most @ .., last], 0) => format!("{} and {last}", most.join(", ")),
        (names, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        cluster::tests::cluster,
        samples::{HOSTILE, LONG_EMAIL, NOW, frame},
        workspace::tests::{head, workspace},
    };
    use MemberRole::{Editor, Owner, Viewer};

    fn person(email: &str, groups: &[&str]) -> Identity {
        Identity {
            id: IdentityId::new(),
            provider: "dex".parse().unwrap(),
            issuer: "https://idp.example".into(),
            sub: "s".into(),
            email: email.parse().ok(),
            email_verified: true,
            name: Some(HOSTILE.into()),
            groups: groups.iter().map(ToString::to_string).collect(),
            last_sign_in: NOW,
        }
    }

    fn member(who: Grantee, role: MemberRole) -> Member {
        Member { who, role, since: NOW, by: IdentityId::new() }
    }

    fn of(identity: &Identity, role: MemberRole) -> (Member, Option<Identity>) {
        (member(Grantee::Person(identity.id), role), Some(identity.clone()))
    }

    /// Members to draw.
    pub(in crate::web) fn sample_members() -> Vec<(Member, Option<Identity>)> {
        let dex = || "dex".parse().unwrap();
        vec![
            of(&person("alice@example.com", &[]), Owner),
            of(&person("", &[]), Owner),
            (member(Grantee::Email(dex(), LONG_EMAIL.parse().unwrap()), Editor), None),
            (member(Grantee::Group(dex(), HOSTILE.into()), Editor), None),
            (member(Grantee::Group(dex(), "devs".into()), Viewer), None),
        ]
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let members = sample_members();
        let draw = |may_change, asking, form: MemberForm, errors, times: usize| {
            let rows = members.iter().cycle().take(times).enumerate();
            MembersPage {
                frame: frame(),
                head: head(&workspace("Payments"), Tab::Members),
                here: "/m".into(),
                may_change,
                asking,
                errors,
                providers: vec![Choice::new("dex", "Dex", ""), Choice::new("corp", HOSTILE, "")],
                rows: rows
                    .map(|(n, (m, p))| row(m, p.as_ref(), n == 0, Some(LONG_EMAIL.into()), vec![HOSTILE.into()], NOW))
                    .collect(),
                next: (times >= A_PAGE).then(|| "/m?page=1".into()),
                newest: true,
                form,
            }
            .render()
            .unwrap()
        };
        let (gone, there) = &members[0];
        let asks = removes(gone, there.as_ref(), &members, &[cluster("staging"), cluster("lab")], false);
        let mut errors = FieldErrors::default();
        for field in ["kind", "name", "provider", "role"] {
            errors.add(field, HOSTILE);
        }
        let wrong = MemberForm { name: HOSTILE.into(), ..MemberForm::default() };
        let plain = MemberForm::default;
        vec![
            ("members", draw(true, None, plain(), FieldErrors::default(), 5)),
            ("members-full", draw(true, Some(asks), plain(), FieldErrors::default(), A_PAGE)),
            ("members-change", draw(true, Some(changes(gone, there.as_ref())), plain(), FieldErrors::default(), 5)),
            ("members-last", draw(true, Some(keeps(gone, there.as_ref())), plain(), FieldErrors::default(), 5)),
            ("members-wrong", draw(true, None, wrong, errors, 5)),
            ("members-viewer", draw(false, None, plain(), FieldErrors::default(), 5)),
        ]
    }

    #[test]
    fn a_removal_says_what_is_lost_and_what_stays() {
        let bob = person("bob@example.com", &["devs", "ops"]);
        let dex = || "dex".parse().unwrap();
        let mut members = vec![of(&bob, Editor), (member(Grantee::Group(dex(), "devs".into()), Viewer), None)];
        let clusters = [cluster("staging"), cluster("lab")];
        let asks = removes(&members[0].0, Some(&bob), &members, &clusters, false);
        assert_eq!(asks.title, "Remove bob@example.com, an editor?");
        assert_eq!(
            asks.text[0],
            "They can no longer give and take access on its clusters. Its clusters: staging and lab."
        );
        assert_eq!(asks.text[1], "By a group that they are in, they stay a viewer here.");
        members.pop();
        let asks = removes(&members[0].0, Some(&bob), &members, &[], true);
        assert_eq!((asks.title.as_str(), asks.text.len()), ("Leave this workspace?", 2));
        let many: Vec<Cluster> = (0..7).map(|n| cluster(&format!("c{n}"))).collect();
        assert_eq!(listed(&many), "c0, c1, c2, c3, c4 and 2 more");
    }

    #[test]
    fn immune_33_the_last_owning_person_is_told_from_groups_and_addresses() {
        let (alice, bob) = (person("alice@example.com", &[]), person("bob@example.com", &[]));
        let mut members =
            vec![of(&alice, Owner), (member(Grantee::Group("dex".parse().unwrap(), "ops".into()), Owner), None)];
        assert!(last_owner(&members[0].0, &members));
        assert!(!last_owner(&members[1].0, &members));
        members.push(of(&bob, Owner));
        assert!(!last_owner(&members[0].0, &members));
    }
}
