//! `/clusters/{cluster}/service-accounts`: those that Kubelend made there, and making one; those of others, which it leaves alone.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    account_rows::account_state,
    can_form,
    cluster::{AtCluster, Head, Tab},
    scope,
};
use crate::{
    access::{AccessError, Observer, ServiceAccounts},
    k8s::{FoundAccount, Listed},
    model::{
        cluster::{ConnectionCheck, StepOutcome},
        id::IdentityId,
        name::Namespace,
        power::Power,
        service_account::{AccountName, ServiceAccount},
        subject::{Subject, SubjectKind},
    },
    store::Store,
    web::{
        Parts,
        errors::PageError,
        forms::{FieldErrors, ProtectedForm},
        frame::{Frame, render_with},
        labels::counted,
        paths,
        when::When,
        words,
    },
};

/// So many of others are listed.
const FOREIGN: usize = 60;

/// Whether Kubelend may look after ServiceAccounts there.
#[derive(Debug)]
pub(super) enum Held {
    /// It may.
    Yes,
    /// It may not, as the last check saw it; and what an admin of the cluster runs, where that is known.
    No(Option<String>),
    /// The cluster has not been asked yet.
    NotKnown,
}

impl Held {
    pub(super) fn of(check: Option<&ConnectionCheck>) -> Self {
        let title = Power::ServiceAccounts.step();
        match check.and_then(|check| check.steps.iter().find(|step| step.title == title)) {
            Some(step) if step.outcome == StepOutcome::Passed => Self::Yes,
            Some(step) if step.outcome == StepOutcome::Skipped => Self::No(step.remedy.clone()),
            _ => Self::NotKnown,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Yes)
    }
}

#[derive(Template)]
#[template(path = "pages/service_accounts.html")]
struct Page {
    frame: Frame,
    head: Head,
    here: String,
    may_change: bool,
    held: Held,
    amounts_to: &'static str,
    form: NewForm,
    errors: FieldErrors,
    namespaces: Vec<String>,
    rows: Vec<AccountRow>,
    foreign: Vec<ForeignRow>,
    note: Option<String>,
}

/// One that Kubelend made.
#[derive(Debug)]
struct AccountRow {
    name: String,
    href: String,
    class: &'static str,
    state: String,
    tokens: String,
    by: String,
    made: When,
}

/// One that somebody else made.
#[derive(Debug)]
struct ForeignRow {
    name: String,
    can: String,
}

/// The form, as it is typed.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct NewForm {
    namespace: String,
    name: String,
}

impl NewForm {
    fn read(&self, errors: &mut FieldErrors) -> Option<AccountName> {
        let namespace = errors.keep("namespace", self.namespace.parse::<Namespace>())?;
        errors.keep("name", AccountName::new(namespace, &self.name))
    }
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    accounts: ServiceAccounts,
    observer: Observer,
    store: Store,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self { accounts: parts.service_accounts.clone(), observer: parts.observer.clone(), store: parts.store.clone() }
    }
}

/// The page.
pub async fn get(at: AtCluster, State(desk): State<Desk>) -> Result<Response, PageError> {
    desk.page(&at, NewForm::default(), FieldErrors::default()).await
}

/// Makes one.
pub async fn post(
    at: AtCluster,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<NewForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_access()?;
    let mut errors = FieldErrors::default();
    if let Some(name) = form.read(&mut errors) {
        match desk.accounts.create(&permit, name).await {
            Ok((id, _)) => return Ok(Redirect::to(&paths::service_account(at.id(), id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    desk.page(&at, form, errors).await
}

impl Desk {
    async fn page(&self, at: &AtCluster, form: NewForm, errors: FieldErrors) -> Result<Response, PageError> {
        let ours = self.store.service_accounts(at.id(), at.now).await?;
        let namespaces = async {
            match at.manage_access() {
                Ok(permit) => scope::known(&self.observer, &permit).await,
                Err(_) => Vec::new(),
            }
        };
        let held = Held::of(at.check.as_ref());
        let standing = async { if held.is_held() { Some(self.accounts.standing(&at.seen).await) } else { None } };
        let (namespaces, standing) = tokio::join!(namespaces, standing);
        let (foreign, note) = foreign(standing, &ours);
        let makers = self.makers(&ours).await?;
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = Page {
            frame: at.frame(),
            head: at.head(Tab::Access),
            here: paths::service_accounts(at.id()),
            may_change: at.manage_access().is_ok() && at.cluster().removing.is_none(),
            held,
            amounts_to: Power::ServiceAccounts.amounts_to(),
            rows: ours.iter().map(|(account, alive)| row(account, *alive, &makers, at)).collect(),
            form,
            errors,
            namespaces,
            foreign,
            note,
        };
        Ok(render_with(status, &page))
    }

    async fn makers(&self, ours: &[(ServiceAccount, u32)]) -> Result<HashMap<IdentityId, String>, PageError> {
        let mut ids: Vec<IdentityId> = ours.iter().map(|(account, _)| account.created_by).collect();
        ids.sort();
        ids.dedup();
        let people = if ids.is_empty() { Vec::new() } else { self.store.identities(&ids).await? };
        Ok(people.iter().map(|p| (p.id, p.display().to_owned())).collect())
    }
}

fn row(account: &ServiceAccount, alive: u32, makers: &HashMap<IdentityId, String>, at: &AtCluster) -> AccountRow {
    let (class, state) = account_state(account);
    AccountRow {
        name: account.name.to_string(),
        href: paths::service_account(at.id(), account.id),
        class,
        state,
        tokens: counted(alive, "kubeconfig"),
        by: makers.get(&account.created_by).cloned().unwrap_or_default(),
        made: When::new(account.created_at, at.now),
    }
}

/// Those of others, and a word about them.
fn foreign(
    standing: Option<Result<Listed<FoundAccount>, AccessError>>,
    ours: &[(ServiceAccount, u32)],
) -> (Vec<ForeignRow>, Option<String>) {
    let found = match standing {
        None => return (Vec::new(), None),
        Some(Ok(found)) => found,
        Some(Err(AccessError::Cluster(why))) => {
            let (title, _) = words::cluster_trouble(&why);
            return (Vec::new(), Some(format!("{title}, so those that others made cannot be listed now.")));
        }
        Some(Err(_)) => return (Vec::new(), Some("Those that others made cannot be listed now.".into())),
    };
    let is_ours = |f: &FoundAccount| ours.iter().any(|(account, _)| account.uid.as_deref() == Some(f.uid.as_str()));
    let others: Vec<&FoundAccount> = found.items.iter().filter(|f| !is_ours(f)).collect();
    let more = others.len().saturating_sub(FOREIGN);
    let note = match (more, found.cut) {
        (0, false) => None,
        (more, false) => Some(format!("{more} more are there: kubectl get serviceaccounts -A shows all.")),
        (_, true) => Some("More are there: kubectl get serviceaccounts -A shows all.".into()),
    };
    (others.into_iter().take(FOREIGN).map(foreign_row).collect(), note)
}

fn foreign_row(found: &FoundAccount) -> ForeignRow {
    let subject = Subject {
        kind: SubjectKind::ServiceAccount,
        name: found.name.clone(),
        namespace: Some(found.namespace.clone()),
    };
    ForeignRow {
        name: format!("{}/{}", found.namespace, found.name),
        can: format!("can?{}", can_form::query(&subject, None)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::{cluster::CheckStep, grant::GrantState},
        web::pages::{
            account_rows::tests::account,
            cluster::tests::{cluster, head},
            samples::{HOSTILE, NOW, check, frame},
        },
    };

    fn found(n: usize) -> FoundAccount {
        FoundAccount {
            namespace: format!("namespace-{n}"),
            name: if n == 0 { HOSTILE.into() } else { "default".into() },
            uid: format!("u{n}"),
            labels: std::collections::BTreeMap::default(),
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |held: Held, rows: usize, others: usize, form: NewForm, errors: FieldErrors| {
            let listed = Listed { items: (0..others).map(found).collect(), cut: false };
            let (foreign, note) = foreign((others > 0).then_some(Ok(listed)), &[]);
            let row = |n: usize| {
                let account = account(&staging, n);
                let (class, state) = account_state(&account);
                AccountRow {
                    name: account.name.to_string(),
                    href: paths::service_account(staging.id, account.id),
                    class,
                    state,
                    tokens: counted(u32::try_from(n).unwrap_or(0), "kubeconfig"),
                    by: if n == 1 { HOSTILE.into() } else { "alice@example.com".into() },
                    made: When::new(account.created_at, NOW),
                }
            };
            Page {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
                here: paths::service_accounts(staging.id),
                may_change: true,
                held,
                amounts_to: Power::ServiceAccounts.amounts_to(),
                form,
                errors,
                namespaces: vec!["shop".into()],
                rows: (0..rows).map(row).collect(),
                foreign,
                note,
            }
            .render()
            .unwrap()
        };
        let (none, fine) = (NewForm::default, FieldErrors::default);
        let mut errors = FieldErrors::default();
        errors.add("name", HOSTILE);
        errors.add("namespace", "no");
        let typed = NewForm { namespace: HOSTILE.into(), name: HOSTILE.into() };
        let no = Held::No(Some("kubectl apply -f - <<'EOF'\nkind: ClusterRole\nEOF".into()));
        vec![
            ("service-accounts", draw(Held::Yes, 6, 5, none(), fine())),
            ("service-accounts-full", draw(Held::Yes, 60, 200, none(), fine())),
            ("service-accounts-empty", draw(Held::Yes, 0, 0, none(), fine())),
            ("service-accounts-wrong", draw(Held::Yes, 2, 0, typed, errors)),
            ("service-accounts-no-power", draw(no, 1, 0, none(), fine())),
            ("service-accounts-unknown", draw(Held::NotKnown, 0, 0, none(), fine())),
        ]
    }

    #[test]
    fn what_kubelend_may_is_what_the_last_check_saw() {
        let with = |outcome| {
            let mut check = check(true, false);
            let step = CheckStep {
                title: Power::ServiceAccounts.step(),
                outcome,
                detail: String::new(),
                remedy: Some("apply".into()),
                millis: 1,
            };
            check.steps.push(step);
            Held::of(Some(&check))
        };
        assert!(with(StepOutcome::Passed).is_held());
        assert!(matches!(with(StepOutcome::Skipped), Held::No(Some(command)) if command == "apply"));
        assert!(matches!(with(StepOutcome::Waiting), Held::NotKnown));
        assert!(matches!(Held::of(None), Held::NotKnown));
        assert!(matches!(Held::of(Some(&check(true, false))), Held::NotKnown), "an older check");
    }

    #[test]
    fn those_of_others_are_all_but_the_very_objects_that_kubelend_made() {
        let staging = cluster("staging");
        let ours = crate::model::service_account::ServiceAccount {
            uid: Some("u2".into()),
            state: GrantState::Applied,
            ..account(&staging, 2)
        };
        let listed = Listed { items: (1..4).map(found).collect(), cut: true };
        let (rows, note) = foreign(Some(Ok(listed)), &[(ours, 0)]);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["namespace-1/default", "namespace-3/default"]);
        assert!(note.is_some_and(|words| words.starts_with("More are there")));
    }
}
