//! What a cluster's settings say of presets: from which one a provider's mapping was taken over, and what another one that counts there by
//! now would make of it.

use super::cluster::AtCluster;
use crate::{
    model::{
        claim_mapping::{ClaimMapping, UsernameClaim},
        cluster::Cluster,
        id::PresetId,
        preset::{Preset, Takeover, counting},
        provider::ProviderId,
        time::Timestamp,
    },
    store::{Store, StoreError},
    web::{labels::counted, paths, when::When},
};

/// What is said of one provider's mapping.
#[derive(Debug, Default)]
pub(super) struct Note {
    /// “Taken over from the preset “Production””.
    pub(super) from: Option<String>,
    pub(super) taken: Option<When>,
    /// What happened since.
    pub(super) since: &'static str,
    pub(super) offer: Option<Offer>,
}

/// A preset that says otherwise.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) action: String,
    pub(super) preset: PresetId,
    pub(super) name: String,
    pub(super) says: String,
    pub(super) rewrites: String,
}

/// What is known for these.
pub(super) struct Notes {
    presets: Vec<Preset>,
    takeovers: Vec<Takeover>,
    /// People and groups that have access.
    held: (u32, u32),
    now: Timestamp,
}

impl Notes {
    pub(super) async fn read(store: &Store, at: &AtCluster) -> Result<Self, StoreError> {
        let counted = store.count_grantees(&[at.id()], at.now).await?;
        Ok(Self {
            presets: store.all_presets().await?,
            takeovers: store.takeovers_of(at.id()).await?,
            held: counted.first().map_or((0, 0), |(_, people, groups)| (*people, *groups)),
            now: at.now,
        })
    }

    pub(super) fn about(&self, cluster: &Cluster, provider: &ProviderId) -> Note {
        let Some(has) = cluster.mapping(provider) else { return Note::default() };
        let taken = self.takeovers.iter().find(|taken| taken.provider == *provider);
        let counts = counting(&self.presets, cluster.workspace, &cluster.labels, provider);
        let offer = counts.filter(|counts| counts.rules.mapping != *has && cluster.removing.is_none());
        Note {
            from: taken.map(|taken| format!("Taken over from the preset “{}”", taken.name)),
            taken: taken.map(|taken| When::new(taken.at, self.now)),
            since: if taken.is_some_and(|taken| taken.mapping != *has) { ", and changed by hand since" } else { "" },
            offer: offer.map(|preset| Offer {
                action: paths::take_over(cluster.id),
                preset: preset.id,
                name: preset.rules.name.to_string(),
                says: preset.rules.mapping.in_words(),
                rewrites: rewrites(has, &preset.rules.mapping, self.held),
            }),
        }
    }
}

/// What taking it over rewrites, before anybody says yes.
fn rewrites(from: &ClaimMapping, to: &ClaimMapping, (people, groups): (u32, u32)) -> String {
    let user = |mapping: &ClaimMapping| match mapping.username_claim {
        UsernameClaim::Email => format!("{}bob@example.com", mapping.username_prefix),
        UsernameClaim::Sub => format!("{}‹sub›", mapping.username_prefix),
    };
    let mut becomes = Vec::new();
    if user(from) != user(to) {
        becomes.push(format!("“{}” becomes “{}”", user(from), user(to)));
    }
    if from.groups_prefix != to.groups_prefix {
        becomes.push(format!("the group “{}devs” becomes “{}devs”", from.groups_prefix, to.groups_prefix));
    }
    if from.groups_claim != to.groups_claim {
        becomes.push(format!("groups are read from “{}” in place of “{}”", to.groups_claim, from.groups_claim));
    }
    let held = match (people, groups) {
        (0, 0) => "Nobody has access through Kubelend now, so nothing is rewritten but this.".to_owned(),
        _ => format!(
            "Kubelend’s bindings are rewritten for this provider’s among the {} and {} that have access. Where the API server does not name them so, they lose it.",
            counted(people, "person"),
            counted(groups, "group")
        ),
    };
    format!("{}. {held}", becomes.join(", "))
}

#[cfg(test)]
impl Note {
    /// All that there can be, in hostile words.
    pub(super) fn hostile(offer: bool) -> Self {
        use crate::web::pages::samples::{HOSTILE, NOW};
        let offer = offer.then(|| Offer {
            action: "/t".into(),
            preset: PresetId::new(),
            name: HOSTILE.into(),
            says: HOSTILE.into(),
            rewrites: HOSTILE.into(),
        });
        Self {
            from: Some(HOSTILE.into()),
            taken: Some(When::new(NOW, NOW)),
            since: ", and changed by hand since",
            offer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{id::IdentityId, preset::PresetRules},
        web::pages::{cluster::tests::cluster, samples::NOW},
    };

    #[test]
    fn it_says_from_where_and_what_taking_another_over_rewrites() {
        let corp =
            ClaimMapping { username_prefix: "corp:".into(), groups_prefix: "corp:".into(), ..ClaimMapping::default() };
        let dex: ProviderId = "dex".parse().unwrap();
        let preset = Preset {
            id: PresetId::new(),
            workspace: None,
            rules: PresetRules {
                name: "Production".parse().unwrap(),
                selector: "".parse().unwrap(),
                weight: "0".parse().unwrap(),
                provider: dex.clone(),
                mapping: corp.clone(),
            },
            created_by: IdentityId::new(),
            created_at: NOW,
        };
        let taken = Takeover {
            provider: dex.clone(),
            preset: preset.id,
            name: "Production".into(),
            mapping: corp.clone(),
            at: NOW,
        };
        let mut staging = cluster("staging");
        let notes =
            |takeovers: Vec<Takeover>| Notes { presets: vec![preset.clone()], takeovers, held: (14, 2), now: NOW };
        let note = notes(Vec::new()).about(&staging, &dex);
        assert_eq!(note.from, None);
        let offer = note.offer.unwrap();
        assert!(offer.rewrites.starts_with(
            "“bob@example.com” becomes “corp:bob@example.com”, the group “oidc:devs” becomes “corp:devs”."
        ));
        assert!(offer.rewrites.contains("14 people and 2 groups"), "{}", offer.rewrites);
        assert!(rewrites(&corp, &ClaimMapping::default(), (0, 0)).contains("Nobody has access"));
        let note = notes(vec![taken.clone()]).about(&staging, &dex);
        assert!(note.since.contains("by hand") && note.offer.is_some());
        staging.trusts[0].1 = corp;
        let note = notes(vec![taken]).about(&staging, &dex);
        assert_eq!((note.from.as_deref(), note.since), (Some("Taken over from the preset “Production”"), ""));
        assert!(note.offer.is_none());
        assert!(notes(Vec::new()).about(&staging, &"other".parse().unwrap()).offer.is_none());
    }
}
