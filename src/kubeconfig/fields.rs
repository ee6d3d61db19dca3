//! The fields that a kubeconfig can have (client-go's `v1.Config`), what Kubelend does with each, and why it refuses some.

use super::parse::Findings;
use crate::yaml::{Node, Value};

/// What is done with a field.
pub(super) enum Use {
    /// It is read.
    Take,
    /// It is left alone: it changes nothing that Kubelend does.
    Ignore,
    /// It is refused where it says anything.
    Refuse(&'static str),
    /// It is refused unless it says `false`.
    RefuseUnlessFalse(&'static str),
}
use Use::{Ignore, Refuse, RefuseUnlessFalse, Take};

/// The fields of one object.
pub(super) type Table = [(&'static str, Use)];

macro_rules! instead {
    ($why:literal) => {
        Refuse(concat!(
            $why,
            " Run the command that the page shows: it makes a ServiceAccount for Kubelend and prints a kubeconfig to paste."
        ))
    };
}

macro_rules! flatten {
    () => {
        Refuse(
            "it names a file on your machine, and Kubelend reads no files. `kubectl config view --minify --flatten --raw` puts the file's content into the kubeconfig.",
        )
    };
}

pub(super) const TOP: &Table = &[
    ("apiVersion", Take),
    ("kind", Take),
    ("clusters", Take),
    ("contexts", Take),
    ("users", Take),
    ("current-context", Take),
    ("preferences", Ignore),
    ("extensions", Ignore),
];

pub(super) const CONTEXT: &Table = &[("cluster", Take), ("user", Take), ("namespace", Ignore), ("extensions", Ignore)];

pub(super) const CLUSTER: &Table = &[
    ("server", Take),
    ("certificate-authority-data", Take),
    ("tls-server-name", Take),
    ("disable-compression", Ignore),
    ("extensions", Ignore),
    ("certificate-authority", flatten!()),
    (
        "insecure-skip-tls-verify",
        RefuseUnlessFalse(
            "it switches off the check of the API server's certificate, and Kubelend sends keys to nobody unchecked. Take it out and put the CA into certificate-authority-data.",
        ),
    ),
    (
        "proxy-url",
        Refuse(
            "it names a proxy, and Kubelend goes to API servers directly. Take it out if the API server can be reached from where Kubelend runs.",
        ),
    ),
];

pub(super) const USER: &Table = &[
    ("token", Take),
    ("client-certificate-data", Take),
    ("client-key-data", Take),
    ("extensions", Ignore),
    ("exec", instead!("it runs a program, and Kubelend runs nothing out of a kubeconfig.")),
    ("auth-provider", instead!("it needs a plugin and renews a person's own tokens.")),
    (
        "tokenFile",
        Refuse("it names a file on your machine, and Kubelend reads no files. Put the token itself under token."),
    ),
    ("client-certificate", flatten!()),
    ("client-key", flatten!()),
    ("username", instead!("API servers take no passwords any more.")),
    ("password", instead!("API servers take no passwords any more.")),
    ("as", instead!("it makes every request in somebody else's name.")),
    ("as-uid", instead!("it makes every request in somebody else's name.")),
    ("as-groups", instead!("it makes every request in somebody else's name.")),
    ("as-user-extra", instead!("it makes every request in somebody else's name.")),
];

/// The fields of an entry around its inner object.
pub(super) fn entry(inner: &str) -> &'static Table {
    match inner {
        "cluster" => &[("name", Take), ("cluster", Take)],
        "user" => &[("name", Take), ("user", Take)],
        _ => &[("name", Take), ("context", Take)],
    }
}

/// The fields of one object that are read.
pub(super) struct Taken<'a> {
    place: String,
    /// Where the object begins.
    pub(super) line: usize,
    fields: Vec<(&'static str, &'a Node)>,
}

/// Looks at each field of an object: takes, ignores or refuses it.
pub(super) fn take<'a>(
    node: &'a Node,
    place: &str,
    table: &'static Table,
    findings: &mut Findings,
) -> Option<Taken<'a>> {
    let Value::Map(fields) = &node.value else {
        let place = if place.is_empty() { "the file" } else { place };
        if !matches!(node.value, Value::Nothing) || place == "the file" {
            findings.add(node.at.line, place, "this is no kubeconfig: named fields belong here");
        }
        return None;
    };
    let mut taken = Taken { place: place.to_owned(), line: node.at.line, fields: Vec::new() };
    for field in fields {
        let Some((name, what)) = table.iter().find(|(name, _)| *name == field.key) else {
            let (place, reason) = unknown(place, &field.key, field.at.line);
            findings.add(field.at.line, place, reason);
            continue;
        };
        if says_nothing(&field.value) {
            continue;
        }
        match what {
            Take => taken.fields.push((name, &field.value)),
            Ignore => {}
            RefuseUnlessFalse(_) if matches!(&field.value.value, Value::Text(t) if t == "false") => {}
            Refuse(reason) | RefuseUnlessFalse(reason) => findings.add(field.at.line, taken.at(name), *reason),
        }
    }
    Some(taken)
}

/// An unknown field is named, unless its name may be a value that slipped: a token, a line of a key.
fn unknown(place: &str, key: &str, line: usize) -> (String, &'static str) {
    let word = (1..=40).contains(&key.len()) && key.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
    let place = match (word, place.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{place}.{key}"),
        (false, _) => format!("line {line}"),
    };
    (
        place,
        "Kubelend does not know this field, and takes no kubeconfig with fields that it does not know. Take it out.",
    )
}

fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Nothing => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}

impl<'a> Taken<'a> {
    /// An object without fields.
    pub(super) fn nothing(line: usize) -> Self {
        Self { place: String::new(), line, fields: Vec::new() }
    }

    /// The field, if it says anything.
    pub(super) fn node(&self, field: &str) -> Option<&'a Node> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, node)| *node)
    }

    /// The field's text and line.
    pub(super) fn text(&self, field: &'static str, findings: &mut Findings) -> Option<(&'a str, usize)> {
        let node = self.node(field)?;
        if let Value::Text(text) = &node.value {
            return Some((text, node.at.line));
        }
        findings.add(node.at.line, self.at(field), "plain text belongs here");
        None
    }

    fn at(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }
}
