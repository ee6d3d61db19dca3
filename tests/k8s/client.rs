//! Asking an API server who we are, what we may do and what is there, and what its refusals become.

use std::time::Duration;

use anyhow::Result;
use kubelend::{
    k8s::{K8sError, ResourceQuestion, RoleRules, Shown},
    model::cluster::Endpoint,
};
use testbed::{FaultProxy, Testbed, fault::Fault};

use super::{BOUND, admin, client, connector, parse};

fn question(verb: &'static str, group: &'static str, resource: &'static str) -> ResourceQuestion {
    ResourceQuestion { verb, group, resource, namespace: None, name: None }
}

#[tokio::test]
async fn an_admin_certificate_reads_version_namespaces_identity_rights_and_roles() -> Result<()> {
    let cluster = Testbed::shared().await?.staging().await?;
    let admin = admin(cluster)?;
    admin.reach().await?;
    assert!(admin.version().await?.starts_with("v1."));
    let namespaces = admin.namespaces().await?;
    assert!(namespaces.is_sorted() && namespaces.iter().any(|n| n == "kube-system"), "{namespaces:?}");
    let me = admin.who_am_i().await?;
    assert_eq!(me.username, "testbed-admin");
    assert!(me.groups.iter().any(|g| g == "system:masters"), "{me:?}");
    assert!(admin.can_i(&question("delete", "", "nodes")).await?);
    let RoleRules { rules, more } = admin.role(None, "view").await?.shown();
    assert_eq!(more, 0);
    assert!(rules.iter().any(|r| r.resources.iter().any(|x| x == "pods/log") && r.verbs.iter().any(|v| v == "get")));
    assert!(!rules.iter().any(|r| r.resources.iter().any(|x| x == "secrets")), "view reads Secrets");
    assert_eq!(admin.role(None, "no-such-role").await, Err(K8sError::NotFound));
    Ok(())
}

#[tokio::test]
async fn refusals_say_whose_turn_it_is() -> Result<()> {
    let cluster = Testbed::shared().await?.staging().await?;
    let unknown = client(&cluster.kubeconfig_with_token("no-such-token"))?;
    unknown.reach().await?;
    assert_eq!(unknown.version().await, Err(K8sError::Unauthorized));
    assert_eq!(unknown.who_am_i().await, Err(K8sError::Unauthorized));

    let endpoint = parse(cluster.admin_kubeconfig_text())?.endpoint;
    let nobody = connector().client(&endpoint, Shown::Nothing, BOUND)?;
    let refused = nobody.namespaces().await;
    assert!(matches!(&refused, Err(K8sError::Forbidden(why)) if why.contains("system:anonymous")), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_is_down_slow_or_somebody_else_is_told_apart_and_back_without_a_restart() -> Result<()> {
    let cluster = Testbed::shared().await?.staging().await?;
    let parsed = parse(cluster.admin_kubeconfig_text())?;
    let upstream = cluster.server_url().trim_start_matches("https://").parse()?;
    let proxy = FaultProxy::start(upstream)?;
    let endpoint = Endpoint { server: format!("https://{}", proxy.address()).parse()?, ..parsed.endpoint.clone() };
    let bound = Duration::from_secs(4);
    let client = connector().client(&endpoint, Shown::Own(parsed.credential.clone()), bound)?;
    client.version().await?;

    proxy.set(Fault::Refuse);
    let refused = client.version().await;
    assert!(matches!(refused, Err(K8sError::Unreachable(_))), "{refused:?}");
    proxy.set(Fault::BlackHole);
    assert_eq!(client.version().await, Err(K8sError::TimedOut));
    proxy.set(Fault::Pass);
    client.version().await?;

    let other = Testbed::shared().await?.production().await?;
    let endpoint = Endpoint { ca_pem: Some(other.ca_pem().to_owned()), ..parsed.endpoint };
    let stranger = connector().client(&endpoint, Shown::Own(parsed.credential), bound)?.version().await;
    assert!(matches!(stranger, Err(K8sError::Tls(_))), "{stranger:?}");
    Ok(())
}
