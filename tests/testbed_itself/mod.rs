//! The testbed does what all these tests rely on. That nothing it starts outlives it is tried beside it, in `testbed/tests`.
#![allow(clippy::print_stdout, reason = "how long servers took to start is worth a line")]

mod browser;
mod faults;
mod servers;
