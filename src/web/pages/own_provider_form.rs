//! The form that adds and changes a workspace's own provider, read field by field. The secret goes one way: it is never drawn.

use secrecy::SecretString;

use crate::{
    access::OwnProviderRequest,
    model::{
        claim_mapping::UsernameClaim,
        own_provider::{self, OwnProvider, OwnRules, ProviderName},
    },
    web::forms::{Choice, FieldErrors},
};

/// What is asked for where nothing else is said.
const SCOPES: &str = "openid email profile groups offline_access";

/// The form, as it is typed.
#[derive(serde::Deserialize)]
#[serde(default)]
pub struct OwnProviderForm {
    /// What people read.
    pub name: String,
    /// The issuer.
    pub issuer: String,
    /// Our client.
    pub client_id: String,
    /// Its secret.
    #[serde(deserialize_with = "secret")]
    pub secret: SecretString,
    /// A second, public client.
    pub direct_client_id: String,
    /// What is asked for.
    pub scopes: String,
    /// The claim that names people.
    pub username_claim: String,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// The CA, as PEM.
    pub ca: String,
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    <String as serde::Deserialize>::deserialize(from).map(SecretString::from)
}

impl std::fmt::Debug for OwnProviderForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnProviderForm")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl Default for OwnProviderForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            issuer: String::new(),
            client_id: String::new(),
            secret: SecretString::from(String::new()),
            direct_client_id: String::new(),
            scopes: SCOPES.into(),
            username_claim: UsernameClaim::Email.as_str().into(),
            groups_claim: "groups".into(),
            ca: String::new(),
        }
    }
}

impl From<&OwnProvider> for OwnProviderForm {
    fn from(provider: &OwnProvider) -> Self {
        let rules = &provider.rules;
        Self {
            name: rules.name.to_string(),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            secret: SecretString::from(String::new()),
            direct_client_id: rules.direct_client_id.clone().unwrap_or_default(),
            scopes: rules.scopes.join(" "),
            username_claim: rules.username_claim.as_str().into(),
            groups_claim: rules.groups_claim.clone(),
            ca: rules.ca_pem.clone().unwrap_or_default(),
        }
    }
}

impl OwnProviderForm {
    pub(super) fn claims(&self) -> Vec<Choice> {
        let all = [UsernameClaim::Email, UsernameClaim::Sub].map(UsernameClaim::as_str);
        all.into_iter().map(|claim| Choice::new(claim, claim, &self.username_claim)).collect()
    }

    /// One to add.
    pub(super) fn request(&self, errors: &mut FieldErrors) -> Option<OwnProviderRequest> {
        let issuer = self.issuer.trim();
        let issuer = if issuer.is_empty() { Err("Name the issuer.") } else { Ok(issuer.to_owned()) };
        let issuer = errors.keep("issuer", issuer);
        let client_id = errors.keep("client_id", own_provider::client_id(&self.client_id));
        let rules = self.rules(errors);
        Some(OwnProviderRequest { issuer: issuer?, client_id: client_id?, secret: self.secret.clone(), rules: rules? })
    }

    /// What may be changed.
    pub(super) fn rules(&self, errors: &mut FieldErrors) -> Option<OwnRules> {
        let name = errors.keep("name", self.name.parse::<ProviderName>());
        let direct = match self.direct_client_id.trim() {
            "" => Some(None),
            text => errors.keep("direct_client_id", own_provider::client_id(text)).map(Some),
        };
        let scopes = errors.keep("scopes", own_provider::scopes(&self.scopes));
        let claim = UsernameClaim::parse(&self.username_claim).ok_or("Choose the claim that names people.");
        let claim = errors.keep("username_claim", claim);
        let groups = errors.keep("groups_claim", own_provider::groups_claim(&self.groups_claim));
        // Browsers send line ends as CR LF.
        let ca = self.ca.trim().replace("\r\n", "\n");
        Some(OwnRules {
            name: name?,
            direct_client_id: direct?,
            ca_pem: (!ca.is_empty()).then(|| format!("{ca}\n")),
            scopes: scopes?,
            username_claim: claim?,
            groups_claim: groups?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> OwnProviderForm {
        OwnProviderForm {
            name: "Payments SSO".into(),
            issuer: " https://idp.example ".into(),
            client_id: "kubelend".into(),
            ..OwnProviderForm::default()
        }
    }

    #[test]
    fn mistakes_stand_at_their_fields() {
        let request = good().request(&mut FieldErrors::default()).unwrap();
        assert_eq!((request.issuer.as_str(), request.rules.scopes.len()), ("https://idp.example", 5));
        for (field, wrong) in [
            ("name", OwnProviderForm { name: " ".into(), ..good() }),
            ("issuer", OwnProviderForm { issuer: String::new(), ..good() }),
            ("client_id", OwnProviderForm { client_id: "a b".into(), ..good() }),
            ("direct_client_id", OwnProviderForm { direct_client_id: "a b".into(), ..good() }),
            ("scopes", OwnProviderForm { scopes: "email".into(), ..good() }),
            ("username_claim", OwnProviderForm { username_claim: "name".into(), ..good() }),
            ("groups_claim", OwnProviderForm { groups_claim: String::new(), ..good() }),
        ] {
            let mut errors = FieldErrors::default();
            assert!(wrong.request(&mut errors).is_none() && errors.has(field), "{field}");
        }
    }

    #[test]
    fn immune_21_a_secret_is_in_no_trace_of_the_form() {
        let form = OwnProviderForm { secret: SecretString::from("hunter2".to_owned()), ..good() };
        assert!(!format!("{form:?}").contains("hunter2"));
    }
}
