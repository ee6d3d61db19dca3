//! Small things that a browser keeps for us for a while, sealed, each in a cookie of its own: for strangers nothing has to be stored
//! that way, and two tabs do not fight over one.

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, CookieBuilder, SameSite};

/// The cookies of one kind that a browser holds.
pub(super) fn held<'a>(headers: &'a HeaderMap, prefix: &'a str) -> impl Iterator<Item = Cookie<'a>> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(Cookie::split_parse).filter_map(Result::ok).filter(move |cookie| cookie.name().starts_with(prefix))
}

/// One of ours: on this host alone, over https alone, away from scripts, and not on forms that other sites send.
pub(super) fn ours(name: String, value: String) -> CookieBuilder<'static> {
    Cookie::build((name, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax)
}

/// Has the browser keep it.
pub(super) fn set(out: &mut HeaderMap, cookie: Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        out.append(header::SET_COOKIE, value);
    }
}

/// Has the browser forget it.
pub(super) fn forget(out: &mut HeaderMap, name: String) {
    set(out, ours(name, String::new()).max_age(time::Duration::ZERO).build());
}
