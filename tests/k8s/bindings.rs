//! Bindings on a real API server: made, corrected, replaced, taken away, and never anybody else's.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use kubelend::{
    bindings::{self, ApplyError, Ensured, GRANT_LABEL, OWNER_LABEL, Repair, Work},
    k8s::{BindingObject, ClusterClient, FoundBinding, K8sError, Placed, RoleKind, RoleRef},
    model::{
        binding::Memory,
        claim_mapping::ClaimMapping,
        grant::{Grant, GrantState, Grantee, Origin},
        id::{ClusterId, GrantId, IdentityId},
        role::Role,
        scope::Scope,
        subject::Subject,
        time::Timestamp,
    },
};
use testbed::{ControlPlane, Testbed};

use super::{admin, client};

const INSTANCE: &str = "k-test";

struct Story {
    cluster: &'static ControlPlane,
    client: ClusterClient,
    namespaces: Vec<String>,
    grant: Grant,
    /// What the database would hold.
    memory: Memory,
}

impl Story {
    async fn begin(namespaces: usize) -> Result<Self> {
        let testbed = Testbed::shared().await?;
        let cluster = testbed.staging().await?;
        let client = admin(cluster)?;
        let kubectl = cluster.kubectl()?;
        let mut names = Vec::new();
        for _ in 0..namespaces {
            let name = format!("bindings-{}", testbed.unique());
            kubectl.run(&["create", "namespace", &name]).await?.ok()?;
            names.push(name);
        }
        let grant = Grant {
            id: GrantId::new(),
            grantee: Grantee::Group("dex".parse()?, "devs".into()),
            role: Some(Role::View),
            scope: Scope::Cluster(ClusterId::new()),
            expires_at: None,
            reason: None,
            origin: Origin::Manual,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            state: GrantState::Pending,
            state_detail: None,
            state_since: Timestamp::from_secs(0),
            ended: None,
        };
        let mark = Some(format!("{:032x}", 7));
        let memory = Memory { grant: grant.id, state: GrantState::Pending, settled: false, mark, made: Vec::new() };
        Ok(Self { cluster, client, namespaces: names, grant, memory })
    }

    fn in_namespaces(&mut self, names: &[&str]) -> Result<()> {
        let names = names.iter().map(|n| n.parse()).collect::<Result<Vec<_>, _>>()?;
        self.grant.scope = Scope::new(self.grant.scope.cluster(), names);
        Ok(())
    }

    fn wanted(&self) -> Result<Vec<BindingObject>> {
        Ok(bindings::wanted(&self.grant, None, &ClaimMapping::default(), INSTANCE)?)
    }

    /// As the applier does it, the memory being the database.
    async fn ensure(&mut self) -> Result<Ensured> {
        let wanted = self.wanted()?;
        let work = Work::begin(&self.client, self.memory.clone(), &wanted, INSTANCE).await?;
        let gone = work.gone();
        self.memory.made.retain(|made| !gone.contains(made));
        let ensured = work.finish().await;
        for made in &ensured.made {
            self.memory.made.retain(|m| m.namespace != made.namespace);
            self.memory.made.push(made.clone());
        }
        Ok(ensured)
    }

    /// The same, and all went well; which repairs there were.
    async fn stands(&mut self) -> Result<Vec<Repair>> {
        let ensured = self.ensure().await?;
        ensure!(ensured.failed.is_none(), "{ensured:?}");
        Ok(ensured.repairs.into_iter().map(|(repair, _)| repair).collect())
    }

    async fn is_absent(&self, places: &[Option<String>]) -> Result<()> {
        Ok(bindings::ensure_absent(&self.client, &self.memory, places, INSTANCE).await?)
    }

    async fn standing(&self) -> Result<Vec<FoundBinding>> {
        Ok(self.client.bindings(Some(&format!("{GRANT_LABEL}={}", self.grant.id))).await?)
    }

    fn name(&self) -> String {
        bindings::binding_name(self.grant.id)
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl()?.run(args).await?.ok()
    }
}

#[tokio::test]
async fn a_grant_stands_is_not_written_again_and_is_read_by_people() -> Result<()> {
    let mut story = Story::begin(0).await?;
    assert_eq!(story.stands().await?, []);
    let [made] = story.standing().await?.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    assert_eq!((made.role_kind.as_str(), made.role_name.as_str()), ("ClusterRole", "view"));
    assert_eq!(made.subjects, [Subject::group("oidc:devs")]);
    assert!(made.created_at.is_some());
    assert_eq!(story.memory.made, [bindings::looks_of(&made)]);
    let name = story.name();
    let version = ["get", "clusterrolebinding", &name, "-o", "jsonpath={.metadata.resourceVersion}"];
    let before = story.kubectl(&version).await?;
    assert_eq!(story.ensure().await?.made, []);
    assert_eq!(story.kubectl(&version).await?, before);
    let seen = story.kubectl(&["describe", "clusterrolebinding", &name]).await?;
    assert!(seen.contains("Kubelend lends group oidc:devs the role view in the whole cluster"), "{seen}");
    // What the annotation says of a deletion by hand.
    story.kubectl(&["delete", "clusterrolebinding", &name]).await?;
    assert_eq!(story.stands().await?, [Repair::Restored]);
    assert_eq!(story.standing().await?.len(), 1);
    // One that died before it kept the UID left its mark, and is no other's.
    story.memory.made.clear();
    assert_eq!(story.stands().await?, []);
    assert_eq!(story.memory.made.len(), 1);
    story.is_absent(&[None]).await?;
    assert_eq!(story.standing().await?, []);
    story.is_absent(&[None]).await
}

#[tokio::test]
async fn subjects_are_corrected_a_changed_role_replaced_and_labels_of_others_kept() -> Result<()> {
    let mut story = Story::begin(1).await?;
    let namespace = story.namespaces[0].clone();
    story.in_namespaces(&[&namespace])?;
    story.stands().await?;
    let name = story.name();
    let made = story.client.binding(Some(&namespace), &name).await?.context("it stands")?;

    let patch = r#"{"metadata":{"labels":{"team":"x","kubelend.io/instance":null,"kubelend.io/grant":null}},
        "subjects":[{"kind":"User","name":"mallory","apiGroup":"rbac.authorization.k8s.io"}]}"#;
    story.kubectl(&["-n", &namespace, "patch", "rolebinding", &name, "--type=merge", "-p", patch]).await?;
    assert_eq!(story.stands().await?, [Repair::Corrected]);
    let mended = story.client.binding(Some(&namespace), &name).await?.context("it stands")?;
    assert_eq!((mended.subjects.as_slice(), &mended.uid), ([Subject::group("oidc:devs")].as_slice(), &made.uid));
    assert_eq!((mended.labels["team"].as_str(), mended.labels[OWNER_LABEL].as_str()), ("x", INSTANCE));

    // A wish that changes is no repair.
    story.grant.role = Some(Role::Edit);
    assert_eq!(story.stands().await?, []);
    let replaced = story.client.binding(Some(&namespace), &name).await?.context("it stands")?;
    assert_eq!(replaced.role_name, "edit");
    assert_ne!(replaced.uid, made.uid);

    // Without its labels it goes all the same.
    story.kubectl(&["-n", &namespace, "label", "rolebinding", &name, "kubelend.io/grant-"]).await?;
    story.is_absent(&[]).await?;
    assert_eq!(story.client.binding(Some(&namespace), &name).await?, None);
    Ok(())
}

#[tokio::test]
async fn places_that_are_not_wanted_any_more_are_cleared_even_when_another_is_missing() -> Result<()> {
    let mut story = Story::begin(2).await?;
    let (a, b) = (story.namespaces[0].clone(), story.namespaces[1].clone());
    story.in_namespaces(&[&a, &b])?;
    story.stands().await?;
    assert_eq!(story.standing().await?.len(), 2);
    story.in_namespaces(&[&b, "no-such-namespace"])?;
    let error = story.ensure().await?.failed.context("a namespace is missing")?;
    assert_eq!(error.to_string(), "the API server answered 404: there is no namespace no-such-namespace");
    let standing: Vec<_> = story.standing().await?.into_iter().filter_map(|f| f.namespace).collect();
    assert_eq!(standing, [b]);
    story.is_absent(&[Some("no-such-namespace".to_owned()), Some(a)]).await?;
    assert_eq!(story.standing().await?, []);
    Ok(())
}

#[tokio::test]
async fn immune_28_what_bears_the_name_and_every_label_without_being_ours_is_a_conflict_and_stays() -> Result<()> {
    let mut story = Story::begin(1).await?;
    let (name, namespace) = (story.name(), story.namespaces[0].clone());
    let create = ["create", "clusterrolebinding", &name, "--clusterrole=view", "--user=somebody"];
    story.kubectl(&create).await?;
    let foreign = story.client.binding(None, &name).await?.context("it stands")?;
    let conflict = |ensured: Ensured| match ensured.failed {
        Some(ApplyError::Conflict(what)) => Ok(what.to_string()),
        other => anyhow::bail!("no conflict: {other:?}"),
    };
    let words = conflict(story.ensure().await?)?;
    assert!(words.contains("ClusterRole view to User somebody"), "{words}");
    assert!(words.ends_with(&format!("“kubectl delete clusterrolebinding {name}”")), "{words}");
    story.is_absent(&[None]).await?;
    // All of our labels make it no more ours.
    let labels = [
        format!("{GRANT_LABEL}={}", story.grant.id),
        format!("{OWNER_LABEL}={INSTANCE}"),
        "app.kubernetes.io/managed-by=kubelend".to_owned(),
    ];
    story.kubectl(&["label", "clusterrolebinding", &name, &labels[0], &labels[1], &labels[2]]).await?;
    conflict(story.ensure().await?)?;
    story.is_absent(&[None]).await?;
    let after = story.client.binding(None, &name).await?.context("it stands")?;
    assert_eq!((after.uid, after.subjects), (foreign.uid, vec![Subject::user("somebody")]));
    story.kubectl(&["delete", "clusterrolebinding", &name]).await?;

    // A copy of ours in a place that the grant does not reach, mark and all, is nobody's business.
    assert_eq!(story.stands().await?, []);
    story.kubectl(&["-n", &namespace, "create", "rolebinding", &name, "--clusterrole=view", "--user=eve"]).await?;
    let mark = format!("kubelend.io/mark={:032x}", 7);
    story
        .kubectl(&["-n", &namespace, "label", "rolebinding", &name, &labels[0], &labels[1], &labels[2], &mark])
        .await?;
    assert_eq!(story.stands().await?, []);
    story.is_absent(&[None]).await?;
    let copy = story.client.binding(Some(&namespace), &name).await?.context("it stays")?;
    assert_eq!(copy.subjects, [Subject::user("eve")]);
    Ok(())
}

#[tokio::test]
async fn changes_and_deletions_hit_the_binding_that_was_meant_and_no_later_one() -> Result<()> {
    let mut story = Story::begin(1).await?;
    let namespace = story.namespaces[0].clone();
    story.in_namespaces(&[&namespace])?;
    let wanted = story.wanted()?.remove(0);
    let Placed::Created(first) = story.client.create_binding(&wanted).await? else { anyhow::bail!("it stood") };
    story.client.delete_binding(Some(&namespace), &first.name, &first.uid).await?;
    story.client.delete_binding(Some(&namespace), &first.name, &first.uid).await?;
    let Placed::Created(second) = story.client.create_binding(&wanted).await? else { anyhow::bail!("it stood") };
    assert_eq!(story.client.create_binding(&wanted).await?, Placed::Exists(second.clone()));

    story.client.delete_binding(Some(&namespace), &first.name, &first.uid).await?;
    let changed = story.client.apply_binding(&first.uid, &wanted).await;
    assert!(matches!(changed, Err(K8sError::Conflict(_))), "{changed:?}");
    assert_eq!(story.client.binding(Some(&namespace), &first.name).await?, Some(second));
    let gone = BindingObject { name: "kubelend-gone".into(), ..wanted };
    let changed = story.client.apply_binding("x", &gone).await;
    assert!(matches!(changed, Err(K8sError::Conflict(_))), "{changed:?}");
    Ok(())
}

#[tokio::test]
async fn long_lists_come_whole_and_cluster_role_bindings_first() -> Result<()> {
    let story = Story::begin(1).await?;
    let namespace = &story.namespaces[0];
    let object = |n: usize, namespace: Option<&String>| BindingObject {
        namespace: namespace.cloned(),
        name: format!("{}-{n}", story.name()),
        role: RoleRef { kind: RoleKind::ClusterRole, name: "view".into() },
        subjects: vec![Subject::user("x"), Subject::group("y")],
        labels: BTreeMap::from([("pages".to_owned(), story.grant.id.to_string())]),
        annotations: BTreeMap::new(),
    };
    story.client.create_binding(&object(0, None)).await?;
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let objects: Vec<_> = (0..160).map(|n| object(worker * 160 + n, Some(namespace))).collect();
            let client = story.client.clone();
            tokio::spawn(async move {
                for object in objects {
                    client.create_binding(&object).await?;
                }
                Ok::<_, K8sError>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let label = format!("pages={}", story.grant.id);
    let all = story.client.bindings(Some(&label)).await?;
    assert_eq!(all.len(), 641);
    assert_eq!(all[0].namespace, None);
    ensure!(all[1..].iter().all(|b| b.namespace.as_ref() == Some(namespace) && b.subjects.len() == 2));
    story.kubectl(&["delete", "clusterrolebinding", "-l", &label]).await?;
    story.kubectl(&["delete", "namespace", namespace, "--wait=false"]).await?;
    Ok(())
}

#[tokio::test]
async fn without_rights_nothing_is_made_and_the_words_are_the_api_servers() -> Result<()> {
    let story = Story::begin(0).await?;
    let namespace = format!("powerless-{}", Testbed::shared().await?.unique());
    story.kubectl(&["create", "namespace", &namespace]).await?;
    story.kubectl(&["-n", &namespace, "create", "serviceaccount", "weak"]).await?;
    let token = story.kubectl(&["-n", &namespace, "create", "token", "weak"]).await?;
    let weak = client(&story.cluster.kubeconfig_with_token(token.trim()))?;
    let wanted = story.wanted()?;
    let work = Work::begin(&weak, story.memory.clone(), &wanted, INSTANCE).await?;
    let error = work.finish().await.failed.context("it has no rights")?;
    assert!(
        matches!(&error, ApplyError::Cluster(K8sError::Forbidden(why)) if why.contains("clusterrolebindings")),
        "{error:?}"
    );
    Ok(())
}
