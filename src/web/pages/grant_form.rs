//! The form that changes a grant, read field by field.

use super::{
    roles::{self, OfferedRole},
    scope,
};
use crate::{
    access::ChangeRequest,
    model::{grant::Grant, name::Namespace, reason::Reason, time::Timestamp},
    web::forms::{Choice, FieldErrors, parse_span, span_choices},
};

/// In place of a span: the end that it has.
const KEEP: &str = "keep";

/// The form, as it is typed.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ChangeForm {
    /// The role.
    pub role: String,
    /// The whole cluster or namespaces.
    #[serde(rename = "where")]
    pub place: String,
    /// Which.
    pub namespaces: String,
    /// Until when.
    pub expires: String,
    /// Why.
    pub reason: String,
}

impl ChangeForm {
    /// A grant as it is, to be changed.
    pub(super) fn of(grant: &Grant) -> Self {
        let names: Vec<&str> = grant.scope.namespaces().iter().map(Namespace::as_str).collect();
        Self {
            role: roles::value(grant.role.as_ref()),
            place: if names.is_empty() { scope::WHOLE } else { scope::SOME }.into(),
            namespaces: names.join(", "),
            expires: KEEP.into(),
            reason: grant.reason.as_ref().map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        }
    }

    pub(super) fn roles(&self, offered: &[OfferedRole]) -> Vec<Choice> {
        roles::choices(offered, &self.role)
    }

    pub(super) fn wheres(&self) -> Vec<Choice> {
        scope::choices(&self.place)
    }

    /// From now on, but for the first; “no end” where it has one.
    pub(super) fn expires_options(&self, ends: bool) -> Vec<Choice> {
        let mut all = vec![Choice::new(KEEP, "as it is", &self.expires)];
        all.extend(span_choices(&self.expires, ends));
        all
    }

    /// Reads all of it, for this grant as it is now.
    pub(super) fn read(&self, grant: &Grant, now: Timestamp, errors: &mut FieldErrors) -> Option<ChangeRequest> {
        let rights = if grant.origin.is_changed_here() {
            let role = errors.keep("role", roles::read(&self.role));
            let namespaces = scope::read(&self.place, &self.namespaces, errors);
            Some(role.zip(namespaces))
        } else {
            None
        };
        let expires = if self.expires == KEEP {
            Some(grant.expires_at)
        } else {
            let span = parse_span(&self.expires, true).ok_or("Choose when the access ends.");
            errors.keep("expires", span).map(|span| span.map(|span| now.plus(span)))
        };
        let reason = errors.keep("reason", Reason::read(&self.reason));
        // Rights that could not be read are no wish to leave them as they are.
        let rights = match rights {
            None => None,
            Some(read) => Some(read?),
        };
        Some(ChangeRequest { rights, expires_at: expires?, reason: reason? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{grant::Origin, id::ShareLinkId, role::Role},
        web::pages::{
            cluster::tests::cluster,
            samples::{NOW, grant},
        },
    };

    fn manual() -> Grant {
        let mut one = grant(&cluster("staging"), 9);
        one.origin = Origin::Manual;
        one.expires_at = Some(NOW.plus(std::time::Duration::from_hours(48)));
        one
    }

    #[test]
    fn a_form_that_nobody_touched_changes_nothing() {
        let mut one = manual();
        one.reason = Reason::read("on call").unwrap();
        let mut errors = FieldErrors::default();
        let read = ChangeForm::of(&one).read(&one, NOW, &mut errors).unwrap();
        assert_eq!(read.rights, Some((one.role.clone().unwrap(), one.scope.namespaces().to_vec())));
        assert_eq!((read.expires_at, read.reason), (one.expires_at, one.reason));
    }

    #[test]
    fn ends_are_counted_from_now_and_mistakes_stand_at_their_fields() {
        let one = manual();
        let mut errors = FieldErrors::default();
        let form = ChangeForm { expires: "7d".into(), ..ChangeForm::of(&one) };
        let read = form.read(&one, NOW, &mut errors).unwrap();
        assert_eq!(read.expires_at, Some(NOW.plus(std::time::Duration::from_hours(168))));
        let form = ChangeForm { expires: "never".into(), ..form };
        assert_eq!(form.read(&one, NOW, &mut errors).unwrap().expires_at, None);
        let wrong = ChangeForm {
            role: "root".into(),
            place: scope::SOME.into(),
            namespaces: String::new(),
            expires: "1s".into(),
            reason: "two\nlines".into(),
        };
        assert!(wrong.read(&one, NOW, &mut errors).is_none());
        assert!(["role", "namespaces", "expires", "reason"].into_iter().all(|field| errors.has(field)));
    }

    #[test]
    fn immune_28_what_a_link_gave_keeps_its_role_and_place_whatever_is_sent() {
        let mut one = manual();
        one.origin = Origin::Link(ShareLinkId::new());
        let form = ChangeForm { role: Role::Admin.to_string(), ..ChangeForm::of(&one) };
        assert_eq!(form.read(&one, NOW, &mut FieldErrors::default()).unwrap().rights, None);
    }
}
