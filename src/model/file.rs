//! Files that say who has access, and what Kubelend knows of one: its name, and in whose name its rows stand.
//!
//! A file is no person, but whatever it makes has a maker as everything has. So each file has an identity that no provider
//! vouches for: nobody signs in as it, and what bears it is what the file made.

use std::{fmt, str::FromStr};

use super::{
    id::{FileId, IdentityId},
    identity::Identity,
    name::BadName,
    time::Timestamp,
};

/// The longest name of a file.
const LONGEST: usize = 40;

/// The issuer of files' identities. No provider's can be it: those are https addresses.
pub const FILE_ISSUER: &str = "kubelend:file";
/// What stands in place of a provider in files' identities.
pub const FILE_PROVIDER: &str = "file";

/// What a file is called in itself: lower-case letters, digits and `-`. Files of different names leave each other's rows alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FileName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=LONGEST).contains(&s.len()) && s.chars().all(plain) {
            Ok(Self(s.to_owned()))
        } else {
            Err(BadName(format!("A file's name has 1–{LONGEST} lower-case letters, digits and “-”.")))
        }
    }
}

/// A file that has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFile {
    /// Its id.
    pub id: FileId,
    /// What it is called.
    pub name: FileName,
    /// In whose name its rows stand; the issuer is [`FILE_ISSUER`].
    pub identity: Identity,
}

impl AccessFile {
    /// What a file that was never applied would be known by.
    pub fn not_applied(name: &FileName, now: Timestamp) -> Self {
        let identity = Identity {
            id: IdentityId::new(),
            provider: FILE_PROVIDER.parse().unwrap_or_else(|_| unreachable!("it is a provider's id")),
            issuer: FILE_ISSUER.into(),
            sub: name.to_string(),
            email: None,
            email_verified: false,
            name: Some(display(name)),
            groups: Vec::new(),
            last_sign_in: now,
        };
        Self { id: FileId::new(), name: name.clone(), identity }
    }
}

/// What a file is called where people are named.
pub fn display(name: &FileName) -> String {
    format!("file {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_is_plain() {
        assert_eq!("access-2".parse::<FileName>().unwrap().as_str(), "access-2");
        for bad in ["", "Access", "a b", "a/b", "ä", "a\n", &"x".repeat(41)] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
    }
}
