//! Files as somebody who acts. Whoever applies one has the configuration, the database and the key ring in their hands, so a file may
//! what a platform admin may; it is only ever made where a file is applied, never out of a session.

use super::Person;
use crate::model::{
    file::{AccessFile, FILE_ISSUER},
    id::FileId,
};

impl Person {
    /// The file, where it is one that acts: what it makes is known as the file's.
    pub fn file(&self) -> Option<FileId> {
        self.file
    }
}

/// A file that is being applied.
pub fn applying(file: &AccessFile) -> Person {
    Person {
        identity: file.identity.clone(),
        // Somebody's own identity is never one that a file acts as.
        platform_admin: file.identity.issuer == FILE_ISSUER,
        adds_clusters: false,
        makes_workspaces: false,
        most_workspaces: 0,
        file: Some(file.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::id::FileId,
        policy::{PersonRule, Policy, tests::identity},
    };

    #[test]
    fn immune_33_a_file_s_identity_is_nobody_outside_its_application() {
        let mut of_file = identity("x@example.com", false, "file", &[]);
        of_file.issuer = FILE_ISSUER.into();
        let rules = vec![PersonRule::Group("dex".parse().unwrap(), "root".into())];
        let policy = Policy { platform_admins: rules, ..Policy::default() };
        let met = policy.person(of_file.clone());
        assert!(!met.is_platform_admin() && met.file().is_none());
        let file = |identity| AccessFile { id: FileId::new(), name: "access".parse().unwrap(), identity };
        assert!(applying(&file(of_file)).is_platform_admin());
        // And nobody's own identity becomes more by being called a file.
        assert!(!applying(&file(identity("eve@example.com", true, "dex", &[]))).is_platform_admin());
    }
}
