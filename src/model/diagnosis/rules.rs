//! From facts to findings.

use std::time::Duration;

use super::{
    Answer, Cause, Certainty, Clocks, Facts, Figures, Finding, Keys, NameHint, Reach, TokenState, WaitingGrant,
};
use crate::model::{
    claim_mapping::{ClaimMapping, UsernameClaim},
    grant::GrantState,
    token_claims::{Listed, TokenClaims},
};

/// From here on two clocks differ enough to be told of: less is the way of the answer, and whole seconds in its `Date`.
const SKEW: Duration = Duration::from_secs(10);
/// How much an API server lets `nbf` lie ahead.
const NOT_BEFORE_LEEWAY: Duration = Duration::from_mins(5);
/// How many waiting grants, names and audiences are told of at most.
const MOST: usize = 8;

/// What is wrong or could be: trouble before words beside, what is certain before what is possible, the likeliest first.
pub fn diagnose(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = match &facts.token {
        TokenState::Missing => vec![Finding::certain(Cause::NoToken)],
        TokenState::Over(at) => vec![Finding::certain(Cause::TokenOver(*at))],
        TokenState::ProviderDown => vec![Finding::certain(Cause::ProviderDown)],
        TokenState::Shown(claims) => answered(facts, claims),
    };
    found.extend(waiting(facts));
    // A stable sort: within each kind the order says what is likelier.
    found.sort_by_key(|finding| !finding.trouble);
    found
}

fn answered(facts: &Facts<'_>, claims: &TokenClaims) -> Vec<Finding> {
    let one = |cause| vec![Finding::certain(cause)];
    match &facts.answer {
        Answer::Known { username, groups, all_groups, denied } => {
            known(facts, claims, username, all_groups.then_some(groups.as_slice()), denied)
        }
        Answer::Unauthorized => unauthorized(facts, claims),
        Answer::Unreachable(why) => one(Cause::Unreachable(why.clone())),
        Answer::Silent => one(Cause::Silent),
        Answer::Certificate(why) => one(Cause::Certificate(why.clone())),
        Answer::NotKubernetes(why) => one(Cause::NotKubernetes(why.clone())),
        Answer::Refused(why) => one(Cause::Refused(why.clone())),
        Answer::NotAsked => Vec::new(),
    }
}

/// What a bare 401 comes from.
fn unauthorized(facts: &Facts<'_>, claims: &TokenClaims) -> Vec<Finding> {
    let seen: Vec<Finding> =
        ended(facts, claims).into_iter().chain(refused_claims(facts, claims)).map(Finding::certain).collect();
    if !seen.is_empty() {
        return seen;
    }
    let mut could = match facts.figures {
        Some(figures) => by_figures(facts, claims, figures),
        None => by_likelihood(facts, claims),
    };
    if let [only] = could.as_mut_slice() {
        only.certainty = Certainty::Certain;
    }
    could.extend(skew(facts).map(|secs| Finding::beside(Cause::ClocksDiffer(secs))));
    could
}

/// Whether the token is over, or not good yet, by the API server's clock.
fn ended(facts: &Facts<'_>, claims: &TokenClaims) -> Option<Cause> {
    let theirs = facts.clocks?.theirs;
    let over = claims.time("exp").is_some_and(|exp| exp <= theirs);
    let early = claims.time("nbf").is_some_and(|nbf| theirs.plus(NOT_BEFORE_LEEWAY) < nbf);
    match (over || early, skew(facts)) {
        (true, Some(secs)) => Some(Cause::EndedByTheirClock(secs)),
        (true, None) => Some(Cause::TooOld),
        (false, _) => None,
    }
}

/// By how many seconds their clock is ahead of ours, where that is worth a word.
fn skew(facts: &Facts<'_>) -> Option<i64> {
    let Clocks { ours, theirs } = facts.clocks?;
    let millis = theirs.millis().saturating_sub(ours.millis());
    (Duration::from_millis(millis.unsigned_abs()) > SKEW).then_some(millis / 1000)
}

/// Claims for which an API server that is set up as Kubelend was told refuses any token.
fn refused_claims(facts: &Facts<'_>, claims: &TokenClaims) -> Option<Cause> {
    let mapping = facts.mapping;
    if mapping.username_claim == UsernameClaim::Email {
        if claims.text("email").is_none_or(str::is_empty) {
            return Some(Cause::NoEmail);
        }
        if claims.email_verified() == Some(false) {
            return Some(Cause::EmailNotVerified);
        }
    }
    let malformed = claims.list(&mapping.groups_claim) == Listed::Malformed;
    malformed.then(|| Cause::GroupsMalformed(mapping.groups_claim.clone()))
}

/// What the API server's figures leave open. It counts a token only if it knows the issuer, so one that is not counted has no
/// other reason; it looks at the keys before anything else where it accepts several audiences, after the audience where it accepts
/// one.
fn by_figures(facts: &Facts<'_>, claims: &TokenClaims, figures: Figures) -> Vec<Finding> {
    if !figures.counted {
        return vec![Finding::certain(Cause::IssuerUnknown { counted: true })];
    }
    let audience = audience(facts, claims);
    let not_reached = Cause::IssuerNotReached { counted: figures.keys == Keys::Failed };
    let mut causes = match figures.keys {
        Keys::Failed => vec![not_reached],
        Keys::Fetched => vec![audience, Cause::Claims],
        Keys::Unknown if figures.accepted_any => vec![audience, Cause::Claims],
        Keys::Unknown if facts.private_ca => vec![not_reached, audience, Cause::Claims],
        Keys::Unknown => vec![audience, not_reached, Cause::Claims],
    };
    causes.extend(algorithm(claims));
    causes.into_iter().map(Finding::possible).collect()
}

/// What experience says, where there are no figures.
fn by_likelihood(facts: &Facts<'_>, claims: &TokenClaims) -> Vec<Finding> {
    let (audience, unknown) = (audience(facts, claims), Cause::IssuerUnknown { counted: false });
    let not_reached = Cause::IssuerNotReached { counted: false };
    let mut causes = if facts.trusted_before {
        vec![Cause::Claims, audience, not_reached, unknown]
    } else if facts.other_client_trusted {
        vec![audience, Cause::Claims, not_reached, unknown]
    } else if facts.private_ca {
        vec![unknown, not_reached, audience, Cause::Claims]
    } else {
        vec![unknown, audience, not_reached, Cause::Claims]
    };
    causes.extend(algorithm(claims));
    causes.into_iter().map(Finding::possible).collect()
}

fn audience(facts: &Facts<'_>, claims: &TokenClaims) -> Cause {
    Cause::Audience { token: few(claims.audiences()), wanted: facts.clients.clone() }
}

/// The older flags accept RS256 alone unless they are told more.
fn algorithm(claims: &TokenClaims) -> Option<Cause> {
    (claims.algorithm != "RS256").then(|| Cause::Algorithm(claims.algorithm.clone()))
}

fn known(
    facts: &Facts<'_>,
    claims: &TokenClaims,
    username: &str,
    groups: Option<&[String]>,
    denied: &[String],
) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = name_differs(facts.mapping, claims, username);
    let explained = name.is_some();
    found.extend(name.map(Finding::certain));
    // Of a list that was cut nobody knows what is missing.
    let groups = groups.and_then(|groups| groups_differ(facts.mapping, claims, groups));
    found.extend(groups.map(|cause| {
        let limits =
            matches!(cause, Cause::GroupsDiffer { .. }) && (facts.reach == Reach::ByGroup || !denied.is_empty());
        Finding::trouble_if(limits, cause)
    }));
    let waits = !facts.waiting.is_empty();
    if !denied.is_empty() && !explained && !waits {
        found.push(Finding::certain(Cause::Denied(few(denied.to_vec()))));
    }
    if facts.reach == Reach::None {
        found.push(Finding::beside(Cause::NothingGranted));
    }
    found.extend(skew(facts).map(|secs| Finding::beside(Cause::ClocksDiffer(secs))));
    found
}

fn name_differs(mapping: &ClaimMapping, claims: &TokenClaims, answered: &str) -> Option<Cause> {
    let own = mapping.username_claim.as_str();
    let value = claims.text(own)?;
    let expected = format!("{}{value}", mapping.username_prefix);
    if expected == answered {
        return None;
    }
    let hint = name_hint(own, value, claims, &expected, answered);
    Some(Cause::NameDiffers { expected, answered: answered.to_owned(), hint })
}

fn name_hint(own: &str, value: &str, claims: &TokenClaims, expected: &str, answered: &str) -> NameHint {
    if let Some(prefix) = answered.strip_suffix(value) {
        return NameHint::Prefix(prefix.to_owned());
    }
    if expected.to_lowercase() == answered.to_lowercase() {
        return NameHint::Case;
    }
    // The longest value that the name ends with: a short one may end like it by chance.
    let others = claims.texts().filter(|(name, value)| *name != own && value.len() >= 2);
    let best = others.filter_map(|(name, value)| Some((name, value, answered.strip_suffix(value)?)));
    best.max_by_key(|(_, value, _)| value.len())
        .map_or(NameHint::Unknown, |(name, _, prefix)| NameHint::Claim(name.to_owned(), prefix.to_owned()))
}

/// Kubernetes' own groups are not looked at, and never expected: Kubelend asserts none of them.
fn groups_differ(mapping: &ClaimMapping, claims: &TokenClaims, answered: &[String]) -> Option<Cause> {
    let Listed::Names(bare) = claims.list(&mapping.groups_claim) else {
        return Some(Cause::GroupsMissing(mapping.groups_claim.clone()));
    };
    let wanted: Vec<String> = bare.iter().filter_map(|group| mapping.group(group).ok()).collect();
    let missing: Vec<String> = wanted.iter().filter(|group| !answered.contains(group)).cloned().collect();
    if missing.is_empty() {
        return None;
    }
    let others: Vec<String> =
        answered.iter().filter(|group| !group.starts_with("system:") && !wanted.contains(group)).cloned().collect();
    let prefix = other_prefix(&bare, &others);
    Some(Cause::GroupsDiffer { expected: few(missing), answered: few(others), prefix })
}

/// What stands before every one of the token's groups in the API server's answer, if one thing does.
fn other_prefix(bare: &[String], answered: &[String]) -> Option<String> {
    let first = bare.first()?;
    let prefixes = answered.iter().filter_map(|group| group.strip_suffix(first.as_str()));
    prefixes
        .filter(|prefix| bare.iter().all(|group| answered.contains(&format!("{prefix}{group}"))))
        .min_by_key(|prefix| prefix.len())
        .map(str::to_owned)
}

fn waiting(facts: &Facts<'_>) -> Vec<Finding> {
    let denied = matches!(&facts.answer, Answer::Known { denied, .. } if !denied.is_empty());
    let waits = |grant: &WaitingGrant| Cause::GrantWaits {
        what: grant.what.clone(),
        failed: grant.state != GrantState::Pending,
        detail: grant.detail.clone(),
    };
    facts.waiting.iter().take(MOST).map(|grant| Finding::trouble_if(denied, waits(grant))).collect()
}

fn few(mut all: Vec<String>) -> Vec<String> {
    all.truncate(MOST);
    all
}

#[cfg(test)]
mod tests;
