//! Clients that show Kubelend's own credential for a cluster, and keep their connections between pages: without that, most of a
//! page's time is TCP and TLS.
//!
//! A client is used again only while the database says the same: each use reads the credential's row and the endpoint, in one
//! statement, and they must be what the client was made from, byte for byte. So no credential travels on a connection of
//! another one, of another cluster, or to another address, and new credentials count at once, on every replica. A person's ID
//! token has no way into this: those clients live as long as the page that made them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{AccessError, credential};
use crate::{
    crypto::Keyring,
    k8s::{ClusterClient, Connector, K8sError, Shown},
    model::id::ClusterId,
    store::{Store, StoredCredential},
};

/// How many are kept.
const MOST: usize = 256;
/// How long one is kept that nobody uses.
const KEPT: Duration = Duration::from_mins(1);
/// Between two looks at which those are.
const SWEEP: Duration = Duration::from_secs(15);

/// Makes them. Clones share what is kept.
#[derive(Clone, Debug)]
pub struct OwnClients {
    store: Store,
    keyring: Arc<Keyring>,
    connector: Connector,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept(Mutex<Clients>);

#[derive(Default)]
struct Clients {
    of: HashMap<ClusterId, Used>,
    /// Whether a task looks after them.
    swept: bool,
}

struct Used {
    made_from: StoredCredential,
    client: ClusterClient,
    last: Instant,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("clusters", &self.lock().of.len()).finish_non_exhaustive()
    }
}

impl OwnClients {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, connector: Connector) -> Self {
        Self { store, keyring, connector, kept: Arc::default() }
    }

    /// What makes clients that show something else.
    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// A client for a cluster, whose calls take at most `bound`; with the connections of the last one, if it showed the same
    /// credential at the same endpoint.
    pub(super) async fn client(&self, id: ClusterId, bound: Duration) -> Result<ClusterClient, AccessError> {
        let stored = self.stored(id).await?;
        if let Some(client) = self.kept.find(id, &stored) {
            return Ok(client.within(bound));
        }
        let client = self.make(id, &stored, bound)?;
        self.kept.put(id, Used { made_from: stored, client: client.clone(), last: Instant::now() });
        Ok(client)
    }

    /// One that begins without any connection, for whoever wants to see one opened.
    pub(super) async fn fresh(&self, id: ClusterId, bound: Duration) -> Result<ClusterClient, AccessError> {
        self.make(id, &self.stored(id).await?, bound)
    }

    async fn stored(&self, id: ClusterId) -> Result<StoredCredential, AccessError> {
        let stored = self.store.stored_credential(id).await.map_err(AccessError::from);
        if matches!(stored, Err(AccessError::NotFound)) {
            self.kept.lock().of.remove(&id);
        }
        stored
    }

    fn make(&self, id: ClusterId, stored: &StoredCredential, bound: Duration) -> Result<ClusterClient, AccessError> {
        let credential = credential::open(&self.keyring, id, &stored.sealed).map_err(|_| {
            K8sError::Unusable(
                "its stored credential cannot be opened with this key ring: replace it on the Credentials page".into(),
            )
        })?;
        Ok(self.connector.client(&stored.endpoint, Shown::Own(credential), bound)?)
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: ClusterId, stored: &StoredCredential) -> Option<ClusterClient> {
        let mut clients = self.lock();
        let kept = clients.of.get_mut(&id).filter(|kept| kept.made_from == *stored)?;
        kept.last = Instant::now();
        Some(kept.client.clone())
    }

    fn put(self: &Arc<Self>, id: ClusterId, client: Used) {
        let mut clients = self.lock();
        clients.of.insert(id, client);
        if clients.of.len() > MOST {
            let longest_unused = clients.of.iter().min_by_key(|(_, kept)| kept.last).map(|(id, _)| *id);
            longest_unused.map(|id| clients.of.remove(&id));
        }
        if !clients.swept {
            clients.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Drops those that nobody uses; says whether any are left.
    fn drop_unused(&self) -> bool {
        let now = Instant::now();
        let mut clients = self.lock();
        clients.of.retain(|_, kept| now - kept.last < KEPT);
        for kept in clients.of.values() {
            kept.client.close_idle();
        }
        clients.swept = !clients.of.is_empty();
        clients.swept
    }
}

/// Ends with the last client.
async fn sweep(kept: Weak<Kept>) {
    loop {
        sleep(SWEEP).await;
        match kept.upgrade() {
            Some(kept) if kept.drop_unused() => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::PathBuf};

    use super::*;
    use crate::{
        access::audit,
        crypto,
        k8s::{
            DirectDialer,
            testing::{Seen, Then, certificate, ended, http, server},
        },
        model::{
            audit::Action,
            cluster::{ClusterCredential, Endpoint, Removal},
            id::IdentityId,
            identity::VerifiedClaims,
            time::Timestamp,
        },
        outbound::AddressRules,
        store::{AuditDraft, NewCluster},
    };

    const BOUND: Duration = Duration::from_secs(4);
    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    struct Bed {
        clients: OwnClients,
        owner: IdentityId,
        folder: PathBuf,
    }

    impl Drop for Bed {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }

    fn event() -> AuditDraft {
        audit::by_kubelend(Action::ClusterAdded, "test".to_owned())
    }

    impl Bed {
        async fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("kubelend-own-{}", crypto::random_text()));
            std::fs::create_dir(&folder).unwrap();
            let store = Store::open(&format!("sqlite://{}/db", folder.display())).await.unwrap();
            let claims = VerifiedClaims {
                provider: "dex".parse().unwrap(),
                issuer: "https://dex.example".into(),
                sub: "alice".into(),
                email: None,
                email_verified: false,
                name: None,
                groups: Vec::new(),
            };
            let owner = store.record_sign_in(&claims, event(), NOW).await.unwrap().identity.id;
            let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules { allow_loopback: true })));
            Self { clients: OwnClients::new(store, Arc::new(Keyring::generate()), connector), owner, folder }
        }

        /// Another process on the same database.
        fn replica(&self) -> OwnClients {
            OwnClients { kept: Arc::default(), ..self.clients.clone() }
        }

        async fn cluster(&self, name: &str, endpoint: &Endpoint, token: &str) -> ClusterId {
            let id = ClusterId::new();
            let new = NewCluster {
                id,
                workspace: None,
                name: name.parse().unwrap(),
                endpoint: endpoint.clone(),
                credential: credential::seal(&self.clients.keyring, id, &ClusterCredential::Token(token.into())),
                trusts: Vec::new(),
                owner_grant: None,
            };
            self.clients.store.add_cluster(&new, "Home", self.owner, event(), NOW).await.unwrap();
            id
        }

        async fn replace(&self, id: ClusterId, endpoint: &Endpoint, token: &str) {
            let sealed = credential::seal(&self.clients.keyring, id, &ClusterCredential::Token(token.into()));
            self.clients.store.replace_credential(id, endpoint, &sealed, event(), NOW).await.unwrap();
        }
    }

    async fn ask(clients: &OwnClients, id: ClusterId) {
        clients.client(id, BOUND).await.unwrap().version().await.unwrap();
    }

    async fn api_server() -> (Endpoint, SocketAddr, Seen) {
        let (ca, acceptor) = certificate("127.0.0.1");
        let version = http("200 OK", "application/json", r#"{"gitVersion":"v1.36.3"}"#);
        let (address, seen) = server(Some(acceptor), version, Then::GoOn).await;
        let server = format!("https://{address}").parse().unwrap();
        (Endpoint { server, ca_pem: Some(ca), tls_server_name: None }, address, seen)
    }

    /// Which token came on which connection, as “N TOKEN”, in the order of the requests.
    fn shown(seen: &Seen) -> Vec<String> {
        let of = |text: &String| {
            let connection = text.lines().next()?.strip_prefix("connection ")?;
            let token = text.lines().find_map(|line| line.strip_prefix("authorization: Bearer "))?;
            Some(format!("{connection} {token}"))
        };
        seen.lock().unwrap().iter().filter_map(of).collect()
    }

    #[tokio::test]
    async fn immune_09_a_credential_never_travels_on_a_connection_of_another() {
        let bed = Bed::new().await;
        let (here, _, seen) = api_server().await;
        let one = bed.cluster("one", &here, "first").await;
        let two = bed.cluster("two", &here, "second").await;
        for id in [one, two, one, two] {
            ask(&bed.clients, id).await;
        }
        assert_eq!(shown(&seen), ["0 first", "1 second", "0 first", "1 second"], "each its own, kept");
        // Sealed anew, it is taken for another, even where it is the same.
        bed.replace(one, &here, "third").await;
        bed.replace(two, &here, "second").await;
        for id in [one, two, one] {
            ask(&bed.clients, id).await;
        }
        assert_eq!(shown(&seen)[4..], ["2 third", "3 second", "2 third"]);
    }

    #[tokio::test]
    async fn immune_09_new_credentials_count_at_once_on_every_replica_and_at_their_own_address_alone() {
        let bed = Bed::new().await;
        let replica = bed.replica();
        let (old, _, seen) = api_server().await;
        let (new, _, seen_there) = api_server().await;
        let id = bed.cluster("one", &old, "first").await;
        for clients in [&bed.clients, &replica, &bed.clients, &replica] {
            ask(clients, id).await;
        }
        bed.replace(id, &new, "second").await;
        for clients in [&bed.clients, &replica, &bed.clients] {
            ask(clients, id).await;
        }
        assert_eq!(shown(&seen), ["0 first", "1 first", "0 first", "1 first"]);
        assert_eq!(shown(&seen_there), ["0 second", "1 second", "0 second"]);
        // Another CA alone is another endpoint: what was verified by the last one is not used again.
        let (other, ..) = api_server().await;
        bed.replace(id, &Endpoint { ca_pem: other.ca_pem, ..new }, "second").await;
        let refused = bed.clients.client(id, BOUND).await.unwrap().version().await;
        assert!(matches!(refused, Err(K8sError::Tls(_))), "{refused:?}");
        assert_eq!(shown(&seen_there).len(), 3);
    }

    #[tokio::test]
    async fn what_is_removed_or_unused_is_dropped_with_its_connections_and_not_too_many_are_kept() {
        let bed = Bed::new().await;
        let (here, _, seen) = api_server().await;
        let (one, two) = (bed.cluster("one", &here, "first").await, bed.cluster("two", &here, "second").await);
        ask(&bed.clients, one).await;
        ask(&bed.clients, two).await;
        let store = &bed.clients.store;
        store.ask_removal(one, Removal::Leave, event(), NOW).await.unwrap();
        assert_eq!(store.finish_removals(NOW, Duration::ZERO).await.unwrap(), 1);
        assert!(matches!(bed.clients.client(one, BOUND).await, Err(AccessError::NotFound)));
        ended(&seen, 0).await;
        assert!(bed.clients.kept.drop_unused(), "somebody has just used it");
        bed.clients.kept.lock().of.get_mut(&two).unwrap().last -= KEPT;
        assert!(!bed.clients.kept.drop_unused());
        ended(&seen, 1).await;
        for n in 0..MOST + 3 {
            let id = bed.cluster(&format!("c{n}"), &here, "many").await;
            bed.clients.client(id, BOUND).await.unwrap();
        }
        assert_eq!(bed.clients.kept.lock().of.len(), MOST);
    }

    #[tokio::test]
    async fn whoever_wants_to_see_a_connection_opened_gets_one_without() {
        let bed = Bed::new().await;
        let (here, _, seen) = api_server().await;
        let id = bed.cluster("one", &here, "first").await;
        ask(&bed.clients, id).await;
        bed.clients.fresh(id, BOUND).await.unwrap().version().await.unwrap();
        ask(&bed.clients, id).await;
        assert_eq!(shown(&seen), ["0 first", "1 first", "0 first"]);
    }
}
