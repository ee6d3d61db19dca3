//! docs/THREAT-MODEL.md numbers what has happened to others; a test named `immune_NN_…` proves that Kubelend is immune.
//! Here the numbers are held against the tests that there are.

use std::{collections::BTreeSet, fs};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

use super::{root, rust_sources};

/// The numbers that the code as it stands must be proven immune to. The others belong to parts that are not built: a part
/// that is added brings its numbers.
const REQUIRED: &[u32] = &[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 28, 29, 30, 32, 33];

/// Tests of a file that carry a number.
#[derive(Default)]
struct Immunities(Vec<(u32, String)>);

impl Immunities {
    fn of(file: &str, source: &str) -> Vec<(u32, String)> {
        let parsed = syn::parse_file(source).unwrap_or_else(|e| panic!("{file}: {e}"));
        let mut found = Self::default();
        found.visit_file(&parsed);
        found.0
    }

    fn take(&mut self, name: &str) {
        let number = name.strip_prefix("immune_").and_then(|rest| rest.split_once('_'));
        if let Some((digits, what)) = number
            && digits.len() == 2
            && !what.is_empty()
            && let Ok(number) = digits.parse()
        {
            self.0.push((number, name.to_owned()));
        }
    }

    fn scan(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => self.take(&ident.to_string()),
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Immunities {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let has =
            |name: &str| function.attrs.iter().any(|a| a.path().segments.last().is_some_and(|last| last.ident == name));
        if (has("test") || has("apply")) && !has("ignore") {
            self.take(&function.sig.ident.to_string());
        }
        syn::visit::visit_item_fn(self, function);
    }

    // A macro that makes one test for each database, or one with generated values, names it among its tokens.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if !item.mac.path.is_ident("macro_rules") {
            self.scan(item.mac.tokens.clone());
        }
    }
}

fn all() -> Vec<(u32, String)> {
    let sources = ["src", "tests"].into_iter().flat_map(rust_sources);
    sources.flat_map(|(file, source)| Immunities::of(&file, &source)).collect()
}

#[test]
fn each_number_that_concerns_what_is_built_has_its_test() {
    let there: BTreeSet<u32> = all().into_iter().map(|(number, _)| number).collect();
    let missing: Vec<_> = REQUIRED.iter().filter(|number| !there.contains(number)).collect();
    assert!(missing.is_empty(), "no test immune_NN_… for {missing:?}; there are tests for {there:?}");
    let beyond: Vec<_> = there.iter().filter(|number| !(1..=33).contains(*number)).collect();
    assert!(beyond.is_empty(), "docs/THREAT-MODEL.md has no number {beyond:?}");
}

#[test]
fn the_threat_model_lists_the_numbers_that_have_tests() {
    let text = fs::read_to_string(root().join("docs/THREAT-MODEL.md")).unwrap();
    for number in REQUIRED {
        assert!(text.contains(&format!("`immune_{number:02}_")), "docs/THREAT-MODEL.md does not mention {number}");
    }
    let tests: Vec<String> = all().into_iter().map(|(_, name)| name).collect();
    for named in text.split("`immune_").skip(1).filter_map(|rest| rest.split('`').next()) {
        let prefix = format!("immune_{}", named.trim_end_matches('…'));
        assert!(
            prefix == "immune_NN_" || tests.iter().any(|t| t.starts_with(&prefix)),
            "docs/THREAT-MODEL.md names {prefix}, and there is no such test"
        );
    }
}

#[test]
fn only_tests_that_run_count() {
    let source = "
        #[test] fn immune_10_a() {}
        mod tests { #[tokio::test(flavor = \"multi_thread\")] async fn immune_12_b() {} }
        both_databases! { async fn immune_25_two_at_once(store: Store) {} }
        #[test] #[ignore] fn immune_13_ignored() {}
        fn immune_14_no_test() {}
        // fn immune_15_comment() {}
        #[test] fn immune_9_one_digit() {}
        #[test] fn f() { let _ = \"#[test] fn immune_16_text() {}\"; }
    ";
    let numbers: Vec<u32> = Immunities::of("x.rs", source).into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, [10, 12, 25]);
}
