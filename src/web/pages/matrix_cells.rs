//! What stands in the matrix: a cell with its colour, its word and how it came to be; whom a row is about.

use crate::{
    model::{
        grant::EndReason,
        id::GrantId,
        matrix::{Counted, HolderKind, strongest},
        role::Role,
        time::Timestamp,
    },
    web::labels::{date, role_word, through},
};

/// How many characters of a ClusterRole's name stand in a cell.
const LONGEST: usize = 14;

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The grant that lets do most: it names the cell's own page.
    pub(super) id: GrantId,
    /// The styles: the role's colour, whether it is for namespaces alone, whether it is on its way out.
    pub(super) class: String,
    /// The role.
    pub(super) word: String,
    /// How many grants there are besides.
    pub(super) more: usize,
    /// Where, and from which grant.
    pub(super) tip: String,
}

/// What somebody holds on a cluster; nothing for nothing.
pub(super) fn cell(grants: &[Counted]) -> Option<Cell> {
    let best = strongest(grants)?;
    let mut class = String::from(match &best.role {
        Some(role @ (Role::View | Role::Edit | Role::Admin | Role::ClusterAdmin)) => role.as_str(),
        Some(Role::Named(_) | Role::Local(_)) => "named",
        None => "none",
    });
    if !best.scope.is_whole_cluster() {
        class.push_str(" part");
    }
    if grants.iter().all(Counted::is_leaving) {
        class.push_str(" leaving");
    }
    Some(Cell { id: best.id, class, word: word(best.role.as_ref()), more: grants.len() - 1, tip: tip(best) })
}

fn word(role: Option<&Role>) -> String {
    let word = role_word(role);
    let short: String = word.chars().take(LONGEST).collect();
    if short.len() < word.len() { short + "…" } else { short }
}

/// “namespace shop, share link, since 3 Nov 2026”.
fn tip(grant: &Counted) -> String {
    let place = match grant.scope.namespaces() {
        [] | [_] => grant.scope.in_words(),
        several => format!("{} namespaces", several.len()),
    };
    let end = match (grant.ended, grant.expires_at) {
        (Some((at, _)), _) => format!(", ended {}", date(at)),
        (None, Some(at)) => format!(", until {}", date(at)),
        (None, None) => String::new(),
    };
    format!("{place}, {}, since {}{end}", through(grant.origin, grant.group.as_ref()), date(grant.since))
}

/// Whom a row is about, in a word.
pub(super) fn kind(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::Person => "Person",
        HolderKind::Address => "Email",
        HolderKind::Group => "Group",
        HolderKind::ServiceAccount => "ServiceAccount",
    }
}

/// Until when somebody has it: “no end”, “until 3 Mar 2027”, “taken back 3 Nov 2026, off the cluster 4 Nov 2026”.
pub(super) fn end(grant: &Counted, now: Timestamp) -> String {
    match (grant.ended, grant.gone_at, grant.expires_at) {
        (None, _, None) => "no end".into(),
        (None, _, Some(at)) if at <= now => format!("its time was up {}; being removed", date(at)),
        (None, _, Some(at)) => format!("until {}", date(at)),
        (Some((at, why)), None, _) => format!("{} {}; may still stand on the cluster", ended(why), date(at)),
        (Some((at, why)), Some(gone), _) if date(at) == date(gone) => format!("{} {}", ended(why), date(at)),
        (Some((at, why)), Some(gone), _) => format!("{} {}, off the cluster {}", ended(why), date(at), date(gone)),
    }
}

/// How it ended.
pub(super) fn ended(why: EndReason) -> &'static str {
    match why {
        EndReason::Revoked => "taken back",
        EndReason::Expired => "ran out",
        EndReason::ClusterRemoved => "ended with its cluster",
        EndReason::OutOfScope => "out of scope",
        EndReason::Replaced => "changed",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{grant::Origin, id::ClusterId, scope::Scope},
        web::pages::samples::NOW,
    };

    /// A grant by number, each another in role, place and end.
    pub(in crate::web) fn counted(n: usize) -> Counted {
        let namespaces: &[&str] = [&[][..], &["a-namespace-with-a-long-name"], &["payments", "shop"]][n % 3];
        let named = Role::named("acme:developers-of-everything").ok();
        Counted {
            id: GrantId::new(),
            role: [Some(Role::View), Some(Role::Edit), Some(Role::Admin), named, None][n % 5].clone(),
            scope: Scope::new(ClusterId::new(), namespaces.iter().map(|n| n.parse().unwrap()).collect()),
            origin: Origin::Manual,
            group: None,
            since: NOW.minus(Duration::from_hours(24 * n as u64)),
            expires_at: n.is_multiple_of(2).then(|| NOW.plus(Duration::from_hours(240))),
            ended: n.is_multiple_of(7).then_some((NOW, EndReason::Revoked)),
            gone_at: None,
        }
    }

    #[test]
    fn a_cell_says_role_place_and_where_it_came_from() {
        let (view, admin) = (Counted { ended: None, ..counted(0) }, counted(2));
        let alone = cell(std::slice::from_ref(&view)).unwrap();
        assert_eq!((alone.class.as_str(), alone.word.as_str(), alone.more), ("view", "view", 0));
        assert_eq!(alone.tip, "the whole cluster, by hand, since 23 Nov 2026, until 3 Dec 2026");
        let both = cell(&[view, admin]).unwrap();
        assert_eq!((both.class.as_str(), both.word.as_str(), both.more), ("admin part", "admin", 1));
        assert_eq!(both.tip, "2 namespaces, by hand, since 21 Nov 2026, until 3 Dec 2026");
        assert_eq!(cell(&[counted(3)]).unwrap().word, "acme:developer…");
        assert_eq!(cell(&[counted(7)]).unwrap().class, "admin part leaving");
        assert_eq!(cell(&[]), None);
    }

    #[test]
    fn an_end_says_how_and_when_the_cluster_followed() {
        let day = |n: u64| NOW.plus(Duration::from_hours(24 * n));
        let grant = Counted { ended: Some((NOW, EndReason::Expired)), gone_at: None, ..counted(1) };
        assert_eq!(end(&grant, NOW), "ran out 23 Nov 2026; may still stand on the cluster");
        assert_eq!(end(&Counted { gone_at: Some(NOW), ..grant.clone() }, NOW), "ran out 23 Nov 2026");
        assert_eq!(
            end(&Counted { gone_at: Some(day(1)), ..grant.clone() }, NOW),
            "ran out 23 Nov 2026, off the cluster 24 Nov 2026"
        );
        assert_eq!(end(&Counted { ended: None, ..grant.clone() }, NOW), "no end");
        let over = Counted { ended: None, expires_at: Some(NOW), ..grant };
        assert_eq!(end(&over, day(1)), "its time was up 23 Nov 2026; being removed");
    }
}
