//! Who is what somewhere: the list with its forms, as the pages of a workspace and of a project show it. Removing asks first.

use std::collections::HashMap;

use super::{
    access::grantee_name,
    member_form::{MemberForm, key, own_key, provider_choices, roles},
    member_groups::{seat_rows, seatable},
};
use crate::{
    model::{
        grant::Grantee,
        group::SeatedGroup,
        id::{IdentityId, WorkspaceId},
        identity::Identity,
        time::Timestamp,
        workspace::{Member, MemberRole},
    },
    oidc::Providers,
    store::Store,
    web::{
        errors::PageError,
        forms::{Choice, FieldErrors},
        when::When,
    },
};

/// How many members a page lists.
pub(super) const A_PAGE: usize = 40;

/// Members with the identities of those who are people.
pub(super) type Listed = Vec<(Member, Option<Identity>)>;

/// The list and its forms.
pub struct MemberList {
    /// Where they are.
    pub here: String,
    /// The forms' token.
    pub csrf: String,
    /// The words that differ.
    pub words: Words,
    /// Whether the forms are there.
    pub may_change: bool,
    /// Something about one of them that is asked before it is done.
    pub asking: Option<Asking>,
    /// Whether Groups of our own can be named.
    pub names_groups: bool,
    /// Those that can be members, as they are typed.
    pub groups: String,
    /// What was typed.
    pub form: MemberForm,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// Where people sign in.
    pub providers: Vec<Choice>,
    /// They.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
    /// Whether this is the first page.
    pub newest: bool,
}

/// What is said of members, where that differs.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What each role does.
    pub roles: &'static str,
    /// What is said to those who change nothing.
    pub looking: Option<&'static str>,
    /// What is said where there is nobody.
    pub nobody: &'static str,
}

/// A member as a row.
pub struct Row {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) notes: Vec<String>,
    pub(super) since: When,
    pub(super) by: Option<String>,
    pub(super) role: &'static str,
    /// Whether it is whoever looks, themselves.
    pub(super) own: bool,
}

/// Something about one member that is asked before it is done.
pub struct Asking {
    pub(super) title: String,
    pub(super) text: Vec<String>,
    /// What the form sends as `change`; nothing where it cannot be done.
    pub(super) change: Option<&'static str>,
    pub(super) button: &'static str,
    pub(super) key: String,
    /// What the role is to be.
    pub(super) roles: Vec<Choice>,
}

/// Which page of it, and which member is asked about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    pub(super) change: String,
    pub(super) remove: String,
    pub(super) leave: String,
    pub(super) page: usize,
}

impl MemberList {
    pub(super) fn kinds(&self) -> Vec<Choice> {
        self.form.kinds_with(self.names_groups)
    }
}

impl Asked {
    /// Which of these is asked about, and whether they would leave by themselves.
    pub(super) fn about<'a>(
        &self,
        members: &'a Listed,
        me: IdentityId,
    ) -> Option<(&'a Member, Option<&'a Identity>, bool)> {
        let own = key(&Grantee::Person(me));
        let (wanted, leaves) = match (self.change.as_str(), self.remove.as_str(), self.leave.as_str()) {
            ("", "", "") => return None,
            ("", "", _) => (own.as_str(), true),
            (change, remove, _) => (if change.is_empty() { remove } else { change }, false),
        };
        let (member, person) = members.iter().find(|(member, _)| key(&member.who) == wanted)?;
        Some((member, person.as_ref(), leaves))
    }

    /// Which Group of our own is asked about.
    pub(super) fn about_group<'a>(&self, seats: &'a [SeatedGroup]) -> Option<&'a SeatedGroup> {
        let wanted = if self.change.is_empty() { &self.remove } else { &self.change };
        seats.iter().find(|seat| own_key(seat.group.id) == *wanted)
    }
}

/// What a request wants of the list.
pub(super) struct Wanted<'a> {
    pub(super) here: String,
    pub(super) csrf: &'a str,
    pub(super) me: IdentityId,
    pub(super) members: &'a Listed,
    /// The Groups of our own that are members; they stand first.
    pub(super) seats: &'a [SeatedGroup],
    /// The workspace that they are in.
    pub(super) home: WorkspaceId,
    /// The workspace whose Groups can be made members, for those who may name them.
    pub(super) groups_of: Option<WorkspaceId>,
    pub(super) page: usize,
    pub(super) words: Words,
    pub(super) may_change: bool,
    pub(super) asking: Option<Asking>,
    pub(super) form: MemberForm,
    pub(super) errors: FieldErrors,
}

/// Draws it.
pub(super) async fn list(
    store: &Store,
    providers: &Providers,
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Result<MemberList, PageError> {
    let (from, to) = (wanted.page.saturating_mul(A_PAGE), wanted.page.saturating_add(1));
    let seats = wanted.seats.get(from..).unwrap_or_default();
    let seats = seats.get(..A_PAGE).unwrap_or(seats);
    let shown = wanted.members.get(from.saturating_sub(wanted.seats.len())..).unwrap_or_default();
    let room = A_PAGE.saturating_sub(seats.len());
    let members = rows(store, providers, shown.get(..room).unwrap_or(shown), wanted.me, now).await?;
    Ok(MemberList {
        rows: seat_rows(store, seats, now).await?.into_iter().chain(members).collect(),
        names_groups: wanted.groups_of.is_some(),
        groups: match wanted.groups_of {
            Some(workspace) => seatable(store, workspace).await?,
            None => String::new(),
        },
        next: (wanted.members.len().saturating_add(wanted.seats.len()) > to.saturating_mul(A_PAGE))
            .then(|| format!("{}?page={to}", wanted.here)),
        newest: wanted.page == 0,
        providers: provider_choices(providers, Some(wanted.home), &wanted.form.provider),
        here: wanted.here,
        csrf: wanted.csrf.to_owned(),
        words: wanted.words,
        may_change: wanted.may_change,
        asking: wanted.asking,
        form: wanted.form,
        errors: wanted.errors,
    })
}

async fn rows(
    store: &Store,
    providers: &Providers,
    members: &[(Member, Option<Identity>)],
    me: IdentityId,
    now: Timestamp,
) -> Result<Vec<Row>, PageError> {
    let givers: Vec<IdentityId> = members.iter().map(|(m, _)| m.by).collect();
    let givers: HashMap<_, _> =
        store.identities(&givers).await?.into_iter().map(|p| (p.id, p.display().to_owned())).collect();
    let mut rows = Vec::with_capacity(members.len());
    for (member, person) in members {
        let own = member.who == Grantee::Person(me);
        let by = givers.get(&member.by).filter(|_| member.who != Grantee::Person(member.by)).cloned();
        let notes = notes(store, providers, &member.who, person.as_ref()).await?;
        rows.push(row(member, person.as_ref(), own, by, notes, now));
    }
    Ok(rows)
}

/// What is to be said of a member beside the name.
async fn notes(
    store: &Store,
    providers: &Providers,
    who: &Grantee,
    person: Option<&Identity>,
) -> Result<Vec<String>, PageError> {
    let at = |id| providers.get(id).map_or_else(|| id.to_string(), |p| p.settings().name.clone());
    Ok(match who {
        Grantee::Person(_) => of_own_provider(providers, person).into_iter().collect(),
        Grantee::ServiceAccount(_) => Vec::new(),
        Grantee::Group(provider, _) => vec![format!("group at {}", at(provider))],
        Grantee::Email(provider, email) if store.email_changed_hands(provider, email).await? => vec![
            "This address has had several holders, so it gives nothing. Add it again once you know who has it now."
                .into(),
        ],
        Grantee::Email(provider, _) => vec![format!("has not signed in yet at {}", at(provider))],
    })
}

/// Where somebody signs in whose provider is a workspace's own: what that calls them is no word of everybody's provider, an address that
/// looks like a colleague's included.
pub(super) fn of_own_provider(providers: &Providers, person: Option<&Identity>) -> Option<String> {
    let id = &person.filter(|person| person.provider.home().is_some())?.provider;
    let name = providers.get(id).map_or_else(|| id.to_string(), |p| p.settings().name.clone());
    Some(format!("signs in at {name}, the workspace’s own"))
}

pub(super) fn row(
    member: &Member,
    person: Option<&Identity>,
    own: bool,
    by: Option<String>,
    notes: Vec<String>,
    now: Timestamp,
) -> Row {
    Row {
        key: key(&member.who),
        name: grantee_name(&member.who, person),
        notes,
        since: When::new(member.since, now),
        by,
        role: member.role.as_str(),
        own,
    }
}

/// A member as people call them: an email or a name, or a group.
pub(super) fn named(who: &Grantee, person: Option<&Identity>) -> String {
    let name = grantee_name(who, person);
    if matches!(who, Grantee::Group(..)) { format!("group {name}") } else { name }
}

/// Asks what a member's role is to be.
pub(super) fn changes(member: &Member, person: Option<&Identity>) -> Asking {
    Asking {
        title: format!("What may {} do?", named(&member.who, person)),
        text: Vec::new(),
        change: Some("role"),
        button: "Save role",
        key: key(&member.who),
        roles: roles(member.role.as_str()),
    }
}

/// What somebody stays by a group, when their own membership has gone.
pub(super) fn still(person: Option<&Identity>, members: &Listed) -> Option<MemberRole> {
    let person = person?;
    let reaches = |who: &Grantee| match who {
        Grantee::Group(provider, group) => *provider == person.provider && person.groups.contains(group),
        Grantee::Person(_) | Grantee::Email(..) | Grantee::ServiceAccount(_) => false,
    };
    members.iter().filter(|(m, _)| reaches(&m.who)).map(|(m, _)| m.role).max()
}
