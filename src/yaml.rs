//! YAML, read strictly and written carefully.
//!
//! What is read is the part of it that an upload or a file may use: mappings, sequences and scalars, one document. JSON is within it.
//!
//! Anchors, aliases, tags, merge keys and directives are refused at the parser's events, before anything is built of them:
//! they make one text mean different things to different readers, and small texts large. What remains is a tree with places
//! that is read by one reader only, so that nothing passes a check in one reading and is used in another.

use std::collections::HashSet;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span};
use serde::Serialize;
use serde_saphyr::{SerializerOptions, to_string_with_options};

/// How deep mappings and sequences may nest; a kubeconfig needs six, an access file eight.
const MAX_DEPTH: usize = 24;

/// A place in the text, from 1. A column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What stands at a place.
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// What can stand at a place. No `Debug`: it may hold secrets.
pub enum Value {
    /// Empty, `~` or `null`.
    Nothing,
    /// Any other scalar, as it is written: numbers and booleans too.
    Text(String),
    /// A mapping, in the text's order.
    Map(Vec<Field>),
    /// A sequence.
    List(Vec<Node>),
}

/// A field of a mapping.
pub struct Field {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub at: Place,
    /// Its value.
    pub value: Node,
}

/// What stands against a text, and where.
pub struct Fault {
    /// Where.
    pub at: Place,
    /// What, and what to do.
    pub reason: &'static str,
}

enum Frame {
    List { at: Place, items: Vec<Node> },
    Map { at: Place, fields: Vec<Field>, seen: HashSet<String>, key: Option<(String, Place)> },
}

/// Reads a text.
///
/// # Errors
/// All that stands against it, in its order.
pub fn read(text: &str) -> Result<Node, Vec<Fault>> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options()) {
        match event {
            Ok((event, span)) => reader.take(event, span),
            Err(error) => {
                reader.fault(
                    place(*error.marker()),
                    "this is not YAML from here on: is the file pasted whole, and with its indentation?",
                );
                break;
            }
        }
        if reader.done {
            break;
        }
    }
    reader.finish()
}

fn place(marker: Marker) -> Place {
    // The parser counts columns from 0.
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn options() -> Options {
    let mut options = Options::default();
    options.disallow_directives = true;
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options
}

#[derive(Default)]
struct Reader {
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    faults: Vec<Fault>,
    done: bool,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let at = place(span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.fault(at, "a second document begins here; only one is read");
                    self.done = true;
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.fault(at, "aliases (*name) are not read; write the value out");
                self.place(Node { at, value: Value::Nothing });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.scalar(text.into_owned(), style, at);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.open(Frame::List { at, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_properties(at, anchor, tag.is_some());
                self.open(Frame::Map { at, fields: Vec::new(), seen: HashSet::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
    }

    fn refuse_properties(&mut self, at: Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.fault(at, "anchors (&name) are not read; write the value out where it is needed");
        }
        if tagged {
            self.fault(at, "tags (!name) are not read; leave them out");
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, at: Place) {
        if let Some(Frame::Map { key: key @ None, seen, .. }) = self.stack.last_mut() {
            let fault = if text == "<<" {
                Some("merge keys (<<) are not read; write the fields out")
            } else if seen.insert(text.clone()) {
                None
            } else {
                Some("this field stands twice in the same place")
            };
            *key = Some((text, at));
            if let Some(reason) = fault {
                self.fault(at, reason);
            }
            return;
        }
        let nothing = style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        self.place(Node { at, value: if nothing { Value::Nothing } else { Value::Text(text) } });
    }

    fn open(&mut self, frame: Frame) {
        let (Frame::List { at, .. } | Frame::Map { at, .. }) = frame;
        self.stack.push(frame);
        if self.stack.len() > MAX_DEPTH {
            self.fault(at, "it nests deeper than anything that is read here");
            self.done = true;
        }
    }

    fn close(&mut self) {
        match self.stack.pop() {
            Some(Frame::List { at, items }) => self.place(Node { at, value: Value::List(items) }),
            Some(Frame::Map { at, fields, .. }) => self.place(Node { at, value: Value::Map(fields) }),
            None => {}
        }
    }

    fn place(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { fields, key, .. }) => {
                if let Some((key, at)) = key.take() {
                    fields.push(Field { key, at, value: node });
                } else {
                    // A mapping or a list where a field's name belongs.
                    *key = Some((String::new(), node.at));
                    self.fault(node.at, "a field's name must be plain text");
                }
            }
        }
    }

    fn fault(&mut self, at: Place, reason: &'static str) {
        self.faults.push(Fault { at, reason });
    }

    fn finish(mut self) -> Result<Node, Vec<Fault>> {
        if self.faults.is_empty() {
            match self.root.take() {
                Some(root) => return Ok(root),
                None => self.fault(Place { line: 1, column: 1 }, "there is nothing in it"),
            }
        }
        Err(self.faults)
    }
}

/// A value as a YAML document, with one set of options, so that every value is quoted where any reader needs it.
///
/// client-go and the Python client read YAML 1.1, where a plain `on`, `012` or `1_000` is no text; the emitter quotes by
/// those rules too.
pub fn write(value: &impl Serialize) -> String {
    let mut options = SerializerOptions::default();
    // A folded or literal block would be read back the same, but is no longer one line to look at.
    options.prefer_block_scalars = false;
    to_string_with_options(value, options)
        .unwrap_or_else(|_| unreachable!("plain structs of texts always have a YAML form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of what stands against a text.
    fn faults(text: &str) -> Vec<(usize, usize)> {
        read(text).err().unwrap_or_default().iter().map(|f| (f.at.line, f.at.column)).collect()
    }

    #[test]
    fn each_fault_has_its_line_and_column() {
        assert_eq!(faults("a: 1\nb:\n  - x: &n 1\n    y: *n\n"), [(3, 11), (4, 8)], "an anchor is told at its value");
        assert_eq!(faults("a: 1\nä: {b: 1, b: 2}\n"), [(2, 11)], "characters, not bytes");
        assert_eq!(faults("a: 1\n---\nb: 2\n"), [(2, 1)]);
        assert_eq!(faults(""), [(1, 1)]);
        assert_eq!(faults("a: !x y"), [(1, 7)]);
    }

    #[test]
    fn immune_23_what_nests_without_end_is_cut_off_at_once() {
        assert!(!faults(&"[".repeat(100_000)).is_empty());
        assert!(!faults(&"- ".repeat(10_000)).is_empty());
        assert_eq!(faults("a: &a [x, x]\nb: [*a, *a]\n").len(), 3, "nothing is multiplied");
    }
}
