//! `kubelend serve`.

use std::{net::SocketAddr, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, complain, keys};
use crate::{
    app::{self, AppError},
    config::{LogFormat, Settings},
    telemetry,
};

/// Serves until the process is told to stop.
pub(super) fn run(config: &ConfigFile, listen: Option<SocketAddr>) -> ExitCode {
    let mut settings = match config.load() {
        Ok(settings) => settings,
        Err(error) => return complain(error),
    };
    if let Some(address) = listen {
        settings.listen.address = address;
    }
    if let Err(error) = telemetry::log_to_stderr(settings.log.format == LogFormat::Json, &settings.log.level) {
        return complain(error);
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(settings, config)),
        Err(error) => complain(format!("no threads can be started: {error}")),
    }
}

async fn serve(settings: Settings, config: &ConfigFile) -> ExitCode {
    let (mut term, mut int) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(term), Ok(int)) => (term, int),
        (Err(error), _) | (_, Err(error)) => return complain(format!("signals cannot be heard: {error}")),
    };
    let stop = async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping: requests that are under way are finished");
    };
    // Boxed: with all that it holds it is too large for the stack of whoever waits.
    match Box::pin(app::serve(settings, stop)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(AppError::OtherKeys(other)) => {
            complain(format!("kubelend does not start: {other}\n  → {}", keys::next(config, &other)))
        }
        Err(error) => {
            complain(format!("kubelend: {error}\n  → kubelend check --config {} says more", config.file.display()))
        }
    }
}
