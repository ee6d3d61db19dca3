//! One table of the file while it is read: each setting is taken out by its reader, and what is left over at the end is
//! unknown.

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use toml::{Table, Value};

use super::mistakes::{Mistakes, nearest};

/// A table, with where it stands.
#[derive(Debug)]
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    known: Vec<&'static str>,
    folder: &'a Path,
    mistakes: &'a Mistakes,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: Table, folder: &'a Path, mistakes: &'a Mistakes) -> Self {
        Self { path: String::new(), table, known: Vec::new(), folder, mistakes }
    }

    /// A setting's whole name.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Where this section stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Writes down a mistake in one of its settings.
    pub(super) fn mistake(&self, name: &str, problem: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.add(&self.key(name), problem, fix);
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.table.remove(name)
    }

    /// A section in it; empty where it is missing.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'a> {
        let table = match self.take(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.mistake(
                    name,
                    "is no section",
                    format!("write [{}] on a line of its own, and its settings below", self.key(name)),
                );
                Table::new()
            }
        };
        self.inner(self.key(name), table)
    }

    /// The sections of a list, in order.
    pub(super) fn sections(&mut self, name: &'static str) -> Vec<Section<'a>> {
        let list = match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => {
                self.mistake(
                    name,
                    "is no list of sections",
                    format!("write [[{}]], with two brackets", self.key(name)),
                );
                Vec::new()
            }
        };
        let entry = |(place, value)| {
            let path = format!("{}[{place}]", self.key(name));
            if let Value::Table(table) = value {
                return Some(self.inner(path, table));
            }
            let fix = format!("write [[{name}]] on a line of its own, and its settings below");
            self.mistakes.add(&path, "is no section", fix);
            None
        };
        list.into_iter().enumerate().filter_map(entry).collect()
    }

    fn inner(&self, path: String, table: Table) -> Section<'a> {
        Section { path, table, known: Vec::new(), folder: self.folder, mistakes: self.mistakes }
    }

    /// A text; may be empty.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        if let Value::String(text) = self.take(name)? {
            return Some(text);
        }
        self.mistake(name, "is no text", format!("put it in quotes: {name} = \"…\""));
        None
    }

    /// A text that says something, if it is there.
    pub(super) fn word(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name)?;
        if text.trim().is_empty() {
            self.mistake(name, "is empty", "give it a value, or take the line out");
            return None;
        }
        Some(text)
    }

    /// A text that has to be there.
    pub(super) fn required(&mut self, name: &'static str, example: &str) -> Option<String> {
        if !self.table.contains_key(name) {
            self.known.push(name);
            self.mistake(name, "is missing", format!("add: {name} = \"{example}\""));
            return None;
        }
        self.word(name)
    }

    /// A text that is read as something.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        fix: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.word(name)?;
        let value = read(text.trim());
        if value.is_none() {
            self.mistake(name, format!("“{text}” cannot be used"), fix);
        }
        value
    }

    /// The same, with what holds when it is not there. `None` only with a mistake written down.
    pub(super) fn parsed_or<T>(
        &mut self,
        name: &'static str,
        usual: T,
        fix: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.has(name) { self.parsed(name, fix, read) } else { self.parsed(name, fix, read).or(Some(usual)) }
    }

    /// A whole number from 1 on, or what holds when it is not there. The environment has texts alone.
    pub(super) fn count_or(&mut self, name: &'static str, usual: NonZeroU32) -> Option<NonZeroU32> {
        let value = match self.take(name) {
            None => return Some(usual),
            Some(Value::Integer(number)) => u32::try_from(number).ok().and_then(NonZeroU32::new),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        if value.is_none() {
            self.mistake(name, "is no whole number from 1 on", format!("write for example {name} = {usual}"));
        }
        value
    }

    /// Yes or no. The environment has texts alone.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Boolean(flag) => Some(flag),
            Value::String(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => {
                self.mistake(
                    name,
                    "is neither true nor false",
                    format!("write {name} = true or {name} = false, without quotes"),
                );
                None
            }
        }
    }

    /// A list of texts; from the environment, one text with commas or spaces.
    pub(super) fn words(&mut self, name: &'static str) -> Option<Vec<String>> {
        let list = match self.take(name)? {
            Value::String(text) => {
                let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty());
                return Some(words.map(str::to_owned).collect());
            }
            Value::Array(list) => list.into_iter().map(|v| v.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        if list.is_none() {
            self.mistake(name, "is no list of texts", format!("write {name} = [\"…\", \"…\"]"));
        }
        list
    }

    /// A path, relative to the configuration's own folder.
    pub(super) fn path_to(&mut self, name: &'static str) -> Option<PathBuf> {
        self.word(name).map(|text| self.folder.join(text))
    }

    /// A default path in some folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// What a named file says.
    pub(super) fn file(&mut self, name: &'static str) -> Option<String> {
        let path = self.path_to(name)?;
        match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(e) => {
                self.mistake(
                    name,
                    format!("{} cannot be read: {e}", path.display()),
                    "name a file that Kubelend's user can read",
                );
                None
            }
        }
    }

    /// A secret: itself, or the file that holds it. Never both, never empty, never quoted.
    pub(super) fn secret(&mut self, name: &'static str, file_name: &'static str) -> Option<SecretString> {
        if self.table.contains_key(name) && self.table.contains_key(file_name) {
            self.take(name);
            self.take(file_name);
            self.mistake(name, format!("stands beside {file_name}"), "keep one of the two");
            return None;
        }
        let text = self.word(name);
        let text = text.or_else(|| {
            let text = self.file(file_name)?;
            if text.trim().is_empty() {
                self.mistake(file_name, "is the name of an empty file", "write the secret into it");
                return None;
            }
            Some(text)
        });
        text.map(|t| SecretString::from(t.trim()))
    }

    /// Whether a setting is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Ends the reading: what nobody took is unknown.
    pub(super) fn end(self) {
        for name in self.table.keys() {
            let fix = match nearest(name, self.known.iter().copied()) {
                Some(meant) => format!("did you mean {}?", self.key(meant)),
                None => format!("take it out; known here: {}", self.known.join(", ")),
            };
            self.mistake(name, "is no setting of Kubelend", fix);
        }
    }
}
