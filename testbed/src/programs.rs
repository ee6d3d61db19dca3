//! The programs of the testbed, built from their sources at the versions that `go.sum` and its like fix.
//!
//! They are kept outside the working tree, keyed by what they are made of, so that only the first `make demo` or
//! `make test` on a machine builds them. Parallel processes wait for one build, and a build that was interrupted leaves
//! nothing that looks finished: the folder gets its name when it is complete.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::system;

/// Where the Go module, the npm package and the list of Python packages of the testbed are.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");
/// What a build says of itself: without it kubectl refuses some commands.
const KUBERNETES: &str = "v1.36.3";

/// All programs, ready to run.
#[derive(Debug, Clone)]
pub struct Programs {
    tools: PathBuf,
    ours: PathBuf,
    compose: PathBuf,
    node: PathBuf,
    python: PathBuf,
}

impl Programs {
    /// The programs; what is missing is built first, which takes minutes on a machine that never did.
    pub fn get() -> Result<&'static Self> {
        static PROGRAMS: OnceLock<Result<Programs, String>> = OnceLock::new();
        PROGRAMS
            .get_or_init(|| Self::ensure().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))
    }

    /// Path of a program: `etcd`, `kube-apiserver`, `kube-controller-manager`, `kubectl`, `kubelogin`, `dex`,
    /// `directory`, `keeper` or `compose`.
    pub fn path(&self, name: &str) -> PathBuf {
        match name {
            "etcd" => self.tools.join("server"), // the package's name in its own module
            "directory" | "keeper" => self.ours.join(name),
            "compose" => self.compose.join(name),
            _ => self.tools.join(name),
        }
    }

    /// A folder for the PATH, with `kubectl` and its plugin `kubectl oidc-login`.
    pub fn commands(&self) -> &Path {
        &self.tools
    }

    /// axe-core's script.
    pub fn axe(&self) -> PathBuf {
        self.node.join("node_modules/axe-core/axe.min.js")
    }

    /// Python, with the official client of Kubernetes.
    pub fn python(&self) -> PathBuf {
        self.python.join("bin/python")
    }

    fn ensure() -> Result<Self> {
        let cache = cache()?;
        let all = Self::built(&cache);
        // 3 GB that nobody needs again: what is built is kept, and what it was built from is fetched again if need be.
        let spent = go_cache(&cache);
        if spent.exists() {
            fs::remove_dir_all(&spent).with_context(|| format!("remove {}", spent.display()))?;
        }
        all
    }

    fn built(cache: &Path) -> Result<Self> {
        let tools = Build {
            name: "tools",
            what: "etcd, Kubernetes, Dex and kubelogin (8 minutes on two cores the first time)",
            made_of: &["go.mod", "go.sum"],
            on: String::new(),
            run: |folder| {
                go_install(folder, ".", &["tool"])?;
                // The name under which kubectl finds the plugin `kubectl oidc-login`.
                Ok(symlink("kubelogin", folder.join("kubectl-oidc_login"))?)
            },
        };
        let ours = Build {
            name: "ours",
            what: "the testbed's own Go programs (1 minute)",
            made_of: &["go.mod", "go.sum", "directory", "keeper"],
            on: String::new(),
            run: |folder| go_install(folder, ".", &["./directory", "./keeper"]),
        };
        // A module of its own: what it needs changes no version of the others, and nobody waits for those to be built again.
        let compose = Build {
            name: "compose",
            what: "the reader of compose files (20 seconds)",
            made_of: &["compose"],
            on: String::new(),
            run: |folder| go_install(folder, "compose", &["."]),
        };
        let node = Build {
            name: "node",
            what: "axe-core (seconds)",
            made_of: &["package.json", "package-lock.json"],
            on: String::new(),
            run: npm_install,
        };
        let python = Build {
            name: "python",
            what: "the Python client of Kubernetes (half a minute)",
            made_of: &["requirements.txt"],
            on: python_version()?,
            run: pip_install,
        };
        Ok(Self {
            tools: tools.ensure(cache)?,
            ours: ours.ensure(cache)?,
            compose: compose.ensure(cache)?,
            node: node.ensure(cache)?,
            python: python.ensure(cache)?,
        })
    }
}

struct Build {
    name: &'static str,
    what: &'static str,
    made_of: &'static [&'static str],
    /// What of the system it is for: with another one it is built again.
    on: String,
    run: fn(&Path) -> Result<()>,
}

impl Build {
    fn ensure(&self, cache: &Path) -> Result<PathBuf> {
        let done = cache.join(format!("{}-{}", self.name, hash(self.made_of, &self.on)?));
        if done.exists() {
            return Ok(done);
        }
        fs::create_dir_all(cache).with_context(|| format!("make {}", cache.display()))?;
        let lock = File::create(cache.join(format!("{}.lock", self.name)))?;
        if lock.try_lock().is_err() {
            say(&format!("testbed: another process builds {}; waiting for it", self.name));
            lock.lock()?;
        }
        if done.exists() {
            return Ok(done);
        }
        say(&format!("testbed: building {}", self.what));
        let started = Instant::now();
        let partial = cache.join(format!("{}.partial", self.name));
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        (self.run)(&partial)?;
        fs::rename(&partial, &done)?;
        say(&format!("testbed: built {} in {} s", self.name, started.elapsed().as_secs()));
        Ok(done)
    }
}

fn go_install(folder: &Path, module: &str, packages: &[&str]) -> Result<()> {
    let version = [
        format!("k8s.io/component-base/version.gitVersion={KUBERNETES}"),
        "k8s.io/component-base/version.gitMajor=1".to_owned(),
        "k8s.io/component-base/version.gitMinor=36".to_owned(),
        "k8s.io/component-base/version.gitTreeState=clean".to_owned(),
        "k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z".to_owned(),
        format!("k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"),
    ];
    let flags = version.iter().fold("-s -w".to_owned(), |mut flags, set| {
        let _ = write!(flags, " -X {set}");
        flags
    });
    let mut command = Command::new(system::builder("go", "Go 1.26.4 or later (https://go.dev/dl)")?);
    command.args(["install", "-trimpath", "-ldflags", &flags]).args(packages);
    command.current_dir(Path::new(SOURCES).join(module));
    command.env("GOBIN", folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false").env("GOWORK", "off");
    command.env("GOCACHE", go_cache(&cache()?));
    run(&mut command)
}

/// Where Go keeps what it compiles while this process builds.
fn go_cache(cache: &Path) -> PathBuf {
    cache.join(format!("go-build-{}", std::process::id()))
}

fn npm_install(folder: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(Path::new(SOURCES).join(file), folder.join(file)).with_context(|| format!("copy {file}"))?;
    }
    let npm = system::builder("npm", "npm (Debian: apt-get install npm)")?;
    run(Command::new(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder))
}

fn python() -> Result<PathBuf> {
    system::builder("python3", "Python 3.10 or later with venv (Debian: apt-get install python3-venv)")
}

/// Which Python this is, and where it lives: a virtual environment points there.
fn python_version() -> Result<String> {
    let mut command = Command::new(python()?);
    let output =
        command.args(["-c", "import sys; print(sys.version, sys.base_prefix)"]).output().context("ask Python")?;
    if !output.status.success() {
        bail!("python3 does not say its version: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A virtual environment with what `requirements.txt` pins. It may be moved afterwards: only the scripts in its `bin` know where
/// they were made, and nobody calls those.
fn pip_install(folder: &Path) -> Result<()> {
    run(Command::new(python()?).args(["-m", "venv"]).arg(folder))?;
    // Nothing that is fetched runs here: wheels only, and only those whose hash is known.
    let options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"];
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install"]).args(options);
    run(pip.arg("--requirement").arg(Path::new(SOURCES).join("requirements.txt")))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("KUBELEND_TESTBED_CACHE") {
        return Ok(folder.into());
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(base.or_else(home).context("neither HOME nor KUBELEND_TESTBED_CACHE is set")?.join("kubelend-testbed"))
}

/// The hash of files and of all files in folders, names and contents, and of a text.
fn hash(paths: &[&str], text: &str) -> Result<String> {
    let mut files = Vec::new();
    for path in paths {
        let path = Path::new(SOURCES).join(path);
        if path.is_dir() {
            let entries: Result<Vec<_>, _> = path.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect();
            files.extend(entries?);
        } else {
            files.push(path);
        }
    }
    files.sort_unstable();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(fs::read(&file).with_context(|| format!("read {}", file.display()))?);
    }
    hash.update(text);
    Ok(hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[allow(clippy::print_stderr, reason = "who waits for minutes wants to know what for")]
fn say(line: &str) {
    eprintln!("{line}");
}
