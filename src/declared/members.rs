//! Who is a member of what, as a file says it: of workspaces, projects and Groups.

use std::collections::HashMap;

use super::{
    MemberEntry, Who,
    fields::{Mistakes, object, short},
    grants::{Providers, WAYS, once, who},
};
use crate::{
    model::workspace::MemberRole,
    yaml::{Node, Place},
};

/// The members of a workspace or of a project.
pub(super) fn members(nodes: &[Node], providers: &Providers<'_>, mistakes: &mut Mistakes) -> Vec<MemberEntry> {
    const KNOWN: &[&str] = &["person", "group", "sub", "kubelend-group", "role", "provider"];
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let Some(fields) = object(node, "member", KNOWN, mistakes) else { continue };
        let who = who(&fields, "member", &WAYS[..4], providers, mistakes);
        let role = fields.required("role", "member", mistakes).and_then(|(text, at)| {
            let role = MemberRole::parse(text);
            if role.is_none() {
                let problem = format!("“{}” is no role of a member", short(text));
                mistakes.add(at, problem, "choose viewer, editor or owner");
            }
            role
        });
        let (Some((at, who)), Some(role)) = (who, role) else { continue };
        once(&mut seen, who.clone(), at, mistakes);
        all.push(MemberEntry { at, who, role });
    }
    all
}

/// Who is in a Group. Groups are in no Groups.
pub(super) fn in_group(nodes: &[Node], providers: &Providers<'_>, mistakes: &mut Mistakes) -> Vec<(Place, Who)> {
    const KNOWN: &[&str] = &["person", "group", "sub", "provider"];
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let Some(fields) = object(node, "member", KNOWN, mistakes) else { continue };
        let Some((at, who)) = who(&fields, "member", &WAYS[..3], providers, mistakes) else { continue };
        once(&mut seen, who.clone(), at, mistakes);
        all.push((at, who));
    }
    all
}
