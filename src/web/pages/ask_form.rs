//! The form that asks for access, and the one that answers: which role, where and for how long, read field by field.

use std::time::Duration;

use super::{
    roles::{self, OfferedRole},
    scope,
};
use crate::{
    access::{ApproveRequest, AskRequest},
    model::{
        access_request::Wish, grant::Grant, name::Namespace, namespace_role::NamespaceRole, reason::Reason, role::Role,
    },
    web::forms::{Choice, FieldErrors, parse_span, span_choices, span_value},
};

/// How many custom roles are offered.
const OFFERED: usize = 30;

/// The form, as it is typed.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default)]
pub struct AskForm {
    /// The role.
    pub role: String,
    /// The whole cluster or namespaces.
    #[serde(rename = "where")]
    pub place: String,
    /// Which.
    pub namespaces: String,
    /// For how long.
    pub lasts: String,
    /// Why.
    pub reason: String,
}

impl Default for AskForm {
    fn default() -> Self {
        Self {
            role: Role::View.as_str().into(),
            place: scope::WHOLE.into(),
            namespaces: String::new(),
            lasts: "30d".into(),
            reason: String::new(),
        }
    }
}

impl AskForm {
    /// For the same once more, for longer.
    pub(super) fn of(grant: &Grant) -> Self {
        let can_be = |role: &&Role| role.is_everywhere() || role.custom_name().is_some();
        let role = grant.role.as_ref().filter(can_be).unwrap_or(&Role::View);
        Self { role: roles::value(Some(role)), ..Self::at(grant.scope.namespaces()) }
    }

    /// What was asked for, to be answered.
    pub(super) fn answering(wish: &Wish) -> Self {
        Self {
            role: roles::value(Some(&wish.role)),
            lasts: span_value(wish.lasts).unwrap_or("30d").into(),
            ..Self::at(wish.scope.namespaces())
        }
    }

    fn at(namespaces: &[Namespace]) -> Self {
        let names: Vec<&str> = namespaces.iter().map(Namespace::as_str).collect();
        let place = if names.is_empty() { scope::WHOLE } else { scope::SOME };
        Self { place: place.into(), namespaces: names.join(", "), ..Self::default() }
    }

    /// What can be asked for, the cluster's custom roles among it: what a cluster calls its own is shown to the people who manage it
    /// alone.
    pub(super) fn all_roles(&self, custom: &[Role]) -> Vec<Choice> {
        let all = Role::ALL.into_iter().chain([Role::ClusterAdmin]).chain(NamespaceRole::ALL.map(NamespaceRole::role));
        let all = all.chain(custom.iter().take(OFFERED).cloned());
        all.map(|role| Choice::new(roles::value(Some(&role)), role.to_string(), &self.role)).collect()
    }

    pub(super) fn roles(&self, offered: &[OfferedRole]) -> Vec<Choice> {
        roles::choices(offered, &self.role)
    }

    pub(super) fn wheres(&self) -> Vec<Choice> {
        scope::choices(&self.place)
    }

    pub(super) fn lasts_options(&self) -> Vec<Choice> {
        span_choices(&self.lasts, true)
    }

    fn rights(&self, errors: &mut FieldErrors) -> Option<(Role, Vec<Namespace>, Option<Duration>)> {
        let role = errors.keep("role", roles::read(&self.role));
        let namespaces = scope::read(&self.place, &self.namespaces, errors);
        let lasts = errors.keep("lasts", parse_span(&self.lasts, true).ok_or("Choose for how long."));
        Some((role?, namespaces?, lasts?))
    }

    /// Reads all of it as what is asked for.
    pub(super) fn read(&self, errors: &mut FieldErrors) -> Option<AskRequest> {
        let rights = self.rights(errors);
        let reason = Reason::read(&self.reason).map_err(|e| e.to_string());
        let reason =
            reason.and_then(|reason| reason.ok_or_else(|| "Say why: somebody has to decide by it.".to_owned()));
        let reason = errors.keep("reason", reason);
        let (role, namespaces, lasts) = rights?;
        Some(AskRequest { role, namespaces, lasts, reason: reason? })
    }

    /// Reads all but the reason as what is given in answer.
    pub(super) fn answer(&self, errors: &mut FieldErrors) -> Option<ApproveRequest> {
        let (role, namespaces, lasts) = self.rights(errors)?;
        Some(ApproveRequest { role, namespaces, lasts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{id::ClusterId, scope::Scope};

    #[test]
    fn a_request_says_why_and_mistakes_stand_at_their_fields() {
        let mut errors = FieldErrors::default();
        assert!(AskForm::default().read(&mut errors).is_none());
        assert!(errors.has("reason") && !errors.has("role"));
        let asked = AskForm { reason: " on call ".into(), ..AskForm::default() }.read(&mut errors).unwrap();
        assert_eq!((asked.role, asked.lasts.map(|span| span.as_secs())), (Role::View, Some(30 * 86_400)));
        let wrong =
            AskForm { role: "root".into(), lasts: "1s".into(), place: scope::SOME.into(), ..AskForm::default() };
        assert!(wrong.read(&mut errors).is_none());
        assert!(["role", "lasts", "namespaces"].into_iter().all(|field| errors.has(field)));
        assert_eq!(AskForm::default().all_roles(&[]).len(), 7);
        let custom = vec![Role::named("kubelend:log-reader:0123abcd").unwrap(); 50];
        let all = AskForm::default().all_roles(&custom);
        assert_eq!((all.len(), &*all[7].label), (37, "log-reader (custom)"));
        let asked = AskForm { role: all[7].value.to_string(), reason: "logs".into(), ..AskForm::default() };
        assert_eq!(asked.read(&mut FieldErrors::default()).unwrap().role, custom[0]);
    }

    #[test]
    fn an_answer_begins_with_what_was_asked_for() {
        let wish = Wish {
            role: Role::Edit,
            scope: Scope::Namespaces(ClusterId::new(), vec!["shop".parse().unwrap()]),
            lasts: Some(Duration::from_hours(7 * 24)),
            reason: Reason::read("on call").unwrap().unwrap(),
        };
        let answer = AskForm::answering(&wish).answer(&mut FieldErrors::default()).unwrap();
        assert_eq!(
            (answer.role, answer.namespaces, answer.lasts),
            (Role::Edit, vec!["shop".parse().unwrap()], wish.lasts)
        );
    }
}
