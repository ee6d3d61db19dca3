//! The command that connects a cluster, run as people run it: pasted into a shell with their own kubectl.

use std::time::Duration;

use anyhow::{Result, bail};
use kubelend::{
    bindings,
    k8s::{BindingObject, K8sError, Placed, ResourceQuestion, RoleKind, RoleRef},
    kubeconfig::{connect_script, least_power_manifest},
    model::{id::GrantId, role::Role, subject::Subject},
};
use testbed::{ControlPlane, Kubectl, Testbed, eventually};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::{client, parse};

fn roles() -> Vec<&'static str> {
    Role::NAMES.to_vec()
}

/// A cluster for these tests alone, one at a time: the command makes things whose names it chooses itself.
async fn cluster() -> Result<MutexGuard<'static, ControlPlane>> {
    static CLUSTER: OnceCell<Mutex<ControlPlane>> = OnceCell::const_new();
    let start = async {
        let etcd = Testbed::shared().await?.etcd().await?;
        Ok::<_, anyhow::Error>(Mutex::new(ControlPlane::builder("connect").start(etcd).await?))
    };
    Ok(CLUSTER.get_or_try_init(|| start).await?.lock().await)
}

async fn run(kubectl: &Kubectl, shell: &str) -> Result<String> {
    let script = connect_script(&roles());
    let output = kubectl.shell(&format!("cat > pasted <<'END_OF_PASTE'\n{script}END_OF_PASTE\n{shell} pasted")).await?;
    assert!(output.stderr.contains("to revoke it"), "{output:?}");
    output.ok()
}

#[tokio::test]
async fn the_command_makes_a_credential_of_least_power_that_can_be_revoked() -> Result<()> {
    let cluster = cluster().await?;
    let kubectl = cluster.kubectl()?;
    let printed = run(&kubectl, "sh").await?;
    assert_eq!(run(&kubectl, "bash").await?, printed, "the second run prints something else");
    let parsed = parse(&printed)?;
    assert_eq!(parsed.warnings, Vec::<String>::new());
    assert_eq!(parsed.context, "connect");
    assert_eq!(parsed.endpoint.server.as_str(), format!("{}/", cluster.server_url()));

    let kubelend = client(&printed)?;
    assert_eq!(kubelend.who_am_i().await?.username, "system:serviceaccount:kubelend:kubelend");
    kubelend.version().await?;
    assert!(!kubelend.namespaces().await?.is_empty());
    assert!(!kubelend.role(None, "view").await?.rules.is_empty());
    rights(&kubelend).await?;

    for role in Role::ALL {
        let binding = binding(role.as_str());
        let Placed::Created(made) = kubelend.create_binding(&binding).await? else { bail!("it stood") };
        kubelend.apply_binding(&made.uid, &binding).await?;
        assert!(kubelend.bindings(None).await?.iter().any(|b| b.uid == made.uid));
        kubelend.delete_binding(None, &made.name, &made.uid).await?;
    }
    // Neither more than it may give, nor to itself.
    let escalation = kubelend.create_binding(&binding("cluster-admin")).await;
    assert!(matches!(escalation, Err(K8sError::Forbidden(_))), "{escalation:?}");

    kubectl.run(&["-n", "kubelend", "delete", "secret", "kubelend-token"]).await?.ok()?;
    eventually("the token is refused", Duration::from_secs(30), || async {
        match client(&printed)?.who_am_i().await {
            Err(K8sError::Unauthorized) => Ok(()),
            other => bail!("{other:?}"),
        }
    })
    .await
}

fn binding(role: &str) -> BindingObject {
    BindingObject {
        namespace: None,
        name: bindings::binding_name(GrantId::new()),
        role: RoleRef { kind: RoleKind::ClusterRole, name: role.to_owned() },
        subjects: vec![Subject::user("x@example.com")],
        labels: [("a".to_owned(), "b".to_owned())].into(),
        annotations: [].into(),
    }
}

async fn rights(kubelend: &kubelend::k8s::ClusterClient) -> Result<()> {
    let rbac = "rbac.authorization.k8s.io";
    let ask = |verb, group, resource, name: Option<&str>| {
        let name = name.map(str::to_owned);
        ResourceQuestion { verb, group, resource, namespace: None, name }
    };
    for question in [
        ask("delete", rbac, "clusterrolebindings", None),
        ask("watch", rbac, "rolebindings", None),
        ask("bind", rbac, "clusterroles", Some("admin")),
        ask("list", rbac, "roles", None),
        ask("create", "authorization.k8s.io", "subjectaccessreviews", None),
    ] {
        assert!(kubelend.can_i(&question).await?, "{question:?}");
    }
    for question in [
        ask("bind", rbac, "clusterroles", Some("cluster-admin")),
        ask("bind", rbac, "clusterroles", None),
        ask("escalate", rbac, "clusterroles", None),
        ask("create", rbac, "clusterroles", None),
        ask("update", rbac, "clusterroles", Some("view")),
        ask("deletecollection", rbac, "clusterrolebindings", None),
        ask("get", "", "secrets", None),
        ask("list", "", "pods", None),
        ask("create", "", "pods", None),
        ask("impersonate", "", "users", None),
        ask("create", "", "serviceaccounts/token", None),
        ask("create", "", "namespaces", None),
        ask("*", "*", "*", None),
    ] {
        assert!(!kubelend.can_i(&question).await?, "{question:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_context_that_skips_verification_gets_the_cluster_s_own_ca() -> Result<()> {
    let cluster = cluster().await?;
    let text: String = cluster
        .admin_kubeconfig_text()
        .lines()
        .map(|l| {
            if l.contains("certificate-authority-data") {
                "    insecure-skip-tls-verify: true\n".into()
            } else {
                format!("{l}\n")
            }
        })
        .collect();
    let text = text.replace("connect", "\"it's $HOME: \\\"odd\\\"\"");
    let printed = run(&Kubectl::with_text(&text)?, "sh").await?;
    assert_eq!(parse(&printed)?.context, "it's $HOME: \"odd\"");
    client(&printed)?.who_am_i().await?;
    Ok(())
}

#[tokio::test]
async fn the_manifest_alone_is_taken_by_the_api_server_as_it_is() -> Result<()> {
    let cluster = cluster().await?;
    let kubectl = cluster.kubectl()?;
    let manifest = least_power_manifest(&roles());
    let strict = ["apply", "--validate=strict", "-f", "-"];
    kubectl.run_with_input(&strict, &manifest).await?.ok()?;
    let again = kubectl.run_with_input(&strict, &manifest).await?.ok()?;
    assert_eq!(again.matches("unchanged").count(), 5, "{again}");
    Ok(())
}
