//! The form that makes a share link, and the one that changes it, read field by field.

use std::num::NonZeroU32;

use super::{
    access_form::NamedProvider,
    roles::{self, OfferedRole},
    scope,
};
use crate::{
    access::ShareRequest,
    model::{
        audience::{Audience, Guest},
        cluster::Cluster,
        group::Group,
        name::Namespace,
        reason::Reason,
        share_link::{LinkRules, Note},
        time::Timestamp,
    },
    web::{
        forms::{Choice, FieldErrors, parse_span, span_choices, span_value},
        when::When,
    },
};

/// In place of a span: what it is now.
const KEEP: &str = "keep";
/// In place of a role: a kubeconfig and nothing else.
const NO_ROLE: &str = "none";

/// The form, as it is typed.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default)]
pub struct ShareForm {
    /// As typed.
    pub(super) role: String,
    /// As typed.
    #[serde(rename = "where")]
    pub(super) place: String,
    /// As typed.
    pub(super) namespaces: String,
    /// As typed.
    pub(super) lasts: String,
    /// As typed.
    pub(super) expires: String,
    /// As typed.
    pub(super) uses: String,
    /// As typed.
    pub(super) only_for: String,
    /// Where the cluster trusts several: whose people `only_for` means.
    pub(super) provider: String,
    /// As typed.
    pub(super) note: String,
    /// As typed.
    pub(super) reason: String,
}

impl Default for ShareForm {
    fn default() -> Self {
        Self {
            role: "view".into(),
            place: scope::WHOLE.into(),
            namespaces: String::new(),
            lasts: "90d".into(),
            expires: "7d".into(),
            uses: String::new(),
            only_for: String::new(),
            provider: String::new(),
            note: String::new(),
            reason: String::new(),
        }
    }
}

impl ShareForm {
    /// A link's rules as they are, to be changed.
    pub(super) fn of(rules: &LinkRules) -> Self {
        let names: Vec<&str> = rules.scope.namespaces().iter().map(Namespace::as_str).collect();
        Self {
            role: roles::value(rules.role.as_ref()),
            place: if names.is_empty() { scope::WHOLE } else { scope::SOME }.into(),
            namespaces: names.join(", "),
            lasts: span_value(rules.access_lasts).unwrap_or(KEEP).into(),
            expires: KEEP.into(),
            uses: rules.max_uses.map(|most| most.to_string()).unwrap_or_default(),
            only_for: rules.audience.as_typed(),
            provider: match &rules.audience {
                Audience::Listed(provider, _) => provider.to_string(),
                Audience::Anyone => String::new(),
            },
            note: rules.note.as_ref().map(ToString::to_string).unwrap_or_default(),
            reason: rules.reason.as_ref().map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        }
    }

    pub(super) fn roles(&self, offered: &[OfferedRole]) -> Vec<Choice> {
        let mut all = vec![Choice::new(NO_ROLE, "no role", &self.role)];
        all.extend(roles::choices(offered, &self.role));
        all
    }

    pub(super) fn wheres(&self) -> Vec<Choice> {
        scope::choices(&self.place)
    }

    pub(super) fn lasts_options(&self, as_it_is: Option<&LinkRules>) -> Vec<Choice> {
        let mut all = span_choices(&self.lasts, true);
        if as_it_is.is_some_and(|rules| span_value(rules.access_lasts).is_none()) {
            all.insert(0, Choice::new(KEEP, "as it is", &self.lasts));
        }
        all
    }

    pub(super) fn expires_options(&self, as_it_is: Option<&When>) -> Vec<Choice> {
        let mut all = span_choices(&self.expires, false);
        if let Some(end) = as_it_is {
            all.insert(0, Choice::new(KEEP, format!("as it is, until {}", end.day), &self.expires));
        }
        all
    }

    /// Reads all of it. `groups` are those that may be named; `as_it_is` are the rules that are changed, where it is no new link.
    pub(super) fn read(
        &self,
        (cluster, groups): (&Cluster, &[Group]),
        as_it_is: Option<&LinkRules>,
        now: Timestamp,
        errors: &mut FieldErrors,
    ) -> Option<ShareRequest> {
        let role = match self.role.as_str() {
            NO_ROLE => Some(None),
            value => errors.keep("role", roles::read(value)).map(Some),
        };
        let namespaces = scope::read(&self.place, &self.namespaces, errors);
        let lasts = match as_it_is.filter(|_| self.lasts == KEEP) {
            Some(rules) => Some(rules.access_lasts),
            None => errors.keep("lasts", parse_span(&self.lasts, true).ok_or("Choose how long the access lasts.")),
        };
        let expires = if let Some(rules) = as_it_is.filter(|_| self.expires == KEEP) {
            Some(rules.expires_at)
        } else {
            let span = parse_span(&self.expires, false).flatten();
            let span = errors.keep("expires", span.ok_or("Choose until when the link can be accepted."));
            span.map(|span| now.plus(span))
        };
        let max_uses = errors.keep("uses", read_uses(&self.uses));
        let before = as_it_is.map_or(&[] as &[_], |rules| rules.audience.guests());
        let audience = self.audience(cluster, (groups, before), errors);
        let note = errors.keep("note", Note::read(&self.note));
        let reason = errors.keep("reason", Reason::read(&self.reason));
        Some(ShareRequest {
            role: role?,
            namespaces: namespaces?,
            access_lasts: lasts?,
            expires_at: expires?,
            max_uses: max_uses?,
            audience: audience?,
            note: note?,
            reason: reason?,
        })
    }

    fn audience(
        &self,
        cluster: &Cluster,
        (groups, before): (&[Group], &[Guest]),
        errors: &mut FieldErrors,
    ) -> Option<Audience> {
        let guests = errors.keep("only_for", Audience::parse_guests_again(&self.only_for, groups, before))?;
        if guests.is_empty() {
            return Some(Audience::Anyone);
        }
        let provider = match cluster.trusts.as_slice() {
            [(only, _)] => Some(only),
            several => several.iter().map(|(id, _)| id).find(|id| id.as_str() == self.provider),
        };
        let Some(provider) = provider else {
            let several = cluster.trusts.len() > 1;
            let message = if several {
                "Choose where the people under “Only for” sign in."
            } else {
                "This cluster trusts no provider yet."
            };
            errors.add(if several { "provider" } else { "only_for" }, message);
            return None;
        };
        Some(Audience::Listed(provider.clone(), guests))
    }
}

/// Whether the form must ask whose people are meant.
pub(super) fn asks_for_provider(providers: &[NamedProvider]) -> bool {
    providers.len() > 1
}

/// A number of people, or nothing for any number.
pub(super) fn read_uses(typed: &str) -> Result<Option<NonZeroU32>, &'static str> {
    match typed.trim() {
        "" => Ok(None),
        number => {
            number.parse().map(Some).map_err(|_| "Write a whole number from 1 on, or leave it empty for any number.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{claim_mapping::ClaimMapping, role::Role},
        web::pages::cluster::tests::cluster,
    };

    const NOW: Timestamp = Timestamp::from_secs(0);

    fn read(form: &ShareForm) -> Result<ShareRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        form.read((&cluster("staging"), &[]), None, NOW, &mut errors).ok_or(errors)
    }

    #[test]
    fn the_form_begins_with_view_for_90_days_by_a_link_of_7_for_anyone() {
        let request = read(&ShareForm::default()).unwrap();
        assert_eq!(request.role, Some(Role::View));
        assert_eq!(request.access_lasts.map(|d| d.as_secs()), Some(90 * 86_400));
        assert_eq!(request.expires_at, Timestamp::from_secs(7 * 86_400));
        assert_eq!((request.audience, request.max_uses, request.note), (Audience::Anyone, None, None));
    }

    #[test]
    fn a_link_never_lives_for_ever_and_errors_are_named_by_field() {
        let form = ShareForm {
            role: "root".into(),
            expires: "never".into(),
            lasts: KEEP.into(),
            uses: "0".into(),
            only_for: "a@b@c.com".into(),
            note: "\u{202e}".into(),
            reason: "two\nlines".into(),
            ..ShareForm::default()
        };
        let errors = read(&form).unwrap_err();
        for field in ["role", "expires", "lasts", "uses", "only_for", "note", "reason"] {
            assert!(errors.get(field).is_some(), "{field}");
        }
        assert!(
            read(&ShareForm { expires: KEEP.into(), ..ShareForm::default() }).is_err(),
            "a new link has no end yet"
        );
        for uses in ["-1", "1.5", "many", "99999999999"] {
            assert!(read(&ShareForm { uses: uses.into(), ..ShareForm::default() }).is_err(), "{uses}");
        }
    }

    #[test]
    fn rules_come_back_from_the_form_that_shows_them() {
        let staging = cluster("staging");
        let form = ShareForm {
            role: "role:log-reader".into(),
            place: scope::SOME.into(),
            namespaces: "shop, payments".into(),
            lasts: "30d".into(),
            uses: " 3 ".into(),
            only_for: "bob@example.com, @acme.example, group:devs".into(),
            note: "for the release".into(),
            reason: "on call".into(),
            ..ShareForm::default()
        };
        let request = read(&form).unwrap();
        let mut rules = LinkRules {
            role: request.role,
            scope: crate::model::scope::Scope::new(staging.id, request.namespaces),
            access_lasts: request.access_lasts,
            expires_at: request.expires_at,
            max_uses: request.max_uses,
            audience: request.audience,
            note: request.note,
            reason: request.reason,
        };
        for lasts in [rules.access_lasts, None, Some(std::time::Duration::from_secs(5))] {
            rules.access_lasts = lasts;
            let mut errors = FieldErrors::default();
            let again = ShareForm::of(&rules)
                .read((&staging, &[]), Some(&rules), Timestamp::from_secs(9), &mut errors)
                .unwrap();
            assert_eq!((&again.role, &again.audience, &again.note), (&rules.role, &rules.audience, &rules.note));
            assert_eq!(again.reason, rules.reason);
            assert_eq!(
                (again.access_lasts, again.expires_at, again.max_uses),
                (lasts, rules.expires_at, rules.max_uses)
            );
            assert_eq!(again.namespaces, rules.scope.namespaces());
        }
    }

    #[test]
    fn immune_32_with_several_providers_a_list_is_of_one_of_them() {
        let mut two = cluster("staging");
        two.trusts.push(("corp".parse().unwrap(), ClaimMapping::default()));
        let form = ShareForm { only_for: "bob@example.com".into(), ..ShareForm::default() };
        let mut errors = FieldErrors::default();
        assert!(form.read((&two, &[]), None, NOW, &mut errors).is_none());
        assert!(errors.get("provider").is_some());
        let form = ShareForm { provider: "corp".into(), ..form };
        let request = form.read((&two, &[]), None, NOW, &mut FieldErrors::default()).unwrap();
        assert!(matches!(request.audience, Audience::Listed(p, _) if p.as_str() == "corp"));
    }
}
