//! How an attempt went: the state that it leads to, what people read of it, when it is tried again, and what is told of it.

use std::time::Duration;

use crate::{
    access::{audit, roles::powerless},
    bindings::{ApplyError, Ensured, Repair},
    crypto,
    k8s::K8sError,
    model::{
        audit::Action,
        claim_mapping::Unmappable,
        grant::{Grant, GrantState},
        identity::Identity,
        power::Power,
        time::Timestamp,
    },
    store::{AuditDraft, Brought, Outcome},
};

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How an attempt went.
pub(super) enum Went {
    Done,
    Unmappable(Unmappable),
    NotTrusted,
    NotOffered(String),
    Further(String, Vec<String>),
    Powerless(Power),
    Grown(String, Vec<String>),
    ChangedHands,
    Conflict(String),
    /// The namespace of a project is missing, and whose turn it is.
    NoNamespace(String, Missing),
    Cluster(K8sError),
}

/// Why a missing namespace of a project was not made.
pub(super) enum Missing {
    /// The project, which this is its name, does not say so.
    NotAsked(String),
    /// Kubelend may not, there.
    MayNot,
}

impl From<ApplyError> for Went {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Conflict(what) => Self::Conflict(what.to_string()),
            ApplyError::NoNamespace(name) => {
                Self::Cluster(K8sError::Refused(404, format!("there is no namespace {name}")))
            }
            ApplyError::Cluster(e) => Self::Cluster(e),
        }
    }
}

/// What an attempt came to, and the mark that it worked with.
pub(super) type Marked = (Option<String>, Ensured);

pub(super) fn count(repair: Repair) {
    let kind = match repair {
        Repair::Restored => "deleted",
        Repair::Corrected => "changed",
        Repair::Replaced => "role",
    };
    metrics::counter!("kubelend_drift_repairs_total", "kind" => kind).increment(1);
}

/// What is kept of it. Each repair is told.
pub(super) fn brought(mark: Option<String>, ensured: Ensured, grant: &Grant, person: Option<&Identity>) -> Brought {
    let who = audit::grantee(&grant.grantee, person);
    let what = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
    let told = |(repair, place): (Repair, String)| {
        let words = match repair {
            Repair::Restored => "was gone and was made again",
            Repair::Corrected => "was changed on the cluster and was put back",
            Repair::Replaced => "gave another role and was replaced",
        };
        audit::by_kubelend(Action::BindingRepaired, format!("{who}: {what}; {place} {words}"))
    };
    let repairs = ensured.repairs.into_iter().map(told).collect();
    Brought { mark, made: ensured.made, repairs }
}

pub(super) fn outcome(went: &Went, wanted: bool, attempts: i64, now: Timestamp) -> Outcome {
    let again = Some(now.plus(wait(attempts)));
    let (done, trying) =
        if wanted { (GrantState::Applied, GrantState::Pending) } else { (GrantState::Removed, GrantState::Removing) };
    let failed = if wanted { GrantState::Failed } else { GrantState::Removing };
    let settle = |state, detail: Option<String>, retry_at| Outcome { state, detail, retry_at };
    match went {
        Went::Done => settle(done, None, None),
        // Nothing to try again: a sign-in or a change of the cluster's trust makes it due.
        Went::Unmappable(why) => settle(GrantState::Failed, Some(format!("Not bound: {why}.")), None),
        Went::NotTrusted => {
            settle(GrantState::Failed, Some("Not bound: this cluster does not trust their provider.".into()), None)
        }
        Went::NotOffered(role) => settle(
            GrantState::Failed,
            Some(format!("Not bound: there is no {role} that is marked as one to give. It is tried again.")),
            again,
        ),
        Went::Further(role, what) => settle(
            GrantState::Failed,
            Some(format!(
                "Not bound: the {role} reaches further than admin by now ({}), and no owner has vouched for that. An owner gives it \
                 again, or somebody takes that out of it.",
                what.join(", ")
            )),
            again,
        ),
        // Nothing to try again: another change makes it due.
        Went::Grown(role, what) => settle(
            GrantState::Failed,
            Some(format!(
                "Not bound: the role {role} allows more than when this was given ({}). Whoever manages access gives it again.",
                what.join(", ")
            )),
            None,
        ),
        Went::Powerless(power) => {
            settle(GrantState::Failed, Some(format!("Not bound: {} It is tried again.", powerless(*power))), again)
        }
        // Nor here: it is an owner's turn.
        Went::ChangedHands => settle(
            GrantState::Pending,
            Some(
                "Not bound: this address changed hands. Confirm by granting to the person again, or remove this."
                    .into(),
            ),
            None,
        ),
        Went::Conflict(what) => {
            settle(GrantState::Conflict, Some(format!("Not bound: {what}, then press “Try again”.")), again)
        }
        Went::NoNamespace(name, why) => settle(trying, Some(missing(name, why)), again),
        Went::Cluster(e) => match e {
            K8sError::Unreachable(_) | K8sError::TimedOut | K8sError::Tls(_) | K8sError::Nonsense(_) => {
                settle(trying, Some(format!("Waiting for the cluster: {e}.")), again)
            }
            K8sError::NotFound => settle(
                failed,
                Some("The cluster does not have one of these namespaces. It is tried again until it does.".into()),
                again,
            ),
            _ => settle(failed, Some(format!("The cluster refused: {e}. It is tried again.")), again),
        },
    }
}

/// That a namespace is missing, and whose turn it is.
fn missing(name: &str, why: &Missing) -> String {
    let turn = match why {
        Missing::NotAsked(project) => format!(
            "Somebody who may make namespaces on this cluster makes it; or the project {project} is set to let Kubelend make it."
        ),
        Missing::MayNot => {
            "Kubelend may not make it on this cluster: an admin of the cluster makes it, or gives Kubelend that \
            power (its Overview has what to apply: “May make namespaces”)."
                .to_owned()
        }
    };
    format!("Namespace {name} missing. {turn} It is tried again until it is there.")
}

/// One second, doubling up to half a minute, a quarter of it left to chance so that many do not return at once.
pub(in crate::access) fn wait(attempts: i64) -> Duration {
    let doubled = Duration::from_secs(1 << u32::try_from(attempts.clamp(0, 5)).unwrap_or(5)).min(MAX_WAIT);
    let chance = u32::from(crypto::random::<1>()[0]);
    doubled * 3 / 4 + doubled * chance / (4 * 255)
}

pub(super) fn event(outcome: &Outcome, grant: &Grant, person: Option<&Identity>) -> Option<AuditDraft> {
    let action = match outcome.state {
        GrantState::Applied => Action::BindingApplied,
        GrantState::Removed => Action::BindingRemoved,
        GrantState::Failed | GrantState::Conflict => Action::BindingFailed,
        GrantState::Pending | GrantState::Removing => return None,
    };
    let who = audit::grantee(&grant.grantee, person);
    let what = audit::rights(grant.role.as_ref(), &grant.scope, grant.expires_at);
    let why = outcome.detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default();
    Some(audit::by_kubelend(action, format!("{who}: {what}{why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_half_a_minute() {
        for (attempts, low, high) in [(0, 750, 1000), (3, 6000, 8000), (50, 22_500, 30_000)] {
            let waited = wait(attempts).as_millis();
            assert!((low..=high).contains(&waited), "{attempts}: {waited}");
        }
    }

    #[test]
    fn a_removal_that_fails_stays_a_removal() {
        let now = Timestamp::from_secs(0);
        for error in [K8sError::TimedOut, K8sError::Forbidden("no".into()), K8sError::NotFound] {
            let out = outcome(&Went::Cluster(error), false, 0, now);
            assert_eq!(out.state, GrantState::Removing);
            assert!(out.retry_at.is_some());
        }
    }

    #[test]
    fn a_missing_namespace_says_whose_turn_it_is_and_is_looked_for_again() {
        for (why, words) in [
            (Missing::NotAsked("Shop".into()), "or the project Shop is set to let Kubelend make it"),
            (Missing::MayNot, "gives Kubelend that power (its Overview has what to apply: “May make namespaces”)"),
        ] {
            let out = outcome(&Went::NoNamespace("shop".into(), why), true, 0, Timestamp::from_secs(0));
            let detail = out.detail.unwrap();
            assert!(detail.starts_with("Namespace shop missing. ") && detail.contains(words), "{detail}");
            assert!(out.state == GrantState::Pending && out.retry_at.is_some());
        }
    }

    #[test]
    fn immune_32_an_address_that_changed_hands_waits_for_an_owner_and_is_not_tried_again() {
        let out = outcome(&Went::ChangedHands, true, 3, Timestamp::from_secs(0));
        assert_eq!((out.state, out.retry_at), (GrantState::Pending, None));
        assert!(out.detail.is_some_and(|d| d.contains("changed hands")));
    }

    #[test]
    fn immune_32_somebody_without_a_name_is_bound_to_nothing_until_something_changes() {
        let out = outcome(&Went::Unmappable(Unmappable::NoEmail), true, 0, Timestamp::from_secs(0));
        assert_eq!((out.state, out.retry_at), (GrantState::Failed, None));
    }
}
