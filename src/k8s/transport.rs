//! Carries requests to one API server: TCP by the dialer, TLS by the endpoint's CA, HTTP/1.1 on top.
//!
//! A connection that has answered is kept for the next request of the same client, never for another client: two
//! credentials do not meet on one connection. Answers are bounded, since the server at the other end may be anybody's.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Method, Request, Response, StatusCode, header::DATE};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Dialer, K8sError, tls};

/// The largest answer that is read.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The largest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
/// Connections that one client keeps while it asks nothing.
const MAX_IDLE: usize = 4;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// `Date` (RFC 9110 section 6.6.1), as it came.
    pub(super) date: Option<String>,
    pub(super) body: Bytes,
}

/// The way to one API server.
pub(super) struct Transport {
    pub(super) dialer: Arc<dyn Dialer>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) name: ServerName<'static>,
    pub(super) tls: TlsConnector,
    pub(super) own_ca: bool,
    /// How long TCP and TLS may take together.
    pub(super) connect_bound: Duration,
    pub(super) idle: Mutex<Vec<Sender>>,
}

/// A connection that takes requests.
pub(super) type Sender = SendRequest<Full<Bytes>>;

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Transport {
    /// Opens a connection and keeps it for the next request.
    pub(super) async fn reach(&self) -> Result<(), K8sError> {
        let sender = self.connect().await?;
        self.keep(sender);
        Ok(())
    }

    /// Sends one request and reads the whole answer.
    pub(super) async fn exchange(&self, request: &Request<Bytes>) -> Result<Answer, K8sError> {
        let (response, sender) = self.send(request).await?;
        let status = response.status();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let body = self.read(response).await?;
        self.keep(sender);
        Ok(Answer { status, date, body })
    }

    async fn send(&self, request: &Request<Bytes>) -> Result<(Response<Incoming>, Sender), K8sError> {
        while let Some(mut sender) = self.take_idle() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(whole(request)).await {
                Ok(response) => return Ok((response, sender)),
                // The server may have closed it while it lay idle. What was not sent, or only reads, is safe to send again.
                Err(e) if e.message().is_some() || request.method() == Method::GET => {}
                Err(e) => return Err(self.broken(e.error())),
            }
        }
        let mut sender = self.connect().await?;
        match sender.send_request(whole(request)).await {
            Ok(response) => Ok((response, sender)),
            Err(e) => Err(self.broken(&e)),
        }
    }

    async fn connect(&self) -> Result<Sender, K8sError> {
        timeout(self.connect_bound, self.connect_unbounded()).await.map_err(|_| K8sError::TimedOut)?
    }

    async fn connect_unbounded(&self) -> Result<Sender, K8sError> {
        let stream = self.dialer.dial(&self.host, self.port).await.map_err(|e| self.unreachable(&e))?;
        let stream = self
            .tls
            .connect(self.name.clone(), stream)
            .await
            .map_err(|e| tls::explain(&e, &self.place(), self.own_ca))?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.broken(&e))?;
        // Ends by itself once the sender is dropped; what goes wrong is told to whoever waits for an answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, K8sError> {
        match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(e) if e.is::<LengthLimitError>() => {
                Err(K8sError::Nonsense(format!("its answer is larger than {} MiB", MAX_ANSWER >> 20)))
            }
            Err(e) => Err(match e.downcast_ref::<hyper::Error>() {
                Some(e) => self.broken(e),
                None => K8sError::Unreachable(format!("{} broke off in the middle of its answer", self.place())),
            }),
        }
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }

    fn take_idle(&self) -> Option<Sender> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn unreachable(&self, error: &io::Error) -> K8sError {
        let place = self.place();
        K8sError::Unreachable(match error.kind() {
            io::ErrorKind::TimedOut => return K8sError::TimedOut,
            io::ErrorKind::ConnectionRefused => format!("{place} refuses the connection: nothing listens there"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                format!("{place} cannot be reached from here: there is no way to that address")
            }
            _ => format!("{place}: {error}"),
        })
    }

    /// What an error on an open connection means.
    fn broken(&self, error: &hyper::Error) -> K8sError {
        if let Some(error) = tls::tls_error(error) {
            return K8sError::Tls(tls::in_words(error, self.own_ca));
        }
        if error.is_parse() {
            return K8sError::Nonsense("it does not speak HTTP as API servers do".into());
        }
        K8sError::Unreachable(format!("{} closed the connection before it answered", self.place()))
    }
}

fn whole(request: &Request<Bytes>) -> Request<Full<Bytes>> {
    request.clone().map(Full::new)
}
