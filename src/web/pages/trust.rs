//! Whether a cluster trusts its providers as Kubelend was told, at a glance: steps among those of its connection check, and a word
//! in the list of clusters.

use crate::{
    access::{AccessError, Diagnoser, Gate},
    model::{
        cluster::{Cluster, StepOutcome},
        diagnosis::{Cause, Finding},
        time::Timestamp,
        trial::Trial,
    },
    oidc::Providers,
    web::{
        diagnosis::{About, shown, told},
        errors::PageError,
        labels::{Health, outcome_class, outcome_word},
        pages::cluster::AtCluster,
        when::When,
    },
};

/// One line about trust.
pub struct TrustStep {
    /// How it is.
    pub outcome: StepOutcome,
    /// “Trusts Dex”.
    pub title: String,
    /// What was seen.
    pub detail: String,
    /// When, and with whose token.
    pub tested: Option<(When, String)>,
    /// Whether the whole diagnosis says more.
    pub more: bool,
}

impl TrustStep {
    /// The style's word for how it is.
    pub fn class(&self) -> &'static str {
        outcome_class(self.outcome)
    }

    /// How it is, with its sign.
    pub fn word(&self) -> &'static str {
        outcome_word(self.outcome)
    }
}

/// Tests the cluster with the own token of whoever looks at it, where its API server answered the last check and they may hold a
/// kubeconfig for it; the trials of others stay as they are.
pub async fn tested(
    at: &AtCluster,
    gate: &Gate,
    diagnoser: &Diagnoser,
    mut trials: Vec<Trial>,
) -> Result<Vec<Trial>, PageError> {
    let reached = at.check.as_ref().is_some_and(|check| {
        check.finished_at.is_some() && check.steps.first().is_some_and(|step| step.outcome == StepOutcome::Passed)
    });
    if !reached {
        return Ok(trials);
    }
    let hold = match gate.hold_kubeconfig(&at.who.person, at.id()).await {
        Ok((hold, _)) => hold,
        // Whoever signs in elsewhere than the cluster trusts has nothing to test with.
        Err(AccessError::Forbidden(_)) => return Ok(trials),
        Err(error) => return Err(error.into()),
    };
    if let Some(trial) = diagnoser.try_trust(&at.seen, &hold, &at.who.token_key).await? {
        trials.retain(|other| other.provider != trial.provider);
        trials.push(trial);
    }
    Ok(trials)
}

/// Two lines for each provider that the cluster trusts.
pub fn steps(cluster: &Cluster, trials: &[Trial], providers: &Providers, now: Timestamp) -> Vec<TrustStep> {
    let known = cluster.trusts.iter().filter_map(|(id, _)| providers.get(id));
    known
        .flat_map(|provider| {
            let about = About::new(cluster, provider.settings(), None);
            let trial = trials.iter().find(|trial| trial.provider == provider.settings().id);
            trial.map_or_else(|| vec![untested(&about)], |trial| of_trial(trial, &about, now))
        })
        .collect()
}

fn untested(about: &About) -> TrustStep {
    TrustStep {
        outcome: StepOutcome::Skipped,
        title: format!("Trusts {}", about.provider),
        detail: format!("Not tested yet: it is when somebody who signs in with {} opens this page.", about.provider),
        tested: None,
        more: false,
    }
}

fn of_trial(trial: &Trial, about: &About, now: Timestamp) -> Vec<TrustStep> {
    let about_groups =
        |finding: &&Finding| matches!(finding.cause, Cause::GroupsDiffer { .. } | Cause::GroupsMissing(_));
    let groups = trial.findings.iter().find(about_groups);
    let trust: Vec<&Finding> = trial.findings.iter().filter(|finding| !about_groups(finding)).collect();
    let mut steps =
        vec![TrustStep { tested: Some((When::new(trial.at, now), shown(&trial.by))), ..trusts(trial, &trust, about) }];
    if trial.username.is_some() {
        steps.push(groups_step(trial, groups, about));
    }
    steps
}

fn trusts(trial: &Trial, findings: &[&Finding], about: &About) -> TrustStep {
    let title = format!("Trusts {}", about.provider);
    let words = |finding: &Finding| {
        let told = told(finding, about);
        format!("{}. {}", told.title, told.text)
    };
    let known = trial.username.as_deref().map(|name| format!("{} is {} there", shown(&trial.by), shown(name)));
    let trouble: Vec<&Finding> = findings.iter().copied().filter(|finding| finding.trouble).collect();
    let (outcome, detail) = match (trouble.as_slice(), findings, known) {
        ([one], _, _) => (StepOutcome::Warned, words(one)),
        ([first, others @ ..], _, _) => {
            let others: Vec<String> = others.iter().map(|other| told(other, about).title).collect();
            let detail = format!("It never says why. The likeliest: {} Or: {}.", words(first), others.join("; "));
            (StepOutcome::Warned, detail)
        }
        ([], [beside, ..], _) => (StepOutcome::Warned, words(beside)),
        ([], [], known) => (StepOutcome::Passed, known.unwrap_or_default()),
    };
    TrustStep { outcome, title, detail, tested: None, more: outcome == StepOutcome::Warned }
}

fn groups_step(trial: &Trial, finding: Option<&Finding>, about: &About) -> TrustStep {
    let prefix = &about.mapping.groups_prefix;
    let title = if prefix.is_empty() { "Groups".to_owned() } else { format!("Groups {prefix}") };
    let (outcome, detail) = match finding {
        None => (StepOutcome::Passed, groups_in_words(trial, prefix)),
        Some(finding) => {
            let told = told(finding, about);
            let outcome = if finding.trouble { StepOutcome::Warned } else { StepOutcome::Skipped };
            (outcome, format!("{}. {}", told.title, told.text))
        }
    };
    TrustStep { outcome, title, detail, tested: None, more: outcome == StepOutcome::Warned }
}

fn groups_in_words(trial: &Trial, prefix: &str) -> String {
    let ours: Vec<String> = trial.groups.iter().filter(|group| group.starts_with(prefix)).map(|g| shown(g)).collect();
    if ours.is_empty() { "as expected".into() } else { ours.join(", ") }
}

/// A cluster's health with what its trials add: a cluster that works for Kubelend may still let nobody in.
pub fn health(health: Health, cluster: &Cluster, trials: &[Trial], providers: &Providers) -> Health {
    if matches!(health.outcome, StepOutcome::Failed | StepOutcome::Waiting) {
        return health;
    }
    let mut trusted = trials.iter().filter(|trial| cluster.mapping(&trial.provider).is_some());
    let waits = trusted.find_map(|trial| Some((trial.trouble()?, providers.get(&trial.provider)?)));
    let Some((finding, provider)) = waits else { return health };
    let title = told(finding, &About::new(cluster, provider.settings(), None)).title;
    let title = title.strip_prefix("The ").map_or_else(|| title.clone(), |rest| format!("the {rest}"));
    Health { outcome: StepOutcome::Warned, words: format!("waits: {title}") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::diagnosis::{Certainty, NameHint};

    pub(in crate::web) fn trial(findings: Vec<Finding>) -> Trial {
        let groups = ["oidc:devs", "oidc:ops"].map(str::to_owned).to_vec();
        Trial {
            provider: "dex".parse().unwrap(),
            by: "alice@example.com".into(),
            at: Timestamp::from_secs(1_795_391_000),
            username: Some("alice@example.com".into()),
            groups,
            findings,
        }
    }

    pub(in crate::web) fn trouble(cause: Cause) -> Finding {
        Finding { cause, certainty: Certainty::Certain, trouble: true }
    }

    pub(in crate::web) fn lines(trial: &Trial) -> Vec<TrustStep> {
        of_trial(trial, &crate::web::diagnosis::tests::about(), Timestamp::from_secs(1_795_392_000))
    }

    fn glance(trial: &Trial) -> Vec<(StepOutcome, String)> {
        lines(trial).into_iter().map(|step| (step.outcome, format!("{}: {}", step.title, step.detail))).collect()
    }

    #[test]
    fn trust_and_groups_are_seen_at_a_glance() {
        let good = glance(&trial(vec![]));
        let passed = |text: &str| (StepOutcome::Passed, text.to_owned());
        assert_eq!(
            good,
            [
                passed("Trusts Dex: alice@example.com is alice@example.com there"),
                passed("Groups oidc:: oidc:devs, oidc:ops")
            ]
        );
    }

    #[test]
    fn trouble_stands_at_the_step_that_it_is_about() {
        let differ = Cause::GroupsDiffer {
            expected: vec!["oidc:devs".into()],
            answered: vec!["devs".into()],
            prefix: Some(String::new()),
        };
        let outcomes = |trial: &Trial| glance(trial).into_iter().map(|(outcome, _)| outcome).collect::<Vec<_>>();
        let groups = trial(vec![trouble(differ)]);
        assert_eq!(outcomes(&groups), [StepOutcome::Passed, StepOutcome::Warned]);
        let name = Cause::NameDiffers { expected: "a".into(), answered: "b".into(), hint: NameHint::Unknown };
        assert_eq!(outcomes(&trial(vec![trouble(name)])), [StepOutcome::Warned, StepOutcome::Passed]);
        let missing = Finding { trouble: false, ..trouble(Cause::GroupsMissing("groups".into())) };
        assert_eq!(outcomes(&trial(vec![missing])), [StepOutcome::Passed, StepOutcome::Skipped]);
        let mut unknown = trial(vec![trouble(Cause::IssuerUnknown { counted: true })]);
        unknown.username = None;
        assert_eq!(outcomes(&unknown), [StepOutcome::Warned]);
    }

    #[test]
    fn several_that_could_be_are_told_with_the_likeliest_first() {
        let open = |cause| Finding { certainty: Certainty::Possible, ..trouble(cause) };
        let mut trial = trial(vec![open(Cause::IssuerUnknown { counted: false }), open(Cause::Claims)]);
        trial.username = None;
        let (_, text) = glance(&trial).swap_remove(0);
        assert!(
            text.contains("The likeliest: The cluster does not know Dex.") && text.contains("Or: The cluster expects"),
            "{text}"
        );
    }
}
