//! Carries requests to one API server: TCP by the dialer, TLS by the endpoint's CA, HTTP/1.1 on top.
//!
//! A connection that has answered is kept for the next request of the same client, never for another client: two
//! credentials do not meet on one connection. Answers are bounded, since the server at the other end may be anybody's.
//!
//! A kept connection may be dead without anybody having said so (a machine that lost its power, a gateway that forgot). What
//! only reads is asked again over a new one when the answer is late, and the first answer counts; what changes something is
//! sent once, over a new connection or one that answered a moment ago.

use std::{fmt, io, pin::pin, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header::DATE};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::{
    Dialer, K8sError,
    idle::{Connection, Idle},
    tls,
};

/// The largest answer that is read.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The largest head of an answer.
const MAX_HEAD: usize = 64 * 1024;

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
    pub(super) idle: Idle,
}

/// The head of an answer, and the connection that the rest of it comes by.
pub(super) type Answering = (Response<Incoming>, Connection);

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Transport {
    /// Opens a connection and keeps it for the next request. TCP and TLS together take at most half of `bound`.
    pub(super) async fn reach(&self, bound: Duration) -> Result<(), K8sError> {
        let connection = self.connect(bound / 2).await?;
        self.idle.keep(connection);
        Ok(())
    }

    /// Sends one request and reads the whole answer. Whoever calls waits no longer than `bound`: connecting takes at most half
    /// of it, and a kept connection is waited for by itself for a quarter.
    pub(super) async fn exchange(&self, request: &Request<Bytes>, bound: Duration) -> Result<Answer, K8sError> {
        let (response, connection) = self.send(request, bound).await?;
        let answer = self.whole_answer(response).await?;
        self.idle.keep(connection);
        Ok(answer)
    }

    /// Reads the rest of an answer.
    pub(super) async fn whole_answer(&self, response: Response<Incoming>) -> Result<Answer, K8sError> {
        let status = response.status();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok(Answer { status, date, body: self.read(response).await? })
    }

    async fn send(&self, request: &Request<Bytes>, bound: Duration) -> Result<Answering, K8sError> {
        let reads = request.method() == Method::GET;
        while let Some(kept) = self.idle.take(!reads) {
            let answer = self.over_kept(kept, request);
            let answer = if reads { self.or_anew(answer, request, bound).await? } else { answer.await? };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        self.over_new(request, bound).await
    }

    /// `None`: the server had closed it while it lay idle, and what was not sent, or only reads, is safe to send again.
    async fn over_kept(&self, mut kept: Connection, request: &Request<Bytes>) -> Result<Option<Answering>, K8sError> {
        if kept.sender.ready().await.is_err() {
            return Ok(None);
        }
        match kept.sender.try_send_request(whole(request)).await {
            Ok(response) => Ok(Some((response, kept))),
            Err(e) if e.message().is_some() || request.method() == Method::GET => Ok(None),
            Err(e) => Err(self.broken(e.error())),
        }
    }

    /// What comes over a kept connection or, when that is late, over a new one: whichever ends first.
    async fn or_anew(
        &self,
        over_kept: impl Future<Output = Result<Option<Answering>, K8sError>>,
        request: &Request<Bytes>,
        bound: Duration,
    ) -> Result<Option<Answering>, K8sError> {
        let over_new = async {
            sleep(bound / 4).await;
            self.over_new(request, bound).await
        };
        tokio::select! {
            biased;
            answer = pin!(over_kept) => answer,
            answer = pin!(over_new) => {
                // What else is kept has lain there for as long, and would be as late.
                self.idle.close();
                answer.map(Some)
            }
        }
    }

    /// Sends one request over a new connection.
    pub(super) async fn over_new(&self, request: &Request<Bytes>, bound: Duration) -> Result<Answering, K8sError> {
        let mut connection = self.connect(bound / 2).await?;
        match connection.sender.send_request(whole(request)).await {
            Ok(response) => Ok((response, connection)),
            Err(e) => Err(self.broken(&e)),
        }
    }

    async fn connect(&self, bound: Duration) -> Result<Connection, K8sError> {
        timeout(bound, self.connect_unbounded()).await.map_err(|_| K8sError::TimedOut)?
    }

    async fn connect_unbounded(&self) -> Result<Connection, K8sError> {
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
        Ok(Connection::new(sender))
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
