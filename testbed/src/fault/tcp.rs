//! A TCP proxy with a switch.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

use crate::ports::Port;

/// What happens to connections, those that are open included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// They are closed at once.
    Refuse,
    /// They are accepted, and nothing ever comes back.
    BlackHole,
    /// Everything arrives this much later, in each direction.
    Latency(Duration),
}

/// A proxy on a port of its own in front of a server.
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    fault: watch::Sender<Fault>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts one that passes everything to `upstream`, which need not listen yet.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let port = Port::free()?;
        let listener = super::listen(&port)?;
        let (fault, state) = watch::channel(Fault::Pass);
        let task = super::spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream, state.clone()));
            }
        })?;
        Ok(Self { port, fault, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Changes what happens, from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, upstream: SocketAddr, mut fault: watch::Receiver<Fault>) {
    let now = *fault.borrow_and_update();
    if now == Fault::Refuse {
        return;
    }
    let pass = fault.clone();
    let work = async move {
        if now == Fault::BlackHole {
            std::future::pending::<()>().await;
        }
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(pump(from_client, to_server, pass.clone()), pump(from_server, to_client, pass));
    };
    // A connection that saw a black hole has lost bytes: it ends with the fault.
    let cut = fault.wait_for(|later| match now {
        Fault::BlackHole => *later != Fault::BlackHole,
        _ => *later == Fault::Refuse,
    });
    tokio::select! {
        () = work => {}
        _ = cut => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut fault: watch::Receiver<Fault>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let now = *fault.borrow();
        if let Fault::Latency(latency) = now {
            sleep(latency).await;
        }
        if fault.wait_for(|fault| *fault != Fault::BlackHole).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    drop(to.shutdown().await);
}
