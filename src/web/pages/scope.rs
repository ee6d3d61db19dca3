//! “Where”, as the share form and the access form ask for it: the whole cluster, or namespaces by name.

use crate::{
    access::Observer,
    model::name::Namespace,
    policy::{Authorized, ManageAccess},
    web::forms::{Choice, FieldErrors},
};

/// The whole cluster.
pub const WHOLE: &str = "cluster";
/// Some namespaces.
pub const SOME: &str = "namespaces";
/// How many namespaces the list under the field offers.
const OFFERED: usize = 100;

/// The choices of “Where”.
pub fn choices(chosen: &str) -> Vec<Choice> {
    [(WHOLE, "The whole cluster"), (SOME, "Namespaces")]
        .into_iter()
        .map(|(value, label)| Choice::new(value, label, chosen))
        .collect()
}

/// Reads both fields: the namespaces, or none for the whole cluster. Namespaces that are typed beside “the whole cluster”
/// are an error: giving more than somebody meant is the worse mistake.
pub fn read(place: &str, typed: &str, errors: &mut FieldErrors) -> Option<Vec<Namespace>> {
    match place {
        SOME => errors.keep("namespaces", Namespace::parse_list(typed)),
        WHOLE if typed.trim().is_empty() => Some(Vec::new()),
        WHOLE => {
            errors.add("namespaces", "Namespaces are named here, and “The whole cluster” is chosen. Choose “Namespaces”, or empty this field.");
            None
        }
        _ => {
            errors.add("where", "Choose the whole cluster or namespaces.");
            None
        }
    }
}

/// The cluster's namespaces for the field's list; none where it does not answer: then they are typed.
pub async fn known(observer: &Observer, permit: &Authorized<ManageAccess>) -> Vec<String> {
    let mut names = observer.namespaces(permit).await.unwrap_or_default();
    names.truncate(OFFERED);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(place: &str, typed: &str) -> bool {
        read(place, typed, &mut FieldErrors::default()).is_none()
    }

    #[test]
    fn naming_namespaces_never_gives_the_whole_cluster() {
        assert!(wrong(WHOLE, "shop"));
        assert!(wrong(SOME, " "));
        assert!(wrong("", ""));
        assert_eq!(read(WHOLE, " ", &mut FieldErrors::default()), Some(vec![]));
        assert_eq!(read(SOME, "shop", &mut FieldErrors::default()).map(|n| n.len()), Some(1));
    }
}
