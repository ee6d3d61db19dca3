//! What a file gives to whom.

use std::collections::HashMap;

use super::{
    Called, GivenRole, GrantEntry, Who,
    fields::{Fields, Mistakes, object, short},
};
use crate::{
    model::{
        group::EVERYWHERE,
        name::{self, Email, Namespace},
        namespace_role::NamespaceRole,
        provider::ProviderId,
        reason::Reason,
        role::Role,
        service_account::AccountName,
        time::Timestamp,
    },
    yaml::{Node, Place, Value},
};

/// How many namespaces one grant names.
const MOST_NAMESPACES: usize = 50;
/// The longest `sub` (OpenID Connect Core 1.0, section 2).
const LONGEST_SUB: usize = 255;
/// The ways to name somebody.
pub(super) const WAYS: [&str; 5] = ["person", "group", "sub", "kubelend-group", "account"];

/// What stands around a grant in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Under {
    /// Every cluster, or all of a workspace.
    Wide,
    /// A project.
    Project,
    /// One cluster.
    Cluster,
}

/// The providers that there are, and the one that is meant where none is named.
pub(super) struct Providers<'a> {
    pub(super) known: &'a [ProviderId],
    pub(super) default: Option<ProviderId>,
}

impl Providers<'_> {
    /// The provider of that name.
    pub(super) fn named(&self, text: &str, at: Place, mistakes: &mut Mistakes) -> Option<ProviderId> {
        let found = self.known.iter().find(|provider| provider.as_str() == text).cloned();
        if found.is_none() {
            let known: Vec<&str> = self.known.iter().map(ProviderId::as_str).collect();
            let fix = format!("the configuration has: {}", known.join(", "));
            mistakes.add(at, format!("there is no provider “{}”", short(text)), fix);
        }
        found
    }

    pub(super) fn of(&self, fields: &Fields<'_>, mistakes: &mut Mistakes) -> Option<ProviderId> {
        if let Some((text, at)) = fields.text("provider", mistakes) {
            return self.named(text, at, mistakes);
        }
        if self.default.is_none() && fields.place("provider").is_none() {
            let fix = "add “provider: …” here, or once at the top of the file";
            mistakes.add(fields.at, "there are several providers, and nothing says whose this is", fix);
        }
        self.default.clone()
    }
}

/// What is given in one place.
pub(super) fn grants(
    nodes: &[Node],
    under: Under,
    providers: &Providers<'_>,
    mistakes: &mut Mistakes,
) -> Vec<GrantEntry> {
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let Some(entry) = grant(node, under, providers, mistakes) else { continue };
        once(&mut seen, (entry.who.clone(), entry.role.clone(), entry.namespaces.clone()), entry.at, mistakes);
        all.push(entry);
    }
    all
}

fn grant(node: &Node, under: Under, providers: &Providers<'_>, mistakes: &mut Mistakes) -> Option<GrantEntry> {
    const ON_CLUSTER: &[&str] =
        &["person", "group", "sub", "kubelend-group", "account", "role", "namespaces", "until", "reason", "provider"];
    const FURTHER: &[&str] = &["person", "group", "sub", "kubelend-group", "role", "until", "reason", "provider"];
    let on_cluster = under == Under::Cluster;
    let (known, ways) = if on_cluster { (ON_CLUSTER, &WAYS[..]) } else { (FURTHER, &WAYS[..4]) };
    let fields = object(node, "grant", known, mistakes)?;
    let who = who(&fields, "grant", ways, providers, mistakes);
    let namespaces = if on_cluster { namespaces(&fields, mistakes) } else { Some(Vec::new()) };
    let whole = under != Under::Project && namespaces.as_ref().is_none_or(Vec::is_empty);
    let role = role(&fields, on_cluster, whole, mistakes);
    let until = end(&fields, mistakes);
    let reason =
        fields.text("reason", mistakes).map(|(text, at)| mistakes.keep(at, "write one short line", Reason::read(text)));
    let at_of = |field: &str| fields.node(field).map_or(fields.at, |node| node.at);
    let (until_at, reason_at) = (at_of("until"), at_of("reason"));
    let ((at, who), (role, role_at)) = (who?, role?);
    Some(GrantEntry {
        at,
        who,
        role_at,
        role,
        namespaces: namespaces?,
        until_at,
        until: until.ok()?,
        reason_at,
        reason: reason.unwrap_or(Some(None))?,
    })
}

/// The same entry twice in one list.
pub(super) fn once<K: std::hash::Hash + Eq>(seen: &mut HashMap<K, Place>, key: K, at: Place, mistakes: &mut Mistakes) {
    if let Some(first) = seen.insert(key, at) {
        mistakes.add(at, format!("the same stands in line {} already", first.line), "keep one of them");
    }
}

/// Whoever is named, in one of these ways.
pub(super) fn who(
    fields: &Fields<'_>,
    what: &str,
    ways: &[&'static str],
    providers: &Providers<'_>,
    mistakes: &mut Mistakes,
) -> Option<(Place, Who)> {
    let named: Vec<&'static str> = ways.iter().copied().filter(|way| fields.node(way).is_some()).collect();
    // A way to name somebody that is none here has been said already.
    if named.is_empty() && WAYS.iter().any(|way| !ways.contains(way) && fields.place(way).is_some()) {
        return None;
    }
    let [way] = named.as_slice() else {
        let problem = if named.is_empty() { "names nobody" } else { "names somebody in several ways" };
        let fix = format!("keep exactly one of {}", ways.join(", "));
        mistakes.add(fields.at, format!("this {what} {problem}"), fix);
        return None;
    };
    let (text, at) = fields.text(way, mistakes)?;
    if *way == "account" {
        let account = text.parse::<AccountName>();
        return Some((at, Who::Account(mistakes.keep(at, "write NAMESPACE/NAME", account)?)));
    }
    if *way == "kubelend-group" {
        let (name, everywhere) = apart(text);
        let name = mistakes.keep(at, "write it as the Groups page does", name.parse())?;
        return Some((at, Who::Own(Called { name, everywhere })));
    }
    // Both are looked at, so that both are said.
    let provider = providers.of(fields, mistakes);
    let who = match *way {
        "person" => {
            let email = mistakes.keep(at, "write the email that they sign in with", text.parse::<Email>());
            Who::Person(provider?, email?)
        }
        "group" => {
            let group = mistakes.keep(at, "write it as the provider does, without a prefix", group(text));
            Who::Group(provider?, group?)
        }
        _ => {
            let good = (1..=LONGEST_SUB).contains(&text.len()) && !text.chars().any(char::is_control);
            let sub = if good { Ok(text.to_owned()) } else { Err("this is no “sub” as providers give them") };
            let sub = mistakes.keep(at, "write it as the ID token has it", sub);
            Who::Sub(provider?, sub?)
        }
    };
    Some((at, who))
}

/// A name, and whether “(everywhere)” stands behind it.
fn apart(text: &str) -> (&str, bool) {
    text.strip_suffix(EVERYWHERE).map_or((text, false), |name| (name, true))
}

/// The name of a provider's group.
pub(super) fn group(text: &str) -> Result<String, String> {
    let read = name::group_name(text).map_err(|why| why.to_string())?;
    if read != text {
        return Err("there are spaces around the group's name".into());
    }
    // A cluster may put nothing before groups, and then this would be one of its own.
    if text.to_ascii_lowercase().starts_with("system:") {
        return Err("groups that begin with “system:” are Kubernetes' own and are given nothing".into());
    }
    Ok(text.to_owned())
}

/// The role of something that is given.
pub(super) fn role(
    fields: &Fields<'_>,
    on_cluster: bool,
    whole: bool,
    mistakes: &mut Mistakes,
) -> Option<(GivenRole, Place)> {
    const FIX: &str = "write view, edit, admin, cluster-admin, the name of a ClusterRole, “Role NAME” or “custom NAME”";
    let (text, at) = fields.required("role", "grant", mistakes)?;
    // Nor has one of those a space: a custom role and a ClusterRole of one name are two.
    if let Some(name) = text.strip_prefix("custom ") {
        let (name, everywhere) = apart(name);
        let name = mistakes.keep(at, "write it as the Roles page does", name.parse())?;
        return Some((GivenRole::Custom(Called { name, everywhere }), at));
    }
    // No ClusterRole's name has a space, so this is one of a namespace's own. So is what Kubelend makes in one, by its name alone.
    let read = match (text.strip_prefix("Role "), NamespaceRole::named(text)) {
        (Some(name), _) => Role::local(name),
        (None, Some(made)) => Ok(made.role()),
        (None, None) => Role::named(text),
    };
    let role = mistakes.keep(at, FIX, read)?;
    if !role.is_everywhere() && !on_cluster {
        let problem =
            format!("“{role}” may be something else on each cluster, so it is given on one cluster at a time");
        mistakes.add(at, problem, "give it under a cluster, choose view, edit or admin, or write “custom NAME”");
        return None;
    }
    let fix = if role.is_local() { "give it in namespaces, or in a project" } else { "choose admin here" };
    mistakes.keep(at, fix, role.fits(whole))?;
    Some((GivenRole::Role(role), at))
}

fn namespaces(fields: &Fields<'_>, mistakes: &mut Mistakes) -> Option<Vec<Namespace>> {
    let nodes = fields.list("namespaces", mistakes);
    if fields.node("namespaces").is_some() && nodes.is_empty() {
        let at = fields.node("namespaces").map_or(fields.at, |node| node.at);
        mistakes.add(at, "no namespace is named here", "name some, or leave “namespaces” out for the whole cluster");
        return None;
    }
    let mut all = Vec::new();
    for node in nodes {
        match &node.value {
            Value::Text(text) => {
                let name = text.parse::<Namespace>();
                all.extend(mistakes.keep(node.at, "write it as kubectl get namespaces shows it", name));
            }
            _ => mistakes.add(node.at, "a namespace is one plain text", "write its name"),
        }
    }
    if nodes.len() > MOST_NAMESPACES {
        mistakes.add(nodes[0].at, format!("at most {MOST_NAMESPACES} namespaces at once"), "make several grants of it");
    }
    if all.len() < nodes.len() {
        return None;
    }
    all.sort();
    all.dedup();
    Some(all)
}

/// Until when; an error where what is there is none, which has been said.
fn end(fields: &Fields<'_>, mistakes: &mut Mistakes) -> Result<Option<Timestamp>, ()> {
    if fields.node("until").is_none() {
        return Ok(None);
    }
    let (text, at) = fields.text("until", mistakes).ok_or(())?;
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    // A day is what it begins with; a time of day without its zone would be anybody's guess.
    let is_day = text.len() == "2027-01-31".len();
    let moment = if is_day { day() } else { text.parse::<jiff::Timestamp>().ok() };
    if moment.is_none() {
        let problem = format!("“{}” is no time", short(text));
        mistakes.add(at, problem, "write 2027-01-31 (as it begins, in UTC) or 2027-01-31T18:00:00Z");
    }
    moment.map(|moment| Some(Timestamp::from_secs(moment.as_second()))).ok_or(())
}
