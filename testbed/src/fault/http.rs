//! A TLS-terminating HTTP/1.1 proxy that sees requests.
//!
//! It shows a certificate of the same CA as the real server, so its callers notice nothing. Headers pass unchanged, bearer
//! tokens included; client certificates and protocol upgrades do not get through.

use std::sync::Arc;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, DATE, HOST, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimePrinter};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use url::Url;

use super::{
    rules::{Cut, Hold, Moment, Nonsense, Rules},
    strict::Accounts,
};
use crate::{ca::Ca, ports::Port};

pub(super) type Body = BoxBody<Bytes, hyper::Error>;

/// A proxy on a port of its own in front of an https server.
pub struct HttpFault {
    port: Port,
    front: Arc<Front>,
    task: JoinHandle<()>,
}

/// What a request goes through.
struct Front {
    rules: Rules,
    /// Kept where it stands for a provider that is stricter than the server behind it.
    accounts: Option<Accounts>,
    upstream: Upstream,
}

/// The server behind it.
pub(super) struct Upstream {
    host: String,
    authority: String,
    port: u16,
    connector: TlsConnector,
}

impl HttpFault {
    /// Starts one in front of `upstream` (`https://127.0.0.1:PORT`), whose certificate `ca` issued.
    pub fn start(upstream: &str, ca: &Ca) -> Result<Self> {
        Self::with(upstream, ca, None)
    }

    /// The same, keeping account of refresh tokens.
    pub(super) fn strict(upstream: &str, ca: &Ca) -> Result<Self> {
        Self::with(upstream, ca, Some(Accounts::default()))
    }

    fn with(upstream: &str, ca: &Ca, accounts: Option<Accounts>) -> Result<Self> {
        let port = Port::free()?;
        let acceptor = acceptor(ca, &port)?;
        let front = Arc::new(Front { rules: Rules::default(), accounts, upstream: Upstream::new(upstream, ca)? });
        let listener = super::listen(&port)?;
        let for_task = Arc::clone(&front);
        let task = super::spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, acceptor.clone(), Arc::clone(&for_task)));
            }
        })?;
        Ok(Self { port, front, task })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Holds requests with this method whose path begins like this, until the hold is released or dropped.
    pub fn hold(&self, method: Method, path_prefix: &str, moment: Moment) -> Hold {
        self.front.rules.hold(method, path_prefix, moment)
    }

    /// Answers matching requests itself, with whatever is given. `None` matches every method.
    pub fn answer(&self, method: Option<Method>, path_prefix: &str, status: u16, content_type: &str, body: &str) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let nonsense =
            Nonsense { status, content_type: content_type.to_owned(), body: Bytes::copy_from_slice(body.as_bytes()) };
        self.front.rules.answer(method, path_prefix, nonsense);
    }

    /// Ends the connection in place of the answer to requests with this method whose path begins like this: the server has
    /// done them, and nobody learns of it.
    pub fn cut(&self, method: Method, path_prefix: &str) {
        self.front.rules.cut(method, path_prefix);
    }

    /// Lets the answers' `Date` be so many seconds ahead of the right time (behind it, if negative): the server's clock, as its callers
    /// see it.
    pub fn set_clock(&self, ahead: i64) {
        self.front.rules.set_clock(ahead);
    }

    /// Forgets all holds, answers and cuts.
    pub fn clear(&self) {
        self.front.rules.clear();
    }

    /// The requests that came so far, method and path with query.
    pub fn requests(&self) -> Vec<(Method, String)> {
        self.front.rules.seen()
    }

    /// The account of refresh tokens, where one is kept.
    pub(super) fn accounts(&self) -> Option<&Accounts> {
        self.front.accounts.as_ref()
    }
}

impl Drop for HttpFault {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    fn new(url: &str, ca: &Ca) -> Result<Self> {
        let url = Url::parse(url)?;
        let host = url.host_str().context("the upstream has a host")?.to_owned();
        let port = url.port_or_known_default().context("the upstream has a port")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes())?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { authority: format!("{host}:{port}"), host, port, connector })
    }

    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let stream = self.connector.connect(ServerName::try_from(self.host.clone())?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        request.headers_mut().insert(HOST, HeaderValue::from_str(&self.authority)?);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>()?;
        Ok(sender.send_request(request).await?.map(BodyExt::boxed))
    }
}

fn acceptor(ca: &Ca, port: &Port) -> Result<TlsAcceptor> {
    let issued = ca.server(&format!("fault-{}", port.number()), &[])?;
    let certificate = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(client: TcpStream, acceptor: TlsAcceptor, front: Arc<Front>) {
    let Ok(client) = acceptor.accept(client).await else { return };
    let answer = service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Cut>(dated(front.answer(request).await?, front.rules.clock())) }
    });
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), answer).await);
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let rules = &self.rules;
        let method = request.method().clone();
        let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        rules.note(&method, &path);
        if let Some(nonsense) = rules.nonsense(&method, &path) {
            return Ok(plain(nonsense.status, &nonsense.content_type, nonsense.body));
        }
        rules.pause(Moment::BeforeForwarding, &method, &path).await;
        let request = request.map(BodyExt::boxed);
        let answer = match &self.accounts {
            Some(accounts) => accounts.answer(request, &self.upstream).await,
            None => self.upstream.send(request).await,
        };
        rules.pause(Moment::AfterAnswer, &method, &path).await;
        rules.pass(&method, &path)?;
        Ok(answer
            .unwrap_or_else(|error| plain(StatusCode::BAD_GATEWAY, "text/plain", Bytes::from(format!("{error:#}")))))
    }
}

/// The answer with the time of a clock that is `ahead` of the right one by so many seconds.
fn dated(mut answer: Response<Body>, ahead: i64) -> Response<Body> {
    if ahead != 0 {
        let now = Timestamp::now().saturating_add(SignedDuration::from_secs(ahead));
        let date = now.ok().and_then(|now| DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok());
        if let Some(date) = date.and_then(|date| HeaderValue::from_str(&date).ok()) {
            answer.headers_mut().insert(DATE, date);
        }
    }
    answer
}

pub(super) fn plain(status: StatusCode, content_type: &str, body: Bytes) -> Response<Body> {
    let mut answer = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(CONTENT_TYPE, value);
    }
    answer
}
