//! `/workspaces/{workspace}/invitations`: links by which people join it: make one, copy it again, take it back.

use std::num::NonZeroU32;

use askama::Template;
use axum::{
    extract::{FromRef, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    member_form::{provider_choices, roles},
    share_form::read_uses,
    workspace::{AtWorkspace, Head, Tab},
};
use crate::{
    access::{AccessError, InvitationRequest, Invitations},
    model::{
        audience::Audience, group::Group, id::InvitationId, invitation::Invitation, provider::ProviderId,
        share_link::LinkState, time::Timestamp, workspace::MemberRole,
    },
    oidc::Providers,
    store::Store,
    web::{
        Parts, WebSettings,
        errors::PageError,
        forms::{Choice, FieldErrors, ProtectedForm, parse_span, span_choices},
        frame::{Frame, render_with},
        paths,
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/invitations.html")]
struct InvitationsPage {
    frame: Frame,
    head: Head,
    here: String,
    open: bool,
    shown: Option<Shown>,
    form: InvitationForm,
    errors: FieldErrors,
    providers: Vec<Choice>,
    rows: Vec<Row>,
}

/// One whose address is to be copied.
struct Shown {
    words: String,
    url: Option<String>,
}

struct Row {
    id: InvitationId,
    whom: String,
    role: &'static str,
    accepted: String,
    until: When,
    state: &'static str,
    living: bool,
}

/// The forms, as they are typed; `revoke` in place of all that takes one back.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub struct InvitationForm {
    only_for: String,
    provider: String,
    role: String,
    expires: String,
    uses: String,
    revoke: Option<InvitationId>,
}

impl Default for InvitationForm {
    fn default() -> Self {
        Self {
            only_for: String::new(),
            provider: String::new(),
            role: MemberRole::Viewer.as_str().into(),
            expires: "7d".into(),
            uses: String::new(),
            revoke: None,
        }
    }
}

/// Which one is to be shown with its address.
#[derive(Debug, serde::Deserialize)]
pub struct Looking {
    show: Option<InvitationId>,
}

/// What the page is made with.
#[derive(Clone, Debug)]
pub struct Desk {
    invitations: Invitations,
    store: Store,
    providers: Providers,
    settings: std::sync::Arc<WebSettings>,
}

impl FromRef<Parts> for Desk {
    fn from_ref(parts: &Parts) -> Self {
        Self {
            invitations: parts.invitations.clone(),
            store: parts.store.clone(),
            providers: parts.providers.clone(),
            settings: parts.settings.clone(),
        }
    }
}

/// The page.
pub async fn get(
    at: AtWorkspace,
    Query(looking): Query<Looking>,
    State(desk): State<Desk>,
) -> Result<Response, PageError> {
    desk.page(&at, looking.show, InvitationForm::default(), FieldErrors::default()).await
}

/// Makes one, or takes one back.
pub async fn post(
    at: AtWorkspace,
    State(desk): State<Desk>,
    ProtectedForm(form): ProtectedForm<InvitationForm>,
) -> Result<Response, PageError> {
    let permit = at.manage_members()?;
    let here = paths::invitations(at.id());
    if let Some(id) = form.revoke {
        desk.invitations.revoke(&permit, id).await?;
        return Ok(Redirect::to(&here).into_response());
    }
    let mut errors = FieldErrors::default();
    let known: Vec<ProviderId> = desk.providers.around(Some(at.id())).iter().map(|p| p.settings().id.clone()).collect();
    let groups = desk.store.groups_usable_in(Some(at.id())).await?;
    if let Some(request) = form.read((&known, &groups), &mut errors) {
        match desk.invitations.invite(&permit, request).await {
            Ok(id) => return Ok(Redirect::to(&format!("{here}?show={id}")).into_response()),
            Err(AccessError::Invalid { message, .. }) => errors.add("only_for", message),
            Err(other) => return Err(other.into()),
        }
    }
    desk.page(&at, None, form, errors).await
}

impl Desk {
    async fn page(
        &self,
        at: &AtWorkspace,
        show: Option<InvitationId>,
        form: InvitationForm,
        errors: FieldErrors,
    ) -> Result<Response, PageError> {
        let permit = at.manage_members()?;
        let shown = match show {
            Some(id) => {
                let (invitation, token) = self.invitations.look(&permit, id).await?;
                let address = |path: String| self.settings.public_url.join(&path).ok().map(String::from);
                let url = token.and_then(|token| address(paths::landing(token.expose())));
                Some(Shown { words: words(&invitation), url })
            }
            None => None,
        };
        let all = self.store.invitations(at.id()).await?;
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = InvitationsPage {
            frame: at.frame(),
            head: at.head(Tab::Invitations),
            here: paths::invitations(at.id()),
            open: at.workspace().removing.is_none(),
            shown,
            providers: provider_choices(&self.providers, Some(at.id()), &form.provider),
            rows: all.iter().map(|invitation| row(invitation, at.now)).collect(),
            form,
            errors,
        };
        Ok(render_with(status, &page))
    }
}

impl InvitationForm {
    fn roles(&self) -> Vec<Choice> {
        roles(&self.role)
    }

    fn expires_options(&self) -> Vec<Choice> {
        span_choices(&self.expires, false)
    }

    fn read(&self, known: (&[ProviderId], &[Group]), errors: &mut FieldErrors) -> Option<InvitationRequest> {
        let audience = self.audience(known, errors);
        let role = errors.keep("role", MemberRole::parse(&self.role).ok_or("Choose what they may do."));
        let span = parse_span(&self.expires, false).flatten();
        let open_for = errors.keep("expires", span.ok_or("Choose until when the link can be accepted."));
        let max_uses: Option<Option<NonZeroU32>> = errors.keep("uses", read_uses(&self.uses));
        Some(InvitationRequest { role: role?, audience: audience?, open_for: open_for?, max_uses: max_uses? })
    }

    fn audience(&self, (known, groups): (&[ProviderId], &[Group]), errors: &mut FieldErrors) -> Option<Audience> {
        let guests = errors.keep("only_for", Audience::parse_guests_of(&self.only_for, groups))?;
        if guests.is_empty() {
            return Some(Audience::Anyone);
        }
        let provider = match known {
            [only] => Some(only),
            several => several.iter().find(|id| id.as_str() == self.provider),
        };
        let provider = errors.keep("provider", provider.cloned().ok_or("Choose where they sign in."))?;
        Some(Audience::Listed(provider, guests))
    }
}

fn words(invitation: &Invitation) -> String {
    format!("For {}, to join as {}.", invitation.audience.in_words(), invitation.role.as_str())
}

/// Whom it is for, cut where they are many.
fn whom(audience: &Audience) -> String {
    const SHOWN: usize = 3;
    let more = audience.guests().len().saturating_sub(SHOWN);
    if more == 0 {
        return audience.in_words();
    }
    let shown: Vec<String> = audience.guests().iter().take(SHOWN).map(ToString::to_string).collect();
    format!("{} and {more} more", shown.join(", "))
}

fn row(invitation: &Invitation, now: Timestamp) -> Row {
    let state = invitation.state(now);
    Row {
        id: invitation.id,
        whom: whom(&invitation.audience),
        role: invitation.role.as_str(),
        accepted: match invitation.max_uses {
            Some(most) => format!("{} of {most}", invitation.uses),
            None => invitation.uses.to_string(),
        },
        until: When::new(invitation.expires_at, now),
        state: match state {
            LinkState::Open | LinkState::Paused => "open",
            LinkState::UsedUp => "used up",
            LinkState::Expired => "expired",
            LinkState::Revoked => "revoked",
        },
        living: state == LinkState::Open,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        model::id::{IdentityId, WorkspaceId},
        web::pages::{
            samples::{HOSTILE, NOW, frame},
            workspace::tests::{head, workspace},
        },
    };

    fn invitation(n: u32) -> Invitation {
        let many: Vec<String> = (0..90).map(|n| format!("person{n}@example.com")).collect();
        let guests = Audience::parse_guests(&many.join(" ")).unwrap();
        Invitation {
            id: InvitationId::new(),
            workspace: WorkspaceId::new(),
            role: MemberRole::Editor,
            audience: Audience::Listed("dex".parse().unwrap(), guests),
            expires_at: NOW.plus(std::time::Duration::from_hours(24)),
            max_uses: NonZeroU32::new(n),
            created_by: IdentityId::new(),
            created_at: NOW,
            revoked_at: (n == 2).then_some(NOW),
            uses: 1,
        }
    }

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let draw = |shown, form, errors, rows: Vec<Row>| {
            InvitationsPage {
                frame: frame(),
                head: head(&workspace(HOSTILE), Tab::Invitations),
                here: "/i".into(),
                open: true,
                shown,
                form,
                errors,
                providers: vec![Choice::new("dex", "Dex", ""), Choice::new("corp", HOSTILE, "")],
                rows,
            }
            .render()
            .unwrap()
        };
        let rows = || (0..40).map(|n| row(&invitation(n), NOW)).collect();
        let shown = Shown { words: words(&invitation(0)), url: Some("https://lend.example/s/klsl_x".into()) };
        let mut errors = FieldErrors::default();
        for field in ["only_for", "provider", "role", "expires", "uses"] {
            errors.add(field, HOSTILE);
        }
        let wrong = InvitationForm { only_for: HOSTILE.into(), uses: HOSTILE.into(), ..InvitationForm::default() };
        vec![
            ("invitations", draw(Some(shown), InvitationForm::default(), FieldErrors::default(), rows())),
            ("invitations-empty", draw(None, InvitationForm::default(), FieldErrors::default(), vec![])),
            ("invitations-wrong", draw(None, wrong, errors, rows())),
        ]
    }

    #[test]
    fn a_form_begins_with_a_viewer_for_a_week_and_names_what_is_wrong() {
        let dex: Vec<ProviderId> = vec!["dex".parse().unwrap()];
        let mut errors = FieldErrors::default();
        let request = InvitationForm::default().read((&dex, &[]), &mut errors).unwrap();
        assert_eq!((request.role, request.audience, request.max_uses), (MemberRole::Viewer, Audience::Anyone, None));
        assert_eq!(request.open_for.as_secs(), 7 * 86_400);
        let form = InvitationForm {
            only_for: "a@b@c.com".into(),
            role: "root".into(),
            expires: "never".into(),
            uses: "0".into(),
            ..InvitationForm::default()
        };
        assert!(form.read((&dex, &[]), &mut errors).is_none());
        assert_eq!(
            errors.0.iter().map(|(field, _)| *field).collect::<Vec<_>>(),
            ["only_for", "role", "expires", "uses"]
        );
    }

    #[test]
    fn a_row_says_how_far_it_is_used() {
        assert_eq!(row(&invitation(5), NOW).accepted, "1 of 5");
        assert_eq!((row(&invitation(1), NOW).state, row(&invitation(2), NOW).state), ("used up", "revoked"));
        assert!(row(&invitation(0), NOW).living);
    }
}
