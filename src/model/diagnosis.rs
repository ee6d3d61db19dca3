//! Why somebody's way into a cluster does not work, or not as it should: from what was seen, to what is wrong or could be,
//! likeliest first, and whose turn it is.
//!
//! An API server answers a bare 401 whatever the reason. So what can be compared is compared: what the token says with what the
//! cluster's claim mapping wants, the two clocks, who the API server says somebody is with who they should be, and, where
//! Kubelend may read them, the API server's own figures before and after a token was shown to it. One cause that explains all
//! stands alone; where several could, they are told as such.

mod facts;
mod rules;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

pub use facts::{Answer, Clocks, Facts, Figures, Keys, Reach, TokenState, WaitingGrant};
pub use rules::diagnose;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The person's own.
    Yours,
    /// Those who manage the cluster.
    Owners,
    /// Those who run the provider.
    Provider,
    /// Nobody's: it goes on by itself.
    Nobody,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It was seen.
    Certain,
    /// It explains what was seen, as others could; the likeliest come first.
    Possible,
}

/// How the name that the API server compares came to be another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameHint {
    /// The right claim with this before it.
    Prefix(String),
    /// Another claim of the token, with this before it.
    Claim(String, String),
    /// The same but for upper and lower case.
    Case,
    /// Neither.
    Unknown,
}

/// What is wrong, or could be. Stored with the last test of a cluster: an old name stays readable or the test counts as not
/// made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Kubelend holds no token of theirs.
    NoToken,
    /// Their token has ended, then.
    TokenOver(Timestamp),
    /// The provider does not renew it now.
    ProviderDown,
    /// No connection, and why.
    Unreachable(String),
    /// No answer in time.
    Silent,
    /// No verified TLS, and why.
    Certificate(String),
    /// What answers is no API server.
    NotKubernetes(String),
    /// Any other refusal.
    Refused(String),
    /// By so many seconds the API server's clock is ahead of Kubelend's (behind, if negative).
    ClocksDiffer(i64),
    /// The token was over, or not yet good, by the API server's clock alone: ahead by so many seconds, as above.
    EndedByTheirClock(i64),
    /// It ended on its way there.
    TooOld,
    /// The cluster names people by email, and the token has none.
    NoEmail,
    /// The provider says that the email is not verified.
    EmailNotVerified,
    /// The groups claim of this name is neither a text nor a list of texts.
    GroupsMalformed(String),
    /// The API server does not know the issuer; whether its own figures say so.
    IssuerUnknown {
        /// Whether its figures say so.
        counted: bool,
    },
    /// The API server cannot fetch the provider's keys; whether its figures say so.
    IssuerNotReached {
        /// Whether its figures say so.
        counted: bool,
    },
    /// It accepts other audiences.
    Audience {
        /// What the token has.
        token: Vec<String>,
        /// What should be accepted.
        wanted: Vec<String>,
    },
    /// It wants other claims than it finds.
    Claims,
    /// It accepts no signatures of this algorithm.
    Algorithm(String),
    /// It calls them by another name.
    NameDiffers {
        /// The name that Kubelend binds.
        expected: String,
        /// The name that the API server compares.
        answered: String,
        /// How that came to be.
        hint: NameHint,
    },
    /// The token has no groups claim of this name.
    GroupsMissing(String),
    /// It puts them in other groups.
    GroupsDiffer {
        /// Groups that they should be in and are not.
        expected: Vec<String>,
        /// Groups that it puts them in besides.
        answered: Vec<String>,
        /// What it puts before groups instead, where that explains it.
        prefix: Option<String>,
    },
    /// A grant that the cluster has not followed.
    GrantWaits {
        /// “view on namespace shop”.
        what: String,
        /// Pending, failed or conflict.
        failed: bool,
        /// What stands in the way.
        detail: Option<String>,
    },
    /// It denies what their grants promise, although the bindings stand.
    Denied(Vec<String>),
    /// Nobody has given them a role there.
    NothingGranted,
}

impl Cause {
    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        match self {
            Self::NoToken | Self::TokenOver(_) | Self::TooOld => Turn::Yours,
            Self::ProviderDown
            | Self::NoEmail
            | Self::EmailNotVerified
            | Self::GroupsMalformed(_)
            | Self::GroupsMissing(_) => Turn::Provider,
            Self::GrantWaits { failed: false, .. } => Turn::Nobody,
            Self::Unreachable(_)
            | Self::Silent
            | Self::Certificate(_)
            | Self::NotKubernetes(_)
            | Self::Refused(_)
            | Self::ClocksDiffer(_)
            | Self::EndedByTheirClock(_)
            | Self::IssuerUnknown { .. }
            | Self::IssuerNotReached { .. }
            | Self::Audience { .. }
            | Self::Claims
            | Self::Algorithm(_)
            | Self::NameDiffers { .. }
            | Self::GroupsDiffer { .. }
            | Self::GrantWaits { .. }
            | Self::Denied(_)
            | Self::NothingGranted => Turn::Owners,
        }
    }

    /// Whether other settings of the API server mend it.
    pub fn is_about_setup(&self) -> bool {
        matches!(
            self,
            Self::IssuerUnknown { .. }
                | Self::IssuerNotReached { .. }
                | Self::Audience { .. }
                | Self::Claims
                | Self::Algorithm(_)
                | Self::NameDiffers { .. }
                | Self::GroupsDiffer { .. }
        )
    }
}

/// One thing that is wrong or could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub cause: Cause,
    /// How sure that is.
    pub certainty: Certainty,
    /// Whether something does not work because of it; otherwise it is a word beside.
    pub trouble: bool,
}

impl Finding {
    pub(super) fn certain(cause: Cause) -> Self {
        Self { cause, certainty: Certainty::Certain, trouble: true }
    }

    pub(super) fn possible(cause: Cause) -> Self {
        Self { certainty: Certainty::Possible, ..Self::certain(cause) }
    }

    pub(super) fn beside(cause: Cause) -> Self {
        Self { trouble: false, ..Self::certain(cause) }
    }

    pub(super) fn trouble_if(trouble: bool, cause: Cause) -> Self {
        Self { trouble, ..Self::certain(cause) }
    }
}
