//! The stylesheets (one for all pages, and one for the matrix alone, so that no other page carries it), the script and the icon,
//! embedded in the binary. Their address holds a hash of their content, so browsers keep them for good. These alone are
//! compressed on the wire: pages hold secrets beside what others typed, and the length of a compressed page would tell about the
//! secrets (BREACH).

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::compression::CompressionLayer;

use super::paths;

const CSS: &str = include_str!("../../static/app.css");
const MATRIX_CSS: &str = include_str!("../../static/matrix.css");
const JS: &str = include_str!("../../static/app.js");
const ICON: &str = include_str!("../../static/icon.svg");

/// Addresses of the files.
#[derive(Debug)]
pub struct Urls {
    hash: String,
    /// The stylesheet's.
    pub css: String,
    /// What the matrix has besides.
    pub matrix_css: String,
    /// The script's.
    pub js: String,
    /// The icon's.
    pub icon: String,
}

/// Addresses of the files as this binary has them.
pub fn urls() -> &'static Urls {
    static URLS: LazyLock<Urls> = LazyLock::new(|| {
        let mut crc = crc32fast::Hasher::new();
        for text in [CSS, MATRIX_CSS, JS, ICON] {
            crc.update(text.as_bytes());
        }
        let hash = format!("{:08x}", crc.finalize());
        let url = |file| paths::asset(&hash, file);
        Urls { css: url("app.css"), matrix_css: url("matrix.css"), js: url("app.js"), icon: url("icon.svg"), hash }
    });
    &URLS
}

/// Their routes.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route(paths::pattern::STATIC, get(serve)).layer(CompressionLayer::new())
}

async fn serve(Path((hash, file)): Path<(String, String)>) -> Response {
    let (kind, text) = match file.as_str() {
        "app.css" => ("text/css; charset=utf-8", CSS),
        "matrix.css" => ("text/css; charset=utf-8", MATRIX_CSS),
        "app.js" => ("text/javascript; charset=utf-8", JS),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response(),
    };
    // While replicas are being replaced, one may be asked for the other's file: then it is not to be kept.
    let kept = if hash == urls().hash { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], text).into_response()
}
