//! How a connection to an API server is opened: by TCP here, through an agent's tunnel elsewhere.

use std::{io, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use futures_util::future;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::outbound::AddressRules;

/// How long one address has before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// A name with more addresses than this is dialled at the first ones only.
const MAX_ADDRESSES: usize = 8;

/// A connection, before TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections.
#[async_trait]
pub trait Dialer: Send + Sync + std::fmt::Debug {
    /// Opens one to a host and port.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>>;
}

/// Dials by TCP, by the address rules.
#[derive(Clone, Copy, Debug)]
pub struct DirectDialer {
    rules: AddressRules,
}

impl DirectDialer {
    /// One that keeps to these rules.
    pub fn new(rules: AddressRules) -> Self {
        Self { rules }
    }
}

#[async_trait]
impl Dialer for DirectDialer {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let addresses = self.rules.resolve(host, port).await.map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => e,
            _ => io::Error::new(io::ErrorKind::NotFound, format!("the name does not resolve ({e})")),
        })?;
        // What was checked is what is dialled: the name is not asked for again.
        let attempts = addresses.into_iter().take(MAX_ADDRESSES).zip(0u32..).map(|(a, n)| Box::pin(attempt(a, n)));
        let (stream, _) = future::select_ok(attempts).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

async fn attempt(address: SocketAddr, turn: u32) -> io::Result<TcpStream> {
    // A timer takes a millisecond even for no time at all.
    if turn > 0 {
        tokio::time::sleep(HEAD_START * turn).await;
    }
    TcpStream::connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn immune_10_internal_addresses_are_refused_at_each_connect_however_they_are_spelled() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let strict = DirectDialer::new(AddressRules::default());
        for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "[::1]", "0.0.0.0", "169.254.169.254"] {
            let Err(error) = strict.dial(host, port).await else { panic!("{host} was dialled") };
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{host}: {error}");
        }
        let open = DirectDialer::new(AddressRules { allow_loopback: true });
        assert!(open.dial("127.0.0.1", port).await.is_ok());
        let error = open.dial("169.254.169.254", port).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_said_to_be_one() {
        let error = DirectDialer::new(AddressRules::default()).dial("nothing.invalid", 443).await.err().unwrap();
        assert!(error.to_string().starts_with("the name does not resolve"), "{error}");
    }
}
