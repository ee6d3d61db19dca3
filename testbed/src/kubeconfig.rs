//! Kubeconfigs that the testbed writes itself: plain text in the shape that people know from their own.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

/// Credentials of the one user in a kubeconfig.
#[derive(Debug, Clone, Copy)]
pub enum User<'a> {
    /// A client certificate and its key, PEM.
    Certificate(&'a str, &'a str),
    /// A bearer token.
    Token(&'a str),
}

/// A kubeconfig with one cluster, one user and one context, all named `name`.
pub fn text(name: &str, server: &str, ca_pem: &str, user: User<'_>) -> String {
    let user = match user {
        User::Certificate(cert, key) => {
            format!("client-certificate-data: {}\n    client-key-data: {}", BASE64.encode(cert), BASE64.encode(key))
        }
        User::Token(token) => format!("token: {token}"),
    };
    let ca = BASE64.encode(ca_pem);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {name}
current-context: {name}
users:
- name: {name}
  user:
    {user}
"
    )
}
