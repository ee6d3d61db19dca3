//! `kubelend keys`: what an operator decides about the key ring.

use std::process::ExitCode;

use super::{ConfigFile, complain, say};
use crate::app::{self, OtherKeys};

/// What to do about a key ring that does not go with the database.
pub(super) fn next(config: &ConfigFile, other: &OtherKeys) -> String {
    format!(
        "put the file that holds {} back from your backup; all replicas need the same one\n  \
         → lost for good? Then: kubelend keys accept --config {}\n    \
         What they sealed stays shut: paste each cluster's credential anew, make links anew where their owners need to \
         copy them, and everybody signs in again. Access that was given stays",
        other.missing.join(", "),
        config.file.display(),
    )
}

/// Accepts the ring that is there.
pub(super) fn accept(config: &ConfigFile) -> ExitCode {
    let settings = match config.load() {
        Ok(settings) => settings,
        Err(error) => return complain(error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(format!("no runtime can be started: {error}")),
    };
    let ring = settings.keyring_file.display();
    match runtime.block_on(app::accept_keys(&settings)) {
        Ok(given_up) if given_up.is_empty() => say(&format!("{ring} goes with this database; nothing was changed.")),
        Ok(given_up) => say(&format!(
            "{ring} goes with this database from now on. What {} sealed stays shut: paste each cluster's credential anew on \
             its Credentials page, make links anew where their owners need to copy them; everybody signs in again.",
            given_up.join(", ")
        )),
        Err(error) => {
            complain(format!("kubelend: {error}\n  → kubelend check --config {} says more", config.file.display()))
        }
    }
}
