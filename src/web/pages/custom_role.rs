//! `/custom-roles/{role}`: what a custom role allows, who holds it, other rules for it, and its end.

use askama::Template;
use axum::{
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts as RequestParts},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    access::grantee_name,
    custom_role_form::RoleForm,
    custom_roles::Told,
    group_home::Home,
    workspace::{self, Head, Tab},
};
use crate::{
    access::{AccessError, CustomRoles},
    kubeconfig,
    model::{custom_role::CustomRole, id::CustomRoleId},
    policy::{self, Authorized, Forbidden, ManageRole, ViewRole},
    store::{RoleHolders, Store},
    web::{
        Parts,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/custom_role.html")]
struct RolePage {
    frame: Frame,
    head: Option<Head>,
    here: String,
    back: String,
    delete: String,
    name: String,
    object: String,
    told: Told,
    /// Who holds it, in words, each with where that is taken back.
    held: Vec<(String, String)>,
    /// How many more there are.
    more: u64,
    /// What else there is of it: grants that reach further, links.
    besides: Option<String>,
    may_change: bool,
    form: RoleForm,
    /// What other rules would allow.
    preview: Option<Told>,
    /// What they would allow beyond what it allows now, where somebody would get it.
    widens: Vec<String>,
    holders: String,
    errors: FieldErrors,
}

/// A custom role that somebody looks at, from the address of the page. To whom it is not shown, it is not there.
#[derive(Debug)]
pub struct AtCustomRole {
    /// That they may.
    pub seen: Authorized<ViewRole>,
    home: Home,
}

#[derive(serde::Deserialize)]
struct RolePath {
    role: CustomRoleId,
}

impl FromRequestParts<Parts> for AtCustomRole {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut RequestParts, state: &Parts) -> Result<Self, Response> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        let path = Path::<RolePath>::from_request_parts(parts, state).await;
        let Path(RolePath { role }) = path.map_err(|_| PageError::not_found().into_response())?;
        load(who, role, state).await.map_err(IntoResponse::into_response)
    }
}

async fn load(who: SignedIn, id: CustomRoleId, state: &Parts) -> Result<AtCustomRole, PageError> {
    let seen = state.gate.view_custom_role(&who.person, id).await?;
    let home = match seen.role().workspace {
        Some(workspace) => Home::Workspace(Box::new(workspace::load(who, workspace, state).await?)),
        None => Home::Everywhere(Box::new(who), state.clock.now()),
    };
    Ok(AtCustomRole { seen, home })
}

impl AtCustomRole {
    fn role(&self) -> &CustomRole {
        self.seen.role()
    }

    fn manage(&self) -> Result<Authorized<ManageRole>, Forbidden> {
        let role = self.role().clone();
        match &self.home {
            Home::Workspace(at) => policy::manage_role(&at.who.person, role, Some(at.workspace()), at.member),
            Home::Everywhere(who, _) => policy::manage_role(&who.person, role, None, None),
        }
    }
}

/// The page.
pub async fn get(at: AtCustomRole, State(store): State<Store>) -> Result<Response, PageError> {
    let form = RoleForm::of(kubeconfig::role_manifest(None, at.role().name.as_str(), &at.role().rules));
    page(&at, &store, form, FieldErrors::default()).await
}

/// Gives it other rules, or shows what they would allow.
pub async fn post(
    at: AtCustomRole,
    State(store): State<Store>,
    State(custom): State<CustomRoles>,
    ProtectedForm(form): ProtectedForm<RoleForm>,
) -> Result<Response, PageError> {
    let (permit, mut errors) = (at.manage()?, FieldErrors::default());
    if let Some(rules) = form.read_rules(&mut errors).filter(|_| !form.is_preview()) {
        match custom.change(&permit, &rules, form.vouches()).await {
            Ok(()) => return Ok(Redirect::to(&paths::custom_role(at.role().id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    page(&at, &store, form, errors).await
}

/// Deletes it.
pub async fn delete(
    at: AtCustomRole,
    State(store): State<Store>,
    State(custom): State<CustomRoles>,
    _: ProtectedForm<serde::de::IgnoredAny>,
) -> Result<Response, PageError> {
    let mut errors = FieldErrors::default();
    match custom.remove(&at.manage()?).await {
        Ok(()) => return Ok(Redirect::to(&at.home.roles()).into_response()),
        Err(AccessError::Invalid { field, message }) => errors.add(field, message),
        Err(other) => return Err(other.into()),
    }
    let form = RoleForm::of(kubeconfig::role_manifest(None, at.role().name.as_str(), &at.role().rules));
    page(&at, &store, form, errors).await
}

async fn page(at: &AtCustomRole, store: &Store, form: RoleForm, errors: FieldErrors) -> Result<Response, PageError> {
    let (role, may_change) = (at.role(), at.manage().is_ok());
    let holders = store.holders_of_role(&role.role, at.home.now()).await?;
    let typed = form.read_rules(&mut FieldErrors::default()).filter(|rules| *rules != role.rules);
    let widens = typed.as_ref().map(|rules| CustomRoles::widens(role, rules)).unwrap_or_default();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = RolePage {
        frame: at.home.frame(),
        head: at.home.head_at(Tab::Roles),
        here: paths::custom_role(role.id),
        back: at.home.roles(),
        delete: paths::delete_custom_role(role.id),
        name: role.name.to_string(),
        object: role.role.as_str().to_owned(),
        told: Told::of(&role.rules),
        held: held(store, &holders).await?,
        more: holders.count.saturating_sub(u64::try_from(holders.grants.len()).unwrap_or_default()),
        besides: besides(&holders),
        may_change,
        preview: typed.as_deref().map(Told::of).filter(|_| may_change),
        widens: if holders.count + holders.wide > 0 { widens } else { Vec::new() },
        holders: counted(holders.count + holders.wide, "grant"),
        form,
        errors,
    };
    Ok(render_with(status, &page))
}

async fn held(store: &Store, holders: &RoleHolders) -> Result<Vec<(String, String)>, PageError> {
    let mut all = Vec::new();
    for (grant, person) in &holders.grants {
        let cluster = store.cluster(grant.scope.cluster()).await?;
        let who = grantee_name(&grant.grantee, person.as_ref());
        all.push((format!("{who} on {}, {}", cluster.name, grant.scope.in_words()), paths::access(cluster.id)));
    }
    Ok(all)
}

fn besides(holders: &RoleHolders) -> Option<String> {
    let wide =
        (holders.wide > 0).then(|| format!("{} that reach further than one cluster", counted(holders.wide, "grant")));
    let links = (holders.links > 0).then(|| format!("{} that offer it", counted(holders.links, "open share link")));
    let all: Vec<String> = wide.into_iter().chain(links).collect();
    (!all.is_empty()).then(|| format!("There are {}.", all.join(", and ")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::{
        frame::Nav,
        pages::{
            custom_roles::tests::much,
            samples::{HOSTILE, frame},
            workspace::tests::{head, workspace},
        },
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |held: usize, wrong: bool, may_change: bool, preview: bool| {
            let mut errors = FieldErrors::default();
            if wrong {
                for field in ["yaml", "vouch", "delete"] {
                    errors.add(field, HOSTILE);
                }
            }
            let page = RolePage {
                frame: frame().at(Nav::Workspaces),
                head: Some(head(&workspace(HOSTILE), Tab::Roles)),
                here: "/custom-roles/x".into(),
                back: "/custom-roles".into(),
                delete: "/custom-roles/x/delete".into(),
                name: "x".repeat(40),
                object: format!("kubelend:{}:12345678", "x".repeat(40)),
                told: Told::of(&much()),
                held: (0..held).map(|_| (HOSTILE.to_owned(), "/clusters/x/access".to_owned())).collect(),
                more: held as u64,
                besides: (held > 0).then(|| HOSTILE.into()),
                may_change,
                form: RoleForm::of(kubeconfig::role_manifest(None, "x", &much())),
                preview: preview.then(|| Told::of(&much())),
                widens: if preview { vec![HOSTILE.into(); 13] } else { Vec::new() },
                holders: "3 grants".into(),
                errors,
            };
            page.render().unwrap()
        };
        vec![
            ("custom-role", draw(20, false, true, false)),
            ("custom-role-errors", draw(1, true, true, true)),
            ("custom-role-seen", draw(0, false, false, false)),
            ("custom-role-preview", draw(3, false, true, true)),
        ]
    }
}
