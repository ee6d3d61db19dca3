//! Asking a cluster many questions about somebody: several at once, and for no longer than a page waits.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::said::{Answer, Gaps, Holder, Part};
use crate::{
    k8s::{ClusterClient, K8sError, Said},
    model::rbac::{Actor, Deed, Extent},
};

/// How long all questions together may take.
const ASK: Duration = Duration::from_secs(1);
/// How many are under way at once.
const AT_ONCE: usize = 8;
/// In so many namespaces of a question the cluster is asked too.
pub(super) const NAMESPACES: usize = 5;

/// A question to the cluster.
pub(super) struct Ask {
    actor: Actor,
    deed: Deed,
    namespace: Option<String>,
    pub(super) name: Option<String>,
}

/// The questions to the cluster, in the order of the parts that they are about.
pub(super) fn asks_of(actor: &Actor, answers: &[Answer]) -> Vec<Ask> {
    let places = answers.iter().flat_map(|a| std::iter::once(&a.here).chain(a.elsewhere.iter().take(NAMESPACES)));
    places.flat_map(|place| place.parts.iter().map(|part| about(actor, part, place.namespace.as_ref()))).collect()
}

pub(super) fn asks_about(holder: &Holder) -> Vec<Ask> {
    let actor = Actor::of(&holder.subject);
    holder.parts.iter().map(|part| about(&actor, part, holder.namespace.as_ref())).collect()
}

/// What bindings limit to names is asked about one of the names.
fn about(actor: &Actor, part: &Part, namespace: Option<&String>) -> Ask {
    let name = match part.extent() {
        Some(Extent::Named(names)) => names.first().cloned(),
        _ => None,
    };
    Ask { actor: actor.clone(), deed: part.deed.clone(), namespace: namespace.cloned(), name }
}

/// Asks all of them, several at once, until the time is up; in their order.
pub(super) async fn ask(client: &ClusterClient, asks: Vec<Ask>, gaps: &mut Gaps) -> Vec<Option<Said>> {
    let until = Instant::now() + ASK;
    let answers = stream::iter(asks).map(|a| async move {
        let asked = client.may(&a.actor, &a.deed, a.namespace.as_deref(), a.name.as_deref());
        timeout_at(until, asked).await.unwrap_or(Err(K8sError::TimedOut))
    });
    let answers: Vec<Result<Said, K8sError>> = answers.buffered(AT_ONCE).collect().await;
    answers
        .into_iter()
        .map(|answer| match answer {
            Ok(said) => Some(said),
            Err(error) => {
                gaps.reviews.get_or_insert(error);
                None
            }
        })
        .collect()
}
