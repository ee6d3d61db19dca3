//! `/clusters/{cluster}/can`: what somebody can do there, in plain words, and which grant or binding gives each part.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};

use super::{
    access::grantee_name,
    access_form::{NamedProvider, named_providers},
    can_form::CanForm,
    can_gaps::{Gap, gaps},
    can_rows::{AnswerRow, answer_row, meaning, subject_name},
    cluster::{AtCluster, Head, Tab},
    credentials,
};
use crate::{
    access::{AccessError, Insight, WhatCan, Whom},
    model::{grant::Grantee, id::GrantId, name::Namespace, subject::SubjectKind},
    oidc::Providers,
    store::Store,
    web::{
        errors::PageError,
        forms::FieldErrors,
        frame::{Frame, render_with},
        paths,
        words::{self, Words},
    },
};

/// So many groups are named.
const GROUPS: usize = 20;

#[derive(Template)]
#[template(path = "pages/can.html")]
struct CanPage {
    frame: Frame,
    head: Head,
    here: String,
    who_can: String,
    form: CanForm,
    errors: FieldErrors,
    providers: Vec<NamedProvider>,
    found: Option<Found>,
    trouble: Option<Words>,
}

/// What was found out.
struct Found {
    /// Who it is about.
    title: String,
    /// Where.
    place: String,
    /// The same about the whole cluster, where it is about a namespace.
    wider: Option<String>,
    /// Who that is, where the name does not say it.
    meaning: Option<String>,
    /// Who they are on the cluster.
    on_cluster: String,
    /// Their groups that count there.
    groups: Option<String>,
    /// What they can do, as the end of a sentence.
    sum: String,
    rows: Vec<AnswerRow>,
    gaps: Vec<Gap>,
}

/// The page.
pub async fn get(
    at: AtCluster,
    Query(form): Query<CanForm>,
    State(insight): State<Insight>,
    State(store): State<Store>,
    State(providers): State<Providers>,
) -> Result<Response, PageError> {
    let trusted = named_providers(at.cluster(), &providers, &form.provider);
    let mut errors = FieldErrors::default();
    let (form, whom) = if let Some(id) = form.grant {
        of_grant(&at, &store, id, form.ns).await?
    } else {
        let whom = form.is_asked().then(|| form.whom(&trusted, &mut errors)).flatten();
        (form, whom)
    };
    let namespace = form.namespace(&mut errors);
    let mut page = CanPage {
        frame: at.frame(),
        head: at.head(Tab::Access),
        here: paths::can(at.id(), &[]),
        who_can: paths::who_can(at.id(), &[("ns", form.ns.trim())]),
        providers: named_providers(at.cluster(), &providers, &form.provider),
        form,
        errors,
        found: None,
        trouble: None,
    };
    if let Some(whom) = whom.filter(|_| page.errors.is_empty()) {
        let asked = insight.what_can(&at.seen, whom.clone(), namespace.as_ref().map(Namespace::as_str)).await;
        match asked {
            Ok(what) => page.found = Some(found(&at, &page.form, &whom, &what)),
            Err(AccessError::Invalid { field, message }) => page.errors.add(field, message),
            Err(AccessError::Cluster(error)) => page.trouble = Some(words::cluster_trouble(&error)),
            Err(other) => return Err(other.into()),
        }
    }
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(render_with(status, &page))
}

/// Whom a grant of this cluster is for, with the form filled in.
async fn of_grant(
    at: &AtCluster,
    store: &Store,
    id: GrantId,
    ns: String,
) -> Result<(CanForm, Option<Whom>), PageError> {
    let (grant, who) = store.grant(id).await?;
    if grant.scope.cluster() != at.id() {
        return Err(PageError::not_found());
    }
    let provider = match &grant.grantee {
        Grantee::Person(_) => who.as_ref().map(|p| p.provider.to_string()).unwrap_or_default(),
        Grantee::Email(provider, _) | Grantee::Group(provider, _) => provider.to_string(),
        Grantee::ServiceAccount(_) => String::new(),
    };
    let form = CanForm::of_grantee(&grant.grantee, &grantee_name(&grant.grantee, who.as_ref()), &provider, ns);
    Ok((form, Some(Whom::Grantee(grant.grantee))))
}

fn found(at: &AtCluster, form: &CanForm, whom: &Whom, what: &WhatCan) -> Found {
    let cluster = at.cluster();
    let rows: Vec<AnswerRow> = what
        .answers
        .iter()
        .map(|answer| answer_row(answer, &what.gaps, cluster, |ns| form.in_namespace(cluster.id, ns)))
        .collect();
    let me = at.check.as_ref().and_then(credentials::identity);
    let ns = form.ns.trim();
    Found {
        title: match whom {
            Whom::Subject(subject) => subject_name(subject),
            Whom::Grantee(_) => form.name.trim().to_owned(),
        },
        place: if ns.is_empty() { "on the whole cluster".into() } else { format!("in namespace {ns}") },
        wider: (!ns.is_empty()).then(|| form.in_namespace(cluster.id, "")),
        meaning: match whom {
            Whom::Subject(subject) => meaning(subject),
            Whom::Grantee(_) => None,
        },
        on_cluster: on_cluster(what),
        groups: groups(whom, what),
        sum: sum(&rows),
        gaps: gaps(&what.gaps, me.as_deref()),
        rows,
    }
}

fn on_cluster(what: &WhatCan) -> String {
    let actor = &what.named.actor;
    match &actor.user {
        Some(user) => user.clone(),
        None => format!("group {}", actor.groups.first().map_or("", String::as_str)),
    }
}

/// Which groups were counted. A person's come from their last sign-in, and only those that bindings there name are told.
fn groups(whom: &Whom, what: &WhatCan) -> Option<String> {
    let actor = &what.named.actor;
    let own = |g: &&String| g.starts_with("system:");
    let named: Vec<&str> = actor.groups.iter().filter(|g| !own(g)).map(String::as_str).take(GROUPS).collect();
    match whom {
        Whom::Grantee(Grantee::Group(..)) => Some("Whoever is in it may be in others too, and can then do more.".into()),
        Whom::Grantee(Grantee::ServiceAccount(_)) => None,
        Whom::Grantee(_) if what.named.person.is_none() => Some(
            "They have not signed in to Kubelend with this address, so which groups they are in is not known: they may be able to do more.".into(),
        ),
        Whom::Grantee(_) if named.is_empty() && (what.gaps.rules.is_some() || what.gaps.cut) => Some(
            "Which of their groups bindings here name could not be read, so none was asked about: they may be able to do more.".into(),
        ),
        Whom::Grantee(_) if named.is_empty() => {
            Some("At their last sign-in they were in no group that a binding here names.".into())
        }
        Whom::Grantee(_) => Some(format!("At their last sign-in they were in {}.", named.join(", "))),
        Whom::Subject(subject) if subject.kind == SubjectKind::User => {
            Some("As this user name alone: groups are known of people who sign in to Kubelend.".into())
        }
        Whom::Subject(_) => None,
    }
}

/// What they can do, in one sentence's end.
fn sum(rows: &[AnswerRow]) -> String {
    let may: Vec<&str> = rows.iter().filter(|r| r.class == "passed").map(|r| r.what).collect();
    let some = rows.iter().filter(|r| r.class != "passed" && (r.class == "warned" || !r.elsewhere.is_empty())).count();
    let partly = if some > 0 { " Some more of it in part, or in single namespaces: see below." } else { "" };
    match may.as_slice() {
        _ if may.contains(&"do everything") => "do everything. That amounts to owning it.".into(),
        [] => format!("do none of this.{partly}"),
        [one] => format!("{one}.{partly}"),
        [most @ .., last] => format!("{} and {last}.{partly}", most.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        access::{Answer, AnswerAt, Gaps, Named, Part, Source},
        k8s::{FoundBinding, Said},
        model::{
            questions::QUESTIONS,
            rbac::{Actor, Extent},
            subject::Subject,
        },
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, LONG_EMAIL, NOW, check, frame, grant},
        },
    };

    pub(in crate::web) fn source(n: usize) -> Source {
        let staging = cluster("staging");
        Source {
            binding: FoundBinding {
                namespace: n.is_multiple_of(2).then(|| "payments-batch-processing-of-the-night".into()),
                name: if n == 0 { HOSTILE.into() } else { format!("a-binding-that-somebody-made-{n}") },
                uid: "u".into(),
                role_kind: "ClusterRole".into(),
                role_name: "cluster-admin".into(),
                subjects: vec![],
                more_subjects: 0,
                labels: std::collections::BTreeMap::default(),
                created_at: None,
            },
            subject: Subject::group("oidc:platform-engineering"),
            extent: Extent::All,
            grant: n.is_multiple_of(3).then(|| Box::new((grant(&staging, n), None))),
            group: None,
        }
    }

    fn what(much: bool, gaps: Gaps) -> WhatCan {
        let parts = |n: usize, allowed: bool, question: &crate::model::questions::Question| {
            let said = Some(Said { allowed, reason: Some(HOSTILE.into()) });
            let one = |deed| Part { deed, said: said.clone(), sources: (0..n).map(source).collect() };
            question.deeds().into_iter().map(one).collect::<Vec<_>>()
        };
        let answers = QUESTIONS.iter().enumerate().map(|(n, question)| Answer {
            question,
            here: AnswerAt { namespace: None, parts: parts(if much { 8 } else { n % 2 }, n % 3 < 2, question) },
            elsewhere: (0..if much { 12 } else { n % 3 })
                .map(|k| AnswerAt { namespace: Some(format!("namespace-{k}")), parts: parts(1, true, question) })
                .collect(),
        });
        let groups = vec!["system:authenticated".into(), "oidc:devs".into()];
        let named = Named { actor: Actor::user(LONG_EMAIL, groups), person: None };
        WhatCan { named, answers: answers.collect(), gaps }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |form: CanForm, errors: FieldErrors, found: Option<WhatCan>, trouble: Option<Words>| {
            let rows = |what: &WhatCan| {
                let row = |a| answer_row(a, &what.gaps, &staging, |ns| form.in_namespace(staging.id, ns));
                what.answers.iter().map(row).collect::<Vec<_>>()
            };
            let found = found.map(|what| Found {
                title: form.name.clone(),
                place: "on the whole cluster".into(),
                wider: Some("/x".into()),
                meaning: Some("everybody whom the cluster knows".into()),
                on_cluster: on_cluster(&what),
                groups: groups(&Whom::Subject(Subject::user("x")), &what),
                sum: sum(&rows(&what)),
                rows: rows(&what),
                gaps: gaps(&what.gaps, Some("$(reboot)")),
            });
            CanPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
                here: paths::can(staging.id, &[]),
                who_can: paths::who_can(staging.id, &[]),
                providers: vec![],
                form,
                errors,
                found,
                trouble,
            }
            .render()
            .unwrap()
        };
        let asked = |name: &str| CanForm { kind: "person".into(), name: name.into(), ..CanForm::default() };
        let gap = Gaps {
            rules: Some(AccessError::Cluster(crate::k8s::K8sError::Forbidden(HOSTILE.into()))),
            reviews: Some(crate::k8s::K8sError::Forbidden("no".into())),
            cut: true,
        };
        let mut errors = FieldErrors::default();
        errors.add("name", HOSTILE);
        errors.add("ns", "no");
        let down = words::cluster_trouble(&crate::k8s::K8sError::TimedOut);
        vec![
            ("can-empty", draw(CanForm::default(), FieldErrors::default(), None, None)),
            ("can", draw(asked("bob@example.com"), FieldErrors::default(), Some(what(false, Gaps::default())), None)),
            ("can-full", draw(asked(LONG_EMAIL), FieldErrors::default(), Some(what(true, Gaps::default())), None)),
            ("can-gaps", draw(asked(HOSTILE), FieldErrors::default(), Some(what(false, gap)), None)),
            ("can-wrong", draw(asked(HOSTILE), errors, None, None)),
            ("can-down", draw(asked("x"), FieldErrors::default(), None, Some(down))),
        ]
    }

    #[test]
    fn everything_is_said_as_what_it_amounts_to() {
        let staging = cluster("staging");
        let mut all = what(false, Gaps::default());
        for part in all.answers.iter_mut().flat_map(|a| &mut a.here.parts) {
            part.said = Some(Said { allowed: true, reason: None });
        }
        let rows: Vec<_> = all.answers.iter().map(|a| answer_row(a, &all.gaps, &staging, ToOwned::to_owned)).collect();
        assert_eq!(sum(&rows), "do everything. That amounts to owning it.");
        assert_eq!(sum(&[]), "do none of this.");
    }
}
