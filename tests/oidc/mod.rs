//! Signing in at a real Dex: what works, what is refused, and what a Dex that is down, slow or odd does to it.

mod bed;
mod refresh;
mod sign_in;
mod trouble;
mod trust;
