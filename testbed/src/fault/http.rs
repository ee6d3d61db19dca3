//! A TLS-terminating HTTP/1.1 proxy that sees requests.
//!
//! It shows a certificate of the same CA as the real server, so its callers notice nothing. Headers pass unchanged, bearer
//! tokens included; client certificates and protocol upgrades do not get through.

use std::{convert::Infallible, sync::Arc};

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

use super::rules::{Hold, Moment, Nonsense, Rules};
use crate::{ca::Ca, ports::Port};

type Body = BoxBody<Bytes, hyper::Error>;

/// A proxy on a port of its own in front of an https server.
pub struct HttpFault {
    port: Port,
    rules: Arc<Rules>,
    task: JoinHandle<()>,
}

struct Upstream {
    host: String,
    authority: String,
    port: u16,
    connector: TlsConnector,
}

impl HttpFault {
    /// Starts one in front of `upstream` (`https://127.0.0.1:PORT`), whose certificate `ca` issued.
    pub fn start(upstream: &str, ca: &Ca) -> Result<Self> {
        let port = Port::free()?;
        let acceptor = acceptor(ca, &port)?;
        let upstream = Arc::new(Upstream::new(upstream, ca)?);
        let rules = Arc::new(Rules::default());
        let listener = super::listen(&port)?;
        let for_task = Arc::clone(&rules);
        let task = super::spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, acceptor.clone(), Arc::clone(&upstream), Arc::clone(&for_task)));
            }
        })?;
        Ok(Self { port, rules, task })
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
        self.rules.hold(method, path_prefix, moment)
    }

    /// Answers matching requests itself, with whatever is given. `None` matches every method.
    pub fn answer(&self, method: Option<Method>, path_prefix: &str, status: u16, content_type: &str, body: &str) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let nonsense =
            Nonsense { status, content_type: content_type.to_owned(), body: Bytes::copy_from_slice(body.as_bytes()) };
        self.rules.answer(method, path_prefix, nonsense);
    }

    /// Lets the answers' `Date` be so many seconds ahead of the right time (behind it, if negative): the server's clock, as its callers
    /// see it.
    pub fn set_clock(&self, ahead: i64) {
        self.rules.set_clock(ahead);
    }

    /// Forgets all holds and answers.
    pub fn clear(&self) {
        self.rules.clear();
    }

    /// The requests that came so far, method and path with query.
    pub fn requests(&self) -> Vec<(Method, String)> {
        self.rules.seen()
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

    async fn send(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let stream = self.connector.connect(ServerName::try_from(self.host.clone())?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        request.headers_mut().insert(HOST, HeaderValue::from_str(&self.authority)?);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>()?;
        Ok(sender.send_request(request).await?)
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

async fn serve(client: TcpStream, acceptor: TlsAcceptor, upstream: Arc<Upstream>, rules: Arc<Rules>) {
    let Ok(client) = acceptor.accept(client).await else { return };
    let answer = service_fn(move |request| {
        let (upstream, rules) = (Arc::clone(&upstream), Arc::clone(&rules));
        async move { Ok::<_, Infallible>(dated(answer(request, &upstream, &rules).await, rules.clock())) }
    });
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), answer).await);
}

async fn answer(request: Request<Incoming>, upstream: &Upstream, rules: &Rules) -> Response<Body> {
    let method = request.method().clone();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    rules.note(&method, &path);
    if let Some(nonsense) = rules.nonsense(&method, &path) {
        return plain(nonsense.status, &nonsense.content_type, nonsense.body);
    }
    rules.pause(Moment::BeforeForwarding, &method, &path).await;
    let answer = upstream.send(request).await;
    rules.pause(Moment::AfterAnswer, &method, &path).await;
    match answer {
        Ok(answer) => answer.map(BodyExt::boxed),
        Err(error) => plain(StatusCode::BAD_GATEWAY, "text/plain", Bytes::from(format!("{error:#}"))),
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

fn plain(status: StatusCode, content_type: &str, body: Bytes) -> Response<Body> {
    let mut answer = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(CONTENT_TYPE, value);
    }
    answer
}
