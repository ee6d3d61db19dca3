//! SPDX licence expressions: `A OR (B AND C)`, and the older `A/B`.

use std::{iter::Peekable, vec::IntoIter};

use anyhow::{Result, bail, ensure};

/// Can the expression be satisfied with allowed licences alone?
pub(super) fn allowed(expression: &str, allow: &[String]) -> Result<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    let mut words = words.into_iter().peekable();
    let value = either(&mut words, allow)?;
    ensure!(words.next().is_none(), "{expression:?} has an end that is not understood");
    Ok(value)
}

type Words = Peekable<IntoIter<String>>;

fn either(words: &mut Words, allow: &[String]) -> Result<bool> {
    let mut value = both(words, allow)?;
    while words.next_if_eq("OR").is_some() {
        value |= both(words, allow)?;
    }
    Ok(value)
}

fn both(words: &mut Words, allow: &[String]) -> Result<bool> {
    let mut value = one(words, allow)?;
    while words.next_if_eq("AND").is_some() {
        value &= one(words, allow)?;
    }
    Ok(value)
}

fn one(words: &mut Words, allow: &[String]) -> Result<bool> {
    let Some(mut licence) = words.next() else { bail!("it ends where a licence is due") };
    if licence == "(" {
        let value = either(words, allow)?;
        ensure!(words.next_if_eq(")").is_some(), "a parenthesis is not closed");
        return Ok(value);
    }
    ensure!(!["OR", "AND", "WITH", ")"].contains(&licence.as_str()), "{licence} where a licence is due");
    if words.next_if_eq("WITH").is_some() {
        let Some(exception) = words.next() else { bail!("it ends where an exception is due") };
        licence = format!("{licence} WITH {exception}");
    }
    Ok(allow.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn expressions_are_weighed() {
        let allow = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
        let cases = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("GPL-3.0/MIT", true),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("(MIT OR ISC) AND GPL-3.0", false),
            ("GPL-3.0 OR MIT AND ISC", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(allowed(expression, &allow).ok(), Some(expected), "{expression}");
        }
        for broken in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", "MIT WITH"] {
            assert!(allowed(broken, &allow).is_err(), "{broken}");
        }
    }
}
