//! What is seen of a person's way into a cluster: the facts that a diagnosis is made of.

use crate::model::{claim_mapping::ClaimMapping, grant::GrantState, time::Timestamp, token_claims::TokenClaims};

/// The person's token, as far as there is one to ask with.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenState {
    /// A living one, which was shown to the API server.
    Shown(TokenClaims),
    /// The last one has ended, then, and there is nothing to renew it with.
    Over(Timestamp),
    /// There is none.
    Missing,
    /// The provider would have to renew it and does not answer.
    ProviderDown,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The API server knows them.
    Known {
        /// The user name that it compares.
        username: String,
        /// The groups, its own (`system:`) among them.
        groups: Vec<String>,
        /// Whether these are all of them.
        all_groups: bool,
        /// What their grants promise and it denies.
        denied: Vec<String>,
    },
    /// 401.
    Unauthorized,
    /// No connection, and why.
    Unreachable(String),
    /// No answer in time.
    Silent,
    /// No verified TLS, and why.
    Certificate(String),
    /// What answers is no API server, and how that shows.
    NotKubernetes(String),
    /// Any other refusal, in the API server's words.
    Refused(String),
    /// Nothing was asked.
    NotAsked,
}

/// Two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Ours.
    pub ours: Timestamp,
    /// The API server's.
    pub theirs: Timestamp,
}

/// How an API server fetches a provider's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It does not say.
    Unknown,
    /// Its last try failed.
    Failed,
    /// Its last try went well.
    Fetched,
}

/// What an API server has counted of one issuer's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Whether it has counted any token of this issuer, ours included.
    pub counted: bool,
    /// Whether any of them was accepted.
    pub accepted_any: bool,
    /// How it fetches the keys.
    pub keys: Keys,
}

/// A grant that the cluster has not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingGrant {
    /// “view on namespace shop”.
    pub what: String,
    /// How far it has come.
    pub state: GrantState,
    /// What stands in the way, where something does.
    pub detail: Option<String>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The person's token.
    pub token: TokenState,
    /// What the cluster makes of it, as Kubelend was told.
    pub mapping: &'a ClaimMapping,
    /// The clients whose tokens the cluster should accept.
    pub clients: Vec<String>,
    /// Whether the issuer shows a certificate of a private CA.
    pub private_ca: bool,
    /// What came back.
    pub answer: Answer,
    /// The clocks, where an answer had a `Date`.
    pub clocks: Option<Clocks>,
    /// The API server's figures, where Kubelend may read them and it counts.
    pub figures: Option<Figures>,
    /// Whether this API server took a token of this client before.
    pub trusted_before: bool,
    /// Whether it took one of another client of this provider.
    pub other_client_trusted: bool,
    /// Grants that the cluster has not followed.
    pub waiting: Vec<WaitingGrant>,
    /// How grants reach them.
    pub reach: Reach,
}

/// How grants that have a role reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None does.
    None,
    /// By their name.
    ByName,
    /// At least one through a group.
    ByGroup,
}
