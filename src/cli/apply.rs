//! `kubelend apply`: who has access, as a file says it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use serde::Serialize;

use super::{ConfigFile, Output, complain, keys, say};
use crate::{
    access::{Change, Kind, Plan, Remark, Stopped},
    app::{self, AppError, Applied, ApplyError},
    declared::{MAX_BYTES, Mistake, Place},
};

/// The exit code of a dry run that has found something to do.
const WOULD_CHANGE: u8 = 2;

/// Applies a file (`-`: standard input), or says what that would do.
pub(super) fn run(config: &ConfigFile, file: &Path, dry: bool, output: Output) -> ExitCode {
    let settings = match config.load() {
        Ok(settings) => settings,
        Err(error) => return complain(error),
    };
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            return complain(format!("{}: {error}\n  → name a file, or - for standard input", file.display()));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(format!("no runtime can be started: {error}")),
    };
    match runtime.block_on(app::apply(&settings, &text, dry)) {
        Ok(applied) => tell(&applied, file, dry, output),
        Err(ApplyError::Mistakes(mistakes)) => complain(listed(file, &mistakes)),
        Err(ApplyError::App(AppError::OtherKeys(other))) => {
            complain(format!("kubelend: {other}\n  → {}", keys::next(config, &other)))
        }
        Err(error) => complain(format!(
            "kubelend: {error}\n  → nothing was written; kubelend check --config {} says more",
            config.file.display()
        )),
    }
}

/// The file's text, as far as it is looked at: one that is too long is told so, whatever its length.
fn read(file: &Path) -> io::Result<String> {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    // What is cut in the middle of a character is too long, and not another kind of wrong.
    if bytes.len() > MAX_BYTES {
        return Ok(" ".repeat(bytes.len()));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "this is no text in UTF-8"))
}

/// `access.yaml:12:7: what is wrong`, and what to do, for each.
fn listed(file: &Path, mistakes: &[Mistake]) -> String {
    let one = |m: &Mistake| format!("{}:{}:{}: {}\n  → {}", file.display(), m.at.line, m.at.column, m.problem, m.fix);
    mistakes.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn tell(applied: &Applied, file: &Path, dry: bool, output: Output) -> ExitCode {
    let told = match output {
        Output::Table => say(&table(applied, dry)),
        Output::Json => say(&json(applied, dry)),
    };
    if let Some(stopped) = &applied.stopped {
        return complain(failure(&applied.plan, stopped, file));
    }
    if told == ExitCode::SUCCESS && dry && !applied.plan.changes.is_empty() {
        return ExitCode::from(WOULD_CHANGE);
    }
    told
}

/// Each step that failed, and how many are done.
fn failure(plan: &Plan, stopped: &Stopped, file: &Path) -> String {
    let first = stopped.left.first().map(|n| (*n, &stopped.error));
    let each = first.into_iter().chain(stopped.more.iter().map(|(n, error)| (*n, error))).map(|(n, error)| {
        let change = plan.changes.get(n);
        let at = change.and_then(|change| change.at).map(|at| format!(":{}:{}", at.line, at.column));
        let what = change.map(|change| format!("{} {}: ", sign(change.kind), change.words)).unwrap_or_default();
        format!("{}{}: {what}{error}", file.display(), at.unwrap_or_default())
    });
    let mut lines: Vec<String> = each.collect();
    let (done, all) = (stopped.done, plan.changes.len());
    lines.push(format!("  → {done} of {all} steps are done; apply the file again"));
    lines.join("\n")
}

/// Each step, and whether it is left undone.
fn steps(applied: &Applied) -> impl Iterator<Item = (&Change, bool)> {
    let left = applied.stopped.as_ref().map_or(&[] as &[usize], |stopped| stopped.left.as_slice());
    applied.plan.changes.iter().enumerate().map(|(n, change)| (change, left.contains(&n)))
}

fn sign(kind: Kind) -> char {
    match kind {
        Kind::Add => '+',
        Kind::Change => '~',
        Kind::Remove => '-',
    }
}

fn table(applied: &Applied, dry: bool) -> String {
    let plan = &applied.plan;
    let note = |change: &Change| change.note.map(|note| format!(" ({note})")).unwrap_or_default();
    let change = |c: &Change| format!("{} {:9}  {}{}", sign(c.kind), c.what, c.words, note(c));
    let remark = |r: &Remark| format!("= {:9}  {}", r.what, r.words);
    let changes = steps(applied).filter(|(_, left)| !left).map(|(c, _)| change(c));
    let mut lines: Vec<String> = plan.remarks.iter().map(remark).chain(changes).collect();
    lines.push(summary(applied, dry));
    lines.join("\n")
}

fn summary(applied: &Applied, dry: bool) -> String {
    let plan = &applied.plan;
    let count = |kind| steps(applied).filter(|(change, left)| !left && change.kind == kind).count();
    let (added, changed, removed) = (count(Kind::Add), count(Kind::Change), count(Kind::Remove));
    match (plan.changes.is_empty(), dry) {
        (true, _) => format!("{}: nothing to do.", plan.file),
        (false, true) => {
            format!("{}: {added} to make, {changed} to change, {removed} to take back. Nothing was written.", plan.file)
        }
        (false, false) => format!(
            "{}: {added} made, {changed} changed, {removed} taken back. The server brings it to the clusters.",
            plan.file
        ),
    }
}

#[derive(Serialize)]
struct Told<'a> {
    op: &'static str,
    kind: &'a str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl<'a> Told<'a> {
    fn new(op: &'static str, kind: &'a str, what: &'a str, at: Option<Place>) -> Self {
        Self { op, kind, what, note: None, left: false, line: at.map(|at| at.line), column: at.map(|at| at.column) }
    }
}

fn json(applied: &Applied, dry: bool) -> String {
    let op = |kind| match kind {
        Kind::Add => "add",
        Kind::Change => "change",
        Kind::Remove => "remove",
    };
    let plan = &applied.plan;
    let change = |(c, left): (&'_ Change, bool)| {
        serde_json::json!(Told { note: c.note, left, ..Told::new(op(c.kind), c.what, &c.words, c.at) })
    };
    let remark = |r: &'_ Remark| serde_json::json!(Told::new("keep", r.what, &r.words, r.at));
    serde_json::json!({
        "file": plan.file.as_str(),
        "dryRun": dry,
        "done": if dry { 0 } else { applied.stopped.as_ref().map_or(plan.changes.len(), |stopped| stopped.done) },
        "changes": steps(applied).map(change).collect::<Vec<_>>(),
        "kept": plan.remarks.iter().map(remark).collect::<Vec<_>>(),
    })
    .to_string()
}
