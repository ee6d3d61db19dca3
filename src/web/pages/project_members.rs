//! `/workspaces/{workspace}/projects/{project}/members`: who is what in a project, and whom of its workspace it takes over.

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    at_project::{AtProject, ProjectHead, ProjectTab},
    member_form::{MemberForm, key},
    member_groups,
    member_list::{self, Asked, Asking, Listed, MemberList, Wanted, Words, changes, named, still},
    workspace::{Head, a_role},
};
use crate::{
    access::{AccessError, Projects, Seats},
    model::{
        group::SeatedGroup,
        id::WorkspaceId,
        identity::Identity,
        project::Takes,
        workspace::{Member, MemberRole, Seats as Place},
    },
    oidc::Providers,
    policy::{self, Authorized, Forbidden, ManageProjectMembers},
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
#[template(path = "pages/project_members.html")]
struct ProjectMembersPage {
    frame: Frame,
    head: Head,
    own: ProjectHead,
    /// The name of the workspace.
    workspace: String,
    list: MemberList,
    takes: Takes,
    /// Where the switches are sent, for those who may turn them.
    switch: Option<String>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    projects: Projects,
    seats: Seats,
    store: Store,
    providers: Providers,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            projects: parts.projects.clone(),
            seats: parts.seats.clone(),
            store: parts.store.clone(),
            providers: parts.providers.clone(),
        }
    }
}

/// Whom of the workspace it takes over: a box for each role.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct TakesForm {
    editors: String,
    viewers: String,
}

/// What is said of a project's members.
fn words(removing: bool) -> Words {
    Words {
        roles: "Viewers look at the project, editors give and take access in it, owners say who is a member, too. Nothing of the workspace beyond the project is theirs.",
        looking: (!removing).then_some("An owner of the project or of its workspace can change who is what here."),
        nobody: "Only people of the workspace look after this project, as it says below. Whoever is added here sees this project and nothing else of the workspace.",
    }
}

/// The page.
pub async fn get(at: AtProject, Query(asked): Query<Asked>, State(desk): State<Desk>) -> Result<Response, PageError> {
    desk.page(&at, &asked, MemberForm::default(), FieldErrors::default()).await
}

/// Adds, changes or removes a member, or leaves.
pub async fn post(
    at: AtProject,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<MemberForm>,
) -> Result<Response, PageError> {
    let here = paths::project_members(at.workspace().id, at.project().id);
    let mut errors = FieldErrors::default();
    match desk.change(&at, &form, &mut errors).await {
        Ok(()) if errors.is_empty() => {
            // Whoever has left may not see where they were.
            let stays = form.change != "leave";
            return Ok(Redirect::to(if stays { &here } else { paths::WORKSPACES }).into_response());
        }
        Ok(()) => {}
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(AccessError::Forbidden(why @ Forbidden::RaisesThemselves)) => {
            return Err(PageError::from(why).with_next(NextStep::new("Back to the members", here)));
        }
        Err(other) => return Err(other.into()),
    }
    desk.page(&at, &Asked::default(), form, errors).await
}

/// Says whom of its workspace it takes over.
pub async fn switch(
    at: AtProject,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<TakesForm>,
) -> Result<Response, PageError> {
    let takes = Takes { editors: !form.editors.is_empty(), viewers: !form.viewers.is_empty() };
    desk.projects.take_over(&at.manage_takes()?, takes).await?;
    Ok(Redirect::to(&paths::project_members(at.workspace().id, at.project().id)).into_response())
}

impl Desk {
    async fn change(&self, at: &AtProject, form: &MemberForm, errors: &mut FieldErrors) -> Result<(), AccessError> {
        if form.change == "leave" {
            return self.projects.leave(&at.seen).await;
        }
        let permit = at.manage_members()?;
        let groups = policy::seat_in_project(&permit);
        if let Some(done) = member_groups::change_group(&self.seats, &groups, form, errors).await {
            return done;
        }
        if form.change == "add" {
            let Some((who, role)) = form.read(&self.providers, Some(at.workspace().id), errors) else { return Ok(()) };
            return self.projects.add(&permit, who, role).await;
        }
        let members = self.store.project_members(at.project().id).await?;
        let member = members.into_iter().find(|(m, _)| key(&m.who) == form.member);
        match (form.change.as_str(), member) {
            ("remove", Some((member, _))) => self.projects.remove(&permit, &member.who).await,
            // Somebody else was quicker.
            ("remove", None) => Ok(()),
            ("role", Some((member, _))) => {
                let Some(role) = form.role(errors) else { return Ok(()) };
                self.projects.change(&permit, member.who, role).await
            }
            _ => Err(AccessError::NotFound),
        }
    }

    async fn page(
        &self,
        at: &AtProject,
        asked: &Asked,
        form: MemberForm,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let members = self.store.project_members(at.project().id).await?;
        let seats = self.store.seated_groups(Place::Project(at.project().id)).await?;
        let frame = at.frame();
        let removing = at.workspace().removing.is_some();
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let (workspace, project) = (at.workspace().id, at.project().id);
        let wanted = Wanted {
            here: paths::project_members(workspace, project),
            csrf: &frame.csrf,
            me: at.who.person.identity().id,
            members: &members,
            seats: &seats,
            home: workspace,
            groups_of: groups_of(at),
            page: asked.page,
            words: words(removing),
            may_change: at.manage_members().is_ok() && !removing,
            asking: asking(at, asked, &members, &seats),
            form,
            errors,
        };
        let page = ProjectMembersPage {
            list: member_list::list(&self.store, &self.providers, wanted, at.now).await?,
            head: at.head(),
            own: at.own_head(ProjectTab::Members),
            workspace: at.workspace().name.clone(),
            takes: at.project().takes,
            switch: (at.manage_takes().is_ok() && !removing).then(|| paths::project_takes(workspace, project)),
            frame,
        };
        Ok(render_with(status, &page))
    }
}

/// Whose Groups can be made members, by whoever may and may know of them.
fn groups_of(at: &AtProject) -> Option<WorkspaceId> {
    at.manage_members().ok().filter(Authorized::<ManageProjectMembers>::sees_workspace).map(|_| at.workspace().id)
}

fn asking(at: &AtProject, asked: &Asked, members: &Listed, seats: &[SeatedGroup]) -> Option<Asking> {
    if let Some(seat) = asked.about_group(seats) {
        return at.manage_members().is_ok().then(|| member_groups::asks_of_group(asked, seat));
    }
    let (member, person, leaves) = asked.about(members, at.who.person.identity().id)?;
    if !leaves && at.manage_members().is_err() {
        return None;
    }
    if !asked.change.is_empty() {
        return Some(changes(member, person));
    }
    Some(removes(member, person, members, leaves))
}

/// What a member of this role does in a project.
fn role_means(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Viewer => "look at this project and at who has access in it",
        MemberRole::Editor => "give and take access in this project",
        MemberRole::Owner => "give and take access in this project, and say who its members are",
    }
}

fn removes(member: &Member, person: Option<&Identity>, members: &Listed, leaves: bool) -> Asking {
    let name = named(&member.who, person);
    let they = if leaves { "You" } else { "They" };
    let mut text = vec![format!("{they} can no longer {}, from the next page on.", role_means(member.role))];
    text.extend(still(person, members).map(|role| {
        let group = if leaves { "you are in, you stay" } else { "they are in, they stay" };
        format!("By a group that {group} {} here.", a_role(role))
    }));
    text.push(
        "What they gave, and what was given to them in the project’s namespaces, stays; take that back under Access."
            .into(),
    );
    Asking {
        title: if leaves { "Leave this project?".into() } else { format!("Remove {name}, {}?", a_role(member.role)) },
        text,
        change: Some(if leaves { "leave" } else { "remove" }),
        button: if leaves { "Leave" } else { "Remove" },
        key: key(&member.who),
        roles: Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::{
        frame::Nav,
        pages::{
            member_list::A_PAGE,
            members::tests::{sample_list, sample_members},
            project::tests::project,
            samples::{HOSTILE, frame},
            workspace::tests::{head, workspace},
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let members = sample_members();
        let draw = |owner: bool, asking, times| {
            let home = workspace(HOSTILE);
            let page = ProjectMembersPage {
                frame: frame().at(Nav::Workspaces),
                head: if owner { head(&home, super::super::workspace::Tab::Projects) } else { Head::outside(&home) },
                own: ProjectHead::new(&project(HOSTILE), ProjectTab::Members),
                workspace: HOSTILE.into(),
                list: sample_list(words(false), owner, asking, times),
                takes: Takes { editors: true, viewers: owner },
                switch: owner.then(|| "/x".into()),
            };
            page.render().unwrap()
        };
        let (gone, there) = &members[2];
        vec![
            ("project-members", draw(true, None, 5)),
            ("project-members-full", draw(true, Some(removes(gone, there.as_ref(), &members, false)), A_PAGE)),
            ("project-members-empty", draw(true, None, 0)),
            ("project-members-seen", draw(false, None, 3)),
        ]
    }

    #[test]
    fn immune_28_a_member_of_a_project_alone_finds_no_way_into_the_workspace() {
        let pages = samples();
        let page = |name: &str| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        let leads = |page: &str, to: &str| page.contains(&format!("/{to}\""));
        for tab in ["access", "matrix", "groups", "settings", "invitations", "activity"] {
            assert!(leads(page("project-members"), tab), "{tab}");
            assert!(!leads(page("project-members-seen"), tab), "{tab}");
        }
        assert!(!page("project-members-seen").contains("Save switches"));
        assert!(page("project-members-empty").contains("Nobody yet"));
    }
}
