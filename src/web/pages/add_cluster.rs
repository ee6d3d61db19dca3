//! `/clusters/add`: one command for the owner's own kubectl, and the form that takes what it printed.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    access::{AccessError, Clusters, Gate, NewClusterRequest},
    kubeconfig::{self, Parsed},
    model::{
        claim_mapping::ClaimMapping,
        id::WorkspaceId,
        name::ClusterName,
        project::Labels,
        provider::ProviderId,
        role::Role,
        workspace::{MemberRole, Workspace},
    },
    oidc::{Provider, Providers},
    policy::{self, Person},
    store::Store,
    web::{
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedMultipart},
        frame::{Frame, Nav, render_with},
        paths,
        session::SignedIn,
    },
};

#[derive(Template)]
#[template(path = "pages/add_cluster.html")]
struct AddClusterPage {
    frame: Frame,
    action: &'static str,
    script: String,
    manifest: String,
    name: String,
    labels: String,
    kubeconfig: String,
    providers: Vec<ProviderBox>,
    workspaces: Vec<Choice>,
    errors: FieldErrors,
}

/// A provider that the cluster may trust, as a box to tick.
struct ProviderBox {
    id: ProviderId,
    name: String,
    names_people: String,
    chosen: bool,
}

/// The roles that Kubelend's credential may bind.
pub(super) fn bindable_roles() -> Vec<&'static str> {
    Role::NAMES.to_vec()
}

/// Which workspace the form begins with.
#[derive(Debug, serde::Deserialize)]
pub struct Into {
    #[serde(default)]
    workspace: String,
}

impl Into {
    fn is(&self, workspace: WorkspaceId) -> bool {
        self.workspace == workspace.to_string()
    }
}

/// The form.
pub async fn get(
    who: SignedIn,
    Query(into): Query<Into>,
    State(gate): State<Gate>,
    State(store): State<Store>,
    State(providers): State<Providers>,
) -> Result<Response, PageError> {
    gate.add_cluster(&who.person)?;
    let workspaces = workspaces(&who.person, &store, &into.workspace).await?;
    let offered = offered(&who.person, &store, &providers).await?;
    let boxes = provider_boxes(&offered, |p| p.settings().id.home().is_none_or(|home| into.is(home)));
    Ok(page(&who, StatusCode::OK, Typed::default(), boxes, workspaces, FieldErrors::default()))
}

/// Adds it; what is wrong with the form is said at its fields.
pub async fn post(
    who: SignedIn,
    State(gate): State<Gate>,
    State(clusters): State<Clusters>,
    State(store): State<Store>,
    State(providers): State<Providers>,
    form: ProtectedMultipart,
) -> Result<Response, PageError> {
    let chosen_workspace = form.get("workspace");
    let permit = match chosen_workspace {
        "" => gate.add_cluster(&who.person)?,
        id => gate.add_cluster_to(&who.person, id.parse().map_err(|_| PageError::not_found())?).await?,
    };
    let mut errors = FieldErrors::default();
    let offered = offered(&who.person, &store, &providers).await?;
    if let Some(request) = read(&form, &offered, &mut errors) {
        match clusters.add(&permit, request).await {
            Ok(cluster) => return Ok(Redirect::to(&paths::cluster(cluster.id)).into_response()),
            Err(AccessError::Invalid { field, message }) => errors.add(field, message),
            Err(other) => return Err(other.into()),
        }
    }
    let typed = Typed {
        name: form.get("name").to_owned(),
        labels: form.get("labels").to_owned(),
        kubeconfig: pasted(&form).to_owned(),
    };
    let boxes = provider_boxes(&offered, |p| chosen(&form, &offered, &p.settings().id));
    let workspaces = workspaces(&who.person, &store, chosen_workspace).await?;
    Ok(page(&who, StatusCode::UNPROCESSABLE_ENTITY, typed, boxes, workspaces, errors))
}

/// What a cluster of theirs can trust: the configured providers, and those that are a workspace's own to which they can add it, each
/// with the name of that.
async fn offered(
    person: &Person,
    store: &Store,
    providers: &Providers,
) -> Result<Vec<(Arc<Provider>, Option<String>)>, PageError> {
    let mut offered: Vec<_> = providers.iter().map(|provider| (Arc::clone(provider), None)).collect();
    for (workspace, _) in open(person, store).await? {
        let around = providers.around(Some(workspace.id)).into_iter();
        let own = around.filter(|provider| provider.settings().id.home().is_some());
        offered.extend(own.map(|provider| (provider, Some(workspace.name.clone()))));
    }
    Ok(offered)
}

/// The workspaces that they can add clusters to.
async fn open(person: &Person, store: &Store) -> Result<Vec<(Workspace, Option<MemberRole>)>, PageError> {
    let all = store.workspaces_of(person.identity(), person.is_platform_admin()).await?;
    let takes = |(w, role): &(Workspace, Option<MemberRole>)| {
        policy::add_cluster_to(person, w.clone(), *role).is_ok() && w.removing.is_none()
    };
    Ok(all.into_iter().filter(takes).collect())
}

/// Where a cluster of theirs can go; nothing where there is nothing to choose. Without a choice it goes to the one that they own
/// themselves, which is made with their first cluster.
async fn workspaces(person: &Person, store: &Store, chosen: &str) -> Result<Vec<Choice>, PageError> {
    let own = store.own_workspace(person.identity()).await?.map(|id| id.to_string());
    let open = open(person, store).await?.into_iter();
    let chosen = if chosen.is_empty() { own.as_deref().unwrap_or_default() } else { chosen };
    let mut choices: Vec<Choice> = open.map(|(w, _)| Choice::new(w.id.to_string(), w.name, chosen)).collect();
    if own.is_none() && !choices.is_empty() {
        choices.insert(0, Choice::new("", "a new one of my own", chosen));
    }
    Ok(if choices.len() > 1 { choices } else { Vec::new() })
}

/// What was typed. The kubeconfig is a secret: it goes back into the form it came from (the answer is `no-store`), and nowhere else.
#[derive(Default)]
struct Typed {
    name: String,
    labels: String,
    kubeconfig: String,
}

fn page(
    who: &SignedIn,
    status: StatusCode,
    typed: Typed,
    providers: Vec<ProviderBox>,
    workspaces: Vec<Choice>,
    errors: FieldErrors,
) -> Response {
    let roles = bindable_roles();
    let page = AddClusterPage {
        frame: Frame::new(who, Nav::Clusters),
        action: paths::ADD_CLUSTER,
        script: kubeconfig::connect_script(&roles),
        manifest: kubeconfig::least_power_manifest(&roles),
        name: typed.name,
        labels: typed.labels,
        kubeconfig: typed.kubeconfig,
        providers,
        workspaces,
        errors,
    };
    render_with(status, &page)
}

type Offered = [(Arc<Provider>, Option<String>)];

fn read(form: &ProtectedMultipart, offered: &Offered, errors: &mut FieldErrors) -> Option<NewClusterRequest> {
    let name = errors.keep("name", form.get("name").parse::<ClusterName>());
    let labels = errors.keep("labels", form.get("labels").parse::<Labels>());
    let kubeconfig = read_kubeconfig(form, errors);
    let trusts: Vec<(ProviderId, ClaimMapping)> = offered
        .iter()
        .map(|(provider, _)| provider.settings())
        .filter(|s| chosen(form, offered, &s.id))
        .map(|s| (s.id.clone(), s.claim_mapping.clone()))
        .collect();
    if trusts.is_empty() {
        errors.add("trust", "Choose at least one provider: nobody could sign in to this cluster otherwise.");
        return None;
    }
    Some(NewClusterRequest { name: name?, kubeconfig: kubeconfig?, trusts, labels: labels? })
}

/// Reads the pasted kubeconfig, or the file in its place; all that stands against it is said at the field it came from.
pub(super) fn read_kubeconfig(form: &ProtectedMultipart, errors: &mut FieldErrors) -> Option<Parsed> {
    let pasted = pasted(form);
    let file = form.get("kubeconfig_file");
    let (field, text) = if pasted.trim().is_empty() && !file.trim().is_empty() {
        ("kubeconfig_file", file)
    } else {
        ("kubeconfig", pasted)
    };
    if text.trim().is_empty() {
        errors.add(field, "Paste the kubeconfig that the command printed, or choose a file.");
        return None;
    }
    if field == "kubeconfig" && !file.trim().is_empty() {
        errors.add(field, "There is a pasted kubeconfig and a file. Empty this field, or choose no file.");
        return None;
    }
    kubeconfig::parse(text).map_err(|all| all.iter().for_each(|e| errors.add(field, e.to_string()))).ok()
}

/// The pasted text, as it goes back into the form.
pub(super) fn pasted(form: &ProtectedMultipart) -> &str {
    form.get("kubeconfig")
}

/// With a single provider there is nothing to choose.
fn chosen(form: &ProtectedMultipart, offered: &Offered, id: &ProviderId) -> bool {
    offered.len() == 1 || !form.get(&box_name(id)).is_empty()
}

fn box_name(id: &ProviderId) -> String {
    format!("trust-{id}")
}

fn provider_boxes(offered: &Offered, chosen: impl Fn(&Provider) -> bool) -> Vec<ProviderBox> {
    let named = |name: &str, of: &Option<String>| match of {
        Some(workspace) => format!("{name}, of {workspace} alone"),
        None => name.to_owned(),
    };
    offered
        .iter()
        .map(|(p, of)| ProviderBox {
            id: p.settings().id.clone(),
            name: named(&p.settings().name, of),
            names_people: names_people(&p.settings().claim_mapping),
            chosen: chosen(p),
        })
        .collect()
}

/// How a mapping names people, as a sentence.
pub(super) fn names_people(mapping: &ClaimMapping) -> String {
    let user = match mapping.username_claim.as_str() {
        "email" => format!("{}bob@example.com", mapping.username_prefix),
        claim => format!("{}‹{claim}›", mapping.username_prefix),
    };
    format!("On the cluster a person is “{user}” and the group devs is “{}devs”.", mapping.groups_prefix)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::pages::samples::{HOSTILE, frame};

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let mut errors = FieldErrors::default();
        errors.add("name", "Give the cluster a name.");
        errors.add("kubeconfig", HOSTILE);
        errors.add("kubeconfig", "users[0].user.exec: it would run a command here. Only inline credentials are taken.");
        errors.add("trust", "Choose at least one provider.");
        errors.add("labels", HOSTILE);
        let boxes = |n: usize| {
            (0..n)
                .map(|n| ProviderBox {
                    id: format!("p{n}").parse().unwrap(),
                    name: "Dex".into(),
                    names_people: names_people(&ClaimMapping::default()),
                    chosen: n == 0,
                })
                .collect()
        };
        let draw = |name: &str, kubeconfig: &str, providers, errors| {
            AddClusterPage {
                frame: frame(),
                action: paths::ADD_CLUSTER,
                script: "kubectl apply -f - <<'EOF'\n…\nEOF\n".repeat(30),
                manifest: "apiVersion: v1\nkind: Namespace\n".repeat(30),
                name: name.into(),
                labels: name.into(),
                kubeconfig: kubeconfig.into(),
                workspaces: [("a", "Clusters of alice@example.com"), ("b", HOSTILE)]
                    .into_iter()
                    .map(|(id, name)| Choice::new(id, name, "b"))
                    .collect(),
                providers,
                errors,
            }
            .render()
            .unwrap()
        };
        vec![
            ("add-cluster", draw("", "", boxes(1), FieldErrors::default())),
            ("add-cluster-wrong", draw(HOSTILE, HOSTILE, boxes(2), errors)),
        ]
    }

    fn drawn(name: &str, kubeconfig: &str, errors: FieldErrors) -> String {
        AddClusterPage {
            frame: Frame::anonymous(),
            action: paths::ADD_CLUSTER,
            script: "kubectl apply".into(),
            manifest: String::new(),
            name: name.into(),
            labels: String::new(),
            kubeconfig: kubeconfig.into(),
            providers: vec![],
            workspaces: vec![],
            errors,
        }
        .render()
        .unwrap()
    }

    #[test]
    fn immune_17_what_was_typed_comes_back_as_text() {
        let hostile = r#""><script>alert(1)</script></textarea><img src=x onerror=alert(1)>"#;
        let mut errors = FieldErrors::default();
        errors.add("kubeconfig", hostile);
        let html = drawn(hostile, hostile, errors);
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(!html.contains("<img src=x"), "{html}");
        assert_eq!(html.matches("</textarea>").count(), 1);
    }

    #[test]
    fn every_error_of_a_kubeconfig_is_said_at_its_field() {
        let mut errors = FieldErrors::default();
        errors.add("kubeconfig", "users[0].user.exec: runs a command");
        errors.add("kubeconfig", "line 7: an anchor");
        let html = drawn("staging", "x", errors);
        assert!(html.contains("runs a command") && html.contains("line 7: an anchor"));
        assert!(html.contains(r#"aria-invalid="true" aria-describedby="kubeconfig-error""#));
        assert!(html.contains(r#"id="kubeconfig-error""#) && html.contains(r#"value="staging""#));
    }

    #[test]
    fn a_mapping_is_said_as_the_names_it_makes() {
        assert_eq!(
            names_people(&ClaimMapping::default()),
            "On the cluster a person is “bob@example.com” and the group devs is “oidc:devs”."
        );
    }
}
