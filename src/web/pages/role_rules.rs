//! `/clusters/{cluster}/roles`: the roles that can be given there, and what one of them allows as it stands: what leads further than it
//! says first, then in plain words, its rules, and the same as YAML.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};

use super::{
    cluster::{AtCluster, Head, Tab},
    roles::{self, OfferedRole},
};
use crate::{
    access::{AccessError, Observer, RoleView},
    k8s::{K8sError, RoleRules},
    kubeconfig,
    model::{
        name::Namespace,
        questions::{QUESTIONS, Question, Reach},
        rbac::{Extent, PolicyRule, extent},
        reach::{Danger, dangers},
        role::Role,
    },
    web::{
        errors::PageError,
        forms::FieldErrors,
        frame::{Frame, render_with},
        labels::{RoleTag, within},
        paths,
        words::{self, Words},
    },
};

/// How many bytes of rules the page lists, and shows as YAML.
pub(super) const LISTED: usize = 10 * 1024;
const YAML: usize = 8 * 1024;

#[derive(Template)]
#[template(path = "pages/role_rules.html")]
struct RolesPage {
    frame: Frame,
    head: Head,
    here: String,
    access: String,
    offers: Vec<Offer>,
    errors: FieldErrors,
    found: Option<Found>,
    trouble: Option<Words>,
}

/// A role that can be given.
struct Offer {
    role: RoleTag,
    words: String,
    /// Its own page, or the one for each namespace that has it.
    links: Vec<(String, String)>,
}

/// What one allows.
struct Found {
    title: String,
    words: String,
    /// Who may give it, where not everybody who manages access.
    owners: Option<String>,
    marked: bool,
    /// Whether it is one that somebody has defined.
    own: bool,
    aggregated: bool,
    /// Whether, and where, it stands.
    stands: &'static str,
    dangers: Vec<Danger>,
    can: Vec<Plain>,
    cannot: String,
    rules: RoleRules,
    yaml: String,
    /// How many rules the YAML leaves out.
    unshown: usize,
}

/// Something that people care about, and how far it lets somebody do it.
pub(super) struct Plain {
    pub(super) what: &'static str,
    pub(super) amounts_to: Option<&'static str>,
    pub(super) how: String,
}

/// The query.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    /// A role, as forms send it.
    role: String,
    /// Where a Role is.
    ns: String,
}

/// The page.
pub async fn get(
    at: AtCluster,
    Query(asked): Query<Asked>,
    State(observer): State<Observer>,
) -> Result<Response, PageError> {
    let mut errors = FieldErrors::default();
    let mut page = RolesPage {
        frame: at.frame(),
        head: at.head(Tab::Access),
        here: paths::roles(at.id(), None, ""),
        access: paths::access(at.id()),
        offers: Vec::new(),
        errors: FieldErrors::default(),
        found: None,
        trouble: None,
    };
    if let Some((role, namespace)) = read(&asked, &mut errors) {
        match observer.role(&at.seen, &role, namespace.as_ref()).await {
            Ok(view) => page.found = Some(found(&role, &view)),
            Err(AccessError::Cluster(K8sError::NotFound)) => page.trouble = Some(gone(&role, namespace.as_ref())),
            Err(AccessError::Cluster(error)) => page.trouble = Some(words::cluster_trouble(&error)),
            Err(other) => return Err(other.into()),
        }
    } else {
        let offered = match at.manage_access() {
            Ok(permit) => roles::offered(&observer, &permit).await.0,
            Err(_) => Vec::new(),
        };
        page.offers = offers(&offered, &at);
    }
    page.errors = errors;
    let status = match (&page.trouble, page.errors.is_empty()) {
        (_, false) => StatusCode::UNPROCESSABLE_ENTITY,
        (Some(_) | None, true) => StatusCode::OK,
    };
    Ok(render_with(status, &page))
}

/// Which role is meant; none for all that can be given.
fn read(asked: &Asked, errors: &mut FieldErrors) -> Option<(Role, Option<Namespace>)> {
    if asked.role.is_empty() {
        return None;
    }
    let role = errors.keep("role", roles::read(&asked.role))?;
    let namespace = super::can_form::namespace(&asked.ns, errors);
    if role.is_local() && role.of_namespace().is_none() && namespace.is_none() {
        errors.add("role", "A Role is a namespace's own: say in which namespace.");
        return None;
    }
    Some((role, namespace))
}

fn gone(role: &Role, namespace: Option<&Namespace>) -> Words {
    let place = namespace.map_or_else(|| "on this cluster".to_owned(), |n| format!("in namespace {n}"));
    (
        "There is no such role",
        format!("No {} stands {place}. It may have been deleted, or never have been there.", role.reference()),
    )
}

fn offers(offered: &[OfferedRole], at: &AtCluster) -> Vec<Offer> {
    let every = Role::ALL.map(|role| OfferedRole { words: role.amounts_to(true).into(), role, places: Vec::new() });
    let link = |role: &Role, place: &str| paths::roles(at.id(), Some(&roles::value(Some(role))), place);
    every
        .iter()
        .chain(offered)
        .map(|offer| Offer {
            role: RoleTag(Some(offer.role.clone())),
            words: offer.words.clone(),
            links: match offer.places.as_slice() {
                [] => vec![("rules".into(), link(&offer.role, ""))],
                places => places.iter().map(|place| (format!("rules in {place}"), link(&offer.role, place))).collect(),
            },
        })
        .collect()
}

fn found(role: &Role, view: &RoleView) -> Found {
    let standing = &view.found;
    let rules = &standing.rules;
    let shown = standing.shown();
    let (can, cannot) = plainly(rules);
    let size = |rule: &PolicyRule| serde_json::to_string(rule).map_or(usize::MAX, |text| text.len());
    let (as_yaml, unshown) = within(rules.clone(), YAML, size);
    Found {
        title: match &standing.namespace {
            Some(namespace) => format!("{} of namespace {namespace}", role.reference()),
            None => role.reference(),
        },
        words: roles::in_words(&shown.rules),
        owners: owners(role, view),
        marked: standing.assignable,
        stands: match (view.to_be_made, role.custom_name()) {
            (false, _) => "As it stands on the cluster now.",
            (true, None) => "As Kubelend makes it in each namespace where it is given.",
            (true, Some(_)) => "As it is written in Kubelend, which makes it on the cluster when somebody gets it.",
        },
        own: role.is_named(),
        aggregated: standing.aggregated && role.is_named(),
        dangers: dangers(rules),
        can,
        cannot,
        rules: roles::fitting(shown, LISTED),
        // A Role is some namespace's.
        yaml: kubeconfig::role_manifest(
            standing.namespace.as_deref().or(role.is_local().then_some("NAMESPACE")),
            &standing.name,
            &as_yaml,
        ),
        unshown,
    }
}

/// What people care about that these rules let somebody do, and what they do not.
pub(super) fn plainly(rules: &[PolicyRule]) -> (Vec<Plain>, String) {
    let (can, cannot): (Vec<(&Question, Option<String>)>, Vec<_>) =
        QUESTIONS.iter().map(|question| (question, how_far(question, rules))).partition(|(_, how)| how.is_some());
    let plain = |(question, how): (&Question, Option<String>)| Plain {
        what: question.words,
        amounts_to: question.amounts_to,
        how: how.unwrap_or_default(),
    };
    let cannot = cannot.iter().map(|(question, _)| question.words).collect::<Vec<_>>().join(", ");
    (can.into_iter().map(plain).collect(), cannot)
}

/// Who gives it, where not everybody who manages access does.
fn owners(role: &Role, view: &RoleView) -> Option<String> {
    if role.is_for_owners() {
        return Some("Only owners of the workspace give it, and on the whole cluster alone.".into());
    }
    let further = |what: &[String]| format!("further than admin does: {}", what.join(", "));
    match (role.is_named(), view.beyond_in_namespaces.as_slice(), view.beyond.as_slice()) {
        (false, ..) | (true, [], []) => None,
        (true, [], what) if !role.is_local() => Some(format!(
            "On the whole cluster it reaches {}. So only owners of the workspace give it there; in namespaces whoever manages access \
             does.",
            further(what)
        )),
        (true, [], _) => None,
        (true, what, _) => Some(format!("It reaches {}. So only owners of the workspace give it.", further(what))),
    }
}

/// How far rules let somebody do it; nothing where they do not.
fn how_far(question: &Question, rules: &[PolicyRule]) -> Option<String> {
    let deeds = question.deeds();
    let held: Vec<_> = deeds.iter().filter_map(|deed| extent(rules, deed).map(|extent| (deed, extent))).collect();
    let only = if question.reach == Reach::Cluster { ", where it is given on the whole cluster" } else { "" };
    if held.is_empty() {
        return None;
    }
    let all = held.len() == deeds.len() && held.iter().all(|(_, extent)| *extent == Extent::All);
    let parts: Vec<String> = held
        .iter()
        .map(|(deed, extent)| match extent {
            Extent::All => deed.in_words(),
            Extent::Named(names) => {
                let few: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
                format!("{} named {}{}", deed.in_words(), few.join(", "), if names.len() > 3 { ", …" } else { "" })
            }
        })
        .collect();
    Some(if all { format!("yes{only}") } else { format!("partly: {}{only}", parts.join(", ")) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        k8s::StandingRole,
        web::pages::{
            cluster::tests::{cluster, head},
            samples::{HOSTILE, LONG_NAME, NOW, check, frame},
        },
    };

    fn rule(verbs: &[&str], resources: &[&str]) -> PolicyRule {
        let list = |of: &[&str]| of.iter().map(ToString::to_string).collect();
        PolicyRule {
            verbs: list(verbs),
            groups: vec![String::new()],
            resources: list(resources),
            ..PolicyRule::default()
        }
    }

    fn view(namespace: Option<&str>, rules: Vec<PolicyRule>, beyond: &[&str]) -> RoleView {
        let beyond: Vec<String> = beyond.iter().map(ToString::to_string).collect();
        RoleView {
            found: StandingRole {
                namespace: namespace.map(Into::into),
                name: "log-reader".into(),
                assignable: namespace.is_none(),
                aggregated: true,
                rules,
                cut: true,
            },
            to_be_made: false,
            beyond_in_namespaces: beyond.iter().filter(|_| namespace.is_some()).cloned().collect(),
            beyond,
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let staging = cluster("staging");
        let draw = |offers: Vec<Offer>, errors: FieldErrors, found: Option<Found>, trouble: Option<Words>| {
            let page = RolesPage {
                frame: frame(),
                head: head(&staging, Some(&check(true, false)), NOW, Tab::Access),
                here: "/x".into(),
                access: "/y".into(),
                offers,
                errors,
                found,
                trouble,
            };
            page.render().unwrap()
        };
        let offer = |n: usize| Offer {
            role: RoleTag(Role::named(&format!("{LONG_NAME}-{n}")).ok()),
            words: HOSTILE.into(),
            links: (0..=n % 4).map(|k| (format!("rules in {LONG_NAME}{k}"), "/z".into())).collect(),
        };
        let named = Role::named("log-reader").unwrap();
        let local = Role::local("log-reader").unwrap();
        let few = vec![rule(&["get", "list"], &["pods", "pods/log"]), rule(&["get"], &["nodes"])];
        let mut much = vec![rule(&["get", "escalate", "*"], &[HOSTILE, "secrets", "pods/exec"]); 500];
        much[0].names = vec![HOSTILE.into(); 9];
        let mut errors = FieldErrors::default();
        errors.add("role", HOSTILE);
        let show = |role: &Role, view: RoleView| Some(found(role, &view));
        let all = (0..30).map(offer).collect();
        let down = Some(words::cluster_trouble(&K8sError::TimedOut));
        vec![
            ("roles", draw(all, FieldErrors::default(), None, None)),
            ("roles-one", draw(vec![], FieldErrors::default(), show(&named, view(None, few, &["get nodes"])), None)),
            (
                "roles-much",
                draw(vec![], FieldErrors::default(), show(&local, view(Some("shop"), much, &[HOSTILE])), None),
            ),
            ("roles-wrong", draw(vec![], errors, None, None)),
            ("roles-down", draw(vec![], FieldErrors::default(), None, down)),
        ]
    }

    #[test]
    fn what_leads_further_and_who_gives_it_are_said_before_the_rules() {
        let pages = samples();
        let page = |name| &pages.iter().find(|(n, _)| *n == name).unwrap().1;
        let one = page("roles-one");
        assert!(one.contains("On the whole cluster it reaches further than admin does: get nodes."), "{one}");
        assert!(one.contains("They can see nodes, pods.") && one.contains("kind: ClusterRole"), "{one}");
        let much = page("roles-much");
        let at = |words: &str| much.find(words).unwrap_or_else(|| panic!("{words}: {much}"));
        assert!(at("Leads further than it says") < at("In plain words") && at("In plain words") < at("The rules"));
        assert!(at("is not marked as one to give") < at("The rules"));
    }

    #[test]
    fn what_people_care_about_is_answered_from_the_rules() {
        let rules = [rule(&["list"], &["pods"]), rule(&["get"], &["secrets", "nodes/proxy"])];
        let how = |id: &str| how_far(Question::named(id).unwrap(), &rules);
        assert_eq!(how("see-pods").as_deref(), Some("yes"));
        assert_eq!(how("read-secrets").as_deref(), Some("partly: get secrets"));
        assert_eq!(
            how("reach-nodes").as_deref(),
            Some("partly: get nodes/proxy, where it is given on the whole cluster")
        );
        assert_eq!((how("exec"), how("everything")), (None, None));
    }

    #[test]
    fn a_role_of_a_namespace_is_asked_for_with_it() {
        let asked = |role: &str, ns: &str| {
            let mut errors = FieldErrors::default();
            let read = read(&Asked { role: role.into(), ns: ns.into() }, &mut errors);
            (read.is_some(), errors.is_empty())
        };
        assert_eq!(asked("", ""), (false, true));
        assert_eq!(asked("view", ""), (true, true));
        assert_eq!((asked("local:x", "shop"), asked("local:x", "")), ((true, true), (false, false)));
        assert_eq!((asked("role:system:node", ""), asked("local:x", "Not!")), ((false, false), (false, false)));
    }
}
