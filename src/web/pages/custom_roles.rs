//! `/custom-roles` and `/workspaces/{workspace}/custom-roles`: the custom roles that there are, and making one.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    custom_role_form::RoleForm,
    group_home::Home,
    role_rules::{LISTED, Plain, plainly},
    roles,
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, CustomRoles},
    clock::Clock,
    k8s::{RoleRules, Rule},
    model::{
        custom_role::CustomRole,
        rbac::PolicyRule,
        reach::{Danger, dangers},
    },
    store::Store,
    web::{
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/custom_roles.html")]
struct RolesPage {
    frame: Frame,
    head: Option<Head>,
    here: String,
    about: &'static str,
    rows: Vec<Row>,
    may_make: bool,
    form: RoleForm,
    told: Option<Told>,
    errors: FieldErrors,
}

struct Row {
    /// Its page, where they may look at it.
    href: Option<String>,
    name: String,
    words: String,
}

/// What rules allow, for people.
pub(super) struct Told {
    /// As the end of a sentence that begins with “They can”.
    pub(super) words: String,
    pub(super) dangers: Vec<Danger>,
    pub(super) can: Vec<Plain>,
    pub(super) cannot: String,
    pub(super) rules: RoleRules,
}

impl Told {
    pub(super) fn of(rules: &[PolicyRule]) -> Self {
        let shown = RoleRules { rules: rules.iter().map(Rule::from).collect(), more: 0 };
        let (can, cannot) = plainly(rules);
        Self {
            words: roles::in_words(&shown.rules),
            dangers: dangers(rules),
            can,
            cannot,
            rules: roles::fitting(shown, LISTED),
        }
    }
}

/// The list of a workspace.
pub async fn of_workspace(at: AtWorkspace, State(store): State<Store>) -> Result<Response, PageError> {
    page(&Home::Workspace(Box::new(at)), &store, RoleForm::default(), None, FieldErrors::default()).await
}

/// The list of those of all workspaces.
pub async fn everywhere(
    who: SignedIn,
    State(store): State<Store>,
    State(clock): State<Clock>,
) -> Result<Response, PageError> {
    let home = Home::Everywhere(Box::new(who), clock.now());
    // Whoever sees them may make them.
    home.make_role()?;
    page(&home, &store, RoleForm::default(), None, FieldErrors::default()).await
}

/// Makes one in a workspace.
pub async fn make_in_workspace(
    at: AtWorkspace,
    State(store): State<Store>,
    State(custom): State<CustomRoles>,
    ProtectedForm(form): ProtectedForm<RoleForm>,
) -> Result<Response, PageError> {
    make(&Home::Workspace(Box::new(at)), &store, &custom, form).await
}

/// Makes one of all workspaces.
pub async fn make_everywhere(
    who: SignedIn,
    State(store): State<Store>,
    State(custom): State<CustomRoles>,
    State(clock): State<Clock>,
    ProtectedForm(form): ProtectedForm<RoleForm>,
) -> Result<Response, PageError> {
    make(&Home::Everywhere(Box::new(who), clock.now()), &store, &custom, form).await
}

async fn make(home: &Home, store: &Store, custom: &CustomRoles, form: RoleForm) -> Result<Response, PageError> {
    let (permit, mut errors) = (home.make_role()?, FieldErrors::default());
    if form.is_preview() {
        let told = form.preview(&mut errors);
        return page(home, store, form, told, errors).await;
    }
    let (name, rules) = (form.read_name(&mut errors), form.read_rules(&mut errors));
    if let (Some(name), Some(rules)) = (name, rules) {
        match custom.create(&permit, name, rules).await {
            Ok(id) => return Ok(Redirect::to(&paths::custom_role(id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(home, store, form, None, errors).await
}

async fn page(
    home: &Home,
    store: &Store,
    form: RoleForm,
    told: Option<Told>,
    errors: FieldErrors,
) -> Result<Response, PageError> {
    let all = store.custom_roles_usable_in(home.workspace()).await?;
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = RolesPage {
        frame: home.frame(),
        head: home.head_at(Tab::Roles),
        here: home.roles(),
        about: about(home.workspace().is_some()),
        rows: all.iter().map(|role| row(home, role)).collect(),
        may_make: home.make_role().is_ok(),
        form,
        told,
        errors,
    };
    Ok(render_with(status, &page))
}

fn about(in_workspace: bool) -> &'static str {
    if in_workspace {
        "Rules that are written once and given on this workspace’s clusters wherever a role is chosen. On a cluster one is a ClusterRole, which Kubelend makes when it is given there, and takes away when nobody holds it any more."
    } else {
        "Rules that are written once and given on every cluster of every workspace. Platform admins alone write them."
    }
}

fn row(home: &Home, role: &CustomRole) -> Row {
    let everywhere = role.workspace.is_none() && home.workspace().is_some();
    let rules: Vec<Rule> = role.rules.iter().map(Rule::from).collect();
    let theirs = !everywhere || home.who().person.is_platform_admin();
    Row {
        href: theirs.then(|| paths::custom_role(role.id)),
        name: if everywhere { format!("{} (of all workspaces)", role.name) } else { role.name.to_string() },
        words: format!("They can {}", roles::in_words(&rules)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::reach::tests::rule,
        web::{
            frame::Nav,
            pages::{
                samples::{HOSTILE, frame},
                workspace::tests::{head, workspace},
            },
        },
    };

    /// Rules of which much is to be said.
    pub(in crate::web) fn much() -> Vec<PolicyRule> {
        let mut one = rule(&["get", "list", "*"], &["", "apps"], &["pods", "secrets", "pods/exec", "deployments"]);
        one.names = vec!["x".repeat(60); 3];
        vec![one; 12]
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |rows: usize, wrong: bool, may_make: bool, told: Option<Told>| {
            let mut errors = FieldErrors::default();
            if wrong {
                for field in ["name", "yaml", "g1", "r1", "v1", "n2"] {
                    errors.add(field, HOSTILE);
                }
            }
            let row = |n: usize| Row {
                href: (!n.is_multiple_of(3)).then(|| "/custom-roles/x".into()),
                name: "x".repeat(40),
                words: HOSTILE.into(),
            };
            let page = RolesPage {
                frame: frame().at(Nav::Workspaces),
                head: (!wrong).then(|| head(&workspace(HOSTILE), Tab::Roles)),
                here: "/custom-roles".into(),
                about: about(true),
                rows: (0..rows).map(row).collect(),
                may_make,
                form: RoleForm {
                    name: HOSTILE.into(),
                    yaml: HOSTILE.into(),
                    r1: HOSTILE.into(),
                    ..RoleForm::default()
                },
                told,
                errors,
            };
            page.render().unwrap()
        };
        vec![
            ("custom-roles", draw(60, false, true, None)),
            ("custom-roles-errors", draw(2, true, true, None)),
            ("custom-roles-empty", draw(0, false, false, None)),
            ("custom-roles-preview", draw(2, false, true, Some(Told::of(&much())))),
        ]
    }
}
