//! What every page has around its content, and how a page becomes an answer.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{assets, errors::PageError, session::SignedIn};

/// Which entry of the main navigation a page belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nav {
    /// None of them.
    #[default]
    Nowhere,
    /// “Clusters”.
    Clusters,
    /// “Shared with me”.
    Shared,
    /// “Workspaces”.
    Workspaces,
    /// “My devices”.
    Devices,
}

/// What `base.html` needs. Each page struct has one, in the field `frame`.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Address of the stylesheet.
    pub css: &'static str,
    /// Address of the script.
    pub js: &'static str,
    /// Address of the icon.
    pub icon: &'static str,
    /// What the signed-in person is called.
    pub person: Option<String>,
    /// For the forms on the page.
    pub csrf: String,
    /// The current entry of the navigation: `clusters`, `shared`, `workspaces`, `devices` or nothing.
    pub at: &'static str,
    /// Whether the person may add clusters.
    pub may_add_clusters: bool,
    /// A word about what was just done.
    pub notice: Option<String>,
}

impl Frame {
    /// For somebody who is signed in.
    pub fn new(who: &SignedIn, at: Nav) -> Self {
        Self {
            person: Some(who.person.identity().display().to_owned()),
            csrf: who.csrf.as_str().to_owned(),
            may_add_clusters: who.person.may_add_clusters(),
            ..Self::anonymous()
        }
        .at(at)
    }

    /// For somebody who is not.
    pub fn anonymous() -> Self {
        let urls = assets::urls();
        Self {
            css: &urls.css,
            js: &urls.js,
            icon: &urls.icon,
            person: None,
            csrf: String::new(),
            at: "",
            may_add_clusters: false,
            notice: None,
        }
    }

    /// With another current entry of the navigation.
    #[must_use]
    pub fn at(mut self, at: Nav) -> Self {
        self.at = match at {
            Nav::Nowhere => "",
            Nav::Clusters => "clusters",
            Nav::Shared => "shared",
            Nav::Workspaces => "workspaces",
            Nav::Devices => "devices",
        };
        self
    }

    /// With a word about what was just done.
    #[must_use]
    pub fn with_notice(mut self, notice: Option<String>) -> Self {
        self.notice = notice;
        self
    }
}

/// The frame of the request that is being answered, once it is known who asks: an error page uses it too.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameCell(Arc<OnceLock<Frame>>);

impl FrameCell {
    pub(super) fn fill(&self, frame: Frame) {
        // The first one stays; all of one request are the same.
        let _ = self.0.set(frame);
    }

    pub(super) fn frame(&self) -> Frame {
        self.0.get().cloned().unwrap_or_else(Frame::anonymous)
    }
}

/// Makes an answer of a page.
pub fn render(page: &impl Template) -> Response {
    render_with(StatusCode::OK, page)
}

/// The same with another status: a form that is shown again is 422.
pub fn render_with(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => PageError::internal(format!("a page cannot be drawn: {error}")).into_response(),
    }
}
