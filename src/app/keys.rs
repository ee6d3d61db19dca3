//! The key ring and the database belong together: with another ring nothing opens that the database keeps sealed, and a replica
//! with a ring of its own would seal what the others cannot open. So the database remembers which keys have sealed something,
//! and Kubelend does not start with a ring that lacks one of them, nor makes a ring where such a one is missing.

use secrecy::ExposeSecret;

use super::{AppError, folder};
use crate::{
    clock::Clock,
    config::Settings,
    crypto::{CryptoError, Keyring},
    store::Store,
};

/// A key ring that does not go with the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this database keeps things that were sealed with {}, and {found}", named(.missing))]
pub struct OtherKeys {
    /// The fingerprints of the keys that are missing.
    pub missing: Vec<String>,
    /// What there is in their place, in words.
    found: String,
}

impl OtherKeys {
    /// Holds a ring (`None`: its file is missing) against the keys that have sealed something.
    ///
    /// # Errors
    /// Itself, where the ring lacks one.
    pub fn look(settings: &Settings, ring: Option<&Keyring>, known: &[String]) -> Result<(), Self> {
        let held = ring.map_or_else(Vec::new, Keyring::fingerprints);
        let missing: Vec<String> = known.iter().filter(|key| !held.contains(key)).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(Self::new(settings, missing, &held)) }
    }

    fn new(settings: &Settings, missing: Vec<String>, held: &[String]) -> Self {
        let path = settings.keyring_file.display();
        let found = match held {
            [] => format!("the key ring {path} is missing"),
            held => format!("the key ring {path} holds {} instead", named(held)),
        };
        Self { missing, found }
    }
}

fn named(keys: &[String]) -> String {
    let noun = if keys.len() == 1 { "key" } else { "keys" };
    format!("{noun} {}", keys.join(", "))
}

/// The key ring that the settings name, made where there is none and the database has none to miss.
pub(super) async fn open(settings: &Settings, store: &Store) -> Result<Keyring, AppError> {
    let ring = Keyring::read(&settings.keyring_file)?;
    OtherKeys::look(settings, ring.as_ref(), &store.sealing_keys().await?)?;
    let ring = ring.map_or_else(|| made(settings), Ok)?;
    let held = ring.fingerprints();
    // Asked in a transaction too: another replica may have begun with a ring of its own at this moment.
    match store.begin_sealing(&held).await? {
        missing if missing.is_empty() => Ok(ring),
        missing => Err(OtherKeys::new(settings, missing, &held).into()),
    }
}

fn made(settings: &Settings) -> Result<Keyring, CryptoError> {
    Keyring::open_or_create(&settings.keyring_file)
}

/// Takes the key ring that is there (made where it is missing) for the one that goes with the database. Returns the fingerprints
/// of the keys that are given up.
///
/// # Errors
/// Ring or database cannot be used.
pub async fn accept(settings: &Settings) -> Result<Vec<String>, AppError> {
    folder(&settings.data_dir)?;
    let store = Store::open(settings.database_url.expose_secret()).await?;
    let ring = made(settings)?;
    let given_up = store.accept_keys(&ring.fingerprints(), Clock::System.now()).await;
    store.close().await;
    Ok(given_up?)
}
