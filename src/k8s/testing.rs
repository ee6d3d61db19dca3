//! Servers for the tests of this crate that want to see what is sent on which connection, or to misbehave on it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// A CA, and a server certificate of it for a name.
pub(crate) fn certificate(name: &str) -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "test CA");
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (ca, TlsAcceptor::from(Arc::new(config)))
}

/// `connection N`, a line end, and what was sent on it; `connection N ended` at its end.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// Waits until that connection has ended.
pub(crate) async fn ended(seen: &Seen, n: usize) {
    let end = format!("connection {n} ended");
    let waiting = async {
        while !seen.lock().unwrap_or_else(PoisonError::into_inner).contains(&end) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(20), waiting).await.is_ok(), "{end}: not yet");
}

/// What a server does on a connection once it has answered a request there.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// It answers the next one.
    GoOn,
    /// It takes so long for the next one.
    Sleep(Duration),
    /// It ends the connection.
    Close,
    /// It never answers there again, and does not say so.
    FallSilent,
}

/// A server that answers every request with these bytes, and what it was sent on which connection.
pub(crate) async fn server(acceptor: Option<TlsAcceptor>, answer: Vec<u8>, then: Then) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, serve(listener, acceptor, answer, then).1)
}

/// The same on a listener that is there; nothing more is accepted once the task is aborted.
pub(crate) fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    answer: Vec<u8>,
    then: Then,
) -> (JoinHandle<()>, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        for n in 0.. {
            let Ok((tcp, _)) = listener.accept().await else { return };
            let (acceptor, answer, log) = (acceptor.clone(), answer.clone(), Arc::clone(&log));
            tokio::spawn(async move {
                let Some(acceptor) = acceptor else { return talk(tcp, n, &answer, then, &log).await };
                if let Ok(tls) = acceptor.accept(tcp).await {
                    talk(tls, n, &answer, then, &log).await;
                }
            });
        }
    });
    (task, seen)
}

async fn talk<S: super::Stream>(mut stream: S, n: usize, answer: &[u8], then: Then, log: &Seen) {
    let note = |text: String| log.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    let mut buffer = vec![0; 64 * 1024];
    let mut answered = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        note(format!("connection {n}\r\n{}", String::from_utf8_lossy(&buffer[..read])));
        match then {
            Then::FallSilent if answered > 0 => continue,
            Then::Sleep(time) if answered > 0 => sleep(time).await,
            Then::GoOn | Then::Sleep(_) | Then::Close | Then::FallSilent => {}
        }
        if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        answered += 1;
        if matches!(then, Then::Close) {
            drop(stream.shutdown().await);
            return;
        }
    }
    note(format!("connection {n} ended"));
}

/// An answer of HTTP/1.1.
pub(crate) fn http(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nLocation: https://127.0.0.1:1/\r\n\r\n{body}")
        .into_bytes()
}
