//! Rules that name people: platform admins, and who else may add clusters or make workspaces.

use super::{PersonConfig, ProviderConfig, Who, mistakes::nearest, section::Section};
use crate::model::{name::Email, provider::ProviderId};

/// The lists.
pub(super) struct People {
    pub(super) platform_admins: Vec<PersonConfig>,
    pub(super) cluster_adders: Vec<PersonConfig>,
    pub(super) workspace_makers: Vec<PersonConfig>,
}

/// Reads them.
pub(super) fn read(root: &mut Section<'_>, providers: &[ProviderConfig]) -> People {
    let admins = root.sections("platform_admins");
    if admins.is_empty() {
        root.mistake(
            "platform_admins",
            "there is none, so nobody could add the first cluster",
            "add a [[platform_admins]] section with provider and your email (the provider has to vouch for it)",
        );
    }
    let all = |sections: Vec<Section<'_>>| sections.into_iter().filter_map(|s| one(s, providers)).collect();
    People {
        platform_admins: all(admins),
        cluster_adders: all(root.sections("cluster_adders")),
        workspace_makers: all(root.sections("workspace_makers")),
    }
}

fn one(mut section: Section<'_>, providers: &[ProviderConfig]) -> Option<PersonConfig> {
    let provider = provider(&mut section, providers);
    let ways = ["email", "subject", "group"].into_iter().filter(|way| section.has(way)).count();
    let email =
        section.parsed("email", "write one address, as the provider gives it", |text| text.parse::<Email>().ok());
    let subject = section.word("subject");
    let group = section.word("group");
    if ways != 1 {
        let problem = if ways == 0 { "names nobody" } else { "names people in several ways" };
        section.mistake("email", problem, "keep exactly one of email, subject and group");
    }
    section.end();
    let who = email.map(Who::Email).or(subject.map(Who::Subject)).or(group.map(Who::Group))?;
    Some(PersonConfig { provider: provider?, who })
}

fn provider(section: &mut Section<'_>, providers: &[ProviderConfig]) -> Option<ProviderId> {
    let example = providers.first().map_or("dex", |p| p.id.as_str());
    let text = section.required("provider", example)?;
    let found = providers.iter().find(|p| p.id.as_str() == text).map(|p| p.id.clone());
    // Without any usable provider that mistake has been written down already.
    if found.is_none() && !providers.is_empty() {
        let known: Vec<&str> = providers.iter().map(|p| p.id.as_str()).collect();
        let fix = match nearest(&text, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("name one of: {}", known.join(", ")),
        };
        section.mistake("provider", format!("there is no provider “{text}”"), fix);
    }
    found
}
