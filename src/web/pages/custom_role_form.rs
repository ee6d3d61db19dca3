//! The form of a custom role's rules: a line for each, or all of them as YAML; read field by field.

use super::custom_roles::Told;
use crate::{
    declared,
    model::{
        custom_role::{CustomRoleName, check_rule},
        rbac::PolicyRule,
    },
    web::forms::FieldErrors,
};

/// The longest YAML that is read.
const LONGEST_YAML: usize = 16 * 1024;
/// So many mistakes of it are shown.
const SHOWN: usize = 8;
/// What the fields of each line are called: API groups, resources, verbs, names.
const LINES: [[&str; 4]; 4] =
    [["g1", "r1", "v1", "n1"], ["g2", "r2", "v2", "n2"], ["g3", "r3", "v3", "n3"], ["g4", "r4", "v4", "n4"]];

/// The form, as it is typed.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each line has the same four: API groups, resources, verbs, names")]
pub struct RoleForm {
    /// The name.
    pub name: String,
    /// All rules as YAML; then the lines do not count.
    pub yaml: String,
    /// Whether it is to be looked at only.
    pub preview: String,
    /// Whether whoever holds it already may have what it allows from now on.
    pub vouch: String,
    pub g1: String,
    pub r1: String,
    pub v1: String,
    pub n1: String,
    pub g2: String,
    pub r2: String,
    pub v2: String,
    pub n2: String,
    pub g3: String,
    pub r3: String,
    pub v3: String,
    pub n3: String,
    pub g4: String,
    pub r4: String,
    pub v4: String,
    pub n4: String,
}

/// A line of the form: its fields' names, and what stands in them.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) names: [&'static str; 4],
    pub(super) values: [String; 4],
}

impl RoleForm {
    /// One with these rules to change.
    pub(super) fn of(yaml: String) -> Self {
        Self { yaml, ..Self::default() }
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let values = [
            [&self.g1, &self.r1, &self.v1, &self.n1],
            [&self.g2, &self.r2, &self.v2, &self.n2],
            [&self.g3, &self.r3, &self.v3, &self.n3],
            [&self.g4, &self.r4, &self.v4, &self.n4],
        ];
        let lines = LINES.into_iter().zip(values).enumerate();
        lines.map(|(n, (names, values))| Line { number: n + 1, names, values: values.map(Clone::clone) }).collect()
    }

    pub(super) fn is_preview(&self) -> bool {
        !self.preview.is_empty()
    }

    pub(super) fn vouches(&self) -> bool {
        !self.vouch.is_empty()
    }

    pub(super) fn read_name(&self, errors: &mut FieldErrors) -> Option<CustomRoleName> {
        errors.keep("name", self.name.parse())
    }

    /// The rules; nothing where something is wrong, which is said at its field.
    pub(super) fn read_rules(&self, errors: &mut FieldErrors) -> Option<Vec<PolicyRule>> {
        let rules = if self.yaml.trim().is_empty() { self.read_lines(errors) } else { self.read_yaml(errors) };
        let rules = rules?;
        errors.keep("yaml", crate::model::custom_role::check_all(&rules)).map(|()| rules)
    }

    fn read_yaml(&self, errors: &mut FieldErrors) -> Option<Vec<PolicyRule>> {
        if self.yaml.len() > LONGEST_YAML {
            errors.add("yaml", format!("At most {} KiB.", LONGEST_YAML / 1024));
            return None;
        }
        declared::read_rules(&self.yaml)
            .map_err(|mistakes| {
                for mistake in mistakes.iter().take(SHOWN) {
                    let (at, problem, fix) = (mistake.at, &mistake.problem, &mistake.fix);
                    errors.add("yaml", format!("Line {}, column {}: {problem}; {fix}.", at.line, at.column));
                }
            })
            .ok()
    }

    fn read_lines(&self, errors: &mut FieldErrors) -> Option<Vec<PolicyRule>> {
        let (mut rules, mut good) = (Vec::new(), true);
        for line in self.lines() {
            let [groups, resources, verbs, names] = line.values.each_ref().map(|text| words(text));
            if [&groups, &resources, &verbs, &names].into_iter().all(Vec::is_empty) {
                continue;
            }
            // Nothing typed is the core, as kubectl has it.
            let core = |group: &String| if group == "core" { String::new() } else { group.clone() };
            let groups = if groups.is_empty() { vec![String::new()] } else { groups.iter().map(core).collect() };
            let rule = PolicyRule { groups, resources, verbs, names, urls: Vec::new() };
            if let Err((list, why)) = check_rule(&rule) {
                let field = ["apiGroups", "resources", "verbs", "resourceNames"].iter().position(|name| *name == list);
                errors.add(line.names[field.unwrap_or(1)], format!("Rule {}: {why}", line.number));
                good = false;
            }
            rules.push(rule);
        }
        good.then_some(rules)
    }

    /// What the rules as they are typed would allow.
    pub(super) fn preview(&self, errors: &mut FieldErrors) -> Option<Told> {
        self.read_rules(errors).map(|rules| Told::of(&rules))
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_rule_and_yaml_takes_the_place_of_all_lines() {
        let mut errors = FieldErrors::default();
        let form = RoleForm {
            r1: "pods, pods/log".into(),
            v1: "get list".into(),
            g3: "apps core".into(),
            r3: "deployments".into(),
            v3: "get".into(),
            n3: "web".into(),
            ..RoleForm::default()
        };
        let rules = form.read_rules(&mut errors).unwrap();
        assert_eq!((rules.len(), rules[0].groups.as_slice(), rules[0].resources.len()), (2, &[String::new()][..], 2));
        assert_eq!(
            (rules[1].groups.as_slice(), rules[1].names.as_slice()),
            (&["apps".to_owned(), String::new()][..], &["web".to_owned()][..])
        );
        let yaml = RoleForm { yaml: "- {apiGroups: [\"\"], resources: [secrets], verbs: [get]}".into(), ..form };
        assert_eq!(yaml.read_rules(&mut errors).unwrap()[0].resources, ["secrets"]);
        assert!(errors.is_empty());
    }

    #[test]
    fn mistakes_stand_at_their_fields_those_of_yaml_with_line_and_column() {
        let wrong = |form: RoleForm| {
            let mut errors = FieldErrors::default();
            assert!(form.read_rules(&mut errors).is_none());
            errors
        };
        assert!(wrong(RoleForm::default()).has("yaml"), "no rule at all");
        let lines = RoleForm {
            r1: "pods".into(),
            v2: "get".into(),
            r3: "Pods".into(),
            v3: "get".into(),
            ..RoleForm::default()
        };
        let errors = wrong(lines);
        assert!(errors.has("v1") && errors.has("r2") && errors.has("r3"), "{errors:?}");
        let errors = wrong(RoleForm { yaml: "rules:\n- {verbs: [get]}\n".into(), ..RoleForm::default() });
        assert!(errors.get("yaml").is_some_and(|why| why.starts_with("Line 2, column 3: ")), "{errors:?}");
        assert!(wrong(RoleForm { yaml: "x".repeat(LONGEST_YAML + 1), ..RoleForm::default() }).has("yaml"));
    }
}
