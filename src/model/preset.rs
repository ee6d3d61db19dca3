//! Presets: how clusters with certain labels name a provider's people, taken over by a cluster that is new and never changed behind its
//! owners' backs.
//!
//! A preset says how, never whom: which providers a cluster trusts is said by whoever adds it, since a trusted provider's tokens go there.

use std::{cmp::Reverse, fmt, str::FromStr};

use super::{
    claim_mapping::ClaimMapping,
    id::{IdentityId, PresetId, WorkspaceId},
    name::BadName,
    project::Labels,
    provider::ProviderId,
    time::Timestamp,
};

/// The longest name of one, in characters.
const LONGEST_NAME: usize = 60;
/// The greatest weight.
pub const MOST_WEIGHT: u32 = 100;

/// How clusters with certain labels name a provider's people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its id.
    pub id: PresetId,
    /// Whose clusters it is for; `None` for those of all workspaces.
    pub workspace: Option<WorkspaceId>,
    /// What it says.
    pub rules: PresetRules,
    /// Who made it.
    pub created_by: IdentityId,
    /// When.
    pub created_at: Timestamp,
}

/// What a preset says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresetRules {
    /// Its name, for people; unique at its level, whatever the case.
    pub name: PresetName,
    /// Which labels a cluster has to bear, all of them; none for every cluster.
    pub selector: Labels,
    /// Of several of one level that fit, the heaviest counts.
    pub weight: Weight,
    /// Whose people it names.
    pub provider: ProviderId,
    /// How.
    pub mapping: ClaimMapping,
}

/// How much a preset counts among others: 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Weight {
    type Err = BadName;
    /// Nothing typed is 0.
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        let number = if s.is_empty() { Ok(0) } else { s.parse::<u32>() };
        match number {
            Ok(number) if number <= MOST_WEIGHT => Ok(Self(number)),
            _ => Err(BadName(format!("The weight is a number from 0 to {MOST_WEIGHT}."))),
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A preset's name: plain text of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresetName(String);

impl PresetName {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PresetName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let s = s.trim();
        if s.is_empty() {
            return Err(BadName("Give the preset a name.".into()));
        }
        if s.chars().count() > LONGEST_NAME {
            return Err(BadName(format!("A preset's name has at most {LONGEST_NAME} characters.")));
        }
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if s.chars().any(|c| c.is_control() || turns(c)) {
            return Err(BadName("A preset's name is plain text of one line.".into()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl Preset {
    /// Whether it is for a cluster of this workspace with these labels.
    pub fn fits(&self, workspace: WorkspaceId, labels: &Labels) -> bool {
        let bears = |(key, value): (&str, &str)| labels.iter().any(|has| has == (key, value));
        self.workspace.is_none_or(|own| own == workspace) && self.rules.selector.iter().all(bears)
    }
}

/// Which preset counts for a cluster and a provider, of all that there are: one of its workspace before one of all, then the heavier one, then
/// the one whose name comes first.
pub fn counting<'a>(
    presets: &'a [Preset],
    workspace: WorkspaceId,
    labels: &Labels,
    provider: &ProviderId,
) -> Option<&'a Preset> {
    let fitting = presets.iter().filter(|preset| preset.rules.provider == *provider && preset.fits(workspace, labels));
    fitting.max_by_key(|preset| {
        let first = (preset.rules.name.as_str().to_lowercase(), preset.id);
        (preset.workspace.is_some(), preset.rules.weight, Reverse(first))
    })
}

/// From which preset a cluster's mapping of a provider was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The provider.
    pub provider: ProviderId,
    /// Which preset; it may have gone.
    pub preset: PresetId,
    /// What it was called then.
    pub name: String,
    /// What was taken over.
    pub mapping: ClaimMapping,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::WorkspaceId;

    fn preset(workspace: Option<WorkspaceId>, name: &str, selector: &str, weight: &str) -> Preset {
        Preset {
            id: PresetId::new(),
            workspace,
            rules: PresetRules {
                name: name.parse().unwrap(),
                selector: selector.parse().unwrap(),
                weight: weight.parse().unwrap(),
                provider: "dex".parse().unwrap(),
                mapping: ClaimMapping::default(),
            },
            created_by: IdentityId::new(),
            created_at: Timestamp::from_secs(0),
        }
    }

    #[test]
    fn one_of_the_workspace_counts_before_one_of_all_then_the_heavier_then_the_first_by_name() {
        let (here, elsewhere) = (WorkspaceId::new(), WorkspaceId::new());
        let all = [
            preset(None, "global heavy", "", "100"),
            preset(None, "global prod", "env=prod", "5"),
            preset(Some(here), "b", "env=prod", "1"),
            preset(Some(here), "A", "env=prod", "1"),
            preset(Some(here), "heavier", "env=prod team=shop", "2"),
            preset(Some(elsewhere), "not ours", "", "100"),
        ];
        let name = |workspace, labels: &str, provider: &str| {
            let found = counting(&all, workspace, &labels.parse().unwrap(), &provider.parse().unwrap());
            found.map(|preset| preset.rules.name.to_string())
        };
        assert_eq!(name(here, "env=prod", "dex").as_deref(), Some("A"));
        assert_eq!(name(here, "env=prod team=shop more=x", "dex").as_deref(), Some("heavier"));
        assert_eq!(name(here, "env=test", "dex").as_deref(), Some("global heavy"));
        assert_eq!(name(elsewhere, "env=prod", "dex").as_deref(), Some("not ours"));
        assert_eq!(name(here, "env=prod", "other"), None);
        assert_eq!(counting(&all[1..2], here, &Labels::default(), &"dex".parse().unwrap()), None);
    }

    #[test]
    fn immune_17_names_are_plain_text_and_weights_small_numbers() {
        for bad in ["", " ", "a\nb", "a\u{202e}b", &"x".repeat(61)] {
            assert!(bad.parse::<PresetName>().is_err(), "{bad:?}");
        }
        for bad in ["-1", "101", "1.5", "x", "99999999999"] {
            assert!(bad.parse::<Weight>().is_err(), "{bad}");
        }
        assert_eq!((" ".parse::<Weight>().unwrap().get(), "100".parse::<Weight>().unwrap().get()), (0, 100));
    }
}
