//! Relative links in the documents lead to files and headings that exist, and so do the source paths that they name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use super::{root, tracked_files};

/// A link as written, with its line.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    target: String,
    line: usize,
}

/// The lines of a document outside its code fences, with inline code blanked out where `code` is false.
fn lines(text: &str, code: bool) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut kept = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            let pieces: Vec<&str> = line.split('`').collect();
            let prose = pieces.iter().step_by(2).copied().collect::<Vec<_>>().join(" ");
            kept.push((n + 1, if code { line.to_owned() } else { prose }));
        }
    }
    kept
}

/// `[text](target)`, `![text](target "title")`, `[label]: target`, `src="target"`, `href="target"`.
fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, prose) in lines(text, false) {
        let mut take = |target: &str| {
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push(Link { target: target.trim_matches(['<', '>']).to_owned(), line });
        };
        for (open, close) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for piece in prose.split(open).skip(1) {
                take(piece.split(close).next().unwrap_or_default());
            }
        }
        if prose.starts_with('[')
            && let Some((_, target)) = prose.split_once("]: ")
        {
            take(target);
        }
    }
    found
}

/// The anchors of a document's headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = lines(text, true).into_iter().filter(|(_, l)| l.starts_with('#'));
    headings
        .map(|(_, heading)| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
            let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let before = seen.entry(slug.clone()).and_modify(|n| *n += 1).or_insert(0);
            if *before == 0 { slug } else { format!("{slug}-{before}") }
        })
        .collect()
}

/// Why a link of this document leads nowhere, if it does. `read` gives a file's text, `Some("")` for one that is no document.
fn broken(document: &Path, own: &str, link: &Link, read: impl Fn(&Path) -> Option<String>) -> Option<String> {
    let target = link.target.as_str();
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
    let complain = |why: &str| Some(format!("{}:{}: ({target}) {why}", document.display(), link.line));
    let text = if file.is_empty() {
        own.to_owned()
    } else {
        let Some(path) = inside(document, file) else { return complain("leads out of the repository") };
        let Some(text) = read(&path) else { return complain("leads to no file") };
        text
    };
    match anchor {
        Some(anchor) if !anchors(&text).iter().any(|a| a == anchor) => complain("names no heading there"),
        _ => None,
    }
}

/// The path from the root of what `file` names beside `document`.
fn inside(document: &Path, file: &str) -> Option<PathBuf> {
    let mut path = document.parent()?.to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

/// Paths of the project that a document names in inline code: `src/store/grants.rs`, `tests/house`.
fn named_paths(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, whole) in lines(text, true) {
        for code in whole.split('`').skip(1).step_by(2) {
            let ours = ["src/", "tests/", "docs/", "migrations/", "templates/", "static/", "testbed/", "fuzz/"]
                .iter()
                .any(|folder| code.starts_with(folder));
            let pattern = code.contains("NAME") || code.contains("NNNN");
            if ours && !pattern && code.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c)) {
                found.push(Link { target: code.trim_end_matches('/').to_owned(), line });
            }
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    tracked_files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "md")).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = documents();
    assert!(documents.iter().any(|d| d == Path::new("README.md")), "there is no README.md");
    let read = |path: &Path| {
        let path = root().join(path);
        path.exists().then(|| fs::read_to_string(path).unwrap_or_default())
    };
    let mut found = Vec::new();
    for document in documents {
        let text = read(&document).unwrap();
        found.extend(links(&text).iter().filter_map(|link| broken(&document, &text, link, read)));
    }
    assert!(found.is_empty(), "links that lead nowhere:\n{}", found.join("\n"));
}

#[test]
fn documents_name_files_that_exist() {
    let mut found = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        let lost = named_paths(&text).into_iter().filter(|link| !root().join(&link.target).exists());
        found.extend(lost.map(|link| format!("{}:{}: {}", document.display(), link.line, link.target)));
    }
    assert!(found.is_empty(), "files that documents name and that are not there:\n{}", found.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# The house\n\
        [a](docs/A.md) ![p](docs/p.png) [x](docs/missing.md) [h](docs/A.md#the-rooms) [h](docs/A.md#no) [o](#the-house) [o](#x)\n\
        [r]: docs/gone.md\n\
        <img src=\"docs/none.png\"> [out](../../etc) [abs](/docs/A.md) [web](https://example.com/none)\n\
        ```\n[not](a-link.md)\n```\n\
        `[nor](this.md)`\n";
    let there = |path: &Path| match path.to_str()? {
        "docs/A.md" => Some("# A\n## The `rooms`\n".to_owned()),
        "docs/p.png" => Some(String::new()),
        _ => None,
    };
    let found: Vec<_> = links(text).iter().filter_map(|l| broken(Path::new("README.md"), text, l, there)).collect();
    let expected =
        ["docs/missing.md", "docs/A.md#no", "#x", "docs/gone.md", "docs/none.png", "../../etc", "/docs/A.md"];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for target in expected {
        assert!(found.iter().any(|f| f.contains(&format!("({target})"))), "{target} in {found:#?}");
    }
}

#[test]
fn named_paths_are_read_from_inline_code_alone() {
    let text = "see `src/store/mod.rs` and `tests/house/`, not src/x.rs, `cargo test`, `docs/decisions/NNNN-*.md`, `src/NAME.rs`\n";
    let found: Vec<_> = named_paths(text).into_iter().map(|l| l.target).collect();
    assert_eq!(found, ["src/store/mod.rs", "tests/house"]);
}

#[test]
fn headings_become_the_anchors_that_forges_make() {
    assert_eq!(anchors("# A b, `c`-d\n## A b, c-d\n```\n# no\n```\n"), ["a-b-c-d", "a-b-c-d-1"]);
}
