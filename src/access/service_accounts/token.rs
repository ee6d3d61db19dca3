//! Handing out a token of a ServiceAccount, once.
//!
//! The order is what makes it safe to die anywhere: the lease's row; the Secret; its UID in the row; the token, bound to that Secret;
//! its end in the row; only then the file. Until the row says that the token is out, the loop ends the lease when its short wait is
//! over, and deletes the Secret by the name that comes from the lease's id. So a token that nobody got is worth nothing within seconds.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    ServiceAccounts,
    bring::{BOUND, secret_name},
};
use crate::{
    access::{AccessError, audit},
    k8s::{ClusterClient, Exactly, GivenToken, K8sError},
    kubeconfig::{self, Credential, Entry},
    model::{
        audit::Action,
        grant::GrantState,
        id::{LeaseId, ServiceAccountId},
        rbac::{Actor, Deed},
        role::Role,
        service_account::{LeaseEnd, ServiceAccount, TokenLife},
        time::Timestamp,
    },
    policy::{self, Authorized, Forbidden, ManageAccess},
    store::{NewLease, StoreError},
};

/// How long a token that is being made is waited for: a few times what the calls to the cluster may take.
const WAIT: Duration = Duration::from_secs(15);
/// What no editor can give by granting. Whoever gets a token of an account that may do one of these could own the cluster.
const OWNING: [(&str, &str); 4] = [
    ("*", "*.*"),
    ("impersonate", "users"),
    ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io"),
];

/// A token to hand out.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest {
    /// The lease's id, from the form: a form that is sent twice makes one token.
    pub lease: LeaseId,
    /// Whose.
    pub account: ServiceAccountId,
    /// For how long.
    pub lasts: TokenLife,
    /// Whether it takes the place of an earlier one, which goes on until its own end.
    pub renews: bool,
}

/// A kubeconfig with a token. Nothing of it is kept.
#[derive(Debug)]
pub struct TokenFile {
    /// The file.
    pub yaml: SecretString,
    /// What it is called.
    pub file_name: String,
    /// When the token ends, as the API server has it.
    pub expires_at: Timestamp,
    /// Whether that is earlier than was asked for.
    pub shortened: bool,
}

impl ServiceAccounts {
    /// Makes a kubeconfig with a new token. `Invalid` names the field `lasts`.
    pub async fn issue(
        &self,
        permit: &Authorized<ManageAccess>,
        request: TokenRequest,
    ) -> Result<TokenFile, AccessError> {
        let cluster = permit.cluster();
        if cluster.removing.is_some() {
            return Err(Forbidden::BeingRemoved.into());
        }
        let account = self.of(cluster, request.account).await?;
        let uid = standing(&account)?;
        let client = self.clients.client(cluster.id, BOUND).await?;
        self.check_power(permit, &client, &account, &uid).await?;
        let now = self.clock.now();
        let new = NewLease {
            id: request.lease,
            account: account.id,
            lasts: request.lasts,
            created_by: permit.person().identity().id,
            wait_until: now.plus(WAIT),
        };
        let verb = if request.renews { "another token" } else { "a token" };
        let span = request.lasts.span().as_secs() / 60;
        let event =
            audit::by(permit.person(), Action::TokenIssued, format!("{verb} of {} for {span} minutes", account.name));
        self.store.add_lease(&new, event, now).await.map_err(refused)?;
        match self.token(&client, &account, &uid, &new).await {
            Ok(given) => Ok(file(permit, &account, &given, now.plus(request.lasts.span()))),
            Err(error) => {
                self.give_up(&account, request.lease).await?;
                Err(error)
            }
        }
    }

    /// Whoever hands out a token hands out all that its account may do, whoever gave it that.
    async fn check_power(
        &self,
        permit: &Authorized<ManageAccess>,
        client: &ClusterClient,
        account: &ServiceAccount,
        uid: &str,
    ) -> Result<(), AccessError> {
        if client.account(&account.name).await?.is_none_or(|standing| standing.uid != uid) {
            return Err(invalid("It is not on the cluster any more: somebody deleted it there. Delete it here, too."));
        }
        if policy::give(permit, Some(&Role::ClusterAdmin)).is_ok() {
            return Ok(());
        }
        let actor = Actor::service_account(account.name.namespace().as_str(), account.name.name());
        for (verb, what) in OWNING {
            if client.may(&actor, &Deed::new(verb, what), None, None).await?.allowed {
                return Err(invalid(
                    "This ServiceAccount may do what amounts to owning the cluster: only owners of the workspace get a token of it.",
                ));
            }
        }
        Ok(())
    }

    async fn token(
        &self,
        client: &ClusterClient,
        account: &ServiceAccount,
        uid: &str,
        lease: &NewLease,
    ) -> Result<GivenToken, AccessError> {
        let name = secret_name(lease.id);
        let about =
            "A token that Kubelend handed out is bound to this Secret: deleting it ends the token. It holds nothing.";
        let secret = client.create_anchor(&account.name, uid, &name, &self.marks(account.id, about)).await?;
        if !self.store.keep_lease_secret(lease.id, &secret).await? {
            return Err(ended_meanwhile());
        }
        let secret = Exactly { name: &name, uid: &secret };
        let given = client.token(&account.name, lease.lasts.span(), secret).await?;
        let now = self.clock.now();
        // Clocks differ a little; a token of another length altogether is none that was asked for.
        let most = now.plus(lease.lasts.span()).plus(Duration::from_mins(5));
        if given.expires_at > most {
            return Err(K8sError::Nonsense("it was asked for a short token and gives a longer one".into()).into());
        }
        if self.store.issue_lease(lease.id, given.expires_at, now).await? { Ok(given) } else { Err(ended_meanwhile()) }
    }

    /// The token was not made, or must reach nobody. Should this fail as well, the loop does it.
    async fn give_up(&self, account: &ServiceAccount, lease: LeaseId) -> Result<(), AccessError> {
        let event = audit::by_kubelend(Action::TokenEnded, format!("a token of {} was not made", account.name));
        if self.store.end_lease(lease, LeaseEnd::NotMade, event, self.clock.now()).await? {
            self.apply_now(account.id).await?;
        }
        Ok(())
    }
}

/// The UID of one that stands, as far as is known.
fn standing(account: &ServiceAccount) -> Result<String, AccessError> {
    let waits = account.ended_at.is_some() || account.state == GrantState::Conflict;
    account.uid.clone().filter(|_| !waits).ok_or_else(|| invalid("It does not stand on the cluster."))
}

fn refused(error: StoreError) -> AccessError {
    match error {
        StoreError::Duplicate(again) => invalid(again),
        StoreError::Stale => invalid("It is being deleted."),
        StoreError::Full(most) => {
            invalid(&format!("There are too many already: {most} is the most. Revoke one first."))
        }
        other => other.into(),
    }
}

fn ended_meanwhile() -> AccessError {
    invalid("It was revoked, or took too long, before it was ready. Make another one.")
}

fn invalid(message: &str) -> AccessError {
    AccessError::Invalid { field: "lasts", message: message.to_owned() }
}

fn file(
    permit: &Authorized<ManageAccess>,
    account: &ServiceAccount,
    given: &GivenToken,
    asked_for: Timestamp,
) -> TokenFile {
    let cluster = permit.cluster();
    let entry = Entry {
        name: &cluster.name,
        endpoint: &cluster.endpoint,
        person: &account.name.to_string(),
        credential: Credential::Token(&given.token),
    };
    TokenFile {
        yaml: kubeconfig::to_yaml(&[entry]),
        file_name: format!("{}-{}-{}.yaml", cluster.name, account.name.namespace(), account.name.name()),
        expires_at: given.expires_at,
        shortened: given.expires_at.plus(Duration::from_mins(1)) < asked_for,
    }
}
