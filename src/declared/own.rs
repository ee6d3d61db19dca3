//! What a file defines of Kubelend's own: custom roles and Groups.

use std::collections::HashMap;

use super::{
    GroupEntry, RoleEntry,
    fields::{Fields, Mistakes, object},
    grants::Providers,
    members,
    read::unique,
    rules,
};
use crate::{
    model::custom_role::check_all,
    yaml::{Node, Place, Value},
};

/// How many words one vouches for at most: more than are ever named.
const MOST_WORDS: usize = 50;
/// And how long one of them is.
const LONGEST_WORDS: usize = 600;

/// Custom roles.
pub(super) fn roles(nodes: &[Node], mistakes: &mut Mistakes) -> Vec<RoleEntry> {
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let Some(fields) = object(node, "role", &["name", "rules", "vouch"], mistakes) else { continue };
        let name = fields
            .required("name", "role", mistakes)
            .and_then(|(text, at)| Some((mistakes.keep(at, "give it another name", text.parse())?, at)));
        let rules = role_rules(&fields, mistakes);
        let vouch = words(&fields, mistakes);
        let (Some((name, at)), Some((rules, rules_at))) = (name, rules) else { continue };
        let entry = RoleEntry { at, name, rules_at, rules, vouch };
        unique(&mut seen, entry.name.as_str(), at, mistakes);
        all.push(entry);
    }
    all
}

fn role_rules(fields: &Fields<'_>, mistakes: &mut Mistakes) -> Option<(Vec<crate::model::rbac::PolicyRule>, Place)> {
    let nodes = fields.list("rules", mistakes);
    let at = fields.node("rules").map_or(fields.at, |node| node.at);
    let all: Vec<_> = nodes.iter().filter_map(|node| rules::rule(node, mistakes)).collect();
    if all.len() < nodes.len() {
        return None;
    }
    let checked = check_all(&all).map_err(|why| why.trim_end_matches('.').to_owned());
    mistakes.keep(at, "write the rules of a ClusterRole", checked)?;
    Some((all, at))
}

fn words(fields: &Fields<'_>, mistakes: &mut Mistakes) -> Vec<String> {
    let nodes = fields.list("vouch", mistakes);
    if nodes.len() > MOST_WORDS {
        mistakes.add(nodes[0].at, format!("at most {MOST_WORDS} words"), "leave out what was said before");
        return Vec::new();
    }
    let mut all = Vec::new();
    for node in nodes {
        match &node.value {
            Value::Text(text) if text.len() <= LONGEST_WORDS && !text.chars().any(char::is_control) => {
                all.push(text.clone());
            }
            _ => mistakes.add(node.at, "“vouch” holds short plain texts", "write it as the answer has it: get secrets"),
        }
    }
    all
}

/// Groups; those of all workspaces are always kept.
pub(super) fn groups(
    nodes: &[Node],
    of_workspace: bool,
    providers: &Providers<'_>,
    mistakes: &mut Mistakes,
) -> Vec<GroupEntry> {
    let known: &[&str] = if of_workspace { &["name", "kept", "members"] } else { &["name", "members"] };
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let Some(fields) = object(node, "group", known, mistakes) else { continue };
        let name = fields
            .required("name", "group", mistakes)
            .and_then(|(text, at)| Some((mistakes.keep(at, "give it another name", text.parse())?, at)));
        let kept = yes(&fields, "kept", mistakes);
        let members = members::in_group(fields.list("members", mistakes), providers, mistakes);
        let Some((name, at)) = name else { continue };
        let entry = GroupEntry { at, name, kept, members };
        unique(&mut seen, entry.name.as_str(), at, mistakes);
        all.push(entry);
    }
    all
}

/// The field's `true` or `false`, and where it stands; nothing where it says nothing.
pub(super) fn yes(fields: &Fields<'_>, name: &str, mistakes: &mut Mistakes) -> Option<(bool, Place)> {
    let (text, at) = fields.text(name, mistakes)?;
    match text {
        "true" => Some((true, at)),
        "false" => Some((false, at)),
        _ => {
            mistakes.add(at, format!("“{name}” is true or false"), "write one of them");
            None
        }
    }
}
