//! The block `user_access` of a GitLab agent's configuration, as far as it can be mapped.
//!
//! It names GitLab's groups and projects, whose members may use a cluster. Kubelend knows no GitLab memberships, but groups of a
//! provider: which of them stands for which of GitLab's is said beside the block, and so is the role, which the block does not say.
//! What is not said is a mistake, never a guess.

use std::collections::BTreeMap;

use super::{
    GivenRole, GrantEntry, Who,
    fields::{Fields, Mistakes, object, short},
    grants::{self, Providers},
};
use crate::yaml::{Node, Place, Value};

/// How many groups, and how many projects, GitLab takes.
const MOST: usize = 500;
const AS_AGENT: &str =
    "GitLab's agent lets them act with its own rights; here each acts as themselves, with the role that is named";

/// What a cluster's `gitlab` comes to, and what is to be said of it.
pub(super) fn read(
    node: &Node,
    providers: &Providers<'_>,
    mistakes: &mut Mistakes,
) -> (Vec<GrantEntry>, Option<(Place, &'static str)>) {
    const KNOWN: &[&str] = &["user_access", "role", "groups", "projects", "provider"];
    let Some(fields) = object(node, "gitlab block", KNOWN, mistakes) else { return (Vec::new(), None) };
    let role = grants::role(&fields, true, true, mistakes);
    let Some(block) = fields.node("user_access") else {
        mistakes.add(fields.at, "this gitlab block has no “user_access”", "paste it from the agent's configuration");
        return (Vec::new(), None);
    };
    let Some(access) = object(block, "user_access block", &["access_as", "projects", "groups"], mistakes) else {
        return (Vec::new(), None);
    };
    let said = access_as(&access, mistakes);
    let mut entries: BTreeMap<String, GrantEntry> = BTreeMap::new();
    for list in ["groups", "projects"] {
        let mapped = mapped(&fields, list, mistakes);
        let ids = ids(&access, list, mistakes);
        for (id, at) in &mapped.1 {
            if !ids.iter().any(|(named, _)| named == id) {
                let problem = format!("“{}” is not among the {list} of user_access", short(id));
                mistakes.add(*at, problem, "take it out, or write it as user_access does");
            }
        }
        for (id, at) in ids {
            let Some(group) = mapped.0.get(id) else {
                let problem = format!("nothing says which of the provider's groups “{}” is", short(id));
                mistakes.add(at, problem, format!("add “{}: GROUP” to the gitlab block's “{list}”", short(id)));
                continue;
            };
            let provider = providers.of(&fields, mistakes);
            let (Some(provider), Some((role, role_at))) = (provider, role.clone()) else { continue };
            let who = Who::Group(provider, group.clone());
            entries.entry(group.clone()).or_insert_with(|| grant(at, who, role_at, role));
        }
    }
    (entries.into_values().collect(), said)
}

fn grant(at: Place, who: Who, role_at: Place, role: GivenRole) -> GrantEntry {
    GrantEntry {
        at,
        who,
        role_at,
        role,
        namespaces: Vec::new(),
        until_at: at,
        until: None,
        reason_at: at,
        reason: None,
    }
}

/// `{agent: {}}` or `{user: {}}`.
fn access_as(access: &Fields<'_>, mistakes: &mut Mistakes) -> Option<(Place, &'static str)> {
    let node = access.node("access_as")?;
    let Value::Map(fields) = &node.value else {
        mistakes.add(node.at, "access_as is “agent: {}” or “user: {}”", "paste it as the agent's configuration has it");
        return None;
    };
    match fields.as_slice() {
        [one] if one.key == "user" => None,
        [one] if one.key == "agent" => Some((one.at, AS_AGENT)),
        _ => {
            mistakes.add(node.at, "access_as is one of “agent” and “user”", "keep one of them");
            None
        }
    }
}

/// Which group of the provider each of GitLab's is, and where that is said.
fn mapped<'a>(
    fields: &Fields<'a>,
    list: &str,
    mistakes: &mut Mistakes,
) -> (BTreeMap<&'a str, String>, Vec<(&'a str, Place)>) {
    let (mut groups, mut places) = (BTreeMap::new(), Vec::new());
    let Some(node) = fields.node(list) else { return (groups, places) };
    let Value::Map(pairs) = &node.value else {
        mistakes.add(node.at, format!("“{list}” says which is which: named fields"), "write GITLAB/PATH: GROUP");
        return (groups, places);
    };
    for pair in pairs {
        places.push((pair.key.as_str(), pair.at));
        let Value::Text(text) = &pair.value.value else {
            mistakes.add(pair.value.at, "a group is one plain text", "write it as the provider does");
            continue;
        };
        let group = grants::group(text);
        if let Some(group) = mistakes.keep(pair.value.at, "write it as the provider does, without a prefix", group) {
            groups.insert(pair.key.as_str(), group);
        }
    }
    (groups, places)
}

/// The ids of a list of `{id: GITLAB/PATH}`.
fn ids<'a>(access: &Fields<'a>, list: &str, mistakes: &mut Mistakes) -> Vec<(&'a str, Place)> {
    let nodes = access.list(list, mistakes);
    if nodes.len() > MOST {
        mistakes.add(nodes[0].at, format!("GitLab takes at most {MOST} {list}"), "leave some out");
        return Vec::new();
    }
    let mut all = Vec::new();
    for node in nodes {
        let Some(fields) = object(node, "entry of user_access", &["id"], mistakes) else { continue };
        all.extend(fields.required("id", "entry of user_access", mistakes));
    }
    all
}
