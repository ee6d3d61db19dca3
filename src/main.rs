//! The program: everything it does is in the library, and this hands over to its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubelend::cli::main()
}
