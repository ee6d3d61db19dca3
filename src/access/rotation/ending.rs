//! What happens to own tokens by itself: those that Kubelend got are renewed in time, and the Secrets of former ones go.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, stream};

use super::{BOUND, Rotation};
use crate::{
    access::{AccessError, audit},
    bindings::{MANAGED_BY, MANAGED_BY_LABEL, OWNER_LABEL},
    k8s::Marks,
    model::{
        audit::Action,
        id::ClusterId,
        own_token::{self, FormerToken},
        time::Timestamp,
    },
    store::StoreError,
};

/// How long others leave alone what is being worked on.
const CLAIM: Duration = Duration::from_mins(1);
/// How many are worked on at once.
const AT_ONCE: usize = 8;
const CLAIMED: u32 = 32;
/// The longest pause between two attempts to end a former token.
const LONGEST: Duration = Duration::from_hours(1);
/// A former token that Kubelend was not let end for so long is forgotten; one that it got for itself has ended by then.
const FORGOTTEN: Duration = own_token::LIFE;

impl Rotation {
    /// Notes the ends of credentials, renews what is due, and ends what is over.
    ///
    /// # Errors
    /// Only the database's: what else goes wrong is written down and tried again.
    pub async fn work(&self) -> Result<(), StoreError> {
        self.describe().await?;
        let due = self.store.claim_renewals(self.clock.now(), CLAIM, CLAIMED).await?;
        let renewed = stream::iter(due).map(|(cluster, ends_at)| self.renew(cluster, ends_at));
        let renewed: Vec<_> = renewed.buffer_unordered(AT_ONCE).collect().await;
        renewed.into_iter().collect::<Result<(), _>>()?;
        self.end_former(None).await?;
        let worrying = self.store.worrying_credentials(self.clock.now()).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of clusters stays far below 2^52")]
        metrics::gauge!("kubelend_credentials_ending").set(worrying as f64);
        Ok(())
    }

    /// Forgets what had to go for so long that nobody waits for it.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), StoreError> {
        self.store.sweep_own_tokens(now.minus(FORGOTTEN)).await
    }

    async fn renew(&self, cluster: ClusterId, ends_at: Option<Timestamp>) -> Result<(), StoreError> {
        let name = match self.store.cluster(cluster).await {
            Ok(found) => found.name,
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        };
        let event = audit::by_kubelend(Action::ClusterCredentialsRotated, name.to_string());
        let why = match self.turn(cluster, event).await {
            Ok(()) | Err(AccessError::NotFound) => return Ok(()),
            Err(AccessError::Store(error)) => return Err(error),
            Err(AccessError::Invalid { message, .. }) => message,
            Err(other) => other.to_string(),
        };
        tracing::warn!(%cluster, %why, "the credential of a cluster could not be renewed");
        let now = self.clock.now();
        let event = audit::by_kubelend(Action::ClusterCredentialFailed, format!("{name}: {why}"));
        self.store.renewal_failed(cluster, &why, own_token::renew_again_at(now, ends_at), event, now).await
    }

    /// Ends former tokens whose turn it is, of one cluster or of all.
    pub(super) async fn end_former(&self, of: Option<ClusterId>) -> Result<(), StoreError> {
        let due = self.store.claim_former_tokens(of, self.clock.now(), CLAIM, CLAIMED).await?;
        let ended = stream::iter(due).map(async |former| self.end(&former).await);
        let ended: Vec<_> = ended.buffer_unordered(AT_ONCE).collect().await;
        ended.into_iter().collect()
    }

    async fn end(&self, former: &FormerToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        match self.deleted(former).await {
            Ok(true) => {
                let what = format!("the Secret {}/{}", former.account.namespace(), former.secret.name);
                let event = audit::by_kubelend(Action::ClusterCredentialEnded, what);
                self.store.settle_former_token(former, Some(event), now).await
            }
            Ok(false) => self.store.settle_former_token(former, None, now).await,
            Err(AccessError::Store(error)) => Err(error),
            Err(AccessError::NotFound) => Ok(()),
            Err(error) => {
                let again = now.plus(pause(former.attempts));
                self.store.former_token_stands(former.id, &error.to_string(), again).await
            }
        }
    }

    /// Deletes its Secret; `false` where what is held is bound to that (somebody has pasted it once more), so that it must stay.
    async fn deleted(&self, former: &FormerToken) -> Result<bool, AccessError> {
        if self.holds(former).await? {
            return Ok(false);
        }
        let client = self.clients.client(former.cluster, BOUND).await?;
        client.delete_anchor(&former.account, &former.secret.name, former.secret.uid.as_deref()).await?;
        Ok(true)
    }

    /// What the Secret bears that a token is bound to.
    pub(super) fn marks(&self) -> Marks {
        let labels = [(MANAGED_BY_LABEL, MANAGED_BY.to_owned()), (OWNER_LABEL, self.instance.to_string())];
        let about = "Kubelend’s own token is bound to this Secret: deleting it ends the token. It holds nothing.";
        Marks {
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            annotations: BTreeMap::from([("kubelend.io/about".to_owned(), about.to_owned())]),
        }
    }
}

/// Soon at first, since somebody may wait for it; then as often as somebody may come and allow it.
fn pause(attempts: i64) -> Duration {
    let doubled = 2_u32.saturating_pow(u32::try_from(attempts.clamp(0, 20)).unwrap_or(20));
    (Duration::from_secs(5) * doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_token_is_ended_soon_and_then_hourly() {
        assert_eq!(pause(0), Duration::from_secs(5));
        assert_eq!(pause(3), Duration::from_secs(40));
        assert_eq!(pause(400), LONGEST);
    }
}
