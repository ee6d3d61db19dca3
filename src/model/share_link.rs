//! Share links: an invitation with a grant folded inside. Whoever opens one and signs in may accept what it carries, if the link's
//! rules let them.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use super::{
    audience::Audience,
    id::{IdentityId, ShareLinkId},
    name::BadName,
    reason::Reason,
    role::Role,
    scope::Scope,
    time::Timestamp,
    vouch::Vouch,
};

/// The longest note.
const LONGEST_NOTE: usize = 500;

/// What its owner decides about a link, and may decide anew while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRules {
    /// The role that accepting gives; `None` gives a kubeconfig and no rights.
    pub role: Option<Role>,
    /// Where.
    pub scope: Scope,
    /// How long the access lasts from acceptance; `None` has no end.
    pub access_lasts: Option<Duration>,
    /// After this nobody new can accept it.
    pub expires_at: Timestamp,
    /// How many people may accept it in all; `None` for any number. One person accepts it once in any case.
    pub max_uses: Option<NonZeroU32>,
    /// Who may accept it.
    pub audience: Audience,
    /// What the visitor reads beside the offer.
    pub note: Option<Note>,
    /// Why the access is given, for the people who manage it.
    pub reason: Option<Reason>,
}

/// A share link as it is stored; its token is kept apart, hashed for look-up and sealed for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareLink {
    /// Its id.
    pub id: ShareLinkId,
    /// What it gives to whom, until when.
    pub rules: LinkRules,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Since when it is paused, if it is.
    pub paused_at: Option<Timestamp>,
    /// How many people have accepted it.
    pub uses: i64,
    /// What its role let do when it was chosen, where others have defined it, and on whose word it is given.
    pub vouch: Option<Vouch>,
}

/// Whether a link can be accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It can, by those whom it is for.
    Open,
    /// Not for the moment; its owner can open it again.
    Paused,
    /// As many as may have accepted it have.
    UsedUp,
    /// Its time is up.
    Expired,
    /// Somebody took it back, for good.
    Revoked,
}

impl ShareLink {
    /// Whether it can be accepted now. What cannot be undone is said first.
    pub fn state(&self, now: Timestamp) -> LinkState {
        if self.revoked_at.is_some() {
            LinkState::Revoked
        } else if now >= self.rules.expires_at {
            LinkState::Expired
        } else if self.rules.max_uses.is_some_and(|most| self.uses >= i64::from(most.get())) {
            LinkState::UsedUp
        } else if self.paused_at.is_some() {
            LinkState::Paused
        } else {
            LinkState::Open
        }
    }

    /// Whether it gives what only owners give.
    pub fn is_an_owners(&self) -> bool {
        self.rules.role.as_ref().is_some_and(Role::is_for_owners)
            || self.vouch.as_ref().is_some_and(|v| v.owner.is_some())
    }

    /// Until when access accepted now would last.
    pub fn access_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.rules.access_lasts.map(|span| now.plus(span))
    }
}

/// A note to the visitor: a few lines of plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a typed one; nothing but blanks is none.
    ///
    /// # Errors
    /// When it is too long, or holds what is no text.
    pub fn read(typed: &str) -> Result<Option<Self>, BadName> {
        let text = typed.replace("\r\n", "\n");
        if text.trim().is_empty() { Ok(None) } else { text.parse().map(Some) }
    }
}

impl FromStr for Note {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        // Characters that turn the direction of text could make a note read as words of ours.
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if s.chars().count() > LONGEST_NOTE {
            return Err(BadName(format!("A note has at most {LONGEST_NOTE} characters.")));
        }
        if s.chars().any(|c| turns(c) || (c.is_control() && c != '\n')) {
            return Err(BadName("A note is plain text: it holds a character that none has.".into()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ClusterId;

    fn link() -> ShareLink {
        ShareLink {
            id: ShareLinkId::new(),
            rules: LinkRules {
                role: None,
                scope: Scope::Cluster(ClusterId::new()),
                access_lasts: None,
                expires_at: Timestamp::from_secs(100),
                max_uses: NonZeroU32::new(2),
                audience: Audience::Anyone,
                note: None,
                reason: None,
            },
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            revoked_at: None,
            paused_at: None,
            uses: 1,
            vouch: None,
        }
    }

    #[test]
    fn a_link_is_open_until_something_closes_it_and_what_is_final_is_said_first() {
        let (before, after) = (Timestamp::from_secs(99), Timestamp::from_secs(100));
        let mut link = link();
        assert_eq!(link.state(before), LinkState::Open);
        link.paused_at = Some(before);
        assert_eq!(link.state(before), LinkState::Paused);
        link.uses = 2;
        assert_eq!(link.state(before), LinkState::UsedUp);
        link.uses = 3;
        assert_eq!(link.state(before), LinkState::UsedUp, "also where the number was lowered afterwards");
        assert_eq!(link.state(after), LinkState::Expired, "its end itself is past it");
        link.revoked_at = Some(before);
        assert_eq!(link.state(after), LinkState::Revoked);
        link.rules.max_uses = None;
        (link.revoked_at, link.paused_at) = (None, None);
        assert_eq!(link.state(before), LinkState::Open);
    }

    #[test]
    fn immune_17_a_note_is_plain_text_of_some_lines() {
        assert_eq!(Note::read(" \r\n "), Ok(None));
        assert_eq!(Note::read(" for the\r\nrelease ").unwrap().unwrap().as_str(), "for the\nrelease");
        for bad in ["a\0b", "a\u{202e}b", "a\u{1b}[31m", "\u{2066}x", &"x".repeat(501)] {
            assert!(Note::read(bad).is_err(), "{bad:?}");
        }
    }
}
