//! A client for one API server, showing one credential.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    HeaderValue, Request, Response, Uri,
    header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT},
};
use hyper::body::{Bytes, Incoming};
use k8s_openapi::{
    List, Resource,
    api::core::v1::Namespace,
    serde::{Serialize, de::DeserializeOwned},
};
use kube::core::{
    Resource as _,
    params::{ListParams, PostParams},
    request,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::timeout;
use url::{Host, Url};

use super::{
    Dialer, K8sError, answer,
    idle::Idle,
    tls::{self, PlatformRoots},
    transport::{Answer, Answering, Transport},
};
use crate::model::{
    cluster::{ClusterCredential, Endpoint},
    name,
};

/// How many namespaces are listed at most.
const MAX_NAMESPACES: u32 = 500;

/// What is shown to the API server.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Kubelend's own credential there.
    Own(ClusterCredential),
    /// A person's ID token. Only ever for clusters that trust its provider.
    IdToken(SecretString),
    /// Nothing.
    Nothing,
}

/// Makes clients.
#[derive(Clone, Debug)]
pub struct Connector {
    dialer: Arc<dyn Dialer>,
    roots: PlatformRoots,
}

/// A client for one API server. Clones share its connections.
#[derive(Clone)]
pub struct ClusterClient {
    transport: Arc<Transport>,
    base: Arc<str>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    bound: Duration,
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterClient").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl Connector {
    /// One that dials with this.
    pub fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self { dialer, roots: PlatformRoots::default() }
    }

    /// A client; nothing is dialled yet. Each of its calls takes at most `bound`, connecting at most half of it.
    ///
    /// # Errors
    /// [`K8sError::Unusable`] for a CA or certificate that cannot be read.
    pub fn client(&self, endpoint: &Endpoint, shown: Shown, bound: Duration) -> Result<ClusterClient, K8sError> {
        let (host, port) = address(&endpoint.server)?;
        let transport = Transport {
            dialer: Arc::clone(&self.dialer),
            name: tls::server_name(endpoint, &host)?,
            tls: Arc::new(tls::config(endpoint, &shown, &self.roots)?).into(),
            own_ca: endpoint.ca_pem.is_some(),
            idle: Idle::default(),
            host,
            port,
        };
        Ok(ClusterClient {
            transport: Arc::new(transport),
            base: endpoint.server.path().trim_end_matches('/').into(),
            host: host_header(&endpoint.server)?,
            authorization: authorization(&shown)?,
            bound,
        })
    }
}

fn address(server: &Url) -> Result<(String, u16), K8sError> {
    if server.scheme() != "https" {
        return Err(K8sError::Unusable("the API server's address does not begin with https://".into()));
    }
    let host = match server.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return Err(K8sError::Unusable("the API server's address names no host".into())),
    };
    Ok((host, server.port_or_known_default().unwrap_or(443)))
}

fn host_header(server: &Url) -> Result<HeaderValue, K8sError> {
    let host = server.host_str().unwrap_or_default();
    let text = server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&text).map_err(|_| K8sError::Unusable("the API server's name cannot be sent".into()))
}

fn authorization(shown: &Shown) -> Result<Option<HeaderValue>, K8sError> {
    let (Shown::Own(ClusterCredential::Token(token)) | Shown::IdToken(token)) = shown else { return Ok(None) };
    let token = token.expose_secret();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(K8sError::Unusable("the token holds characters that no token has".into()));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| K8sError::Unusable("the token holds characters that no token has".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The answer to `GET /version`.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

impl ClusterClient {
    /// The same client, with the same connections, whose calls take at most `bound`.
    #[must_use]
    pub fn within(&self, bound: Duration) -> Self {
        Self { bound, ..self.clone() }
    }

    /// Closes connections that have asked nothing for a minute. A client that is kept for long wants this from time to time.
    pub fn close_idle(&self) {
        self.transport.idle.close_old();
    }

    /// As if its connections had lain there so much longer.
    #[cfg(test)]
    pub(crate) fn age(&self, by: Duration) {
        self.transport.idle.age(by);
    }

    /// TCP and TLS only: tells an unreachable address from a wrong certificate. The connection is kept for the next call.
    pub async fn reach(&self) -> Result<(), K8sError> {
        timeout(self.bound, self.transport.reach(self.bound)).await.map_err(|_| K8sError::TimedOut)?
    }

    /// `GET /version`: the gitVersion.
    pub async fn version(&self) -> Result<String, K8sError> {
        let request = Request::get("/version").body(Vec::new()).map_err(request::Error::BuildRequest);
        let answer = self.send(request).await?;
        let version: Version = answer::json(answer::accepted(&answer)?)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        let text = version.git_version;
        if text.is_empty() || text.len() > 100 || !text.chars().all(plain) {
            return Err(K8sError::Nonsense("its version is none of Kubernetes'".into()));
        }
        Ok(text)
    }

    /// The names of its namespaces, sorted, at most 500. What cannot be one is left out.
    pub async fn namespaces(&self) -> Result<Vec<String>, K8sError> {
        let path = request::Request::new(Namespace::url_path(&(), None));
        let list: List<Namespace> = self.ask(path.list(&ListParams::default().limit(MAX_NAMESPACES))).await?;
        let all = list.items.into_iter().filter_map(|n| n.metadata.name);
        let good = all.filter(|name| name.parse::<name::Namespace>().is_ok_and(|n| n.as_str() == name));
        let mut names: Vec<String> = good.take(MAX_NAMESPACES as usize).collect();
        names.sort();
        Ok(names)
    }

    /// Creates an object and reads what the API server made of it.
    pub(super) async fn post<T>(&self, path: &str, object: &T) -> Result<T, K8sError>
    where
        T: Resource + Serialize + DeserializeOwned,
    {
        self.ask(request::Request::new(path).create(&PostParams::default(), body(object)?)).await
    }

    /// Sends a request and reads the object that comes back.
    pub(super) async fn ask<T>(&self, request: Result<Request<Vec<u8>>, request::Error>) -> Result<T, K8sError>
    where
        T: Resource + DeserializeOwned,
    {
        answer::object(&self.send(request).await?)
    }

    /// Sends a request, whatever comes back.
    pub(super) async fn send(&self, request: Result<Request<Vec<u8>>, request::Error>) -> Result<Answer, K8sError> {
        let request = self.addressed(request.map_err(|e| K8sError::Unusable(e.to_string()))?)?;
        timeout(self.bound, self.transport.exchange(&request, self.bound)).await.map_err(|_| K8sError::TimedOut)?
    }

    /// Sends a request over a connection of its own, whose answer is read by whoever asks, for as long as it lasts.
    pub(super) async fn open(&self, request: Result<Request<Vec<u8>>, request::Error>) -> Result<Answering, K8sError> {
        let request = self.addressed(request.map_err(|e| K8sError::Unusable(e.to_string()))?)?;
        timeout(self.bound, self.transport.over_new(&request, self.bound)).await.map_err(|_| K8sError::TimedOut)?
    }

    /// The rest of such an answer, where it turns out to be a short one.
    pub(super) async fn whole(&self, response: Response<Incoming>) -> Result<Answer, K8sError> {
        timeout(self.bound, self.transport.whole_answer(response)).await.map_err(|_| K8sError::TimedOut)?
    }

    fn addressed(&self, request: Request<Vec<u8>>) -> Result<Request<Bytes>, K8sError> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        // An empty query is left out: some gateways answer a bare “?” with a redirect.
        let path = format!("{}{}", self.base, path.trim_end_matches('?'));
        parts.uri = Uri::try_from(path).map_err(|_| K8sError::Unusable("a path that cannot be asked for".into()))?;
        parts.headers.insert(HOST, self.host.clone());
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("kubelend/", env!("CARGO_PKG_VERSION"))));
        parts.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(value) = &self.authorization {
            parts.headers.insert(AUTHORIZATION, value.clone());
        }
        Ok(Request::from_parts(parts, body.into()))
    }
}

/// An object as a request's body.
pub(super) fn body<T: Serialize>(object: &T) -> Result<Vec<u8>, K8sError> {
    serde_json::to_vec(object).map_err(|e| K8sError::Unusable(format!("the object cannot be written as JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{net::TcpListener, time::Instant};

    use super::*;
    use crate::{
        k8s::{
            DirectDialer,
            testing::{Seen, Then, certificate, ended, http, serve, server},
        },
        outbound::AddressRules,
    };

    const BOUND: Duration = Duration::from_secs(4);
    const TOKEN: &str = "t0ps3cret";

    fn version() -> Vec<u8> {
        http("200 OK", "application/json", r#"{"major":"1","gitVersion":"v1.36.3"}"#)
    }

    fn client_of(address: SocketAddr, ca: Option<String>, bound: Duration) -> ClusterClient {
        let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules { allow_loopback: true })));
        let server = format!("https://{address}").parse().unwrap();
        let endpoint = Endpoint { server, ca_pem: ca, tls_server_name: None };
        connector.client(&endpoint, Shown::Own(ClusterCredential::Token(TOKEN.into())), bound).unwrap()
    }

    fn sent(seen: &Seen) -> Vec<String> {
        seen.lock().unwrap().clone()
    }

    /// The connections that a path was asked for on.
    fn connections(seen: &Seen, path: &str) -> Vec<String> {
        let of = |text: String| text.contains(path).then(|| text.lines().next().unwrap().to_owned());
        sent(seen).into_iter().filter_map(of).collect()
    }

    #[tokio::test]
    async fn a_good_answer_is_read_and_the_connection_used_again() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::GoOn).await;
        let client = client_of(address, Some(ca), BOUND);
        client.reach().await.unwrap();
        assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        assert_eq!(client.clone().version().await.as_deref(), Ok("v1.36.3"));
        let sent = sent(&seen);
        assert_eq!(sent.len(), 2);
        for request in sent {
            assert!(request.starts_with("connection 0\r\nGET /version HTTP/1.1\r\n"), "{request}");
            assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
            assert!(request.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{request}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_while_idle_is_opened_anew() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::Close).await;
        let client = client_of(address, Some(ca), BOUND);
        for _ in 0..5 {
            assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        }
        assert_eq!(sent(&seen).len(), 5);
    }

    #[tokio::test]
    async fn a_kept_connection_that_has_gone_dead_costs_a_reader_a_moment_and_nothing_is_changed_twice() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::FallSilent).await;
        let client = client_of(address, Some(ca), BOUND);
        for _ in 0..3 {
            assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        }
        let asked = ["connection 0", "connection 0", "connection 1", "connection 1", "connection 2"];
        assert_eq!(connections(&seen, "/version"), asked, "again over a new one, each time");
        // One that answered just now is trusted with a change, which is not sent again whatever happens.
        let quick = client.within(Duration::from_millis(300));
        assert_eq!(quick.who_am_i().await, Err(K8sError::TimedOut));
        assert_eq!(connections(&seen, "/selfsubjectreviews"), ["connection 2"]);
        // One that has lain there is not.
        assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        client.age(Duration::from_secs(3));
        assert!(matches!(quick.who_am_i().await, Err(K8sError::Nonsense(_))), "the version is no review");
        assert_eq!(connections(&seen, "/selfsubjectreviews"), ["connection 2", "connection 4"]);
    }

    #[tokio::test]
    async fn a_server_that_is_only_slow_is_waited_for_on_the_connection_that_it_is_asked_on() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::Sleep(Duration::from_millis(1_500))).await;
        let client = client_of(address, Some(ca), Duration::from_secs(4));
        assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        let begun = Instant::now();
        assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(connections(&seen, "/version").len() <= 3);
    }

    #[tokio::test]
    async fn immune_14_a_server_that_comes_back_with_another_certificate_is_verified_anew() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (first, _) = serve(listener, Some(acceptor.clone()), version(), Then::Close);
        let client = client_of(address, Some(ca), BOUND);
        assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());

        let (_, stranger) = certificate("127.0.0.1");
        let listener = TcpListener::bind(address).await.unwrap();
        let (second, seen) = serve(listener, Some(stranger), version(), Then::GoOn);
        let error = client.version().await.unwrap_err();
        assert!(matches!(&error, K8sError::Tls(why) if why.contains("not signed by")), "{error:?}");
        assert_eq!(sent(&seen), Vec::<String>::new());
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());

        let listener = TcpListener::bind(address).await.unwrap();
        let (_, seen) = serve(listener, Some(acceptor), version(), Then::GoOn);
        assert_eq!(client.version().await.as_deref(), Ok("v1.36.3"));
        assert_eq!(connections(&seen, "/version"), ["connection 0"]);
    }

    #[tokio::test]
    async fn connections_that_ask_nothing_are_closed_after_a_minute_and_all_of_them_in_the_end() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::GoOn).await;
        let client = client_of(address, Some(ca), BOUND);
        client.version().await.unwrap();
        client.age(Duration::from_secs(50));
        client.version().await.unwrap();
        client.age(Duration::from_secs(61));
        client.close_idle();
        ended(&seen, 0).await;
        for _ in 0..6 {
            client.version().await.unwrap();
            client.age(Duration::from_secs(55));
        }
        // The sixth time it was five minutes old.
        let asked = ["connection 0"; 2].into_iter().chain(["connection 1"; 6]);
        assert_eq!(connections(&seen, "/version"), asked.collect::<Vec<_>>());
        client.version().await.unwrap();
        assert_eq!(connections(&seen, "/version").last().unwrap(), "connection 2");
    }

    #[tokio::test]
    async fn a_path_in_the_servers_address_stays_before_every_path() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::GoOn).await;
        let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules { allow_loopback: true })));
        let server = format!("https://{address}/k8s/clusters/c-1/").parse().unwrap();
        let endpoint = Endpoint { server, ca_pem: Some(ca), tls_server_name: None };
        connector.client(&endpoint, Shown::Nothing, BOUND).unwrap().version().await.unwrap();
        let request = sent(&seen).remove(0);
        assert!(request.contains("GET /k8s/clusters/c-1/version HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("authorization"), "{request}");
    }

    #[tokio::test]
    async fn immune_14_nothing_is_sent_to_a_server_whose_certificate_is_not_verified() {
        let (_, acceptor) = certificate("127.0.0.1");
        let (other_ca, _) = certificate("127.0.0.1");
        let (address, seen) = server(Some(acceptor), version(), Then::GoOn).await;
        for ca in [Some(other_ca), None] {
            let client = client_of(address, ca, BOUND);
            for error in [client.reach().await.unwrap_err(), client.version().await.unwrap_err()] {
                assert!(matches!(&error, K8sError::Tls(why) if why.contains("not signed by")), "{error:?}");
            }
        }
        let (ca, acceptor) = certificate("other.example.com");
        let (address, seen_too) = server(Some(acceptor), version(), Then::GoOn).await;
        let error = client_of(address, Some(ca), BOUND).version().await.unwrap_err();
        let K8sError::Tls(why) = &error else { panic!("{error:?}") };
        assert_eq!(why, "its certificate is not for 127.0.0.1, but for other.example.com");
        assert_eq!((sent(&seen), sent(&seen_too)), (vec![], vec![]));
    }

    #[tokio::test]
    async fn the_tls_server_name_is_the_one_that_is_verified() {
        let (ca, acceptor) = certificate("kubernetes.default");
        let (address, _) = server(Some(acceptor), version(), Then::GoOn).await;
        let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules { allow_loopback: true })));
        let server = format!("https://{address}").parse().unwrap();
        let endpoint = Endpoint { server, ca_pem: Some(ca), tls_server_name: Some("kubernetes.default".into()) };
        connector.client(&endpoint, Shown::Nothing, BOUND).unwrap().version().await.unwrap();
    }

    #[tokio::test]
    async fn a_plain_http_server_gets_no_token() {
        let (address, seen) = server(None, version(), Then::GoOn).await;
        let error = client_of(address, None, BOUND).version().await.unwrap_err();
        assert_eq!(error, K8sError::Tls("what answers there does not speak TLS".into()));
        assert!(sent(&seen).iter().all(|r| !r.contains(TOKEN) && !r.contains("HTTP/1.1")));
    }

    #[tokio::test]
    async fn what_no_api_server_answers_is_nonsense() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let long = "x".repeat(17 << 20);
        for answer in [
            http("200 OK", "text/html", "<html>welcome</html>"),
            http("200 OK", "application/json", "{}"),
            http("200 OK", "application/json", r#"{"gitVersion":"<script>"}"#),
            http("200 OK", "application/json", &long),
            http("302 Found", "text/html", ""),
            http("307 Temporary Redirect", "application/json", "{}"),
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
            vec![0; 4096],
            format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n").into_bytes(),
        ] {
            let (address, seen) = server(Some(acceptor.clone()), answer.clone(), Then::Close).await;
            let error = client_of(address, Some(ca.clone()), BOUND).version().await.unwrap_err();
            let start = String::from_utf8_lossy(&answer[..40.min(answer.len())]).into_owned();
            assert!(matches!(error, K8sError::Nonsense(_)), "{error:?} for {start:?}");
            assert_eq!(sent(&seen).len(), 1, "it followed or repeated: {start:?}");
        }
    }

    #[tokio::test]
    async fn immune_23_names_of_any_length_get_no_further_than_here() {
        let (ca, acceptor) = certificate("127.0.0.1");
        let item = |name: &str| serde_json::json!({"metadata": {"name": name}});
        let names = [&"a".repeat(64), "shop", "Not A Name", " payments", &"a".repeat(1 << 20), "kube-system"];
        let list = serde_json::json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {},
            "items": names.map(item)});
        let (address, _) =
            server(Some(acceptor.clone()), http("200 OK", "application/json", &list.to_string()), Then::GoOn).await;
        let client = client_of(address, Some(ca.clone()), BOUND);
        assert_eq!(client.namespaces().await.unwrap(), ["kube-system", "shop"]);

        let review = serde_json::json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {}, "status": {"userInfo": {"username": "x".repeat(1 << 20)}}});
        let (address, _) =
            server(Some(acceptor), http("201 Created", "application/json", &review.to_string()), Then::GoOn).await;
        let error = client_of(address, Some(ca), BOUND).who_am_i().await.unwrap_err();
        assert!(error.to_string().len() < 200 && matches!(error, K8sError::Nonsense(_)), "{error:?}");
    }

    #[tokio::test]
    async fn no_connection_is_told_with_the_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closing = tokio::spawn(async move {
            drop(listener.accept().await);
            listener
        });
        let error = client_of(address, None, BOUND).reach().await.unwrap_err();
        assert!(matches!(&error, K8sError::Unreachable(why) if why.contains("closes it before TLS")), "{error:?}");
        drop(closing.await.unwrap());
        let error = client_of(address, None, BOUND).reach().await.unwrap_err();
        assert_eq!(error, K8sError::Unreachable(format!("{address} refuses the connection: nothing listens there")));

        let strict = Connector::new(Arc::new(DirectDialer::new(AddressRules::default())));
        let server = format!("https://{address}").parse().unwrap();
        let endpoint = Endpoint { server, ca_pem: None, tls_server_name: None };
        let error = strict.client(&endpoint, Shown::Nothing, BOUND).unwrap().reach().await.unwrap_err();
        let K8sError::Unreachable(why) = &error else { panic!("{error:?}") };
        assert!(why.starts_with(&format!("{address}: 127.0.0.1 is a loopback address")), "{why}");
    }

    #[tokio::test]
    async fn a_server_that_stays_silent_costs_no_more_than_the_bound() {
        const FOREVER: Duration = Duration::from_secs(20);
        let bound = Duration::from_millis(400);
        // Silent before TLS: half of it.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begin = Instant::now();
        let error = client_of(silent.local_addr().unwrap(), None, bound).version().await.unwrap_err();
        assert_eq!(error, K8sError::TimedOut);
        // How late a busy machine wakes a task is not what is tried here: only that nothing waits for ever.
        assert!(begin.elapsed() < FOREVER, "{:?}", begin.elapsed());
        // Silent after the request, and in the middle of the answer: all of it.
        let (ca, acceptor) = certificate("127.0.0.1");
        for answer in [Vec::new(), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()] {
            let (address, _) = server(Some(acceptor.clone()), answer, Then::GoOn).await;
            let begin = Instant::now();
            let error = client_of(address, Some(ca.clone()), bound).version().await.unwrap_err();
            assert_eq!(error, K8sError::TimedOut);
            assert!((bound..FOREVER).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_told_from_nonsense() {
        let (ca, acceptor) = certificate("127.0.0.1");
        for answer in [Vec::new(), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()] {
            let (address, _) = server(Some(acceptor.clone()), answer, Then::Close).await;
            let error = client_of(address, Some(ca.clone()), BOUND).version().await.unwrap_err();
            assert!(matches!(error, K8sError::Unreachable(_)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn what_is_stored_and_cannot_be_used_is_told_before_anything_is_dialled() {
        let connector = Connector::new(Arc::new(DirectDialer::new(AddressRules::default())));
        let endpoint = |server: &str, ca: Option<&str>| Endpoint {
            server: server.parse().unwrap(),
            ca_pem: ca.map(str::to_owned),
            tls_server_name: None,
        };
        let good = endpoint("https://x", None);
        let token = |t: &str| Shown::Own(ClusterCredential::Token(t.into()));
        let certificate = Shown::Own(ClusterCredential::ClientCertificate { certificate: "x".into(), key: "y".into() });
        for (endpoint, shown) in [
            (endpoint("http://x", None), Shown::Nothing),
            (endpoint("https://x", Some("")), Shown::Nothing),
            (
                endpoint("https://x", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
                Shown::Nothing,
            ),
            (good.clone(), token("a\r\nX-Injected: 1")),
            (good.clone(), token("")),
            (good.clone(), certificate),
        ] {
            let error = connector.client(&endpoint, shown, BOUND).unwrap_err();
            assert!(matches!(error, K8sError::Unusable(_)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn immune_21_no_token_in_debug_output() {
        let client = client_of("127.0.0.1:1".parse().unwrap(), None, BOUND);
        assert!(!format!("{client:?}").contains(TOKEN));
        assert!(!format!("{:?} {:?}", Shown::IdToken(TOKEN.into()), client.authorization).contains(TOKEN));
    }
}
