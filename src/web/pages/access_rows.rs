//! The table of the access page: its filter, a row for each grant, and rows for what others bound on the cluster.

use crate::{
    access::{AccessError, Assignable, RoleChange},
    bindings::{OWNER_LABEL, binding_name},
    k8s::FoundBinding,
    model::{
        cluster::Cluster,
        federation::WideScope,
        grant::{Grant, GrantState, Grantee, Origin, SOON},
        group::Holder,
        id::{FederatedGrantId, GrantId},
        identity::Identity,
        name::Namespace,
        role::Role,
        scope::Scope,
        subject::{Subject, SubjectKind},
        time::Timestamp,
    },
    store::{GrantFilter, GrantOrder, GroupOnCluster, PlacementCounts, Standing},
    web::{
        forms::Choice,
        labels::{RoleTag, counted, grant_state, origin_words, outcome_class, role_word},
        paths, shell,
        when::When,
        words,
    },
};

use super::{
    access::grantee_name,
    can_form,
    roles::{self, OfferedRole},
};

/// How many rows of others a page lists.
const FOREIGN: usize = 12;

/// The states that can be looked for.
const STATES: [(&str, &str); 6] = [
    ("", "any"),
    ("ending", "ends in a week"),
    ("applied", "in force"),
    ("waiting", "on the way"),
    ("stuck", "in trouble"),
    ("going", "being removed"),
];

/// What the page shows, from its address.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Part of a name.
    pub q: String,
    /// `user`, `group`, `account` or `own`.
    pub fkind: String,
    /// A role.
    pub frole: String,
    /// A namespace.
    pub ns: String,
    /// A state: one of [`STATES`].
    pub fstate: String,
    /// An order: `name`, `role` or `end`; the newest first otherwise.
    pub sort: String,
    /// Where the page begins.
    pub before: Option<GrantId>,
    /// What is about to be taken.
    pub ask: Option<GrantId>,
    /// What was just given.
    pub granted: Option<GrantId>,
    /// What was just taken.
    pub removed: Option<GrantId>,
    /// What was just tried again.
    pub tried: Option<GrantId>,
    /// Where a page of what Groups were given begins.
    pub groups: Option<FederatedGrantId>,
    /// What was just given to a Group.
    pub given: Option<FederatedGrantId>,
}

impl Filter {
    pub(super) fn kinds(&self) -> Vec<Choice> {
        choices(
            &[
                ("", "any"),
                ("user", "users"),
                ("group", "groups"),
                ("account", "ServiceAccounts"),
                ("own", "Kubelend groups"),
            ],
            &self.fkind,
        )
    }

    pub(super) fn roles(&self, offered: &[OfferedRole]) -> Vec<Choice> {
        let mut all = vec![Choice::new("", "any", &self.frole)];
        all.extend(roles::choices(offered, &self.frole));
        all
    }

    pub(super) fn is_set(&self) -> bool {
        [&self.q, &self.fkind, &self.frole, &self.ns, &self.fstate].iter().any(|f| !f.trim().is_empty())
    }

    pub(super) fn states(&self) -> Vec<Choice> {
        choices(&STATES, &self.fstate)
    }

    /// Whether it is sorted so.
    pub(super) fn is_by(&self, order: &str) -> bool {
        self.sort == order
    }

    /// The address of the first page in another order, or, where it is in that order, in that of age again.
    pub(super) fn by(&self, here: &str, order: &str) -> String {
        let sort = if self.is_by(order) { String::new() } else { order.to_owned() };
        Self { sort, ..self.clone() }.address(here, None)
    }

    /// The address of what ends soon.
    pub(super) fn ending(here: &str) -> String {
        Self { fstate: "ending".into(), sort: "end".into(), ..Self::default() }.address(here, None)
    }

    /// What the store is asked for.
    pub(super) fn for_store(&self, now: Timestamp) -> GrantFilter {
        let standing = match self.fstate.as_str() {
            "ending" => Some(Standing::EndsBy(now.plus(SOON))),
            "applied" => Some(Standing::InForce),
            "waiting" => Some(Standing::Waiting),
            "stuck" => Some(Standing::Stuck),
            "going" => Some(Standing::Going),
            _ => None,
        };
        let order = match self.sort.as_str() {
            "name" => GrantOrder::Name,
            "role" => GrantOrder::Role,
            "end" => GrantOrder::End,
            _ => GrantOrder::Newest,
        };
        GrantFilter { standing, order, ..self.wanted() }
    }

    /// The same without what bindings of others do not have.
    fn wanted(&self) -> GrantFilter {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|t| !t.is_empty());
        GrantFilter {
            text: some(&self.q),
            people: self.people(),
            accounts: self.fkind == "account",
            own_groups: self.fkind == "own",
            role: roles::read(&self.frole).ok(),
            namespace: some(&self.ns),
            ..GrantFilter::default()
        }
    }

    fn people(&self) -> Option<bool> {
        match self.fkind.as_str() {
            "user" => Some(true),
            "group" => Some(false),
            _ => None,
        }
    }

    pub(super) fn first_page(&self, here: &str) -> String {
        self.address(here, None)
    }

    pub(super) fn page(&self, here: &str, before: GrantId) -> String {
        self.address(here, Some(before))
    }

    /// More of what Groups were given.
    pub(super) fn groups_page(&self, here: &str, before: FederatedGrantId) -> String {
        let address = self.address(here, None);
        let and = if address.contains('?') { '&' } else { '?' };
        format!("{address}{and}groups={before}")
    }

    /// Whether it is the first page.
    pub(super) fn is_first(&self) -> bool {
        self.before.is_none() && self.groups.is_none()
    }

    fn address(&self, here: &str, before: Option<GrantId>) -> String {
        let before = before.map(|id| id.to_string()).unwrap_or_default();
        let pairs = [
            ("q", self.q.as_str()),
            ("fkind", &self.fkind),
            ("frole", &self.frole),
            ("ns", &self.ns),
            ("fstate", &self.fstate),
            ("sort", &self.sort),
            ("before", &before),
        ];
        paths::with_query(here, &pairs)
    }

    fn fits(&self, row: &ForeignRow) -> bool {
        let wanted = self.wanted();
        let name = row.name.to_ascii_lowercase();
        wanted.text.is_none_or(|t| name.contains(&t.to_ascii_lowercase()))
            && wanted
                .people
                .is_none_or(|people| row.subject == if people { SubjectKind::User } else { SubjectKind::Group })
            && !wanted.own_groups
            && (!wanted.accounts || row.subject == SubjectKind::ServiceAccount)
            && wanted.role.is_none_or(|role| row.role == role.reference())
            && wanted.namespace.is_none_or(|ns| row.namespace.as_deref() == Some(ns.as_str()))
            // They stand, without an end.
            && ["", "applied"].contains(&self.fstate.as_str())
    }
}

fn choices(all: &[(&'static str, &'static str)], chosen: &str) -> Vec<Choice> {
    all.iter().map(|&(value, label)| Choice::new(value, label, chosen)).collect()
}

/// A grant as a row.
#[derive(Debug)]
pub struct Row {
    /// `User`, `Group`, `ServiceAccount` or `Kubelend group`.
    pub kind: &'static str,
    /// As people call them.
    pub name: String,
    /// How many members a Group has, in words.
    pub members: Option<String>,
    /// As the cluster compares them, where that differs.
    pub on_cluster: Option<String>,
    /// The role.
    pub role: RoleTag,
    /// The query that asks what it allows.
    pub rules: Option<String>,
    /// How it has changed since it was given.
    pub changed: Option<String>,
    /// Where.
    pub scope: String,
    /// The same with kubectl.
    pub command: Option<String>,
    /// Until when.
    pub expires: Option<When>,
    /// Whether that is soon.
    pub soon: bool,
    /// Why it was given.
    pub reason: Option<String>,
    /// Where it is changed, seen from the access page.
    pub edit: Option<String>,
    /// Where its end is moved, where that is soon.
    pub extend: Option<String>,
    /// How it came to be.
    pub origin: &'static str,
    /// Where it is looked after, if not here.
    pub origin_href: Option<String>,
    /// The state's style.
    pub class: &'static str,
    /// The state in words.
    pub state: String,
    /// Where it says what they can do in all, seen from the access page.
    pub can: String,
    /// Set where it can be taken back.
    pub remove: Option<GrantId>,
    /// Where it asks about taking back what was given to a Group.
    pub remove_at: Option<String>,
    /// Set where the cluster has not followed, so that it can be tried again at once.
    pub retry: Option<GrantId>,
}

/// A grant as a row.
pub fn row(grant: &Grant, who: Option<&Identity>, cluster: &Cluster, may_change: bool, now: Timestamp) -> Row {
    let name = grantee_name(&grant.grantee, who);
    let subject = subject(grant, who, cluster);
    let (outcome, state) = grant_state(grant, now);
    let soon = grant.ends_soon(now);
    let here = paths::beside(&paths::grant(cluster.id, grant.id));
    let there = match grant.origin {
        Origin::Federated(id) => paths::federated(id),
        Origin::Manual | Origin::Link(_) | Origin::Owner | Origin::Request(_) | Origin::File(_) => here.clone(),
    };
    Row {
        kind: kind(&grant.grantee),
        soon,
        reason: grant.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        edit: (may_change && grant.is_live(now) && grant.origin.is_extended_here()).then_some(here),
        extend: (may_change && soon && !matches!(grant.origin, Origin::File(_))).then(|| there + "#extend"),
        on_cluster: subject
            .as_ref()
            .filter(|s| s.kind != SubjectKind::ServiceAccount)
            .map(|s| s.name.clone())
            .filter(|n| *n != name),
        role: RoleTag(grant.role.clone()),
        rules: grant.role.as_ref().map(|role| rules(role, &grant.scope)),
        changed: None,
        scope: grant.scope.in_words(),
        command: subject.zip(grant.role.as_ref()).map(|(s, role)| command(grant, &s, role)),
        expires: grant.expires_at.map(|t| When::new(t, now)),
        origin: origin_words(grant.origin),
        origin_href: match grant.origin {
            // One that is on its way out may belong to a project that is gone.
            Origin::Federated(id) if grant.ended.is_none() => Some(paths::federated(id)),
            Origin::Request(id) => Some(paths::request(cluster.id, id)).filter(|_| may_change),
            Origin::Federated(_) | Origin::Manual | Origin::Link(_) | Origin::Owner | Origin::File(_) => None,
        },
        class: outcome_class(outcome),
        state,
        can: paths::beside(&paths::can(cluster.id, &[("grant", &grant.id.to_string())])),
        remove: (may_change && grant.ended.is_none() && !matches!(grant.origin, Origin::Federated(_)))
            .then_some(grant.id),
        retry: (may_change && !matches!(grant.state, GrantState::Applied | GrantState::Removed)).then_some(grant.id),
        members: None,
        remove_at: None,
        name,
    }
}

/// The query that asks what a role allows; of a Role in the first of its namespaces.
pub(super) fn rules(role: &Role, scope: &Scope) -> String {
    let namespace = scope.namespaces().first().filter(|_| role.is_local()).map(Namespace::as_str);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("role", &roles::value(Some(role)));
    query.extend_pairs(namespace.map(|namespace| ("ns", namespace)));
    query.finish()
}

/// How a role has changed since it was given, in words.
pub(super) fn changed(change: &RoleChange) -> String {
    match change {
        RoleChange::Grown(what) => format!("allows more than when it was given: {}", what.join(", ")),
        RoleChange::Further(what) => {
            format!("reaches further than admin by now, for which no owner has vouched: {}", what.join(", "))
        }
        RoleChange::NotOffered => "is gone from the cluster, or not marked as one to give any more".into(),
    }
}

/// Kubernetes' word for the kind.
pub(super) fn kind(grantee: &Grantee) -> &'static str {
    match grantee {
        Grantee::Group(..) => "Group",
        Grantee::Person(_) | Grantee::Email(..) => "User",
        Grantee::ServiceAccount(_) => "ServiceAccount",
    }
}

/// What was given to a Group as a row, with as many members as it has here.
pub fn group_row(on: &GroupOnCluster, may_change: bool, now: Timestamp) -> Row {
    let (grant, there) = (&on.grant, paths::federated(on.grant.id));
    let members = u64::try_from(on.counts.wanted()).unwrap_or_default();
    let (class, state) = match (grant.is_live(now), on.counts.removing) {
        (true, _) => members_state(on.counts),
        (false, 0) => ("waiting", "its time is up; being removed".to_owned()),
        (false, n) => ("waiting", format!("being removed, {n} to go")),
    };
    let here = matches!(grant.scope, WideScope::Cluster(_));
    let soon = grant.is_live(now) && grant.expires_at.is_some_and(|end| end <= now.plus(SOON));
    Row {
        kind: "Kubelend group",
        name: if let Holder::Group(_, name) = &grant.grantee { name.to_string() } else { String::new() },
        members: Some(counted(members, "member")),
        on_cluster: None,
        role: RoleTag(Some(grant.role.clone())),
        rules: Some(rules(&grant.role, &on.scope)),
        changed: None,
        scope: on.scope.in_words(),
        command: None,
        expires: grant.expires_at.map(|t| When::new(t, now)),
        soon,
        reason: grant.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        edit: None,
        extend: (may_change && soon).then(|| format!("{there}#extend")),
        origin: if here { origin_words(Origin::Manual) } else { origin_words(Origin::Federated(grant.id)) },
        origin_href: (!here).then(|| there.clone()),
        class,
        state,
        remove: None,
        remove_at: (may_change && here && grant.ended.is_none()).then(|| format!("{there}?remove=yes")),
        can: there,
        retry: None,
    }
}

/// How far the cluster has followed for a Group's members.
fn members_state(counts: PlacementCounts) -> (&'static str, String) {
    match (counts.wanted(), counts.failed, counts.pending) {
        (0, ..) => ("", "nobody is in it".into()),
        (all, failed @ 1.., _) => ("failed", format!("refused for {failed} of {all}")),
        (all, 0, 1..) => ("waiting", format!("in force for {} of {all}", counts.applied)),
        _ => ("passed", "in force".into()),
    }
}

fn subject(grant: &Grant, who: Option<&Identity>, cluster: &Cluster) -> Option<Subject> {
    let provider = match &grant.grantee {
        Grantee::Person(_) => &who?.provider,
        Grantee::Email(provider, _) | Grantee::Group(provider, _) => provider,
        Grantee::ServiceAccount(account) => return Some(account.subject()),
    };
    grant.grantee.subject(cluster.mapping(provider)?, who).ok()
}

/// What one would type for the same: a line for each binding.
fn command(grant: &Grant, subject: &Subject, role: &Role) -> String {
    let name = binding_name(grant.id);
    let whom = shell::word(&match (subject.kind, &subject.namespace) {
        (SubjectKind::ServiceAccount, Some(namespace)) => format!("--serviceaccount={namespace}:{}", subject.name),
        (SubjectKind::Group, _) => format!("--group={}", subject.name),
        _ => format!("--user={}", subject.name),
    });
    let kind = if role.is_local() { "role" } else { "clusterrole" };
    let one = |place: &str| format!("kubectl create {place} {name} --{kind}={} {whom}", role.as_str());
    match grant.scope.namespaces() {
        [] => one("clusterrolebinding"),
        [only] => one("rolebinding") + &format!(" --namespace={only}"),
        several => {
            let names: Vec<&str> = several.iter().map(Namespace::as_str).collect();
            format!("for n in {}; do {} --namespace=$n; done", names.join(" "), one("rolebinding"))
        }
    }
}

/// A grant in a few words: “bob@example.com: view on the whole cluster”.
pub fn summary(grant: &Grant, who: Option<&Identity>) -> String {
    let name = grantee_name(&grant.grantee, who);
    format!("{name}: {} on {}", role_word(grant.role.as_ref()), grant.scope.in_words())
}

/// Somebody in a binding that others made.
#[derive(Debug)]
pub struct ForeignRow {
    /// Kubernetes' word for the kind.
    pub kind: &'static str,
    /// The name, as the cluster compares it.
    pub name: String,
    /// “ClusterRole view”.
    pub role: String,
    /// Where.
    pub scope: String,
    /// The binding's name.
    pub binding: String,
    /// Whether it bears our label all the same.
    pub claims: bool,
    /// The query that asks what they can do in all.
    pub can: String,
    subject: SubjectKind,
    namespace: Option<String>,
}

/// A row for each subject of each binding that fits.
pub fn foreign_rows(found: &[FoundBinding], filter: &Filter) -> Vec<ForeignRow> {
    let each = found.iter().flat_map(|b| b.subjects.iter().map(move |s| foreign_row(b, s)));
    each.filter(|row| filter.fits(row)).collect()
}

fn foreign_row(binding: &FoundBinding, subject: &Subject) -> ForeignRow {
    ForeignRow {
        kind: subject.kind.as_str(),
        name: match &subject.namespace {
            Some(namespace) => format!("{namespace}/{}", subject.name),
            None => subject.name.clone(),
        },
        role: format!("{} {}", binding.role_kind, binding.role_name),
        scope: binding.namespace.as_ref().map_or_else(|| "the whole cluster".into(), |n| format!("namespace {n}")),
        binding: binding.name.clone(),
        claims: binding.labels.contains_key(OWNER_LABEL),
        can: can_form::query(subject, binding.namespace.as_deref()),
        subject: subject.kind,
        namespace: binding.namespace.clone(),
    }
}

/// What the cluster itself says.
pub struct Seen {
    /// The bindings of others; nothing on further pages.
    pub bindings: Option<Result<Vec<FoundBinding>, AccessError>>,
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// The roles that it offers besides those that every cluster has.
    pub roles: Vec<OfferedRole>,
    /// Those that somebody has defined there, as they stand.
    pub assignable: Option<Assignable>,
}

impl Seen {
    /// The rows of others that fit, and a word about them.
    pub fn foreign(&self, filter: &Filter) -> (Vec<ForeignRow>, Option<String>) {
        match &self.bindings {
            None => (Vec::new(), None),
            Some(Ok(found)) => {
                let mut rows = foreign_rows(found, filter);
                // Subjects that were not read count as what fits: somebody who looks for them must look further.
                let all = rows.len() + found.iter().map(|b| b.more_subjects).sum::<usize>();
                rows.truncate(FOREIGN);
                let note = match all - rows.len() {
                    0 if all == 0 => None,
                    more @ 1.. => Some(format!(
                        "Rows “made elsewhere” were not made by this Kubelend: it shows them and never touches them. {more} more are there; narrow the list, or see kubectl get clusterrolebindings,rolebindings -A.",
                    )),
                    _ => Some("Rows “made elsewhere” were not made by this Kubelend: it shows them and never touches them. Who made them can take them away with kubectl.".into()),
                };
                (rows, note)
            }
            Some(Err(AccessError::Cluster(why))) => {
                let (title, _) = words::cluster_trouble(why);
                (
                    Vec::new(),
                    Some(format!(
                        "{title}, so what others bound there cannot be listed now. The rows above are Kubelend’s own."
                    )),
                )
            }
            Some(Err(_)) => (Vec::new(), Some("What others bound on the cluster cannot be listed now.".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::id::IdentityId, web::pages::cluster::tests::cluster};

    fn grant(cluster: &Cluster, grantee: Grantee, namespaces: &[&str]) -> Grant {
        Grant {
            id: GrantId::new(),
            grantee,
            role: Some(Role::Edit),
            scope: Scope::new(cluster.id, namespaces.iter().map(|n| n.parse().unwrap()).collect()),
            expires_at: None,
            reason: None,
            origin: Origin::Manual,
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
            state: GrantState::Applied,
            state_detail: None,
            state_since: Timestamp::from_secs(0),
            ended: None,
        }
    }

    #[test]
    fn a_groups_row_shows_the_name_that_the_cluster_compares() {
        let staging = cluster("staging");
        let devs = grant(&staging, Grantee::Group("dex".parse().unwrap(), "devs".into()), &["shop"]);
        let row = row(&devs, None, &staging, true, Timestamp::from_secs(9));
        assert_eq!((row.kind, row.name.as_str(), row.on_cluster.as_deref()), ("Group", "devs", Some("oidc:devs")));
        assert_eq!(
            row.command.unwrap(),
            format!(
                "kubectl create rolebinding kubelend-{} --clusterrole=edit --group=oidc:devs --namespace=shop",
                devs.id
            )
        );
        assert!(row.remove == Some(devs.id));
    }

    #[test]
    fn a_role_leads_to_its_rules_and_says_how_it_has_changed() {
        let scope = Scope::new(cluster("staging").id, vec!["shop".parse().unwrap()]);
        assert_eq!(rules(&Role::View, &scope), "role=view");
        assert_eq!(rules(&Role::local("log-reader").unwrap(), &scope), "role=local%3Alog-reader&ns=shop");
        let grown = changed(&RoleChange::Grown(vec!["get secrets".into(), "list secrets".into()]));
        assert_eq!(grown, "allows more than when it was given: get secrets, list secrets");
    }

    #[test]
    fn immune_17_a_name_stays_one_word_of_the_command() {
        let staging = cluster("staging");
        let hostile = grant(&staging, Grantee::Group("dex".parse().unwrap(), "x; $(reboot) '".into()), &[]);
        let row = row(&hostile, None, &staging, false, Timestamp::from_secs(9));
        assert!(row.command.unwrap().ends_with(r"'--group=oidc:x; $(reboot) '\'''"));
        assert_eq!(row.remove, None);
    }

    #[test]
    fn bindings_of_others_are_filtered_like_ours() {
        let found = |namespace: Option<&str>, role: &str, subjects: Vec<Subject>| FoundBinding {
            namespace: namespace.map(Into::into),
            name: "b".into(),
            uid: "u".into(),
            role_kind: "ClusterRole".into(),
            role_name: role.into(),
            subjects,
            more_subjects: 0,
            labels: std::collections::BTreeMap::default(),
            created_at: None,
        };
        let mut all = [
            found(None, "view", vec![Subject::user("Eve"), Subject::group("ops")]),
            found(Some("shop"), "edit", vec![Subject::user("mallory")]),
        ];
        let names = |filter: Filter| foreign_rows(&all, &filter).iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(Filter::default()), ["Eve", "ops", "mallory"]);
        assert_eq!(names(Filter { q: "eve".into(), ..Filter::default() }), ["Eve"]);
        assert_eq!(names(Filter { fkind: "group".into(), ..Filter::default() }), ["ops"]);
        assert_eq!(names(Filter { frole: "edit".into(), ..Filter::default() }), ["mallory"]);
        assert_eq!(names(Filter { ns: "shop".into(), ..Filter::default() }), ["mallory"]);

        // Those of a giant binding that were not read may be who is looked for.
        all[1].more_subjects = 9;
        let seen = Seen { bindings: Some(Ok(all.to_vec())), namespaces: vec![], roles: vec![], assignable: None };
        let (rows, note) = seen.foreign(&Filter { q: "eve".into(), ..Filter::default() });
        assert_eq!(rows.len(), 1);
        assert!(note.is_some_and(|n| n.contains(" 9 more are there")));
    }

    #[test]
    fn the_next_page_keeps_the_filter_and_encodes_it() {
        let filter = Filter { q: "a&b=c".into(), ..Filter::default() };
        let id = GrantId::new();
        assert_eq!(filter.page("/x", id), format!("/x?q=a%26b%3Dc&before={id}"));
        let by_name = Filter { sort: "name".into(), ..filter.clone() };
        assert_eq!(filter.by("/x", "name"), "/x?q=a%26b%3Dc&sort=name");
        assert_eq!(by_name.by("/x", "name"), "/x?q=a%26b%3Dc", "a second time leads back");
        assert_eq!(by_name.page("/x", id), format!("/x?q=a%26b%3Dc&sort=name&before={id}"));
        assert_eq!(Filter::default().first_page("/x"), "/x");
    }
}
