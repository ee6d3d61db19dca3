//! The roles of a namespace, which Kubelend makes where they are given: by whom, with which power, and what becomes of them when somebody
//! changes, deletes or forges them; each tried with real kubectl as the person, on a cluster of the test's own.

use anyhow::{Context, Result, ensure};
use kubelend::model::power::Power;
use testbed::{Person, eventually};

use super::{
    house::Database,
    roles::{Home, PATIENCE, may, press_with_role, refused_at_the_field},
    visitor::Visitor,
};

const EDITOR: &str = "Role namespace-editor";

async fn kubectl(home: &Home, arguments: &[&str]) -> Result<String> {
    home.kubectl.run(arguments).await?.ok()
}

async fn give(visitor: &mut Visitor, page: &str, who: &Person, role: &str, namespace: &str) -> Result<()> {
    visitor.open(page).await?;
    let answers = [("Name", &*who.email), ("Role", role), ("Where", "Namespaces"), ("Namespaces", namespace)];
    visitor.press("Grant", &answers).await.map(drop)
}

/// Opens the page until the row says this.
async fn row_says(visitor: &mut Visitor, page: &str, row: &str, words: &str) -> Result<()> {
    let begun = tokio::time::Instant::now();
    loop {
        let rows = visitor.open(page).await?.rows(row);
        if rows.iter().any(|row| row.contains(words)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "“{words}” in {rows:?}: {}", visitor.page.text());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn immune_28_a_namespaces_role_is_made_where_it_is_given_kept_as_it_is_and_never_taken_over() -> Result<()> {
    let mut home = Home::open(Database::Postgres, "halls").await?;
    let bed = home.house.bed;
    let (carol, dave) = (bed.hire("carol", &[]).await?, bed.hire("dave", &[]).await?);
    for namespace in ["shop", "bank"] {
        kubectl(&home, &["create", "namespace", namespace]).await?;
    }
    let access = home.access();

    // Its rules before it is given, and what Kubelend lacks for it.
    let rules = format!("{}/roles?role=local%3Anamespace-editor", home.path);
    home.editor.open(&rules).await?.sees("As Kubelend makes it in each namespace where it is given")?;
    home.editor.page.sees("run commands in pods")?;
    give(&mut home.editor, &access, &carol, EDITOR, "shop").await?;
    refused_at_the_field(&home.editor, "Kubelend may not make the roles of namespaces on this cluster")?;
    home.empower(Power::NamespaceRoles).await?;
    home.editor.open(&access).await?;
    home.editor.press("Grant", &[("Name", &carol.email), ("Role", EDITOR)]).await?;
    refused_at_the_field(&home.editor, "This role is a namespace's")?;

    // An editor gives it: it is within admin.
    let as_carol = home.kubectl_as(&carol).await?;
    give(&mut home.editor, &access, &carol, EDITOR, "shop").await?;
    let row = home.editor.page.rows(&carol.email).pop().context("carol's row")?;
    ensure!(row.contains("in force"), "{row}");
    may(&as_carol, true, &["delete", "deployments", "-n", "shop"]).await?;
    may(&as_carol, false, &["get", "pods", "-n", "bank"]).await?;
    may(&as_carol, false, &["create", "rolebindings", "-n", "shop"]).await?;
    let labels =
        kubectl(&home, &["-n", "shop", "get", "role", "namespace-editor", "-o", "jsonpath={.metadata.labels}"]).await?;
    ensure!(labels.contains(r#""component":"userClusterRole""#) && labels.contains("kubelend.io/instance"), "{labels}");

    // Made wider or deleted by somebody, it is put back; nobody is told to doubt it meanwhile.
    let wider = r#"{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}"#;
    kubectl(&home, &["-n", "shop", "patch", "role", "namespace-editor", "--type=merge", "-p", wider]).await?;
    may(&as_carol, false, &["create", "rolebindings", "-n", "shop"]).await?;
    kubectl(&home, &["-n", "shop", "delete", "role", "namespace-editor"]).await?;
    may(&as_carol, true, &["delete", "deployments", "-n", "shop"]).await?;
    home.owner
        .open(&format!("{}/activity", home.path))
        .await?
        .sees("put back on the cluster the Role namespace-editor in namespace shop")?;

    somebody_elses(&mut home, &access, &dave).await?;
    in_a_project(&mut home, &dave).await?;

    // Taken back: the binding goes, the Role stays and gives nobody anything.
    home.editor.open(&access).await?;
    home.editor.press_in_row(&carol.email, "Remove").await?;
    may(&as_carol, false, &["get", "pods", "-n", "shop"]).await?;
    kubectl(&home, &["-n", "shop", "get", "role", "namespace-editor"]).await.map(drop)
}

/// A Role of the name that somebody else has made is used as what its rules are, or not at all, and never changed.
async fn somebody_elses(home: &mut Home, access: &str, dave: &Person) -> Result<()> {
    let everything = ["-n", "bank", "create", "role", "namespace-editor", "--verb=*", "--resource=*.*"];
    kubectl(home, &everything).await?;
    give(&mut home.owner, access, dave, EDITOR, "bank").await?;
    refused_at_the_field(&home.owner, "Or it is deleted, and Kubelend makes its own")?;
    kubectl(home, &["-n", "bank", "label", "role", "namespace-editor", "kubelend.io/assignable=true"]).await?;
    let bank = [("Name", &*dave.email), ("Where", "Namespaces"), ("Namespaces", "bank")];
    home.editor.open(access).await?;
    press_with_role(&mut home.editor, "Grant", "local:namespace-editor", &bank).await?;
    refused_at_the_field(&home.editor, "only owners of the workspace give it")?;
    let rules = ["-n", "bank", "get", "role", "namespace-editor", "-o", "jsonpath={.rules}"];
    ensure!(kubectl(home, &rules).await?.contains(r#""*""#), "it is left as it was");
    Ok(())
}

/// In a project it is made in the project's namespace; where somebody else's stands, that is a conflict with a way out.
async fn in_a_project(home: &mut Home, dave: &Person) -> Result<()> {
    home.owner.open(&format!("{}/projects", home.workspace)).await?;
    home.owner.press("Make project", &[("Name", "Bank"), ("Namespace", "bank")]).await?;
    let project = home.owner.page.url.path().to_owned();
    home.owner.open(&project).await?;
    home.owner.press("Grant", &[("Kind", "user"), ("Name", &dave.email), ("Role", EDITOR)]).await?;
    let access = home.access();
    row_says(&mut home.owner, &access, &dave.email, "this Kubelend did not make it").await?;
    let as_dave = home.kubectl_as(dave).await?;
    may(&as_dave, false, &["get", "pods", "-n", "bank"]).await?;
    kubectl(home, &["-n", "bank", "delete", "role", "namespace-editor"]).await?;
    may(&as_dave, true, &["delete", "deployments", "-n", "bank"]).await?;
    eventually("ours to stand", PATIENCE, async || {
        let owner = ["-n", "bank", "get", "role", "namespace-editor", "-o", "jsonpath={.metadata.labels}"];
        let labels = kubectl(home, &owner).await?;
        ensure!(labels.contains("kubelend.io/instance"), "{labels}");
        Ok(())
    })
    .await
}
