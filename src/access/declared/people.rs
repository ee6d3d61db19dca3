//! Whom a file names: people and groups of providers.

use std::collections::HashMap;

use super::look::{Found, Planner};
use crate::{
    declared::{GrantEntry, GroupEntry, MemberEntry, Place, Who},
    model::{grant::Grantee, identity::Identity},
    store::StoreError,
};

impl<'a> Planner<'a> {
    pub(super) async fn find_people(&mut self) -> Result<(), StoreError> {
        let mut named: Vec<(Place, &Who)> = Vec::new();
        let grants = |grants: &'a [GrantEntry]| grants.iter().map(|grant| (grant.at, &grant.who));
        let members = |members: &'a [MemberEntry]| members.iter().map(|member| (member.at, &member.who));
        let groups =
            |groups: &'a [GroupEntry]| groups.iter().flat_map(|group| group.members.iter().map(|(at, who)| (*at, who)));
        named.extend(groups(&self.entries.groups));
        named.extend(grants(&self.entries.grants));
        for workspace in &self.entries.workspaces {
            named.extend(groups(&workspace.groups));
            named.extend(members(&workspace.members));
            named.extend(grants(&workspace.grants));
            named.extend(workspace.projects.iter().flat_map(|project| members(&project.members)));
            named.extend(workspace.projects.iter().flat_map(|project| grants(&project.grants)));
            named.extend(workspace.clusters.iter().flat_map(|cluster| grants(&cluster.grants)));
        }
        // Which Group of a name is meant, the place where it is named says.
        named.retain(|(_, who)| !matches!(who, Who::Own(_)));
        let mut wrong: HashMap<&Who, (String, &str)> = HashMap::new();
        for (at, who) in named {
            if !self.who.contains_key(who) && !wrong.contains_key(who) {
                match self.find(who).await? {
                    Ok(found) => drop(self.who.insert(who.clone(), found)),
                    Err(why) => drop(wrong.insert(who, why)),
                }
            }
            if let Some((problem, fix)) = wrong.get(who) {
                self.mistake(at, problem.clone(), *fix);
            }
        }
        Ok(())
    }

    async fn find(&self, who: &Who) -> Result<Result<Found, (String, &'static str)>, StoreError> {
        let store = &self.parts.store;
        let person = |person: Identity| Found { words: person.display().to_owned(), who: Grantee::Person(person.id) };
        Ok(match who {
            // The file was written for one of them, and does not say for which: an address that goes to somebody else inherits nothing.
            Who::Person(provider, email) if store.email_changed_hands(provider, email).await? => {
                let problem = format!("{email} has had several holders at {provider}, and any of them may be meant");
                Err((problem, "name the person by “sub: …”, as their ID tokens have it"))
            }
            Who::Person(provider, email) => {
                let there = store.identity_by_email(provider, email).await?;
                let unseen =
                    || Found { who: Grantee::Email(provider.clone(), email.clone()), words: email.to_string() };
                Ok(there.map_or_else(unseen, person))
            }
            Who::Sub(provider, sub) => match store.identity_by_sub(provider, sub).await? {
                Some(there) => Ok(person(there)),
                None => Err((
                    format!("nobody with this “sub” has signed in at {provider} yet"),
                    "name them by “person: EMAIL”, or apply this again once they have signed in",
                )),
            },
            Who::Group(provider, group) => {
                Ok(Found { who: Grantee::Group(provider.clone(), group.clone()), words: who.to_string() })
            }
            Who::Own(group) => Err((format!("the Kubelend group {group} is nobody here"), "name a person or a group")),
            Who::Account(account) => {
                Ok(Found { who: Grantee::ServiceAccount(account.clone()), words: who.to_string() })
            }
        })
    }
}
