//! Mistakes in the configuration: collected, not thrown, so that one run shows them all.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which setting: `listen.address`, with the environment variable's name where it came from there.
    pub key: String,
    /// What is wrong with it. Never quotes a secret.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

impl Mistake {
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), fix: fix.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}: {}\n    → {}", self.key, self.problem, self.fix)
    }
}

/// A configuration that cannot be used: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

impl ConfigError {
    pub(super) fn new(file: &Path, mistakes: Vec<Mistake>) -> Self {
        Self { file: file.to_owned(), mistakes }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{}: {count} {noun} in the configuration", self.file.display())?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n\n{mistake}"))
    }
}

/// Collects mistakes, and knows which settings came from the environment.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    all: RefCell<Vec<Mistake>>,
    variables: RefCell<BTreeMap<String, String>>,
}

impl Mistakes {
    pub(super) fn add(&self, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        let key = match self.variables.borrow().get(key) {
            Some(variable) => format!("{key} ({variable})"),
            None => key.to_owned(),
        };
        self.all.borrow_mut().push(Mistake::new(key, problem, fix));
    }

    pub(super) fn set_by(&self, key: &str, variable: &str) {
        self.variables.borrow_mut().insert(key.to_owned(), variable.to_owned());
    }

    /// The settings, if there is not one mistake.
    pub(super) fn unless_any<T>(self, settings: Option<T>) -> Result<T, Vec<Mistake>> {
        let mut all = self.all.into_inner();
        match settings {
            Some(settings) if all.is_empty() => Ok(settings),
            _ => {
                if all.is_empty() {
                    all.push(Mistake::new("the file", "cannot be used", "see docs/kubelend.example.toml"));
                }
                Err(all)
            }
        }
    }
}

/// The line, from 1, of a byte.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(word, k), k))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
