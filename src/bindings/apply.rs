//! Making a cluster so, for one grant. Every step is safe to repeat and safe to die after.
//!
//! It goes in two steps, with the database in between. [`Work::begin`] looks, and deletes what must go; then whoever calls forgets
//! the UIDs of [`Work::gone`], and [`Work::finish`] makes and mends. A death anywhere leaves either a UID that is remembered or a
//! binding that bears the grant's mark, and both are known again.

use super::{
    looks::{looks, looks_of},
    wanted::{GRANT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, MARK_LABEL, OWNER_LABEL, binding_name, place_in_words},
};
use crate::{
    k8s::{BindingObject, ClusterClient, FoundBinding, K8sError, Placed},
    model::binding::{Made, Memory},
};

/// How often one binding is looked at anew because somebody changed it in between.
const ATTEMPTS: usize = 3;

/// Why a grant's bindings do not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Something that is not ours bears the name.
    #[error("{0}")]
    Conflict(NotOurs),
    /// There is no such namespace.
    #[error("the API server answered 404: there is no namespace {0}")]
    NoNamespace(String),
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] K8sError),
}

/// What stands in the way of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotOurs(Box<FoundBinding>);

/// What had become of a binding that stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// It was gone, and was made again.
    Restored,
    /// Its subjects or our labels were changed, and were put right.
    Corrected,
    /// It gave another role, and was replaced.
    Replaced,
}

/// What an attempt has come to.
#[derive(Debug, Default)]
pub struct Ensured {
    /// Bindings that stand and are not remembered so.
    pub made: Vec<Made>,
    /// What was put right, and where: “the RoleBinding NAME in namespace a”.
    pub repairs: Vec<(Repair, String)>,
    /// The first failure. One place that fails does not keep the others from being served.
    pub failed: Option<ApplyError>,
}

/// An attempt to make exactly the wanted bindings of one grant stand.
#[derive(Debug)]
pub struct Work<'a> {
    client: &'a ClusterClient,
    memory: Memory,
    wanted: &'a [BindingObject],
    instance: &'a str,
    found: Vec<FoundBinding>,
    gone: Vec<(Made, Repair)>,
}

impl<'a> Work<'a> {
    /// Looks at all that bears the grant's name. What is ours and not wanted any more, or gives another role (a roleRef cannot be
    /// changed), is deleted: nothing that is wanted is lost by that.
    pub async fn begin(
        client: &'a ClusterClient,
        memory: Memory,
        wanted: &'a [BindingObject],
        instance: &'a str,
    ) -> Result<Self, K8sError> {
        let found = look(client, &memory).await?;
        let mut work = Self { client, memory, wanted, instance, found, gone: Vec::new() };
        work.clear().await?;
        Ok(work)
    }

    /// Bindings that are remembered and stand no more. The database must forget them before [`finish`](Self::finish).
    pub fn gone(&self) -> Vec<Made> {
        self.gone.iter().map(|(made, _)| made.clone()).collect()
    }

    async fn clear(&mut self) -> Result<(), K8sError> {
        for made in self.memory.made.clone() {
            let standing = self.found.iter().position(|f| f.uid == made.uid && f.namespace == made.namespace);
            let wanted = self.wanted.iter().find(|w| w.namespace == made.namespace);
            let repair = match (standing, wanted) {
                (Some(at), Some(wanted)) if self.found[at].gives(&wanted.role) => continue,
                // Another one bears the name: that is a conflict, and ours may come back.
                (None, Some(_)) if self.found.iter().any(|f| f.namespace == made.namespace) => continue,
                (None, _) => Repair::Restored,
                (Some(at), _) => {
                    delete(self.client, &self.found[at]).await?;
                    self.found.remove(at);
                    Repair::Replaced
                }
            };
            self.memory.made.retain(|m| *m != made);
            self.gone.push((made, repair));
        }
        Ok(())
    }

    /// Makes what is missing, and mends what differs, each only where it is ours.
    pub async fn finish(self) -> Ensured {
        let mut ensured = Ensured::default();
        for wanted in self.wanted {
            match self.ensure_one(wanted).await {
                Ok((standing, repair)) => {
                    let made = looks_of(&standing);
                    if self.memory.at(wanted.namespace.as_deref()) != Some(&made) {
                        ensured.made.push(made);
                    }
                    ensured.repairs.extend(repair.map(|repair| (repair, place_in_words(wanted))));
                }
                Err(error) => {
                    let silence = matches!(&error, ApplyError::Cluster(e) if e.is_silence());
                    ensured.failed.get_or_insert(error);
                    // Nobody is there: the other places would only wait for the same.
                    if silence {
                        break;
                    }
                }
            }
        }
        ensured
    }

    async fn ensure_one(&self, wanted: &BindingObject) -> Result<(FoundBinding, Option<Repair>), ApplyError> {
        let mut standing = self.found.iter().find(|f| f.namespace == wanted.namespace).cloned();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.attempt(wanted, standing.take()).await {
                // Changed or deleted between our look and our step: look again.
                Err(ApplyError::Cluster(error @ (K8sError::Conflict(_) | K8sError::NotFound))) => last = Some(error),
                other => return other,
            }
        }
        Err(match (last, &wanted.namespace) {
            (Some(K8sError::NotFound) | None, Some(namespace)) => ApplyError::NoNamespace(namespace.clone()),
            (Some(error), _) => error.into(),
            (None, None) => K8sError::NotFound.into(),
        })
    }

    async fn attempt(
        &self,
        wanted: &BindingObject,
        standing: Option<FoundBinding>,
    ) -> Result<(FoundBinding, Option<Repair>), ApplyError> {
        let standing = match standing {
            Some(standing) => standing,
            // It stood a moment ago. Whoever comes again forgets it first.
            None if self.memory.at(wanted.namespace.as_deref()).is_some() => {
                let gone = || K8sError::Conflict(format!("{} has just been deleted", place_in_words(wanted)));
                self.client.binding(wanted.namespace.as_deref(), &wanted.name).await?.ok_or_else(gone)?
            }
            None => match self.client.create_binding(&marked(wanted, self.memory.mark.as_deref())).await? {
                Placed::Created(made) => return Ok((made, self.restored(wanted))),
                Placed::Exists(standing) => standing,
            },
        };
        if !is_ours(&standing, &self.memory, self.instance) {
            return Err(ApplyError::Conflict(NotOurs(Box::new(standing))));
        }
        if !standing.gives(&wanted.role) {
            // One that a dead attempt left, with another role by now.
            delete(self.client, &standing).await?;
            return Err(K8sError::NotFound.into());
        }
        if agrees(&standing, wanted) {
            return Ok((standing, None));
        }
        let mended = self.client.apply_binding(&standing.uid, wanted).await?;
        // Where it is the wish that has changed, nobody has touched the binding.
        let was = self.memory.at(wanted.namespace.as_deref());
        let touched = was.is_some_and(|made| made.looks == looks(wanted));
        Ok((mended, touched.then_some(Repair::Corrected)))
    }

    /// Whether one that is made stood already.
    fn restored(&self, wanted: &BindingObject) -> Option<Repair> {
        let (made, repair) = self.gone.iter().find(|(made, _)| made.namespace == wanted.namespace)?;
        (*repair == Repair::Restored || made.looks == looks(wanted)).then_some(*repair)
    }
}

/// Makes no binding of the grant stand. `places` are the namespaces where they would be (`None`: cluster-wide). What bears the name
/// without being ours stays.
pub async fn ensure_absent(
    client: &ClusterClient,
    memory: &Memory,
    places: &[Option<String>],
    instance: &str,
) -> Result<(), K8sError> {
    // Those that are remembered go by their UIDs, whatever their labels say.
    for made in &memory.made {
        client.delete_binding(made.namespace.as_deref(), &binding_name(memory.grant), &made.uid).await?;
    }
    // An attempt that died may have left one where none is remembered.
    for place in places.iter().filter(|place| memory.at(place.as_deref()).is_none()) {
        if let Some(standing) = client.binding(place.as_deref(), &binding_name(memory.grant)).await?
            && is_ours(&standing, memory, instance)
        {
            delete(client, &standing).await?;
        }
    }
    Ok(())
}

/// What bears the grant's name: by its label first, so that an attempt that is cut short leaves less to do for the next one, then
/// what is remembered and was not found so. A credential that may not list everywhere looks where they would be.
async fn look(client: &ClusterClient, memory: &Memory) -> Result<Vec<FoundBinding>, K8sError> {
    let name = binding_name(memory.grant);
    let mut found = match client.bindings(Some(&format!("{GRANT_LABEL}={}", memory.grant))).await {
        Ok(all) => all,
        Err(K8sError::Forbidden(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    found.retain(|f| f.name == name);
    for made in &memory.made {
        if !found.iter().any(|f| f.namespace == made.namespace) {
            found.extend(client.binding(made.namespace.as_deref(), &name).await?);
        }
    }
    Ok(found)
}

async fn delete(client: &ClusterClient, binding: &FoundBinding) -> Result<(), K8sError> {
    client.delete_binding(binding.namespace.as_deref(), &binding.name, &binding.uid).await
}

fn marked(wanted: &BindingObject, mark: Option<&str>) -> BindingObject {
    let mut marked = wanted.clone();
    marked.labels.extend(mark.map(|mark| (MARK_LABEL.to_owned(), mark.to_owned())));
    marked
}

/// Whether a binding that bears the grant's name is ours: by its UID where one is remembered, else by the mark that an attempt
/// which died has left on it.
pub fn is_ours(standing: &FoundBinding, memory: &Memory, instance: &str) -> bool {
    let has = |key: &str, value: &str| standing.labels.get(key).is_some_and(|v| v == value);
    match (memory.at(standing.namespace.as_deref()), &memory.mark) {
        (Some(made), _) => made.uid == standing.uid,
        (None, Some(mark)) => has(MARK_LABEL, mark),
        (None, None) => {
            has(MANAGED_BY_LABEL, MANAGED_BY)
                && has(OWNER_LABEL, instance)
                && has(GRANT_LABEL, &memory.grant.to_string())
        }
    }
}

fn agrees(standing: &FoundBinding, wanted: &BindingObject) -> bool {
    looks_of(standing).looks == looks(wanted)
}

impl std::fmt::Display for NotOurs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let it = &self.0;
        let (kind, place, flag) = match &it.namespace {
            Some(n) => ("RoleBinding", format!(" in namespace {n}"), format!(" --namespace {n}")),
            None => ("ClusterRoleBinding", String::new(), String::new()),
        };
        let whom = match it.subjects.as_slice() {
            [] => "nobody".to_owned(),
            [one] => format!("{} {}", one.kind.as_str(), one.name.chars().take(100).collect::<String>()),
            many => format!("{} subjects", many.len() + it.more_subjects),
        };
        write!(
            f,
            "the {kind} {}{place} stands there, and this Kubelend did not make it: it gives {} {} to {whom}. It was left \
             alone. Delete it with “kubectl delete {} {}{flag}”",
            it.name,
            it.role_kind,
            it.role_name,
            kind.to_lowercase(),
            it.name,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bindings::wanted::{tests::grant, wanted},
        model::{
            claim_mapping::ClaimMapping,
            grant::{Grant, GrantState},
            role::Role,
            subject::Subject,
        },
    };

    fn memory(grant: &Grant, mark: Option<&str>, made: Vec<Made>) -> Memory {
        Memory { grant: grant.id, state: GrantState::Pending, settled: false, mark: mark.map(Into::into), made }
    }

    fn standing(wanted: &BindingObject) -> FoundBinding {
        FoundBinding {
            namespace: wanted.namespace.clone(),
            name: wanted.name.clone(),
            uid: "u".into(),
            role_kind: wanted.role.kind.as_str().into(),
            role_name: wanted.role.name.clone(),
            subjects: wanted.subjects.clone(),
            more_subjects: 0,
            labels: wanted.labels.clone(),
            created_at: None,
        }
    }

    #[test]
    fn immune_28_ours_is_what_has_the_uid_that_is_remembered_or_the_mark_that_nobody_knew() {
        let grant = grant(Some(Role::View), &["a"]);
        let wanted = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap().remove(0);
        let mut made = standing(&wanted);
        let known = memory(&grant, Some("m"), vec![looks_of(&made)]);
        assert!(is_ours(&made, &known, "k1"));
        // The same in every word, under another UID.
        made.uid = "forged".into();
        assert!(!is_ours(&made, &known, "k1"));
        made.labels.insert(MARK_LABEL.into(), "m".into());
        assert!(!is_ours(&made, &known, "k1"), "a UID is remembered, so the mark says nothing");
        let dead = memory(&grant, Some("m"), Vec::new());
        assert!(is_ours(&made, &dead, "k1"));
        made.labels.insert(MARK_LABEL.into(), "older".into());
        assert!(!is_ours(&made, &dead, "k1"));
    }

    #[test]
    fn what_the_version_before_made_is_known_by_all_three_labels() {
        let grant = grant(Some(Role::View), &[]);
        let wanted = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap().remove(0);
        let (made, old) = (standing(&wanted), memory(&grant, None, Vec::new()));
        assert!(is_ours(&made, &old, "k1"));
        assert!(!is_ours(&made, &old, "k2"));
        for label in [MANAGED_BY_LABEL, OWNER_LABEL, GRANT_LABEL] {
            let mut less = made.clone();
            less.labels.remove(label);
            assert!(!is_ours(&less, &old, "k1"), "{label}");
        }
    }

    #[test]
    fn labels_of_others_are_no_reason_to_write_and_other_subjects_are() {
        let grant = grant(Some(Role::View), &["a"]);
        let wanted = wanted(&grant, None, &ClaimMapping::default(), "k1").unwrap().remove(0);
        let mut found = standing(&wanted);
        found.labels.insert("team".into(), "x".into());
        assert!(agrees(&found, &wanted));
        found.subjects.push(Subject::user("mallory@example.com"));
        assert!(!agrees(&found, &wanted));
        let words = NotOurs(Box::new(found)).to_string();
        let name = binding_name(grant.id);
        assert!(words.starts_with(&format!("the RoleBinding {name} in namespace a stands there")), "{words}");
        assert!(words.contains("gives ClusterRole view to 2 subjects"), "{words}");
        assert!(words.ends_with(&format!("“kubectl delete rolebinding {name} --namespace a”")), "{words}");
    }
}
