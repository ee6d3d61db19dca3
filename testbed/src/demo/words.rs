//! What the demo tells whoever started it.

use std::time::Duration;

use testbed::directory::{PASSWORD, everybody};

use super::Demo;

/// Who can sign in, what to try first, and where to click.
pub(super) fn print(demo: &Demo, took: Duration) {
    let url = demo.kubelend.url();
    println!("\nKubelend runs at  {url}   (ready after {:.0} s; Ctrl-C ends everything)\n", took.as_secs_f64());
    println!("Your browser warns once here and once at Dex ({}), since both certificates", demo.dex.issuer());
    println!("come from a CA made for this demo. Go on nevertheless, or trust {}.\n", demo.ca_file.display());
    println!("People, all with the password \"{PASSWORD}\":");
    for person in everybody() {
        let groups = if person.groups.is_empty() { "no group".to_owned() } else { person.groups.join(", ") };
        let role = if person.id == "alice" { ", platform admin" } else { "" };
        println!("  {:<22} {groups}{role}", person.email);
    }
    println!("\nClusters, yours through these kubeconfigs:");
    for cluster in &demo.clusters {
        println!("  {:<12} {}   {}", cluster.name(), cluster.server_url(), cluster.admin_kubeconfig().display());
    }
    let staging = demo.clusters.first().map(|cluster| cluster.admin_kubeconfig().display().to_string());
    println!(
        "
Try first:
  1. In a terminal, take the kubectl of this demo and the cluster \"staging\":
       export PATH={bin}:$PATH KUBECONFIG={staging}
  2. In the browser, sign in as alice@example.com. Press \"Add cluster\", run the command that the page shows in
     that terminal, and paste what it prints. Name the cluster \"staging\".
  3. On the cluster's page: \"Share links\", \"Share\", role \"view\", \"Create link\", \"Copy\".
  4. Open the link in a private window, sign in as bob@example.com, press \"Accept\" and download the kubeconfig.
  5. In another terminal:
       export PATH={bin}:$PATH
       kubectl --kubeconfig FILE get pods -A             works
       kubectl --kubeconfig FILE create namespace x      Forbidden: bob may look, not touch
  6. As bob: \"My devices\" lists that file; \"Take back\" ends it with its last token, within 10 minutes here.
     The kubeconfig page has other formats as well; the demo's PATH has the plugin kubelogin.
  7. Back as alice: \"Access\", \"Remove\" in bob's row, and bob's kubectl says Forbidden at once.

For programs: {folder}/demo.json
",
        bin = demo.folder.join("bin").display(),
        staging = staging.unwrap_or_default(),
        folder = demo.folder.display(),
    );
}
