//! Listening: plain HTTP behind a TLS proxy, or TLS with a certificate that is read again when its files change; metrics on a
//! listener of their own where one is set. A stop lets requests that have begun end.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use axum::{Router, http::header, routing::get};
use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;

use super::AppError;
use crate::{
    config::{Listen, TlsFiles},
    telemetry::Metrics,
};

/// How long requests that have begun may take to end after a stop.
const GRACE: Duration = Duration::from_secs(25);
/// How long somebody may take over sending a request's headers.
const HEADERS: Duration = Duration::from_secs(10);
/// Between two looks at the certificate's files.
const RELOAD: Duration = Duration::from_secs(5);

/// Serves until stopped.
pub(super) async fn run(
    listen: &Listen,
    router: Router,
    metrics: Router,
    stopped: watch::Receiver<bool>,
) -> Result<(), AppError> {
    let (router, apart) = match listen.metrics_address {
        Some(address) => (router, Some((bind(address)?, metrics))),
        None => (router.merge(metrics), None),
    };
    let listener = bind(listen.address)?;
    let tls = match &listen.tls {
        Some(files) => Some(certificate_of(files, stopped.clone()).await?),
        None => None,
    };
    tracing::info!(address = %listen.address, tls = tls.is_some(), "listening");
    let main = answer(listener, tls, router, stopped.clone());
    match apart {
        Some((listener, metrics)) => {
            let (main, apart) = tokio::join!(main, answer(listener, None, metrics, stopped));
            main.and(apart)
        }
        None => main.await,
    }
}

/// `/metrics`, in Prometheus' text format.
pub(super) fn metrics(counted: Metrics) -> Router {
    let text = move || async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], counted.render()) };
    Router::new().route("/metrics", get(text))
}

fn bind(address: SocketAddr) -> Result<TcpListener, AppError> {
    let listener = TcpListener::bind(address).map_err(|e| AppError::Listen(address, e))?;
    listener.set_nonblocking(true).map_err(|e| AppError::Listen(address, e))?;
    Ok(listener)
}

async fn answer(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), AppError> {
    let handle = Handle::new();
    let ending = handle.clone();
    tokio::spawn(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
        ending.graceful_shutdown(Some(GRACE));
    });
    // An answer of several TLS records must not wait for the browser to acknowledge the first (40 ms, where it does so late).
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = if let Some(tls) = tls {
        let server = axum_server::from_tcp_rustls(listener, tls).map_err(AppError::Serve)?.handle(handle);
        let mut server = server.map(|tls| tls.acceptor(NoDelayAcceptor));
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        server.serve(service).await
    } else {
        let server = axum_server::from_tcp(listener).map_err(AppError::Serve)?.handle(handle);
        let mut server = server.acceptor(NoDelayAcceptor);
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        server.serve(service).await
    };
    served.map_err(AppError::Serve)
}

async fn certificate_of(files: &TlsFiles, stopped: watch::Receiver<bool>) -> Result<RustlsConfig, AppError> {
    let tls = RustlsConfig::from_pem_file(&files.certificate, &files.key).await.map_err(AppError::Tls)?;
    tokio::spawn(reload(tls.clone(), files.certificate.clone(), files.key.clone(), stopped));
    Ok(tls)
}

/// Reads both files again when either has changed. A pair that does not fit (one half was written first) leaves the old one in
/// use, and is tried again.
async fn reload(tls: RustlsConfig, certificate: PathBuf, key: PathBuf, mut stopped: watch::Receiver<bool>) {
    let mut seen = changed_at(&certificate, &key);
    let mut ticks = tokio::time::interval(RELOAD);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = ticks.tick() => {}
        }
        let now = changed_at(&certificate, &key);
        if now == seen {
            continue;
        }
        match tls.reload_from_pem_file(&certificate, &key).await {
            Ok(()) => {
                seen = now;
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => {
                tracing::warn!(%error, "the changed TLS certificate cannot be used; the old one stays in use");
            }
        }
    }
}

fn changed_at(certificate: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [certificate, key].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}
