//! Who looks after the platform as a whole.

use super::{Authorized, Forbidden, Person, authorized};

/// May look at everything that happened.
#[derive(Clone, Copy, Debug)]
pub struct ViewTrail;

/// May they look at everything that happened, sign-ins and settings among it? Platform admins may.
///
/// # Errors
/// [`Forbidden::NoPlatformAdmin`].
pub fn view_trail(person: &Person) -> Result<Authorized<ViewTrail>, Forbidden> {
    if person.is_platform_admin() { Ok(authorized(person, ViewTrail)) } else { Err(Forbidden::NoPlatformAdmin) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PersonRule, Policy, tests::identity};

    #[test]
    fn immune_28_only_platform_admins_see_what_everybody_did() {
        let rule = PersonRule::Group("dex".parse().unwrap(), "root".into());
        let policy = Policy { platform_admins: vec![rule.clone()], cluster_adders: vec![rule], ..Policy::default() };
        assert!(view_trail(&policy.person(identity("root@example.com", true, "dex", &["root"]))).is_ok());
        let other = policy.person(identity("root@example.com", true, "other", &["root"]));
        assert_eq!(view_trail(&other).err(), Some(Forbidden::NoPlatformAdmin));
    }
}
