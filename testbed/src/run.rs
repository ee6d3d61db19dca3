//! Where one process of the testbed keeps its servers' data and logs.
//!
//! Data goes when the process goes, however it goes; logs stay for a day, because the test that failed is over when
//! somebody wants to read them. The folder is in the system's temporary directory and not below `target/`, since
//! PostgreSQL, which refuses to run as root, has to reach its part as another user.

use std::{
    fs::{self, DirBuilder, File},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::programs::Programs;

/// A file system in memory, where most Linux systems have one.
const MEMORY: &str = "/dev/shm";
/// So many bytes have to be free there: a whole run of the tests has a gigabyte at most at a time.
const ROOM: u64 = 6 << 30;
/// Ended runs keep their logs this long.
const KEEP_LOGS: Duration = Duration::from_hours(24);

struct Run {
    data: PathBuf,
    logs: PathBuf,
    _lock: File,
    /// Removes `data` once this process is gone. Never waited for: it outlives us by design.
    _janitor: Child,
}

/// The testbed's folder for all runs of this user, but for data that is kept in memory. Names are short here and below: a browser puts a socket at the end of a
/// long path in it, and the path of a socket has 107 bytes at most.
pub fn root() -> PathBuf {
    below(&std::env::temp_dir())
}

fn below(place: &Path) -> PathBuf {
    place.join(format!("kubelend-{}", nix::unistd::getuid()))
}

static ON_DISK: AtomicBool = AtomicBool::new(false);

/// Keeps all data on the disk, where a commit takes what it takes elsewhere: for figures. To be said before anything is started.
pub fn keep_on_disk() {
    ON_DISK.store(true, Ordering::Relaxed);
}

/// Where data is kept in memory: it lives no longer than the run, and servers wait for a disk at each of their commits.
fn in_memory() -> Option<PathBuf> {
    if ON_DISK.load(Ordering::Relaxed) {
        return None;
    }
    let found = statvfs(MEMORY).ok()?;
    let fits = found.blocks_available().saturating_mul(found.fragment_size()) >= ROOM;
    // Tests write scripts and run them.
    let runs = !found.flags().intersects(FsFlags::ST_NOEXEC | FsFlags::ST_RDONLY);
    (fits && runs).then(|| below(Path::new(MEMORY)))
}

/// A new empty folder for one server's data, readable by this user alone.
pub fn folder(name: &str) -> Result<PathBuf> {
    let path = current()?.data.join(format!("{name}-{}", next()));
    make(&path, 0o700)?;
    Ok(path)
}

/// A folder that goes earlier than the process: when this is dropped.
#[derive(Debug)]
pub struct Passing(PathBuf);

/// A new empty folder that goes when what comes back is dropped.
pub fn passing_folder(name: &str) -> Result<Passing> {
    folder(name).map(Passing)
}

impl Passing {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // Somebody may still write into it as they are being killed: then it goes with the process.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A new log file's path.
pub fn log_file(name: &str) -> Result<PathBuf> {
    Ok(current()?.logs.join(format!("{name}-{}.log", next())))
}

/// The folder with all data of this process.
pub fn data() -> Result<PathBuf> {
    Ok(current()?.data.clone())
}

/// The folder with all logs of this process.
pub fn logs() -> Result<PathBuf> {
    Ok(current()?.logs.clone())
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn current() -> Result<&'static Run> {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    RUN.get_or_init(|| create().map_err(|error| format!("{error:#}"))).as_ref().map_err(|error| anyhow!("{error}"))
}

fn create() -> Result<Run> {
    let root = root();
    make(&root, 0o711)?;
    sweep(&root);
    let started = now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() & 0xffff;
    let name = format!("{}-{started:04x}", std::process::id());
    let run = root.join(&name);
    let logs = run.join("logs");
    make(&run, 0o711)?;
    let data = match in_memory() {
        Some(memory) => {
            make(&memory, 0o711)?;
            memory.join(name)
        }
        None => run.join("data"),
    };
    make(&data, 0o711)?;
    make(&logs, 0o700)?;
    let lock = File::create(run.join("lock"))?;
    lock.lock()?;
    let janitor = Command::new(Programs::get()?.path("keeper"))
        .arg("-remove")
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start the process that cleans up after this one")?;
    Ok(Run { data, logs, _lock: lock, _janitor: janitor })
}

fn make(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.with_context(|| format!("make the folder {}", path.display())),
    }
}

/// Removes what earlier runs left, but for recent logs. A run that still lives holds its lock.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let run = entry.path();
        let Ok(lock) = File::open(run.join("lock")) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let age = lock.metadata().and_then(|file| file.modified()).ok();
        let age = age.and_then(|modified| now().duration_since(modified).ok());
        drop(fs::remove_dir_all(below(Path::new(MEMORY)).join(entry.file_name())));
        if age.is_some_and(|age| age > KEEP_LOGS) {
            drop(fs::remove_dir_all(&run));
        } else {
            drop(fs::remove_dir_all(run.join("data")));
        }
    }
}

fn now() -> SystemTime {
    SystemTime::now()
}
