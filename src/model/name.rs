//! Names that people type: cluster names, namespaces, emails. Each is a type whose only way in is its check, so that what
//! reaches a kubeconfig, a shell command or an allow-list has been looked at once and for all.

use std::{fmt, str::FromStr};

/// Why a typed name was refused, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(pub String);

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(s: String) -> Result<Self, BadName> {
                s.parse()
            }
        }
    };
}

name_type! {
    /// A cluster's name: 1–63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit. It stands in
    /// kubeconfigs, file names and commands, so nothing that YAML or a shell gives a meaning to is let in.
    ClusterName
}
name_type! {
    /// A namespace's name: an RFC 1123 label, as `kubectl create namespace` takes it.
    Namespace
}
name_type! {
    /// A workspace's name, for people: 1–63 characters on one line, any alphabet.
    WorkspaceName
}
name_type! {
    /// An email address in ASCII with exactly one `@`. Holds it as it was given; compare with [`Email::matches`].
    Email
}

impl FromStr for ClusterName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        if s.is_empty() {
            return Err(BadName("Give the cluster a name.".into()));
        }
        if s.len() > 63 {
            return Err(BadName("A cluster's name has at most 63 characters.".into()));
        }
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let plain = s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !plain || !ends_well(s.chars().next()) || !ends_well(s.chars().last()) {
            return Err(BadName(
                "Use letters, digits, “-”, “_” and “.”, and begin and end with a letter or digit: the name stands in kubeconfigs and commands."
                    .into(),
            ));
        }
        Ok(Self(s.to_owned()))
    }
}

/// Whether a name may hold it: it is seen, and does not turn round what stands beside it.
fn seen(c: char) -> bool {
    let turns = matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    !c.is_control() && !turns
}

impl FromStr for WorkspaceName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        if s.is_empty() {
            return Err(BadName("Give the workspace a name.".into()));
        }
        if s.chars().count() > Self::LONGEST {
            return Err(BadName("A workspace's name has at most 63 characters.".into()));
        }
        if s.chars().all(seen) {
            Ok(Self(s.to_owned()))
        } else {
            Err(BadName("A workspace's name is one line, without characters that nobody sees.".into()))
        }
    }
}

impl WorkspaceName {
    /// Characters.
    const LONGEST: usize = 63;

    /// What a person's first workspace is called.
    pub fn of_clusters_of(person: &str) -> Self {
        let name: String = format!("Clusters of {person}").chars().filter(|c| seen(*c)).take(Self::LONGEST).collect();
        Self(name.trim_end().to_owned())
    }

    /// Whether both look the same to people who do not mind case.
    pub fn matches(&self, other: &str) -> bool {
        self.0.to_lowercase() == other.to_lowercase()
    }
}

impl FromStr for Namespace {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = (1..=63).contains(&s.len())
            && s.chars().all(|c| alnum(c) || c == '-')
            && s.starts_with(alnum)
            && s.ends_with(alnum);
        if good {
            Ok(Self(s.to_owned()))
        } else {
            Err(BadName(format!(
                "“{}” is no namespace name: lower-case letters, digits and “-”, at most 63, beginning and ending with a letter or digit.",
                s.chars().take(80).collect::<String>()
            )))
        }
    }
}

impl Namespace {
    /// Reads a typed list: separated by commas, spaces or line ends; sorted, each once.
    ///
    /// # Errors
    /// The first name that is none, or an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, BadName> {
        let mut all = text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|s| !s.is_empty())
            .map(str::parse)
            .collect::<Result<Vec<Self>, _>>()?;
        all.sort();
        all.dedup();
        if all.is_empty() {
            return Err(BadName("Name at least one namespace, or choose the whole cluster.".into()));
        }
        if all.len() > 50 {
            return Err(BadName("At most 50 namespaces at once.".into()));
        }
        Ok(all)
    }
}

impl FromStr for Email {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        let refuse = || {
            BadName(
                "This is no email address as providers give them: one “@”, no spaces, letters of the ASCII alphabet."
                    .into(),
            )
        };
        let (local, domain) = s.split_once('@').ok_or_else(refuse)?;
        let fine = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| {
                    c.is_ascii_graphic()
                        && !matches!(c, '@' | '"' | '\\' | '<' | '>' | '(' | ')' | ',' | ';' | ':' | '[' | ']')
                })
        };
        if s.len() > 254 || !fine(local) || !fine(domain) || !domain.contains(|c: char| c.is_ascii_alphanumeric()) {
            return Err(refuse());
        }
        Ok(Self(s.to_owned()))
    }
}

impl Email {
    /// The form that is stored for look-ups: ASCII lower case.
    pub fn normalised(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether both are the same mailbox: exactly, but for ASCII case.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// The longest name of a provider's group.
const LONGEST_GROUP: usize = 253;

/// Reads a group's name as its provider has it: one line, without a prefix.
///
/// # Errors
/// What it is not.
pub fn group_name(typed: &str) -> Result<&str, BadName> {
    let name = typed.trim();
    if name.is_empty() {
        return Err(BadName("Name a group as your sign-in provider does.".into()));
    }
    if name.len() > LONGEST_GROUP || name.chars().any(char::is_control) {
        return Err(BadName(format!("A group's name has at most {LONGEST_GROUP} characters, on one line.")));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_15_two_at_signs_look_alikes_and_display_names_are_no_email() {
        for bad in [
            "a@evil.com@good.com",
            "а@example.com",
            "a b@example.com",
            "<a@example.com>",
            "@example.com",
            "a@",
            "a",
            "a@exam\u{212A}ple.com",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
        let typed: Email = "Bob@Example.com".parse().unwrap();
        assert!(typed.matches(&"bob@example.COM".parse().unwrap()));
        assert!(!typed.matches(&"bob@example.com.evil.com".parse().unwrap()));
    }

    #[test]
    fn immune_17_a_cluster_name_holds_nothing_that_yaml_html_or_a_shell_reads() {
        for bad in ["a b", "a;rm", "$(x)", "`x`", "<script>", "a: b", "a\nb", "-a", "a-", "", "..", "'a'", "a/b"] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
        for good in ["staging", "prod-eu.1", "A", "x_y"] {
            assert_eq!(good.parse::<ClusterName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn immune_17_a_workspace_name_is_one_line_that_is_seen_whole() {
        for bad in ["", "  ", "a\nb", "a\u{202E}b", "a\u{200B}b", "a\0", &"x".repeat(64)] {
            assert!(bad.parse::<WorkspaceName>().is_err(), "{bad:?}");
        }
        let name: WorkspaceName = " Bücher & <Zeitschriften> ".parse().unwrap();
        assert_eq!(name.as_str(), "Bücher & <Zeitschriften>");
        assert!(name.matches("BÜCHER & <zeitschriften>"));
        assert_eq!(WorkspaceName::of_clusters_of("alice@example.com").as_str(), "Clusters of alice@example.com");
        for odd in ["", "\u{202E}\n", &"x".repeat(300)] {
            let made = WorkspaceName::of_clusters_of(odd);
            assert_eq!(made.as_str().parse::<WorkspaceName>().unwrap(), made);
        }
    }

    #[test]
    fn a_group_s_name_is_one_line() {
        for bad in ["", " ", "a\nb", "a\0b", &"x".repeat(254)] {
            assert!(group_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(group_name(" Site: Reliability ").unwrap(), "Site: Reliability");
    }

    #[test]
    fn namespaces_are_read_as_a_sorted_set() {
        let names = Namespace::parse_list("shop, payments\nshop").unwrap();
        assert_eq!(names.iter().map(Namespace::as_str).collect::<Vec<_>>(), ["payments", "shop"]);
        assert!(Namespace::parse_list(" , ").is_err());
        assert!(Namespace::parse_list("a,B").is_err());
    }
}
