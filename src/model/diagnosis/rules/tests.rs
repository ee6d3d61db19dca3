use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::model::time::Timestamp;

const NOW: i64 = 1_800_000_000;

fn claims(more: &Value) -> TokenClaims {
    let mut all = json!({
        "iss": "https://dex.example", "sub": "s-1", "aud": "kubelend", "email": "bob@example.com",
        "email_verified": true, "groups": ["devs", "ops"], "iat": NOW - 60, "exp": NOW + 600,
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    let all: BTreeMap<String, Value> = serde_json::from_value(all).unwrap();
    TokenClaims::of(all.into_iter().filter(|(_, value)| !value.is_null()).collect())
}

/// A cluster that trusts the provider and a person whom it does not know.
struct Case {
    mapping: ClaimMapping,
    facts: Box<dyn Fn(&mut Facts<'_>)>,
    claims: Value,
}

impl Case {
    fn new(facts: impl Fn(&mut Facts<'_>) + 'static) -> Self {
        Self { mapping: ClaimMapping::default(), facts: Box::new(facts), claims: json!({}) }
    }

    fn saying(mut self, claims: Value) -> Self {
        self.claims = claims;
        self
    }

    fn found(&self) -> Vec<Finding> {
        let mut facts = Facts {
            token: TokenState::Shown(claims(&self.claims)),
            mapping: &self.mapping,
            clients: vec!["kubelend".into(), "kubelend-direct".into()],
            private_ca: false,
            answer: Answer::Unauthorized,
            clocks: Some(Clocks { ours: at(0), theirs: at(1) }),
            figures: None,
            trusted_before: false,
            other_client_trusted: false,
            waiting: vec![],
            reach: Reach::ByName,
        };
        (self.facts)(&mut facts);
        diagnose(&facts)
    }

    fn causes(&self) -> Vec<Cause> {
        self.found().into_iter().map(|finding| finding.cause).collect()
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(NOW + secs)
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&one| one.to_owned()).collect()
}

fn audience() -> Cause {
    Cause::Audience { token: texts(&["kubelend"]), wanted: texts(&["kubelend", "kubelend-direct"]) }
}

fn known(username: &str, groups: &[&str], denied: &[&str]) -> Answer {
    let groups = [groups, &["system:authenticated"]].concat();
    Answer::Known { username: username.into(), groups: texts(&groups), all_groups: true, denied: texts(denied) }
}

#[test]
fn without_figures_a_refusal_is_one_of_these() {
    let (unknown, not_reached) = (Cause::IssuerUnknown { counted: false }, Cause::IssuerNotReached { counted: false });
    let found = Case::new(|_| {}).found();
    assert!(found.iter().all(|finding| finding.certainty == Certainty::Possible && finding.trouble));
    let table = [
        (Case::new(|_| {}), vec![unknown.clone(), audience(), not_reached.clone(), Cause::Claims]),
        (Case::new(|f| f.private_ca = true), vec![unknown.clone(), not_reached.clone(), audience(), Cause::Claims]),
        (Case::new(|f| f.trusted_before = true), vec![Cause::Claims, audience(), not_reached.clone(), unknown.clone()]),
        (Case::new(|f| f.other_client_trusted = true), vec![audience(), Cause::Claims, not_reached, unknown]),
    ];
    for (case, wanted) in table {
        assert_eq!(case.causes(), wanted);
    }
}

#[test]
fn figures_leave_fewer_open() {
    let figures =
        |counted, accepted_any, keys| Case::new(move |f| f.figures = Some(Figures { counted, accepted_any, keys }));
    let not_reached = |counted| Cause::IssuerNotReached { counted };
    let table = [
        (figures(false, false, Keys::Unknown), vec![Cause::IssuerUnknown { counted: true }], Certainty::Certain),
        // Keys of other issuers say nothing about ours.
        (figures(false, false, Keys::Fetched), vec![Cause::IssuerUnknown { counted: true }], Certainty::Certain),
        (figures(true, false, Keys::Failed), vec![not_reached(true)], Certainty::Certain),
        (figures(true, false, Keys::Fetched), vec![audience(), Cause::Claims], Certainty::Possible),
        (figures(true, true, Keys::Unknown), vec![audience(), Cause::Claims], Certainty::Possible),
        (figures(true, false, Keys::Unknown), vec![audience(), not_reached(false), Cause::Claims], Certainty::Possible),
    ];
    for (case, wanted, certainty) in table {
        let found = case.found();
        assert_eq!(found[0].certainty, certainty, "{found:?}");
        assert_eq!(case.causes(), wanted);
    }
}

#[test]
fn an_algorithm_that_flags_do_not_take_by_themselves_is_told() {
    let case = Case::new(|f| {
        let TokenState::Shown(claims) = &mut f.token else { panic!("a token is shown") };
        claims.algorithm = "ES256".into();
        f.figures = Some(Figures { counted: true, accepted_any: false, keys: Keys::Fetched });
    });
    assert_eq!(case.causes(), [audience(), Cause::Claims, Cause::Algorithm("ES256".into())]);
}

#[test]
fn what_the_token_itself_explains_stands_alone() {
    let refused = |claims| Case::new(|_| {}).saying(claims).causes();
    assert_eq!(refused(json!({"email": null})), [Cause::NoEmail]);
    assert_eq!(refused(json!({"email": ""})), [Cause::NoEmail]);
    assert_eq!(refused(json!({"email_verified": false})), [Cause::EmailNotVerified]);
    assert_eq!(refused(json!({"groups": {"a": 1}})), [Cause::GroupsMalformed("groups".into())]);
    // Missing is not unverified: API servers take such a token.
    assert_eq!(refused(json!({"email_verified": null})).len(), 4);
    // A cluster that names people by `sub` does not look at the email.
    let mut by_sub = Case::new(|_| {}).saying(json!({"email": null}));
    by_sub.mapping.username_claim = UsernameClaim::Sub;
    assert_eq!(by_sub.causes().len(), 4);
}

#[test]
fn clocks_decide_whether_a_token_is_over() {
    let clocks = |theirs| Case::new(move |f| f.clocks = Some(Clocks { ours: at(0), theirs: at(theirs) }));
    assert_eq!(clocks(3600).causes(), [Cause::EndedByTheirClock(3600)]);
    assert_eq!(clocks(-3600).saying(json!({"nbf": NOW - 60})).causes(), [Cause::EndedByTheirClock(-3600)]);
    // By five minutes an API server lets it lie ahead.
    assert_eq!(clocks(-240).saying(json!({"nbf": NOW})).causes().len(), 5);
    assert_eq!(clocks(2).saying(json!({"exp": NOW + 1})).causes(), [Cause::TooOld]);
    // Behind, and nothing in the token minds: a word beside.
    let beside = clocks(-3600).found().pop().unwrap();
    assert_eq!((beside.cause, beside.trouble), (Cause::ClocksDiffer(-3600), false));
    // Whole seconds and the way of the answer are no difference.
    assert_eq!(clocks(9).causes().len(), 4);
    let works = Case::new(|f| {
        f.answer = known("bob@example.com", &["oidc:devs", "oidc:ops"], &[]);
        f.clocks = Some(Clocks { ours: at(0), theirs: at(-90) });
    });
    assert_eq!(works.causes(), [Cause::ClocksDiffer(-90)]);
}

#[test]
fn without_a_living_token_nothing_is_asked() {
    let table = [
        (TokenState::Missing, Cause::NoToken),
        (TokenState::Over(at(-5)), Cause::TokenOver(at(-5))),
        (TokenState::ProviderDown, Cause::ProviderDown),
    ];
    for (token, cause) in table {
        let case = Case::new(move |f| (f.token, f.answer) = (token.clone(), Answer::NotAsked));
        assert_eq!(case.causes(), [cause]);
    }
}

#[test]
fn what_stands_in_the_way_of_asking_is_told_as_it_is() {
    let why = || String::from("why");
    let table = [
        (Answer::Unreachable(why()), Cause::Unreachable(why())),
        (Answer::Silent, Cause::Silent),
        (Answer::Certificate(why()), Cause::Certificate(why())),
        (Answer::NotKubernetes(why()), Cause::NotKubernetes(why())),
        (Answer::Refused(why()), Cause::Refused(why())),
    ];
    for (answer, cause) in table {
        assert_eq!(Case::new(move |f| f.answer = answer.clone()).causes(), [cause]);
    }
}

#[test]
fn it_works_when_names_and_groups_are_the_predicted_ones() {
    let case = Case::new(|f| f.answer = known("bob@example.com", &["oidc:ops", "oidc:devs", "more"], &[]));
    assert_eq!(case.found(), []);
}

#[test]
fn another_name_is_told_with_how_it_came_to_be() {
    let hint = |answered: &str| {
        let answer = known(answered, &["oidc:devs", "oidc:ops"], &["list pods"]);
        let case = Case::new(move |f| f.answer = answer.clone()).saying(json!({"preferred_username": "bob"}));
        match case.causes().as_slice() {
            [Cause::NameDiffers { expected, answered: told, hint }] => {
                assert_eq!((expected.as_str(), told.as_str()), ("bob@example.com", answered));
                hint.clone()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(hint("corp:bob@example.com"), NameHint::Prefix("corp:".into()));
    assert_eq!(hint("https://dex.example#s-1"), NameHint::Claim("sub".into(), "https://dex.example#".into()));
    assert_eq!(hint("bob"), NameHint::Claim("preferred_username".into(), String::new()));
    assert_eq!(hint("Bob@Example.com"), NameHint::Case);
    assert_eq!(hint("somebody else"), NameHint::Unknown);
}

#[test]
fn other_groups_are_told_with_their_prefix_and_are_trouble_where_something_hangs_on_them() {
    let groups = |groups: &'static [&'static str], by_group, denied: &'static [&'static str]| {
        Case::new(move |f| {
            f.answer = known("bob@example.com", groups, denied);
            f.reach = if by_group { Reach::ByGroup } else { Reach::ByName };
        })
    };
    let differ = |expected: &[&str], answered: &[&str], prefix: Option<&str>| Cause::GroupsDiffer {
        expected: texts(expected),
        answered: texts(answered),
        prefix: prefix.map(Into::into),
    };
    let both = ["oidc:devs", "oidc:ops"];
    let bare = groups(&["devs", "ops"], true, &[]).found();
    assert_eq!((&bare[0].cause, bare[0].trouble), (&differ(&both, &["devs", "ops"], Some("")), true));
    let other = groups(&["corp:devs", "corp:ops"], false, &[]).found();
    assert_eq!((&other[0].cause, other[0].trouble), (&differ(&both, &["corp:devs", "corp:ops"], Some("corp:")), false));
    let none = groups(&[], false, &["list pods"]).found();
    assert_eq!((&none[0].cause, none[0].trouble), (&differ(&both, &[], None), true));
    let one = groups(&["oidc:devs"], false, &[]).causes();
    assert_eq!(one, [differ(&["oidc:ops"], &[], None)]);
}

#[test]
fn of_a_list_of_groups_that_was_cut_nothing_is_said_to_be_missing() {
    let case = Case::new(|f| {
        f.answer = Answer::Known {
            username: "bob@example.com".into(),
            groups: texts(&["oidc:a"]),
            all_groups: false,
            denied: vec![],
        };
        f.reach = Reach::ByGroup;
    });
    assert_eq!(case.found(), []);
}

#[test]
fn a_missing_groups_claim_is_a_word_beside() {
    let case = Case::new(|f| f.answer = known("bob@example.com", &[], &[])).saying(json!({"groups": null}));
    let found = case.found();
    assert_eq!((&found[0].cause, found[0].trouble), (&Cause::GroupsMissing("groups".into()), false));
}

#[test]
fn immune_11_groups_of_kubernetes_own_are_neither_expected_nor_told() {
    let mut case = Case::new(|f| f.answer = known("bob@example.com", &["system:masters", "devs"], &[]))
        .saying(json!({"groups": ["system:masters", "devs"]}));
    case.mapping.groups_prefix = String::new();
    assert_eq!(case.found(), []);
}

#[test]
fn denied_rights_are_told_by_the_grant_that_waits_or_else_by_themselves() {
    let waits = |state, detail: Option<&str>| WaitingGrant {
        what: "view on the whole cluster".into(),
        state,
        detail: detail.map(Into::into),
    };
    let case = |denied: &'static [&'static str], waiting: Vec<WaitingGrant>| {
        Case::new(move |f| {
            f.answer = known("bob@example.com", &["oidc:devs", "oidc:ops"], denied);
            f.waiting.clone_from(&waiting);
        })
    };
    let told = |failed, detail: Option<&str>| Cause::GrantWaits {
        what: "view on the whole cluster".into(),
        failed,
        detail: detail.map(Into::into),
    };
    let pending = case(&["list pods"], vec![waits(GrantState::Pending, None)]).found();
    assert_eq!((&pending[0].cause, pending[0].trouble, pending.len()), (&told(false, None), true, 1));
    let failed = case(&[], vec![waits(GrantState::Failed, Some("no such role"))]).found();
    assert_eq!((&failed[0].cause, failed[0].trouble), (&told(true, Some("no such role")), false));
    assert_eq!(case(&["list pods"], vec![]).causes(), [Cause::Denied(texts(&["list pods"]))]);
    let nothing = Case::new(|f| {
        f.answer = known("bob@example.com", &["oidc:devs", "oidc:ops"], &[]);
        f.reach = Reach::None;
    });
    assert_eq!(nothing.causes(), [Cause::NothingGranted]);
}

#[test]
fn trouble_comes_before_words_beside() {
    let found = Case::new(|f| {
        f.answer = known("corp:bob@example.com", &[], &[]);
        f.reach = Reach::None;
    })
    .found();
    let trouble: Vec<bool> = found.iter().map(|finding| finding.trouble).collect();
    assert_eq!(trouble, [true, false, false], "{found:?}");
}

#[test]
fn findings_are_read_back_as_they_were_stored() {
    let found = Case::new(|f| f.answer = known("corp:bob@example.com", &["devs"], &["x"])).found();
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Finding>>(&text).unwrap(), found);
}
