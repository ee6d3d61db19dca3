//! How pages say things: times relative to now with the exact one on hover, roles with their colour and word, states as
//! sentences. In one place, so that two pages never say the same thing in two ways.

use std::{borrow::Cow, fmt, time::Duration};

use askama::filters::HtmlSafe;

use super::when::When;
use crate::model::{
    audit::Action,
    cluster::{ConnectionCheck, StepOutcome},
    grant::{EndReason, Grant, GrantState, Origin},
    group::GroupName,
    role::Role,
    time::Timestamp,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// “1 day”, “2 days”.
pub fn counted(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {noun}") } else { format!("{count} {}", plural(noun)) }
}

fn plural(noun: &str) -> String {
    match noun {
        "person" => "people".into(),
        other => format!("{other}s"),
    }
}

/// The first of a list that fit into so many bytes of a page, and how many are left out. What it lists comes from outside.
pub fn within<T>(list: Vec<T>, room: usize, size: impl Fn(&T) -> usize) -> (Vec<T>, usize) {
    let (all, mut left) = (list.len(), room);
    let fits = |item: &T| {
        let fits = size(item) <= left;
        left = left.saturating_sub(size(item));
        fits
    };
    let shown: Vec<T> = list.into_iter().take_while(fits).collect();
    let more = all - shown.len();
    (shown, more)
}

/// A whole length of time: “90 days”, “1 hour”, “30 minutes”.
pub fn length(span: Duration) -> String {
    let secs = span.as_secs();
    let (count, unit) = match secs {
        s if s >= DAY && s % DAY == 0 => (s / DAY, "day"),
        s if s >= HOUR && s % HOUR == 0 => (s / HOUR, "hour"),
        s => (s.div_ceil(MINUTE), "minute"),
    };
    counted(count, unit)
}

/// “3 Mar 2027”, in UTC.
pub fn date(at: Timestamp) -> String {
    formatted(at, "%-d %b %Y")
}

/// “3 Mar 2027, 10:42 UTC”.
pub fn exact(at: Timestamp) -> String {
    formatted(at, "%-d %b %Y, %H:%M UTC")
}

/// “10:42”, in UTC.
pub fn clock_time(at: Timestamp) -> String {
    formatted(at, "%H:%M")
}

fn formatted(at: Timestamp, how: &str) -> String {
    jiff::Timestamp::from_second(at.secs()).map_or_else(|_| at.to_string(), |t| t.strftime(how).to_string())
}

/// A time in a list: relative, or the hour alone where the day stands above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// “3 minutes ago”.
    Relative(When),
    /// “10:42”.
    OnItsDay(Timestamp),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(when) => when.fmt(f),
            Self::OnItsDay(at) => {
                write!(f, r#"<time datetime="{at}" title="{}">{}</time>"#, exact(*at), clock_time(*at))
            }
        }
    }
}
/// Digits, letters and punctuation of ours alone.
impl HtmlSafe for Moment {}

/// A role with its colour, and always its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleTag(pub Option<Role>);

impl fmt::Display for RoleTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(role @ (Role::Named(_) | Role::Local(_))) => write!(f, r#"<span class="tag named">{role}</span>"#),
            Some(role) => write!(f, r#"<span class="tag {role}">{role}</span>"#),
            None => f.write_str(r#"<span class="tag">no role</span>"#),
        }
    }
}
/// Words of ours alone, and names whose type lets no markup in.
impl HtmlSafe for RoleTag {}

/// A role in a sentence: “view”, or “no role”.
pub fn role_word(role: Option<&Role>) -> String {
    role.map_or_else(|| "no role".to_owned(), ToString::to_string)
}

/// What a person with this role may do there, as the rest of a sentence.
pub fn role_sentence(role: Option<&Role>, whole_cluster: bool) -> &'static str {
    role.map_or("get a kubeconfig and no rights; access that they have otherwise works with it.", |r| {
        r.amounts_to(whole_cluster)
    })
}

/// The style's word for an outcome.
pub fn outcome_class(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Waiting => "waiting",
        StepOutcome::Passed => "passed",
        StepOutcome::Warned => "warned",
        StepOutcome::Failed => "failed",
        StepOutcome::Skipped => "skipped",
    }
}

/// A step's outcome with its sign.
pub fn outcome_word(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Waiting => "… waits",
        StepOutcome::Passed => "✓ good",
        StepOutcome::Warned => "! remark",
        StepOutcome::Failed => "✗ failed",
        StepOutcome::Skipped => "– skipped",
    }
}

/// How a cluster's connection is, from its last check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// For the dot, whose shape says it too.
    pub outcome: StepOutcome,
    /// In words: “works”, “failed 3 minutes ago: Address reached”.
    pub words: String,
}

impl Health {
    /// From the last check; one that never ran is on its way.
    pub fn of(check: Option<&ConnectionCheck>, now: Timestamp) -> Self {
        let Some(check) = check else {
            return Self { outcome: StepOutcome::Waiting, words: "not checked yet".into() };
        };
        let outcome = if check.finished_at.is_none() { StepOutcome::Waiting } else { check.outcome() };
        let at = When::new(check.finished_at.unwrap_or(check.started_at), now).relative;
        let first = |o| check.steps.iter().find(|s| s.outcome == o).map_or("", |s| s.title.as_str());
        let remarks = check.steps.iter().filter(|s| s.outcome == StepOutcome::Warned).count() as u64;
        let words = match outcome {
            StepOutcome::Waiting => "checking …".into(),
            StepOutcome::Failed => format!("check failed {at} at “{}”", first(StepOutcome::Failed)),
            StepOutcome::Warned => format!("works, with {}", counted(remarks, "remark")),
            StepOutcome::Passed | StepOutcome::Skipped => format!("works, checked {at}"),
        };
        Self { outcome, words }
    }
}

/// A grant's state, for people: what the cluster has made of it, and what happens next.
pub fn grant_state(grant: &Grant, now: Timestamp) -> (StepOutcome, String) {
    let detail = grant.state_detail.clone();
    if grant.ended.is_none() && !grant.is_live(now) {
        return (StepOutcome::Waiting, "its time is up; being removed".into());
    }
    match grant.state {
        GrantState::Applied => (StepOutcome::Passed, "in force".into()),
        GrantState::Pending => (StepOutcome::Waiting, detail.unwrap_or_else(|| "being applied".into())),
        GrantState::Conflict => (StepOutcome::Failed, detail.unwrap_or_else(|| "name taken on the cluster".into())),
        GrantState::Failed => (StepOutcome::Failed, detail.unwrap_or_else(|| "refused by the cluster".into())),
        GrantState::Removing => (StepOutcome::Waiting, removing(grant.ended, detail)),
        GrantState::Removed => (StepOutcome::Skipped, "gone".into()),
    }
}

fn removing(why: Option<EndReason>, detail: Option<String>) -> String {
    let what = match why {
        Some(EndReason::Expired) => "its time is up; being removed",
        Some(EndReason::ClusterRemoved) => "being removed with the cluster",
        Some(EndReason::OutOfScope) => "no longer in scope; being removed",
        Some(EndReason::Replaced) => "changed; making way for what takes its place",
        Some(EndReason::Revoked) | None => "being removed",
    };
    detail.map_or_else(|| what.into(), |d| format!("{what}. {d}"))
}

/// How a grant came to be.
pub fn origin_words(origin: Origin) -> &'static str {
    match origin {
        Origin::Manual => "by hand",
        Origin::Link(_) => "share link",
        Origin::Owner => "owner",
        Origin::Request(_) => "request",
        Origin::Federated(_) => "federated",
        Origin::File(_) => "file",
    }
}

/// The same, where it may have come by a Group of our own.
pub fn through(origin: Origin, group: Option<&GroupName>) -> Cow<'static, str> {
    group.map_or_else(|| origin_words(origin).into(), |name| format!("Kubelend group {name}").into())
}

/// What an action did, as the middle of the sentence “WHO … WHAT”.
pub fn deed(action: Action) -> &'static str {
    match action {
        Action::SignedIn => "signed in",
        Action::SignedOut => "signed out",
        Action::ClusterAdded => "added the cluster",
        Action::ClusterRenamed => "renamed the cluster:",
        Action::ClusterCredentialsReplaced => "replaced the credentials of",
        Action::ClusterCredentialsExchanged => "exchanged a credential for one of least power:",
        Action::ClusterTrustChanged => "changed how people are named:",
        Action::ClusterRemovalAsked => "asked to remove",
        Action::ClusterRemoved => "removed the cluster",
        Action::LinkCreated => "made a share link:",
        Action::LinkChanged => "changed the share link:",
        Action::LinkPaused => "paused the share link:",
        Action::LinkResumed => "opened the share link again:",
        Action::LinkRevoked => "revoked the share link:",
        Action::LinkAccepted => "accepted a share link:",
        Action::GrantAdded => "gave access:",
        Action::GrantRevoked => "took access back:",
        Action::GrantExpired => "ended access whose time was up:",
        Action::GrantChanged => "changed access:",
        Action::GrantExtended => "extended access:",
        Action::GrantDoubted => "suspended access to an address that changed hands:",
        Action::RequestMade => "asked for access:",
        Action::RequestApproved => "approved a request for access:",
        Action::RequestDeclined => "declined a request for access:",
        Action::RequestWithdrawn => "took back a request for access:",
        Action::RequestLapsed => "closed a request that nobody answered:",
        Action::BindingApplied => "brought to the cluster:",
        Action::BindingRemoved => "took off the cluster:",
        Action::BindingFailed => "could not bring to the cluster:",
        Action::BindingRepaired => "put right on the cluster:",
        Action::KubeconfigIssued => "took a kubeconfig:",
        Action::DeviceRevoked => "took back kubeconfigs:",
        Action::DeviceApart => "saw one kubeconfig used in two far-apart places:",
        Action::ClusterFormatsChanged => "changed which kubeconfigs are offered:",
        Action::SessionsEnded => "ended sessions elsewhere:",
        Action::UpstreamEnded => "was told by the provider that a sign-in has ended:",
        Action::KeyRingAccepted => "accepted another key ring:",
        Action::WorkspaceCreated => "made the workspace",
        Action::WorkspaceRenamed => "renamed the workspace:",
        Action::WorkspaceRemovalAsked => "asked to delete the workspace",
        Action::WorkspaceRemoved => "deleted the workspace",
        Action::MemberAdded => "added a member:",
        Action::MemberChanged => "changed a member's role:",
        Action::MemberRemoved => "removed a member:",
        Action::MemberDoubted => "suspended a membership of an address that changed hands:",
        Action::ClusterMoved => "moved the cluster",
        Action::ClusterLabelled => "labelled the cluster:",
        Action::ProjectAdded => "made the project",
        Action::ProjectChanged => "changed the project",
        Action::ProjectRemoved => "removed the project",
        Action::InvitationCreated => "made an invitation:",
        Action::InvitationRevoked => "revoked the invitation:",
        Action::InvitationAccepted => "accepted an invitation:",
        Action::AccountAdded => "made the ServiceAccount",
        Action::AccountDeleted => "deleted the ServiceAccount",
        Action::AccountApplied => "put on the cluster the ServiceAccount",
        Action::AccountRemoved => "took off the cluster the ServiceAccount",
        Action::AccountFailed => "could not put on the cluster the ServiceAccount",
        Action::TokenIssued => "handed out",
        Action::TokenRevoked => "took back",
        Action::TokenEnded => "saw the end:",
        Action::GroupAdded => "made the group",
        Action::GroupChanged => "changed the group",
        Action::GroupRemoved => "deleted the group",
        Action::GroupMemberAdded => "added to a group:",
        Action::GroupMemberRemoved => "took out of a group:",
        Action::GroupMemberDoubted => "suspended an address in a group that changed hands:",
        Action::ProjectMemberAdded => "added to a project:",
        Action::ProjectMemberChanged => "changed somebody's role in a project:",
        Action::ProjectMemberRemoved => "took out of a project:",
        Action::ProjectMemberDoubted => "suspended an address in a project that changed hands:",
        Action::ProjectTakesChanged => "changed whom a project takes over:",
        Action::ProjectNamespaceAsked => "said of a project's namespace:",
        Action::NamespaceMade => "made the namespace",
        Action::SeatAdded => "made a group a member:",
        Action::SeatChanged => "changed the role of a group as a member:",
        Action::SeatRemoved => "ended a group's membership:",
        Action::ClusterCredentialsRotated => "rotated the credential of",
        Action::ClusterCredentialEnded => "ended a former credential:",
        Action::ClusterCredentialFailed => "could not renew the credential of",
        Action::PresetAdded => "made the preset",
        Action::PresetChanged => "changed the preset",
        Action::PresetRemoved => "removed the preset",
        Action::OwnProviderAdded => "added the provider",
        Action::OwnProviderChanged => "changed the provider",
        Action::OwnProviderOff => "switched off the provider",
        Action::OwnProviderOn => "switched on the provider",
        Action::OwnProviderRemoved => "removed the provider",
        Action::RoleMade => "made on the cluster the",
        Action::RoleRepaired => "put back on the cluster the",
        Action::CustomRoleAdded => "made the role",
        Action::CustomRoleChanged => "changed the role",
        Action::CustomRoleRemoved => "deleted the role",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::CheckStep;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_795_392_000 + secs)
    }

    #[test]
    fn lengths_are_said_in_their_largest_whole_unit() {
        for (secs, words) in [(86_400, "1 day"), (90 * 86_400, "90 days"), (3600, "1 hour"), (5400, "90 minutes")] {
            assert_eq!(length(Duration::from_secs(secs)), words);
        }
        assert_eq!(counted(1_u32, "person"), "1 person");
        assert_eq!(counted(14_u32, "person"), "14 people");
    }

    #[test]
    fn immune_23_a_list_from_outside_takes_no_more_room_than_it_has() {
        let list = || vec!["aa", "bbb", "c"];
        assert_eq!(within(list(), 6, |s| s.len()), (list(), 0));
        assert_eq!(within(list(), 5, |s| s.len()), (vec!["aa", "bbb"], 1));
        assert_eq!(
            within(list(), 1, |s| s.len()),
            (vec![], 3),
            "what comes after the first that does not fit is left out"
        );
    }

    #[test]
    fn a_role_never_shows_as_colour_alone() {
        for role in Role::ALL.into_iter().chain([Role::ClusterAdmin]) {
            let tag = RoleTag(Some(role.clone())).to_string();
            assert_eq!(tag, format!(r#"<span class="tag {role}">{role}</span>"#));
        }
        assert!(RoleTag(None).to_string().contains("no role"));
        let named = RoleTag(Role::named("acme:dev").ok()).to_string();
        assert_eq!(named, r#"<span class="tag named">acme:dev</span>"#);
    }

    #[test]
    fn health_says_checking_works_and_failed_with_the_step() {
        let step = |title: &str, outcome| CheckStep {
            title: title.into(),
            outcome,
            detail: String::new(),
            remedy: None,
            millis: 3,
        };
        let mut check = ConnectionCheck { started_at: at(-70), finished_at: None, steps: vec![], version: None };
        assert_eq!(Health::of(None, at(0)).words, "not checked yet");
        check.steps = vec![step("Address reached", StepOutcome::Passed)];
        assert_eq!(Health::of(Some(&check), at(0)).words, "checking …");
        check.finished_at = Some(at(-65));
        assert_eq!(Health::of(Some(&check), at(0)).words, "works, checked 1 minute ago");
        check.steps.push(step("TLS", StepOutcome::Failed));
        let health = Health::of(Some(&check), at(0));
        assert_eq!(
            (health.outcome, health.words.as_str()),
            (StepOutcome::Failed, "check failed 1 minute ago at “TLS”")
        );
    }
}
