//! The testbed does what Kubelend's tests rely on. One binary: its tests share the servers.
#![allow(clippy::print_stdout, reason = "how long servers took to start is worth a line")]

mod browser;
mod faults;
mod orphans;
mod servers;
