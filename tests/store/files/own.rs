//! What a file says of custom roles, of Groups of our own and of the people of projects.

use kubelend::{
    access::{AccessError, Groups},
    model::{
        audit::Action,
        federation::WideScope,
        grant::Grantee,
        group::{Group, GroupMember},
        id::{CustomRoleId, GroupId},
        identity::Identity,
        project::{Project, Takes},
        rbac::PolicyRule,
        workspace::{Member, MemberRole, Seats},
    },
    store::{NewCustomRole, NewGroup, NewSeat, Widening},
};

use super::{
    super::bed::{Bed, NOW, draft, provider},
    *,
};

both!(
    roles_groups_and_members_are_made_as_a_file_says_and_applied_twice_nothing_changes,
    immune_25_what_stops_between_roles_groups_and_members_is_finished_by_the_next,
    roles_and_groups_that_somebody_made_by_hand_are_left_alone,
    what_others_use_of_a_file_s_roles_and_groups_stays,
    immune_28_a_file_gives_nobody_more_of_a_role_without_the_word_for_it,
    immune_28_a_group_that_editors_change_gets_by_a_file_what_it_gets_on_its_page,
    a_name_means_the_nearer_role_and_group_and_mistakes_have_their_places,
    immune_28_what_somebody_makes_nearer_by_gets_nothing_that_a_file_meant_for_another,
    immune_28_what_a_file_takes_back_goes_also_where_something_could_not_be_given,
    immune_28_a_project_of_a_file_is_never_seen_by_whom_it_shuts_out,
    a_new_group_s_name_separates_no_list_and_an_old_one_stays,
    roles_and_groups_as_a_file_change_nothing_when_it_is_applied,
    immune_28_a_file_of_a_workspace_shows_no_project_that_its_reader_is_shut_out_of,
);

const OWN: &str = "\
file: access
roles:
  - name: node-looker
    rules: [{apiGroups: [\"\"], resources: [nodes], verbs: [get]}]
groups:
  - name: Guests
    members: [{group: guests}]
workspaces:
  - name: Home
    roles:
      - name: log-reader
        rules: [{apiGroups: [\"\"], resources: [pods/log], verbs: [get]}]
    groups:
      - name: On call
        kept: true
        members: [{person: carol@example.com}, {person: unseen@example.com}, {group: devs}]
      - {name: Empty}
    members:
      - {kubelend-group: On call, role: editor}
    projects:
      - name: Shop
        namespace: shop
        make-namespace: true
        clusters: all
        takes: {editors: false}
        members:
          - {person: carol@example.com, role: owner}
          - {kubelend-group: Guests, role: viewer}
        grants:
          - {kubelend-group: On call, role: custom log-reader}
          - {kubelend-group: Empty, role: edit}
    grants:
      - {group: devs, role: custom node-looker}
    clusters:
      - name: staging
        grants:
          - {kubelend-group: On call, role: edit, namespaces: [shop, payments]}
          - {kubelend-group: Guests, role: view}
grants:
  - {kubelend-group: Guests (everywhere), role: view}
";

/// Alice's workspace `Home` with its cluster, and carol, who has signed in.
async fn house(bed: &Bed) -> (Identity, Cluster) {
    let alice = bed.person("alice").await;
    bed.person("carol").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    (alice, cluster)
}

async fn project(bed: &Bed, cluster: &Cluster) -> Project {
    bed.store.projects_of(cluster.workspace).await.unwrap().pop().unwrap()
}

async fn roles_groups_and_members_are_made_as_a_file_says_and_applied_twice_nothing_changes(bed: Bed) {
    let (_, cluster) = house(&bed).await;
    let before = bed.events_in_all().await;
    let planned = bed.plan(OWN).await;
    assert_eq!(bed.events_in_all().await, before, "a look writes nothing");
    let plan = bed.apply(OWN).await;
    assert_eq!(steps(&plan), steps(&planned));
    assert_eq!(
        steps(&plan),
        [
            "+ role all workspaces, role node-looker: 1 rule",
            "+ role Home, role log-reader: 1 rule",
            "+ group all workspaces, group Guests",
            "+ group Home, group On call: only owners change it",
            "+ group Home, group Empty",
            "+ project Home, project Shop: namespace shop, on every cluster; takes over viewers, and editors as viewers",
            "~ project Home, project Shop: its namespace is made where it is missing",
            "+ member all workspaces, group Guests: group guests is in it",
            "+ member Home, group On call: carol@example.com is in it",
            "+ member Home, group On call: unseen@example.com is in it",
            "+ member Home, group On call: group devs is in it",
            "+ member Home, project Shop: carol@example.com is owner",
            "+ member Home: Kubelend group On call is editor",
            "+ member Home, project Shop: Kubelend group Guests is viewer",
            "+ grant every cluster: Kubelend group Guests has view",
            "+ grant Home: group devs has custom node-looker",
            "+ grant Home, project Shop: Kubelend group On call has custom log-reader",
            "+ grant Home, project Shop: Kubelend group Empty has edit",
            "+ grant Home, cluster staging, namespaces payments, shop: Kubelend group On call has edit",
            "+ grant Home, cluster staging: Kubelend group Guests has view",
        ]
    );
    assert_eq!(remarks(&plan), Vec::<String>::new());
    assert_eq!(bed.events_in_all().await, before + plan.changes.len(), "an event for each step");
    let shop = project(&bed, &cluster).await;
    assert_eq!((shop.takes, shop.makes_namespace), (Takes { editors: false, viewers: true }, true));
    // For each member of the Groups there is a grant: three by one, three more in the namespaces, two of guests, and devs themselves.
    let placed = "SELECT COUNT(*) FROM grants WHERE federated_id IS NOT NULL AND ended IS NULL";
    assert_eq!(bed.number(placed).await, 9);

    let before = bed.events_in_all().await;
    let again = bed.apply(OWN).await;
    assert_eq!((steps(&again), remarks(&again)), (Vec::new(), Vec::new()));
    assert_eq!(bed.events_in_all().await, before);
    // Whoever signs in is the one who was meant.
    bed.person("unseen").await;
    assert_eq!(steps(&bed.plan(OWN).await), Vec::<String>::new());

    // What it says otherwise is changed, and nothing else.
    let other = OWN.replace("takes: {editors: false}", "takes: {viewers: false, editors: true}");
    let other = other
        .replace("On call, role: editor", "On call, role: viewer")
        .replace("resources: [nodes]", "resources: [pods]");
    let other =
        other.replace("resources: [pods], verbs: [get]}]", "resources: [pods], verbs: [get]}]\n    vouch: [get pods]");
    let plan = bed.apply(&other).await;
    assert_eq!(
        steps(&plan),
        [
            "~ role all workspaces, role node-looker: 1 rule, more by get pods",
            "~ project Home, project Shop: takes over editors, and no viewers",
            "~ member Home: Kubelend group On call is viewer, was editor",
        ]
    );

    // What it says no longer goes, and all of it was the file's.
    let plan = bed.apply(&home("")).await;
    assert!(plan.changes.iter().all(|change| change.kind == Kind::Remove), "{:#?}", steps(&plan));
    for table in ["custom_roles", "own_groups", "own_group_members", "projects", "project_members", "workspace_groups"]
    {
        assert_eq!(bed.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants WHERE ended IS NULL").await, 0);
    assert_eq!(steps(&bed.plan(&home("")).await), Vec::<String>::new());
}

async fn immune_25_what_stops_between_roles_groups_and_members_is_finished_by_the_next(bed: Bed) {
    house(&bed).await;
    let parts = parts(&bed.store, &Clock::fixed(NOW));
    let none = home("");
    let all = parts.plan(&file(OWN)).await.unwrap().changes.len();
    for stops_after in 0..=all {
        for text in [OWN, none.as_str()] {
            let mut plan = parts.plan(&file(text)).await.unwrap();
            let full = plan.changes.len();
            plan.changes.truncate(stops_after);
            Box::pin(parts.carry_out(&plan)).await.unwrap();
            let rest = parts.plan(&file(text)).await.unwrap();
            let left = full - stops_after.min(full);
            assert_eq!(rest.changes.len(), left, "stopped after {stops_after}: {:?}", steps(&rest));
            Box::pin(parts.carry_out(&rest)).await.unwrap();
            let after = parts.plan(&file(text)).await.unwrap();
            assert_eq!((steps(&after), remarks(&after)), (Vec::new(), Vec::new()), "stopped after {stops_after}");
        }
    }
}

fn rule(what: &str) -> PolicyRule {
    PolicyRule {
        verbs: vec!["get".into()],
        groups: vec![String::new()],
        resources: vec![what.into()],
        ..PolicyRule::default()
    }
}

async fn group_by(bed: &Bed, cluster: &Cluster, who: &Identity, name: &str, owners_only: bool) -> Group {
    let id = GroupId::new();
    let (workspace, created_by) = (Some(cluster.workspace), who.id);
    let new = NewGroup { id, workspace, name: name.parse().unwrap(), owners_only, created_by };
    bed.store.add_group(&new, draft(Action::GroupAdded), NOW).await.unwrap();
    bed.store.group(id).await.unwrap()
}

async fn joins(bed: &Bed, group: &Group, who: Grantee, by: &Identity) {
    let member = GroupMember { who, since: NOW, by: by.id };
    bed.store.add_group_member(group, &member, false, draft(Action::GroupMemberAdded), NOW).await.unwrap();
}

async fn roles_and_groups_that_somebody_made_by_hand_are_left_alone(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let on_call = group_by(&bed, &cluster, &alice, "ON CALL", false).await;
    joins(&bed, &on_call, Grantee::Group(provider("dex"), "devs".into()), &alice).await;
    let id = CustomRoleId::new();
    let name = "log-reader".parse().unwrap();
    let new =
        NewCustomRole { id, workspace: Some(cluster.workspace), name, rules: vec![rule("pods")], created_by: alice.id };
    bed.store.add_custom_role(&new, draft(Action::CustomRoleAdded), NOW).await.unwrap();
    let text = home(
        "    roles: [{name: log-reader, rules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]}]\n    \
         groups: [{name: On call, members: [{group: devs}, {group: ops}]}]\n    \
         grants: [{kubelend-group: On call, role: view}]\n",
    );
    // Who is in it is not for owners alone to say, as the file would have it.
    let wrong = bed.wrong(&text.replace("On call, members", "On call, kept: true, members")).await;
    assert_eq!(wrong, ["5:36 somebody else has made this group, and editors change who is in it"]);
    let plan = bed.apply(&text).await;
    assert_eq!(
        steps(&plan),
        ["+ member Home, group On call: group ops is in it", "+ grant Home: Kubelend group ON CALL has view"]
    );
    assert_eq!(
        remarks(&plan),
        [
            "role Home, role log-reader: left alone with other rules, since it is not because of this file",
            "group Home, group On call: there already, and not because of this file",
            "member Home, group On call: group devs is in it already, and not because of this file",
        ]
    );
    assert_eq!(bed.store.custom_role(id).await.unwrap().rules, [rule("pods")]);
    assert!(!bed.store.group(on_call.id).await.unwrap().owners_only);
    // Only what it gave goes, also where the file does not name the workspace any more.
    let plan = bed.apply("file: access\n").await;
    assert_eq!(
        steps(&plan),
        ["- grant Home: Kubelend group ON CALL has view", "- member Home, group ON CALL: group ops"]
    );
    assert_eq!(bed.store.group_members(on_call.id).await.unwrap().len(), 1);
}

async fn what_others_use_of_a_file_s_roles_and_groups_stays(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let text = home(
        "    roles: [{name: log-reader, rules: [{apiGroups: [\"\"], resources: [pods/log], verbs: [get]}]}]\n    \
         groups: [{name: On call, kept: true, members: [{group: devs}]}]\n    \
         members: [{kubelend-group: On call, role: viewer}]\n",
    );
    bed.apply(&text).await;
    let group = bed.store.groups_of(Some(cluster.workspace)).await.unwrap().pop().unwrap();
    let role = bed.store.custom_roles_of(Some(cluster.workspace)).await.unwrap().pop().unwrap();
    joins(&bed, &group, Grantee::Group(provider("dex"), "by-hand".into()), &alice).await;
    let given = kubelend::store::NewGrant {
        role: Some(role.role.clone()),
        ..new_grant(&cluster, Grantee::Group(provider("dex"), "loggers".into()))
    };
    bed.store.add_grant(&given, draft(Action::GrantAdded), NOW).await.unwrap();
    let plan = bed.apply(&home("")).await;
    assert_eq!(steps(&plan), ["- member Home, group On call: group devs", "- member Home: Kubelend group On call"]);
    assert_eq!(
        remarks(&plan),
        [
            "group Home, group On call: stays, since somebody else has added members, or given it something",
            "role Home, role log-reader: stays, since somebody holds it, or a share link offers it",
        ]
    );
    // A seat that somebody gave it by hand is theirs, and holds the Group.
    let seat = NewSeat { role: MemberRole::Viewer, by: alice.id, raises: false };
    let seats = Seats::Workspace(cluster.workspace);
    bed.store.seat_group(seats, &group, seat, draft(Action::SeatAdded), NOW).await.unwrap();
    assert_eq!(steps(&bed.plan(&home("")).await), Vec::<String>::new());
    let plan = bed.plan(&home("    groups: [{name: On call, kept: false}]\n")).await;
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert!(remarks(&plan)[0].contains("stays with its owners"), "{:?}", remarks(&plan));
}

async fn immune_28_a_file_gives_nobody_more_of_a_role_without_the_word_for_it(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let text = |rules: &str, vouch: &str| {
        home(&format!(
            "    roles:\n      - name: log-reader\n        rules: [{{apiGroups: [\"\"], resources: [{rules}], verbs: [get]}}]\n{vouch}    \
             grants: [{{group: devs, role: custom log-reader}}]\n"
        ))
    };
    bed.apply(&text("pods/log", "")).await;
    let wider = text("pods/log, secrets, pods", "");
    let wrong = bed.wrong(&wider).await;
    assert_eq!(wrong, ["6:16 whoever holds log-reader gets more by this: get secrets, get pods"]);
    // One word more than was said is too much.
    let wrong = bed.wrong(&text("pods/log, secrets, pods", "        vouch: [get secrets]\n")).await;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let said = text("pods/log, secrets, pods", "        vouch: [get secrets, get pods]\n");
    // What is taken out of it in between makes the change a wider one, for which nobody has answered.
    let parts = parts(&bed.store, &Clock::fixed(NOW));
    let plan = parts.plan(&file(&said)).await.unwrap();
    let role = bed.store.custom_roles_of(Some(cluster.workspace)).await.unwrap().pop().unwrap();
    let event = draft(Action::CustomRoleChanged);
    bed.store.change_custom_role(&role, &[rule("configmaps")], Widening::On(alice.id), event, NOW).await.unwrap();
    let stopped = Box::pin(parts.carry_out(&plan)).await.unwrap_err();
    assert!(stopped.done == 0 && stopped.error.to_string().contains("get pods/log"), "{stopped:?}");
    let rules = bed.store.custom_role(role.id).await.unwrap().rules;
    assert_eq!(rules, [rule("configmaps")]);
    let said = text("pods/log, secrets, pods", "        vouch: [get secrets, get pods, get pods/log]\n");
    assert_eq!(steps(&bed.apply(&said).await).len(), 1);
    // Less needs no word, and nobody has more by one that was said before.
    assert_eq!(steps(&bed.apply(&text("secrets", "")).await), ["~ role Home, role log-reader: 1 rule"]);
    // A word for one object is none for all of its kind, and one for more than is named is none at all.
    let named = "configmaps], resourceNames: [a";
    let for_one = "        vouch: [get configmaps named a]\n";
    assert_eq!(bed.apply(&text(named, for_one)).await.changes.len(), 1);
    let wrong = bed.wrong(&text("configmaps", for_one)).await;
    assert_eq!(wrong, ["6:16 whoever holds log-reader gets more by this: get configmaps"]);
    let many: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    let words: Vec<String> = many.iter().map(|what| format!("get {what}")).collect();
    let wrong = bed.wrong(&text(&many.join(", "), &format!("        vouch: [{}, and more]\n", words.join(", ")))).await;
    assert!(matches!(wrong.as_slice(), [one] if one.ends_with(", and more")), "{wrong:?}");
}

async fn immune_28_a_group_that_editors_change_gets_by_a_file_what_it_gets_on_its_page(bed: Bed) {
    house(&bed).await;
    let text = |kept: &str, inside: &str| {
        home(&format!(
            "    roles: [{{name: r, rules: [{{apiGroups: [\"\"], resources: [pods], verbs: [get]}}]}}]\n    \
             groups: [{{name: Open{kept}}}]\n{inside}"
        ))
    };
    for (inside, at, words) in [
        ("    members: [{kubelend-group: Open, role: viewer}]\n", "6:32 ", "editors may change"),
        ("    grants: [{kubelend-group: Open, role: cluster-admin}]\n", "6:43 ", "you cannot give this"),
        ("    grants: [{kubelend-group: Open, role: custom r}]\n", "6:43 ", "you cannot give this"),
        (
            "    clusters: [{name: staging, grants: [{kubelend-group: Open, role: cluster-admin}]}]\n",
            "6:70 ",
            "you cannot give this",
        ),
    ] {
        let wrong = bed.wrong(&text("", inside)).await;
        assert!(matches!(wrong.as_slice(), [one] if one.starts_with(at) && one.contains(words)), "{wrong:?}");
    }
    let inside = "    members: [{kubelend-group: Open, role: viewer}]\n    grants: [{kubelend-group: Open, role: cluster-admin}]\n";
    bed.apply(&text(", kept: true", inside)).await;
    // As long as it holds that, it stays kept.
    let open = text(", kept: false", "");
    let plan = bed.apply(&open).await;
    assert!(plan.changes.iter().all(|change| change.kind == Kind::Remove), "{:?}", steps(&plan));
    assert_eq!(steps(&bed.apply(&open).await), ["~ group Home, group Open: editors change it, too"]);
}

async fn a_name_means_the_nearer_role_and_group_and_mistakes_have_their_places(bed: Bed) {
    let (_, cluster) = house(&bed).await;
    let text = "file: access\nroles: [{name: r, rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n\
                groups: [{name: Ops}]\nworkspaces:\n  - name: Home\n    \
                roles: [{name: r, rules: [{apiGroups: [\"\"], resources: [pods], verbs: [list]}]}]\n    \
                groups: [{name: Ops, kept: true}]\n    grants:\n      - {kubelend-group: ops, role: custom r}\n      \
                - {kubelend-group: Ops (everywhere), role: custom r}\n      - {kubelend-group: Ops, role: custom r (everywhere)}\n";
    bed.apply(text).await;
    let given = bed.store.federated_grants(WideScope::Workspace(cluster.workspace), None, 10).await.unwrap();
    let (own, all) =
        (bed.store.groups_of(Some(cluster.workspace)).await.unwrap(), bed.store.groups_of(None).await.unwrap());
    let of = |id: GroupId| given.rows.iter().filter(|(grant, _)| grant.grantee.group() == Some(id)).count();
    assert_eq!((of(own[0].id), of(all[0].id)), (2, 1));
    assert_eq!(steps(&bed.plan(text).await), Vec::<String>::new());

    let wrong = bed
        .wrong(&home(
            "    members: [{kubelend-group: Nobody, role: viewer}, {kubelend-group: Ops, role: viewer}]\n    \
             grants: [{group: devs, role: custom nothing}, {kubelend-group: Nobody (everywhere), role: view}]\n    \
             groups: [{name: G, members: [{sub: sub-carol}, {person: carol@example.com}]}]\n",
        ))
        .await;
    let has = |at: &str, words: &str| wrong.iter().any(|m| m.starts_with(at) && m.contains(words));
    assert!(has("4:32 ", "no Kubelend group Nobody here"), "{wrong:#?}");
    assert!(has("5:34 ", "no custom role nothing here"), "{wrong:#?}");
    assert!(has("5:68 ", "no Kubelend group Nobody (everywhere) here"), "{wrong:#?}");
    assert!(has("6:61 ", "stands above already"), "{wrong:#?}");
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
}

async fn immune_28_what_somebody_makes_nearer_by_gets_nothing_that_a_file_meant_for_another(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let of_all = "file: all\nroles: [{name: r, rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]}]\n\
                  groups: [{name: Ops, members: [{group: ops}]}]\n";
    bed.apply(of_all).await;
    let text = home(
        "    members: [{kubelend-group: Ops, role: editor}]\n    \
         grants: [{kubelend-group: Ops, role: view}, {group: devs, role: custom r}]\n",
    );
    bed.apply(&text).await;
    group_by(&bed, &cluster, &alice, "ops", false).await;
    let (workspace, name) = (Some(cluster.workspace), "r".parse().unwrap());
    let new =
        NewCustomRole { id: CustomRoleId::new(), workspace, name, rules: vec![rule("secrets")], created_by: alice.id };
    bed.store.add_custom_role(&new, draft(Action::CustomRoleAdded), NOW).await.unwrap();
    let plan = bed.apply(&text).await;
    assert_eq!(steps(&plan), Vec::<String>::new());
    let group =
        "group Home: Kubelend group Ops is the one of all workspaces; the workspace's own is not because of this file";
    let role = "role Home: custom r is the one of all workspaces; the workspace's own is not because of this file";
    assert_eq!(remarks(&plan), [group, group, role]);
    // Defined by the file, it is what the file means.
    let defined = text.replace("    members", "    groups: [{name: ops}]\n    members");
    assert!(bed.wrong(&defined).await[0].contains("editors may change"), "the near one is meant, and is not kept");
    let defined = text.replace(
        "    members",
        "    roles: [{name: r, rules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]}]\n    members",
    );
    let plan = bed.plan(&defined).await;
    assert_eq!(plan.changes.len(), 2, "the near one is given, the other taken back: {:?}", steps(&plan));
}

async fn immune_28_what_a_file_takes_back_goes_also_where_something_could_not_be_given(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let text = |what: &str, grants: &str| {
        home(&format!(
            "    roles: [{{name: r, rules: [{{apiGroups: [\"\"], resources: [{what}], verbs: [get]}}], vouch: [get secrets]}}]\n    \
             members: [{{group: {grants}, role: viewer}}]\n    \
             grants: [{{group: devs, role: custom r}}, {{group: {grants}, role: view}}]\n"
        ))
    };
    bed.apply(&text("pods", "leaver")).await;
    let parts = parts(&bed.store, &Clock::fixed(NOW));
    let plan = parts.plan(&file(&text("pods, secrets", "joiner"))).await.unwrap();
    assert_eq!(
        steps(&plan),
        [
            "~ role Home, role r: 1 rule, more by get secrets",
            "+ member Home: group joiner is viewer",
            "+ grant Home: group joiner has view",
            "- grant Home: group leaver has view",
            "- member Home: group leaver",
        ]
    );
    // What somebody changes in between makes the first step fail.
    let role = bed.store.custom_roles_of(Some(cluster.workspace)).await.unwrap().pop().unwrap();
    let event = draft(Action::CustomRoleChanged);
    bed.store.change_custom_role(&role, &[rule("configmaps")], Widening::On(alice.id), event, NOW).await.unwrap();
    let stopped = Box::pin(parts.carry_out(&plan)).await.unwrap_err();
    assert_eq!((stopped.done, stopped.left.as_slice(), stopped.more.len()), (2, [0, 1, 2].as_slice(), 0));
    assert!(stopped.error.to_string().contains("get pods"), "{stopped:?}");
    let members = bed.members_of(&cluster).await;
    assert!(!members.iter().any(|(who, _)| who.contains("leaver") || who.contains("joiner")), "{members:?}");
    let given = bed.given_in(WideScope::Workspace(cluster.workspace)).await;
    assert!(given.len() == 1 && given[0].contains("devs"), "{given:?}");
}

async fn immune_28_a_project_of_a_file_is_never_seen_by_whom_it_shuts_out(bed: Bed) {
    let (_, cluster) = house(&bed).await;
    let parts = parts(&bed.store, &Clock::fixed(NOW));
    let text =
        home("    projects: [{name: P, namespace: p, clusters: all, takes: {editors: false, viewers: false}}]\n");
    let mut plan = parts.plan(&file(&text)).await.unwrap();
    // Killed after the first step.
    plan.changes.truncate(1);
    Box::pin(parts.carry_out(&plan)).await.unwrap();
    assert_eq!(project(&bed, &cluster).await.takes, Takes { editors: false, viewers: false });
    assert_eq!(bed.events(Action::ProjectTakesChanged).await, 0);
    assert_eq!(steps(&bed.plan(&text).await), Vec::<String>::new());
}

async fn a_new_group_s_name_separates_no_list_and_an_old_one_stays(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let text = home("    groups: [{name: \"Ops, night\", members: [{group: devs}]}]\n");
    let wrong = bed.wrong(&text).await;
    assert!(matches!(wrong.as_slice(), [one] if one.starts_with("4:21 Leave out commas")), "{wrong:?}");
    group_by(&bed, &cluster, &alice, "Ops, night", true).await;
    assert_eq!(steps(&bed.apply(&text).await), ["+ member Home, group Ops, night: group devs is in it"]);
    // Nor is one made, or renamed so, on the pages; one that was called so before can be kept from editors, or called otherwise.
    let gate = Gate::new(bed.store.clone(), Arc::new(Policy::default()), Clock::fixed(NOW));
    let groups = Groups::new(bed.store.clone(), Clock::fixed(NOW));
    let person = gate.person(alice.id).await.unwrap();
    let permit = gate.make_group(&person, Some(cluster.workspace)).await.unwrap();
    let made = groups.create(&permit, "a; b".parse().unwrap(), true).await;
    assert!(matches!(made, Err(AccessError::Invalid { field: "name", .. })), "{made:?}");
    let old = bed.store.groups_of(Some(cluster.workspace)).await.unwrap().pop().unwrap();
    let permit = gate.manage_group(&person, old.id).await.unwrap();
    let renamed = groups.change(&permit, &"Ops, day".parse().unwrap(), true).await;
    assert!(matches!(renamed, Err(AccessError::Invalid { field: "name", .. })), "{renamed:?}");
    groups.change(&permit, &old.name, false).await.unwrap();
}

async fn roles_and_groups_as_a_file_change_nothing_when_it_is_applied(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let root = bed.person("root").await;
    bed.apply(OWN).await;
    let by_hand = group_by(&bed, &cluster, &alice, "- by: hand", true).await;
    joins(&bed, &by_hand, Grantee::Person(alice.id), &alice).await;
    let seat = NewSeat { role: MemberRole::Owner, by: alice.id, raises: false };
    let seats = Seats::Project(project(&bed, &cluster).await.id);
    bed.store.seat_group(seats, &by_hand, seat, draft(Action::SeatAdded), NOW).await.unwrap();
    let before = bed.events_in_all().await;
    let (of_one, of_all) = exports(&bed, &root, &cluster).await;
    for text in [of_one.unwrap(), of_all.unwrap()] {
        for part in ["log-reader", "On call", "takes:", "make-namespace: true", "- by: hand", "(everywhere)"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let plan = bed.apply(&text).await;
        assert_eq!(steps(&plan), Vec::<String>::new(), "{text}");
        let as_access = text.replace("file: export-2027-01-15", "file: access");
        // A file of one workspace says nothing of what is of all, which this one made: that would go.
        let all_of_it = as_access.contains("name: Guests");
        let gone = steps(&bed.plan(&as_access).await);
        assert_eq!(gone.is_empty(), all_of_it, "{gone:?}");
    }
    assert_eq!(bed.events_in_all().await, before);
}

async fn immune_28_a_file_of_a_workspace_shows_no_project_that_its_reader_is_shut_out_of(bed: Bed) {
    let (alice, cluster) = house(&bed).await;
    let zoe = bed.person("zoe").await;
    bed.apply(&OWN.replace("takes: {editors: false}", "takes: {editors: false, viewers: false}")).await;
    let member = Member { who: Grantee::Person(zoe.id), role: MemberRole::Viewer, since: NOW, by: alice.id };
    bed.store.add_member(cluster.workspace, &member, draft(Action::MemberAdded), NOW).await.unwrap();
    let (of_zoe, of_alice) =
        (exports(&bed, &zoe, &cluster).await.0.unwrap(), exports(&bed, &alice, &cluster).await.0.unwrap());
    assert!(of_alice.contains("namespace: shop"), "{of_alice}");
    assert!(!of_zoe.contains("namespace: shop") && of_zoe.contains("1 projects that are not shown to you"), "{of_zoe}");
    // Who is in a Group of all workspaces is for platform admins.
    assert!(!of_alice.contains("guests"), "{of_alice}");
}
