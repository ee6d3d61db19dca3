//! Reviews about others and all roles of a real cluster.

use anyhow::{Context, Result};
use kubelend::{
    bindings::Rbac,
    k8s::Listed,
    model::{
        questions::{QUESTIONS, Question},
        rbac::{Actor, Deed},
    },
};
use testbed::Testbed;

use super::admin;

/// Kubernetes' own controllers have bindings of every shape. What is reckoned out of them is what the API server says.
#[tokio::test]
async fn the_rules_of_a_real_cluster_are_reckoned_as_it_reckons_them() -> Result<()> {
    let cluster = Testbed::shared().await?.staging().await?;
    let admin = admin(cluster)?;
    let (bindings, roles) = tokio::try_join!(admin.bindings(None), admin.all_roles())?;
    assert!(
        !roles.cut
            && roles
                .items
                .iter()
                .any(|r| r.namespace.is_some() && r.name == "extension-apiserver-authentication-reader")
    );
    let view = roles.items.iter().find(|r| r.namespace.is_none() && r.name == "view").context("view")?;
    assert!(view.rules.len() > 3, "aggregated rules are read as they stand");
    let rbac = Rbac::new(Listed { items: bindings, cut: false }, roles);
    let actors = [
        Actor::group("system:masters"),
        Actor::group("system:unauthenticated"),
        Actor::user("system:kube-controller-manager", vec![]),
        Actor::user("system:kube-scheduler", vec![]),
        Actor::service_account("kube-system", "generic-garbage-collector"),
        Actor::service_account("kube-system", "deployment-controller"),
        Actor::service_account("kube-system", "token-cleaner"),
        Actor::user("nobody-in-particular", vec![]),
    ];
    let more = [Deed::new("get", "/healthz"), Deed::new("create", "selfsubjectreviews.authentication.k8s.io")];
    for actor in &actors {
        for deed in QUESTIONS.iter().flat_map(Question::deeds).chain(more.clone()) {
            for namespace in [None, Some("kube-system")] {
                let reckoned = rbac
                    .ways(actor, &deed)
                    .iter()
                    .any(|w| w.counts_in(namespace) && w.extent == kubelend::model::rbac::Extent::All);
                let said = admin.may(actor, &deed, namespace, None).await?;
                assert_eq!(reckoned, said.allowed, "{actor:?} {} in {namespace:?}: {said:?}", deed.in_words());
            }
        }
    }
    Ok(())
}
