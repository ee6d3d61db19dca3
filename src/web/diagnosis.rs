//! A diagnosis in people's words: what it is, whose turn it is, and a text to send to them.
//!
//! What a cluster, a provider or a token says stands here as one short line of text; pages escape it.

use std::{fmt::Write as _, time::Duration};

use super::labels::{counted, exact, length};
use crate::{
    model::{
        claim_mapping::ClaimMapping,
        cluster::Cluster,
        diagnosis::{Cause, Certainty, Finding, NameHint, Turn},
    },
    oidc::ProviderSettings,
};

/// The longest foreign text in a sentence, in characters.
const LONGEST: usize = 200;

/// Who and what the sentences are about.
#[derive(Clone, Debug)]
pub struct About {
    /// The cluster's name.
    pub cluster: String,
    /// The provider's name.
    pub provider: String,
    /// Its issuer URL.
    pub issuer: String,
    /// What the cluster makes of its tokens, as Kubelend was told.
    pub mapping: ClaimMapping,
    /// Whoever lent the cluster; `None` for those who manage it themselves.
    pub lender: Option<String>,
}

impl About {
    /// A cluster and one of its providers.
    pub fn new(cluster: &Cluster, provider: &ProviderSettings, lender: Option<String>) -> Self {
        Self {
            cluster: cluster.name.to_string(),
            provider: provider.name.clone(),
            issuer: provider.issuer.clone(),
            mapping: cluster.mapping(&provider.id).cloned().unwrap_or_default(),
            lender,
        }
    }
}

/// A finding in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it is, without a full stop.
    pub title: String,
    /// What that means, and what mends it.
    pub text: String,
    /// “It is the turn of …”.
    pub turn: String,
}

/// What a finding means.
pub fn told(finding: &Finding, about: &About) -> Told {
    let (title, text) = words(&finding.cause, about);
    Told { title, text, turn: turn(finding.cause.turn(), about) }
}

/// Whose turn it is, for a sentence: `None` where there is nobody to write to.
pub fn whom(turn: Turn, about: &About) -> Option<String> {
    match turn {
        Turn::Yours | Turn::Nobody => None,
        Turn::Owners => Some(match &about.lender {
            Some(lender) => format!("{lender}, or whoever else manages the cluster"),
            None => "the people who run the cluster".into(),
        }),
        Turn::Provider => Some(format!("the people who run {}", about.provider)),
    }
}

fn turn(turn: Turn, about: &About) -> String {
    match (turn, whom(turn, about)) {
        (Turn::Yours, _) => "It is your turn.".into(),
        (_, Some(whom)) => format!("It is the turn of {whom}."),
        (_, None) => "It goes on by itself.".into(),
    }
}

/// A text to send: what fails, for whom, and what to set where other settings mend it.
pub fn message(findings: &[Finding], about: &About, person: &str, configuration: Option<&str>) -> String {
    let trouble: Vec<&Finding> = findings.iter().filter(|finding| finding.trouble).collect();
    let told: Vec<Told> = trouble.iter().map(|finding| told(finding, about)).collect();
    let mut text = format!(
        "Kubelend's connection test on the cluster {} does not succeed for me ({}, signed in with {}).\n",
        about.cluster,
        shown(person),
        about.provider
    );
    if trouble.iter().any(|finding| finding.certainty == Certainty::Possible) {
        text.push_str("The API server answers 401 and never says why. It is one of these, the likeliest first:\n");
    }
    for (number, told) in told.iter().enumerate() {
        // Writing to a text never fails.
        let _ = write!(text, "\n{}. {}. {}\n", number + 1, told.title, told.text);
    }
    if let Some(configuration) = configuration {
        text.push_str("\nThis is what Kubelend expects the API server to be set to (--authentication-config):\n\n");
        text.push_str(configuration);
    }
    text
}

type Words = (String, String);

fn words(cause: &Cause, about: &About) -> Words {
    match cause {
        Cause::NoToken | Cause::TokenOver(_) | Cause::ProviderDown | Cause::TooOld => of_token(cause, about),
        Cause::ClocksDiffer(_) | Cause::EndedByTheirClock(_) => of_clocks(cause),
        Cause::Unreachable(_) | Cause::Silent | Cause::Certificate(_) | Cause::NotKubernetes(_) | Cause::Refused(_) => {
            of_the_way(cause)
        }
        Cause::NoEmail | Cause::EmailNotVerified | Cause::GroupsMalformed(_) | Cause::GroupsMissing(_) => {
            of_claims(cause, about)
        }
        Cause::IssuerUnknown { .. }
        | Cause::IssuerNotReached { .. }
        | Cause::Audience { .. }
        | Cause::Claims
        | Cause::Algorithm(_) => of_trust(cause, about),
        Cause::NameDiffers { expected, answered, hint } => of_name(expected, answered, hint, about),
        Cause::GroupsDiffer { expected, answered, prefix } => of_groups(expected, answered, prefix.as_deref(), about),
        Cause::GrantWaits { what, failed, detail } => of_grant(what, *failed, detail.as_deref()),
        Cause::Denied(_) | Cause::NothingGranted => of_rights(cause),
    }
}

fn of_token(cause: &Cause, About { provider, .. }: &About) -> Words {
    match cause {
        Cause::TokenOver(at) => (
            "Your token has ended".into(),
            format!(
                "It ended on {}, and Kubelend holds nothing to renew it with. Sign in again, and the cluster is asked with a \
                 new one.",
                exact(*at)
            ),
        ),
        Cause::ProviderDown => (
            format!("{provider} does not renew your token"),
            "It does not answer, or has trouble of its own, and without a new token the cluster cannot be asked. Test again in \
             a moment; kubeconfigs that you hold work until their last token ends."
                .into(),
        ),
        Cause::TooOld => (
            "Your token ended on its way".into(),
            "It lived when it was sent and was over when it arrived. Test again. Where that happens often, the provider's \
             tokens live too short."
                .into(),
        ),
        _ => (
            "Not tested".into(),
            "Kubelend holds no token of yours to ask the cluster with. Sign in again to test.".into(),
        ),
    }
}

fn of_clocks(cause: &Cause) -> Words {
    let (Cause::ClocksDiffer(secs) | Cause::EndedByTheirClock(secs)) = cause else { return Words::default() };
    // To the nearest minute: the answer took its time, and its date has whole seconds.
    let span = match secs.unsigned_abs() {
        few @ ..90 => counted(few, "second"),
        many => length(Duration::from_mins((many + 30) / 60)),
    };
    let (way, effect) = if *secs > 0 { ("ahead of", "over") } else { ("behind", "not good yet") };
    let title = match cause {
        Cause::EndedByTheirClock(_) => format!("The clocks differ: to the cluster your token is {effect}"),
        _ => "The clocks differ".into(),
    };
    let text = format!(
        "The API server's clock is about {span} {way} Kubelend's, and there a token may be {effect} while it is good here. \
         Set both machines by NTP, and the provider's too."
    );
    (title, text)
}

fn of_the_way(cause: &Cause) -> Words {
    match cause {
        Cause::Unreachable(why) => (
            "The cluster cannot be reached from Kubelend".into(),
            format!(
                "There was no connection: {}. From where you are it may be reachable all the same, within its network or by VPN.",
                shown(why)
            ),
        ),
        Cause::Certificate(why) => (
            "The cluster shows a certificate that is not the expected one".into(),
            format!("Nothing was sent there. It says: {}.", shown(why)),
        ),
        Cause::NotKubernetes(why) => (
            "What answers there is no Kubernetes API server".into(),
            format!("It was asked, and {}. Perhaps a proxy or a login page stands in between.", shown(why)),
        ),
        Cause::Refused(why) => ("The cluster refused".into(), format!("It says: {}.", shown(why))),
        _ => (
            "The cluster does not answer Kubelend".into(),
            "Its API server did not answer in time. From where you are it may be reachable all the same, within its network \
             or by VPN."
                .into(),
        ),
    }
}

fn of_claims(cause: &Cause, About { provider, .. }: &About) -> Words {
    match cause {
        Cause::NoEmail => (
            format!("{provider} says no email of yours"),
            format!(
                "The cluster names people by email and refuses a token without one. Kubelend has to ask {provider} for the scope \
                 “email”, and an address of yours has to stand there."
            ),
        ),
        Cause::EmailNotVerified => (
            format!("{provider} says that your email is not verified"),
            format!(
                "A cluster that names people by email refuses such a token. Let your address be verified at {provider}, and sign in again."
            ),
        ),
        Cause::GroupsMalformed(claim) => (
            format!("{provider} writes groups in a way that clusters refuse"),
            format!("The claim “{}” of your token is neither a text nor a list of texts.", shown(claim)),
        ),
        Cause::GroupsMissing(claim) => (
            "Your token names no groups".into(),
            format!(
                "It has no claim “{}”: you are in no group at {provider}, or it keeps them from Kubelend (Dex and others give them \
                 for the scope “groups”). Access that is given to groups does not reach you.",
                shown(claim)
            ),
        ),
        _ => Words::default(),
    }
}

fn of_trust(cause: &Cause, About { provider, issuer, mapping, .. }: &About) -> Words {
    match cause {
        Cause::IssuerUnknown { counted: true } => (
            format!("The cluster does not know {provider}"),
            format!(
                "Its API server counts the tokens of each issuer that it trusts, and counted none of {issuer} when yours came. It \
                 has to be told of that issuer, letter by letter. (Where several API servers stand behind one address, each \
                 counts for itself: test once more.)"
            ),
        ),
        Cause::IssuerUnknown { counted: false } => (
            format!("The cluster does not know {provider}"),
            format!(
                "Its API server was not told of the issuer {issuer}, or of another spelling: it compares letter by letter."
            ),
        ),
        Cause::IssuerNotReached { counted } => (
            format!("The cluster cannot fetch {provider}'s keys"),
            format!(
                "{}: it was given another CA than the one that signed the certificate of {issuer}, or has no way there.",
                if *counted {
                    "Its API server says so itself"
                } else {
                    "Its API server may know the issuer and not reach it"
                }
            ),
        ),
        Cause::Audience { token, wanted } => (
            "The cluster expects tokens of another client".into(),
            format!("Your token is for {}; the API server has to accept the audiences {}.", list(token), list(wanted)),
        ),
        Cause::Algorithm(algorithm) => (
            format!("The cluster does not take signatures of the kind {}", shown(algorithm)),
            "With the older flags an API server takes RS256 alone, unless --oidc-signing-algs names more.".into(),
        ),
        _ => (
            "The cluster expects other claims".into(),
            format!(
                "It was told of another user name claim than “{}” and your token has none of that name, or it has a rule \
                 (claimValidationRules, --oidc-required-claim) that your token does not meet.",
                mapping.username_claim.as_str()
            ),
        ),
    }
}

fn of_name(expected: &str, answered: &str, hint: &NameHint, about: &About) -> Words {
    let (expected, answered) = (shown(expected), shown(answered));
    let own = about.mapping.username_claim.as_str();
    let how = match hint {
        NameHint::Prefix(prefix) => {
            format!(" It puts {} before “{own}”, not {}.", quoted(prefix), quoted(&about.mapping.username_prefix))
        }
        NameHint::Claim(claim, prefix) if prefix.is_empty() => {
            format!(" That is your claim “{}”, not “{own}”.", shown(claim))
        }
        NameHint::Claim(claim, prefix) => {
            format!(" That is your claim “{}” with {} before it, not “{own}”.", shown(claim), quoted(prefix))
        }
        NameHint::Case => " They differ in upper and lower case alone; clusters compare exactly.".into(),
        NameHint::Unknown => String::new(),
    };
    let text = format!(
        "To it you are “{answered}”; Kubelend was told that you are “{expected}” there, and gives access to that name.{how} {MEND}"
    );
    ("The cluster knows you by another name".into(), text)
}

const MEND: &str = "Either the API server is set as Kubelend was told, or the cluster's settings in Kubelend as it is.";

fn of_groups(expected: &[String], answered: &[String], prefix: Option<&str>, about: &About) -> Words {
    let mapping = &about.mapping;
    let how = match prefix {
        Some(prefix) => {
            format!(" It puts {} before groups, not {}.", quoted(prefix), quoted(&mapping.groups_prefix))
        }
        None if answered.is_empty() => {
            format!(" It takes no groups from tokens, or from another claim than “{}”.", shown(&mapping.groups_claim))
        }
        None => String::new(),
    };
    let are =
        if answered.is_empty() { "in no group of your provider's".into() } else { format!("in {}", list(answered)) };
    let text = format!(
        "You should be in {} there and are {are}, so access that is given to these groups does not reach you.{how} {MEND}",
        list(expected)
    );
    ("The cluster puts you in other groups".into(), text)
}

fn of_grant(what: &str, failed: bool, detail: Option<&str>) -> Words {
    let detail = detail.map(|detail| shown(detail.trim_end_matches('.')) + ". ").unwrap_or_default();
    if failed {
        (format!("{} did not come to the cluster", shown(what)), format!("{detail}Kubelend goes on trying."))
    } else {
        (format!("{} is on its way to the cluster", shown(what)), format!("{detail}Test again in a moment."))
    }
}

fn of_rights(cause: &Cause) -> Words {
    match cause {
        Cause::Denied(rights) => (
            "The cluster does not let you do it yet".into(),
            format!(
                "Your access stands on it as Kubelend made it, and still it says no to: {}. It may be a moment behind; the role \
                 may have no rules there; or something besides roles decides. Test again.",
                rights.iter().map(|right| shown(right)).collect::<Vec<_>>().join(", ")
            ),
        ),
        _ => (
            "Nobody has given you a role there".into(),
            "Through Kubelend you may sign in there and nothing more. The people who manage the cluster can give you a role on \
             its Access page."
                .into(),
        ),
    }
}

fn list(all: &[String]) -> String {
    if all.is_empty() {
        return "nobody".into();
    }
    all.iter().map(|one| format!("“{}”", shown(one))).collect::<Vec<_>>().join(", ")
}

fn quoted(prefix: &str) -> String {
    if prefix.is_empty() { "nothing".into() } else { format!("“{}”", shown(prefix)) }
}

/// Foreign text as it may stand in a sentence: one line, cut, and without marks that turn or hide text.
pub fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let hidden = |c: &char| matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
    let mut plain = plain.filter(|c| !hidden(c));
    let line: String = plain.by_ref().take(LONGEST).collect();
    if plain.next().is_some() { format!("{}…", line.trim_end()) } else { line }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    pub(in crate::web) fn about() -> About {
        About {
            cluster: "staging".into(),
            provider: "Dex".into(),
            issuer: "https://dex.example/dex".into(),
            mapping: ClaimMapping::default(),
            lender: Some("alice@example.com".into()),
        }
    }

    /// Each cause once, with this in place of all that comes from outside.
    pub(in crate::web) fn causes(foreign: &str) -> Vec<Cause> {
        let text = || foreign.to_owned();
        let name = |hint| Cause::NameDiffers { expected: "bob@example.com".into(), answered: text(), hint };
        let groups = |answered: Vec<String>, prefix| Cause::GroupsDiffer { expected: vec![text()], answered, prefix };
        vec![
            Cause::NoToken,
            Cause::TokenOver(Timestamp::from_secs(1_795_392_000)),
            Cause::ProviderDown,
            Cause::TooOld,
            Cause::Unreachable(text()),
            Cause::Silent,
            Cause::Certificate(text()),
            Cause::NotKubernetes(text()),
            Cause::Refused(text()),
            Cause::ClocksDiffer(-90),
            Cause::EndedByTheirClock(3600),
            Cause::NoEmail,
            Cause::EmailNotVerified,
            Cause::GroupsMalformed(text()),
            Cause::IssuerUnknown { counted: true },
            Cause::IssuerUnknown { counted: false },
            Cause::IssuerNotReached { counted: true },
            Cause::IssuerNotReached { counted: false },
            Cause::Audience { token: vec![text()], wanted: vec!["kubelend".into()] },
            Cause::Claims,
            Cause::Algorithm(text()),
            name(NameHint::Prefix(text())),
            name(NameHint::Claim(text(), String::new())),
            name(NameHint::Claim("sub".into(), text())),
            name(NameHint::Case),
            name(NameHint::Unknown),
            Cause::GroupsMissing(text()),
            groups(vec![text()], Some(text())),
            groups(vec![], None),
            groups(vec![text()], None),
            Cause::GrantWaits { what: text(), failed: true, detail: Some(text()) },
            Cause::GrantWaits { what: text(), failed: false, detail: None },
            Cause::Denied(vec![text()]),
            Cause::NothingGranted,
        ]
    }

    fn certain(cause: Cause) -> Finding {
        Finding { cause, certainty: Certainty::Certain, trouble: true }
    }

    #[test]
    fn each_cause_has_a_title_a_text_and_a_turn_of_its_own() {
        let all: Vec<Told> = causes("x").into_iter().map(|cause| told(&certain(cause), &about())).collect();
        for told in &all {
            assert!(!told.title.is_empty() && !told.title.ends_with('.'), "{told:?}");
            assert!(told.text.ends_with('.') || told.text.ends_with(')'), "{told:?}");
            assert!(told.turn.ends_with('.'), "{told:?}");
            assert_eq!(all.iter().filter(|other| *other == told).count(), 1, "{told:?}");
            assert!(!told.text.contains("  "), "{told:?}");
        }
    }

    #[test]
    fn immune_17_what_others_say_stays_one_short_line() {
        let foreign = format!("a\nb\u{202E}c\u{1b}[31m{}", "x".repeat(5_000));
        for cause in causes(&foreign) {
            let told = told(&certain(cause), &about());
            for text in [&told.title, &told.text] {
                assert!(!text.contains(['\n', '\u{202E}', '\u{1b}']), "{text}");
                assert!(text.chars().count() < 1500, "{text}");
            }
        }
    }

    #[test]
    fn both_names_and_what_to_change_are_told() {
        let cause =
            |hint| Cause::NameDiffers { expected: "bob@x.example".into(), answered: "corp:bob@x.example".into(), hint };
        let told = told(&certain(cause(NameHint::Prefix("corp:".into()))), &about());
        assert!(told.text.contains("“corp:bob@x.example”") && told.text.contains("“bob@x.example”"), "{}", told.text);
        assert!(told.text.contains("It puts “corp:” before “email”, not nothing."), "{}", told.text);
        assert_eq!(told.turn, "It is the turn of alice@example.com, or whoever else manages the cluster.");
    }

    #[test]
    fn a_text_to_send_says_who_what_and_what_to_set() {
        let open = |cause| Finding { certainty: Certainty::Possible, ..certain(cause) };
        let beside = Finding { trouble: false, ..certain(Cause::NothingGranted) };
        let findings = [open(Cause::IssuerUnknown { counted: false }), open(Cause::Claims), beside];
        let text = message(&findings, &about(), "bob@example.com", Some("kind: AuthenticationConfiguration\n"));
        for wanted in [
            "on the cluster staging does not succeed for me (bob@example.com, signed in with Dex)",
            "one of these, the likeliest first",
            "\n1. The cluster does not know Dex. ",
            "\n2. The cluster expects other claims. ",
            "\nkind: AuthenticationConfiguration\n",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("Nobody has given you a role"), "{text}");
    }
}
