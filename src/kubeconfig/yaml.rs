//! The part of YAML that an upload may use: mappings, sequences and scalars, one document. JSON is within it.
//!
//! Anchors, aliases, tags, merge keys and directives are refused at the parser's events, before anything is built of them:
//! they make one text mean different things to different readers, and small texts large. What remains is a tree with line
//! numbers that is read by one reader only, so that nothing passes a check in one reading and is used in another.

use std::collections::HashSet;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

/// How deep mappings and sequences may nest; a kubeconfig needs six.
const MAX_DEPTH: usize = 24;

/// A place in the text.
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    /// What stands there.
    pub(super) value: Value,
}

/// What stands at a place. No `Debug`: it holds secrets.
pub(super) enum Value {
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
pub(super) struct Field {
    /// Its name.
    pub(super) key: String,
    /// Where the name stands.
    pub(super) line: usize,
    /// Its value.
    pub(super) value: Node,
}

/// What stands against a text, and at which line.
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

enum Frame {
    List { line: usize, items: Vec<Node> },
    Map { line: usize, fields: Vec<Field>, seen: HashSet<String>, key: Option<(String, usize)> },
}

/// Reads a text.
pub(super) fn read(text: &str) -> Result<Node, Vec<Fault>> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options()) {
        match event {
            Ok((event, span)) => reader.take(event, span),
            Err(error) => {
                reader.fault(
                    error.marker().line(),
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
        let line = span.start.line();
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.fault(line, "a second document begins here; paste one kubeconfig");
                    self.done = true;
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.fault(line, "aliases (*name) are not read; write the value out");
                self.place(Node { line, value: Value::Nothing });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(line, anchor, tag.is_some());
                self.scalar(text.into_owned(), style, line);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_properties(line, anchor, tag.is_some());
                self.open(Frame::List { line, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_properties(line, anchor, tag.is_some());
                self.open(Frame::Map { line, fields: Vec::new(), seen: HashSet::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
    }

    fn refuse_properties(&mut self, line: usize, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.fault(line, "anchors (&name) are not read; write the value out where it is needed");
        }
        if tagged {
            self.fault(line, "tags (!name) are not read; leave them out");
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, line: usize) {
        if let Some(Frame::Map { key: key @ None, seen, .. }) = self.stack.last_mut() {
            let fault = if text == "<<" {
                Some("merge keys (<<) are not read; write the fields out")
            } else if seen.insert(text.clone()) {
                None
            } else {
                Some("this field stands twice in the same place")
            };
            *key = Some((text, line));
            if let Some(reason) = fault {
                self.fault(line, reason);
            }
            return;
        }
        let nothing = style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        self.place(Node { line, value: if nothing { Value::Nothing } else { Value::Text(text) } });
    }

    fn open(&mut self, frame: Frame) {
        self.stack.push(frame);
        if self.stack.len() > MAX_DEPTH {
            self.fault(0, "it nests deeper than any kubeconfig");
            self.done = true;
        }
    }

    fn close(&mut self) {
        match self.stack.pop() {
            Some(Frame::List { line, items }) => self.place(Node { line, value: Value::List(items) }),
            Some(Frame::Map { line, fields, .. }) => self.place(Node { line, value: Value::Map(fields) }),
            None => {}
        }
    }

    fn place(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { fields, key, .. }) => {
                if let Some((key, line)) = key.take() {
                    fields.push(Field { key, line, value: node });
                } else {
                    // A mapping or a list where a field's name belongs.
                    *key = Some((String::new(), node.line));
                    self.fault(node.line, "a field's name must be plain text");
                }
            }
        }
    }

    fn fault(&mut self, line: usize, reason: &'static str) {
        self.faults.push(Fault { line: line.max(1), reason });
    }

    fn finish(mut self) -> Result<Node, Vec<Fault>> {
        if self.faults.is_empty() {
            match self.root.take() {
                Some(root) => return Ok(root),
                None => self.fault(1, "there is nothing in it"),
            }
        }
        Err(self.faults)
    }
}
