//! A ServiceAccount's state in words, and its leases as rows.

use std::collections::HashMap;

use crate::{
    model::{
        grant::GrantState,
        id::{IdentityId, LeaseId},
        service_account::{Lease, LeaseEnd, ServiceAccount},
        time::Timestamp,
    },
    web::{labels::length, when::When},
};

/// How far the cluster has followed: style and words.
pub fn account_state(account: &ServiceAccount) -> (&'static str, String) {
    let with = |words: &str| match &account.state_detail {
        Some(detail) => format!("{words}. {detail}"),
        None => words.to_owned(),
    };
    match account.state {
        GrantState::Applied => ("passed", "stands on the cluster".into()),
        GrantState::Pending if account.uid.is_some() => ("waiting", with("stands, and something is still to be done")),
        GrantState::Pending => ("waiting", with("not made yet")),
        GrantState::Failed => ("failed", with("waits")),
        GrantState::Conflict => ("failed", with("not made")),
        GrantState::Removing => ("waiting", with("being deleted")),
        GrantState::Removed => ("skipped", "deleted".into()),
    }
}

/// A lease as a row.
#[derive(Debug)]
pub struct LeaseRow {
    /// Its id.
    pub id: LeaseId,
    /// Who got it.
    pub by: String,
    /// When.
    pub made: When,
    /// What was asked for.
    pub lasts: String,
    /// The same in seconds, as a form sends it.
    pub secs: u64,
    /// The token's own end.
    pub ends: When,
    /// The state's style.
    pub class: &'static str,
    /// The state in words.
    pub state: &'static str,
    /// Whether it opens anything still, as far as is known.
    pub alive: bool,
    /// The id of the lease that would renew it.
    pub next: LeaseId,
}

/// What people are called.
pub type Names = HashMap<IdentityId, String>;

/// A lease as a row.
pub fn lease_row(lease: &Lease, makers: &Names, now: Timestamp) -> LeaseRow {
    let over = now >= lease.expires_at;
    let (class, state) = match (lease.ended, lease.gone_at.is_some(), lease.issued_at.is_some()) {
        (None, _, false) => ("waiting", "being made"),
        (None, _, true) if over => ("skipped", "has run out"),
        (None, _, true) => ("passed", "good"),
        (Some(LeaseEnd::Expired), ..) => ("skipped", "has run out"),
        (Some(LeaseEnd::NotMade), ..) => ("skipped", "was not handed out"),
        (Some(LeaseEnd::Revoked), true, _) => ("skipped", "revoked"),
        (Some(LeaseEnd::AccountDeleted), true, _) => ("skipped", "ended with its ServiceAccount"),
        (Some(_), false, _) if over => ("skipped", "has run out"),
        (Some(_), false, _) => ("failed", "revoked, and waits for the cluster: it works until that has followed"),
    };
    LeaseRow {
        id: lease.id,
        by: makers.get(&lease.created_by).cloned().unwrap_or_default(),
        made: When::new(lease.created_at, now),
        lasts: length(lease.lasts.span()),
        secs: lease.lasts.span().as_secs(),
        ends: When::new(lease.expires_at, now),
        class,
        state,
        alive: lease.ended.is_none() && !over,
        next: LeaseId::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{
            cluster::Cluster,
            id::{ClusterId, ServiceAccountId},
            service_account::TokenLife,
        },
        web::pages::samples::NOW,
    };

    pub(in crate::web) fn account(cluster: &Cluster, n: usize) -> ServiceAccount {
        let states = [
            (GrantState::Applied, None),
            (GrantState::Pending, Some("Waiting for the cluster: the API server did not answer in time.")),
            (GrantState::Failed, Some("The cluster does not have this namespace. It is tried again until it does.")),
            (GrantState::Conflict, Some("There is one of this name already that this Kubelend did not make.")),
            (GrantState::Removing, None),
        ];
        let (state, detail) = states[n % 5];
        ServiceAccount {
            id: ServiceAccountId::new(),
            cluster: cluster.id,
            name: format!("payments-batch-processing-of-the-night/deployer-of-the-team-{n}").parse().unwrap(),
            uid: (state == GrantState::Applied).then(|| "u".into()),
            created_by: IdentityId::new(),
            created_at: NOW.minus(Duration::from_secs(86_400 * (n as u64 + 1))),
            ended_at: (state == GrantState::Removing).then_some(NOW),
            state,
            state_detail: detail.map(Into::into),
        }
    }

    pub(in crate::web) fn lease(n: usize) -> Lease {
        let ends = [
            None,
            None,
            Some(LeaseEnd::Revoked),
            Some(LeaseEnd::Revoked),
            Some(LeaseEnd::Expired),
            Some(LeaseEnd::NotMade),
        ];
        Lease {
            id: LeaseId::new(),
            account: ServiceAccountId::new(),
            lasts: TokenLife::USUAL,
            secret_uid: None,
            created_by: IdentityId::new(),
            created_at: NOW.minus(Duration::from_mins(10)),
            issued_at: (n % 6 != 1).then_some(NOW),
            expires_at: NOW.plus(Duration::from_mins(50)),
            ended: ends[n % 6],
            gone_at: (n % 6 > 2).then_some(NOW),
        }
    }

    #[test]
    fn a_lease_is_good_only_while_its_token_is_out_and_nobody_ended_it() {
        let row = |n: usize| lease_row(&lease(n), &HashMap::new(), NOW);
        assert_eq!(
            [0, 1, 2, 3].map(|n| row(n).state),
            ["good", "being made", "revoked, and waits for the cluster: it works until that has followed", "revoked"]
        );
        assert_eq!([0, 1, 2, 3, 4, 5].map(|n| row(n).alive), [true, true, false, false, false, false]);
        let late = lease_row(&lease(0), &HashMap::new(), NOW.plus(Duration::from_hours(1)));
        assert_eq!((late.state, late.alive), ("has run out", false));
        let on = Cluster { id: ClusterId::new(), ..crate::web::pages::cluster::tests::cluster("x") };
        assert!(account_state(&account(&on, 2)).1.contains("does not have this namespace"));
    }
}
