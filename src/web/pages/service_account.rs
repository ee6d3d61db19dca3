//! `/clusters/{cluster}/service-accounts/{account}`: one that Kubelend made: what it may, who holds kubeconfigs of it, a new one of
//! these, and its end.

use std::{collections::HashMap, time::Duration};

use askama::Template;
use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::ExposeSecret;

use super::{
    access_form::AccessForm,
    account_rows::{LeaseRow, account_state, lease_row},
    cluster::{AtCluster, Head, Tab},
    roles::{self, OfferedRole},
    scope,
    service_accounts::Held,
    sign_out::Empty,
};
use crate::{
    access::{AccessError, Observer, ServiceAccounts, TokenFile, TokenRequest},
    model::{
        grant::Grantee,
        id::{IdentityId, LeaseId, ServiceAccountId},
        service_account::{ServiceAccount, TokenLife},
    },
    store::{GrantFilter, Store},
    web::{
        Parts,
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm},
        frame::{Frame, render, render_with},
        labels::length,
        paths,
        when::When,
        words,
    },
};

/// How many leases and grants the page lists.
const A_PAGE: u32 = 40;

#[derive(Template)]
#[template(path = "pages/service_account.html")]
struct Page {
    frame: Frame,
    head: Head,
    name: String,
    user: String,
    class: &'static str,
    state: String,
    made: When,
    may_change: bool,
    /// Whether a token can be asked for.
    usable: bool,
    here: Here,
    lasts: Vec<Choice>,
    errors: FieldErrors,
    trouble: Option<words::Words>,
    lease: LeaseId,
    leases: Vec<LeaseRow>,
    grants: Vec<String>,
    form: AccessForm,
    roles: Vec<OfferedRole>,
    namespaces: Vec<String>,
    asking: bool,
}

/// Where the page's forms and links lead.
#[derive(Debug)]
struct Here {
    page: String,
    token: String,
    revoke: String,
    delete: String,
    can: String,
    access: String,
    granted: String,
    all: String,
}

#[derive(Template)]
#[template(path = "pages/service_account_token.html")]
struct ShownPage {
    frame: Frame,
    head: Head,
    name: String,
    back: String,
    yaml: String,
    ends: When,
    shortened: bool,
}

/// What the pages are made with.
#[derive(Clone, Debug)]
pub struct Desk {
    accounts: ServiceAccounts,
    observer: Observer,
    store: Store,
}

impl axum::extract::FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { accounts: parts.service_accounts.clone(), observer: parts.observer.clone(), store: parts.store.clone() }
    }
}

/// The account of an address.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct AccountPath {
    account: ServiceAccountId,
}

/// Asks for a token.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub struct TokenForm {
    /// The lease's id, drawn with the page: a form that is sent twice makes one token.
    lease: Option<LeaseId>,
    /// Seconds.
    lasts: u64,
    /// `file` or `show`.
    how: String,
    /// Set where it takes the place of another.
    renews: bool,
}

impl Default for TokenForm {
    fn default() -> Self {
        Self { lease: None, lasts: TokenLife::USUAL.span().as_secs(), how: "file".into(), renews: false }
    }
}

/// Takes one back.
#[derive(Debug, serde::Deserialize)]
pub struct RevokeForm {
    lease: LeaseId,
}

/// The page.
pub async fn get(
    at: AtCluster,
    Path(AccountPath { account }): Path<AccountPath>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    desk.page(&at, account, Asked::default()).await
}

/// Hands out a kubeconfig with a new token, once.
pub async fn token(
    at: AtCluster,
    Path(AccountPath { account }): Path<AccountPath>,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<TokenForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let mut asked = Asked { lasts: form.lasts, ..Asked::default() };
    let lasts = TokenLife::new(Duration::from_secs(form.lasts));
    let Some((lease, lasts)) = form.lease.zip(lasts) else {
        asked.errors.add("lasts", "Choose how long it lasts.");
        return desk.page(&at, account, asked).await;
    };
    match desk.accounts.issue(&permit, TokenRequest { lease, account, lasts, renews: form.renews }).await {
        Ok(file) if form.how == "show" => desk.shown(&at, account, &file).await,
        Ok(file) => Ok(download(&file)),
        Err(AccessError::Invalid { field, message }) => {
            asked.errors.add(field, message);
            desk.page(&at, account, asked).await
        }
        Err(AccessError::Cluster(error)) => {
            asked.trouble = Some(words::cluster_trouble(&error));
            desk.page(&at, account, asked).await
        }
        Err(other) => Err(other.into()),
    }
}

/// Takes a kubeconfig back.
pub async fn revoke(
    at: AtCluster,
    Path(AccountPath { account }): Path<AccountPath>,
    State(desk): State<Desk>,
    ProtectedForm(RevokeForm { lease }): ProtectedForm<RevokeForm>,
) -> Result<Response, PageError> {
    desk.accounts.revoke(&at.manage_access()?, account, lease).await?;
    Ok(Redirect::to(&paths::service_account(at.id(), account)).into_response())
}

/// Asks before it is deleted.
pub async fn ask_delete(
    at: AtCluster,
    Path(AccountPath { account }): Path<AccountPath>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    at.manage_access()?;
    desk.page(&at, account, Asked { asking: true, ..Asked::default() }).await
}

/// Deletes it.
pub async fn delete(
    at: AtCluster,
    Path(AccountPath { account }): Path<AccountPath>,
    State(desk): State<Desk>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    desk.accounts.delete(&at.manage_access()?, account).await?;
    Ok(Redirect::to(&paths::service_accounts(at.id())).into_response())
}

fn download(file: &TokenFile) -> Response {
    let disposition = format!("attachment; filename=\"{}\"", file.file_name);
    let headers = [(header::CONTENT_TYPE, "application/yaml".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, file.yaml.expose_secret().to_owned()).into_response()
}

/// What a request wants of the page.
struct Asked {
    asking: bool,
    lasts: u64,
    errors: FieldErrors,
    trouble: Option<words::Words>,
}

impl Default for Asked {
    fn default() -> Self {
        let lasts = TokenLife::USUAL.span().as_secs();
        Self { asking: false, lasts, errors: FieldErrors::default(), trouble: None }
    }
}

impl Desk {
    async fn page(&self, at: &AtCluster, id: ServiceAccountId, asked: Asked) -> Result<Response, PageError> {
        let account = self.accounts.of(at.cluster(), id).await?;
        let may_change = at.manage_access().is_ok() && at.cluster().removing.is_none() && account.ended_at.is_none();
        let ((roles, _), namespaces) = match at.manage_access() {
            Ok(permit) if may_change && !asked.asking => {
                tokio::join!(roles::offered(&self.observer, &permit), scope::known(&self.observer, &permit))
            }
            _ => ((Vec::new(), None), Vec::new()),
        };
        let status = match (asked.errors.is_empty(), &asked.trouble) {
            (false, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (true, Some(_)) => StatusCode::BAD_GATEWAY,
            (true, None) => StatusCode::OK,
        };
        let (class, state) = account_state(&account);
        let page = Page {
            frame: at.frame(),
            head: at.head(Tab::Access),
            user: account.name.user(),
            made: When::new(account.created_at, at.now),
            usable: may_change && account.uid.is_some() && Held::of(at.check.as_ref()).is_held(),
            here: here(at, &account),
            lasts: lives(asked.lasts),
            errors: asked.errors,
            trouble: asked.trouble,
            lease: LeaseId::new(),
            leases: self.leases(at, &account).await?,
            grants: self.grants(at, &account).await?,
            form: AccessForm::for_account(&account.name),
            name: account.name.to_string(),
            asking: asked.asking && account.ended_at.is_none(),
            class,
            state,
            may_change,
            roles,
            namespaces,
        };
        Ok(render_with(status, &page))
    }

    async fn shown(&self, at: &AtCluster, id: ServiceAccountId, file: &TokenFile) -> Result<Response, PageError> {
        let account = self.accounts.of(at.cluster(), id).await?;
        Ok(render(&ShownPage {
            frame: at.frame(),
            head: at.head(Tab::Access),
            name: account.name.to_string(),
            back: paths::service_account(at.id(), id),
            yaml: file.yaml.expose_secret().to_owned(),
            ends: When::new(file.expires_at, at.now),
            shortened: file.shortened,
        }))
    }

    async fn leases(&self, at: &AtCluster, account: &ServiceAccount) -> Result<Vec<LeaseRow>, PageError> {
        let leases = self.store.leases(account.id, A_PAGE).await?;
        let mut ids: Vec<IdentityId> = leases.iter().map(|lease| lease.created_by).collect();
        ids.sort();
        ids.dedup();
        let people = if ids.is_empty() { Vec::new() } else { self.store.identities(&ids).await? };
        let makers: HashMap<_, _> = people.iter().map(|p| (p.id, p.display().to_owned())).collect();
        Ok(leases.iter().map(|lease| lease_row(lease, &makers, at.now)).collect())
    }

    /// What was granted to it, in words.
    async fn grants(&self, at: &AtCluster, account: &ServiceAccount) -> Result<Vec<String>, PageError> {
        let filter = GrantFilter { text: Some(account.name.to_string()), ..GrantFilter::default() };
        let wanted = Grantee::ServiceAccount(account.name.clone());
        let found = self.store.grants_of_cluster(at.id(), &filter, None, A_PAGE).await?;
        let granted = found.rows.iter().filter(|(grant, _)| grant.grantee == wanted && grant.is_live(at.now));
        let words = granted.map(|(grant, _)| {
            let (_, state) = crate::web::labels::grant_state(grant, at.now);
            let role = crate::web::labels::role_word(grant.role.as_ref());
            format!("{role} on {}: {state}", grant.scope.in_words())
        });
        Ok(words.collect())
    }
}

fn here(at: &AtCluster, account: &ServiceAccount) -> Here {
    let name = account.name.to_string();
    Here {
        page: paths::service_account(at.id(), account.id),
        token: paths::service_account_token(at.id(), account.id),
        revoke: paths::revoke_token(at.id(), account.id),
        delete: paths::delete_service_account(at.id(), account.id),
        can: paths::can(at.id(), &[("kind", "account"), ("name", &name)]),
        access: paths::access(at.id()),
        granted: granted(at, &name),
        all: paths::service_accounts(at.id()),
    }
}

/// The access page, with the grants to it alone.
fn granted(at: &AtCluster, name: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", name).finish();
    format!("{}?{query}", paths::access(at.id()))
}

/// How long a token may last.
fn lives(chosen: u64) -> Vec<Choice> {
    let spans =
        [TokenLife::SHORTEST.span(), TokenLife::USUAL.span(), Duration::from_hours(8), TokenLife::LONGEST.span()];
    let chosen = chosen.to_string();
    spans.into_iter().map(|span| Choice::new(span.as_secs().to_string(), length(span), &chosen)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::{
        account_rows::tests::{account, lease},
        cluster::tests::{cluster, head},
        samples::{HOSTILE, NOW, check, frame},
    };

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |n: usize, leases: usize, asking: bool, errors: FieldErrors, trouble: Option<words::Words>| {
            let account = account(&staging, n);
            let (class, state) = account_state(&account);
            let makers = |l: &crate::model::service_account::Lease| HashMap::from([(l.created_by, HOSTILE.to_owned())]);
            let row = |n| {
                let lease = lease(n);
                lease_row(&lease, &makers(&lease), NOW)
            };
            let x = || "/x".to_owned();
            Page {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
                name: account.name.to_string(),
                user: account.name.user(),
                made: When::new(account.created_at, NOW),
                may_change: account.ended_at.is_none(),
                usable: account.uid.is_some(),
                here: Here {
                    page: x(),
                    token: x(),
                    revoke: x(),
                    delete: x(),
                    can: x(),
                    access: x(),
                    granted: x(),
                    all: x(),
                },
                lasts: lives(3_600),
                errors,
                trouble,
                lease: LeaseId::new(),
                leases: (0..leases).map(row).collect(),
                grants: vec!["view on namespace shop: applied".into(); leases.min(3)],
                form: AccessForm::for_account(&account.name),
                roles: roles::tests::offered(),
                namespaces: vec!["shop".into()],
                asking,
                class,
                state,
            }
            .render()
            .unwrap()
        };
        let fine = FieldErrors::default;
        let mut errors = FieldErrors::default();
        errors.add("lasts", HOSTILE);
        let down = words::cluster_trouble(&crate::k8s::K8sError::Forbidden(HOSTILE.into()));
        let shown = ShownPage {
            frame: frame(),
            head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
            name: "shop/deployer".into(),
            back: "/x".into(),
            yaml: HOSTILE.into(),
            ends: When::new(NOW.plus(Duration::from_hours(1)), NOW),
            shortened: true,
        };
        vec![
            ("service-account", draw(0, 6, false, fine(), None)),
            ("service-account-full", draw(0, 40, false, fine(), None)),
            ("service-account-new", draw(0, 0, false, fine(), None)),
            ("service-account-waits", draw(1, 0, false, fine(), None)),
            ("service-account-going", draw(4, 3, false, fine(), None)),
            ("service-account-wrong", draw(0, 2, false, errors, None)),
            ("service-account-down", draw(0, 1, false, fine(), Some(down))),
            ("service-account-delete", draw(0, 3, true, fine(), None)),
            ("service-account-token", shown.render().unwrap()),
        ]
    }

    #[test]
    fn an_hour_is_chosen_and_a_day_the_most() {
        let lives = lives(3_600);
        let labels: Vec<&str> = lives.iter().map(|c| c.label.as_ref()).collect();
        assert_eq!(labels, ["10 minutes", "1 hour", "8 hours", "1 day"]);
        assert_eq!(lives.iter().filter(|c| c.selected).count(), 1);
    }
}
