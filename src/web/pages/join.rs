//! What an invitation offers to somebody who has signed in: who invites them where, and what they may do there.

use askama::Template;
use axum::response::Response;

use super::{
    members::listed,
    workspace::{a_role, role_means},
};
use crate::{
    model::{time::Timestamp, workspace::Workspace},
    policy::{Authorized, JoinWorkspace},
    store::Store,
    web::{
        errors::PageError,
        frame::{Frame, render},
        paths,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/join.html")]
struct JoinPage {
    frame: Frame,
    here: String,
    maker: String,
    workspace: String,
    role: &'static str,
    means: &'static str,
    clusters: String,
    until: When,
}

#[derive(Template)]
#[template(path = "pages/join_already.html")]
struct MemberAlready {
    frame: Frame,
    workspace: String,
    href: String,
}

/// The page that asks to accept.
pub(super) async fn page(
    store: &Store,
    frame: Frame,
    permit: &Authorized<JoinWorkspace>,
    here: &str,
    now: Timestamp,
) -> Result<Response, PageError> {
    let (invitation, workspace) = (permit.invitation(), permit.workspace());
    let maker = store.identity(invitation.created_by).await?;
    let clusters = store.clusters_in(&[workspace.id]).await?;
    Ok(render(&JoinPage {
        frame,
        here: here.to_owned(),
        maker: maker.display().to_owned(),
        workspace: workspace.name.clone(),
        role: a_role(invitation.role),
        means: role_means(invitation.role),
        clusters: listed(&clusters),
        until: When::new(invitation.expires_at, now),
    }))
}

/// The page for somebody who is a member already.
pub(super) fn already(frame: Frame, workspace: &Workspace) -> Response {
    let href = paths::workspace(workspace.id);
    render(&MemberAlready { frame, workspace: workspace.name.clone(), href })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::workspace::MemberRole,
        web::pages::samples::{HOSTILE, LONG_EMAIL, NOW, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let join = JoinPage {
            frame: frame(),
            here: "/accept/x".into(),
            maker: LONG_EMAIL.into(),
            workspace: HOSTILE.into(),
            role: a_role(MemberRole::Editor),
            means: role_means(MemberRole::Editor),
            clusters: "staging and production".into(),
            until: When::new(NOW, NOW),
        };
        let already = MemberAlready { frame: frame(), workspace: HOSTILE.into(), href: "/workspaces/x".into() };
        vec![("join", join.render().unwrap()), ("join-already", already.render().unwrap())]
    }
}
