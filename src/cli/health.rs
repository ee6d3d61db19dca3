//! `kubelend health`: whether the Kubelend that runs with this configuration is ready, for a container in which nothing else
//! could ask.

use std::{fs, net::SocketAddr, process::ExitCode};

use super::{ConfigFile, complain, say};
use crate::{config::Settings, outbound::ask_own_server, web::paths};

/// Asks `/readyz` where the configuration (or `listen`, as for `serve`) says that it listens.
pub(super) fn run(config: &ConfigFile, listen: Option<SocketAddr>) -> ExitCode {
    let settings = match config.load() {
        Ok(settings) => settings,
        Err(error) => return complain(error),
    };
    let address = listen.unwrap_or(settings.listen.address);
    let asked = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(ask(&settings, address)),
        Err(error) => Err(format!("no runtime can be started: {error}")),
    };
    match asked {
        Ok(said) => say(said.trim()),
        Err(why) => complain(format!("kubelend on {address} is not ready: {why}\n  → its log says more")),
    }
}

async fn ask(settings: &Settings, address: SocketAddr) -> Result<String, String> {
    let read = |file| fs::read(file).map_err(|e| format!("its certificate cannot be read: {e}"));
    let certificate = settings.listen.tls.as_ref().map(|files| read(&files.certificate)).transpose()?;
    let (status, said) = ask_own_server(address, certificate.as_deref(), paths::READYZ).await?;
    if status.is_success() { Ok(said) } else { Err(format!("{status}: {}", said.trim())) }
}
