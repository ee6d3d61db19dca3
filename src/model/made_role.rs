//! What is remembered of the ClusterRoles and Roles that Kubelend has made on a cluster: as for bindings, ours is what has the UID that was
//! kept, or the mark that nobody else could know.

use super::time::Timestamp;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeRole {
    /// `None` for a ClusterRole.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What it is marked with when it is made.
    pub mark: String,
    /// The UID that the API server gave it, once it is kept.
    pub uid: Option<String>,
    /// A digest of what it allowed when it was last seen to stand, and of our labels.
    pub looks: Option<String>,
    /// Until when somebody is at deleting it.
    pub leaving: Option<Timestamp>,
}

impl MadeRole {
    /// Whether what stands there, under this UID and with this mark, is ours.
    pub fn is(&self, uid: &str, mark: Option<&str>) -> bool {
        match &self.uid {
            Some(ours) => ours == uid,
            None => mark == Some(self.mark.as_str()),
        }
    }

    /// Whether it was kept so.
    pub fn stands_as(&self, uid: &str, looks: &str) -> bool {
        self.uid.as_deref() == Some(uid) && self.looks.as_deref() == Some(looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_28_ours_is_what_has_the_uid_and_before_one_is_kept_the_mark() {
        let fresh =
            MadeRole { namespace: None, name: "r".into(), mark: "m".into(), uid: None, looks: None, leaving: None };
        assert!(fresh.is("anything", Some("m")) && !fresh.is("anything", Some("x")) && !fresh.is("anything", None));
        let kept = MadeRole { uid: Some("u".into()), looks: Some("l".into()), ..fresh };
        assert!(kept.is("u", None) && !kept.is("v", Some("m")), "a copied label is no UID");
        assert!(kept.stands_as("u", "l") && !kept.stands_as("u", "other") && !kept.stands_as("v", "l"));
    }
}
