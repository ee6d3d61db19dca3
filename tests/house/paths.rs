//! Every path that a Rust file writes: in `use` trees (nested, renamed, globbed), inline, in attributes, and inside macros,
//! where only tokens are known. The rules about imports and about dependencies both read this list.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::Visit;

/// How a path stands in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A `use`, an `extern crate`; with the name that it gets in this file (`*` for a glob).
    Import(String),
    /// In code, an attribute or a macro.
    Inline,
}

/// A path as written.
#[derive(Clone, Debug)]
pub(super) struct Mention {
    /// `crate`, `store`, `Store`; without a trailing `*` or `self`.
    pub(super) segments: Vec<String>,
    /// Where it stands.
    pub(super) form: Form,
    /// The inline modules around it, outermost first.
    pub(super) inside: Vec<String>,
    /// Its line.
    pub(super) line: usize,
}

/// The paths that a file writes, and the modules that it declares.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// In the file's order.
    pub(super) mentions: Vec<Mention>,
    /// Names of `mod x;` and `mod x { … }`.
    pub(super) modules: Vec<String>,
    inside: Vec<String>,
}

impl Paths {
    /// Reads a file.
    pub(super) fn of(file: &str, source: &str) -> Self {
        let parsed = syn::parse_file(source).unwrap_or_else(|e| panic!("{file}:{}: {e}", e.span().start().line));
        let mut paths = Self::default();
        paths.visit_file(&parsed);
        paths
    }

    fn add(&mut self, segments: Vec<String>, form: Form, line: usize) {
        self.mentions.push(Mention { segments, form, inside: self.inside.clone(), line });
    }

    fn import(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &joined(before, &path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(item, before)),
            syn::UseTree::Glob(glob) => {
                self.add(before.to_vec(), Form::Import("*".into()), glob.star_token.spans[0].start().line);
            }
            syn::UseTree::Name(name) => self.import_name(before, &name.ident, None),
            syn::UseTree::Rename(rename) => self.import_name(before, &rename.ident, Some(&rename.rename)),
        }
    }

    fn import_name(&mut self, before: &[String], name: &syn::Ident, rename: Option<&syn::Ident>) {
        let segments = if name == "self" && !before.is_empty() { before.to_vec() } else { joined(before, name) };
        let bound = rename.map(text).or_else(|| segments.last().cloned()).unwrap_or_default();
        self.add(segments, Form::Import(bound), name.span().start().line);
    }

    /// Paths among bare tokens: `a::b`, `a::{b, c::d}`, `$crate::a`; and, where `texts` says so, inside string literals
    /// (`#[serde(with = "crate::a::b")]`).
    fn scan(&mut self, tokens: TokenStream, before: &[String], texts: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(group.stream(), &[], texts),
                TokenTree::Literal(literal) if texts => {
                    self.scan_text(&literal.to_string(), literal.span().start().line);
                }
                TokenTree::Ident(_) if !is_field(&tokens, at) => {
                    at = self.scan_path(&tokens, at, before, texts);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// One path that begins at `at`; returns where it ends.
    fn scan_path(&mut self, tokens: &[TokenTree], mut at: usize, before: &[String], texts: bool) -> usize {
        let mut segments = before.to_vec();
        let line = tokens[at].span().start().line;
        while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
            segments.push(text(ident));
            at += 1;
            if !is_colons(tokens, at) {
                break;
            }
            at += 2;
            if let Some(TokenTree::Group(group)) = tokens.get(at)
                && group.delimiter() == Delimiter::Brace
            {
                self.scan(group.stream(), &segments, texts);
                return at + 1;
            }
        }
        if segments.len() > 1 {
            self.add(segments, Form::Inline, line);
        }
        at
    }

    fn scan_text(&mut self, literal: &str, line: usize) {
        let text = literal.trim_matches('"');
        if text.contains("::") && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            self.add(text.split("::").map(str::to_owned).collect(), Form::Inline, line);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        // `extern crate self as x` is another name for the crate.
        let name = if item.ident == "self" { "crate".to_owned() } else { text(&item.ident) };
        let bound = item.rename.as_ref().map_or_else(|| name.clone(), |(_, rename)| text(rename));
        self.add(vec![name], Form::Import(bound), item.ident.span().start().line);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.modules.push(text(&item.ident));
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.inside.push(text(&item.ident));
        for inner in item.content.iter().flat_map(|(_, items)| items) {
            self.visit_item(inner);
        }
        self.inside.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|s| text(&s.ident)).collect();
            self.add(segments, Form::Inline, path.segments[0].ident.span().start().line);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.scan(call.tokens.clone(), &[], false);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        self.visit_path(attribute.path());
        match &attribute.meta {
            syn::Meta::List(list) => self.scan(list.tokens.clone(), &[], true),
            syn::Meta::Path(_) | syn::Meta::NameValue(_) => {}
        }
    }

    // `pub(crate)` and `pub(in …)` name an ancestor and import nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

fn text(ident: &proc_macro2::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

fn joined(before: &[String], ident: &proc_macro2::Ident) -> Vec<String> {
    before.iter().cloned().chain([text(ident)]).collect()
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |t: Option<&TokenTree>| matches!(t, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(tokens.get(at)) && colon(tokens.get(at + 1))
}

/// Whether the identifier at `at` is a field or a method: behind a single dot.
fn is_field(tokens: &[TokenTree], at: usize) -> bool {
    let dot = |back: usize| {
        at.checked_sub(back).is_some_and(|n| matches!(&tokens[n], TokenTree::Punct(p) if p.as_char() == '.'))
    };
    dot(1) && !dot(2)
}
