//! A Kubelend with as many clusters and grants as are wanted, written beside it while it does not run.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result};
use kubelend::{
    bindings,
    clock::Clock,
    crypto::Keyring,
    k8s::FoundBinding,
    model::{
        audit::{Action, Actor},
        claim_mapping::ClaimMapping,
        cluster::{CredentialKind, Endpoint},
        grant::{Grantee, Origin},
        id::{ClusterId, GrantId, IdentityId, WorkspaceId},
        role::Role,
        scope::Scope,
        subject::Subject,
    },
    store::{AuditDraft, NewCluster, NewGrant, NewWorkspace, SealedCredential, Store},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{
    house::{Database, House},
    stand_in::StandIn,
    visitor::Visitor,
};

/// On each cluster.
const GRANTS: usize = 100;

fn event() -> AuditDraft {
    AuditDraft {
        actor: Actor::Kubelend,
        actor_name: "bench".into(),
        action: Action::GrantAdded,
        target: "bench".into(),
        request_id: None,
    }
}

/// A Kubelend whose clusters are the stand-in's.
pub struct Filled {
    pub house: House,
    pub owner: Visitor,
    /// A workspace with so many clusters, and the first of them.
    pub full: (WorkspaceId, ClusterId),
    /// One with a single cluster that has ten grants.
    pub ten: (WorkspaceId, ClusterId),
}

/// What is written beside a Kubelend that does not run.
struct Inside<'a> {
    store: Store,
    db: SqliteConnection,
    keyring: Keyring,
    stand_in: &'a StandIn,
    instance: String,
    by: IdentityId,
}

impl Filled {
    /// With so many clusters beside the single one; their API servers are the stand-in's.
    pub async fn with(stand_in: &StandIn, clusters: usize) -> Result<Self> {
        let house = House::open(Database::Sqlite).await?;
        let owner = house.owner().await?;
        house.kubelend.terminate().await?;
        let store = Store::open(&house.database_url).await?;
        let by = store.identity_by_email(&"dex".parse()?, &house.alice.email.parse()?).await?.context("alice")?.id;
        let mut inside = Inside {
            db: SqliteConnection::connect(&house.database_url).await?,
            keyring: Keyring::open_or_create(&house.kubelend.place().folder().join("keyring"))?,
            instance: store.instance_id().await?,
            store,
            stand_in,
            by,
        };
        let begun = Instant::now();
        let ten = inside.workspace("Ten", 1, 10).await?;
        let full = if clusters == 0 { ten } else { inside.workspace("Full", clusters, GRANTS).await? };
        inside.store.close().await;
        inside.db.close().await?;
        println!("({} grants on {} clusters written in {:.0?})", clusters * GRANTS + 10, clusters + 1, begun.elapsed());
        house.kubelend.resume().await?;
        Ok(Self { house, owner, full, ten })
    }
}

impl Inside<'_> {
    /// A workspace with so many clusters that have so many grants each.
    async fn workspace(&mut self, name: &str, clusters: usize, grants: usize) -> Result<(WorkspaceId, ClusterId)> {
        let new = NewWorkspace { id: WorkspaceId::new(), name: name.parse()?, created_by: self.by, most: None };
        self.store.create_workspace(&new, event(), Clock::System.now()).await?;
        let first = self.cluster(new.id, 0).await?;
        let templates = self.templates(first, grants).await?;
        let mut all = vec![first];
        for n in 1..clusters {
            all.push(self.cluster(new.id, n).await?);
        }
        for (n, cluster) in all.into_iter().enumerate() {
            self.grants(cluster, n > 0, &templates).await?;
        }
        Ok((new.id, first))
    }

    async fn cluster(&self, workspace: WorkspaceId, n: usize) -> Result<ClusterId> {
        let id = ClusterId::new();
        let credential = format!(r#"{{"token":"of-{id}"}}"#);
        let sealed = self.keyring.seal(&format!("cluster:{id}:credential"), credential.as_bytes());
        let new = NewCluster {
            id,
            workspace: Some(workspace),
            name: format!("cluster-{n:04}").parse()?,
            endpoint: Endpoint {
                server: format!("{}/{id}", self.stand_in.url).parse()?,
                ca_pem: Some(self.stand_in.ca_pem.clone()),
                tls_server_name: None,
            },
            credential: SealedCredential { kind: CredentialKind::Token, sealed },
            trusts: vec![("dex".parse()?, ClaimMapping::default())],
            owner_grant: None,
        };
        self.store.add_cluster(&new, "", self.by, event(), Clock::System.now()).await?;
        Ok(id)
    }

    /// Grants of the first cluster, made as they are made, for the others to be copies of.
    async fn templates(&mut self, cluster: ClusterId, grants: usize) -> Result<Vec<GrantId>> {
        let mut all = Vec::new();
        for n in 0..grants {
            let grant = NewGrant {
                id: GrantId::new(),
                grantee: Grantee::Group("dex".parse()?, group(n)),
                role: Some(Role::View),
                scope: Scope::Cluster(cluster),
                expires_at: None,
                reason: None,
                origin: Origin::Manual,
                created_by: self.by,
                vouch: None,
            };
            self.store.add_grant(&grant, event(), Clock::System.now()).await?;
            all.push(grant.id);
        }
        let applied = "UPDATE grants SET state = 'applied', next_attempt = NULL WHERE state = 'pending'";
        sqlx::raw_sql(applied).execute(&mut self.db).await?;
        Ok(all)
    }

    /// Writes the grants of a cluster (copies, unless they are the first ones'), and their bindings, here and there.
    async fn grants(&mut self, cluster: ClusterId, copied: bool, templates: &[GrantId]) -> Result<()> {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM pragma_table_info('grants') WHERE name NOT IN ('id', 'cluster_id') ORDER BY cid",
        )
        .fetch_all(&mut self.db)
        .await?;
        let columns = columns.join(", ");
        let copy = format!(
            "INSERT INTO grants (id, cluster_id, {columns}) SELECT $1, $2, {columns} FROM grants WHERE id = $3"
        );
        let mut tx = self.db.begin().await?;
        let mut standing = Vec::new();
        for (n, template) in templates.iter().enumerate() {
            let mut grant = *template;
            if copied {
                grant = GrantId::new();
                sqlx::query(AssertSqlSafe(copy.clone()))
                    .bind(grant.to_string())
                    .bind(cluster.to_string())
                    .bind(template.to_string())
                    .execute(&mut *tx)
                    .await?;
            }
            let (made, json) = binding(grant, n, &self.instance);
            let made = bindings::looks_of(&made);
            sqlx::query("INSERT INTO bindings (grant_id, namespace, uid, looks) VALUES ($1, '', $2, $3)")
                .bind(grant.to_string())
                .bind(made.uid)
                .bind(made.looks)
                .execute(&mut *tx)
                .await?;
            standing.push(json);
        }
        tx.commit().await?;
        self.stand_in.put(&cluster.to_string(), &standing);
        Ok(())
    }
}

fn group(n: usize) -> String {
    format!("team-{n:03}")
}

/// The binding of a grant, as it was made and as an API server tells it.
fn binding(grant: GrantId, n: usize, instance: &str) -> (FoundBinding, String) {
    let subject = format!("oidc:{}", group(n));
    let labels = BTreeMap::from([
        (bindings::MANAGED_BY_LABEL.to_owned(), bindings::MANAGED_BY.to_owned()),
        (bindings::OWNER_LABEL.to_owned(), instance.to_owned()),
        (bindings::GRANT_LABEL.to_owned(), grant.to_string()),
    ]);
    let name = bindings::binding_name(grant);
    let about = format!(
        "Kubelend lends group {subject} the role view in the whole cluster. Its end stands in Kubelend. Take it back there: what \
         is changed or deleted here, Kubelend puts back."
    );
    let json = serde_json::json!({
        "metadata": {
            "name": name, "uid": format!("uid-of-{grant}"), "resourceVersion": "7", "creationTimestamp": "2026-11-30T08:00:00Z",
            "labels": labels, "annotations": {"kubelend.io/about": about},
            "managedFields": [{
                "manager": "kubelend", "operation": "Update", "apiVersion": "rbac.authorization.k8s.io/v1",
                "time": "2026-11-30T08:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:kubelend.io/grant": {}}}, "f:roleRef": {}, "f:subjects": {}},
            }],
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": subject}],
    });
    let found = FoundBinding {
        namespace: None,
        name,
        uid: format!("uid-of-{grant}"),
        role_kind: "ClusterRole".into(),
        role_name: "view".into(),
        subjects: vec![Subject::group(&subject)],
        more_subjects: 0,
        labels,
        created_at: None,
    };
    (found, json.to_string())
}
