//! What a share link offers to somebody who has signed in: who lends what, with which rights, until when, and who they are on
//! that cluster. And the pages for links that offer nothing.

use std::time::Duration;

use askama::Template;
use axum::{extract::FromRef, http::StatusCode, response::Response};

use crate::{
    access::Observer,
    clock::Clock,
    k8s::Rule,
    model::{claim_mapping::Unmappable, cluster::Cluster, name::Namespace, role::Role},
    oidc::Purpose,
    policy::{AcceptLink, Authorized},
    store::Store,
    web::{
        Parts,
        errors::{NextStep, PageError},
        frame::{Frame, render},
        paths,
        when::When,
    },
};

/// The rules are a help, not the point: the page does not wait longer for them.
const RULES_WITHIN: Duration = Duration::from_secs(2);

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
    cluster: String,
    role: Option<Role>,
    amounts_to: String,
    whole_cluster: bool,
    namespaces: Vec<Namespace>,
    until: Option<When>,
    link_until: When,
    username: Result<String, Unmappable>,
    groups: Vec<String>,
    rules: Option<Vec<Rule>>,
}

#[derive(Template)]
#[template(path = "pages/accept_yours.html")]
struct YoursAlready {
    frame: Frame,
    cluster: String,
    kubeconfig: String,
}

impl Lender {
    /// The page that asks to accept.
    pub async fn page(&self, frame: Frame, permit: &Authorized<AcceptLink>, here: &str) -> Result<Response, PageError> {
        let (link, cluster, identity) = (permit.link(), permit.cluster(), permit.person().identity());
        let now = self.clock.now();
        let (lender, rules) = tokio::join!(self.store.identity(link.created_by), self.rules(cluster, link.role));
        let mapping = cluster.mapping(&identity.provider);
        Ok(render(&Page {
            frame,
            here: here.to_owned(),
            lender: lender?.display().to_owned(),
            cluster: cluster.name.to_string(),
            role: link.role,
            amounts_to: link
                .role
                .map_or_else(String::new, |role| in_second_person(role, link.scope.is_whole_cluster())),
            whole_cluster: link.scope.is_whole_cluster(),
            namespaces: link.scope.namespaces().to_vec(),
            until: link.access_until(now).map(|at| When::new(at, now)),
            link_until: When::new(link.expires_at, now),
            username: mapping.map_or(Err(Unmappable::NoEmail), |m| m.username(identity)),
            groups: mapping.map_or_else(Vec::new, |m| m.groups(identity)),
            rules,
        }))
    }

    /// What the role allows there, if the cluster says so soon.
    async fn rules(&self, cluster: &Cluster, role: Option<Role>) -> Option<Vec<Rule>> {
        let asked = self.observer.role_rules(cluster, role?);
        match tokio::time::timeout(RULES_WITHIN, asked).await {
            Ok(Ok(rules)) => Some(rules).filter(|rules| !rules.is_empty()),
            Ok(Err(error)) => {
                tracing::info!(%error, "the rules of a role cannot be shown");
                None
            }
            Err(_) => None,
        }
    }
}

/// The role's words are written about others; here they are read by the person themselves.
fn in_second_person(role: Role, whole_cluster: bool) -> String {
    role.amounts_to(whole_cluster).replace("They cannot", "You cannot")
}

/// They hold it already.
pub fn yours_already(frame: Frame, cluster: &Cluster) -> Response {
    render(&YoursAlready { frame, cluster: cluster.name.to_string(), kubeconfig: paths::kubeconfig(cluster.id) })
}

/// Unknown, expired, revoked: to whoever brings the link it is one and the same.
pub fn closed() -> PageError {
    PageError::new(
        StatusCode::NOT_FOUND,
        "This link does not open anything",
        "It may have been mistyped or cut short, its time may be up, or the person who made it took it back. Ask whoever sent \
         it to you for a new one.",
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
    use crate::model::time::Timestamp;

    fn page(username: Result<String, Unmappable>, rules: Option<Vec<Rule>>, role: Option<Role>) -> String {
        let now = Timestamp::from_secs(1_795_392_000);
        let frame = Frame { person: Some("bob@example.com".into()), csrf: "c".into(), ..Frame::anonymous() };
        let page = Page {
            frame,
            here: "/s/kls_x".into(),
            lender: "alice<script>".into(),
            cluster: "staging".into(),
            role,
            amounts_to: role.map_or_else(String::new, |role| in_second_person(role, true)),
            whole_cluster: true,
            namespaces: vec![],
            until: Some(When::new(now.plus(Duration::from_hours(2160)), now)),
            link_until: When::new(now.plus(Duration::from_hours(168)), now),
            username,
            groups: vec!["oidc:devs".into()],
            rules,
        };
        page.render().unwrap()
    }

    #[test]
    fn the_page_names_who_lends_what_until_when_and_who_one_is_there() {
        let rule = Rule {
            verbs: vec!["get".into(), "list".into()],
            resources: vec!["pods".into()],
            names: vec!["<b>".into()],
        };
        let html = page(Ok("bob@example.com".into()), Some(vec![rule]), Some(Role::View));
        for wanted in [
            "lends you staging</h1>",
            "see everything but Secrets, in every namespace. You cannot change anything.",
            "until 21 Feb 2027 (<time datetime=\"2027-02-21T00:00:00Z\" title=\"21 Feb 2027, 00:00 UTC\">in 90 days</time>)",
            "<dd><code>bob@example.com</code></dd>",
            "<code>oidc:devs</code>",
            "Exactly what that allows",
            "get, list",
            "<button class=\"primary\">Accept</button>",
        ] {
            assert!(html.contains(wanted), "{wanted}: {html}");
        }
        assert!(!html.contains("alice<script>") && !html.contains("named <b>"), "{html}");
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
        for role in Role::ALL {
            for whole in [true, false] {
                assert!(!in_second_person(role, whole).contains("They"), "{role} {whole}");
            }
        }
    }
}
