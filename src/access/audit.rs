//! Drafts of audit events, in words that stand for themselves years later.

use crate::{
    model::{
        audit::{Action, Actor},
        grant::{EndReason, Grantee},
        group::GroupName,
        identity::Identity,
        name::Email,
        reason::Reason,
        role::Role,
        scope::Scope,
        time::Timestamp,
    },
    policy::Person,
    store::AuditDraft,
    telemetry,
};

/// Something that a person does.
pub(super) fn by(person: &Person, action: Action, target: impl Into<String>) -> AuditDraft {
    AuditDraft {
        actor: Actor::Person(person.identity().id),
        actor_name: person.identity().display().to_owned(),
        action,
        target: target.into(),
        request_id: telemetry::request_id(),
    }
}

/// Something that Kubelend does by itself.
pub(super) fn by_kubelend(action: Action, target: impl Into<String>) -> AuditDraft {
    AuditDraft {
        actor: Actor::Kubelend,
        actor_name: "Kubelend".into(),
        action,
        target: target.into(),
        request_id: telemetry::request_id(),
    }
}

/// Why access ends that somebody takes back: a person took it back, or a file does not say it any more. The next application of the file
/// tells the two apart.
pub(super) fn why(person: &Person) -> EndReason {
    if person.file().is_some() { EndReason::OutOfScope } else { EndReason::Revoked }
}

/// Whom a grant is for, in words: an email, or “group devs”.
pub(super) fn grantee(grantee: &Grantee, person: Option<&Identity>) -> String {
    match grantee {
        Grantee::Person(_) => person.map_or_else(|| "somebody".into(), |p| p.display().to_owned()),
        Grantee::Email(_, email) => Email::as_str(email).to_owned(),
        Grantee::Group(_, group) => format!("group {group}"),
        Grantee::ServiceAccount(account) => format!("ServiceAccount {account}"),
    }
}

/// Why, where it was said: “ (on call)”.
pub(super) fn because(reason: Option<&Reason>) -> String {
    reason.map(|reason| format!(" (“{}”)", reason.as_str())).unwrap_or_default()
}

/// A Group of our own, in words that nobody takes for a provider's.
pub(super) fn group(name: &GroupName) -> String {
    format!("Kubelend group {name}")
}

/// What is given, in words: “view on namespace shop until 2026-12-01T00:00:00Z”.
pub(super) fn rights(role: Option<&Role>, scope: &Scope, until: Option<Timestamp>) -> String {
    let role = role.map_or_else(|| "no role".to_owned(), ToString::to_string);
    let until = until.map_or_else(|| "with no end".to_owned(), |t| format!("until {t}"));
    format!("{role} on {} {until}", scope.in_words())
}
