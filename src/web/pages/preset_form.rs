//! The form that makes and changes a preset, read field by field.

use super::settings_form::SettingsForm;
use crate::{
    model::{
        claim_mapping::{ClaimMapping, UsernameClaim},
        preset::{PresetName, PresetRules, Weight},
        project::Labels,
        provider::ProviderId,
    },
    oidc::{ProviderSettings, Providers},
    web::forms::{Choice, FieldErrors},
};

/// The form, as it is typed.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct PresetForm {
    /// Its name.
    pub name: String,
    /// Which labels a cluster has to bear.
    pub labels: String,
    /// Its weight.
    pub weight: String,
    /// Whose people it names.
    pub provider: String,
    /// As in a cluster's settings.
    pub username_claim: String,
    /// As in a cluster's settings.
    pub username_prefix: String,
    /// As in a cluster's settings.
    pub groups_claim: String,
    /// As in a cluster's settings.
    pub groups_prefix: String,
}

impl From<&PresetRules> for PresetForm {
    fn from(rules: &PresetRules) -> Self {
        Self {
            name: rules.name.to_string(),
            labels: rules.selector.to_string(),
            weight: rules.weight.to_string(),
            provider: rules.provider.to_string(),
            ..Self::naming(&rules.mapping)
        }
    }
}

impl PresetForm {
    /// An empty one, with the mapping that clusters have without any preset.
    pub(super) fn empty(providers: &Providers) -> Self {
        let first = providers.iter().next().map(|provider| provider.settings().claim_mapping.clone());
        Self::naming(&first.unwrap_or_default())
    }

    fn naming(mapping: &ClaimMapping) -> Self {
        Self {
            username_claim: mapping.username_claim.as_str().into(),
            username_prefix: mapping.username_prefix.clone(),
            groups_claim: mapping.groups_claim.clone(),
            groups_prefix: mapping.groups_prefix.clone(),
            ..Self::default()
        }
    }

    pub(super) fn read(&self, errors: &mut FieldErrors) -> Option<PresetRules> {
        let name = errors.keep("name", self.name.parse::<PresetName>());
        let selector = errors.keep("labels", self.labels.parse::<Labels>());
        let weight = errors.keep("weight", self.weight.parse::<Weight>());
        let provider = self.provider.parse::<ProviderId>().map_err(|_| "Choose a provider.");
        let provider = errors.keep("provider", provider);
        let mapping = self.mapping().mapping(errors);
        Some(PresetRules { name: name?, selector: selector?, weight: weight?, provider: provider?, mapping: mapping? })
    }

    fn mapping(&self) -> SettingsForm {
        SettingsForm {
            username_claim: self.username_claim.clone(),
            username_prefix: self.username_prefix.clone(),
            groups_claim: self.groups_claim.clone(),
            groups_prefix: self.groups_prefix.clone(),
            ..SettingsForm::default()
        }
    }

    pub(super) fn providers(&self, providers: &Providers) -> Vec<Choice> {
        let choice =
            |settings: &ProviderSettings| Choice::new(settings.id.to_string(), settings.name.clone(), &self.provider);
        let mut choices: Vec<Choice> = providers.iter().map(|provider| choice(provider.settings())).collect();
        // One that is configured no more stays what is chosen, or saving anything else would choose another one.
        if !self.provider.is_empty() && !choices.iter().any(|choice| choice.selected) {
            choices.push(Choice::new(
                self.provider.clone(),
                format!("{}, which is gone", self.provider),
                &self.provider,
            ));
        }
        choices
    }

    pub(super) fn claims(&self) -> Vec<Choice> {
        let all = [UsernameClaim::Email, UsernameClaim::Sub].map(UsernameClaim::as_str);
        all.into_iter().map(|claim| Choice::new(claim, claim, &self.username_claim)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_11_a_preset_is_read_as_a_clusters_mapping_is_and_mistakes_stand_at_their_fields() {
        let good = || PresetForm {
            name: "Production".into(),
            labels: "env=prod".into(),
            weight: "5".into(),
            provider: "dex".into(),
            username_claim: "email".into(),
            username_prefix: "corp:".into(),
            groups_claim: "groups".into(),
            groups_prefix: "corp:".into(),
        };
        let rules = good().read(&mut FieldErrors::default()).unwrap();
        assert_eq!((rules.mapping.username_prefix.as_str(), rules.weight.get()), ("corp:", 5));
        assert_eq!(PresetForm::from(&rules).read(&mut FieldErrors::default()), Some(rules));
        for (field, wrong) in [
            ("name", PresetForm { name: " ".into(), ..good() }),
            ("labels", PresetForm { labels: "env".into(), ..good() }),
            ("weight", PresetForm { weight: "101".into(), ..good() }),
            ("provider", PresetForm { provider: String::new(), ..good() }),
            ("username_claim", PresetForm { username_claim: "name".into(), ..good() }),
            ("username_prefix", PresetForm { username_prefix: "System:".into(), ..good() }),
            ("groups_prefix", PresetForm { groups_prefix: "system:".into(), ..good() }),
            ("groups_claim", PresetForm { groups_claim: "a b".into(), ..good() }),
        ] {
            let mut errors = FieldErrors::default();
            assert!(wrong.read(&mut errors).is_none() && errors.has(field), "{field}");
        }
    }
}
