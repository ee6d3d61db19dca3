//! Environment variables over the file: `KUBELEND_` and the setting's path in capitals, with `__` between its levels, so
//! `KUBELEND_DATABASE__URL` is `database.url`. An entry of a list is named by its place (`KUBELEND_PROVIDERS__0__ISSUER`) or
//! its id (`KUBELEND_PROVIDERS__DEX__CLIENT_SECRET`).

use toml::{Table, Value};

use super::mistakes::Mistakes;

const PREFIX: &str = "KUBELEND_";
/// Names the file itself; the command line reads it.
const FILE: &str = "KUBELEND_CONFIG";
const SECTIONS: [&str; 6] = ["listen", "database", "network", "session", "log", "claim_mapping"];
const LISTS: [&str; 4] = ["providers", "platform_admins", "cluster_adders", "workspace_makers"];
const FIX: &str = "unset it, or see docs/kubelend.example.toml for the names";

/// The process's own variables. Those that are no Unicode cannot be ours.
pub fn of_the_process() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Lays variables over the file's table.
pub(super) fn lay_over(
    table: &mut Table,
    environment: impl IntoIterator<Item = (String, String)>,
    mistakes: &Mistakes,
) {
    let ours = |name: &str| name.starts_with(PREFIX) && name != FILE;
    let mut all: Vec<_> =
        environment.into_iter().filter(|(name, value)| ours(name) && !is_service_link(name, value)).collect();
    // The same result whatever the order in which the system tells them.
    all.sort();
    for (name, value) in all {
        let path = name[PREFIX.len()..].to_ascii_lowercase();
        let steps: Vec<&str> = path.split("__").collect();
        match set(table, &steps, value, String::new()) {
            Ok(key) => mistakes.set_by(&key, &name),
            Err(problem) => mistakes.add(&name, problem, FIX),
        }
    }
}

/// Kubernetes tells each pod of the services in its namespace; those of a service called `kubelend` or `kubelend-…` begin
/// like ours.
fn is_service_link(name: &str, value: &str) -> bool {
    let name = &name[PREFIX.len() - 1..];
    let port = |rest: &str| {
        let mut parts = rest.splitn(3, '_');
        let number = parts.next().is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        number && parts.next().is_some_and(|p| ["TCP", "UDP", "SCTP"].contains(&p))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || name.match_indices("_PORT_").any(|(at, found)| port(&name[at + found.len()..]))
}

/// Sets one value; returns its key as mistakes name it.
fn set(table: &mut Table, steps: &[&str], value: String, above: String) -> Result<String, String> {
    let (step, rest) = steps.split_first().filter(|(step, _)| !step.is_empty()).ok_or("it names no setting")?;
    let key = if above.is_empty() { (*step).to_owned() } else { format!("{above}.{step}") };
    if rest.is_empty() {
        if SECTIONS.contains(step) || LISTS.contains(step) {
            return Err(format!("{key} is a section, not a setting"));
        }
        // A secret and the file that holds it are two ways of one setting: the environment's wins.
        match step.strip_suffix("_file") {
            Some(plain) => table.remove(plain),
            None => table.remove(&format!("{step}_file")),
        };
        table.insert((*step).to_owned(), Value::String(value));
        return Ok(key);
    }
    let empty = if LISTS.contains(step) { Value::Array(Vec::new()) } else { Value::Table(Table::new()) };
    match table.entry((*step).to_owned()).or_insert(empty) {
        Value::Table(inner) => set(inner, rest, value, key),
        Value::Array(list) => set_in_list(list, rest, value, &key),
        _ => Err(format!("{key} is a setting, not a section")),
    }
}

fn set_in_list(list: &mut Vec<Value>, steps: &[&str], value: String, above: &str) -> Result<String, String> {
    let (step, rest) = steps.split_first().ok_or("it names no entry")?;
    let length = list.len();
    let place = match step.parse::<usize>() {
        Ok(place) if place <= length => place,
        Ok(place) => return Err(format!("{above} has {length} entries, so there is no entry {place}")),
        Err(_) => {
            let id = step.replace('_', "-");
            let found = list.iter().position(|entry| entry.get("id").and_then(Value::as_str) == Some(id.as_str()));
            found.ok_or_else(|| format!("{above} has no entry with the id “{id}”"))?
        }
    };
    if place == length {
        list.push(Value::Table(Table::new()));
    }
    match &mut list[place] {
        Value::Table(entry) => set(entry, rest, value, format!("{above}[{place}]")),
        _ => Err(format!("{above}[{place}] is no section")),
    }
}
