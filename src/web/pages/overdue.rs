//! Access that has ended and still stands on a cluster: which cluster, since when, and whose turn it is.

use crate::{
    model::{cluster::Cluster, grant::GRACE, time::Timestamp},
    store::{Overdue, Store, StoreError},
    web::{labels::counted, when::When},
};

/// What a page says of it.
#[derive(Clone, Debug)]
pub struct Banner {
    /// “2 grants that have ended still stand on”.
    pub what: String,
    /// The cluster.
    pub cluster: String,
    /// The longest since when.
    pub since: When,
    /// What stands in the way.
    pub detail: Option<String>,
    /// Whose turn it is.
    pub turn: &'static str,
}

/// What is to be said of a cluster, if something is.
pub(super) async fn banner(store: &Store, cluster: &Cluster, now: Timestamp) -> Result<Option<Banner>, StoreError> {
    Ok(store.overdue_on(cluster.id, now.minus(GRACE)).await?.map(|overdue| drawn(overdue, cluster, now)))
}

pub(super) fn drawn(overdue: Overdue, cluster: &Cluster, now: Timestamp) -> Banner {
    let stands = if overdue.count == 1 { "that has ended still stands on" } else { "that have ended still stand on" };
    Banner {
        what: format!("{} {stands}", counted(overdue.count, "grant")),
        cluster: cluster.name.to_string(),
        since: When::new(overdue.since, now),
        turn: turn(overdue.detail.as_deref()),
        detail: overdue.detail,
    }
}

fn turn(detail: Option<&str>) -> &'static str {
    match detail {
        None => "Kubelend was away, or is at it just now: it goes on by itself.",
        Some(detail) if detail.starts_with("The cluster refused") => {
            "Kubelend tries again by itself. It is the turn of the cluster’s owners: the check on its Overview names the right that \
             Kubelend lacks there. Until then whoever held the access can use it."
        }
        Some(_) => {
            "Kubelend tries again by itself. It is the turn of the people who run the cluster. Until it answers, whoever held the \
             access can use it there."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::cluster::tests::cluster;

    #[test]
    fn it_says_whose_turn_it_is() {
        let said = |count, detail: Option<&str>| {
            let overdue = Overdue { count, since: Timestamp::from_secs(0), detail: detail.map(Into::into) };
            let banner = drawn(overdue, &cluster("staging"), Timestamp::from_secs(300));
            (banner.what, banner.since.relative, banner.turn)
        };
        let (what, since, turn) = said(1, Some("Waiting for the cluster: no answer."));
        assert_eq!((what.as_str(), since.as_str()), ("1 grant that has ended still stands on", "5 minutes ago"));
        assert!(turn.contains("the people who run the cluster"));
        let (what, _, turn) = said(2, Some("The cluster refused: forbidden. It is tried again."));
        assert_eq!(what, "2 grants that have ended still stand on");
        assert!(turn.contains("owners"));
        assert!(said(1, None).2.contains("by itself"));
    }
}
