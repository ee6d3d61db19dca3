//! The form that makes a share link, read field by field.

use super::scope;
use crate::{
    access::ShareRequest,
    model::{role::Role, time::Timestamp},
    web::forms::{Choice, FieldErrors, parse_span, span_choices},
};

/// The form, as it is typed.
#[derive(Debug, serde::Deserialize)]
pub struct ShareForm {
    /// As typed.
    pub(super) role: String,
    /// As typed.
    #[serde(rename = "where")]
    pub(super) place: String,
    /// As typed.
    #[serde(default)]
    pub(super) namespaces: String,
    /// As typed.
    pub(super) lasts: String,
    /// As typed.
    pub(super) expires: String,
}

impl Default for ShareForm {
    fn default() -> Self {
        Self {
            role: Role::View.as_str().into(),
            place: scope::WHOLE.into(),
            namespaces: String::new(),
            lasts: "90d".into(),
            expires: "7d".into(),
        }
    }
}

impl ShareForm {
    pub(super) fn roles(&self) -> Vec<Choice> {
        [("none", "no role")]
            .into_iter()
            .chain(Role::ALL.map(|r| (r.as_str(), r.as_str())))
            .map(|(value, label)| Choice { value, label, selected: self.role == value })
            .collect()
    }

    pub(super) fn wheres(&self) -> Vec<Choice> {
        scope::choices(&self.place)
    }

    pub(super) fn lasts_options(&self) -> Vec<Choice> {
        span_choices(&self.lasts, true)
    }

    pub(super) fn expires_options(&self) -> Vec<Choice> {
        span_choices(&self.expires, false)
    }

    pub(super) fn read(&self, now: Timestamp, errors: &mut FieldErrors) -> Option<ShareRequest> {
        let role = match self.role.as_str() {
            "none" => Some(None),
            word => errors.keep("role", word.parse::<Role>()).map(Some),
        };
        let namespaces = scope::read(&self.place, &self.namespaces, errors);
        let lasts = errors.keep("lasts", parse_span(&self.lasts, true).ok_or("Choose how long the access lasts."));
        let expires = parse_span(&self.expires, false).flatten();
        let expires = errors.keep("expires", expires.ok_or("Choose until when the link can be accepted."));
        Some(ShareRequest {
            role: role?,
            namespaces: namespaces?,
            access_lasts: lasts?,
            expires_at: now.plus(expires?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_begins_with_view_for_90_days_by_a_link_of_7() {
        let now = Timestamp::from_secs(0);
        let mut errors = FieldErrors::default();
        let request = ShareForm::default().read(now, &mut errors).unwrap();
        assert!(errors.is_empty());
        assert_eq!(request.role, Some(Role::View));
        assert_eq!(request.access_lasts.map(|d| d.as_secs()), Some(90 * 86_400));
        assert_eq!(request.expires_at, Timestamp::from_secs(7 * 86_400));
    }

    #[test]
    fn a_link_never_lives_for_ever_and_errors_are_named_by_field() {
        let mut errors = FieldErrors::default();
        let form = ShareForm { role: "root".into(), expires: "never".into(), ..ShareForm::default() };
        assert!(form.read(Timestamp::from_secs(0), &mut errors).is_none());
        assert!(errors.get("role").is_some() && errors.get("expires").is_some());
    }
}
