//! Reading what an API server answered, and telling Kubernetes' refusals from answers that are none of Kubernetes'.
//!
//! The answer is foreign text: it is read into types, its messages are cut and freed of control characters, and nothing of
//! an answer that cannot be read is passed on.

use http::StatusCode;
use k8s_openapi::{Resource, serde::de::DeserializeOwned};
use serde::Deserialize;

use super::{K8sError, transport::Answer};

/// The longest message of an API server that is passed on, in characters.
const MAX_MESSAGE: usize = 500;

/// What of `metav1.Status` decides.
#[derive(Deserialize)]
struct Status {
    kind: String,
    #[serde(default)]
    message: String,
}

/// What every object bears.
#[derive(Deserialize)]
struct TypeMeta {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
}

/// The answer's body, if the API server did what was asked.
pub(super) fn accepted(answer: &Answer) -> Result<&[u8], K8sError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(&answer.body);
    }
    let said = serde_json::from_slice::<Status>(&answer.body).ok().filter(|s| s.kind == "Status");
    match (status, said) {
        (StatusCode::UNAUTHORIZED, _) if !is_markup(&answer.body) => Err(K8sError::Unauthorized),
        (StatusCode::FORBIDDEN, Some(said)) => Err(K8sError::Forbidden(clean(&said.message))),
        (StatusCode::NOT_FOUND, Some(_)) => Err(K8sError::NotFound),
        // What an API server says, without a Status, to a path that it has no API for.
        (StatusCode::NOT_FOUND, None) if answer.body.starts_with(b"404 page not found") => Err(K8sError::NotFound),
        (StatusCode::CONFLICT, Some(said)) => Err(K8sError::Conflict(clean(&said.message))),
        (_, Some(said)) => Err(K8sError::Refused(status.as_u16(), clean(&said.message))),
        // A load balancer speaks for an API server that is down, and the API server itself while it starts.
        (_, None) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(K8sError::Refused(status.as_u16(), status.canonical_reason().unwrap_or("no reason given").into()))
        }
        (_, None) if status.is_redirection() => {
            Err(K8sError::Nonsense("it sends us elsewhere, and Kubelend follows no redirects".into()))
        }
        (_, None) => Err(K8sError::Nonsense(format!("it answers {} and no Kubernetes Status", status.as_u16()))),
    }
}

/// An object of the answer's kind.
pub(super) fn object<T: DeserializeOwned + Resource>(answer: &Answer) -> Result<T, K8sError> {
    let body = accepted(answer)?;
    let meta: TypeMeta = json(body)?;
    if meta.kind != T::KIND || meta.api_version != T::API_VERSION {
        return Err(K8sError::Nonsense(format!("it was asked for a {} and answers something else", T::KIND)));
    }
    json(body)
}

/// JSON of any other kind.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, K8sError> {
    serde_json::from_slice(body).map_err(|_| {
        K8sError::Nonsense(if is_markup(body) {
            "it answers with a web page".into()
        } else {
            "its answer is not what Kubernetes answers".into()
        })
    })
}

fn is_markup(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// Foreign words for a page: cut, and without control characters.
pub(super) fn clean(message: &str) -> String {
    let plain: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect();
    if plain.trim().is_empty() { "it gives no reason".into() } else { plain }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{List, api::rbac::v1::ClusterRoleBinding};

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), date: None, body: body.to_owned().into() }
    }

    fn status(code: u16, message: &str) -> Answer {
        answer(code, &serde_json::json!({"kind": "Status", "apiVersion": "v1", "message": message}).to_string())
    }

    #[test]
    fn each_refusal_says_whose_turn_it_is() {
        let cases = [
            (status(401, "Unauthorized"), K8sError::Unauthorized),
            (status(403, "not you"), K8sError::Forbidden("not you".into())),
            (status(404, "no such"), K8sError::NotFound),
            (answer(404, "404 page not found\n"), K8sError::NotFound),
            (status(409, "exists"), K8sError::Conflict("exists".into())),
            (status(422, "invalid"), K8sError::Refused(422, "invalid".into())),
            (status(500, "etcd"), K8sError::Refused(500, "etcd".into())),
            (answer(502, "<html>bad gateway</html>"), K8sError::Refused(502, "Bad Gateway".into())),
            (status(503, ""), K8sError::Refused(503, "it gives no reason".into())),
        ];
        for (answer, error) in cases {
            assert_eq!(accepted(&answer).unwrap_err(), error);
        }
    }

    #[test]
    fn what_is_no_answer_of_kubernetes_is_told_from_a_refusal() {
        for answer in [
            answer(404, "<html>nothing here</html>"),
            answer(403, "<html>firewall</html>"),
            answer(401, "<html>log in</html>"),
            answer(302, ""),
            answer(400, "{}"),
            answer(200, "<html>welcome</html>"),
            answer(200, "{}"),
            answer(200, ""),
            answer(200, "garbage \u{fffd}"),
            answer(200, r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#),
            answer(200, r#"{"kind":"ClusterRoleBindingList","apiVersion":"v9","items":[]}"#),
        ] {
            let got = object::<List<ClusterRoleBinding>>(&answer);
            assert!(matches!(got, Err(K8sError::Nonsense(_))), "{answer:?}: {got:?}");
        }
    }

    #[test]
    fn messages_are_cut_and_hold_no_control_characters() {
        let long = format!("\u{1b}[31m{}", "ä".repeat(2000));
        let Err(K8sError::Forbidden(message)) = accepted(&status(403, &long)).map(drop) else { panic!() };
        assert_eq!(message.chars().count(), MAX_MESSAGE);
        assert!(!message.contains('\u{1b}'));
    }

    #[test]
    fn nothing_of_an_unreadable_answer_is_passed_on() {
        let error = object::<ClusterRoleBinding>(&answer(200, "secret-of-somebody")).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
