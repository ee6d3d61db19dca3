//! Whom a share link is for, decided on what the provider vouched for and nothing else.
//!
//! Everything is compared whole and exactly, but for ASCII case in emails and domains: a part of a name, a look-alike in another
//! alphabet or a second `@` matches nothing. An email counts only where the provider says that it is verified, and a list is
//! one of a single provider's people, since two providers may call different people by the same name. Who is in a Group of our own is
//! the database's to say, at the moment when it is asked.

use std::{fmt, str::FromStr};

mod spelt;

use super::{
    group::{self, Group},
    id::GroupId,
    identity::Identity,
    name::{BadName, Email},
    provider::ProviderId,
};

/// How many rules one link takes.
const MOST: usize = 100;
/// The longest name of a group.
const LONGEST_GROUP: usize = 253;
/// What stands before a group in a typed list.
const GROUP: &str = "group:";
/// What stands between two in a typed list.
const SEPARATORS: [char; 4] = [',', ';', '\n', '\r'];
/// What stands before a Group of our own.
const OWN: &str = "kubelend-group:";

/// Whom a link is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Whoever can sign in at a provider that the cluster trusts.
    #[default]
    Anyone,
    /// People of one provider whom at least one of the rules names; never empty.
    Listed(ProviderId, Vec<Guest>),
}

/// A rule that names people of a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guest {
    /// Whoever has this email, verified.
    Email(Email),
    /// Whoever has a verified email in exactly this domain; those below it are others.
    Domain(EmailDomain),
    /// Whoever is in this group, without prefix.
    Group(String),
    /// Whoever is in this Group of our own; as it was spelt when it was named, or renamed.
    Own(GroupId, String),
}

/// The domain of email addresses, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EmailDomain(String);

impl EmailDomain {
    /// Whether an address is in it.
    pub fn holds(&self, email: &Email) -> bool {
        email.domain().eq_ignore_ascii_case(&self.0)
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EmailDomain {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        if s.len() <= 253 && s.contains('.') && s.split('.').all(label) {
            Ok(Self(s.to_ascii_lowercase()))
        } else {
            Err(BadName(format!(
                "“{}” is no domain: write it like example.com, without wildcards and in letters of the ASCII alphabet (xn--… for others).",
                short(s)
            )))
        }
    }
}

/// Why somebody is not among those whom a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInvited {
    /// No rule names them.
    NotListed,
    /// A rule names their email, and their provider does not say that it is verified.
    EmailNotVerified,
}

impl Guest {
    fn names(&self, person: &Identity, email: Option<&Email>) -> bool {
        match self {
            Self::Email(listed) => email.is_some_and(|e| e.matches(listed)),
            Self::Domain(domain) => email.is_some_and(|e| domain.holds(e)),
            Self::Group(group) => person.groups.iter().any(|g| g == group),
            // Not by what the person brings along.
            Self::Own(..) => false,
        }
    }

    /// As a link keeps it.
    pub fn stored(&self) -> String {
        match self {
            Self::Own(id, spelt) => format!("{OWN}{id}:{spelt}"),
            other => other.to_string(),
        }
    }

    /// The same, read again.
    ///
    /// # Errors
    /// What is none.
    pub fn from_stored(line: &str) -> Result<Self, BadName> {
        let Some(own) = line.strip_prefix(OWN) else { return Self::parse(line, &[]) };
        let read = own.split_once(':').and_then(|(id, spelt)| Some(Self::Own(id.parse().ok()?, spelt.to_owned())));
        read.ok_or_else(|| BadName(format!("“{}” names no group of Kubelend's.", short(line))))
    }

    fn parse(s: &str, groups: &[Group]) -> Result<Self, BadName> {
        if let Some(typed) = s.strip_prefix(OWN) {
            let meant = group::meant(typed, groups).map(|group| Self::Own(group.id, group.spelt()));
            return meant.ok_or_else(|| {
                BadName(format!(
                    "There is no Kubelend group “{}” here. Groups are made on the workspace’s Groups page.",
                    short(typed)
                ))
            });
        }
        if let Some(group) = s.strip_prefix(GROUP) {
            return Self::group(group.trim());
        }
        if let Some((_, domain)) = s.split_once("*@") {
            return Err(BadName(format!("“{}”: write @{} for everybody there.", short(s), short(domain))));
        }
        match s.strip_prefix('@') {
            Some(domain) => domain.parse().map(Self::Domain),
            None if s.contains('@') => s.parse().map(Self::Email).map_err(|_: BadName| {
                BadName(format!("“{}” is no email address as providers give them: one “@”, ASCII letters.", short(s)))
            }),
            None if s.contains('.') => s.parse().map(Self::Domain),
            None => Self::group(s),
        }
    }

    fn group(name: &str) -> Result<Self, BadName> {
        if name.is_empty() || name.len() > LONGEST_GROUP || name.chars().any(char::is_control) {
            return Err(BadName(format!(
                "Write a group as group:NAME, as your sign-in provider names it, in at most {LONGEST_GROUP} characters."
            )));
        }
        Ok(Self::Group(name.to_owned()))
    }
}

impl fmt::Display for Guest {
    /// As it can be typed again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(email) => write!(f, "{email}"),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::Group(group) => write!(f, "{GROUP}{group}"),
            Self::Own(_, spelt) => write!(f, "{OWN}{spelt}"),
        }
    }
}

impl Audience {
    /// Reads a typed list, separated by commas, semicolons or line ends: emails, domains (`example.com` or `@example.com`) and
    /// groups (`group:NAME`; a word with neither “@” nor “.” is one too), and Groups of our own (`kubelend-group:NAME`), of which
    /// `groups` are those that may be named. Sorted, each once; an empty list is nobody's.
    ///
    /// # Errors
    /// The first entry that is none of these, or too many.
    pub fn parse_guests_of(text: &str, groups: &[Group]) -> Result<Vec<Guest>, BadName> {
        Self::parse_guests_again(text, groups, &[])
    }

    /// The same of a list in which these guests stood before: one whose spelling is unchanged is still that one, also where its name
    /// would be read as two now.
    ///
    /// # Errors
    /// As above.
    pub fn parse_guests_again(text: &str, groups: &[Group], before: &[Guest]) -> Result<Vec<Guest>, BadName> {
        let (whole, rest) = spelt::set_apart(text, before, groups);
        let typed = rest.split(SEPARATORS).map(str::trim).filter(|s| !s.is_empty());
        // Only a group's name may have blanks: of anything else they separate two.
        let each = typed.flat_map(|s| {
            let whole = s.starts_with(GROUP) || s.starts_with(OWN);
            s.split(move |c: char| !whole && c.is_whitespace()).filter(|s| !s.is_empty())
        });
        let mut guests = each.map(|s| Guest::parse(s, groups)).collect::<Result<Vec<_>, _>>()?;
        guests.extend(whole);
        guests.sort();
        guests.dedup();
        if guests.len() > MOST {
            return Err(BadName(format!("At most {MOST} entries; for more people use a group or a domain.")));
        }
        Ok(guests)
    }

    /// The same where no Group of our own may be named.
    ///
    /// # Errors
    /// As above.
    pub fn parse_guests(text: &str) -> Result<Vec<Guest>, BadName> {
        Self::parse_guests_of(text, &[])
    }

    /// The Groups of our own that it names.
    pub fn own_groups(&self) -> Vec<GroupId> {
        let own = |guest: &Guest| if let Guest::Own(id, _) = guest { Some(*id) } else { None };
        self.guests().iter().filter_map(own).collect()
    }

    /// Whether it is for this person, who is `in_groups` among those that it names and that count where it is.
    ///
    /// # Errors
    /// Why not.
    pub fn invites(&self, person: &Identity, in_groups: &[GroupId]) -> Result<(), NotInvited> {
        let (provider, guests) = match self {
            Self::Anyone => return Ok(()),
            Self::Listed(provider, guests) => (provider, guests),
        };
        // A Group has people of any provider.
        if guests.iter().any(|guest| matches!(guest, Guest::Own(id, _) if in_groups.contains(id))) {
            return Ok(());
        }
        if *provider != person.provider {
            return Err(NotInvited::NotListed);
        }
        let named = |email: Option<&Email>| guests.iter().any(|guest| guest.names(person, email));
        if named(person.verified_email()) {
            return Ok(());
        }
        Err(if named(person.email.as_ref()) { NotInvited::EmailNotVerified } else { NotInvited::NotListed })
    }

    /// The rules; none where anyone may.
    pub fn guests(&self) -> &[Guest] {
        match self {
            Self::Anyone => &[],
            Self::Listed(_, guests) => guests,
        }
    }

    /// In words: “anyone who can sign in”, or “bob@example.com, everybody at example.com and the group devs”.
    pub fn in_words(&self) -> String {
        let each = |guest: &Guest| match guest {
            Guest::Email(email) => email.to_string(),
            Guest::Domain(domain) => format!("everybody at {domain}"),
            Guest::Group(group) => format!("the group {group}"),
            Guest::Own(_, spelt) => format!("the Kubelend group {spelt}"),
        };
        let words: Vec<String> = self.guests().iter().map(each).collect();
        match words.as_slice() {
            [] => "anyone who can sign in".into(),
            [one] => one.clone(),
            [most @ .., last] => format!("{} and {last}", most.join(", ")),
        }
    }

    /// As the field takes it again.
    pub fn as_typed(&self) -> String {
        self.guests().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{id::IdentityId, time::Timestamp};

    fn person(email: &str, verified: bool, groups: &[&str]) -> Identity {
        Identity {
            id: IdentityId::new(),
            provider: "dex".parse().unwrap(),
            issuer: "https://dex.example".into(),
            sub: "s".into(),
            email: email.parse().ok(),
            email_verified: verified,
            name: None,
            groups: groups.iter().map(ToString::to_string).collect(),
            last_sign_in: Timestamp::from_secs(0),
        }
    }

    fn listed(text: &str) -> Audience {
        Audience::Listed("dex".parse().unwrap(), Audience::parse_guests(text).unwrap())
    }

    #[test]
    fn immune_15_a_list_of_emails_is_beaten_by_no_look_alike_and_no_unverified_one() {
        let bob = listed("bob@good.com");
        assert_eq!(bob.invites(&person("BOB@Good.com", true, &[]), &[]), Ok(()), "case alone is no other mailbox");
        assert_eq!(bob.invites(&person("bob@good.com", false, &[]), &[]), Err(NotInvited::EmailNotVerified));
        for email in [
            "bob@good.com.evil.com",
            "xbob@good.com",
            "bob@good.co",
            "bob@evil.com",
            "bob+x@good.com",
            "bob@sub.good.com",
            // None of these is an email at all, so nobody has it.
            "bob@evil.com@good.com",
            "\"bob@good.com\"@evil.com",
            "b\u{43e}b@good.com",
            "bob@go\u{43e}d.com",
            "bob@good.com\0",
            "bob@good.com\n",
        ] {
            let invited = bob.invites(&person(email, true, &[]), &[]);
            // `parse` trims: what differs by blanks alone is the same mailbox.
            assert_eq!(invited.is_ok(), email.trim() == "bob@good.com", "{email:?}");
        }
    }

    #[test]
    fn immune_15_a_domain_is_that_domain_and_none_below_or_behind_it() {
        let good = listed("@good.com");
        assert_eq!(good, listed("GOOD.com"));
        assert_eq!(good.invites(&person("anybody@Good.COM", true, &[]), &[]), Ok(()));
        assert_eq!(good.invites(&person("anybody@good.com", false, &[]), &[]), Err(NotInvited::EmailNotVerified));
        for email in [
            "a@evil.com@good.com",
            "a@evilgood.com",
            "a@sub.good.com",
            "a@good.com.evil.com",
            "a@good.com.",
            "a@good.c\u{43e}m",
            "a@\u{ff47}ood.com",
            "good.com@evil.com",
            "",
        ] {
            assert!(good.invites(&person(email, true, &[]), &[]).is_err(), "{email}");
        }
    }

    #[test]
    fn immune_15_a_group_is_compared_to_the_letter_and_at_its_own_provider() {
        let devs = listed("group:devs");
        assert_eq!(devs.invites(&person("", false, &["ops", "devs"]), &[]), Ok(()));
        for group in ["Devs", "devs ", "dev", "devs2", "d\u{435}vs", "oidc:devs", "group:devs"] {
            assert_eq!(devs.invites(&person("", true, &[group]), &[]), Err(NotInvited::NotListed), "{group}");
        }
        let elsewhere = Identity { provider: "other".parse().unwrap(), ..person("", true, &["devs"]) };
        assert_eq!(devs.invites(&elsewhere, &[]), Err(NotInvited::NotListed));
        assert_eq!(Audience::Anyone.invites(&elsewhere, &[]), Ok(()));
    }

    #[test]
    fn a_typed_list_is_read_as_people_write_it_and_comes_back() {
        let guests = Audience::parse_guests(
            " Bob@example.com carol@example.com;\n@acme.example, devs, group:Site Reliability, devs",
        )
        .unwrap();
        assert_eq!(guests.len(), 5);
        let audience = Audience::Listed("dex".parse().unwrap(), guests.clone());
        assert_eq!(Audience::parse_guests(&audience.as_typed()).unwrap(), guests);
        assert_eq!(
            audience.in_words(),
            "Bob@example.com, carol@example.com, everybody at acme.example, the group Site Reliability and the group devs"
        );
        assert_eq!(Audience::parse_guests(" , ").unwrap(), []);
        for guest in guests {
            assert_eq!(Guest::from_stored(&guest.stored()), Ok(guest));
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_in_words() {
        for bad in ["*@example.com", "@", "a@b@c.com", "*.example.com", "group:", "b\u{e4}r.de", "x..y", "-a.com"] {
            let why = Audience::parse_guests(bad).unwrap_err();
            assert!(why.0.len() > 20, "{bad}: {why}");
        }
        let many = (0..101).map(|n| format!("p{n}@example.com")).collect::<Vec<_>>().join(",");
        assert!(Audience::parse_guests(&many).is_err());
    }

    #[test]
    fn immune_28_a_group_of_our_own_invites_by_its_id_alone_and_its_people_of_any_provider() {
        let group = |name: &str, workspace| Group {
            id: GroupId::new(),
            workspace,
            name: name.parse().unwrap(),
            owners_only: false,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        };
        let home = Some(crate::model::id::WorkspaceId::new());
        let groups = [group("On call", home), group("On call", None)];
        let typed = "kubelend-group:on call, kubelend-group:On call (everywhere), bob@x.com";
        let guests = Audience::parse_guests_of(typed, &groups).unwrap();
        let audience = Audience::Listed("dex".parse().unwrap(), guests.clone());
        assert_eq!(audience.own_groups(), [groups[0].id, groups[1].id]);
        assert_eq!(Audience::parse_guests_of(&audience.as_typed(), &groups).unwrap(), guests);
        assert!(audience.in_words().contains("the Kubelend group On call (everywhere)"), "{}", audience.in_words());
        let eve =
            Identity { provider: "other".parse().unwrap(), ..person("", true, &["On call", "kubelend-group:On call"]) };
        assert_eq!(audience.invites(&eve, &[]), Err(NotInvited::NotListed), "what somebody is called is no membership");
        assert_eq!(audience.invites(&eve, &[GroupId::new()]), Err(NotInvited::NotListed));
        assert_eq!(audience.invites(&eve, &[groups[1].id]), Ok(()));
        // Who may not name it does not.
        assert!(Audience::parse_guests_of("kubelend-group:Ops", &groups).is_err());
        assert!(Audience::parse_guests("kubelend-group:On call").is_err());
        assert!(
            Guest::from_stored("kubelend-group:x:On call").is_err() && Guest::from_stored("kubelend-group:").is_err()
        );
    }

    #[test]
    fn immune_28_a_group_with_an_old_name_is_not_read_as_two_when_a_list_is_saved_again() {
        let group = |name: &str, workspace| Group {
            id: GroupId::new(),
            workspace,
            name: name.parse().unwrap(),
            owners_only: true,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        };
        let home = Some(crate::model::id::WorkspaceId::new());
        let groups = [group("Ops, everyone", home), group("Ops", home), group("a; @evil.com", None)];
        let own = |group: &Group| Guest::Own(group.id, group.spelt());
        let mut stored = vec![own(&groups[0]), own(&groups[2]), "bob@x.com".parse().map(Guest::Email).unwrap()];
        stored.sort();
        let audience = Audience::Listed("dex".parse().unwrap(), stored.clone());
        let typed = audience.as_typed();
        assert_eq!(Audience::parse_guests_of(&typed, &groups).unwrap(), stored, "{typed}");
        // The Group itself may be gone: it is still that one, and nobody else comes in by it.
        assert_eq!(Audience::parse_guests_again(&typed, &groups[1..2], &stored).unwrap(), stored);
        // What is another spelling is read as it stands.
        let other = Audience::parse_guests_again("kubelend-group:Ops, everyone2", &groups, &stored).unwrap();
        assert_eq!(other, [Guest::Group("everyone2".into()), own(&groups[1])]);
        let more = Audience::parse_guests_again(&format!("devs,{typed} ;devs2"), &groups, &stored).unwrap();
        assert_eq!(more.len(), 5, "{more:?}");
    }
}
