//! Real servers behind something that fails on command.
//!
//! [`FaultProxy`] knows bytes only: a server that is down, silent or slow. [`HttpFault`] ends TLS and knows requests: it
//! holds one of them at the moment at which a test wants to pull the plug, can answer nonsense in the server's place, and cuts
//! the connection in place of an answer. [`StrictProvider`] is one that also takes a spent refresh token for a theft.

mod http;
mod rules;
mod strict;
mod tcp;

use std::{future::Future, sync::OnceLock};

pub use http::HttpFault;
pub use rules::{Hold, Moment};
pub use strict::StrictProvider;
pub use tcp::{Fault, FaultProxy};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// Runs the proxies apart from the tests' runtimes, so that one may outlive the test that started it.
fn spawn<F>(task: F) -> std::io::Result<JoinHandle<()>>
where
    F: Future<Output = ()> + Send + 'static,
{
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());
    match runtime {
        Ok(runtime) => Ok(runtime.spawn(task)),
        Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
    }
}

/// Listens on a port of ours, without waiting: the listener is handed to the other runtime.
fn listen(port: &crate::ports::Port) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(port.address())?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
