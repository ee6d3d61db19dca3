//! Files that say who has access, applied by the use cases to a database: what they make, what they leave, and what is left when they
//! stop in the middle.

use std::sync::Arc;

use kubelend::{
    access::{
        Applier, Declared, Exports, Federation, Gate, Grants, Kind, Observer, OwnClients, Plan, Refused, Workspaces,
    },
    clock::Clock,
    crypto::Keyring,
    declared,
    k8s::{Connector, DirectDialer},
    model::{
        audit::Action,
        cluster::Cluster,
        federation::WideScope,
        grant::{EndReason, Grant, Grantee, Origin},
        identity::Identity,
        workspace::{Member, MemberRole},
    },
    outbound::AddressRules,
    policy::Policy,
    store::{GrantFilter, Store, Trail, TrailFilter},
};

use super::bed::{Bed, NOW, claims, draft, later, new_grant, provider};

mod own;

both!(
    a_file_makes_what_it_says_and_applied_twice_changes_nothing,
    what_a_file_says_no_longer_is_taken_back_and_nothing_else,
    what_was_made_by_hand_is_named_and_left_alone,
    what_somebody_took_back_is_given_again_and_that_is_said,
    an_end_and_a_reason_are_changed_in_place,
    a_workspace_that_a_file_made_goes_empty_or_not_at_all,
    workspaces_of_one_name_are_told_apart_by_their_ids,
    mistakes_that_need_the_database_have_their_places,
    immune_25_an_application_that_stops_anywhere_is_finished_by_the_next,
    immune_32_an_address_that_changed_hands_is_given_nothing_by_a_file,
    immune_28_a_file_takes_back_nothing_that_another_has_given,
    what_there_is_as_a_file_changes_nothing_when_it_is_applied,
    immune_28_a_workspace_s_file_shows_nothing_of_others,
    immune_32_a_file_that_is_written_names_nobody_by_an_address_that_changed_hands,
);

/// The use cases, as the command has them; no cluster is asked.
fn parts(store: &Store, clock: &Clock) -> Declared {
    let keys = Arc::new(Keyring::generate());
    let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules { allow_loopback: true })));
    let clients = OwnClients::new(store.clone(), keys, connector);
    let instance: Arc<str> = "k1".into();
    let applier = Applier::new(store.clone(), clients.clone(), instance.clone(), clock.clone());
    let observer = Observer::new(clients, store.clone(), instance);
    Declared::new(
        store.clone(),
        Gate::new(store.clone(), Arc::new(Policy::default()), clock.clone()),
        Workspaces::new(store.clone(), clock.clone()),
        Federation::new(store.clone(), clock.clone()),
        Grants::new(store.clone(), applier, observer, clock.clone()),
        clock.clone(),
    )
}

fn file(text: &str) -> declared::File {
    declared::read(text, &[provider("dex")]).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{text}"))
}

/// `+ grant Payments: …`, a line for each step.
fn steps(plan: &Plan) -> Vec<String> {
    let sign = |kind| match kind {
        Kind::Add => '+',
        Kind::Change => '~',
        Kind::Remove => '-',
    };
    plan.changes.iter().map(|change| format!("{} {} {}", sign(change.kind), change.what, change.words)).collect()
}

fn remarks(plan: &Plan) -> Vec<String> {
    plan.remarks.iter().map(|remark| format!("{} {}", remark.what, remark.words)).collect()
}

impl Bed {
    async fn plan(&self, text: &str) -> Plan {
        parts(&self.store, &Clock::fixed(NOW)).plan(&file(text)).await.unwrap()
    }

    async fn apply(&self, text: &str) -> Plan {
        let parts = parts(&self.store, &Clock::fixed(NOW));
        let plan = parts.plan(&file(text)).await.unwrap_or_else(|refused| panic!("{refused:?}\n{text}"));
        Box::pin(parts.carry_out(&plan)).await.unwrap();
        plan
    }

    async fn wrong(&self, text: &str) -> Vec<String> {
        match parts(&self.store, &Clock::fixed(NOW)).plan(&file(text)).await {
            Err(Refused::Mistakes(all)) => {
                all.into_iter().map(|m| format!("{}:{} {}", m.at.line, m.at.column, m.problem)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// All that was ever written down: what applying a file twice must not touch.
    async fn events_in_all(&self) -> usize {
        self.store.trail(Trail::All, &TrailFilter::default(), None, 10_000).await.unwrap().events.len()
    }

    /// The grants that live on a cluster and that no wider one reaches it by: `WHO ROLE WHERE ORIGIN`.
    async fn given_on(&self, cluster: &Cluster) -> Vec<String> {
        let page = self.store.grants_of_cluster(cluster.id, &GrantFilter::default(), None, 100).await.unwrap();
        let mut all: Vec<String> = page
            .rows
            .iter()
            .filter(|(grant, _)| grant.ended.is_none() && !matches!(grant.origin, Origin::Federated(_)))
            .map(|(grant, person)| said(grant, person.as_ref()))
            .collect();
        all.sort();
        all
    }

    async fn given_in(&self, scope: WideScope) -> Vec<String> {
        let page = self.store.federated_grants(scope, None, 100).await.unwrap();
        let mut all: Vec<String> =
            page.rows.iter().map(|(grant, _)| format!("{:?} {}", grant.grantee, grant.role)).collect();
        all.sort();
        all
    }

    async fn members_of(&self, cluster: &Cluster) -> Vec<(String, MemberRole)> {
        let members = self.store.members(cluster.workspace).await.unwrap();
        let name = |(member, person): &(Member, Option<Identity>)| match (&member.who, person) {
            (_, Some(person)) => person.display().to_owned(),
            (Grantee::Email(_, email), _) => email.to_string(),
            (Grantee::Group(_, group), _) => format!("group {group}"),
            other => panic!("{other:?}"),
        };
        members.iter().map(|member| (name(member), member.0.role)).collect()
    }
}

fn said(grant: &Grant, person: Option<&Identity>) -> String {
    let who = match (&grant.grantee, person) {
        (_, Some(person)) => person.display().to_owned(),
        (Grantee::Email(_, email), _) => email.to_string(),
        (Grantee::Group(_, group), _) => format!("group {group}"),
        (Grantee::ServiceAccount(account), _) => format!("account {account}"),
        other => panic!("{other:?}"),
    };
    let origin = match grant.origin {
        Origin::Manual => "hand",
        Origin::File(_) => "file",
        other => panic!("{other:?}"),
    };
    format!("{who} {} {} {origin}", grant.role.as_ref().unwrap(), grant.scope.in_words())
}

/// A file about the workspace `Home`, in which cluster `staging` is.
fn home(inside: &str) -> String {
    format!("file: access\nworkspaces:\n  - name: Home\n{inside}")
}

const WHOLE: &str = "\
file: access
workspaces:
  - name: Home
    members:
      - {person: carol@example.com, role: editor}
      - {person: unseen@example.com, role: viewer}
      - {group: devs, role: viewer}
    projects:
      - name: Shop
        namespace: shop
        clusters: [staging]
        grants:
          - {group: shop, role: edit}
    grants:
      - {group: ops, role: admin, reason: on call}
    clusters:
      - name: staging
        grants:
          - {person: bob@example.com, role: view, until: 2030-01-31}
          - {person: unseen@example.com, role: edit, namespaces: [shop, payments]}
          - {account: ci/deployer, role: edit, namespaces: [ci]}
  - name: New
    members:
      - {person: carol@example.com, role: owner}
    projects:
      - {name: All, namespace: all, clusters: all, grants: [{group: ops, role: view}]}
    grants:
      - {group: devs, role: view}
grants:
  - {group: admins, role: view}
";

async fn a_file_makes_what_it_says_and_applied_twice_changes_nothing(bed: Bed) {
    let (alice, _bob, _carol) = (bed.person("alice").await, bed.person("bob").await, bed.person("carol").await);
    let cluster = bed.cluster_of(&alice, "staging").await;
    let before = bed.events_in_all().await;

    // A look writes nothing.
    let planned = bed.plan(WHOLE).await;
    assert_eq!(bed.events_in_all().await, before);
    assert_eq!(bed.number("SELECT COUNT(*) FROM files").await, 0);

    let plan = bed.apply(WHOLE).await;
    assert_eq!(steps(&plan), steps(&planned));
    assert_eq!(
        steps(&plan),
        [
            "+ workspace New",
            "+ member Home: carol@example.com is editor",
            "+ member Home: unseen@example.com is viewer",
            "+ member Home: group devs is viewer",
            "+ member New: carol@example.com is owner",
            "+ project Home, project Shop: namespace shop, on staging",
            "+ project New, project All: namespace all, on every cluster",
            "+ grant every cluster: group admins has view",
            "+ grant Home: group ops has admin",
            "+ grant Home, project Shop: group shop has edit",
            "+ grant Home, cluster staging: bob@example.com has view until 2030-01-31T00:00:00Z",
            "+ grant Home, cluster staging, namespaces payments, shop: unseen@example.com has edit",
            "+ grant Home, cluster staging, namespace ci: ServiceAccount ci/deployer has edit",
            "+ grant New: group devs has view",
            "+ grant New, project All: group ops has view",
        ]
    );
    assert_eq!(remarks(&plan), Vec::<String>::new());
    assert_eq!(
        bed.given_on(&cluster).await,
        [
            "account ci/deployer edit namespace ci file",
            "bob@example.com view the whole cluster file",
            "unseen@example.com edit namespaces payments and shop file",
        ]
    );
    // What reaches further is written out, and due.
    let placed =
        "SELECT COUNT(*) FROM grants WHERE federated_id IS NOT NULL AND state = 'pending' AND next_attempt IS NOT NULL";
    assert_eq!(bed.number(placed).await, 3);
    assert_eq!(bed.members_of(&cluster).await.len(), 4);
    // Who did it is the file.
    let filter = TrailFilter { actor: "file access".into(), ..TrailFilter::default() };
    let events = bed.store.trail(Trail::All, &filter, None, 100).await.unwrap().events;
    assert_eq!(events.len(), plan.changes.len(), "an event for each step");
    assert!(events.iter().all(|event| event.actor_name == "file access"));

    let before = bed.events_in_all().await;
    let revisions = "SELECT CAST(COALESCE(SUM(revision), 0) + COUNT(*) AS BIGINT) FROM grants";
    let rows = bed.number(revisions).await;
    let again = bed.apply(WHOLE).await;
    assert_eq!((steps(&again), remarks(&again)), (Vec::new(), Vec::new()));
    assert_eq!((bed.events_in_all().await, bed.number(revisions).await), (before, rows));

    // Somebody who signs in becomes the person that the file meant, and stays it.
    bed.person("unseen").await;
    assert_eq!(steps(&bed.plan(WHOLE).await), Vec::<String>::new());
}

async fn what_a_file_says_no_longer_is_taken_back_and_nothing_else(bed: Bed) {
    let alice = bed.person("alice").await;
    bed.person("bob").await;
    bed.person("carol").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    let devs = Grantee::Group(provider("dex"), "by-hand".into());
    bed.grant(&cluster, devs).await;
    bed.apply(WHOLE).await;

    let plan = bed.apply(&home("    clusters: [{name: staging}]\n")).await;
    let mut all = steps(&plan);
    assert_eq!(all.pop().as_deref(), Some("- workspace New"), "what holds something goes after it");
    assert!(all.iter().all(|step| step.starts_with('-')), "{all:#?}");
    assert_eq!(all.len(), 14);
    assert_eq!(bed.given_on(&cluster).await, ["group by-hand view the whole cluster hand"]);
    assert_eq!(bed.members_of(&cluster).await, [("alice@example.com".to_owned(), MemberRole::Owner)]);
    assert_eq!(bed.store.projects_of(cluster.workspace).await.unwrap(), []);
    for scope in [WideScope::Global, WideScope::Workspace(cluster.workspace)] {
        assert_eq!(bed.given_in(scope).await, Vec::<String>::new());
    }
    let standing =
        "SELECT COUNT(*) FROM grants WHERE ended IS NULL AND (federated_id IS NOT NULL OR origin LIKE 'file:%')";
    assert_eq!(bed.number(standing).await, 0);
    assert_eq!(steps(&bed.plan(&home("")).await), Vec::<String>::new());
    // And all of it may come again; nobody is told that somebody took it back.
    let again = bed.apply(WHOLE).await;
    assert!(again.changes.iter().all(|change| change.kind == Kind::Add && change.note.is_none()));
    assert_eq!(again.changes.len(), 15);
}

async fn what_was_made_by_hand_is_named_and_left_alone(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let cluster = bed.cluster_of(&alice, "staging").await;
    bed.grant(&cluster, Grantee::Person(bob.id)).await;
    let ops = Grantee::Group(provider("dex"), "ops".into());
    let member = Member { who: ops, role: MemberRole::Editor, since: NOW, by: alice.id };
    bed.store.add_member(cluster.workspace, &member, draft(Action::MemberAdded), NOW).await.unwrap();
    let text = home(
        "    members: [{group: ops, role: viewer}, {person: alice@example.com, role: owner}]\n    clusters:\n      \
         - name: STAGING\n        grants: [{person: BOB@example.com, role: view, until: 2030-01-01}]\n",
    );
    let before = bed.events_in_all().await;
    let plan = bed.apply(&text).await;
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert_eq!(
        remarks(&plan),
        [
            "member Home: group ops is viewer: left alone, since somebody else has made them editor",
            "member Home: alice@example.com is owner: there already, and not because of this file",
            "grant Home, cluster staging: bob@example.com has view until 2030-01-01T00:00:00Z: there already with no end, made by hand, by alice@example.com; left alone",
        ]
    );
    assert_eq!(bed.events_in_all().await, before);
    // Nothing of it is the file's to take back.
    assert_eq!(steps(&bed.plan(&home("")).await), Vec::<String>::new());
}

async fn what_somebody_took_back_is_given_again_and_that_is_said(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    let text = home(
        "    grants: [{group: ops, role: view}]\n    clusters: [{name: staging, grants: [{group: devs, role: edit}]}]\n",
    );
    bed.apply(&text).await;
    let page = bed.store.grants_of_cluster(cluster.id, &GrantFilter::default(), None, 10).await.unwrap();
    let (given, _) = page.rows.into_iter().find(|(grant, _)| matches!(grant.origin, Origin::File(_))).unwrap();
    bed.store.end_grant(given.id, EndReason::Revoked, draft(Action::GrantRevoked), NOW).await.unwrap();
    let wide = bed.store.federated_grants(WideScope::Workspace(cluster.workspace), None, 10).await.unwrap().rows;
    let event = draft(Action::GrantRevoked);
    bed.store.end_federated_grant(wide[0].0.id, EndReason::Revoked, event, NOW).await.unwrap();

    let plan = bed.apply(&text).await;
    assert_eq!(
        steps(&plan),
        ["+ grant Home: group ops has view", "+ grant Home, cluster staging: group devs has edit"]
    );
    assert!(plan.changes.iter().all(|change| change.note.is_some_and(|note| note.contains("taken it back"))));
    assert_eq!(bed.given_on(&cluster).await, ["group devs edit the whole cluster file"]);
}

async fn an_end_and_a_reason_are_changed_in_place(bed: Bed) {
    let alice = bed.person("alice").await;
    bed.cluster_of(&alice, "staging").await;
    let text = |wide: &str, narrow: &str| {
        home(&format!(
            "    grants: [{{group: ops, role: view{wide}}}]\n    clusters: [{{name: staging, grants: [{{group: devs, role: edit{narrow}}}]}}]\n"
        ))
    };
    bed.apply(&text("", "")).await;
    let ids = "SELECT id FROM grants WHERE ended IS NULL ORDER BY id";
    let before = bed.number(&format!("SELECT COUNT(*) FROM ({ids}) AS live")).await;
    let plan = bed.apply(&text(", until: 2030-01-01, reason: on call", ", until: 2031-01-01")).await;
    assert_eq!(
        steps(&plan),
        [
            "~ grant Home: group ops has view until 2030-01-01T00:00:00Z, was with no end",
            "~ grant Home, cluster staging: group devs has edit until 2031-01-01T00:00:00Z, was with no end",
        ]
    );
    assert_eq!(
        bed.number("SELECT COUNT(*) FROM grants WHERE ended IS NOT NULL").await,
        0,
        "nothing was taken away for it"
    );
    assert_eq!(bed.number("SELECT COUNT(*) FROM grants WHERE ended IS NULL").await, before);
    assert_eq!(
        bed.number("SELECT COUNT(*) FROM grants WHERE expires_at = 1893456000000 AND federated_id IS NOT NULL").await,
        1
    );
    assert_eq!(
        bed.number("SELECT COUNT(*) FROM grants WHERE expires_at = 1924992000000 AND federated_id IS NULL").await,
        1
    );
    assert_eq!(bed.number("SELECT COUNT(*) FROM federated_grants WHERE reason = 'on call'").await, 1);
    assert_eq!(bed.events(Action::GrantChanged).await, 2);
    let same = text(", until: 2030-01-01T01:00:00+01:00, reason: on call", ", until: 2031-01-01");
    assert_eq!(steps(&bed.plan(&same).await), Vec::<String>::new(), "the same moment in another zone");

    // An end that has come takes back what is still there, and says that the entry can go.
    let over = bed.apply(&text(", until: 2020-01-01", ", until: 2020-01-01")).await;
    assert_eq!(steps(&over), ["- grant Home: group ops has view", "- grant cluster staging: group devs has edit"]);
    assert!(remarks(&over).iter().all(|remark| remark.contains("its time is up")));
    assert_eq!(steps(&bed.plan(&text(", until: 2020-01-01", ", until: 2020-01-01")).await), Vec::<String>::new());
}

async fn a_workspace_that_a_file_made_goes_empty_or_not_at_all(bed: Bed) {
    let alice = bed.person("alice").await;
    let text = "file: access\nworkspaces:\n  - name: New\n    members: [{person: alice@example.com, role: owner}]\n    \
                projects: [{name: Shop, namespace: shop, clusters: all}]\n";
    let none = "file: access\n";
    bed.apply(text).await;
    let made = bed.store.living_workspaces().await.unwrap().pop().unwrap();
    let mut new = super::bed::new_cluster("inside");
    new.workspace = Some(made.id);
    let added = bed.store.add_cluster(&new, "New", alice.id, draft(Action::ClusterAdded), NOW).await.unwrap();
    let plan = bed.apply(none).await;
    assert_eq!(steps(&plan), ["- project New, project Shop", "- member New: alice@example.com"]);
    assert_eq!(remarks(&plan), ["workspace New: stays, since it has clusters. Its page has the way to delete it"]);
    assert_eq!(steps(&bed.plan(none).await), Vec::<String>::new());
    assert!(bed.store.cluster(added.id).await.unwrap().removing.is_none());

    // Said again, it is the same workspace.
    let plan = bed.apply(text).await;
    assert_eq!(steps(&plan).len(), 2, "{:?}", steps(&plan));
    // Nor does a project go in which somebody else has given something, and with it its workspace.
    let project = bed.store.projects_of(made.id).await.unwrap().pop().unwrap();
    let by_alice = kubelend::store::NewFederatedGrant {
        id: kubelend::model::id::FederatedGrantId::new(),
        scope: WideScope::Project(project.id),
        namespaces: Vec::new(),
        grantee: Grantee::Group(provider("dex"), "devs".into()).into(),
        role: kubelend::model::role::Role::View,
        expires_at: None,
        reason: None,
        created_by: alice.id,
    };
    bed.store.add_federated_grant(&by_alice, draft(Action::GrantAdded), NOW).await.unwrap();
    let plan = bed.apply(none).await;
    assert_eq!(steps(&plan), ["- member New: alice@example.com"]);
    assert_eq!(remarks(&plan).len(), 2, "{:?}", remarks(&plan));
    assert_eq!(bed.store.projects_of(made.id).await.unwrap().len(), 1);
}

async fn workspaces_of_one_name_are_told_apart_by_their_ids(bed: Bed) {
    let (alice, zoe) = (bed.person("alice").await, bed.person("zoe").await);
    let (hers, other) = (bed.cluster_of(&alice, "one").await, bed.cluster_of(&zoe, "two").await);
    let wrong = bed.wrong(&home("")).await;
    assert!(matches!(wrong.as_slice(), [one] if one.starts_with("3:11 2 workspaces are called “Home”")), "{wrong:?}");
    let by_id = |id, name: &str| {
        format!(
            "file: access\nworkspaces:\n  - name: {name}\n    id: {id}\n    grants: [{{group: devs, role: view}}]\n"
        )
    };
    bed.apply(&by_id(other.workspace, "Home")).await;
    assert_eq!(bed.given_in(WideScope::Workspace(other.workspace)).await.len(), 1);
    assert_eq!(bed.given_in(WideScope::Workspace(hers.workspace)).await.len(), 0);
    assert!(
        bed.wrong(&by_id(other.workspace, "Away")).await[0].starts_with("3:11 the workspace with this id is called")
    );
    let nowhere = kubelend::model::id::WorkspaceId::new();
    assert!(bed.wrong(&by_id(nowhere, "Home")).await[0].starts_with("4:9 there is no workspace"));
}

async fn mistakes_that_need_the_database_have_their_places(bed: Bed) {
    let alice = bed.person("alice").await;
    bed.cluster_of(&alice, "staging").await;
    let before = bed.events_in_all().await;
    let text = home(
        "    projects: [{name: P, namespace: p, clusters: [staging, nowhere]}]\n    clusters:\n      - name: elsewhere\n      \
         - name: staging\n        grants:\n          - {sub: nobody, role: view}\n          - {group: oidc:devs, role: view}\n          \
         - {person: alice@example.com, role: edit}\n          - {sub: sub-alice, role: edit}\n",
    );
    let wrong = bed.wrong(&text).await;
    let has = |at: &str, words: &str| wrong.iter().any(|m| m.starts_with(at) && m.contains(words));
    assert!(has("4:60 ", "no cluster “nowhere”"), "{wrong:#?}");
    assert!(has("6:15 ", "no cluster “elsewhere”"), "{wrong:#?}");
    assert!(has("9:19 ", "has signed in"), "{wrong:#?}");
    assert!(has("10:21 ", "Leave out “oidc:”"), "{wrong:#?}");
    assert!(has("12:19 ", "same person"), "{wrong:#?}");
    assert_eq!(wrong.len(), 5, "{wrong:#?}");
    assert_eq!(bed.events_in_all().await, before);
    assert_eq!(bed.number("SELECT COUNT(*) FROM files").await, 0, "a wrong file is not even known");

    let of = |namespace: &str| home(&format!("    projects: [{{name: P, namespace: {namespace}, clusters: all}}]\n"));
    bed.apply(&of("one")).await;
    assert!(bed.wrong(&of("two")).await[0].starts_with("4:37 the project P is the namespace one"));
}

async fn immune_25_an_application_that_stops_anywhere_is_finished_by_the_next(bed: Bed) {
    let (alice, _) = (bed.person("alice").await, bed.person("carol").await);
    bed.person("bob").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    let parts = parts(&bed.store, &Clock::fixed(NOW));
    let none = home("");
    let all = parts.plan(&file(WHOLE)).await.unwrap().changes.len();
    for stops_after in 0..=all {
        // On the way there, and on the way back.
        for text in [WHOLE, none.as_str()] {
            let mut plan = parts.plan(&file(text)).await.unwrap();
            let full = plan.changes.len();
            plan.changes.truncate(stops_after);
            parts.carry_out(&plan).await.unwrap();
            let rest = parts.plan(&file(text)).await.unwrap();
            assert_eq!(
                rest.changes.len(),
                full - stops_after.min(full),
                "stopped after {stops_after}: {:?}",
                steps(&rest)
            );
            parts.carry_out(&rest).await.unwrap();
            let after = parts.plan(&file(text)).await.unwrap();
            assert_eq!((steps(&after), remarks(&after)), (Vec::new(), Vec::new()), "stopped after {stops_after}");
        }
    }
    assert_eq!(bed.given_on(&cluster).await, Vec::<String>::new());
    assert_eq!(bed.number("SELECT COUNT(*) FROM files").await, 1);
    assert_eq!(bed.number("SELECT COUNT(*) FROM identities WHERE issuer = 'kubelend:file'").await, 1);
}

async fn immune_32_an_address_that_changed_hands_is_given_nothing_by_a_file(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let cluster = bed.cluster_of(&alice, "staging").await;
    let text = home(
        "    members: [{person: bob@example.com, role: viewer}]\n    clusters:\n      - name: staging\n        grants:\n          \
         - {person: bob@example.com, role: edit}\n",
    );
    bed.apply(&text).await;
    // Somebody else has the address now. The file meant the one before, and is applied every night.
    let mut other = claims("bob");
    other.sub = "another".into();
    let other = bed.signs_in(&other).await;
    let wrong = bed.wrong(&text).await;
    assert!(wrong.len() == 2 && wrong.iter().all(|m| m.contains("several holders")), "{wrong:?}");
    assert_eq!(bed.store.grants_reaching(&other, Some(cluster.id), later(1)).await.unwrap(), []);
    assert_eq!(bed.store.membership(cluster.workspace, &other).await.unwrap(), None);
    // Whoever was meant is named.
    let named = text.replace("person: bob@example.com", "sub: sub-bob");
    let plan = bed.apply(&named).await;
    assert_eq!(steps(&plan), Vec::<String>::new(), "it is theirs still");
    assert_eq!(bed.store.membership(cluster.workspace, &bob).await.unwrap(), Some(MemberRole::Viewer));
}

async fn immune_28_a_file_takes_back_nothing_that_another_has_given(bed: Bed) {
    let alice = bed.person("alice").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    let inside = "    members: [{group: devs, role: viewer}]\n    grants: [{group: devs, role: view}]\n    \
                  clusters: [{name: staging, grants: [{group: devs, role: edit}]}]\n";
    bed.apply(&home(inside)).await;
    let other = |inside: &str| home(inside).replace("file: access", "file: other");
    let plan = bed.apply(&other(inside)).await;
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert!(remarks(&plan)[1].contains("by the file access"), "{:?}", remarks(&plan));
    bed.apply(&other("")).await;
    assert_eq!(bed.given_on(&cluster).await, ["group devs edit the whole cluster file"]);
    // Nor what a person is called that somebody calls as a file is.
    let mut eve = claims("eve");
    eve.sub = "access".into();
    eve.name = Some("file access".into());
    let eve = bed.signs_in(&eve).await;
    let by_eve = kubelend::store::NewGrant {
        created_by: eve.id,
        ..new_grant(&cluster, Grantee::Group(provider("dex"), "eves".into()))
    };
    bed.store.add_grant(&by_eve, draft(Action::GrantAdded), NOW).await.unwrap();
    bed.apply("file: access\n").await;
    assert_eq!(bed.given_on(&cluster).await, ["group eves view the whole cluster hand"]);
}

/// What somebody may have as a file: of a workspace, and of all.
async fn exports(bed: &Bed, who: &Identity, cluster: &Cluster) -> (Option<String>, Option<String>) {
    let clock = Clock::fixed(NOW);
    let admin = kubelend::policy::PersonRule::Sub(provider("dex"), "sub-root".into());
    let policy = Policy { platform_admins: vec![admin], ..Policy::default() };
    let gate = Gate::new(bed.store.clone(), Arc::new(policy), clock.clone());
    let exports = Exports::new(bed.store.clone(), [provider("dex")].into(), clock);
    let person = gate.person(who.id).await.unwrap();
    let of_one = match gate.view_workspace(&person, cluster.workspace).await {
        Ok(permit) => Some(exports.workspace(&permit).await.unwrap()),
        Err(_) => None,
    };
    let of_all = match gate.view_reach(&person, WideScope::Global).await {
        Ok(permit) => Some(exports.everything(&permit).await.unwrap()),
        Err(_) => None,
    };
    (of_one, of_all)
}

async fn what_there_is_as_a_file_changes_nothing_when_it_is_applied(bed: Bed) {
    let (alice, root) = (bed.person("alice").await, bed.person("root").await);
    let bob = bed.person("bob").await;
    bed.person("carol").await;
    let cluster = bed.cluster_of(&alice, "staging").await;
    bed.cluster_of(&bed.person("zoe").await, "hers").await;
    bed.grant(&cluster, Grantee::Group(provider("dex"), "- by: hand".into())).await;
    bed.link(&cluster).await;
    bed.apply(&WHOLE.replace("  - name: Home\n", &format!("  - name: Home\n    id: {}\n", cluster.workspace))).await;
    // By hand what the file says, too.
    bed.grant(&cluster, Grantee::Person(bob.id)).await;
    let before = bed.events_in_all().await;
    let (of_one, of_all) = exports(&bed, &root, &cluster).await;
    let (of_one, of_all) = (of_one.unwrap(), of_all.unwrap());
    assert!(of_all.contains("- by: hand") && of_all.contains("New") && of_all.contains("admins"), "{of_all}");
    for text in [&of_all, &of_one] {
        let plan = bed.apply(text).await;
        assert_eq!(steps(&plan), Vec::<String>::new(), "{text}");
        assert!(!remarks(&plan).is_empty());
    }
    // Nor under the name of the file that has made some of it.
    let as_access = of_all.replace("file: export-2027-01-15", "file: access");
    assert!(as_access.contains("file: access"), "{as_access}");
    assert_eq!(steps(&bed.apply(&as_access).await), Vec::<String>::new(), "{as_access}");
    assert_eq!(bed.events_in_all().await, before);
}

async fn immune_28_a_workspace_s_file_shows_nothing_of_others(bed: Bed) {
    let (alice, carol, zoe) = (bed.person("alice").await, bed.person("carol").await, bed.person("zoe").await);
    let (here, there) = (bed.cluster_of(&alice, "here").await, bed.cluster_of(&zoe, "there").await);
    bed.grant(&there, Grantee::Group(provider("dex"), "secret-group".into())).await;
    bed.apply("file: access\ngrants: [{group: secret-admins, role: view}]\n").await;
    let member = Member { who: Grantee::Person(carol.id), role: MemberRole::Viewer, since: NOW, by: alice.id };
    bed.store.add_member(here.workspace, &member, draft(Action::MemberAdded), NOW).await.unwrap();
    for who in [&alice, &carol] {
        let (own, all) = exports(&bed, who, &here).await;
        let own = own.unwrap();
        assert!(own.contains("here") && own.contains("carol@example.com"), "{own}");
        for hidden in ["secret", "there\n", "zoe", "every cluster"] {
            assert!(!own.contains(hidden), "{hidden}: {own}");
        }
        assert_eq!(all, None, "everything is for platform admins");
        assert_eq!(exports(&bed, who, &there).await.0, None);
    }
}

async fn immune_32_a_file_that_is_written_names_nobody_by_an_address_that_changed_hands(bed: Bed) {
    let (alice, bob) = (bed.person("alice").await, bed.person("bob").await);
    let cluster = bed.cluster_of(&alice, "staging").await;
    bed.grant(&cluster, Grantee::Person(bob.id)).await;
    let mut other = claims("bob");
    other.sub = "another".into();
    bed.signs_in(&other).await;
    let (own, _) = exports(&bed, &alice, &cluster).await;
    let own = own.unwrap();
    assert!(own.contains("sub: sub-bob") && !own.contains("bob@example.com"), "{own}");
    assert_eq!(steps(&bed.apply(&own).await), Vec::<String>::new());
}
