//! A thousand API servers in one process: TLS and HTTP/1.1 as a client needs them, each under a path of its own, with a list of
//! bindings that never changes. It answers what Kubelend asks of a cluster where nothing happens, and costs as little as can be.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use testbed::Ca;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

/// API servers send a bookmark about so often.
const BOOKMARK: Duration = Duration::from_mins(1);
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// What it was asked.
#[derive(Default)]
pub struct Asked {
    /// Watches that are open now.
    pub watches: AtomicUsize,
    /// Watches that were opened.
    pub opened: AtomicUsize,
    /// Lists of bindings.
    pub lists: AtomicUsize,
    /// Versions: one for each check of a cluster.
    pub checks: AtomicUsize,
}

/// All of them.
pub struct StandIn {
    /// `https://127.0.0.1:PORT`; a cluster's address is this and its path.
    pub url: String,
    /// The CA of its certificate.
    pub ca_pem: String,
    /// What it was asked.
    pub asked: Arc<Asked>,
    lists: Lists,
}

/// The ClusterRoleBindings of each path, as they are sent.
type Lists = Arc<Mutex<HashMap<String, Arc<str>>>>;

/// What a request says.
struct Request {
    post: bool,
    /// Of the cluster.
    place: String,
    path: String,
    query: String,
    body: String,
}

impl StandIn {
    /// Listens.
    pub async fn start(ca: &Ca) -> Result<Self> {
        let issued = ca.server("stand-in", &[])?;
        let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
        testbed::http::install_crypto();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}", listener.local_addr()?);
        let stand_in = Self { url, ca_pem: ca.pem().to_owned(), asked: Arc::default(), lists: Arc::default() };
        let (asked, lists) = (Arc::clone(&stand_in.asked), Arc::clone(&stand_in.lists));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, asked, lists) = (acceptor.clone(), Arc::clone(&asked), Arc::clone(&lists));
                // Whoever goes away in the middle of something is gone: that is no failure of the measurement.
                tokio::spawn(async move { drop(serve(stream, &acceptor, &asked, &lists).await) });
            }
        });
        Ok(stand_in)
    }

    /// Puts these ClusterRoleBindings (JSON each) under a path.
    pub fn put(&self, place: &str, bindings: &[String]) {
        let list = list(RBAC, "ClusterRoleBindingList", &bindings.join(","));
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_owned(), list.into());
    }
}

fn list(version: &str, kind: &str, items: &str) -> String {
    format!(r#"{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"resourceVersion":"7"}},"items":[{items}]}}"#)
}

async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, asked: &Asked, lists: &Lists) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut rest = Vec::new();
    while let Some(request) = read(&mut stream, &mut rest).await? {
        if request.query.contains("watch=true") {
            return watch(stream, &request, asked).await;
        }
        let (status, body) = answer(&request, asked, lists);
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The next request; `None` where there is none.
async fn read(stream: &mut TlsStream<TcpStream>, rest: &mut Vec<u8>) -> Result<Option<Request>> {
    let end = loop {
        if let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(rest).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let whole = end + length.unwrap_or(0_usize);
    while rest.len() < whole {
        if stream.read_buf(rest).await? == 0 {
            return Ok(None);
        }
    }
    let body = String::from_utf8_lossy(&rest[end..whole]).into_owned();
    rest.drain(..whole);
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().context("a request has a target")?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (place, path) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    Ok(Some(Request {
        post: method == "POST",
        place: place.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body,
    }))
}

fn answer(request: &Request, asked: &Asked, lists: &Lists) -> (&'static str, Arc<str>) {
    let what = request.path.rsplit('/').next().unwrap_or_default();
    let body = match (request.post, what) {
        (false, "version") => {
            asked.checks.fetch_add(1, Ordering::Relaxed);
            r#"{"major":"1","minor":"36","gitVersion":"v1.36.0"}"#.to_owned()
        }
        (true, "selfsubjectreviews") => {
            r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview","metadata":{},"status":{"userInfo":{"username":"system:serviceaccount:kubelend:kubelend","groups":["system:authenticated"]}}}"#.to_owned()
        }
        (true, "selfsubjectaccessreviews") => {
            // What Kubelend needs, and neither Secrets nor all the rest.
            let allowed = !request.body.contains(r#""verb":"*""#) && !request.body.contains("secrets");
            format!(
                r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","metadata":{{}},"spec":{{}},"status":{{"allowed":{allowed}}}}}"#
            )
        }
        (false, "clusterrolebindings") => {
            asked.lists.fetch_add(1, Ordering::Relaxed);
            let lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
            let found = lists.get(&request.place).cloned();
            return ("200 OK", found.unwrap_or_else(|| list(RBAC, "ClusterRoleBindingList", "").into()));
        }
        (false, "rolebindings") => list(RBAC, "RoleBindingList", ""),
        (false, "clusterroles") => list(RBAC, "ClusterRoleList", ""),
        (false, "roles") => list(RBAC, "RoleList", ""),
        (false, "namespaces") => list("v1", "NamespaceList", r#"{"metadata":{"name":"default"}}"#),
        _ => {
            let gone = r#"{"apiVersion":"v1","kind":"Status","metadata":{},"status":"Failure","message":"not found","reason":"NotFound","code":404}"#;
            return ("404 Not Found", gone.into());
        }
    };
    ("200 OK", body.into())
}

/// One answer that says nothing but that it lives, and ends when it was asked to.
async fn watch(mut stream: TlsStream<TcpStream>, request: &Request, asked: &Asked) -> Result<()> {
    let seconds = request.query.split('&').find_map(|pair| pair.strip_prefix("timeoutSeconds=")?.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(300));
    asked.opened.fetch_add(1, Ordering::Relaxed);
    asked.watches.fetch_add(1, Ordering::Relaxed);
    let kind = if request.path.ends_with("clusterrolebindings") { "ClusterRoleBinding" } else { "RoleBinding" };
    let went = tell(&mut stream, kind, end).await;
    asked.watches.fetch_sub(1, Ordering::Relaxed);
    went
}

async fn tell(stream: &mut TlsStream<TcpStream>, kind: &str, end: Instant) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let mark = format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"apiVersion\":\"{RBAC}\",\"kind\":\"{kind}\",\"metadata\":{{\"resourceVersion\":\"7\"}}}}}}\n"
    );
    let chunk = format!("{:x}\r\n{mark}\r\n", mark.len());
    loop {
        let next = (Instant::now() + BOOKMARK).min(end);
        let mut nothing = [0; 64];
        tokio::select! {
            () = sleep_until(next) => {}
            // Whoever watches says nothing any more, or goes.
            _ = stream.read(&mut nothing) => return Ok(()),
        }
        if next >= end {
            stream.write_all(b"0\r\n\r\n").await?;
            return Ok(stream.shutdown().await?);
        }
        stream.write_all(chunk.as_bytes()).await?;
        stream.flush().await?;
    }
}
