//! `/account/sessions`: where somebody is signed in, and signing out there.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};

use super::sign_out::Empty;
use crate::{
    access::SignIns,
    clock::Clock,
    model::{session::SessionInfo, time::Timestamp},
    policy,
    store::Store,
    web::{
        WebSettings,
        errors::PageError,
        forms::ProtectedForm,
        frame::{Frame, Nav, render},
        labels::length,
        paths,
        session::{Sessions, SignedIn},
        when::When,
    },
};

#[derive(Template)]
#[template(path = "pages/sessions.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    others: bool,
    end_others: &'static str,
    idle: String,
    absolute: String,
}

struct Row {
    browser: String,
    current: bool,
    made: When,
    seen: When,
    from: String,
    ends: When,
    end: String,
}

/// The list.
pub async fn get(
    State(store): State<Store>,
    State(clock): State<Clock>,
    State(settings): State<Arc<WebSettings>>,
    sessions: Sessions,
    who: SignedIn,
) -> Result<Response, PageError> {
    let now = clock.now();
    let current = sessions.name().map(|name| name.to_hex());
    let all = store.sessions_of(who.person.identity().id, now).await?;
    let rows: Vec<Row> = all.into_iter().map(|session| row(session, current.as_deref(), now)).collect();
    Ok(render(&Page {
        frame: Frame::new(&who, Nav::Devices),
        others: rows.iter().any(|row| !row.current),
        rows,
        end_others: paths::END_OTHER_SESSIONS,
        idle: length(settings.session_idle),
        absolute: length(settings.session_absolute),
    }))
}

/// Ends one.
pub async fn end(
    State(sign_ins): State<SignIns>,
    who: SignedIn,
    Path(session): Path<String>,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    sign_ins.end_session(&policy::own_things(&who.person), &session).await?;
    Ok(Redirect::to(paths::SESSIONS).into_response())
}

/// Ends all but this one.
pub async fn end_others(
    State(sign_ins): State<SignIns>,
    sessions: Sessions,
    who: SignedIn,
    ProtectedForm(Empty {}): ProtectedForm<Empty>,
) -> Result<Response, PageError> {
    let current = sessions.name().ok_or_else(|| PageError::internal("a session without an id"))?;
    sign_ins.end_other_sessions(&policy::own_things(&who.person), &current).await?;
    Ok(Redirect::to(paths::SESSIONS).into_response())
}

fn row(session: SessionInfo, current: Option<&str>, now: Timestamp) -> Row {
    Row {
        current: current == Some(&*session.name),
        end: paths::end_session(&session.name),
        browser: if session.browser.is_empty() { "a browser".into() } else { session.browser },
        made: When::new(session.made_at, now),
        seen: When::new(session.seen_at, now),
        from: session.from,
        ends: When::new(session.expires_at, now),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::web::pages::samples::{HOSTILE, NOW, frame};

    pub(in crate::web) fn samples() -> Vec<(&'static str, String)> {
        let session = |n: u32| SessionInfo {
            name: format!("{n:064x}"),
            browser: if n == 1 { HOSTILE.into() } else { "Firefox on Linux".into() },
            from: "2001:db8:85a3:8d3:1319:8a2e:370:7348".into(),
            made_at: NOW.minus(Duration::from_hours(u64::from(n))),
            seen_at: NOW.minus(Duration::from_mins(u64::from(n))),
            expires_at: NOW.plus(Duration::from_hours(8)),
        };
        let draw = |count| {
            let current = session(0).name;
            let rows: Vec<Row> = (0..count).map(|n| row(session(n), Some(&current), NOW)).collect();
            Page {
                frame: frame(),
                others: count > 1,
                rows,
                end_others: paths::END_OTHER_SESSIONS,
                idle: "8 hours".into(),
                absolute: "24 hours".into(),
            }
            .render()
            .unwrap()
        };
        vec![("sessions", draw(3)), ("sessions-one", draw(1)), ("sessions-full", draw(50))]
    }
}
