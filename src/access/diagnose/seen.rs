//! What was seen, in the words of a diagnosis.

use crate::{
    k8s::{IssuerFigures, K8sError},
    model::{
        diagnosis::{Answer, Reach, WaitingGrant},
        grant::{Grant, GrantState, Grantee},
    },
};

pub(super) fn total(figures: &IssuerFigures) -> f64 {
    figures.accepted + figures.refused
}

pub(super) fn trouble(error: K8sError) -> Answer {
    match error {
        K8sError::Unauthorized => Answer::Unauthorized,
        K8sError::Unreachable(why) => Answer::Unreachable(why),
        K8sError::TimedOut => Answer::Silent,
        K8sError::Tls(why) => Answer::Certificate(why),
        K8sError::Nonsense(why) => Answer::NotKubernetes(why),
        K8sError::NotFound => Answer::NotKubernetes("it does not know the API that says who somebody is".into()),
        K8sError::Forbidden(why) | K8sError::Conflict(why) | K8sError::Unusable(why) => Answer::Refused(why),
        K8sError::Refused(status, why) => Answer::Refused(format!("{status}: {why}")),
    }
}

pub(super) fn reach(grants: &[Grant]) -> Reach {
    let by_group: Vec<bool> = grants
        .iter()
        .filter(|grant| grant.role.is_some())
        .map(|grant| matches!(grant.grantee, Grantee::Group(..)))
        .collect();
    match by_group.as_slice() {
        [] => Reach::None,
        some if some.contains(&true) => Reach::ByGroup,
        _ => Reach::ByName,
    }
}

pub(super) fn waiting(grant: &Grant) -> Option<WaitingGrant> {
    match grant.state {
        GrantState::Applied | GrantState::Removing | GrantState::Removed => return None,
        GrantState::Pending | GrantState::Conflict | GrantState::Failed => {}
    }
    let what = format!("{} on {}", grant.role.as_ref()?, grant.scope.in_words());
    Some(WaitingGrant { what, state: grant.state, detail: grant.state_detail.clone() })
}
