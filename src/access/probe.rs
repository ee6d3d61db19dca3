//! The connection check of a cluster, step by step, written down as it goes on so that a page can show it live.
//!
//! What has ended is written down within [`LIVE`], not one by one: with a cluster that answers at once it is all there before
//! anybody could read it, and every cluster is checked every five minutes.
//!
//! It asks for just what Kubelend needs there, one right at a time, and says a word where there is more than that.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{AccessError, OwnClients};
use crate::{
    clock::Clock,
    k8s::{ClusterClient, K8sError, ResourceQuestion},
    kubeconfig,
    model::{
        cluster::{CheckStep, Cluster, ConnectionCheck, StepOutcome},
        id::{CheckId, ClusterId},
        namespace_role::NamespaceRole,
        power::Power,
        role::Role,
    },
    store::Store,
};

/// How long one question may take.
const BOUND: Duration = Duration::from_secs(4);
/// A page shows a step as late as this.
const LIVE: Duration = Duration::from_millis(200);
const RBAC: &str = "rbac.authorization.k8s.io";
const FIGURES: &str = "May read the API server's figures (optional)";
/// The step that says a word about rights that are more than needed.
pub const MORE: &str = "No more than needed";

/// Checks clusters.
#[derive(Clone, Debug)]
pub struct Probe {
    store: Store,
    clients: OwnClients,
    clock: Clock,
}

/// A right that Kubelend needs, and what for.
pub(super) struct Need {
    pub(super) title: String,
    pub(super) question: ResourceQuestion,
    /// What is done without it, where something is.
    pub(super) without: Option<&'static str>,
}

impl Probe {
    /// With these parts.
    pub fn new(store: Store, clients: OwnClients, clock: Clock) -> Self {
        Self { store, clients, clock }
    }

    /// Puts an empty check in place of the last one, so that a page shows at once that one is coming.
    pub async fn begin(&self, id: ClusterId) -> Result<(), AccessError> {
        Ok(self.store.begin_check(id, CheckId::new(), &self.empty()).await?)
    }

    /// Checks one cluster, whatever its last check said. Takes some seconds when nothing answers.
    pub async fn check(&self, id: ClusterId) -> Result<(), AccessError> {
        let cluster = self.store.cluster(id).await?;
        let (check, kept) = (self.empty(), Instant::now());
        let mut run = Run { probe: self, cluster: id, id: CheckId::new(), check, me: String::new(), kept };
        self.store.begin_check(id, run.id, &run.check).await?;
        run.all(&cluster).await?;
        run.check.finished_at = Some(self.clock.now());
        run.keep().await?;
        if run.check.outcome() != StepOutcome::Failed {
            self.store.hurry_grants(id, self.clock.now()).await?;
            self.store.hurry_accounts(id, self.clock.now()).await?;
        }
        Ok(())
    }

    fn empty(&self) -> ConnectionCheck {
        let titles = ["Address reached", "Certificate trusted", "Kubernetes", "Kubelend is known there"];
        let steps = titles.into_iter().map(str::to_owned).chain(needs().into_iter().map(|n| n.title));
        let steps = steps.chain(Power::ALL.map(Power::step));
        let steps = steps.chain([FIGURES, MORE].map(str::to_owned)).map(waiting).collect();
        ConnectionCheck { started_at: self.clock.now(), finished_at: None, steps, version: None }
    }
}

/// One check under way.
struct Run<'a> {
    probe: &'a Probe,
    cluster: ClusterId,
    id: CheckId,
    check: ConnectionCheck,
    /// Who Kubelend is there.
    me: String,
    /// When it was written down last.
    kept: Instant,
}

impl Run<'_> {
    async fn keep(&mut self) -> Result<(), AccessError> {
        self.probe.store.keep_check(self.cluster, self.id, &self.check).await?;
        self.kept = Instant::now();
        Ok(())
    }

    fn step(&mut self, at: usize, outcome: StepOutcome, detail: impl Into<String>, millis: u64) {
        let step = &mut self.check.steps[at];
        (step.outcome, step.detail, step.millis) = (outcome, detail.into(), millis);
        if outcome == StepOutcome::Failed && at < 4 {
            for later in &mut self.check.steps[at + 1..] {
                later.outcome = StepOutcome::Skipped;
            }
        }
    }

    async fn all(&mut self, cluster: &Cluster) -> Result<(), AccessError> {
        let client = match self.probe.clients.fresh(cluster.id, BOUND).await {
            Ok(client) => client,
            Err(AccessError::Cluster(e)) => {
                self.step(0, StepOutcome::Failed, e.to_string(), 0);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        if self.connection(&client, cluster).await? && self.identity(&client).await? {
            self.rights(&client).await?;
            self.powers(&client).await?;
            self.figures(&client).await?;
            self.more_than_needed(&client).await?;
        }
        Ok(())
    }

    async fn connection(&mut self, client: &ClusterClient, cluster: &Cluster) -> Result<bool, AccessError> {
        let address = cluster.endpoint.server.to_string();
        let (reached, millis) = self.timed(client.reach()).await?;
        match reached {
            Ok(()) => {
                self.step(0, StepOutcome::Passed, address, millis);
                self.step(1, StepOutcome::Passed, trusted_by(cluster), millis);
            }
            Err(K8sError::Tls(why)) => {
                self.step(0, StepOutcome::Passed, address, millis);
                let detail = format!("{why}. Is the certificate-authority-data the one of this API server?");
                self.step(1, StepOutcome::Failed, detail, millis);
                return Ok(false);
            }
            Err(e) => {
                let detail = format!("{e}. Is the address reachable from where Kubelend runs?");
                self.step(0, StepOutcome::Failed, detail, millis);
                return Ok(false);
            }
        }
        let (version, millis) = self.timed(client.version()).await?;
        match version {
            Ok(version) => {
                self.check.version = Some(version.clone());
                self.step(2, StepOutcome::Passed, version, millis);
                Ok(true)
            }
            // Some clusters keep /version from strangers; the next step says more.
            Err(e @ (K8sError::Unauthorized | K8sError::Forbidden(_))) => {
                self.step(2, StepOutcome::Warned, format!("It does not say its version: {e}."), millis);
                Ok(true)
            }
            Err(e) => {
                self.step(2, StepOutcome::Failed, e.to_string(), millis);
                Ok(false)
            }
        }
    }

    async fn identity(&mut self, client: &ClusterClient) -> Result<bool, AccessError> {
        let (who, millis) = self.timed(client.who_am_i()).await?;
        match who {
            Ok(user) => {
                self.step(3, StepOutcome::Passed, format!("as {}", user.username), millis);
                self.me = user.username;
                Ok(true)
            }
            Err(K8sError::Unauthorized) => {
                let detail = "The API server does not accept the credential: it may have been deleted or have run out. Paste a new kubeconfig on the Credentials page.";
                self.step(3, StepOutcome::Failed, detail, millis);
                Ok(false)
            }
            Err(e) => {
                self.step(3, StepOutcome::Failed, e.to_string(), millis);
                Ok(false)
            }
        }
    }

    async fn rights(&mut self, client: &ClusterClient) -> Result<(), AccessError> {
        for (at, need) in needs().into_iter().enumerate() {
            let (may, millis) = self.timed(client.can_i(&need.question)).await?;
            let at = at + 4;
            match may {
                Ok(true) => self.step(at, StepOutcome::Passed, "allowed", millis),
                Ok(false) if let Some(words) = need.without => {
                    self.check.steps[at].remedy = Some(remedy());
                    self.step(at, StepOutcome::Warned, words, millis);
                }
                Ok(false) => {
                    self.check.steps[at].remedy = Some(remedy());
                    self.step(
                        at,
                        StepOutcome::Failed,
                        "Not allowed. Apply this with your own kubectl, then test again.",
                        millis,
                    );
                }
                Err(e) => self.step(at, StepOutcome::Failed, e.to_string(), millis),
            }
        }
        Ok(())
    }

    /// Steps beyond the least, that somebody takes on purpose: their lack is no remark, and neither is having them.
    async fn powers(&mut self, client: &ClusterClient) -> Result<(), AccessError> {
        let first = self.check.steps.len() - 2 - Power::ALL.len();
        for (n, power) in Power::ALL.into_iter().enumerate() {
            let (mut held, mut millis) = (true, 0);
            for question in wanted_for(power) {
                let (may, took) = self.timed(client.can_i(&question)).await?;
                (held, millis) = (held && matches!(may, Ok(true)), millis + took);
            }
            if held {
                self.step(first + n, StepOutcome::Passed, power.amounts_to(), millis);
                continue;
            }
            self.check.steps[first + n].remedy = Some(apply(&kubeconfig::power_manifest(power, &self.me)));
            let detail = format!("Not given, and not needed until you want it. {}", power.amounts_to());
            self.step(first + n, StepOutcome::Skipped, detail, millis);
        }
        Ok(())
    }

    /// Nothing needs them, so their lack is no remark either.
    async fn figures(&mut self, client: &ClusterClient) -> Result<(), AccessError> {
        let at = self.check.steps.len() - 2;
        let (may, millis) = self.timed(client.can_i_read("/metrics")).await?;
        if matches!(may, Ok(true)) {
            let detail = "they tell more closely why a sign-in is refused";
            self.step(at, StepOutcome::Passed, detail, millis);
            return Ok(());
        }
        self.check.steps[at].remedy = Some(remedy());
        let detail = "Not allowed, and not needed. With it a refused sign-in is told apart more closely: whether the API server \
                      knows the provider at all.";
        self.step(at, StepOutcome::Skipped, detail, millis);
        Ok(())
    }

    async fn more_than_needed(&mut self, client: &ClusterClient) -> Result<(), AccessError> {
        let everything = ResourceQuestion { verb: "*", group: "*", resource: "*", namespace: None, name: None };
        let secrets = ResourceQuestion { verb: "get", group: "", resource: "secrets", namespace: None, name: None };
        let at = self.check.steps.len() - 1;
        let (all, first) = self.timed(client.can_i(&everything)).await?;
        let (reads, second) = self.timed(client.can_i(&secrets)).await?;
        let millis = first + second;
        let (outcome, detail) = match (all, reads) {
            (Ok(true), _) => (
                StepOutcome::Warned,
                "This credential may do everything on the cluster. Kubelend needs far less: exchange it on the Credentials page."
                    .to_owned(),
            ),
            (_, Ok(true)) => (
                StepOutcome::Warned,
                "This credential may read Secrets, which Kubelend never does: exchange it on the Credentials page.".to_owned(),
            ),
            (Ok(false), Ok(false)) => {
                (StepOutcome::Passed, "it can manage bindings, and neither read Secrets nor all the rest".to_owned())
            }
            (Err(e), _) | (_, Err(e)) => (StepOutcome::Skipped, format!("The cluster does not say: {e}.")),
        };
        self.step(at, outcome, detail, millis);
        Ok(())
    }

    /// Asks the cluster, and writes down meanwhile what is known so far if that has not been done for a while.
    async fn timed<T>(&mut self, call: impl Future<Output = T>) -> Result<(T, u64), AccessError> {
        let begun = self.probe.clock.now();
        let mut call = pin!(call);
        let answer = if let Ok(answer) = timeout_at(self.kept + LIVE, &mut call).await {
            answer
        } else {
            let (kept, answer) = tokio::join!(self.keep(), call);
            kept?;
            answer
        };
        let took = self.probe.clock.now().since(begun);
        Ok((answer, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
    }
}

fn waiting(title: String) -> CheckStep {
    CheckStep { title, outcome: StepOutcome::Waiting, detail: String::new(), remedy: None, millis: 0 }
}

fn trusted_by(cluster: &Cluster) -> String {
    if cluster.endpoint.ca_pem.is_some() { "by the CA that came with the kubeconfig" } else { "by public authorities" }
        .into()
}

fn remedy() -> String {
    apply(&kubeconfig::least_power_manifest(&Role::NAMES))
}

fn apply(manifest: &str) -> String {
    format!("kubectl apply -f - <<'EOF'\n{}\nEOF", manifest.trim_end())
}

/// What has to be allowed for a power to be held.
pub(super) fn wanted_for(power: Power) -> Vec<ResourceQuestion> {
    let ask = |verb, resource, name| ResourceQuestion { verb, group: RBAC, resource, namespace: None, name };
    let core = |verb, resource| ResourceQuestion { verb, group: "", resource, namespace: None, name: None };
    match power {
        Power::Namespaces => vec![core("create", "namespaces")],
        Power::ServiceAccounts => vec![
            core("create", "serviceaccounts"),
            core("delete", "serviceaccounts"),
            core("list", "serviceaccounts"),
            core("create", "serviceaccounts/token"),
            core("create", "secrets"),
            core("delete", "secrets"),
        ],
        Power::NamespaceRoles => {
            let of = |role: NamespaceRole| {
                ["patch", "escalate", "bind"].map(|verb| ask(verb, "roles", Some(role.as_str().to_owned())))
            };
            let named = NamespaceRole::ALL.into_iter().flat_map(of);
            [ask("create", "roles", None), ask("watch", "roles", None)].into_iter().chain(named).collect()
        }
        Power::CustomRoles => ["create", "watch", "patch", "delete", "escalate", "bind"]
            .map(|verb| ask(verb, "clusterroles", None))
            .into(),
        Power::ClusterAdmin => vec![ask("bind", "clusterroles", Some(Role::ClusterAdmin.to_string()))],
    }
}

pub(super) fn needs() -> Vec<Need> {
    let ask = |verb, resource, name| ResourceQuestion { verb, group: RBAC, resource, namespace: None, name };
    let mut all = Vec::new();
    for (resource, words) in [("clusterrolebindings", "ClusterRoleBindings"), ("rolebindings", "RoleBindings")] {
        for verb in ["list", "watch", "create", "patch", "delete"] {
            let without = (verb == "watch").then_some(
                "Not allowed, so a list every 20 s tells what somebody changed there. Apply this with your own kubectl \
                 to spare the cluster that.",
            );
            all.push(Need { title: format!("May {verb} {words}"), question: ask(verb, resource, None), without });
        }
    }
    for role in Role::NAMES {
        all.push(Need {
            title: format!("May bind “{role}”"),
            question: ask("bind", "clusterroles", Some(role.to_owned())),
            without: None,
        });
    }
    let reads = ask("get", "clusterroles", None);
    all.push(Need { title: "May read ClusterRoles".into(), question: reads, without: None });
    let namespaces = ResourceQuestion { verb: "list", group: "", resource: "namespaces", namespace: None, name: None };
    all.push(Need { title: "May list namespaces".into(), question: namespaces, without: None });
    all
}
