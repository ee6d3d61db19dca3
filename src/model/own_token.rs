//! Kubelend's own tokens: what a ServiceAccount's token says of whose it is, how it can be ended, and when it ends by itself.
//!
//! Nothing here is verified: the API server that takes the token has done that, and whoever decides anything by it asks the API server
//! who the token is.

use std::time::Duration;

use serde_json::Value;

use super::{
    id::{ClusterId, OwnTokenId},
    service_account::AccountName,
    time::Timestamp,
    token_claims::TokenClaims,
};

/// How long a token is asked for. An API server may give less, and then that counts.
pub const LIFE: Duration = Duration::from_hours(30 * 24);
/// From how long before its end on a credential that nobody renews is worth a word.
pub const SOON: Duration = Duration::from_hours(14 * 24);

/// What a ServiceAccount's token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountToken {
    /// Whose it is.
    pub account: AccountName,
    /// The UID of that ServiceAccount.
    pub account_uid: String,
    /// What it lives and dies with, besides its ServiceAccount.
    pub bound: Bound,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
}

/// What a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A Secret: deleting that ends it.
    Secret(BoundSecret),
    /// A pod or a node, whose end is not ours to bring.
    Other,
    /// Nothing: until its own end it ends with its ServiceAccount alone.
    Nothing,
}

/// A Secret in the namespace of the token's ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundSecret {
    /// Its name.
    pub name: String,
    /// Its UID; tokens of the old kind, which lie in their Secrets, do not tell.
    pub uid: Option<String>,
}

impl AccountToken {
    /// Reads one; `None` for what is no ServiceAccount's token.
    pub fn read(token: &str) -> Option<Self> {
        let claims = TokenClaims::read(token)?;
        let (account, account_uid, bound) = new_kind(&claims).or_else(|| old_kind(&claims))?;
        // What the claims name and what the API server goes by are one, or it is read wrongly here.
        (claims.text("sub") == Some(account.user().as_str())).then_some(())?;
        Some(Self { account, account_uid, bound, ends_at: claims.time("exp") })
    }

    /// The Secret that it is bound to.
    pub fn secret(&self) -> Option<&BoundSecret> {
        if let Bound::Secret(secret) = &self.bound { Some(secret) } else { None }
    }
}

/// As `TokenRequest` makes them: `{"kubernetes.io": {"namespace": …, "serviceaccount": {…}, "secret": {…}}}`.
fn new_kind(claims: &TokenClaims) -> Option<(AccountName, String, Bound)> {
    let own = claims.value("kubernetes.io")?;
    let text = |of: &Value, key: &str| of.get(key)?.as_str().map(str::to_owned);
    let account = own.get("serviceaccount")?;
    let name = AccountName::new(text(own, "namespace")?.parse().ok()?, &text(account, "name")?).ok()?;
    let bound = match own.get("secret") {
        Some(secret) => Bound::Secret(BoundSecret { name: text(secret, "name")?, uid: text(secret, "uid") }),
        None if own.get("pod").or_else(|| own.get("node")).is_some() => Bound::Other,
        None => Bound::Nothing,
    };
    Some((name, text(account, "uid")?, bound))
}

/// As the controller manager puts them into Secrets.
fn old_kind(claims: &TokenClaims) -> Option<(AccountName, String, Bound)> {
    let text = |key: &str| claims.text(&format!("kubernetes.io/serviceaccount/{key}"));
    let name = AccountName::new(text("namespace")?.parse().ok()?, text("service-account.name")?).ok()?;
    let secret = BoundSecret { name: text("secret.name")?.to_owned(), uid: None };
    Some((name, text("service-account.uid")?.to_owned(), Bound::Secret(secret)))
}

/// When a token that was got now and ends then makes way for the next one: at half of its life.
pub fn renew_at(now: Timestamp, ends_at: Timestamp) -> Timestamp {
    now.plus(ends_at.since(now) / 2)
}

/// When to try again after a renewal failed: often enough that several attempts are left, and not so often that a cluster which is away
/// for good is asked all day.
pub fn renew_again_at(now: Timestamp, ends_at: Option<Timestamp>) -> Timestamp {
    let left = ends_at.map_or(Duration::ZERO, |end| end.since(now));
    let pause = if left.is_zero() { Duration::from_hours(6) } else { left / 8 };
    now.plus(pause.clamp(Duration::from_mins(1), Duration::from_hours(6)))
}

/// What is known of a held credential's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialEnd {
    /// When it ends, where it tells.
    pub ends_at: Option<Timestamp>,
    /// When Kubelend renews it by itself, where it does.
    pub renew_at: Option<Timestamp>,
    /// Why the last renewal failed.
    pub trouble: Option<String>,
}

impl CredentialEnd {
    /// Whether somebody has to do something about it: it ends soon and nobody renews it, or renewing it fails.
    pub fn is_worrying(&self, now: Timestamp) -> bool {
        match (self.renew_at, self.ends_at) {
            (Some(_), _) => self.trouble.is_some(),
            (None, Some(end)) => end <= now.plus(SOON),
            (None, None) => false,
        }
    }
}

/// A Secret that a token of Kubelend's own was bound to, and that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerToken {
    /// Its id.
    pub id: OwnTokenId,
    /// The cluster.
    pub cluster: ClusterId,
    /// Whose it was.
    pub account: AccountName,
    /// The Secret.
    pub secret: BoundSecret,
    /// How often it was tried in vain to delete it.
    pub attempts: i64,
    /// Why it stands still.
    pub trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn read(payload: &str) -> Option<AccountToken> {
        AccountToken::read(&format!("{}.{}.c2ln", BASE64.encode(r#"{"alg":"RS256"}"#), BASE64.encode(payload)))
    }

    #[test]
    fn tokens_of_both_kinds_say_whose_they_are_and_how_they_end() {
        let old = read(
            r#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:kubelend:kubelend",
            "kubernetes.io/serviceaccount/namespace":"kubelend","kubernetes.io/serviceaccount/secret.name":"kubelend-token",
            "kubernetes.io/serviceaccount/service-account.name":"kubelend","kubernetes.io/serviceaccount/service-account.uid":"u"}"#,
        )
        .unwrap();
        assert_eq!((old.account.to_string().as_str(), old.ends_at), ("kubelend/kubelend", None));
        assert_eq!(old.bound, Bound::Secret(BoundSecret { name: "kubelend-token".into(), uid: None }));
        let new = |bound: &str| {
            read(&format!(
                r#"{{"sub":"system:serviceaccount:a:b","exp":1800000060,
                "kubernetes.io":{{"namespace":"a","serviceaccount":{{"name":"b","uid":"u"}}{bound}}}}}"#
            ))
        };
        let bound = new(r#","secret":{"name":"s","uid":"su"}"#).unwrap();
        assert_eq!(bound.secret(), Some(&BoundSecret { name: "s".into(), uid: Some("su".into()) }));
        assert_eq!(bound.ends_at, Some(NOW.plus(Duration::from_mins(1))));
        assert_eq!(new(r#","pod":{"name":"p","uid":"pu"}"#).unwrap().bound, Bound::Other);
        assert_eq!(new("").unwrap().bound, Bound::Nothing);
    }

    #[test]
    fn what_is_no_service_accounts_token_or_contradicts_itself_is_none() {
        for payload in [
            r#"{"sub":"alice"}"#,
            r#"{"sub":"system:serviceaccount:a:other","kubernetes.io":{"namespace":"a","serviceaccount":{"name":"b","uid":"u"}}}"#,
            r#"{"sub":"system:serviceaccount:a/../x:b","kubernetes.io":{"namespace":"a/../x","serviceaccount":{"name":"b","uid":"u"}}}"#,
            r#"{"sub":"system:serviceaccount:a:b","kubernetes.io":{"namespace":"a","serviceaccount":"b"}}"#,
        ] {
            assert_eq!(read(payload), None, "{payload}");
        }
        assert_eq!(AccountToken::read("opaque"), None);
    }

    #[test]
    fn it_is_renewed_at_half_and_tried_again_while_there_is_time() {
        let days = |n: u64| NOW.plus(Duration::from_hours(24 * n));
        assert_eq!(renew_at(NOW, days(30)), days(15));
        assert_eq!(renew_again_at(NOW, Some(days(15))), NOW.plus(Duration::from_hours(6)));
        assert_eq!(renew_again_at(NOW, Some(NOW.plus(Duration::from_hours(8)))), NOW.plus(Duration::from_hours(1)));
        assert_eq!(renew_again_at(NOW, Some(NOW.plus(Duration::from_secs(8)))), NOW.plus(Duration::from_mins(1)));
        assert_eq!(renew_again_at(NOW, Some(NOW)), NOW.plus(Duration::from_hours(6)));
    }

    #[test]
    fn what_nobody_renews_is_worth_a_word_before_it_ends() {
        let end = |ends: Option<u64>, renews: bool, trouble: Option<&str>| CredentialEnd {
            ends_at: ends.map(|days| NOW.plus(Duration::from_hours(24 * days))),
            renew_at: renews.then_some(NOW),
            trouble: trouble.map(Into::into),
        };
        assert!(!end(None, false, None).is_worrying(NOW));
        assert!(!end(Some(15), false, None).is_worrying(NOW));
        assert!(end(Some(14), false, None).is_worrying(NOW));
        assert!(end(Some(0), false, None).is_worrying(NOW.plus(SOON)));
        assert!(!end(Some(14), true, None).is_worrying(NOW));
        assert!(end(Some(20), true, Some("no")).is_worrying(NOW));
    }
}
