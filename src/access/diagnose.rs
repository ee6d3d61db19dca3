//! The connection test: with a person's own ID token a cluster is asked who they are and what they may do there, and where the
//! answer is not what it should be, everything that can be compared is gathered for a diagnosis.
//!
//! The token goes to the cluster that the permit is about and to no other, and nothing of it into what is found.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use super::{
    AccessError, OwnClients, Upstreams,
    own_tokens::{Held, OwnTokens},
};
use crate::{
    clock::Clock,
    crypto::Keyring,
    k8s::{ClusterClient, Connector, K8sError, Shown, UserInfo},
    model::{
        client_trial::{ClientTrial, Standing},
        cluster::Cluster,
        device::Format,
        diagnosis::{Answer, Clocks, Facts, Figures, Finding, Keys, TokenState, diagnose},
        grant::Grant,
        provider::ProviderId,
        token_claims::TokenClaims,
        trial::Trial,
    },
    oidc::{Provider, Providers},
    policy::{Authorized, Forbidden, HoldKubeconfig, OwnThings, ViewCluster},
    store::Store,
};

mod rights;
mod seen;

pub use rights::TestedRight;
use seen::{reach, total, trouble, waiting};

/// How long a test may take in all, a page waits for it.
const TEST_BOUND: Duration = Duration::from_millis(2_300);
/// A test of a cluster that is younger, and found the same, is not written down anew.
const FRESH: Duration = Duration::from_mins(5);
/// API servers count tokens by issuer from 1.30 on.
const COUNTS_SINCE: u32 = 30;

/// What a cluster says to a person's own token.
#[derive(Clone, Debug)]
pub struct ConnectionTest {
    /// Who they are there, if it knows them.
    pub user: Option<UserInfo>,
    /// What they may do, of what their grants promise.
    pub rights: Vec<TestedRight>,
    /// What is wrong or could be, and what is worth a word.
    pub findings: Vec<Finding>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl ConnectionTest {
    /// Whether it works without trouble.
    pub fn works(&self) -> bool {
        self.user.is_some() && !self.findings.iter().any(|finding| finding.trouble)
    }
}

/// Tests connections.
#[derive(Clone, Debug)]
pub struct Diagnoser {
    store: Store,
    own: OwnTokens,
    clients: OwnClients,
    connector: Connector,
    providers: Providers,
    clock: Clock,
}

/// What was seen with a living token.
struct Seen {
    answer: Answer,
    user: Option<UserInfo>,
    rights: Vec<TestedRight>,
    clocks: Option<Clocks>,
    figures: Option<Figures>,
}

impl Seen {
    fn only(answer: Answer) -> Self {
        Self { answer, user: None, rights: Vec::new(), clocks: None, figures: None }
    }
}

impl Diagnoser {
    /// With these parts.
    pub fn new(
        store: Store,
        keyring: Arc<Keyring>,
        upstreams: Upstreams,
        clients: OwnClients,
        providers: Providers,
        clock: Clock,
    ) -> Self {
        let own = OwnTokens::new(store.clone(), keyring, upstreams, clock.clone());
        let connector = clients.connector().clone();
        Self { store, own, clients, connector, providers, clock }
    }

    /// Asks the cluster with the person's own token who they are and what they may do. At most about 2.5 s. Where there are
    /// tokens of several clients, with one of the client of this format; what the cluster makes of that client is kept.
    pub async fn test(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        grants: &[Grant],
        token_key: &str,
        format: Format,
    ) -> Result<ConnectionTest, AccessError> {
        let (begun, until) = (self.clock.now(), Instant::now() + TEST_BOUND);
        let (cluster, identity) = (permit.cluster(), permit.person().identity());
        let provider = self.providers.get(&identity.provider).ok_or(Forbidden::ProviderNotTrusted)?;
        let mapping = cluster.mapping(&identity.provider).ok_or(Forbidden::ProviderNotTrusted)?;
        let trials = self.store.client_trials(cluster.id).await?;
        let held = self.own.held(permit, token_key, !format.is_relayed()).await?;
        let client = held.client(provider.settings());
        let (token, seen) = match held {
            Held::Living { token, .. } => match TokenClaims::read(token.expose_secret()) {
                Some(claims) => (TokenState::Shown(claims), self.look(cluster, &provider, token, grants, until).await),
                None => (TokenState::Missing, Seen::only(Answer::NotAsked)),
            },
            Held::Over(at) => (TokenState::Over(at), Seen::only(Answer::NotAsked)),
            Held::Missing => (TokenState::Missing, Seen::only(Answer::NotAsked)),
            Held::ProviderDown => (TokenState::ProviderDown, Seen::only(Answer::NotAsked)),
        };
        let clients = provider.settings().clients();
        let accepted = |client: &str| Standing::of(&trials, &identity.provider, client).is_accepted();
        let findings = diagnose(&Facts {
            token,
            mapping,
            clients: clients.iter().copied().map(str::to_owned).collect(),
            private_ca: provider.settings().ca_pem.is_some(),
            answer: seen.answer,
            clocks: seen.clocks,
            figures: seen.figures,
            trusted_before: client.is_some_and(&accepted),
            other_client_trusted: clients.iter().any(|other| Some(*other) != client && accepted(other)),
            waiting: grants.iter().filter_map(waiting).collect(),
            reach: reach(grants),
        });
        let test = ConnectionTest {
            user: seen.user,
            rights: seen.rights,
            findings,
            millis: u64::try_from(self.clock.now().since(begun).as_millis()).unwrap_or(u64::MAX),
        };
        self.keep_client_trial(permit, client, &test, &trials).await?;
        Ok(test)
    }

    /// The same for the people who look after a cluster, without the question what they may do; what came out is kept, so that
    /// lists can show it. `None` where there is nothing to ask with, or no API server that answers: a connection check says more.
    pub async fn try_trust(
        &self,
        _: &Authorized<ViewCluster>,
        permit: &Authorized<HoldKubeconfig>,
        token_key: &str,
    ) -> Result<Option<Trial>, AccessError> {
        let test = self.test(permit, &[], token_key, Format::Relay).await?;
        let identity = permit.person().identity();
        let Some(trial) = Trial::of(
            identity.provider.clone(),
            identity.display().to_owned(),
            self.clock.now(),
            test.user.map(|user| (user.username, user.groups)),
            test.findings,
        ) else {
            return Ok(None);
        };
        let last = self.last_trial(permit.cluster(), &identity.provider).await?;
        if last.is_none_or(|last| !trial.says_the_same(&last) || trial.at.since(last.at) >= FRESH) {
            self.store.keep_trial(permit.cluster().id, &trial).await?;
        }
        Ok(Some(trial))
    }

    /// What the newest token of somebody says, whether it lives or not; `None` where Kubelend holds none.
    pub async fn own_claims(
        &self,
        permit: &Authorized<OwnThings>,
        token_key: &str,
    ) -> Result<Option<TokenClaims>, AccessError> {
        let newest = self.own.newest(permit.person().identity(), token_key).await?;
        Ok(newest.and_then(|tokens| TokenClaims::read(tokens.id_token.expose_secret())))
    }

    /// Keeps what a cluster makes of a client, where it counts and is news.
    async fn keep_client_trial(
        &self,
        permit: &Authorized<HoldKubeconfig>,
        client: Option<&str>,
        test: &ConnectionTest,
        all: &[ClientTrial],
    ) -> Result<(), AccessError> {
        let (identity, now) = (permit.person().identity(), self.clock.now());
        let trial = client.and_then(|client| {
            let (provider, known) = (identity.provider.clone(), test.user.is_some());
            ClientTrial::of(provider, client.to_owned(), identity.id, now, known, &test.findings)
        });
        let Some(trial) = trial else { return Ok(()) };
        let last = all.iter().find(|last| last.provider == trial.provider && last.client == trial.client);
        let is_news = last.is_none_or(|last| !trial.says_the_same(last) || trial.at.since(last.at) >= FRESH);
        if is_news && trial.counts_after(last) {
            self.store.keep_client_trial(permit.cluster().id, &trial).await?;
        }
        Ok(())
    }

    async fn last_trial(&self, cluster: &Cluster, provider: &ProviderId) -> Result<Option<Trial>, AccessError> {
        let all = self.store.trials(&[cluster.id]).await?;
        Ok(all.into_iter().map(|(_, trial)| trial).find(|trial| trial.provider == *provider))
    }

    async fn look(
        &self,
        cluster: &Cluster,
        provider: &Provider,
        token: SecretString,
        grants: &[Grant],
        until: Instant,
    ) -> Seen {
        let client = match self.connector.client(&cluster.endpoint, Shown::IdToken(token), TEST_BOUND) {
            Ok(client) => client,
            Err(error) => return Seen::only(trouble(error)),
        };
        let Ok(review) = timeout_at(until, client.review()).await else { return Seen::only(Answer::Silent) };
        let clocks = review.date.map(|theirs| Clocks { ours: self.clock.now(), theirs });
        let seen = match review.user {
            Ok(user) => known(&client, user, grants, until).await,
            Err(K8sError::Unauthorized) => {
                let figures = timeout_at(until, self.figures(cluster, &provider.settings().issuer, &client)).await;
                Seen { figures: figures.ok().flatten(), ..Seen::only(Answer::Unauthorized) }
            }
            Err(error) => Seen::only(trouble(error)),
        };
        Seen { clocks, ..seen }
    }

    /// What the API server counts when the token is shown to it once more; `None` where Kubelend may not read that, or where it
    /// says nothing: an old version, or one of several API servers behind an address that counted another time.
    async fn figures(&self, cluster: &Cluster, issuer: &str, theirs: &ClusterClient) -> Option<Figures> {
        let own = self.clients.client(cluster.id, TEST_BOUND).await.ok()?;
        let before = own.issuer_figures(issuer).await.ok()?;
        theirs.review().await.user.err()?;
        let after = own.issuer_figures(issuer).await.ok()?;
        let counted = total(&after) > total(&before);
        if !counted && (total(&after) > 0.0 || !self.counts(cluster).await) {
            return None;
        }
        let keys = match (after.keys_fetched, after.keys_failed) {
            (None, None) => Keys::Unknown,
            (Some(fetched), Some(failed)) if fetched > failed => Keys::Fetched,
            (Some(_), None) => Keys::Fetched,
            (_, Some(_)) => Keys::Failed,
        };
        Some(Figures { counted, accepted_any: after.accepted > 0.0, keys })
    }

    /// Whether an API server of this version counts tokens at all.
    async fn counts(&self, cluster: &Cluster) -> bool {
        let checks = self.store.checks(&[cluster.id]).await.unwrap_or_default();
        let version = checks.into_iter().next().and_then(|(_, stored)| stored.check.version);
        let minor = version.as_deref().and_then(|v| v.split('.').nth(1)).and_then(|minor| minor.parse::<u32>().ok());
        minor.is_some_and(|minor| minor >= COUNTS_SINCE)
    }
}

async fn known(client: &ClusterClient, user: UserInfo, grants: &[Grant], until: Instant) -> Seen {
    let rights = match timeout_at(until, rights::ask(client, grants)).await {
        Ok(Ok(rights)) => rights,
        Ok(Err(error)) => return Seen::only(trouble(error)),
        Err(_) => return Seen::only(Answer::Silent),
    };
    let denied = rights.iter().filter(|right| !right.allowed).map(|right| right.what.clone()).collect();
    let all_groups = user.more_groups == 0;
    let answer = Answer::Known { username: user.username.clone(), groups: user.groups.clone(), all_groups, denied };
    Seen { user: Some(user), rights, ..Seen::only(answer) }
}
