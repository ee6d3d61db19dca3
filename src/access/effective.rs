//! “What can X do here?” and “who can …?”: asked of the cluster, and explained by the bindings and roles that stand there.
//!
//! Two answers to each question. The cluster's own (a SubjectAccessReview with Kubelend's credential) is what counts; the rules of
//! the bindings say why, and who else. Where they disagree, both are shown. A person's groups are told to a cluster only as far
//! as bindings there name them: the others change nothing, and are none of its owner's business.

mod asking;
mod holders;
mod said;

use std::{
    collections::{BTreeMap, HashMap},
    iter,
    time::Duration,
};

pub use said::{Answer, AnswerAt, Gaps, Holder, Named, Part, Source, WhatCan, WhoCan};

use asking::{NAMESPACES, ask, asks_about, asks_of};
use holders::{first, holders, known_there, plain};

use super::{AccessError, Observer, OwnClients};
use crate::{
    bindings::{Rbac, Way},
    k8s::{ClusterClient, FoundBinding, K8sError, Listed},
    model::{
        cluster::Cluster,
        grant::{Grant, Grantee, Origin},
        group::GroupName,
        id::{FederatedGrantId, GrantId},
        identity::Identity,
        questions::{QUESTIONS, Question, Reach},
        rbac::{Actor, Deed},
        subject::Subject,
    },
    policy::{Authorized, ViewCluster},
    store::{Store, StoreError},
};

/// How long reading bindings and roles may take; a page waits.
const LOOK: Duration = Duration::from_secs(2);
/// Bindings of one kind that are read at most, as `k8s` has it.
const MOST_BINDINGS: usize = 2_000;

/// Whom a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever a grant could be for.
    Grantee(Grantee),
    /// A subject as the cluster names it.
    Subject(Subject),
}

/// Answers.
#[derive(Clone, Debug)]
pub struct Insight {
    clients: OwnClients,
    observer: Observer,
    store: Store,
}

impl Insight {
    /// With these parts.
    pub fn new(clients: OwnClients, observer: Observer, store: Store) -> Self {
        Self { clients, observer, store }
    }

    /// What they can do in a namespace, or (`None`) on the whole cluster.
    ///
    /// # Errors
    /// `Invalid` at the field `name` where the cluster has no name for them; the cluster's trouble where it does not answer.
    pub async fn what_can(
        &self,
        permit: &Authorized<ViewCluster>,
        whom: Whom,
        namespace: Option<&str>,
    ) -> Result<WhatCan, AccessError> {
        let cluster = permit.cluster();
        let mut named = self.named(cluster, whom).await?;
        let client = self.clients.client(cluster.id, LOOK).await?;
        let (rbac, mut gaps) = read(&client).await?;
        named.actor.groups = known_there(&rbac, named.actor.groups, named.person.is_some());
        let fits = |q: &&Question| namespace.is_none() || q.reach == Reach::Namespaced;
        let mut answers: Vec<Answer> = Vec::new();
        for question in QUESTIONS.iter().filter(fits) {
            answers.push(self.answer(&rbac, &named.actor, question, namespace).await?);
        }
        let said = ask(&client, asks_of(&named.actor, &answers), &mut gaps).await;
        let places =
            answers.iter_mut().flat_map(|a| iter::once(&mut a.here).chain(a.elsewhere.iter_mut().take(NAMESPACES)));
        let parts = places.flat_map(|place| place.parts.iter_mut());
        for (part, said) in parts.zip(said) {
            part.said = said;
        }
        Ok(WhatCan { named, answers, gaps })
    }

    /// Who can do one of these, in a namespace or (`None`) anywhere.
    ///
    /// # Errors
    /// The cluster's trouble where it does not answer.
    pub async fn who_can(
        &self,
        permit: &Authorized<ViewCluster>,
        deeds: &[Deed],
        namespace: Option<&str>,
    ) -> Result<WhoCan, AccessError> {
        let client = self.clients.client(permit.cluster().id, LOOK).await?;
        let (rbac, mut gaps) = read(&client).await?;
        let (mut holders, more) = first(holders(&rbac, deeds, namespace));
        let asks = holders.iter().flat_map(asks_about).collect();
        let said = ask(&client, asks, &mut gaps).await;
        for (part, said) in holders.iter_mut().flat_map(|h| &mut h.parts).zip(said) {
            part.said = said;
        }
        let mut known = HashMap::new();
        for source in holders.iter_mut().flat_map(|h| &mut h.parts).flat_map(|p| &mut p.sources) {
            source.grant = self.grant_of(&source.binding, &mut known).await?;
            source.group = self.group_of(source.grant.as_deref()).await?;
        }
        Ok(WhoCan { holders, more, gaps })
    }

    async fn named(&self, cluster: &Cluster, whom: Whom) -> Result<Named, AccessError> {
        let grantee = match whom {
            Whom::Subject(subject) => return Ok(Named { actor: Actor::of(&subject), person: None }),
            Whom::Grantee(grantee) => grantee,
        };
        let person = match &grantee {
            Grantee::Person(id) => Some(self.store.identity(*id).await?),
            Grantee::Email(provider, email) => self.store.identity_by_email(provider, email).await?,
            Grantee::Group(..) | Grantee::ServiceAccount(_) => None,
        };
        let grantee = person.as_ref().map_or(grantee, |person| Grantee::Person(person.id));
        let provider = match &grantee {
            Grantee::Person(_) => person.as_ref().map(|p| &p.provider),
            Grantee::Email(provider, _) | Grantee::Group(provider, _) => Some(provider),
            Grantee::ServiceAccount(account) => {
                return Ok(Named { actor: Actor::of(&account.subject()), person: None });
            }
        };
        let invalid = |message: String| AccessError::Invalid { field: "name", message };
        let mapping = provider
            .and_then(|p| cluster.mapping(p))
            .ok_or_else(|| invalid("This cluster does not trust the provider that they sign in at.".into()))?;
        let subject = grantee
            .subject(mapping, person.as_ref())
            .map_err(|why| invalid(format!("They cannot be named there: {why}.")))?;
        let mut actor = Actor::of(&subject);
        actor.groups.extend(person.iter().flat_map(|p| mapping.groups(p)));
        Ok(Named { actor, person })
    }

    async fn answer(
        &self,
        rbac: &Rbac,
        actor: &Actor,
        question: &'static Question,
        namespace: Option<&str>,
    ) -> Result<Answer, AccessError> {
        let mut known = HashMap::new();
        let mut here = AnswerAt { namespace: namespace.map(ToOwned::to_owned), parts: Vec::new() };
        let mut elsewhere: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        for deed in question.deeds() {
            let mut sources = Vec::new();
            for way in rbac.ways(actor, &deed) {
                let source = self.source(&way, &mut known).await?;
                match (&way.binding.namespace, way.counts_in(namespace)) {
                    (_, true) => sources.push(source),
                    (Some(other), false) if namespace.is_none() && question.reach == Reach::Namespaced => {
                        let parts = elsewhere.entry(other.clone()).or_default();
                        match parts.iter_mut().find(|p| p.deed == deed) {
                            Some(part) => part.sources.push(source),
                            None => parts.push(Part { deed: deed.clone(), said: None, sources: vec![source] }),
                        }
                    }
                    _ => {}
                }
            }
            here.parts.push(Part { deed, said: None, sources });
        }
        let elsewhere = elsewhere.into_iter().map(|(name, parts)| AnswerAt { namespace: Some(name), parts }).collect();
        Ok(Answer { question, here, elsewhere })
    }

    async fn source(&self, way: &Way<'_>, known: &mut Known) -> Result<Source, AccessError> {
        let grant = self.grant_of(way.binding, known).await?;
        let group = self.group_of(grant.as_deref()).await?;
        Ok(Source { grant, group, ..plain(way) })
    }

    /// The Group that a grant was written out for, with what was given to it.
    async fn group_of(
        &self,
        grant: Option<&(Grant, Option<Identity>)>,
    ) -> Result<Option<(FederatedGrantId, GroupName)>, AccessError> {
        let Some(Origin::Federated(id)) = grant.map(|(grant, _)| grant.origin) else { return Ok(None) };
        Ok(self.store.groups_behind(&[id]).await?.remove(&id).map(|name| (id, name)))
    }

    /// The grant that a binding was made for, if Kubelend made it.
    async fn grant_of(&self, binding: &FoundBinding, known: &mut Known) -> Result<KnownGrant, AccessError> {
        let Some(id) = self.observer.made_for(binding).await? else { return Ok(None) };
        if let Some(grant) = known.get(&id) {
            return Ok(grant.clone());
        }
        let grant = match self.store.grant(id).await {
            Ok(grant) => Some(Box::new(grant)),
            Err(StoreError::NotFound) => None,
            Err(other) => return Err(other.into()),
        };
        known.insert(id, grant.clone());
        Ok(grant)
    }
}

type KnownGrant = Option<Box<(Grant, Option<Identity>)>>;
type Known = HashMap<GrantId, KnownGrant>;

/// Reads all bindings and roles. A credential that may not is a gap: the cluster can be asked all the same.
async fn read(client: &ClusterClient) -> Result<(Rbac, Gaps), AccessError> {
    let both = async { tokio::try_join!(client.bindings(None), client.all_roles()) };
    let read = tokio::time::timeout(LOOK, both).await.unwrap_or(Err(K8sError::TimedOut));
    let mut gaps = Gaps::default();
    let rbac = match read {
        Ok((bindings, roles)) => {
            let wide = bindings.iter().filter(|b| b.namespace.is_none()).count();
            let cut = wide.max(bindings.len() - wide) >= MOST_BINDINGS;
            Rbac::new(Listed { items: bindings, cut }, roles)
        }
        Err(error @ K8sError::Forbidden(_)) => {
            gaps.rules = Some(error.into());
            Rbac::default()
        }
        Err(error) => return Err(error.into()),
    };
    gaps.cut = rbac.is_cut();
    Ok((rbac, gaps))
}
