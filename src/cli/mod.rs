//! The command tree. One file for each command that does something; each `--help` shows an example. What a command found goes
//! to standard output, what went wrong to standard error together with the next step, and the exit code says which it was.

mod apply;
mod check;
mod export;
mod health;
mod keys;
mod serve;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, ConfigError, Settings};

/// Lend a Kubernetes cluster, keep the keys.
#[derive(Debug, Parser)]
#[command(name = "kubelend", version, after_help = "Example:\n  kubelend serve --config /etc/kubelend/kubelend.toml")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the pages until SIGTERM or Ctrl-C.
    #[command(after_help = "Example:\n  kubelend serve --config /etc/kubelend/kubelend.toml --listen 127.0.0.1:8080")]
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Listen here, whatever the configuration says.
        #[arg(long, value_name = "IP:PORT")]
        listen: Option<SocketAddr>,
    },
    /// Read the configuration, open key ring and database, ask the providers, and say what is wrong.
    #[command(
        after_help = "Opening the database brings it up to date, as the start does.\n\nExample:\n  kubelend check --config /etc/kubelend/kubelend.toml -o json"
    )]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// The form of the answer.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Ask the Kubelend that runs with this configuration whether it is ready (exit code 0) or not (1).
    #[command(
        after_help = "For health checks inside a container. From outside, ask /readyz.\n\nExample:\n  kubelend health --config /etc/kubelend/kubelend.toml"
    )]
    Health {
        #[command(flatten)]
        config: ConfigFile,
        /// It listens here, whatever the configuration says.
        #[arg(long, value_name = "IP:PORT")]
        listen: Option<SocketAddr>,
    },
    /// Decide about the key ring.
    #[command(after_help = "Example:\n  kubelend keys accept --config /etc/kubelend/kubelend.toml")]
    Keys {
        #[command(subcommand)]
        command: Keys,
    },
    /// Make workspaces, members, projects and grants as a file says; take back what the file once made and says no longer.
    #[command(
        after_help = "It works on the server's database, beside the server or while it is stopped; the server brings what was written to the \
                      clusters. Applying a file twice changes nothing. What people made by hand is left alone.\n\n\
                      Exit codes: 0 done, or nothing to do; 1 something is wrong, and with a wrong file nothing was written; \
                      2 (--dry-run) there is something to do.\n\n\
                      Example:\n  kubelend apply --config /etc/kubelend/kubelend.toml -f access.yaml --dry-run"
    )]
    Apply {
        #[command(flatten)]
        config: ConfigFile,
        /// What access there is to be (see docs/GUIDE.md); - for standard input.
        #[arg(id = "access_file", short = 'f', long = "file", value_name = "FILE")]
        file: PathBuf,
        /// Say what would be done, and write nothing.
        #[arg(long)]
        dry_run: bool,
        /// The form of the answer.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Print the access that there is as a file that `apply` takes; applied as it is it changes nothing.
    #[command(after_help = "Example:\n  kubelend export --config /etc/kubelend/kubelend.toml --workspace Payments")]
    Export {
        #[command(flatten)]
        config: ConfigFile,
        /// Only of this workspace: its name or its id.
        #[arg(short, long, value_name = "NAME")]
        workspace: Option<String>,
    },
    /// Say which version this is.
    #[command(after_help = "Example:\n  kubelend version")]
    Version,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Go on with the key ring that is there, after the one that sealed the database's secrets was lost for good.
    #[command(
        after_help = "What the lost keys sealed stays shut: clusters' credentials, share tokens, sessions. The ring is made where its file is missing.\n\nExample:\n  kubelend keys accept --config /etc/kubelend/kubelend.toml"
    )]
    Accept {
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration (see docs/kubelend.example.toml).
    #[arg(long = "config", env = "KUBELEND_CONFIG", value_name = "FILE")]
    file: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> Result<Settings, ConfigError> {
        Settings::load(&self.file, config::of_the_process())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // With standard output or error gone there is nobody left to tell.
            drop(error.print());
            // Not clap's own 2: that is what a dry run says that has found something to do.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    // Libraries that are not handed a TLS provider take the process's.
    crate::outbound::install_crypto();
    match cli.command {
        Command::Version => say(concat!("kubelend ", env!("CARGO_PKG_VERSION"))),
        Command::Serve { config, listen } => serve::run(&config, listen),
        Command::Health { config, listen } => health::run(&config, listen),
        Command::Check { config, output } => check::run(&config, output),
        Command::Keys { command: Keys::Accept { config } } => keys::accept(&config),
        Command::Export { config, workspace } => export::run(&config, workspace.as_deref()),
        Command::Apply { config, file, dry_run, output } => apply::run(&config, &file, dry_run, output),
    }
}

/// Writes what was found. A reader that went away (`| head`) is no mistake.
fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Writes what went wrong and what to do.
fn complain(text: impl std::fmt::Display) -> ExitCode {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(io::stderr().lock(), "{text}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example_that_parses() {
        let mut tree = Cli::command();
        let mut helps = vec![tree.render_help()];
        helps.extend(tree.get_subcommands_mut().filter(|c| c.get_name() != "help").map(clap::Command::render_help));
        for help in helps {
            let help = help.to_string();
            let example = help.split_once("Example:\n").unwrap_or_else(|| panic!("{help}")).1.trim();
            Cli::try_parse_from(example.split_whitespace()).unwrap_or_else(|e| panic!("{example}: {e}"));
        }
    }
}
