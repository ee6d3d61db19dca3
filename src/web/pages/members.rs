//! `/workspaces/{workspace}/members`: who is what in it; adding, changing and removing them. Removing asks first, and says who
//! loses what.

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    member_form::{MemberForm, key},
    member_groups,
    member_list::{self, Asked, Asking, Listed, MemberList, Wanted, Words, changes, named, still},
    workspace::{AtWorkspace, Head, Tab, a_role, role_means},
};
use crate::{
    access::{AccessError, Seats, Workspaces},
    model::{
        cluster::Cluster,
        group::SeatedGroup,
        id::WorkspaceId,
        identity::Identity,
        workspace::{Member, Seats as Place},
    },
    oidc::Providers,
    policy::{self, Forbidden},
    store::Store,
    web::{
        Parts,
        errors::{NextStep, PageError},
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
    },
};

#[derive(Template)]
#[template(path = "pages/members.html")]
struct MembersPage {
    frame: Frame,
    head: Head,
    list: MemberList,
}

/// What is said of a workspace's members.
fn words(removing: bool) -> Words {
    Words {
        roles: "Viewers look, editors give and take access, owners manage the clusters, the members and the workspace.",
        looking: (!removing).then_some("An owner can change who is what here."),
        nobody: "Nobody is a member by themselves.",
    }
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    workspaces: Workspaces,
    seats: Seats,
    store: Store,
    providers: Providers,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            workspaces: parts.workspaces.clone(),
            seats: parts.seats.clone(),
            store: parts.store.clone(),
            providers: parts.providers.clone(),
        }
    }
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
        let groups = policy::seat_in_workspace(&permit);
        if let Some(done) = member_groups::change_group(&self.seats, &groups, form, errors).await {
            return done;
        }
        if form.change == "add" {
            let Some((who, role)) = form.read(&self.providers, Some(at.id()), errors) else { return Ok(()) };
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
        let seats = self.store.seated_groups(Place::Workspace(at.id())).await?;
        let frame = at.frame();
        let removing = at.workspace().removing.is_some();
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let wanted = Wanted {
            here: paths::members(at.id()),
            csrf: &frame.csrf,
            me: at.who.person.identity().id,
            members: &members,
            seats: &seats,
            home: at.id(),
            groups_of: groups_of(at),
            page: asked.page,
            words: words(removing),
            may_change: at.manage_members().is_ok() && !removing,
            asking: self.asking(at, &asked, &members, &seats).await?,
            form,
            errors,
        };
        let list = member_list::list(&self.store, &self.providers, wanted, at.now).await?;
        Ok(render_with(status, &MembersPage { head: at.head(Tab::Members), frame, list }))
    }

    async fn asking(
        &self,
        at: &AtWorkspace,
        asked: &Asked,
        members: &Listed,
        seats: &[SeatedGroup],
    ) -> Result<Option<Asking>, PageError> {
        if let Some(seat) = asked.about_group(seats) {
            return Ok(at.manage_members().is_ok().then(|| member_groups::asks_of_group(asked, seat)));
        }
        let about = asked.about(members, at.who.person.identity().id);
        let Some((member, person, leaves)) = about.filter(|(.., leaves)| *leaves || at.manage_members().is_ok()) else {
            return Ok(None);
        };
        if last_owner(member, members) {
            return Ok(Some(keeps(member, person)));
        }
        if !asked.change.is_empty() {
            return Ok(Some(changes(member, person)));
        }
        let clusters = self.store.clusters_in(&[at.id()]).await?;
        Ok(Some(removes(member, person, members, &clusters, leaves)))
    }
}

/// Whose Groups can be made members, by whoever may.
fn groups_of(at: &AtWorkspace) -> Option<WorkspaceId> {
    at.manage_members().ok().map(|_| at.id())
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
    use crate::{
        model::{grant::Grantee, id::IdentityId, workspace::MemberRole},
        web::{
            forms::Choice,
            pages::{
                cluster::tests::cluster,
                member_list::{A_PAGE, row},
                samples::{HOSTILE, LONG_EMAIL, NOW, frame},
                workspace::tests::{head, workspace},
            },
        },
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

    /// A list to draw, of so many.
    pub(in crate::web) fn sample_list(
        words: Words,
        may_change: bool,
        asking: Option<Asking>,
        times: usize,
    ) -> MemberList {
        let members = sample_members();
        let rows = members.iter().cycle().take(times).enumerate();
        let rows =
            rows.map(|(n, (m, p))| row(m, p.as_ref(), n == 0, Some(LONG_EMAIL.into()), vec![HOSTILE.into()], NOW));
        MemberList {
            here: "/m".into(),
            csrf: frame().csrf,
            words,
            may_change,
            asking,
            errors: FieldErrors::default(),
            providers: vec![Choice::new("dex", "Dex", ""), Choice::new("corp", HOSTILE, "")],
            rows: rows.collect(),
            names_groups: may_change,
            groups: HOSTILE.into(),
            next: (times >= A_PAGE).then(|| "/m?page=1".into()),
            newest: true,
            form: MemberForm::default(),
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let members = sample_members();
        let draw = |may_change, asking, form: MemberForm, errors, times: usize| {
            let list = MemberList { form, errors, ..sample_list(words(false), may_change, asking, times) };
            MembersPage { frame: frame(), head: head(&workspace("Payments"), Tab::Members), list }.render().unwrap()
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
