//! What a load balancer asks.

use axum::{Router, extract::State, http::StatusCode, routing::get};

use super::{Parts, paths};
use crate::store::Store;

/// Its routes.
pub fn router() -> Router<Parts> {
    Router::new().route(paths::HEALTHZ, get(async || "ok\n")).route(paths::READYZ, get(ready))
}

/// Ready while the database answers. A provider or a cluster that is down is no reason to take Kubelend away too.
async fn ready(State(store): State<Store>) -> (StatusCode, &'static str) {
    let bound = std::time::Duration::from_secs(2);
    match tokio::time::timeout(bound, store.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
        Err(_) => {
            tracing::error!("not ready: the database did not answer within {bound:?}");
            (StatusCode::SERVICE_UNAVAILABLE, "the database did not answer in time\n")
        }
    }
}
