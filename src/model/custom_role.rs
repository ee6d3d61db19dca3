//! Custom roles: rules that are written once, in a workspace or for all of them, and given wherever a role is chosen. On a cluster one is a
//! ClusterRole that Kubelend makes when a grant there needs it.

use std::{fmt, str::FromStr};

use super::{
    id::{CustomRoleId, IdentityId, WorkspaceId},
    name::BadName,
    namespace_role::NamespaceRole,
    rbac::PolicyRule,
    role::{CUSTOM, Role},
    time::Timestamp,
};

/// The longest name, in characters.
const LONGEST_NAME: usize = 40;
/// How many rules one has.
const MOST_RULES: usize = 50;
/// How long they are in all, as JSON.
const LONGEST: usize = 6 * 1024;
/// How many texts a list of a rule has, and how long one is.
const MOST_TEXTS: usize = 50;
const LONGEST_TEXT: usize = 253;

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRole {
    /// Its id.
    pub id: CustomRoleId,
    /// The workspace that it belongs to; `None` where it is platform admins' and can be given everywhere.
    pub workspace: Option<WorkspaceId>,
    /// What people call it; unique where it belongs. It stays.
    pub name: CustomRoleName,
    /// The role that it is to whoever gives it: its ClusterRole is called so.
    pub role: Role,
    /// What it lets do.
    pub rules: Vec<PolicyRule>,
    /// How often it was changed.
    pub revision: i64,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

impl CustomRole {
    /// Whether it can be given in this workspace (`None`: everywhere).
    pub fn is_usable_in(&self, workspace: Option<WorkspaceId>) -> bool {
        self.workspace.is_none() || self.workspace == workspace
    }
}

/// The name of a custom role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomRoleName(String);

impl CustomRoleName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The role of this name whose id ends so: no other one is called the same on any cluster.
    pub fn role(&self, id: CustomRoleId) -> Role {
        let id = id.to_string();
        let tail: String = id.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
        Role::named(&format!("{CUSTOM}{}:{tail}", self.0))
            .unwrap_or_else(|_| unreachable!("it is made of plain letters"))
    }
}

impl fmt::Display for CustomRoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CustomRoleName {
    type Err = BadName;

    fn from_str(s: &str) -> Result<Self, BadName> {
        let name = s.trim();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = !name.starts_with('-') && !name.ends_with('-');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) || !ends {
            return Err(BadName(
                "A custom role's name has lower-case letters, digits and “-”, at most 40, as log-reader.".into(),
            ));
        }
        if name.parse::<Role>().is_ok() || NamespaceRole::named(name).is_some() || name == "none" {
            return Err(BadName(format!("“{name}” is the name of another role, which it would be taken for.")));
        }
        if name.starts_with("system") {
            return Err(BadName("Names that begin with “system” are Kubernetes' own.".into()));
        }
        Ok(Self(name.to_owned()))
    }
}

/// What is wrong with a rule: in which of its lists (`apiGroups`, `resources`, `resourceNames`, `nonResourceURLs`, `verbs`), and why.
pub type WrongRule = (&'static str, String);

/// Whether these are rules that a custom role can have.
///
/// # Errors
/// What stands against them as a whole.
pub fn check_all(rules: &[PolicyRule]) -> Result<(), String> {
    if rules.is_empty() {
        return Err("Write at least one rule.".into());
    }
    if rules.len() > MOST_RULES {
        return Err(format!("A role has at most {MOST_RULES} rules."));
    }
    let size = serde_json::to_string(rules).map_or(usize::MAX, |text| text.len());
    if size > LONGEST {
        Err(format!("These rules are too long: at most {LONGEST} characters as JSON."))
    } else {
        Ok(())
    }
}

/// Whether this is a rule as Kubernetes takes it.
///
/// # Errors
/// The first that stands against it.
pub fn check_rule(rule: &PolicyRule) -> Result<(), WrongRule> {
    let wrong = |list, why: &str| Err((list, why.to_owned()));
    if rule.verbs.is_empty() {
        return wrong("verbs", "Name at least one verb: get, list, watch, create, …");
    }
    if rule.urls.is_empty() {
        if rule.resources.is_empty() {
            return wrong("resources", "Name at least one resource: pods, deployments, pods/log, …");
        }
        if rule.groups.is_empty() {
            return wrong("apiGroups", "Name the API group; the core's is the empty text \"\".");
        }
    } else if !(rule.resources.is_empty() && rule.groups.is_empty() && rule.names.is_empty()) {
        return wrong("nonResourceURLs", "A rule is about paths or about resources: make two of it.");
    }
    each("verbs", &rule.verbs, |c| c.is_ascii_lowercase() || matches!(c, '-' | ':' | '*'))?;
    if let Some(mixed) = rule.verbs.iter().find(|verb| verb.contains('*') && *verb != "*") {
        return Err(("verbs", format!("“{mixed}” is no verb: “*” stands alone and means all of them.")));
    }
    let dotted = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    each("apiGroups", &rule.groups, |c| dotted(c) || c == '*')?;
    each("resources", &rule.resources, |c| dotted(c) || matches!(c, '*' | '/' | '_'))?;
    each("resourceNames", &rule.names, |c| c.is_ascii_graphic())?;
    each("nonResourceURLs", &rule.urls, |c| c.is_ascii_graphic())?;
    match rule.urls.iter().find(|url| !url.starts_with('/') && *url != "*") {
        Some(url) => Err(("nonResourceURLs", format!("“{url}” is no path: it begins with “/”."))),
        None => Ok(()),
    }
}

fn each(list: &'static str, texts: &[String], plain: impl Fn(char) -> bool) -> Result<(), WrongRule> {
    if texts.len() > MOST_TEXTS {
        return Err((list, format!("At most {MOST_TEXTS} in one rule.")));
    }
    let empty = list != "apiGroups";
    match texts.iter().find(|text| text.len() > LONGEST_TEXT || (empty && text.is_empty()) || !text.chars().all(&plain))
    {
        Some(text) => {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
            Err((list, format!("“{shown}” cannot stand here.")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reach::tests::rule;

    #[test]
    fn a_name_is_plain_and_none_that_another_role_has() {
        for good in ["log-reader", "a", "x2", &"a".repeat(40)] {
            assert_eq!(good.parse::<CustomRoleName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "view",
            "edit",
            "admin",
            "cluster-admin",
            "namespace-admin",
            "none",
            "system",
            "system-x",
            "-a",
            "a-",
            "A",
            "a:b",
            "a b",
            "a/b",
            "<b>",
            "*",
            &"a".repeat(41),
        ] {
            assert!(bad.parse::<CustomRoleName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn immune_28_a_custom_role_is_called_like_no_other_on_a_cluster_and_known_by_its_whole_name() {
        let name: CustomRoleName = "log-reader".parse().unwrap();
        let (one, two) = (name.role(CustomRoleId::new()), name.role(CustomRoleId::new()));
        assert_ne!(one, two);
        assert_eq!((one.custom_name(), one.is_everywhere()), (Some("log-reader"), false));
        assert!(one.as_str().starts_with("kubelend:log-reader:") && one.to_string() == "log-reader (custom)", "{one}");
        assert_eq!(Role::named("log-reader").unwrap().custom_name(), None);
        for forged in [
            "kubelend:view",
            "kubelend:view:12",
            "kubelend::12345678",
            "kubelend:a:b:12345678",
            "kubelend:A:12345678",
            "kubelend:view:12345678",
            "kubelend:x:1234567g",
        ] {
            assert_eq!(Role::named(forged).unwrap().custom_name(), None, "{forged}");
        }
    }

    #[test]
    fn immune_17_a_rule_holds_what_kubernetes_takes_and_says_what_does_not_fit() {
        let good = rule(&["get", "*"], &["", "apps", "*"], &["pods", "pods/log", "*/scale", "*"]);
        assert_eq!(check_rule(&good), Ok(()));
        let url = PolicyRule {
            verbs: vec!["get".into()],
            urls: vec!["/metrics".into(), "*".into()],
            ..PolicyRule::default()
        };
        assert_eq!(check_rule(&url), Ok(()));
        for (list, bad) in [
            ("verbs", rule(&[], &[""], &["pods"])),
            ("verbs", rule(&["GET"], &[""], &["pods"])),
            ("verbs", rule(&["ge*"], &[""], &["pods"])),
            ("verbs", rule(&["get\nlist"], &[""], &["pods"])),
            ("resources", rule(&["get"], &[""], &[])),
            ("resources", rule(&["get"], &[""], &["<script>"])),
            ("resources", rule(&["get"], &[""], &[""])),
            ("apiGroups", rule(&["get"], &[], &["pods"])),
            ("apiGroups", rule(&["get"], &["a b"], &["pods"])),
            ("resourceNames", PolicyRule { names: vec!["a b".into()], ..good.clone() }),
            ("nonResourceURLs", PolicyRule { urls: vec!["/x".into()], ..good.clone() }),
            ("nonResourceURLs", PolicyRule { urls: vec!["x".into()], ..url.clone() }),
            ("verbs", PolicyRule { verbs: vec!["get".into(); 51], ..good.clone() }),
        ] {
            assert_eq!(check_rule(&bad).unwrap_err().0, list, "{bad:?}");
        }
        assert!(check_all(&[]).is_err() && check_all(&vec![good.clone(); 51]).is_err() && check_all(&[good]).is_ok());
    }
}
