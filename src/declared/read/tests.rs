use super::*;
use crate::{
    declared::{GivenRole, GrantEntry, Who},
    model::{role::Role, time::Timestamp, workspace::MemberRole},
};

fn dex() -> Vec<ProviderId> {
    vec!["dex".parse().unwrap()]
}

fn good(text: &str) -> File {
    read(text, &dex()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// The mistakes as `LINE:COLUMN problem`.
fn wrong(text: &str) -> Vec<String> {
    let mistakes = read(text, &dex()).expect_err("it was taken");
    assert!(mistakes.iter().all(|m| !m.fix.is_empty()), "{mistakes:?}");
    mistakes.into_iter().map(|m| format!("{}:{} {}", m.at.line, m.at.column, m.problem)).collect()
}

/// Fails unless this is all that is wrong with a text.
#[track_caller]
fn only(text: &str, at: &str, words: &str) {
    let all = wrong(text);
    assert!(
        matches!(all.as_slice(), [one] if one.starts_with(&format!("{at} ")) && one.contains(words)),
        "{all:#?}\n{text}"
    );
}

const WHOLE: &str = include_str!("../write/whole.yaml");

#[test]
fn a_whole_file_is_read_with_its_places() {
    let file = good(WHOLE);
    assert_eq!(file.name.as_str(), "access");
    let payments = &file.workspaces[0];
    assert_eq!((payments.name.as_str(), payments.at), ("Payments", Place { line: 10, column: 11 }));
    assert_eq!(payments.members[0].role, MemberRole::Owner);
    assert_eq!(payments.members[1].who, Who::Group(dex()[0].clone(), "devs".into()));
    let [shop, all, two] = payments.projects.as_slice() else { panic!("{payments:?}") };
    assert!(matches!(&shop.on, On::Labelled(labels) if labels.to_string() == "env=production, tier=1"));
    assert_eq!(all.on, On::All);
    assert!(matches!(&two.on, On::Listed(listed) if listed.len() == 2 && listed[1].1.as_str() == "production"));
    assert_eq!(payments.grants[0].reason.as_ref().unwrap().as_str(), "on call");
    let [bob, sub, account, on_call]: &[GrantEntry] = payments.clusters[0].grants.as_slice() else {
        panic!("{payments:?}")
    };
    assert_eq!(bob.until, Some(Timestamp::from_secs(1_801_353_600)));
    assert_eq!((bob.role.to_string().as_str(), bob.at.column, bob.role_at.column), ("view", 22, 45));
    assert_eq!(sub.namespaces.iter().map(Namespace::as_str).collect::<Vec<_>>(), ["payments", "shop"]);
    assert!(matches!(&sub.role, GivenRole::Role(role) if role.is_named()));
    assert!(matches!(&sub.who, Who::Sub(_, sub) if sub == "CgNib2I"));
    assert_eq!(account.until, Some(Timestamp::from_secs(1_801_353_600 + 16 * 3600)));
    assert_eq!(account.who.to_string(), "ServiceAccount ci/deployer");
    assert_eq!(file.grants[0].role, GivenRole::Role(Role::ClusterAdmin));
    assert_eq!(on_call.who.to_string(), "Kubelend group On call");
    assert_eq!(on_call.role.to_string(), "custom node-looker (everywhere)");
}

#[test]
fn roles_groups_and_what_projects_take_over_are_read() {
    let file = good(WHOLE);
    let payments = &file.workspaces[0];
    let [role] = payments.roles.as_slice() else { panic!("{payments:?}") };
    assert_eq!(
        (role.name.as_str(), role.rules.len(), role.vouch.as_slice()),
        ("log-reader", 1, &["get pods/log".to_owned()][..])
    );
    assert_eq!((file.roles[0].rules.len(), file.roles[0].rules[1].urls.as_slice()), (2, &["/metrics".to_owned()][..]));
    let [on_call, ops, empty] = payments.groups.as_slice() else { panic!("{payments:?}") };
    assert_eq!((on_call.kept.map(|(kept, _)| kept), on_call.members.len()), (Some(true), 2));
    assert_eq!((ops.name.as_str(), ops.kept.map(|(kept, _)| kept), empty.kept), ("Ops #2", Some(false), None));
    assert!(
        matches!(&payments.members[3].who, Who::Own(called) if called.everywhere && called.name.as_str() == "Guests")
    );
    let [shop, all, _] = payments.projects.as_slice() else { panic!("{payments:?}") };
    assert_eq!((shop.takes_editors, shop.takes_viewers), (Some(false), Some(true)));
    assert_eq!((all.takes_editors, all.takes_viewers, all.makes_namespace), (None, Some(false), None));
    assert!(shop.makes_namespace.is_some_and(|(makes, _)| makes) && shop.members.len() == 2);
}

#[test]
fn a_file_without_entries_says_that_there_is_nothing() {
    let file = good("file: access\nworkspaces:\ngrants: []\n");
    assert!(file.workspaces.is_empty() && file.grants.is_empty());
}

/// One grant on every cluster.
fn wide(grant: &str) -> String {
    format!("file: a\ngrants:\n  - {grant}\n")
}

/// One grant on one cluster.
fn on_cluster(grant: &str) -> String {
    format!("file: a\nworkspaces:\n  - name: W\n    clusters:\n      - name: c\n        grants:\n          - {grant}\n")
}

#[test]
fn each_mistake_has_its_line_and_column() {
    for (text, at, words) in [
        ("workspaces: []\n", "1:1", "has no “file”"),
        ("file: My access\n", "1:7", "lower-case"),
        ("file: a\nworkspace: []\n", "2:1", "has no “workspace”"),
        ("file: a\ngrants: {}\n", "2:9", "is a list"),
        ("file: a\ngrants:\n  - view\n", "3:5", "this is no grant"),
        ("- file: a\n", "1:1", "this is no access file"),
        ("file: a\nfile: b\n", "2:1", "twice"),
        ("file: [a]\n", "1:7", "one plain text"),
        ("file: a\nprovider: dexx\n", "2:11", "no provider “dexx”"),
        (&wide("{group: devs, rol: view, role: view}"), "3:19", "has no “rol”"),
        (&wide("{group: devs}"), "3:5", "has no “role”"),
        (&wide("{role: view}"), "3:5", "names nobody"),
        (&wide("{person: a@example.com, group: devs, role: view}"), "3:5", "several ways"),
        (&wide("{person: a@b@example.com, role: view}"), "3:14", "no email address"),
        (&wide("{group: \" devs\", role: view}"), "3:13", "spaces"),
        (&wide("{group: devs, role: \"*\"}"), "3:25", "role's name"),
        (&wide("{group: devs, role: log-reader}"), "3:25", "one cluster at a time"),
        (&wide("{group: devs, role: view, until: tomorrow}"), "3:38", "is no time"),
        (&wide("{group: devs, role: view, until: 2027-01-31T18:00}"), "3:38", "is no time"),
        (&wide("{group: devs, role: view, until: 2027-02-30}"), "3:38", "is no time"),
        (&wide("{group: devs, role: view, reason: \"a\\nb\"}"), "3:39", "one line"),
        (&wide("{group: devs, role: view, namespaces: [a]}"), "3:31", "has no “namespaces”"),
        (&wide("{account: a/b, role: view}"), "3:6", "has no “account”"),
        (&wide("{group: devs, role: view, provider: other}"), "3:41", "no provider"),
        (&wide("{group: devs, role: view}\n  - {role: view, group: devs}"), "4:25", "line 3"),
        (&on_cluster("{account: ci, role: view}"), "7:23", "namespace"),
        (&on_cluster("{group: devs, role: view, namespaces: []}"), "7:51", "no namespace"),
        (&on_cluster("{group: devs, role: view, namespaces: [A]}"), "7:52", "no namespace name"),
        (&on_cluster("{group: devs, role: cluster-admin, namespaces: [a]}"), "7:33", "whole cluster"),
        ("file: a\nworkspaces:\n  - name: W\n  - name: w\n", "4:11", "line 3"),
        ("file: a\nworkspaces:\n  - id: 7\n    name: W\n", "3:9", "no workspace's id"),
        ("file: a\nworkspaces:\n  - name: W\n    members: [{person: a@example.com, role: boss}]\n", "4:45", "boss"),
        (
            "file: a\nroles: [{name: view, rules: [{apiGroups: [a], resources: [a], verbs: [get]}]}]\n",
            "2:16",
            "another role",
        ),
        ("file: a\nroles:\n  - {name: r}\n", "3:5", "at least one rule"),
        ("file: a\nroles:\n  - {name: r, rules: [{verbs: [get], resources: [pods]}]}\n", "3:23", "API group"),
        (
            "file: a\nroles:\n  - {name: r, rules: [{apiGroups: [\"\"], verb: [get], resources: [pods], verbs: [get]}]}\n",
            "3:41",
            "has no “verb”",
        ),
        ("file: a\ngroups: [{name: G, kept: true}]\n", "2:20", "has no “kept”"),
        ("file: a\ngroups: [{name: G}, {name: g}]\n", "2:28", "line 2"),
        ("file: a\ngroups: [{name: G, members: [{kubelend-group: H}]}]\n", "2:31", "has no “kubelend-group”"),
        ("file: a\ngroups: [{name: G, members: [{group: h}, {group: h}]}]\n", "2:50", "line 2"),
        ("file: a\nworkspaces:\n  - name: W\n    groups: [{name: G, kept: yes}]\n", "4:30", "true or false"),
        (&wide("{kubelend-group: \"\", role: view}"), "3:22", "name"),
        (&wide("{group: devs, role: custom View}"), "3:25", "lower-case"),
        (&wide("{kubelend-group: G, group: devs, role: view}"), "3:5", "several ways"),
    ] {
        only(text, at, words);
    }
}

#[test]
fn a_project_says_on_which_clusters_it_is_in_one_way() {
    let project = |rest: &str| {
        format!("file: a\nworkspaces:\n  - name: W\n    projects:\n      - {{name: P, namespace: p{rest}}}\n")
    };
    for (rest, at, words) in [
        ("", "5:9", "on which clusters"),
        (", clusters: some", "5:43", "names no clusters"),
        (", clusters: []", "5:43", "names no clusters"),
        (", clusters: [\"a b\"]", "5:44", "letters"),
        (", clusters: [a, A]", "5:47", "line 5"),
        (", labels: {}", "5:41", "no label"),
        (", labels: {a: {}}", "5:45", "plain text"),
        (", labels: {\"a=b, c\": d}", "5:42", "neither spaces"),
        (", clusters: all, labels: {a: b}", "5:56", "not both"),
        (", clusters: all, takes: {owners: true}", "5:56", "has no “owners”"),
        (", clusters: all, takes: true", "5:55", "no switch"),
        (", clusters: all, takes: {editors: 1}", "5:65", "true or false"),
        (", clusters: all, make-namespace: maybe", "5:64", "true or false"),
    ] {
        only(&project(rest), at, words);
    }
    let file = good(&project(", labels: {empty: }"));
    assert!(matches!(&file.workspaces[0].projects[0].on, On::Labelled(l) if l.to_string() == "empty="));
}

#[test]
fn all_mistakes_are_found_at_once_and_in_order() {
    let all = wrong("fil: a\ngrants:\n  - {group: devs, rol: view}\n  - {person: x, role: \"\"}\n");
    let places: Vec<&str> = all.iter().map(|m| m.split(' ').next().unwrap()).collect();
    assert_eq!(places, ["1:1", "1:1", "3:5", "3:19", "4:14", "4:23"], "{all:#?}");
}

#[test]
fn several_providers_are_told_apart() {
    let both: Vec<ProviderId> = vec!["dex".parse().unwrap(), "keycloak".parse().unwrap()];
    let one = wide("{group: devs, role: view}");
    assert!(read(&one, &both).unwrap_err()[0].problem.contains("several providers"));
    let named = read(&wide("{group: devs, role: view, provider: keycloak}"), &both).unwrap();
    assert_eq!(named.grants[0].who, Who::Group(both[1].clone(), "devs".into()));
    let top = read(&format!("provider: keycloak\n{one}"), &both).unwrap();
    assert_eq!(top.grants[0].who, named.grants[0].who);
    // The same name at two providers is two groups.
    let twice = "{group: devs, role: view, provider: dex}\n  - {group: devs, role: view, provider: keycloak}";
    assert_eq!(read(&wide(twice), &both).unwrap().grants.len(), 2);
}

#[test]
fn immune_11_a_file_names_nothing_of_kubernetes_own() {
    for group in ["system:masters", "System:Masters", "SYSTEM:authenticated"] {
        only(&wide(&format!("{{group: \"{group}\", role: view}}")), "3:13", "Kubernetes' own");
        let member =
            format!("file: a\nworkspaces:\n  - name: W\n    members: [{{group: \"{group}\", role: viewer}}]\n");
        only(&member, "4:23", "Kubernetes' own");
    }
    only(&on_cluster("{group: devs, role: \"system:node\"}"), "7:33", "Kubernetes' own");
    only(&on_cluster("{account: \"kube-system/system:x\", role: view}"), "7:23", "");
}

#[test]
fn immune_23_a_file_is_bounded_in_every_direction() {
    let too_large = format!("file: a\n# {}", "x".repeat(MAX_BYTES));
    assert!(wrong(&too_large)[0].contains("KiB"));
    let many = (0..=MAX_ENTRIES).map(|n| format!("  - {{group: g{n}, role: view}}\n")).collect::<Vec<_>>().concat();
    only(&format!("file: a\ngrants:\n{many}"), "1:1", "are the most");
    let bomb = "file: a\na: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\ngrants: [*c, *c]\n";
    assert!(wrong(bomb).iter().all(|m| m.contains("are not read")));
    assert!(!wrong(&format!("file: a\ngrants: {}", "[".repeat(500_000))).is_empty());
    for merge in
        ["file: a\n<<: {grants: []}\n", "file: !!str a\n", "%YAML 1.1\n---\nfile: a\n", "file: a\n---\nfile: b\n"]
    {
        assert!(!wrong(merge).is_empty());
    }
    let namespaces = (0..51).map(|n| format!("n{n}")).collect::<Vec<_>>().join(", ");
    assert!(
        wrong(&on_cluster(&format!("{{group: g, role: view, namespaces: [{namespaces}]}}")))[0].contains("at most 50")
    );
    // However much is wrong, what is said stays readable.
    let wrongs = (0..1000).map(|n| format!("  - {{grp: g{n}}}\n")).collect::<Vec<_>>().concat();
    assert_eq!(wrong(&format!("file: a\ngrants:\n{wrongs}")).len(), 100);
}

fn with_gitlab(block: &str) -> String {
    let block = block.lines().map(|line| format!("          {line}\n")).collect::<Vec<_>>().concat();
    format!("file: a\nworkspaces:\n  - name: W\n    clusters:\n      - name: c\n        gitlab:\n{block}")
}

const USER_ACCESS: &str = "\
role: edit
groups: {acme/platform: platform}
projects: {acme/shop: shop, acme/pay: platform}
user_access:
  access_as: {user: {}}
  groups:
    - id: acme/platform
  projects:
    - id: acme/shop
    - id: acme/pay
";

#[test]
fn gitlab_s_user_access_is_what_it_is_said_to_stand_for() {
    let file = good(&with_gitlab(USER_ACCESS));
    let given: Vec<String> =
        file.workspaces[0].clusters[0].grants.iter().map(|g| format!("{} {}", g.who, g.role)).collect();
    assert_eq!(given, ["group platform edit", "group shop edit"]);
    assert_eq!(file.notes, []);
    // Nobody acts as the agent here, and that is said.
    let as_agent = good(&with_gitlab(&USER_ACCESS.replace("{user: {}}", "{agent: {}}")));
    assert!(as_agent.notes[0].1.contains("each acts as themselves"));
    // What cannot be mapped is a mistake with its place.
    for (from, to, at, words) in [
        ("projects: {acme/shop: shop, acme/pay: platform}", "projects: {acme/shop: shop}", "16:21", "acme/pay"),
        ("groups: {acme/platform: platform}", "groups: {acme/platform: platform, acme/x: x}", "8:45", "not among"),
        ("role: edit\n", "\n", "8:11", "no “role”"),
        ("platform}\nprojects", "\"system:masters\"}\nprojects", "8:35", "Kubernetes' own"),
        ("{user: {}}", "{user: {}, agent: {}}", "11:24", "one of"),
        ("  groups:\n", "  grupos: []\n  groups:\n", "12:13", "grupos"),
    ] {
        let text = with_gitlab(&USER_ACCESS.replacen(from, to, 1));
        let all = wrong(&text);
        assert!(
            all.iter().any(|m| m.starts_with(&format!("{at} ")) && m.contains(words)),
            "{at} {words}: {all:#?}\n{text}"
        );
    }
}
