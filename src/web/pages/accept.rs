//! What a share link offers to somebody who has signed in: who lends what, with which rights, until when, and who they are on
//! that cluster. And the pages for links that offer nothing.

use std::time::Duration;

use askama::Template;
use axum::{extract::FromRef, http::StatusCode, response::Response};

use super::{link_words, roles};
use crate::{
    access::{ManagedLink, Observer},
    clock::Clock,
    k8s::{RoleRules, Rule},
    model::{
        audience::NotInvited,
        claim_mapping::Unmappable,
        cluster::Cluster,
        name::Namespace,
        reach::{Danger, dangers},
        role::Role,
        scope::Scope,
        share_link::Note,
        time::Timestamp,
    },
    oidc::Purpose,
    policy::{AcceptLink, Authorized, Forbidden, Person},
    store::Store,
    web::{
        Parts,
        errors::{NextStep, PageError},
        frame::{Frame, render},
        labels::RoleTag,
        paths,
        when::When,
    },
};

/// The rules are a help, not the point: the page does not wait longer for them.
const RULES_WITHIN: Duration = Duration::from_secs(2);

/// How many bytes of rules the page lists.
const RULES_ROOM: usize = 24 * 1024;

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Lender {
    store: Store,
    observer: Observer,
    clock: Clock,
}

impl FromRef<Parts> for Lender {
    fn from_ref(parts: &Parts) -> Self {
        Self { store: parts.store.clone(), observer: parts.observer.clone(), clock: parts.clock.clone() }
    }
}

#[derive(Template)]
#[template(path = "pages/accept.html")]
struct Page {
    frame: Frame,
    here: String,
    lender: String,
    note: Option<Note>,
    cluster: String,
    role: Option<Role>,
    tag: RoleTag,
    amounts_to: String,
    whole_cluster: bool,
    namespaces: Vec<Namespace>,
    until: Option<When>,
    link_until: When,
    username: Result<String, Unmappable>,
    groups: Vec<String>,
    rules: Option<RoleRules>,
    dangers: Vec<Danger>,
}

#[derive(Template)]
#[template(path = "pages/accept_yours.html")]
struct YoursAlready {
    frame: Frame,
    cluster: String,
    kubeconfig: String,
}

#[derive(Template)]
#[template(path = "pages/accept_theirs.html")]
struct Theirs {
    frame: Frame,
    cluster: String,
    why: String,
    link: Option<String>,
}

impl Lender {
    /// The page that asks to accept.
    pub async fn page(&self, frame: Frame, permit: &Authorized<AcceptLink>, here: &str) -> Result<Response, PageError> {
        let (link, cluster, identity) = (permit.link(), permit.cluster(), permit.person().identity());
        let (now, given) = (self.clock.now(), &link.rules);
        let (lender, found) =
            tokio::join!(self.store.identity(link.created_by), self.rules(cluster, given.role.as_ref(), &given.scope));
        let (rules, dangers) = found.unzip();
        let mapping = cluster.mapping(&identity.provider);
        let whole_cluster = given.scope.is_whole_cluster();
        Ok(render(&Page {
            frame,
            here: here.to_owned(),
            lender: lender?.display().to_owned(),
            note: given.note.clone(),
            cluster: cluster.name.to_string(),
            role: given.role.clone(),
            tag: RoleTag(given.role.clone()),
            amounts_to: given.role.as_ref().map_or_else(String::new, |role| {
                amounts_to(role, whole_cluster, rules.as_ref().map(|all| &*all.rules))
            }),
            whole_cluster,
            namespaces: given.scope.namespaces().to_vec(),
            until: link.access_until(now).map(|at| When::new(at, now)),
            link_until: When::new(given.expires_at, now),
            username: mapping.map_or(Err(Unmappable::NoEmail), |m| m.username(identity)),
            groups: mapping.map_or_else(Vec::new, |m| m.groups(identity)),
            rules,
            dangers: dangers.unwrap_or_default(),
        }))
    }

    /// The truth about a link, for those whose it is.
    pub fn theirs(&self, frame: Frame, managed: &ManagedLink) -> Response {
        let link = &managed.link;
        render(&Theirs {
            frame,
            cluster: managed.cluster.name.to_string(),
            why: why_not(managed, self.clock.now()),
            link: managed.may_change.then(|| paths::link(managed.cluster.id, link.id)),
        })
    }

    /// What the role allows there, if the cluster says so soon.
    async fn rules(&self, cluster: &Cluster, role: Option<&Role>, scope: &Scope) -> Option<(RoleRules, Vec<Danger>)> {
        let asked = self.observer.role_rules(cluster, role?, scope);
        match tokio::time::timeout(RULES_WITHIN, asked).await {
            Ok(Ok(found)) => {
                let shown = roles::fitting(found.shown(), RULES_ROOM);
                (!shown.rules.is_empty()).then(|| (shown, dangers(&found.rules)))
            }
            Ok(Err(error)) => {
                tracing::info!(%error, "the rules of a role cannot be shown");
                None
            }
            Err(_) => None,
        }
    }
}

/// What a role amounts to, read by those who get it. Of one that others have defined only its rules tell.
fn amounts_to(role: &Role, whole_cluster: bool, rules: Option<&[Rule]>) -> String {
    match rules.filter(|_| !role.is_everywhere()) {
        Some(rules) => roles::in_words(rules),
        None => link_words::to_them(role.amounts_to(whole_cluster)),
    }
}

fn why_not(managed: &ManagedLink, now: Timestamp) -> String {
    let whom = managed.link.rules.audience.in_words();
    match managed.why {
        Forbidden::LinkClosed(_) => link_words::state_sentence(managed.link.state(now)).into(),
        Forbidden::NotInvited(NotInvited::EmailNotVerified) => {
            format!("It is for {whom}, and your provider does not say that your email is verified.")
        }
        Forbidden::NotInvited(NotInvited::NotListed) => {
            format!("It is for {whom}, so you cannot accept it yourself. They can.")
        }
        other => format!("You cannot accept it yourself: {other}."),
    }
}

/// They hold it already.
pub fn yours_already(frame: Frame, cluster: &Cluster) -> Response {
    render(&YoursAlready { frame, cluster: cluster.name.to_string(), kubeconfig: paths::kubeconfig(cluster.id) })
}

/// Unknown, expired, revoked, used up, resting, or for other people: to whoever brings the link it is one and the same. What is
/// said of the person is of them alone, whatever the link.
pub fn closed(person: &Person) -> PageError {
    let identity = person.identity();
    let unverified = if identity.email.is_some() && !identity.email_verified {
        " Your sign-in provider does not say that your email is verified; some links need that."
    } else {
        ""
    };
    PageError::new(
        StatusCode::NOT_FOUND,
        "This link does not open anything for you",
        format!(
            "It may have been mistyped or cut short, its time may be up, it may be used up or taken back, or it may be for other \
             people. You are signed in as {}; if you have another account, sign in with that one.{unverified} If not, ask whoever \
             sent it to you for a new one.",
            identity.display()
        ),
    )
    .with_next(NextStep::new("See what is shared with you", paths::SHARED))
}

/// The page of a link that was not opened in this browser, or too long ago.
pub fn not_opened_here() -> PageError {
    PageError::new(
        StatusCode::NOT_FOUND,
        "Open the share link once more",
        "This page belongs to a share link that was opened in a browser, and stays for two hours. Here it is not open (any \
         more). Open the link itself again, from wherever it was sent to you; what you have accepted already is under Shared \
         with me.",
    )
    .with_next(NextStep::new("See what is shared with you", paths::SHARED))
}

/// The cluster would not know them.
pub fn wrong_provider() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "This link is for people who sign in elsewhere",
        "The cluster behind it does not know the provider that you signed in at. If you have an account at another one, sign \
         in there and open the link again; if not, tell the person who sent it to you.",
    )
    .with_next(NextStep::new("Sign in elsewhere", paths::sign_in(paths::HOME, Purpose::Kubeconfig)))
}

/// They accepted it once, and what it gave has ended.
pub fn ended_before() -> PageError {
    PageError::new(
        StatusCode::FORBIDDEN,
        "The access that this link gave you has ended",
        "You accepted it before. Since then your access ran out or was taken back, and a link gives access once. Ask the \
         person who lends the cluster: they can send you a new link or grant you access.",
    )
    .with_next(NextStep::new("See what is shared with you", paths::SHARED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rbac::PolicyRule;

    fn page(username: Result<String, Unmappable>, rules: Option<RoleRules>, role: Option<Role>) -> String {
        let now = Timestamp::from_secs(1_795_392_000);
        let frame = Frame { person: Some("bob@example.com".into()), csrf: "c".into(), ..Frame::anonymous() };
        let page = Page {
            frame,
            here: "/accept/x".into(),
            lender: "alice<script>".into(),
            note: Note::read("for the release\n<b>now</b>").unwrap(),
            cluster: "staging".into(),
            tag: RoleTag(role.clone()),
            amounts_to: role
                .as_ref()
                .map_or_else(String::new, |role| amounts_to(role, true, rules.as_ref().map(|all| &*all.rules))),
            role,
            whole_cluster: true,
            namespaces: vec![],
            until: Some(When::new(now.plus(Duration::from_hours(2160)), now)),
            link_until: When::new(now.plus(Duration::from_hours(168)), now),
            username,
            groups: vec!["oidc:devs".into()],
            dangers: rules.iter().flat_map(|_| dangers(&[PolicyRule::default(), reads_secrets()])).collect(),
            rules,
        };
        page.render().unwrap()
    }

    fn reads_secrets() -> PolicyRule {
        PolicyRule {
            verbs: vec!["get".into()],
            groups: vec![String::new()],
            resources: vec!["secrets".into()],
            ..PolicyRule::default()
        }
    }

    #[test]
    fn the_page_names_who_lends_what_until_when_and_who_one_is_there() {
        let rule = Rule {
            verbs: vec!["get".into(), "list".into()],
            resources: vec!["pods".into()],
            names: vec!["<b>".into()],
        };
        let rules = RoleRules { rules: vec![rule], more: 0 };
        let html = page(Ok("bob@example.com".into()), Some(rules), Some(Role::View));
        for wanted in [
            "lends you staging</h1>",
            "see everything but Secrets, in every namespace. You cannot change anything.",
            "until 21 Feb 2027 (<time datetime=\"2027-02-21T00:00:00Z\" title=\"21 Feb 2027, 00:00 UTC\">in 90 days</time>)",
            "<dd><code>bob@example.com</code></dd>",
            "<code>oidc:devs</code>",
            "Exactly what that allows",
            "You can read Secrets. Tokens of ServiceAccounts may be among them.",
            "get, list",
            "<button class=\"primary\">Accept</button>",
        ] {
            assert!(html.contains(wanted), "{wanted}: {html}");
        }
        assert!(!html.contains("alice<script>") && !html.contains("named <b>"), "{html}");
        assert!(html.contains("for the release\n&#60;b&#62;now"), "{html}");
        assert!(!html.contains("more rules"), "{html}");
    }

    #[test]
    fn immune_23_a_role_with_giant_rules_stays_a_page_and_says_what_is_left_out() {
        let rule = Rule { verbs: vec!["v".repeat(250); 10], resources: vec!["r".repeat(250); 10], names: vec![] };
        let rules = roles::fitting(RoleRules { rules: vec![rule; 200], more: 7 }, RULES_ROOM);
        let html = page(Ok("bob@example.com".into()), Some(rules), Some(Role::View));
        assert!(html.len() < 60_000, "{}", html.len());
        assert!(html.contains("and 203 more rules"), "{html}");
    }

    #[test]
    fn rules_that_the_cluster_does_not_tell_are_left_out() {
        let html = page(Ok("bob@example.com".into()), None, Some(Role::Edit));
        assert!(!html.contains("the rules") && html.contains(">Accept</button>"), "{html}");
    }

    #[test]
    fn who_would_have_no_name_there_is_told_so_and_accepts_nothing() {
        let html = page(Err(Unmappable::EmailNotVerified), None, Some(Role::View));
        assert!(!html.contains(">Accept</button>") && html.contains("not verified"), "{html}");
    }

    #[test]
    fn no_words_about_others_are_left_in_any_role() {
        for role in Role::ALL.into_iter().chain([Role::ClusterAdmin]) {
            for whole in [true, false] {
                assert!(!amounts_to(&role, whole, None).contains("They"), "{role} {whole}");
            }
        }
    }

    #[test]
    fn of_a_role_that_others_defined_its_rules_tell() {
        let rule = Rule { verbs: vec!["get".into()], resources: vec!["secrets".into()], names: vec![] };
        let html = page(
            Ok("bob@example.com".into()),
            Some(RoleRules { rules: vec![rule], more: 0 }),
            Role::named("acme:reader").ok(),
        );
        assert!(html.contains("You will be able to read Secrets and see secrets."), "{html}");
        assert!(html.contains(r#"<span class="tag named">acme:reader</span>"#), "{html}");
    }
}
