//! What people do in a real browser from its beginning to its end, with scripts and without.
//!
//! Apart from [`crate::browser`], whose walks take longest: tests begin in the order of their names, and these would wait for a
//! turn at a browser while the walks have them all, and keep others from running.

mod keyboard;
mod kubelogin;
mod main_job;
mod plain;
