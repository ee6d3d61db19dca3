//! What is found out about somebody's rights, in words: yes, no or partly, by which grant or binding, and where the cluster and its
//! bindings disagree.

use super::{access::grantee_name, can_form};
use crate::{
    access::{Answer, AnswerAt, Gaps, Holder, Part, Source},
    model::{
        cluster::Cluster,
        rbac::Extent,
        subject::{Subject, SubjectKind},
    },
    web::{labels::role_word, paths},
};

/// So many bindings, names and namespaces stand in one cell.
const FEW: usize = 3;
const NAMESPACES: usize = 5;

/// A binding that gives something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// “grant of edit to group devs”, “ClusterRoleBinding legacy (ClusterRole cluster-admin)”.
    pub words: String,
    /// Where it is looked after, for a grant.
    pub href: Option<String>,
}

/// A namespace that an answer is about.
#[derive(Debug)]
pub struct Elsewhere {
    /// Its name.
    pub name: String,
    /// The same question there.
    pub href: String,
}

/// An answer.
#[derive(Debug)]
pub struct AnswerRow {
    /// The end of a sentence that begins with “can”.
    pub what: &'static str,
    /// What it amounts to.
    pub amounts_to: Option<&'static str>,
    /// Who else can.
    pub who_else: String,
    /// The verdict's style.
    pub class: &'static str,
    /// “yes”, “no”, “partly: list secrets”.
    pub verdict: String,
    /// In which single namespaces.
    pub elsewhere: Vec<Elsewhere>,
    /// In how many more.
    pub more_elsewhere: usize,
    /// By what.
    pub by: Vec<SourceLine>,
    /// By how many more.
    pub more_by: usize,
    /// Where the cluster and its bindings disagree.
    pub odd: Vec<String>,
}

/// Who can do what was asked.
#[derive(Debug)]
pub struct HolderRow {
    /// Kubernetes' word for the kind.
    pub kind: &'static str,
    /// The name, as the cluster has it.
    pub name: String,
    /// Who that is, where the name does not say it.
    pub meaning: Option<String>,
    /// What else they can do.
    pub can: String,
    /// Where.
    pub place: String,
    /// What of it.
    pub what: String,
    /// By what.
    pub by: Vec<SourceLine>,
    /// By how many more.
    pub more_by: usize,
    /// What the cluster says: style and words.
    pub class: &'static str,
    /// In words.
    pub said: String,
    /// Where the cluster and its bindings disagree.
    pub odd: Vec<String>,
    /// Whether it is Kubernetes' own doing.
    pub own: bool,
}

/// Whether somebody may do a part of it, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Yes,
    Named(Vec<String>),
    No,
    Unknown,
}

fn verdict(part: &Part, rules_known: bool) -> Verdict {
    let names = match part.extent() {
        Some(Extent::Named(names)) => names.into_iter().collect(),
        _ => Vec::new(),
    };
    match (part.said.as_ref().map(|said| said.allowed), part.sources.is_empty()) {
        (Some(false), _) => Verdict::No,
        (None, true) if rules_known => Verdict::No,
        (None, true) => Verdict::Unknown,
        (Some(true), _) | (None, false) if names.is_empty() => Verdict::Yes,
        (Some(true), _) | (None, false) => Verdict::Named(names),
    }
}

/// The verdict of all parts: style and words.
fn together(parts: &[Part], rules_known: bool) -> (&'static str, String) {
    let verdicts: Vec<Verdict> = parts.iter().map(|part| verdict(part, rules_known)).collect();
    let all = |wanted: &Verdict| verdicts.iter().all(|v| v == wanted);
    if all(&Verdict::Yes) {
        return ("passed", "yes".into());
    }
    if all(&Verdict::No) {
        return ("skipped", "no".into());
    }
    let some: Vec<String> = parts.iter().zip(&verdicts).filter_map(|(part, verdict)| partly(part, verdict)).collect();
    if some.is_empty() { ("waiting", "not known".into()) } else { ("warned", format!("partly: {}", some.join(", "))) }
}

fn partly(part: &Part, verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Yes => Some(part.deed.in_words()),
        Verdict::Named(names) => Some(format!("{} named {}", part.deed.in_words(), few(names, FEW))),
        Verdict::No | Verdict::Unknown => None,
    }
}

/// The first of a list, and how many more.
fn few(names: &[String], most: usize) -> String {
    let (shown, more) =
        (names.iter().take(most).cloned().collect::<Vec<_>>().join(", "), names.len().saturating_sub(most));
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn odd(parts: &[Part], gaps: &Gaps) -> Vec<String> {
    let read_all = gaps.rules.is_none() && !gaps.cut;
    let mut found: Vec<String> = parts
        .iter()
        .filter_map(|part| match (part.said.as_ref()?, part.sources.is_empty()) {
            (said, true) if said.allowed && read_all => {
                let why = said.reason.as_ref().map(|why| format!(" It says: {why}.")).unwrap_or_default();
                Some(format!("The cluster allows “{}”, and no binding that stands there says why.{why}", part.deed.in_words()))
            }
            (said, false) if !said.allowed => Some(format!(
                "Bindings give “{}”, and the cluster says no: it has not taken in a change yet, or something besides RBAC forbids it.",
                part.deed.in_words()
            )),
            _ => None,
        })
        .collect();
    found.truncate(2);
    found
}

/// The bindings behind some parts, each once; those that grants made first.
fn by<'a>(parts: impl IntoIterator<Item = &'a Part>, cluster: &Cluster) -> (Vec<SourceLine>, usize) {
    let mut sources: Vec<&Source> = parts.into_iter().flat_map(|part| &part.sources).collect();
    sources.sort_by_key(|source| source.grant.is_none());
    let mut lines: Vec<SourceLine> = Vec::new();
    for line in sources.into_iter().map(|source| source_line(source, cluster)) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let more = lines.len().saturating_sub(FEW);
    lines.truncate(FEW);
    (lines, more)
}

fn source_line(source: &Source, cluster: &Cluster) -> SourceLine {
    if let Some((grant, who)) = source.grant.as_deref() {
        let name = grantee_name(&grant.grantee, who.as_ref());
        let (role, place) = (role_word(grant.role.as_ref()), grant.scope.in_words());
        if let Some((id, group)) = &source.group {
            let words = format!("the grant of {role} to the Kubelend group {group}, with {name} in it, on {place}");
            return SourceLine { words, href: Some(paths::federated(*id)) };
        }
        let words = format!("the grant of {role} to {name} on {place}");
        let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        return SourceLine { words, href: Some(format!("{}?q={query}", paths::beside(&paths::access(cluster.id)))) };
    }
    let binding = &source.binding;
    let kind = match &binding.namespace {
        Some(namespace) => format!("RoleBinding {namespace}/{}", binding.name),
        None => format!("ClusterRoleBinding {}", binding.name),
    };
    let member = match source.subject.kind {
        SubjectKind::Group => format!(", to group {}", source.subject.name),
        SubjectKind::User | SubjectKind::ServiceAccount => String::new(),
    };
    SourceLine { words: format!("{kind}, {} {}{member}", binding.role_kind, binding.role_name), href: None }
}

/// An answer as a row; `there` leads to the same about a namespace.
pub fn answer_row(answer: &Answer, gaps: &Gaps, cluster: &Cluster, there: impl Fn(&str) -> String) -> AnswerRow {
    let rules_known = gaps.rules.is_none();
    let (class, verdict) = together(&answer.here.parts, rules_known);
    let places: Vec<&AnswerAt> = answer.elsewhere.iter().filter(|at| gives(at, rules_known)).collect();
    let (by, more_by) =
        by(std::iter::once(&answer.here).chain(answer.elsewhere.iter()).flat_map(|at| &at.parts), cluster);
    let elsewhere: Vec<Elsewhere> = places
        .iter()
        .filter_map(|at| at.namespace.clone())
        .take(NAMESPACES)
        .map(|name| Elsewhere { href: paths::beside(&there(&name)), name })
        .collect();
    let mut odd_ones = odd(&answer.here.parts, gaps);
    odd_ones.extend(answer.elsewhere.iter().flat_map(|at| odd(&at.parts, gaps)).take(1));
    let namespace = answer.here.namespace.as_deref().unwrap_or_default();
    AnswerRow {
        what: answer.question.words,
        amounts_to: answer.question.amounts_to.filter(|_| class != "skipped" || !elsewhere.is_empty()),
        who_else: paths::beside(&paths::who_can(cluster.id, &[("can", answer.question.id), ("ns", namespace)])),
        class,
        verdict,
        more_elsewhere: places.len() - elsewhere.len(),
        elsewhere,
        by,
        more_by,
        odd: odd_ones,
    }
}

fn gives(at: &AnswerAt, rules_known: bool) -> bool {
    at.parts.iter().any(|part| !matches!(verdict(part, rules_known), Verdict::No | Verdict::Unknown))
}

/// A subject as a row.
pub fn holder_row(holder: &Holder, gaps: &Gaps, cluster: &Cluster) -> HolderRow {
    let (by, more_by) = by(&holder.parts, cluster);
    let parts = holder.parts.iter().map(|part| match part.extent() {
        Some(Extent::Named(names)) => {
            format!("{} named {}", part.deed.in_words(), few(&names.into_iter().collect::<Vec<_>>(), FEW))
        }
        _ => part.deed.in_words(),
    });
    let said: Vec<Option<bool>> = holder.parts.iter().map(|part| part.said.as_ref().map(|s| s.allowed)).collect();
    let (class, words) = match said.as_slice() {
        all if all.iter().all(|s| *s == Some(true)) => ("passed", "confirmed"),
        all if all.contains(&Some(false)) => ("warned", "says no"),
        _ => ("waiting", "not asked"),
    };
    HolderRow {
        kind: holder.subject.kind.as_str(),
        name: subject_name(&holder.subject),
        meaning: meaning(&holder.subject),
        can: paths::beside(&can_form::address(
            cluster,
            &holder.subject,
            None,
            holder.namespace.as_deref().unwrap_or_default(),
        )),
        place: holder.namespace.clone().unwrap_or_else(|| "the whole cluster".into()),
        what: parts.collect::<Vec<_>>().join(", "),
        by,
        more_by,
        class,
        said: words.into(),
        odd: odd(&holder.parts, gaps),
        own: holder.own,
    }
}

/// A subject's name, with the namespace of a ServiceAccount.
pub fn subject_name(subject: &Subject) -> String {
    match (&subject.kind, &subject.namespace) {
        (SubjectKind::ServiceAccount, Some(namespace)) => format!("{namespace}/{}", subject.name),
        _ => subject.name.clone(),
    }
}

/// Who is in one of Kubernetes' own groups.
pub fn meaning(subject: &Subject) -> Option<String> {
    if subject.kind != SubjectKind::Group {
        return None;
    }
    let accounts = subject.name.strip_prefix("system:serviceaccounts").map(|of| of.trim_start_matches(':'));
    match (subject.name.as_str(), accounts) {
        ("system:authenticated", _) => Some("everybody whom the cluster knows".into()),
        ("system:unauthenticated", _) => Some("anybody, without signing in".into()),
        ("system:masters", _) => Some("whoever holds a certificate of it; no role limits them".into()),
        (_, Some("")) => Some("every ServiceAccount".into()),
        (_, Some(namespace)) => Some(format!("every ServiceAccount in {namespace}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{k8s::Said, model::rbac::Deed};

    fn part(what: &str, said: Option<bool>) -> Part {
        let said = said.map(|allowed| Said { allowed, reason: None });
        Part { deed: Deed::new("get", what), said, sources: vec![] }
    }

    #[test]
    fn what_the_cluster_says_counts_and_parts_are_named() {
        let verdict = |parts: &[Part]| together(parts, true).1;
        assert_eq!(verdict(&[part("a", Some(true)), part("b", Some(true))]), "yes");
        assert_eq!(verdict(&[part("a", Some(false)), part("b", None)]), "no");
        assert_eq!(verdict(&[part("a", Some(false)), part("b", Some(true))]), "partly: get b");
        assert_eq!(together(&[part("a", None)], false).1, "not known");
    }

    #[test]
    fn a_yes_that_no_binding_explains_is_said() {
        let parts = [part("a", Some(true)), part("b", Some(false))];
        let found = odd(&parts, &Gaps::default());
        assert!(found.len() == 1 && found[0].contains("no binding that stands there says why"), "{found:?}");
        let unread = Gaps { cut: true, ..Gaps::default() };
        assert!(odd(&parts, &unread).is_empty(), "where not all was read it may be in the rest");
    }

    #[test]
    fn kubernetes_own_groups_are_said_in_words() {
        let of = |name: &str| meaning(&Subject::group(name));
        assert_eq!(of("system:serviceaccounts:shop").as_deref(), Some("every ServiceAccount in shop"));
        assert_eq!(of("system:serviceaccounts").as_deref(), Some("every ServiceAccount"));
        assert_eq!((of("oidc:devs"), meaning(&Subject::user("system:masters"))), (None, None));
    }
}
