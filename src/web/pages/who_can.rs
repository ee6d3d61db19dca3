//! `/clusters/{cluster}/who-can`: everybody whom bindings let do something there, by which grant or binding, and whether the
//! cluster confirms it.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};

use super::{
    can_form,
    can_gaps::{Gap, gaps},
    can_rows::{HolderRow, holder_row},
    cluster::{AtCluster, Head, Tab},
    credentials,
};
use crate::{
    access::{AccessError, Insight, WhoCan},
    model::{
        questions::{QUESTIONS, Question, Reach},
        rbac::{Deed, Target},
    },
    web::{
        errors::PageError,
        forms::{Choice, FieldErrors},
        frame::{Frame, render_with},
        paths,
        words::{self, Words},
    },
};

/// The choice of something that is typed.
const TYPED: &str = "typed";

/// The query.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct WhoCanForm {
    /// A question's id, or `typed`.
    can: String,
    /// What is typed: the verb.
    verb: String,
    /// And the resource, or a path.
    what: String,
    /// A namespace; empty for anywhere.
    ns: String,
}

#[derive(Template)]
#[template(path = "pages/who_can.html")]
struct WhoCanPage {
    frame: Frame,
    head: Head,
    here: String,
    can: String,
    form: WhoCanForm,
    errors: FieldErrors,
    found: Option<Found>,
    trouble: Option<Words>,
}

struct Found {
    title: String,
    hint: Option<&'static str>,
    /// Kubernetes' words for it.
    deeds: String,
    rows: Vec<HolderRow>,
    own: Vec<HolderRow>,
    more: usize,
    gaps: Vec<Gap>,
}

/// What is asked.
struct Asked {
    words: String,
    hint: Option<&'static str>,
    deeds: Vec<Deed>,
    /// Whether namespaces have nothing to do with it.
    of_cluster: bool,
}

impl WhoCanForm {
    fn choices(&self) -> Vec<Choice> {
        let chosen = if self.can.is_empty() { "read-secrets" } else { &self.can };
        let mut all: Vec<Choice> = QUESTIONS.iter().map(|q| Choice::new(q.id, q.words, chosen)).collect();
        all.push(Choice::new(TYPED, "something else:", chosen));
        all
    }

    fn asked(&self, errors: &mut FieldErrors) -> Option<Asked> {
        if self.can.is_empty() {
            return None;
        }
        if self.can != TYPED {
            let question = errors.keep("can", Question::named(&self.can).ok_or("Choose one of these questions."))?;
            return Some(Asked {
                words: question.words.to_owned(),
                hint: question.amounts_to,
                deeds: question.deeds(),
                of_cluster: question.reach == Reach::Cluster,
            });
        }
        let deed = errors.keep("what", Deed::parse(&self.verb, &self.what))?;
        let of_cluster = matches!(deed.to, Target::Path(_));
        Some(Asked { words: deed.in_words(), hint: None, deeds: vec![deed], of_cluster })
    }
}

/// The page.
pub async fn get(
    at: AtCluster,
    Query(form): Query<WhoCanForm>,
    State(insight): State<Insight>,
) -> Result<Response, PageError> {
    let mut errors = FieldErrors::default();
    let namespace = can_form::namespace(&form.ns, &mut errors);
    let asked = form.asked(&mut errors);
    let mut page = WhoCanPage {
        frame: at.frame(),
        head: at.head(Tab::Access),
        here: paths::who_can(at.id(), &[]),
        can: paths::can(at.id(), &[("ns", form.ns.trim())]),
        form,
        errors,
        found: None,
        trouble: None,
    };
    if let Some(asked) = asked.filter(|_| page.errors.is_empty()) {
        let namespace = namespace.filter(|_| !asked.of_cluster).map(|n| n.to_string());
        match insight.who_can(&at.seen, &asked.deeds, namespace.as_deref()).await {
            Ok(who) => page.found = Some(found(&at, &asked, namespace.as_deref(), &who)),
            Err(AccessError::Cluster(error)) => page.trouble = Some(words::cluster_trouble(&error)),
            Err(other) => return Err(other.into()),
        }
    }
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(render_with(status, &page))
}

fn found(at: &AtCluster, asked: &Asked, namespace: Option<&str>, who: &WhoCan) -> Found {
    let place = namespace.map(|ns| format!(" in namespace {ns}")).unwrap_or_default();
    let rows = who.holders.iter().map(|holder| holder_row(holder, &who.gaps, at.cluster()));
    let (own, rows) = rows.partition(|row: &HolderRow| row.own);
    let me = at.check.as_ref().and_then(credentials::identity);
    Found {
        title: format!("Who can {}{place}", asked.words),
        hint: asked.hint,
        deeds: asked.deeds.iter().map(Deed::in_words).collect::<Vec<_>>().join(", "),
        rows,
        own,
        more: who.more,
        gaps: gaps(&who.gaps, me.as_deref()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        access::{Gaps, Holder, Part},
        k8s::{K8sError, Said},
        model::subject::Subject,
        web::pages::{
            can::tests::source,
            cluster::tests::{cluster, head},
            samples::{HOSTILE, LONG_EMAIL, NOW, check, frame},
        },
    };

    fn holder(n: usize, sources: usize) -> Holder {
        let said = [Some(true), Some(false), None][n % 3].map(|allowed| Said { allowed, reason: None });
        let part = |deed| Part { deed, said: said.clone(), sources: (0..sources).map(source).collect() };
        Holder {
            subject: match n % 3 {
                0 => Subject::user(if n == 0 { HOSTILE } else { LONG_EMAIL }),
                1 => Subject::group("system:serviceaccounts:shop"),
                _ => Subject::user(format!("person-{n}@example.com")),
            },
            namespace: n.is_multiple_of(2).then(|| "shop".into()),
            parts: vec![part(Deed::new("get", "secrets")), part(Deed::new("list", "secrets"))],
            own: n >= 30,
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |form: WhoCanForm, errors: FieldErrors, holders: Option<Vec<Holder>>, trouble: Option<Words>| {
            let gaps_found = Gaps { reviews: Some(K8sError::Forbidden(HOSTILE.into())), ..Gaps::default() };
            let found = holders.map(|holders| {
                let rows = holders.iter().map(|h| holder_row(h, &gaps_found, &staging));
                let (own, rows) = rows.partition(|row: &HolderRow| row.own);
                Found {
                    title: "Who can read Secrets in namespace shop".into(),
                    hint: Some("Tokens of ServiceAccounts may be among them."),
                    deeds: "get secrets, list secrets".into(),
                    more: holders.len(),
                    rows,
                    own,
                    gaps: gaps(&gaps_found, None),
                }
            });
            let frame = frame();
            let head = head(&staging, Some(&check(true, false)), NOW, Tab::Access);
            let (here, can) = (paths::who_can(staging.id, &[]), paths::can(staging.id, &[]));
            WhoCanPage { frame, head, here, can, form, errors, found, trouble }.render().unwrap()
        };
        let asked = || WhoCanForm { can: TYPED.into(), verb: HOSTILE.into(), what: HOSTILE.into(), ns: HOSTILE.into() };
        let mut errors = FieldErrors::default();
        errors.add("what", HOSTILE);
        errors.add("ns", HOSTILE);
        let fine = FieldErrors::default;
        let down = words::cluster_trouble(&K8sError::TimedOut);
        vec![
            ("who-can-empty", draw(WhoCanForm::default(), fine(), None, None)),
            ("who-can", draw(WhoCanForm::default(), fine(), Some((0..6).map(|n| holder(n, 1)).collect()), None)),
            ("who-can-full", draw(WhoCanForm::default(), fine(), Some((0..40).map(|n| holder(n, 3)).collect()), None)),
            ("who-can-nobody", draw(WhoCanForm::default(), fine(), Some(vec![]), None)),
            ("who-can-wrong", draw(asked(), errors, None, None)),
            ("who-can-down", draw(asked(), fine(), None, Some(down))),
        ]
    }

    #[test]
    fn a_question_is_chosen_or_typed() {
        let asked = |can: &str, verb: &str, what: &str| {
            let form = WhoCanForm { can: can.into(), verb: verb.into(), what: what.into(), ns: String::new() };
            let mut errors = FieldErrors::default();
            (form.asked(&mut errors).map(|a| (a.words, a.deeds.len(), a.of_cluster)), errors)
        };
        assert_eq!(asked("read-secrets", "", "").0, Some(("read Secrets".into(), 2, false)));
        assert_eq!(asked("see-nodes", "", "").0, Some(("see nodes".into(), 1, true)));
        assert_eq!(asked("typed", "delete", "deployments").0, Some(("delete deployments.apps".into(), 1, false)));
        assert_eq!(asked("typed", "get", "/metrics").0, Some(("get /metrics".into(), 1, true)));
        assert!(asked("typed", "get", "").1.get("what").is_some());
        assert!(asked("own-it", "", "").1.get("can").is_some());
        assert!(asked("", "", "").0.is_none());
    }
}
