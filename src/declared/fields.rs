//! Taking a file's tree apart: fields by their names, with a mistake for what is unknown, missing or of another shape.

use super::Mistake;
use crate::yaml::{Field, Node, Place, Value};

/// How much is said against one file at most.
const MOST: usize = 100;
/// How alike two words are that may be meant for one another.
const ALIKE: f64 = 0.75;
/// How much of what somebody wrote is shown to them.
const SHOWN: usize = 60;

/// The mistakes of a file so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, at: Place, problem: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Mistake::new(at, problem, fix));
    }

    /// The value, or a mistake at its place.
    pub(super) fn keep<T, E: ToString>(&mut self, at: Place, fix: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|why| self.add(at, why.to_string(), fix)).ok()
    }

    /// In the file's order.
    pub(super) fn all(mut self) -> Vec<Mistake> {
        self.0.sort();
        self.0.dedup();
        self.0.truncate(MOST);
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The fields of one object.
pub(super) struct Fields<'a> {
    /// Where it begins.
    pub(super) at: Place,
    fields: &'a [Field],
}

/// An object with these fields and no others. `what` says what it is, as in “this is no member”.
pub(super) fn object<'a>(node: &'a Node, what: &str, known: &[&str], mistakes: &mut Mistakes) -> Option<Fields<'a>> {
    let Value::Map(fields) = &node.value else {
        let first = known.first().copied().unwrap_or_default();
        mistakes.add(node.at, format!("this is no {what}"), format!("write named fields here, as “{first}: …”"));
        return None;
    };
    for field in fields {
        if !known.contains(&field.key.as_str()) {
            mistakes.add(field.at, format!("a {what} has no “{}”", short(&field.key)), meant(&field.key, known));
        }
    }
    Some(Fields { at: node.at, fields })
}

fn meant(word: &str, known: &[&str]) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(word, known);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|known| likeness(known) >= ALIKE) {
        Some(nearest) => format!("did you mean “{nearest}”?"),
        None => format!("it has: {}", known.join(", ")),
    }
}

/// As much of it as is shown, without what turns a line round.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

impl<'a> Fields<'a> {
    /// The field, if it says anything.
    pub(super) fn node(&self, name: &str) -> Option<&'a Node> {
        let field = self.fields.iter().find(|field| field.key == name)?;
        (!matches!(field.value.value, Value::Nothing)).then_some(&field.value)
    }

    /// Where the field's name stands.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.fields.iter().find(|field| field.key == name).map(|field| field.at)
    }

    /// The field's text and where it stands.
    pub(super) fn text(&self, name: &str, mistakes: &mut Mistakes) -> Option<(&'a str, Place)> {
        let node = self.node(name)?;
        if let Value::Text(text) = &node.value {
            return Some((text, node.at));
        }
        mistakes.add(node.at, format!("“{name}” is one plain text"), "write a single value here");
        None
    }

    /// The same, and a mistake where there is none.
    pub(super) fn required(&self, name: &str, what: &str, mistakes: &mut Mistakes) -> Option<(&'a str, Place)> {
        if self.node(name).is_none() {
            mistakes.add(self.at, format!("this {what} has no “{name}”"), format!("add “{name}: …”"));
        }
        self.text(name, mistakes)
    }

    /// The field's list; nothing where it says nothing.
    pub(super) fn list(&self, name: &str, mistakes: &mut Mistakes) -> &'a [Node] {
        match self.node(name).map(|node| (&node.value, node.at)) {
            None => &[],
            Some((Value::List(items), _)) => items,
            Some((_, at)) => {
                mistakes.add(at, format!("“{name}” is a list"), "begin each entry with “- ”");
                &[]
            }
        }
    }
}
