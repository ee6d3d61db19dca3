//! What is said of share links on more than one page: their state, for whom they are, how often they were used, and what the role
//! that they give amounts to.

use super::roles::OfferedRole;
use crate::{
    model::{
        audience::Audience,
        role::Role,
        share_link::{LinkState, ShareLink},
    },
    web::labels::{RoleTag, counted, role_sentence},
};

/// So many rules of a list are named in a row.
const NAMED: usize = 2;

/// What a role and a place amount to, for the form that chooses them.
pub struct Meaning {
    /// The role.
    pub role: RoleTag,
    /// Of which choice this is the meaning, for the styles.
    pub class: &'static str,
    /// The end of a sentence that begins with “They”.
    pub words: String,
}

/// What each choice of role and place amounts to. Styles show the one that is chosen; those that the cluster itself offers are
/// shown together.
pub fn meanings(offered: &[OfferedRole]) -> Vec<Meaning> {
    let of = |role: Option<Role>, class, whole| Meaning {
        words: role_sentence(role.as_ref(), whole).into(),
        role: RoleTag(role),
        class,
    };
    let mut all = vec![
        of(None, "none", true),
        of(Some(Role::View), "view all", true),
        of(Some(Role::View), "view part", false),
        of(Some(Role::Edit), "edit all much", true),
        of(Some(Role::Edit), "edit part", false),
        of(Some(Role::Admin), "admin all much", true),
        of(Some(Role::Admin), "admin part", false),
    ];
    all.extend(offered.iter().map(|offered| Meaning {
        role: RoleTag(Some(offered.role.clone())),
        class: if offered.role == Role::ClusterAdmin { "owns much" } else { "named" },
        words: format!("can {}", offered.words),
    }));
    all
}

/// What a role amounts to, turned to those who get it.
pub fn to_them(words: &str) -> String {
    words.replace(". They ", ". You ")
}

/// A link's state in a word.
pub fn state_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Open => "open",
        LinkState::Paused => "paused",
        LinkState::UsedUp => "used up",
        LinkState::Expired => "expired",
        LinkState::Revoked => "revoked",
    }
}

/// What a link's state means to the people who manage it, and what they can do.
pub fn state_sentence(state: LinkState) -> &'static str {
    match state {
        LinkState::Open => "It can be accepted.",
        LinkState::Paused => "It is paused: nobody can accept it until you open it again.",
        LinkState::UsedUp => {
            "It is used up: as many people as you allowed have accepted it. Raise the number to let in more."
        }
        LinkState::Expired => "It has expired: nobody can accept it any more, unless you give it a new end.",
        LinkState::Revoked => "It is revoked, for good. Make a new link to let people in.",
    }
}

/// For whom a link is, in a row: the first of a long list alone.
pub fn for_whom(audience: &Audience) -> String {
    let (Audience::Listed(provider, guests), more) = (audience, audience.guests().len().saturating_sub(NAMED)) else {
        return audience.in_words();
    };
    if more < 2 {
        return audience.in_words();
    }
    let first = Audience::Listed(provider.clone(), guests[..NAMED].to_vec());
    format!("{} and {more} more", first.in_words().replace(" and ", ", "))
}

/// “2 of 5 people”, “3 people”, “nobody yet”.
pub fn uses(link: &ShareLink) -> String {
    let used = u64::try_from(link.uses).unwrap_or_default();
    match (used, link.rules.max_uses) {
        (0, None) => "nobody yet".into(),
        (n, None) => counted(n, "person"),
        (n, Some(most)) => format!("{n} of {}", counted(most.get(), "person")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_named_in_part() {
        let listed = |text: &str| Audience::Listed("dex".parse().unwrap(), Audience::parse_guests(text).unwrap());
        assert_eq!(for_whom(&Audience::Anyone), "anyone who can sign in");
        assert_eq!(for_whom(&listed("b@x.com, a@x.com, c@x.com")), "a@x.com, b@x.com and c@x.com");
        assert_eq!(for_whom(&listed("b@x.com, a@x.com, c@x.com, d@x.com")), "a@x.com, b@x.com and 2 more");
    }
}
