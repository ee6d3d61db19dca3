//! Writing a file of entries, as it can be read again.

use serde::Serialize;

use super::{
    ClusterEntry, File, GrantEntry, GroupEntry, MemberEntry, On, ProjectEntry, RoleEntry, Who, WorkspaceEntry,
};
use crate::{
    model::{name::Namespace, provider::ProviderId, rbac::PolicyRule, reason::Reason},
    yaml,
};

#[derive(Serialize)]
struct Top<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Role<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Group<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    workspaces: Vec<Workspace<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant<'a>>,
}

#[derive(Serialize)]
struct Workspace<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Role<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Group<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Member<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    projects: Vec<Project<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clusters: Vec<Cluster<'a>>,
}

#[derive(Serialize)]
struct Role<'a> {
    name: &'a str,
    rules: &'a [PolicyRule],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    vouch: &'a [String],
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Takes {
    #[serde(skip_serializing_if = "Option::is_none")]
    editors: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewers: Option<bool>,
}

#[derive(Serialize)]
struct Member<'a> {
    #[serde(flatten)]
    who: Named<'a>,
    role: &'a str,
}

#[derive(Serialize)]
struct Project<'a> {
    name: &'a str,
    namespace: &'a str,
    #[serde(rename = "make-namespace", skip_serializing_if = "Option::is_none")]
    makes_namespace: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clusters: Option<Clusters<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<std::collections::BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<Takes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Member<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Clusters<'a> {
    All(&'static str),
    Listed(Vec<&'a str>),
}

#[derive(Serialize)]
struct Cluster<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant<'a>>,
}

#[derive(Serialize)]
struct Grant<'a> {
    #[serde(flatten)]
    who: Named<'a>,
    role: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(rename = "kubelend-group", skip_serializing_if = "Option::is_none")]
    own: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
}

/// The file with these entries; `providers` are those that the configuration has. Each of `comments` is a line before it, of plain words.
pub fn write(file: &File, providers: &[ProviderId], comments: &[String]) -> String {
    let several = providers.len() > 1;
    let top = Top {
        file: file.name.as_str(),
        roles: roles(&file.roles),
        groups: groups(&file.groups, several),
        workspaces: file.workspaces.iter().map(|workspace| self::workspace(workspace, several)).collect(),
        grants: grants(&file.grants, several),
    };
    // A comment ends with its line, whatever it says.
    let line = |comment: &String| format!("# {}\n", comment.replace(|c: char| c.is_control(), " "));
    comments.iter().map(line).collect::<String>() + &yaml::write(&top)
}

fn workspace(entry: &WorkspaceEntry, several: bool) -> Workspace<'_> {
    Workspace {
        name: entry.name.as_str(),
        id: entry.id.map(|(_, id)| id.to_string()),
        roles: roles(&entry.roles),
        groups: groups(&entry.groups, several),
        members: entry.members.iter().map(|member| self::member(member, several)).collect(),
        projects: entry.projects.iter().map(|project| self::project(project, several)).collect(),
        grants: grants(&entry.grants, several),
        clusters: entry.clusters.iter().map(|cluster| self::cluster(cluster, several)).collect(),
    }
}

fn roles(entries: &[RoleEntry]) -> Vec<Role<'_>> {
    entries.iter().map(|entry| Role { name: entry.name.as_str(), rules: &entry.rules, vouch: &entry.vouch }).collect()
}

fn groups(entries: &[GroupEntry], several: bool) -> Vec<Group<'_>> {
    entries
        .iter()
        .map(|entry| Group {
            name: entry.name.as_str(),
            kept: entry.kept.map(|(kept, _)| kept),
            members: entry.members.iter().map(|(_, who)| named(who, several)).collect(),
        })
        .collect()
}

fn member(entry: &MemberEntry, several: bool) -> Member<'_> {
    Member { who: named(&entry.who, several), role: entry.role.as_str() }
}

fn project(entry: &ProjectEntry, several: bool) -> Project<'_> {
    let (clusters, labels) = match &entry.on {
        On::All => (Some(Clusters::All("all")), None),
        On::Listed(names) => (Some(Clusters::Listed(names.iter().map(|(_, name)| name.as_str()).collect())), None),
        On::Labelled(labels) => (None, Some(labels.iter().collect())),
    };
    let said = entry.takes_editors.is_some() || entry.takes_viewers.is_some();
    Project {
        name: entry.name.as_str(),
        namespace: entry.namespace.as_str(),
        makes_namespace: entry.makes_namespace.map(|(makes, _)| makes),
        clusters,
        labels,
        takes: said.then_some(Takes { editors: entry.takes_editors, viewers: entry.takes_viewers }),
        members: entry.members.iter().map(|member| self::member(member, several)).collect(),
        grants: grants(&entry.grants, several),
    }
}

fn cluster(entry: &ClusterEntry, several: bool) -> Cluster<'_> {
    Cluster { name: entry.name.as_str(), grants: grants(&entry.grants, several) }
}

fn grants(entries: &[GrantEntry], several: bool) -> Vec<Grant<'_>> {
    entries.iter().map(|entry| grant(entry, several)).collect()
}

fn grant(entry: &GrantEntry, several: bool) -> Grant<'_> {
    Grant {
        who: named(&entry.who, several),
        role: entry.role.to_string(),
        namespaces: entry.namespaces.iter().map(Namespace::as_str).collect(),
        until: entry.until.map(|end| end.to_string()),
        reason: entry.reason.as_ref().map(Reason::as_str),
    }
}

fn named(who: &Who, several: bool) -> Named<'_> {
    let nobody = Named::default();
    let (provider, named) = match who {
        Who::Person(provider, email) => (Some(provider), Named { person: Some(email.as_str()), ..nobody }),
        Who::Sub(provider, sub) => (Some(provider), Named { sub: Some(sub), ..nobody }),
        Who::Group(provider, group) => (Some(provider), Named { group: Some(group), ..nobody }),
        Who::Own(group) => (None, Named { own: Some(group.to_string()), ..nobody }),
        Who::Account(account) => (None, Named { account: Some(account.to_string()), ..nobody }),
    };
    Named { provider: provider.filter(|_| several).map(ProviderId::as_str), ..named }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::read;

    fn ids(names: &[&str]) -> Vec<ProviderId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    const WHOLE: &str = include_str!("write/whole.yaml");

    /// Everything that does not say where it stands.
    fn without_places(file: &File) -> String {
        let text = format!("{file:?}");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("Place {") {
            out += before;
            rest = after.split_once('}').unwrap().1;
        }
        out + rest
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        for providers in [ids(&["dex"]), ids(&["dex", "other"])] {
            let text = if providers.len() > 1 { format!("provider: other\n{WHOLE}") } else { WHOLE.to_owned() };
            let file = read(&text, &providers).unwrap();
            let written = write(&file, &providers, &["By hand\nfile: evil".to_owned()]);
            let again = read(&written, &providers).unwrap_or_else(|why| panic!("{why:#?}\n{written}"));
            assert_eq!(without_places(&again), without_places(&file), "{written}");
            assert!(written.starts_with("# By hand file: evil\nfile: "), "{written}");
        }
    }

    #[test]
    fn immune_17_hostile_names_stay_names_in_a_written_file() {
        for hostile in [
            "- evil",
            "a: b",
            "a #b",
            "'\"",
            "{x: y}",
            "!!binary x",
            "&a",
            "*a",
            "yes",
            "0x1F",
            "| x",
            "x\u{2028}y",
            "é: 😀",
            "<<",
            "null",
            "~",
        ] {
            let text = format!("file: a\ngrants:\n  - {{group: {}, role: view}}\n", serde_json::Value::from(hostile));
            let file = read(&text, &ids(&["dex"])).unwrap_or_else(|why| panic!("{hostile}: {why:?}"));
            let written = write(&file, &ids(&["dex"]), &[]);
            let again = read(&written, &ids(&["dex"])).unwrap_or_else(|why| panic!("{why:?}\n{written}"));
            assert_eq!(again.grants[0].who, Who::Group(ids(&["dex"])[0].clone(), hostile.into()), "{written}");
        }
    }

    /// A text in which pieces were left out, doubled, or put elsewhere; `state` is where a simple sequence of numbers stands.
    fn mutated(text: &str, state: &mut u64) -> String {
        let mut next = |below: usize| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(*state >> 33).unwrap() % below.max(1)
        };
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=next(4) {
            let from = next(chars.len());
            let piece: Vec<char> = chars[from..].iter().take(1 + next(24)).copied().collect();
            let to = next(chars.len());
            match next(4) {
                0 => drop(chars.drain(from..from + piece.len())),
                1 => drop(chars.splice(to..to, piece)),
                2 => chars[to] = [' ', '\n', ':', '-', '"', '{', ']', ',', '\u{2028}', '0'][next(10)],
                _ => drop(chars.splice(to..(to + piece.len()).min(chars.len()), piece)),
            }
        }
        chars.into_iter().collect()
    }

    /// How many texts are tried.
    const MANY: usize = 3_000;

    #[test]
    fn immune_23_whatever_becomes_of_a_file_it_is_read_whole_or_told_what_is_wrong() {
        let (providers, mut state, mut good) = (ids(&["dex"]), 4711, 0);
        let mut text = WHOLE.to_owned();
        for _ in 0..MANY {
            let tried = mutated(&text, &mut state);
            match read(&tried, &providers) {
                Ok(file) => {
                    let written = write(&file, &providers, &[]);
                    let again = read(&written, &providers).unwrap_or_else(|why| panic!("{why:?}\n{written}\n{tried}"));
                    assert_eq!(without_places(&again), without_places(&file), "{tried}");
                    good += 1;
                    // What is still a file is where the next one begins, until little is left of it.
                    text = if tried.len() > 500 { tried } else { WHOLE.to_owned() };
                }
                Err(mistakes) => {
                    assert!(
                        !mistakes.is_empty() && mistakes.iter().all(|m| m.at.line > 0 && !m.fix.is_empty()),
                        "{tried}"
                    );
                }
            }
        }
        assert!(good > MANY / 100, "{good} of {MANY} were files still");
    }
}
