//! Access requests: grants that wait. Somebody asks for a role, says where, why and for how long; whoever manages access there says yes,
//! something else, or no.

use std::time::Duration;

use super::{
    id::{AccessRequestId, GrantId, IdentityId},
    reason::Reason,
    role::Role,
    scope::Scope,
    time::Timestamp,
};

/// A request that nobody has answered for so long has lapsed.
pub const LASTS: Duration = Duration::from_hours(14 * 24);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Which role.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// For how long, from the answer on; `None` for no end.
    pub lasts: Option<Duration>,
    /// Why.
    pub reason: Reason,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It waits for an answer.
    Pending,
    /// It was answered with this grant.
    Approved(GrantId),
    /// Somebody said no, perhaps with a word.
    Declined(Option<Reason>),
    /// Whoever asked thought better of it.
    Withdrawn,
    /// Nobody answered in time.
    Lapsed,
}

impl RequestState {
    /// As stored.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved(_) => "approved",
            Self::Declined(_) => "declined",
            Self::Withdrawn => "withdrawn",
            Self::Lapsed => "lapsed",
        }
    }
}

/// A request as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// Its id; the grant that answers it says it as its origin.
    pub id: AccessRequestId,
    /// Who asks.
    pub by: IdentityId,
    /// For what.
    pub wish: Wish,
    /// When.
    pub asked_at: Timestamp,
    /// Until when it waits.
    pub until: Timestamp,
    /// What became of it, as it is stored.
    pub state: RequestState,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// By whom: `None` where Kubelend did, or nobody has.
    pub closed_by: Option<IdentityId>,
}

impl AccessRequest {
    /// Whether it waits for an answer at this moment.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == RequestState::Pending && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ClusterId;

    #[test]
    fn a_request_is_open_until_it_is_answered_or_its_time_is_up() {
        let mut request = AccessRequest {
            id: AccessRequestId::new(),
            by: IdentityId::new(),
            wish: Wish {
                role: Role::View,
                scope: Scope::Cluster(ClusterId::new()),
                lasts: None,
                reason: Reason::read("on call").unwrap().unwrap(),
            },
            asked_at: Timestamp::from_secs(0),
            until: Timestamp::from_secs(0).plus(LASTS),
            state: RequestState::Pending,
            closed_at: None,
            closed_by: None,
        };
        let last = Timestamp::from_secs(14 * 86_400 - 1);
        assert!(request.is_open(last) && !request.is_open(Timestamp::from_secs(14 * 86_400)));
        for state in [
            RequestState::Approved(GrantId::new()),
            RequestState::Declined(None),
            RequestState::Withdrawn,
            RequestState::Lapsed,
        ] {
            request.state = state;
            assert!(!request.is_open(last), "{:?}", request.state);
        }
    }
}
