//! `/account/claims`: what the provider says of the signed-in person, and what each cluster that they can reach makes of it. The
//! token itself is never shown: whoever has it is them until it ends.

use std::{collections::BTreeSet, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};

use crate::{
    access::Diagnoser,
    clock::Clock,
    model::{
        claim_mapping::ClaimMapping,
        cluster::Cluster,
        id::ClusterId,
        identity::Identity,
        time::Timestamp,
        token_claims::{Listed, TokenClaims},
    },
    oidc::{Provider, Providers},
    policy,
    store::Store,
    web::{
        diagnosis::shown,
        errors::PageError,
        frame::{Frame, Nav, render},
        labels::length,
        paths,
        session::SignedIn,
        when::When,
    },
};

/// How many groups are shown of a token, and for each cluster.
const GROUPS: usize = 100;
const GROUPS_THERE: usize = 8;
/// How many clusters are shown.
const CLUSTERS: usize = 40;

#[derive(Template)]
#[template(path = "pages/claims.html")]
struct Page {
    frame: Frame,
    provider: String,
    said: Said,
    rows: Vec<Row>,
    /// How many clusters are not shown.
    more: usize,
    shared: &'static str,
}

/// What the provider said.
struct Said {
    issuer: String,
    sub: String,
    audiences: Vec<String>,
    name: Option<String>,
    email: Option<String>,
    verified: &'static str,
    groups: Groups,
    token: Option<Token>,
    /// The last sign-in, or renewal.
    at: When,
    odd: Vec<String>,
}

/// Names of groups, and how many more there are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Groups {
    names: Vec<String>,
    more: usize,
}

/// From when until when a token is good.
struct Token {
    from: Option<When>,
    until: When,
    life: Option<String>,
}

/// A cluster, and who they are there.
struct Row {
    cluster: String,
    kubeconfig: String,
    username: Option<String>,
    groups: Groups,
    odd: Vec<String>,
}

/// The page.
pub async fn get(
    State(diagnoser): State<Diagnoser>,
    State(store): State<Store>,
    State(providers): State<Providers>,
    State(clock): State<Clock>,
    who: SignedIn,
) -> Result<Response, PageError> {
    let (identity, now) = (who.person.identity(), clock.now());
    let claims = diagnoser.own_claims(&policy::own_things(&who.person), &who.token_key).await?;
    let mut clusters = reached(&store, identity, now).await?;
    let more = clusters.len().saturating_sub(CLUSTERS);
    clusters.truncate(CLUSTERS);
    let provider = providers.get(&identity.provider);
    let provider = provider.as_deref().map(Provider::settings);
    let groups_claim =
        provider.map_or_else(|| ClaimMapping::default().groups_claim, |p| p.claim_mapping.groups_claim.clone());
    Ok(render(&Page {
        frame: Frame::new(&who, Nav::Devices),
        provider: provider.map_or_else(|| identity.provider.to_string(), |provider| provider.name.clone()),
        said: said(identity, claims.as_ref(), &groups_claim, now),
        rows: clusters.iter().map(|cluster| row(cluster, identity, claims.as_ref())).collect(),
        more,
        shared: paths::SHARED,
    }))
}

/// The clusters that somebody was lent or looks after, by name.
async fn reached(store: &Store, identity: &Identity, now: Timestamp) -> Result<Vec<Cluster>, PageError> {
    let grants = store.grants_reaching(identity, None, now).await?;
    let own = store.clusters_of(identity, false).await?;
    let known: BTreeSet<ClusterId> = own.iter().map(|cluster| cluster.id).collect();
    let lent: BTreeSet<ClusterId> = grants.iter().map(|grant| grant.scope.cluster()).collect();
    let lent: Vec<ClusterId> = lent.difference(&known).copied().collect();
    let mut all = own;
    if !lent.is_empty() {
        all.extend(store.clusters(&lent).await?);
    }
    all.sort_by_key(|cluster| cluster.name.as_str().to_ascii_lowercase());
    Ok(all)
}

fn said(identity: &Identity, claims: Option<&TokenClaims>, groups_claim: &str, now: Timestamp) -> Said {
    let verified = match claims.map(TokenClaims::email_verified) {
        Some(None) => "it does not say whether it is verified",
        Some(Some(true)) => "verified",
        None if identity.email_verified => "verified",
        Some(Some(false)) | None => "not verified",
    };
    let listed = claims.map_or_else(|| Listed::Names(identity.groups.clone()), |claims| claims.list(groups_claim));
    let email = claims.map_or_else(
        || identity.email.as_ref().map(|email| email.as_str().to_owned()),
        |claims| claims.text("email").map(str::to_owned),
    );
    Said {
        issuer: shown(&identity.issuer),
        sub: shown(&identity.sub),
        audiences: claims.map(TokenClaims::audiences).unwrap_or_default().iter().map(|one| shown(one)).collect(),
        name: identity.name.as_deref().map(shown),
        odd: odd_claims(email.as_deref(), verified == "not verified", &listed, groups_claim),
        email: email.as_deref().map(shown),
        verified,
        groups: groups(names(&listed), GROUPS),
        token: claims.and_then(|claims| token(claims, now)),
        at: When::new(identity.last_sign_in, now),
    }
}

fn odd_claims(email: Option<&str>, unverified: bool, groups: &Listed, groups_claim: &str) -> Vec<String> {
    let mut odd = Vec::new();
    match email {
        None => odd.push("There is no email: clusters that name people by email refuse the token.".to_owned()),
        Some(_) if unverified => {
            odd.push("The email is not verified: clusters that name people by email refuse the token.".to_owned());
        }
        Some(_) => {}
    }
    let claim = shown(groups_claim);
    match groups {
        Listed::Missing => odd.push(format!(
            "There is no claim “{claim}”: either you are in no group, or the provider keeps them from Kubelend. Access for groups does \
             not reach you."
        )),
        Listed::Malformed => {
            odd.push(format!("The claim “{claim}” is neither a text nor a list of texts: clusters refuse the token."));
        }
        Listed::Names(_) => {}
    }
    odd
}

fn token(claims: &TokenClaims, now: Timestamp) -> Option<Token> {
    let until = claims.time("exp")?;
    let from = claims.time("iat");
    Some(Token {
        from: from.map(|at| When::new(at, now)),
        until: When::new(until, now),
        life: from.map(|from| until.since(from)).filter(|life| *life > Duration::ZERO).map(length),
    })
}

fn row(cluster: &Cluster, identity: &Identity, claims: Option<&TokenClaims>) -> Row {
    let mut row = Row {
        cluster: cluster.name.to_string(),
        kubeconfig: paths::kubeconfig(cluster.id),
        username: None,
        groups: Groups::default(),
        odd: Vec::new(),
    };
    let Some(mapping) = cluster.mapping(&identity.provider) else {
        row.odd.push("It does not trust the provider that you sign in at.".into());
        return row;
    };
    match mapping.username(identity) {
        Ok(name) => row.username = Some(shown(&name)),
        Err(why) => row.odd.push(format!("No user name: {why}.")),
    }
    let listed =
        claims.map_or_else(|| Listed::Names(identity.groups.clone()), |claims| claims.list(&mapping.groups_claim));
    let bare = names(&listed);
    let there: Vec<String> = bare.iter().filter_map(|group| mapping.group(group).ok()).collect();
    let own = bare.len() - there.len();
    if own > 0 {
        row.odd.push(format!(
            "{own} of your groups would begin with “system:” there. Kubernetes keeps such names for itself: Kubelend gives them nothing."
        ));
    }
    if listed == Listed::Missing {
        row.odd.push("No groups: the token names none.".into());
    }
    row.groups = groups(&there, GROUPS_THERE);
    row
}

fn names(listed: &Listed) -> &[String] {
    match listed {
        Listed::Names(names) => names,
        Listed::Missing | Listed::Malformed => &[],
    }
}

fn groups(all: &[String], most: usize) -> Groups {
    Groups { names: all.iter().take(most).map(|one| shown(one)).collect(), more: all.len().saturating_sub(most) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::id::IdentityId,
        web::pages::{
            cluster::tests::cluster,
            samples::{HOSTILE, LONG_EMAIL, LONG_NAME, NOW, frame},
        },
    };

    fn identity(email: &str, verified: bool) -> Identity {
        Identity {
            id: IdentityId::new(),
            provider: "dex".parse().unwrap(),
            issuer: "https://dex.example/dex".into(),
            sub: HOSTILE.into(),
            email: email.parse().ok(),
            email_verified: verified,
            name: Some(HOSTILE.into()),
            groups: vec!["devs".into()],
            last_sign_in: NOW,
        }
    }

    fn claims(more: &Value) -> TokenClaims {
        let mut all: BTreeMap<String, Value> = serde_json::from_value(json!({
            "aud": "kubelend", "email": LONG_EMAIL, "email_verified": true, "groups": ["devs", HOSTILE],
            "iat": NOW.secs() - 60, "exp": NOW.secs() + 540,
        }))
        .unwrap();
        all.extend(more.as_object().unwrap().clone());
        TokenClaims::of(all.into_iter().filter(|(_, value)| !value.is_null()).collect())
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |identity: &Identity, claims: Option<&TokenClaims>, clusters: &[Cluster]| {
            Page {
                frame: frame(),
                provider: "Dex".into(),
                said: said(identity, claims, "groups", NOW),
                rows: clusters.iter().map(|cluster| row(cluster, identity, claims)).collect(),
                more: clusters.len() / 2,
                shared: paths::SHARED,
            }
            .render()
            .unwrap()
        };
        let (bob, odd) = (identity(LONG_EMAIL, true), identity("bob@example.com", false));
        let many: Vec<String> = (0..300).map(|n| format!("department-of-something-{n}")).collect();
        let clusters: Vec<Cluster> =
            (0..CLUSTERS).map(|n| cluster(if n == 0 { LONG_NAME } else { "staging" })).collect();
        vec![
            ("claims", draw(&bob, Some(&claims(&json!({}))), &clusters[..2])),
            (
                "claims-odd",
                draw(&odd, Some(&claims(&json!({"groups": null, "email_verified": false}))), &clusters[..2]),
            ),
            ("claims-many", draw(&bob, Some(&claims(&json!({"groups": many}))), &clusters)),
            ("claims-none", draw(&odd, None, &[])),
        ]
    }

    #[test]
    fn what_looks_odd_is_said() {
        let odd = |more: &Value| said(&identity("bob@example.com", true), Some(&claims(more)), "groups", NOW).odd;
        assert_eq!(odd(&json!({})), Vec::<String>::new());
        assert!(odd(&json!({"email_verified": false}))[0].contains("not verified"));
        assert!(odd(&json!({"email": null}))[0].contains("no email"));
        assert!(odd(&json!({"groups": null}))[0].contains("no claim “groups”"));
        assert!(odd(&json!({"groups": 7}))[0].contains("neither a text nor a list"));
        assert_eq!(odd(&json!({"email_verified": null})), Vec::<String>::new());
    }

    #[test]
    fn a_cluster_makes_names_of_claims_by_its_own_mapping() {
        let mut staging = cluster("staging");
        let bob = identity("bob@example.com", true);
        let row = |cluster: &Cluster, more: &Value| super::row(cluster, &bob, Some(&claims(more)));
        let there = row(&staging, &json!({"groups": ["devs"]}));
        assert_eq!(there.username.as_deref(), Some("bob@example.com"));
        assert_eq!((there.groups.names.as_slice(), there.odd.len()), (&["oidc:devs".to_owned()][..], 0));
        staging.trusts[0].1.username_prefix = "corp:".into();
        staging.trusts[0].1.groups_claim = "roles".into();
        let other = row(&staging, &json!({"roles": ["r"]}));
        assert_eq!(
            (other.username.as_deref(), other.groups.names),
            (Some("corp:bob@example.com"), vec!["oidc:r".to_owned()])
        );
        staging.trusts.clear();
        assert!(row(&staging, &json!({})).odd[0].contains("does not trust"));
    }

    #[test]
    fn immune_11_a_name_of_kubernetes_own_is_said_and_never_made() {
        let mut staging = cluster("staging");
        staging.trusts[0].1.groups_prefix = String::new();
        let row = row(
            &staging,
            &identity("bob@example.com", true),
            Some(&claims(&json!({"groups": ["system:masters", "devs"]}))),
        );
        assert_eq!(row.groups.names, ["devs"]);
        assert!(row.odd[0].contains("1 of your groups would begin with “system:”"), "{:?}", row.odd);
    }

    #[test]
    fn a_long_list_is_cut_with_a_count() {
        let cut = groups(&["a".to_owned(), "b".to_owned(), "c".to_owned()], 2);
        assert_eq!(cut, Groups { names: vec!["a".into(), "b".into()], more: 1 });
    }
}
