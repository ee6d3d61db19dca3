//! Logs, metrics and the request id that ties a page, a log line and an audit event together.
//!
//! The level that an operator sets is Kubelend's own. Libraries never say more than warnings, whatever it is: at finer
//! levels some of them write down headers and bodies that pass through them, and those hold tokens.

use std::{panic, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::{Instrument, Subscriber};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt};

tokio::task_local! {
    static REQUEST_ID: String;
}

/// What goes wrong when telemetry begins.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is no level.
    #[error("“{0}” is no log level: error, warn, info, debug or trace")]
    Level(String),
    /// Something else in this process logs or counts already.
    #[error("telemetry was begun twice: {0}")]
    Twice(String),
}

/// Runs something as part of a request: its log lines bear the id.
pub async fn with_request_id<T>(id: String, run: impl Future<Output = T>) -> T {
    let span = tracing::info_span!("request", request_id = %id);
    REQUEST_ID.scope(id, run).instrument(span).await
}

/// The id of the request that is being answered, if one is.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Begins to log to standard error, for people or (`json`) for collectors, and has panics logged like everything else.
///
/// # Errors
/// A level that is none; a second call.
pub fn log_to_stderr(json: bool, level: &str) -> Result<(), TelemetryError> {
    let filter = filter(level)?;
    let lines = lines(json, std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|e| TelemetryError::Twice(e.to_string()))?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let others = match level {
        "error" => "error",
        "warn" | "info" | "debug" | "trace" => "warn",
        _ => return Err(TelemetryError::Level(level.chars().take(40).collect())),
    };
    Ok(EnvFilter::new(format!("{others},kubelend={level}")))
}

fn lines<S, W>(json: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if json {
        layer.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed()
    }
}

/// Only where it happened and what was said: a panic's own text is written by us, while a backtrace is not.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("no text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "kubelend", %place, request_id = request_id(), "panicked: {said}");
}

/// The numbers of this process.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count.
    ///
    /// # Errors
    /// A second call.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = builder()?.install_recorder().map_err(|e| TelemetryError::Twice(e.to_string()))?;
        metrics::gauge!("kubelend_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(handle))
    }

    /// All of them as Prometheus' text (version 0.0.4).
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Tidies up until `stop` resolves: what nobody scrapes would pile up otherwise.
    pub async fn keep_small(self, stop: impl Future<Output = ()> + Send) {
        let tidy = async {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                self.0.run_upkeep();
            }
        };
        tokio::select! {
            () = stop => {}
            () = tidy => {}
        }
    }
}

/// Spans of time are histograms; a page waits at most 3 s.
fn builder() -> Result<PrometheusBuilder, TelemetryError> {
    const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0];
    PrometheusBuilder::new().set_buckets(&SECONDS).map_err(|e| TelemetryError::Twice(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn logging(json: bool, level: &str) -> (Written, tracing::subscriber::DefaultGuard) {
        let written = Written::default();
        let to = written.clone();
        let lines = lines(json, move || to.clone()).with_filter(filter(level).unwrap());
        (written, tracing::subscriber::set_default(tracing_subscriber::registry().with(lines)))
    }

    #[tokio::test]
    async fn a_log_line_bears_its_request() {
        let (written, _guard) = logging(true, "info");
        let seen = with_request_id("r-1".into(), async {
            tracing::info!(target: "kubelend::x", cluster = "staging", "accepted");
            request_id()
        })
        .await;
        assert_eq!(seen.as_deref(), Some("r-1"));
        assert_eq!(request_id(), None);
        let line: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
        assert_eq!(line["message"], "accepted");
        assert_eq!(line["cluster"], "staging");
        assert_eq!(line["span"]["request_id"], "r-1");
    }

    #[test]
    fn immune_21_libraries_say_no_more_than_warnings_at_every_level() {
        for level in ["error", "warn", "info", "debug", "trace"] {
            let (written, _guard) = logging(false, level);
            tracing::info!(target: "hyper::proto", "authorization: hidden");
            tracing::debug!(target: "sqlx::query", "hidden");
            tracing::trace!(target: "kube_client", "hidden");
            tracing::error!(target: "kubelend::web", "seen");
            assert!(!written.text().contains("hidden"), "{level}: {}", written.text());
            assert!(written.text().contains("seen"), "{level}");
        }
        assert!(filter("hyper=trace").is_err());
        assert!(filter("").is_err());
    }

    #[test]
    fn the_level_is_kubelends_own() {
        let (written, _guard) = logging(false, "debug");
        tracing::debug!(target: "kubelend::web", "fine");
        tracing::trace!(target: "kubelend::web", "finest");
        assert!(written.text().contains("fine") && !written.text().contains("finest"), "{}", written.text());
    }

    #[test]
    fn metrics_render_as_prometheus_text() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("kubelend_sign_ins_total").increment(2);
            metrics::histogram!("kubelend_page_seconds", "route" => "/s/{token}").record(0.004);
        });
        let text = recorder.handle().render();
        assert!(text.contains("kubelend_sign_ins_total 2"), "{text}");
        assert!(text.contains("kubelend_page_seconds_bucket{route=\"/s/{token}\",le=\"0.005\"} 1"), "{text}");
    }
}
