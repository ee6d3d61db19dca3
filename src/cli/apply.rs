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
    access::{Change, Kind, Plan, Remark},
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
        let at = applied.plan.changes.get(stopped.done).and_then(|change| change.at);
        let at = at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        return complain(format!(
            "{}{at}: {}\n  → {} of {} steps are done; apply the file again",
            file.display(),
            stopped.error,
            stopped.done,
            applied.plan.changes.len()
        ));
    }
    if told == ExitCode::SUCCESS && dry && !applied.plan.changes.is_empty() {
        return ExitCode::from(WOULD_CHANGE);
    }
    told
}

fn sign(kind: Kind) -> char {
    match kind {
        Kind::Add => '+',
        Kind::Change => '~',
        Kind::Remove => '-',
    }
}

fn table(applied: &Applied, dry: bool) -> String {
    let done = applied.stopped.as_ref().map(|stopped| stopped.done);
    let plan = &applied.plan;
    let note = |change: &Change| change.note.map(|note| format!(" ({note})")).unwrap_or_default();
    let change = |c: &Change| format!("{} {:9}  {}{}", sign(c.kind), c.what, c.words, note(c));
    let remark = |r: &Remark| format!("= {:9}  {}", r.what, r.words);
    let changes = plan.changes.iter().take(done.unwrap_or(plan.changes.len())).map(change);
    let mut lines: Vec<String> = plan.remarks.iter().map(remark).chain(changes).collect();
    lines.push(summary(plan, done, dry));
    lines.join("\n")
}

fn summary(plan: &Plan, done: Option<usize>, dry: bool) -> String {
    let done = done.unwrap_or(plan.changes.len());
    let count = |kind| plan.changes.iter().take(done).filter(|change| change.kind == kind).count();
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
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl<'a> Told<'a> {
    fn new(op: &'static str, kind: &'a str, what: &'a str, at: Option<Place>) -> Self {
        Self { op, kind, what, note: None, line: at.map(|at| at.line), column: at.map(|at| at.column) }
    }
}

fn json(applied: &Applied, dry: bool) -> String {
    let op = |kind| match kind {
        Kind::Add => "add",
        Kind::Change => "change",
        Kind::Remove => "remove",
    };
    let plan = &applied.plan;
    let change =
        |c: &'_ Change| serde_json::json!(Told { note: c.note, ..Told::new(op(c.kind), c.what, &c.words, c.at) });
    let remark = |r: &'_ Remark| serde_json::json!(Told::new("keep", r.what, &r.words, r.at));
    serde_json::json!({
        "file": plan.file.as_str(),
        "dryRun": dry,
        "done": if dry { 0 } else { applied.stopped.as_ref().map_or(plan.changes.len(), |stopped| stopped.done) },
        "changes": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "kept": plan.remarks.iter().map(remark).collect::<Vec<_>>(),
    })
    .to_string()
}
