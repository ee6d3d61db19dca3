//! Applying a file beside the server, or without it: on the same database, with the same key ring. What is written is taken up by the
//! server's loop within a second; clusters are asked here only whether they have a role that they alone define.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{AppError, folder, keys, policy, rules};
use crate::{
    access::{
        AccessError, Applier, Declared, Exports, Federation, Gate, Grants, Observer, OwnClients, Plan, Refused,
        Stopped, Workspaces,
    },
    clock::Clock,
    config::Settings,
    declared::{self, Mistake},
    k8s::{Connector, DirectDialer},
    model::{federation::WideScope, file::AccessFile, provider::ProviderId, workspace::Workspace},
    policy::applying,
    store::Store,
};

/// What applying a file came to, or would come to.
#[derive(Debug)]
pub struct Applied {
    /// The steps, and what was left alone.
    pub plan: Plan,
    /// The step at which it stopped, if it did.
    pub stopped: Option<Stopped>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The file is wrong.
    #[error("the file cannot be applied as it is")]
    Mistakes(Vec<Mistake>),
    /// Kubelend cannot be opened.
    #[error(transparent)]
    App(#[from] AppError),
    /// What there is cannot be looked at.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl From<Refused> for ApplyError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Mistakes(mistakes) => Self::Mistakes(mistakes),
            Refused::Access(error) => Self::Access(error),
        }
    }
}

/// Applies the file with this text, or says what that would come to (`dry`).
///
/// # Errors
/// Why nothing was written.
pub async fn apply(settings: &Settings, text: &str, dry: bool) -> Result<Applied, ApplyError> {
    let providers: Vec<ProviderId> = settings.providers.iter().map(|provider| provider.id.clone()).collect();
    // Before the database: a typing mistake needs none.
    let file = declared::read(text, &providers).map_err(ApplyError::Mistakes)?;
    folder(&settings.data_dir)?;
    let store = Store::open(settings.database_url.expose_secret()).await.map_err(AppError::from)?;
    let applied = Box::pin(with(settings, &store, &file, dry)).await;
    store.close().await;
    applied
}

/// The access that there is as a file: all of it, or one workspace's by its name or id. `None` where not exactly one is called so.
///
/// # Errors
/// Why that cannot be said.
pub async fn export(settings: &Settings, workspace: Option<&str>) -> Result<Option<String>, ApplyError> {
    folder(&settings.data_dir)?;
    let store = Store::open(settings.database_url.expose_secret()).await.map_err(AppError::from)?;
    let text = written(settings, &store, workspace).await;
    store.close().await;
    Ok(text?)
}

async fn written(settings: &Settings, store: &Store, workspace: Option<&str>) -> Result<Option<String>, AccessError> {
    let clock = Clock::System;
    let exports = Exports::new(store.clone(), settings.providers.iter().map(|p| p.id.clone()).collect(), clock.clone());
    let gate = Gate::new(store.clone(), Arc::new(policy(settings)), clock.clone());
    // Nobody is signed in on the command line: whoever reads holds the database as it is, as a file does that is applied.
    let name = "export".parse().unwrap_or_else(|_| unreachable!("it is a file's name"));
    let reader = applying(&AccessFile::not_applied(&name, clock.now()));
    let Some(wanted) = workspace else {
        let permit = gate.view_reach(&reader, WideScope::Global).await?;
        return exports.everything(&permit).await.map(Some);
    };
    let all = store.living_workspaces().await?;
    let named = |w: &&Workspace| w.id.to_string() == wanted || w.name.to_lowercase() == wanted.to_lowercase();
    let found: Vec<&Workspace> = all.iter().filter(named).collect();
    let [one] = found.as_slice() else { return Ok(None) };
    let permit = gate.view_workspace(&reader, one.id).await?;
    exports.workspace(&permit).await.map(Some)
}

async fn with(settings: &Settings, store: &Store, file: &declared::File, dry: bool) -> Result<Applied, ApplyError> {
    let declared = parts(settings, store).await?;
    let plan = Box::pin(declared.plan(file)).await?;
    let stopped = if dry { None } else { Box::pin(declared.carry_out(&plan)).await.err() };
    Ok(Applied { plan, stopped })
}

async fn parts(settings: &Settings, store: &Store) -> Result<Declared, AppError> {
    let clock = Clock::System;
    let keyring = Arc::new(keys::open(settings, store).await?);
    let instance: Arc<str> = store.instance_id().await?.into();
    let connector = Connector::new(Arc::new(DirectDialer::new(rules(settings))));
    let clients = OwnClients::new(store.clone(), keyring, connector);
    let applier = Applier::new(store.clone(), clients.clone(), instance.clone(), clock.clone());
    let observer = Observer::new(clients, store.clone(), instance);
    Ok(Declared::new(
        store.clone(),
        Gate::new(store.clone(), Arc::new(policy(settings)), clock.clone()),
        Workspaces::new(store.clone(), clock.clone()),
        Federation::new(store.clone(), clock.clone()),
        Grants::new(store.clone(), applier, observer, clock.clone()),
        clock,
    ))
}
