//! The testbed does what all these tests rely on. That nothing it starts outlives it is tried beside it, in `testbed/tests`.
//!
//! Tests begin in the order of their names: these start servers of their own, and at the very end nothing would be left to do meanwhile.
#![allow(clippy::print_stdout, reason = "how long servers took to start is worth a line")]

mod browser;
mod faults;
mod servers;
