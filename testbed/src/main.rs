//! The testbed as a program: builds what tests need, and runs the demo.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

mod demo;
mod deny;
mod orphans;

use std::{env, process::ExitCode};

use testbed::{Programs, system};

const USAGE: &str = "usage: testbed programs          build the programs that are missing
       testbed check-system      say which of the system's parts are missing
       testbed deny              check dependencies against deny.toml
       testbed demo [KUBELEND]   run the demo, with this binary";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["programs"] => Programs::get().map(drop),
        ["check-system"] => check_system(),
        ["deny"] => deny::run(),
        ["demo"] => demo::run(None),
        ["demo", kubelend] => demo::run(Some(kubelend.as_ref())),
        // For the test that nothing survives its parent.
        ["orphans", how] => orphans::run(how),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check_system() -> anyhow::Result<()> {
    let parts = [system::postgres_bin(), system::chromium(), system::chromedriver()];
    let missing: Vec<String> = parts.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if missing.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(missing.join("\n"))) }
}
