//! `kubelend export`: the access that there is, as a file.

use std::process::ExitCode;

use super::{ConfigFile, complain, keys, say};
use crate::app::{self, AppError, ApplyError};

/// Prints the file of everything, or of one workspace by its name or id.
pub(super) fn run(config: &ConfigFile, workspace: Option<&str>) -> ExitCode {
    let settings = match config.load() {
        Ok(settings) => settings,
        Err(error) => return complain(error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(format!("no runtime can be started: {error}")),
    };
    match runtime.block_on(app::export(&settings, workspace)) {
        Ok(Some(text)) => say(text.trim_end()),
        Ok(None) => complain(
            "kubelend: there is no one workspace of this name\n  → name it by the id in the address of its page",
        ),
        Err(ApplyError::App(AppError::OtherKeys(other))) => {
            complain(format!("kubelend: {other}\n  → {}", keys::next(config, &other)))
        }
        Err(error) => {
            complain(format!("kubelend: {error}\n  → kubelend check --config {} says more", config.file.display()))
        }
    }
}
