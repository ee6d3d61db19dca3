//! What is given, as a file has it.

use std::collections::HashSet;

use super::{Draft, NOWHERE};
use crate::{
    access::AccessError,
    declared::{Called, GivenRole, GrantEntry, Who},
    model::{
        federation::WideScope, grant::Origin, group::Holder, id::ClusterId, name::Namespace, reason::Reason,
        role::Role, time::Timestamp,
    },
};

/// How many rows are read at a time.
const AT_ONCE: u32 = 500;

/// What is given, wherever it stands.
struct Given<'a> {
    who: Option<Who>,
    role: &'a Role,
    namespaces: &'a [Namespace],
    until: Option<Timestamp>,
    reason: Option<&'a Reason>,
}

impl Draft<'_> {
    pub(super) async fn wide(&mut self, scope: WideScope) -> Result<Vec<GrantEntry>, AccessError> {
        let (mut entries, mut before, now) = (Vec::new(), None, self.now);
        loop {
            let page = self.parts.store.federated_grants(scope, before, AT_ONCE).await?;
            for (grant, _) in page.rows.iter().filter(|(grant, _)| grant.is_live(now)) {
                let who = match &grant.grantee {
                    Holder::One(grantee) => {
                        let person = match grant.grantee.person() {
                            Some(id) => Some(self.parts.store.identity(id).await?),
                            None => None,
                        };
                        self.who(grantee, person.as_ref()).await?
                    }
                    Holder::Group(id, _) => self.own(*id).await?,
                };
                let given = Given {
                    who,
                    role: &grant.role,
                    namespaces: &grant.namespaces,
                    until: grant.expires_at,
                    reason: grant.reason.as_ref(),
                };
                entries.extend(self.grant(given)?);
            }
            before = page.next;
            if before.is_none() {
                // Pages come newest first, and a file reads better the other way.
                entries.reverse();
                return Ok(each_once(entries));
            }
        }
    }

    pub(super) async fn on_cluster(&mut self, cluster: ClusterId) -> Result<Vec<GrantEntry>, AccessError> {
        let (mut entries, mut after, now) = (Vec::new(), None, self.now);
        loop {
            let rows = self.parts.store.live_grants_of(cluster, after, AT_ONCE).await?;
            let Some((last, _)) = rows.last() else { return Ok(each_once(entries)) };
            after = Some(last.id);
            for (grant, person) in rows.iter().filter(|(grant, _)| grant.is_live(now)) {
                let (Some(role), false) = (&grant.role, matches!(grant.origin, Origin::Link(_))) else {
                    self.leave_out("grants that came by share links");
                    continue;
                };
                let given = Given {
                    who: self.who(&grant.grantee, person.as_ref()).await?,
                    role,
                    namespaces: grant.scope.namespaces(),
                    until: grant.expires_at,
                    reason: grant.reason.as_ref(),
                };
                entries.extend(self.grant(given)?);
            }
        }
    }

    fn grant(&mut self, given: Given<'_>) -> Result<Option<GrantEntry>, AccessError> {
        let (Some(who), Some(role)) = (given.who, self.role(given.role)) else { return Ok(None) };
        self.count()?;
        Ok(Some(GrantEntry {
            at: NOWHERE,
            who,
            role_at: NOWHERE,
            role,
            namespaces: given.namespaces.to_vec(),
            until_at: NOWHERE,
            until: given.until,
            reason_at: NOWHERE,
            reason: given.reason.cloned(),
        }))
    }

    /// A role as a file names it; nothing where there is no such custom role any more.
    fn role(&mut self, role: &Role) -> Option<GivenRole> {
        if role.custom_name().is_none() {
            return Some(GivenRole::Role(role.clone()));
        }
        let Some(custom) = self.roles.iter().find(|custom| custom.role == *role) else {
            self.leave_out("grants of custom roles that are not there any more");
            return None;
        };
        let called = Called { name: custom.name.clone(), everywhere: custom.workspace.is_none() };
        Some(GivenRole::Custom(called))
    }
}

/// The same may be given by hand and by a file, to a person and to their address: a file says it once.
fn each_once(entries: Vec<GrantEntry>) -> Vec<GrantEntry> {
    let key = |entry: &GrantEntry| {
        let who = match &entry.who {
            Who::Person(provider, email) => format!("{provider} {}", email.normalised()),
            other => format!("{other:?}"),
        };
        (who, entry.role.clone(), entry.namespaces.clone())
    };
    let mut seen = HashSet::new();
    entries.into_iter().filter(|entry| seen.insert(key(entry))).collect()
}
