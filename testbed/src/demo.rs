//! `make demo`: two clusters, an identity provider with people, and Kubelend, for a look around.
//!
//! It begins afresh each time, stays in the foreground, and takes everything along when it ends.

mod words;

use std::{
    env,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use testbed::{
    Ca, ControlPlane, Dex, Directory, Etcd, Kubelend, Port, Programs,
    directory::everybody,
    kubelend::{Place, quoted},
};
use tokio::signal::unix::{SignalKind, signal};

/// Everything of a demo; dropping it ends it.
struct Demo {
    folder: PathBuf,
    ca_file: PathBuf,
    clusters: Vec<ControlPlane>,
    dex: Dex,
    _directory: Directory,
    _etcd: Etcd,
    kubelend: Kubelend,
}

/// Runs the demo in `target/demo` until Ctrl-C. Kubelend's binary is beside this one unless it is named.
pub(crate) fn run(binary: Option<&Path>) -> Result<()> {
    let began = Instant::now();
    let beside = env::current_exe()?.with_file_name("kubelend");
    let binary = binary.unwrap_or(&beside);
    ensure!(binary.exists(), "{} is missing: build it first (`make demo` does)", binary.display());

    let target = env::current_dir()?.join("target");
    fs::create_dir_all(&target)?;
    let lock = File::create(target.join("demo.lock"))?;
    if lock.try_lock().is_err() {
        bail!("a demo runs here already: end it with Ctrl-C where it runs");
    }
    let folder = target.join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        };
        let life = async {
            println!("Starting two clusters, Dex with its people, and Kubelend …");
            let demo = start(folder, binary).await?;
            demo.write_json()?;
            words::print(&demo, began.elapsed());
            let exit = demo.kubelend.ended().await;
            bail!("Kubelend ended by itself ({exit:?}):\n{}", demo.kubelend.log_tail(20).await);
        };
        tokio::select! {
            () = stop => {
                println!("\nEnding the demo.");
                Ok(())
            }
            ended = life => ended,
        }
    })
}

async fn start(folder: PathBuf, binary: &Path) -> Result<Demo> {
    let ca = Ca::in_folder("Kubelend demo CA", &folder)?;
    let (etcd, directory) = tokio::try_join!(Etcd::start(), Directory::start())?;
    let place = Place::at(&ca, Port::prefer(8443)?, &make(&folder, "kubelend")?)?;
    let dex = Dex::builder()
        .port(Port::prefer(5556)?)
        .redirect_uri(&place.callback("dex"))
        // Where kubelogin listens.
        .redirect_uri("http://localhost:8000")
        .start(&ca, &etcd, &directory)
        .await?;
    let (staging, production) = (make(&folder, "staging")?, make(&folder, "production")?);
    let cluster = |name, port, folder| {
        Ok::<_, anyhow::Error>(
            ControlPlane::builder(name).port(Port::prefer(port)?).folder(folder).jwt(dex.jwt_issuer()).start(&etcd),
        )
    };
    let (staging, production) =
        tokio::try_join!(cluster("staging", 6443, &staging)?, cluster("production", 6444, &production)?)?;
    let configuration = configuration(&place, &dex, &ca);
    let kubelend = Kubelend::start(binary, place, &configuration).await?;
    commands(&make(&folder, "bin")?)?;
    Ok(Demo {
        ca_file: ca.path(),
        folder,
        clusters: vec![staging, production],
        dex,
        _directory: directory,
        _etcd: etcd,
        kubelend,
    })
}

fn configuration(place: &Place, dex: &Dex, ca: &Ca) -> String {
    format!(
        "{}
[[providers]]
id = \"dex\"
name = \"Dex\"
issuer = {}
client_id = \"kubelend\"
direct_client_id = \"kubelend-direct\"
ca_file = {}

[[platform_admins]]
provider = \"dex\"
email = \"alice@example.com\"
",
        place.configuration(&place.sqlite()),
        quoted(dex.issuer()),
        quoted(&ca.path().to_string_lossy()),
    )
}

/// The machine may have no kubectl, or an old one.
fn commands(folder: &Path) -> Result<()> {
    let programs = Programs::get()?;
    for name in ["kubectl", "kubectl-oidc_login"] {
        symlink(programs.commands().join(name), folder.join(name))?;
    }
    Ok(())
}

fn make(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
    Ok(path)
}

impl Demo {
    /// For other programs that use a running demo.
    fn write_json(&self) -> Result<()> {
        let people = everybody();
        let content = json!({
            "url": self.kubelend.url(),
            "issuer": self.dex.issuer(),
            "ca_file": self.ca_file,
            "people": people.iter().map(|person| json!({
                "email": person.email, "password": person.password, "groups": person.groups,
            })).collect::<Vec<_>>(),
            "clusters": self.clusters.iter().map(|cluster| json!({
                "name": cluster.name(),
                "server": cluster.server_url(),
                "admin_kubeconfig": cluster.admin_kubeconfig(),
            })).collect::<Vec<_>>(),
        });
        // In one step: whoever waits for the file finds it whole.
        let fresh = self.folder.join("demo.json.new");
        fs::write(&fresh, serde_json::to_vec_pretty(&content)?)?;
        fs::rename(&fresh, self.folder.join("demo.json")).context("put demo.json in place")
    }
}
