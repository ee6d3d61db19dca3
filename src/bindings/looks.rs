//! What a binding looks like, as one short text: so that a difference is found without keeping, or reading, all that it says.

use super::wanted::{GRANT_LABEL, MANAGED_BY_LABEL, OWNER_LABEL};
use crate::{
    crypto,
    k8s::{BindingObject, FoundBinding},
    model::{binding::Made, subject::Subject},
};

/// What a wanted binding will look like.
pub(super) fn looks(wanted: &BindingObject) -> String {
    let label = |key: &str| wanted.labels.get(key).map(String::as_str);
    digest(wanted.role.kind.as_str(), &wanted.role.name, &wanted.subjects, 0, label)
}

/// What one that stands looks like: labels and annotations that are none of ours do not count.
pub fn looks_of(found: &FoundBinding) -> Made {
    let label = |key: &str| found.labels.get(key).map(String::as_str);
    Made {
        namespace: found.namespace.clone(),
        uid: found.uid.clone(),
        looks: digest(&found.role_kind, &found.role_name, &found.subjects, found.more_subjects, label),
    }
}

fn digest<'a>(
    kind: &str,
    role: &str,
    subjects: &[Subject],
    more: usize,
    label: impl Fn(&str) -> Option<&'a str>,
) -> String {
    let labels = [MANAGED_BY_LABEL, OWNER_LABEL, GRANT_LABEL].map(label);
    crypto::digest(&format!("{:?}", (kind, role, subjects, more, labels)))
}
