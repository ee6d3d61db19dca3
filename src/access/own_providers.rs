//! Providers of a workspace's own: its owners add, change, switch off and remove one, and everybody signs in with what was read last.
//!
//! A provider is asked what it is before it is kept. Its secret is sealed for its row and never shown again. What was changed here
//! counts here at once; other replicas read it within seconds, and the database has the last word on who signs in
//! (`record_sign_in`) and whom a cluster trusts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};

use super::{AccessError, audit};
use crate::{
    clock::Clock,
    crypto::{self, Keyring},
    model::{
        audit::Action,
        ca::{self, BadCa},
        grant::Grantee,
        id::WorkspaceId,
        identity::Identity,
        issuer::{self, BadIssuer},
        own_provider::{OwnProvider, OwnRules},
        provider::ProviderId,
    },
    oidc::{OidcError, Provider, ProviderSettings, Providers},
    policy::{Authorized, Forbidden, ManageWorkspace},
    store::{NewOwnProvider, NewSecret, OwnProviderOn, Store, StoreError},
};

/// Between two looks at what other replicas have changed.
const LOOK: Duration = Duration::from_secs(3);
/// The longest secret of a client.
const LONGEST_SECRET: usize = 1000;
/// The longest issuer.
const LONGEST_ISSUER: usize = 500;
/// The longest CA, as PEM: a few certificates. It stands in kubeconfigs and on a page.
const LONGEST_CA: usize = 16 * 1024;

/// A provider to add.
#[derive(Debug)]
pub struct OwnProviderRequest {
    /// The issuer, to the letter.
    pub issuer: String,
    /// Our client there.
    pub client_id: String,
    /// Its secret; empty for a public client.
    pub secret: SecretString,
    /// The rest.
    pub rules: OwnRules,
}

/// Providers of workspaces' own.
#[derive(Clone, Debug)]
pub struct OwnProviders {
    store: Store,
    keyring: Arc<Keyring>,
    providers: Providers,
    clock: Clock,
    told: Arc<Mutex<Unusable>>,
}

/// Providers that nobody can sign in with, by id, and why.
type Unusable = BTreeMap<String, String>;

impl OwnProviders {
    /// With these parts.
    pub fn new(store: Store, keyring: Arc<Keyring>, providers: Providers, clock: Clock) -> Self {
        Self { store, keyring, providers, clock, told: Arc::default() }
    }

    /// Adds one, once it has said what it is. `Invalid` names the form's field (`name`, `issuer`, `client_id`, `secret`,
    /// `direct_client_id`, `ca`, `scopes`).
    pub async fn add(
        &self,
        permit: &Authorized<ManageWorkspace>,
        request: OwnProviderRequest,
    ) -> Result<ProviderId, AccessError> {
        let workspace = permit.workspace();
        if workspace.removing.is_some() {
            return Err(Forbidden::WorkspaceGoing.into());
        }
        let OwnProviderRequest { issuer, client_id, secret, rules } = request;
        let id = ProviderId::of_workspace(workspace.id, crypto::random());
        self.check_issuer(&issuer)?;
        check_rules(&client_id, &rules)?;
        self.check_name(&rules)?;
        let secret = checked_secret(secret)?;
        self.try_out(settings(&id, &issuer, &client_id, secret.clone(), &rules)).await?;
        let new = NewOwnProvider {
            sealed_secret: secret.as_ref().map(|secret| self.seal(&id, secret)),
            workspace: workspace.id,
            issuer,
            client_id,
            rules,
            created_by: permit.person().identity().id,
            id,
        };
        let target = format!("“{}”, {}, client {}", new.rules.name, new.issuer, new.client_id);
        let event = audit::by(permit.person(), Action::OwnProviderAdded, target);
        self.store.add_own_provider(&new, event, self.clock.now()).await.map_err(refused)?;
        self.read_again().await?;
        Ok(new.id)
    }

    /// Changes one as it was `seen`, once it has answered with that; a secret that is empty stays what it was. `Invalid` as above.
    pub async fn change(
        &self,
        permit: &Authorized<ManageWorkspace>,
        seen: &OwnProvider,
        rules: OwnRules,
        secret: SecretString,
    ) -> Result<(), AccessError> {
        is_of(permit, &seen.id)?;
        check_rules(&seen.client_id, &rules)?;
        self.check_name(&rules)?;
        let secret = checked_secret(secret)?;
        self.try_out(settings(&seen.id, &seen.issuer, &seen.client_id, secret.clone(), &rules)).await?;
        let replaced = if secret.is_some() { ", with another secret" } else { "" };
        let new = secret.map_or(NewSecret::Keep, |secret| NewSecret::Put(self.seal(&seen.id, &secret)));
        let target = format!("“{}”{replaced}", rules.name);
        let event = audit::by(permit.person(), Action::OwnProviderChanged, target);
        self.store.change_own_provider(seen, &rules, &new, event, self.clock.now()).await.map_err(refused)?;
        self.read_again().await
    }

    /// Switches one off, or on again. Repeating it is fine.
    pub async fn switch(
        &self,
        permit: &Authorized<ManageWorkspace>,
        id: &ProviderId,
        on: bool,
    ) -> Result<(), AccessError> {
        is_of(permit, id)?;
        let provider = self.store.own_provider(id).await?;
        let action = if on { Action::OwnProviderOn } else { Action::OwnProviderOff };
        let event = audit::by(permit.person(), action, format!("“{}”", provider.rules.name));
        self.store.switch_own_provider(id, on, event, self.clock.now()).await.map_err(refused)?;
        self.read_again().await
    }

    /// Removes one with all that its people have. Repeating it is fine.
    pub async fn remove(&self, permit: &Authorized<ManageWorkspace>, id: &ProviderId) -> Result<(), AccessError> {
        is_of(permit, id)?;
        let name = match self.store.own_provider(id).await {
            Ok(provider) => provider.rules.name,
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let event = audit::by(permit.person(), Action::OwnProviderRemoved, format!("“{name}”"));
        self.store.remove_own_provider(id, event, self.clock.now()).await.map_err(refused)?;
        self.read_again().await
    }

    /// A provider of either kind. One of a workspace's own that is not known here is looked for in the database: another replica may
    /// have added it a moment ago.
    pub async fn find(&self, id: &ProviderId) -> Result<Option<Arc<Provider>>, AccessError> {
        let found = self.providers.get(id);
        if found.is_some() || id.home().is_none() || !self.store.is_own_provider_on(id).await? {
            return Ok(found);
        }
        self.read_again().await?;
        Ok(self.providers.get(id))
    }

    /// Reads what there is, so that all of this process sign people in with it. One that cannot be used is left out, with a word in the
    /// log once; the others go on.
    pub async fn read_again(&self) -> Result<(), AccessError> {
        let read = self.store.own_providers_on().await?;
        let (mut usable, mut unusable) = (Vec::new(), Unusable::new());
        for one in read {
            let id = one.id.clone();
            match self.usable(one) {
                Ok(settings) => usable.push(settings),
                Err(why) => drop(unusable.insert(id, why)),
            }
        }
        let left_out = self.providers.replace_own(usable);
        unusable.extend(left_out.into_iter().map(|(id, why)| (id.to_string(), why)));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, why) in untold(&told, &unusable) {
            tracing::warn!(provider = %id, %why, "nobody signs in with a workspace's own provider");
        }
        *told = unusable;
        Ok(())
    }

    /// What one is asked with; or why it cannot be used.
    fn usable(&self, one: OwnProviderOn) -> Result<(i64, ProviderSettings), String> {
        let provider = one.provider.map_err(|error| error.to_string())?;
        if self.providers.iter().any(|other| other.settings().issuer == provider.issuer) {
            return Err("the configuration has this issuer by now".into());
        }
        let secret = one.sealed_secret.map(|sealed| self.open(&provider.id, &sealed)).transpose();
        let secret = secret.map_err(|error| format!("its client's secret: {error}"))?;
        let mapping = provider.mapping();
        let settings = settings(&provider.id, &provider.issuer, &provider.client_id, secret, &provider.rules);
        Ok((provider.revision, ProviderSettings { claim_mapping: mapping, ..settings }))
    }

    /// Whether the secret of one can be opened with the keys that there are.
    pub async fn opens(&self, provider: &OwnProvider) -> Result<bool, AccessError> {
        let sealed = self.store.own_provider_secret(&provider.id).await?;
        Ok(sealed.is_none_or(|sealed| self.open(&provider.id, &sealed).is_ok()))
    }

    /// Reads again every few seconds until `stop` resolves.
    pub async fn keep_reading(self, stop: impl Future<Output = ()> + Send) {
        let reading = async {
            loop {
                if let Err(error) = self.read_again().await {
                    tracing::warn!(%error, "workspaces' own providers could not be read; trying again");
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = reading => {}
        }
    }

    fn check_issuer(&self, text: &str) -> Result<(), AccessError> {
        check_length(text)?;
        if let Err(why) = issuer::check(text, self.providers.rules().allow_loopback) {
            let hint =
                if matches!(why, BadIssuer::Loopback(_)) { "" } else { " Copy it to the letter from the provider." };
            let why = match why {
                BadIssuer::Credentials => "It holds a user or a password.".to_owned(),
                other => format!("{other}."),
            };
            return Err(invalid("issuer", format!("{why}{hint}")));
        }
        // A cluster cannot trust one issuer twice, and its tokens are for the configured client.
        if self.providers.iter().any(|other| other.settings().issuer == text) {
            let message = "People of all workspaces sign in there already: clusters trust it without this.";
            return Err(invalid("issuer", message));
        }
        Ok(())
    }

    /// People choose by name where they type their password.
    fn check_name(&self, rules: &OwnRules) -> Result<(), AccessError> {
        let name = rules.name.as_str().to_lowercase();
        if self.providers.iter().any(|other| other.settings().name.to_lowercase() == name) {
            return Err(invalid(
                "name",
                "The provider of everybody is called so. Give it a name that nobody takes for that one’s.",
            ));
        }
        Ok(())
    }

    async fn try_out(&self, settings: ProviderSettings) -> Result<(), AccessError> {
        self.providers.try_out(settings).await.map_err(|error| {
            let why = match error {
                OidcError::Unreachable(why) => format!("It does not answer: {why}"),
                OidcError::Nonsense(why) => format!("What answers there is not that provider: {why}"),
                other => other.to_string(),
            };
            invalid("issuer", why)
        })
    }

    fn seal(&self, id: &ProviderId, secret: &SecretString) -> Vec<u8> {
        self.keyring.seal(&context(id), secret.expose_secret().as_bytes())
    }

    fn open(&self, id: &ProviderId, sealed: &[u8]) -> Result<SecretString, AccessError> {
        let plain = self.keyring.open(&context(id), sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| crypto::CryptoError::DoesNotOpen)?;
        Ok(SecretString::from(text.to_owned()))
    }
}

/// Whether somebody counts where something is to be given to them: in this workspace, or (`None`) everywhere.
///
/// # Errors
/// `Invalid` at the field `name`.
pub(super) fn counts_in(
    who: &Grantee,
    person: Option<&Identity>,
    workspace: Option<WorkspaceId>,
) -> Result<(), AccessError> {
    let provider = match who {
        Grantee::Person(_) => person.map(|person| &person.provider),
        Grantee::Email(provider, _) | Grantee::Group(provider, _) => Some(provider),
        Grantee::ServiceAccount(_) => None,
    };
    if provider.is_none_or(|provider| provider.counts_in(workspace)) { Ok(()) } else { Err(elsewhere("name")) }
}

/// What is said at this field of somebody who does not count there.
pub(super) fn elsewhere(field: &'static str) -> AccessError {
    invalid(field, "They sign in at a provider of another workspace’s own, and count in that workspace alone.")
}

/// Those of which the log says nothing yet, or something else.
fn untold<'a>(told: &Unusable, now: &'a Unusable) -> Vec<(&'a String, &'a String)> {
    now.iter().filter(|(id, why)| told.get(*id) != Some(*why)).collect()
}

fn is_of(permit: &Authorized<ManageWorkspace>, id: &ProviderId) -> Result<(), AccessError> {
    if id.home() == Some(permit.workspace().id) { Ok(()) } else { Err(AccessError::NotFound) }
}

fn context(id: &ProviderId) -> String {
    format!("provider:{id}:secret")
}

fn settings(
    id: &ProviderId,
    issuer: &str,
    client_id: &str,
    client_secret: Option<SecretString>,
    rules: &OwnRules,
) -> ProviderSettings {
    ProviderSettings {
        id: id.clone(),
        name: rules.name.to_string(),
        issuer: issuer.to_owned(),
        client_id: client_id.to_owned(),
        client_secret,
        direct_client_id: rules.direct_client_id.clone(),
        relay: true,
        ca_pem: rules.ca_pem.clone(),
        scopes: rules.scopes.clone(),
        claim_mapping: crate::model::claim_mapping::ClaimMapping {
            username_claim: rules.username_claim,
            groups_claim: rules.groups_claim.clone(),
            ..Default::default()
        },
    }
}

/// The same as the configuration asks of its providers.
fn check_rules(client_id: &str, rules: &OwnRules) -> Result<(), AccessError> {
    if rules.direct_client_id.as_deref() == Some(client_id) {
        let message =
            "That is the client above. Name a second, public one, or leave it empty: kubeconfigs are relayed then.";
        return Err(invalid("direct_client_id", message));
    }
    if rules.ca_pem.as_ref().is_some_and(|pem| pem.len() > LONGEST_CA) {
        return Err(invalid("ca", "That is more than a few certificates. Paste the CA’s alone."));
    }
    match rules.ca_pem.as_deref().map_or(Ok(()), ca::check) {
        Ok(()) => Ok(()),
        Err(BadCa::NoCertificate) => Err(invalid(
            "ca",
            "There is no PEM certificate in it: paste the CA’s, from -----BEGIN CERTIFICATE----- on.",
        )),
        Err(BadCa::PrivateKey) => Err(invalid(
            "ca",
            "There is a private key in it. Paste the certificate alone: it is written into kubeconfigs.",
        )),
    }
}

/// Before it is looked at in any other way, and whatever the page's form lets somebody type.
fn check_length(issuer: &str) -> Result<(), AccessError> {
    if issuer.len() > LONGEST_ISSUER {
        return Err(invalid("issuer", "An issuer has at most 500 characters."));
    }
    Ok(())
}

/// Nothing where there is none.
fn checked_secret(secret: SecretString) -> Result<Option<SecretString>, AccessError> {
    let text = secret.expose_secret();
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > LONGEST_SECRET || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(invalid("secret", "This is no client’s secret: one word, without spaces or line ends."));
    }
    Ok(Some(secret))
}

fn refused(error: StoreError) -> AccessError {
    match error {
        StoreError::Duplicate(message) => invalid("issuer", message),
        StoreError::Full(most) => invalid("name", format!("There is no more room: {most} are the most.")),
        StoreError::Stale => invalid("name", "Somebody has changed it meanwhile. Look at what it says now."),
        StoreError::LastOwner => Forbidden::LastOwner.into(),
        other => other.into(),
    }
}

fn invalid(field: &'static str, message: impl Into<String>) -> AccessError {
    AccessError::Invalid { field, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{claim_mapping::UsernameClaim, id::IdentityId};

    fn rules() -> OwnRules {
        OwnRules {
            name: "Payments SSO".parse().unwrap(),
            direct_client_id: None,
            ca_pem: None,
            scopes: vec!["openid".into()],
            username_claim: UsernameClaim::Email,
            groups_claim: "groups".into(),
        }
    }

    fn field(result: Result<(), AccessError>) -> &'static str {
        match result {
            Err(AccessError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn immune_21_a_secret_with_line_ends_or_without_measure_is_no_secret() {
        for bad in ["a\nb", "a b", &"x".repeat(1001)] {
            assert!(checked_secret(SecretString::from(bad.to_owned())).is_err());
        }
        assert!(checked_secret(SecretString::from(String::new())).unwrap().is_none());
        assert!(checked_secret(SecretString::from("s3cret".to_owned())).unwrap().is_some());
    }

    #[test]
    fn immune_14_a_ca_is_a_certificate_and_clients_are_two() {
        assert!(check_rules("kubelend", &rules()).is_ok());
        let same = OwnRules { direct_client_id: Some("kubelend".into()), ..rules() };
        assert_eq!(field(check_rules("kubelend", &same)), "direct_client_id");
        for bad in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA", "", &"-".repeat(20_000)] {
            let with = OwnRules { ca_pem: Some(bad.into()), ..rules() };
            assert_eq!(field(check_rules("kubelend", &with)), "ca", "{bad}");
        }
    }

    #[test]
    fn immune_23_an_issuer_and_a_ca_have_a_measure_here_whatever_the_form_says() {
        let issuer = |length: usize| format!("https://{}", "a".repeat(length - "https://".len()));
        assert!(check_length(&issuer(500)).is_ok());
        assert_eq!(field(check_length(&issuer(501))), "issuer");
        // Each of them a good certificate, as far as anybody can see here.
        let one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let with = |count: usize| OwnRules { ca_pem: Some(one.repeat(count)), ..rules() };
        assert!(check_rules("kubelend", &with(LONGEST_CA / one.len())).is_ok());
        assert_eq!(field(check_rules("kubelend", &with(LONGEST_CA / one.len() + 1))), "ca");
    }

    #[test]
    fn what_stands_in_the_way_of_a_provider_is_told_once() {
        let all = |all: &[(&str, &str)]| -> Unusable {
            all.iter().map(|(id, why)| ((*id).to_owned(), (*why).to_owned())).collect()
        };
        let ids = |told: &Unusable, now: &Unusable| -> Vec<String> {
            untold(told, now).into_iter().map(|(id, _)| id.clone()).collect()
        };
        let before = all(&[("a", "x"), ("b", "x")]);
        assert_eq!(ids(&Unusable::new(), &before), ["a", "b"]);
        assert!(ids(&before, &before).is_empty());
        assert_eq!(ids(&before, &all(&[("a", "x"), ("b", "y"), ("c", "x")])), ["b", "c"]);
    }

    #[test]
    fn immune_32_nobody_of_a_workspaces_own_provider_is_given_anything_elsewhere() {
        let (home, other) = (WorkspaceId::new(), WorkspaceId::new());
        let own = ProviderId::of_workspace(home, [1; 5]);
        let person = Identity {
            id: IdentityId::new(),
            provider: own.clone(),
            issuer: "https://idp.example".into(),
            sub: "s".into(),
            email: None,
            email_verified: false,
            name: None,
            groups: Vec::new(),
            last_sign_in: crate::model::time::Timestamp::from_secs(0),
        };
        let all = [
            (Grantee::Person(person.id), Some(&person)),
            (Grantee::Email(own.clone(), "bob@example.com".parse().unwrap()), None),
            (Grantee::Group(own, "devs".into()), None),
        ];
        for (who, person) in all {
            assert!(counts_in(&who, person, Some(home)).is_ok());
            assert_eq!(field(counts_in(&who, person, Some(other))), "name");
            assert_eq!(field(counts_in(&who, person, None)), "name");
        }
    }
}
