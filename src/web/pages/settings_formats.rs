//! The formats of kubeconfig on the settings page: which the owners offer, and how each stands with the cluster.

use super::settings_form::SettingsForm;
use crate::{
    model::{
        client_trial::{ClientTrial, Standing},
        cluster::Cluster,
        device::Format,
        time::Timestamp,
    },
    oidc::{Provider, Providers},
    web::{
        diagnosis::{About, told},
        when::When,
    },
};

/// A format that can be offered.
pub(super) struct Offered {
    pub field: &'static str,
    pub words: &'static str,
    pub ticked: bool,
    /// Why it is offered to nobody all the same.
    pub missing: bool,
    /// How it stands with the tokens of each provider that makes it.
    pub stands: Vec<Stand>,
}

/// What the cluster last made of a provider's tokens in a format.
pub(super) struct Stand {
    pub words: String,
    pub at: Option<When>,
}

/// The formats, as the cluster offers them or as they were just ticked.
pub(super) fn offered(
    cluster: &Cluster,
    providers: &Providers,
    form: &SettingsForm,
    trials: &[ClientTrial],
    now: Timestamp,
) -> Vec<Offered> {
    let typed = form.formats();
    let one = |format: Format| {
        let trusted = cluster.trusts.iter().filter_map(|(id, _)| providers.get(id));
        let makers: Vec<_> = trusted.filter(|provider| provider.settings().formats().contains(&format)).collect();
        Offered {
            field: match format {
                Format::Relay => "relay",
                Format::Provider => "format_provider",
                Format::Kubelogin => "kubelogin",
            },
            words: match format {
                Format::Relay => {
                    "kubectl, nothing to install: renews through Kubelend, and each file can be taken back"
                }
                Format::Provider => {
                    "provider directly: goes on without Kubelend, and can be ended at the provider alone"
                }
                Format::Kubelogin => {
                    "kubelogin plugin: signs people in by itself, and can be ended at the provider alone"
                }
            },
            ticked: if form.change == "formats" { typed.contains(&format) } else { cluster.offers(format) },
            missing: makers.is_empty(),
            stands: makers.into_iter().map(|provider| stand(cluster, &provider, format, trials, now)).collect(),
        }
    };
    Format::ALL.into_iter().map(one).collect()
}

fn stand(cluster: &Cluster, provider: &Provider, format: Format, trials: &[ClientTrial], now: Timestamp) -> Stand {
    let settings = provider.settings();
    let client = settings.client_of(format).unwrap_or_default();
    let (name, standing) = (&settings.name, Standing::of(trials, &settings.id, client));
    match standing {
        Standing::Untried => Stand { words: format!("{name} (client {client}): not tried here yet"), at: None },
        Standing::Accepted(at) => {
            Stand { words: format!("{name} (client {client}): the cluster takes it"), at: Some(When::new(at, now)) }
        }
        Standing::Refused(at, why) => {
            let about = About::new(cluster, settings, None);
            let why = why.first().map(|finding| told(finding, &about));
            let why = why.map_or_else(String::new, |told| format!(". {}. {}", told.title, told.turn));
            Stand {
                words: format!("{name} (client {client}): not offered while the cluster takes another{why}"),
                at: Some(When::new(at, now)),
            }
        }
    }
}
