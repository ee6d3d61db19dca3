//! The few words of WebDriver that a test needs.

use anyhow::{Context, Result, anyhow};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::http;

/// A WebDriver session.
pub(super) struct Driver {
    client: Client,
    session: String,
}

/// What WebDriver calls an error, so that "not there yet" can be told from "broken".
#[derive(Debug)]
pub(super) struct DriverError {
    kind: String,
    message: String,
}

impl std::fmt::Display for DriverError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for DriverError {}

/// Whether the thing was gone from the page before anything was done to it.
pub(super) fn is_stale(error: &anyhow::Error) -> bool {
    error.downcast_ref::<DriverError>().is_some_and(|e| e.kind == "stale element reference")
}

impl Driver {
    /// Starts a browser with a session, and says where that is.
    pub(super) async fn new_session(port: u16, capabilities: Value) -> Result<String> {
        let base = format!("http://127.0.0.1:{port}/session");
        let answer =
            send(&http::plain()?, Method::POST, &base, Some(capabilities)).await.context("start the browser")?;
        let id = answer["sessionId"].as_str().context("a session has an id")?;
        Ok(format!("{base}/{id}"))
    }

    /// Speaks to a session, from the runtime that this is called in.
    pub(super) fn of(session: &str) -> Result<Self> {
        Ok(Self { client: http::plain()?, session: session.to_owned() })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        send(&self.client, Method::GET, &format!("{}/{path}", self.session), None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        send(&self.client, Method::POST, &format!("{}/{path}", self.session), Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value> {
        send(&self.client, Method::DELETE, &format!("{}/{path}", self.session), None).await
    }

    /// Sends a command of the browser's own protocol (Chrome `DevTools`).
    pub(super) async fn cdp(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", body).await.with_context(|| format!("send {command}"))
    }
}

async fn send(client: &Client, method: Method, url: &str, body: Option<Value>) -> Result<Value> {
    let mut request = client.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.context("ask chromedriver")?;
    let failed = !answer.status().is_success();
    let mut answer: Value = answer.json().await.context("read chromedriver's answer")?;
    let value = answer["value"].take();
    if failed {
        let text =
            |field: &str| value[field].as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        return Err(anyhow!(DriverError { kind: text("error"), message: text("message") }));
    }
    Ok(value)
}
