//! Bringing a ServiceAccount to its cluster: the object, and the end of what its ended leases are bound to. Every step may be
//! repeated, and may be died after.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::{StreamExt, stream};

use super::ServiceAccounts;
use crate::{
    access::{AccessError, apply::wait, audit},
    bindings::{MANAGED_BY, MANAGED_BY_LABEL, OWNER_LABEL},
    k8s::{ClusterClient, FoundAccount, K8sError, Marks, PlacedAccount},
    model::{
        audit::Action,
        grant::GrantState,
        id::{ClusterId, LeaseId, ServiceAccountId},
        service_account::{Lease, ServiceAccount},
        time::Timestamp,
    },
    store::{AccountOutcome, AuditDraft, DueAccount, StoreError},
};

/// Which ServiceAccount of Kubelend's.
const ACCOUNT_LABEL: &str = "kubelend.io/service-account";
/// For people who meet an object on the cluster: what it is.
const ABOUT: &str = "kubelend.io/about";
/// How long an attempt may take in all; a page waits for it.
pub(super) const BOUND: Duration = Duration::from_millis(2_200);
/// How long others leave alone what is being worked on.
const LEASE: Duration = Duration::from_secs(6);
/// The same for the loop, which may have several of one cluster to see to.
const CLAIM: Duration = Duration::from_secs(20);
/// How many are claimed at a time, and how many clusters are worked on at once.
const CLAIMED: u32 = 32;
const AT_ONCE: usize = 8;
/// How many Secrets one attempt removes.
const SECRETS: u32 = 25;

/// How an attempt went, so far as it got.
#[derive(Default)]
struct Reached {
    uid: Option<String>,
    gone: Vec<LeaseId>,
    /// Whether there are more Secrets than one attempt removes.
    more: bool,
    trouble: Option<Trouble>,
}

enum Trouble {
    /// Something that is not ours bears the name.
    Taken,
    Cluster(K8sError),
}

impl ServiceAccounts {
    /// Claims one and makes its cluster agree, once. Returns the state it is in afterwards; what failed is written down and tried
    /// again later.
    pub async fn apply_now(&self, id: ServiceAccountId) -> Result<GrantState, AccessError> {
        let due = self.store.claim_account(id, self.clock.now(), LEASE).await?;
        Ok(self.attempt(&due, None).await?.0)
    }

    /// Ends leases whose time is up, and brings to their clusters what is due, cluster by cluster.
    ///
    /// # Errors
    /// Only the database's: what else goes wrong is written down and tried again.
    pub async fn work(&self, now: Timestamp) -> Result<(), StoreError> {
        self.store.expire_leases(now, 100).await?;
        let mut of: HashMap<ClusterId, Vec<DueAccount>> = HashMap::new();
        for due in self.store.claim_due_accounts(now, CLAIM, CLAIMED).await? {
            of.entry(due.cluster).or_default().push(due);
        }
        let each = stream::iter(of).for_each_concurrent(AT_ONCE, async |(cluster, due)| {
            match self.apply_all(&due).await {
                // It went while they were claimed.
                Ok(()) | Err(AccessError::NotFound) => {}
                Err(error) => tracing::warn!(%cluster, %error, "ServiceAccounts could not be brought to their cluster"),
            }
        });
        each.await;
        Ok(())
    }

    /// Several of one cluster, one after the other. One that does not answer the first is not asked for the others.
    async fn apply_all(&self, due: &[DueAccount]) -> Result<(), AccessError> {
        let mut away = None;
        for due in due {
            away = self.attempt(due, away.take()).await?.1.filter(K8sError::is_silence);
        }
        Ok(())
    }

    async fn attempt(
        &self,
        due: &DueAccount,
        away: Option<K8sError>,
    ) -> Result<(GrantState, Option<K8sError>), AccessError> {
        let account = self.store.service_account(due.id).await?;
        let leases = self.store.leases_to_remove(due.id, SECRETS).await?;
        let mut reached = Reached { more: leases.len() == SECRETS as usize, ..Reached::default() };
        match away {
            Some(error) => reached.trouble = Some(Trouble::Cluster(error)),
            None => self.bring(&account, &leases, &mut reached).await?,
        }
        let now = self.clock.now();
        let wanted = account.ended_at.is_none();
        let outcome = outcome(&reached, wanted, due.attempts, now);
        let event = event(&outcome, &account);
        self.store.settle_account(due, wanted, &outcome, event, now).await?;
        let error = if let Some(Trouble::Cluster(error)) = reached.trouble { Some(error) } else { None };
        Ok((outcome.state, error))
    }

    async fn bring(
        &self,
        account: &ServiceAccount,
        leases: &[Lease],
        reached: &mut Reached,
    ) -> Result<(), AccessError> {
        let attempt = async {
            let client = self.clients.client(account.cluster, BOUND).await?;
            // What was taken back goes first: somebody may be waiting for that.
            for lease in leases {
                client.delete_anchor(&account.name, &secret_name(lease.id), lease.secret_uid.as_deref()).await?;
                reached.gone.push(lease.id);
            }
            if account.ended_at.is_none() {
                self.ensure(&client, account).await
            } else {
                self.ensure_absent(&client, account).await.map(|()| Ok(None))
            }
        };
        match tokio::time::timeout(BOUND, attempt).await {
            Ok(Ok(Ok(uid))) => reached.uid = uid,
            Ok(Ok(Err(taken))) => reached.trouble = Some(taken),
            Ok(Err(AccessError::Cluster(error))) => reached.trouble = Some(Trouble::Cluster(error)),
            Ok(Err(other)) => return Err(other),
            Err(_) => reached.trouble = Some(Trouble::Cluster(K8sError::TimedOut)),
        }
        Ok(())
    }

    /// Makes it stand, unless something else bears its name. Returns its UID.
    async fn ensure(
        &self,
        client: &ClusterClient,
        account: &ServiceAccount,
    ) -> Result<Result<Option<String>, Trouble>, AccessError> {
        let marks =
            self.marks(account.id, "Kubelend made this ServiceAccount, and takes it away when it is deleted there.");
        Ok(match client.create_account(&account.name, &marks).await? {
            PlacedAccount::Created(made) => Ok(Some(made.uid)),
            PlacedAccount::Exists(standing) if self.is_ours(&standing, account) => Ok(Some(standing.uid)),
            PlacedAccount::Exists(_) => Err(Trouble::Taken),
        })
    }

    /// Makes it go. What bears the name without being ours stays.
    async fn ensure_absent(&self, client: &ClusterClient, account: &ServiceAccount) -> Result<(), AccessError> {
        match client.account(&account.name).await? {
            Some(standing) if self.is_ours(&standing, account) => {
                Ok(client.delete_account(&account.name, &standing.uid).await?)
            }
            _ => Ok(()),
        }
    }

    /// Labels can be forged: once the UID is known, it decides.
    fn is_ours(&self, standing: &FoundAccount, account: &ServiceAccount) -> bool {
        let has = |key: &str, value: &str| standing.labels.get(key).is_some_and(|v| v == value);
        let labelled = has(MANAGED_BY_LABEL, MANAGED_BY)
            && has(OWNER_LABEL, &self.instance)
            && has(ACCOUNT_LABEL, &account.id.to_string());
        account.uid.as_ref().map_or(labelled, |uid| *uid == standing.uid)
    }

    pub(super) fn marks(&self, account: ServiceAccountId, about: &str) -> Marks {
        let labels = [
            (MANAGED_BY_LABEL, MANAGED_BY.to_owned()),
            (OWNER_LABEL, self.instance.to_string()),
            (ACCOUNT_LABEL, account.to_string()),
        ];
        Marks {
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            annotations: BTreeMap::from([(ABOUT.to_owned(), about.to_owned())]),
        }
    }
}

/// What the Secret of a lease is called.
pub(super) fn secret_name(lease: LeaseId) -> String {
    format!("kubelend-{lease}")
}

fn outcome(reached: &Reached, wanted: bool, attempts: i64, now: Timestamp) -> AccountOutcome {
    let (done, trying) =
        if wanted { (GrantState::Applied, GrantState::Pending) } else { (GrantState::Removed, GrantState::Removing) };
    let failed = if wanted { GrantState::Failed } else { GrantState::Removing };
    let (state, detail) = match &reached.trouble {
        // It goes on at once with the rest, and only then is anything settled.
        None if reached.more => (trying, None),
        None => (done, None),
        Some(Trouble::Taken) => (
            GrantState::Conflict,
            Some("There is one of this name already that this Kubelend did not make. It was left alone.".to_owned()),
        ),
        Some(Trouble::Cluster(error)) if error.is_silence() => {
            (trying, Some(format!("Waiting for the cluster: {error}.")))
        }
        Some(Trouble::Cluster(K8sError::NotFound)) => {
            (failed, Some("The cluster does not have this namespace. It is tried again until it does.".to_owned()))
        }
        Some(Trouble::Cluster(error)) => (failed, Some(format!("The cluster refused: {error}. It is tried again."))),
    };
    let retry_at = match (&reached.trouble, reached.more) {
        (None, false) => None,
        (None, true) => Some(now),
        (Some(_), _) => Some(now.plus(wait(attempts))),
    };
    AccountOutcome { state, detail, retry_at, uid: reached.uid.clone(), gone: reached.gone.clone() }
}

fn event(outcome: &AccountOutcome, account: &ServiceAccount) -> Option<AuditDraft> {
    let action = match outcome.state {
        GrantState::Applied => Action::AccountApplied,
        GrantState::Removed => Action::AccountRemoved,
        GrantState::Failed | GrantState::Conflict => Action::AccountFailed,
        GrantState::Pending | GrantState::Removing => return None,
    };
    let why = outcome.detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default();
    Some(audit::by_kubelend(action, format!("{}{why}", account.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_deletion_that_fails_stays_a_deletion_and_is_tried_again() {
        for error in [K8sError::TimedOut, K8sError::Forbidden("no".into()), K8sError::NotFound] {
            let reached = Reached { trouble: Some(Trouble::Cluster(error)), ..Reached::default() };
            let out = outcome(&reached, false, 0, NOW);
            assert_eq!(out.state, GrantState::Removing);
            assert!(out.retry_at.is_some_and(|at| at > NOW) && out.detail.is_some());
        }
    }

    #[test]
    fn nothing_is_settled_while_secrets_are_left_and_what_went_is_kept_whatever_failed() {
        let lease = LeaseId::new();
        let reached = Reached { gone: vec![lease], more: true, ..Reached::default() };
        let out = outcome(&reached, true, 0, NOW);
        assert_eq!((out.state, out.retry_at), (GrantState::Pending, Some(NOW)));
        let reached = Reached { gone: vec![lease], trouble: Some(Trouble::Taken), ..Reached::default() };
        let out = outcome(&reached, true, 3, NOW);
        assert_eq!((out.state, out.gone), (GrantState::Conflict, vec![lease]));
        let out = outcome(&Reached { uid: Some("u".into()), ..Reached::default() }, true, 0, NOW);
        assert_eq!((out.state, out.retry_at, out.uid.as_deref()), (GrantState::Applied, None, Some("u")));
    }
}
