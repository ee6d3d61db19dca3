//! The formats to choose from on the kubeconfig page: for whom each is, when it ends, how it is taken back, and whether the
//! cluster has taken its tokens.

use std::time::Duration;

use crate::{
    access::Formats,
    model::{
        client_trial::Standing,
        device::{DeviceLimits, Format},
    },
    web::{
        diagnosis::{About, told},
        labels::length,
    },
};

/// A format to choose.
pub(super) struct Choice {
    pub value: &'static str,
    pub chosen: bool,
    pub name: &'static str,
    /// For whom it is, when it ends and how it is taken back; or why it is not offered, and whose turn it is.
    pub hint: String,
    /// Where to have the cluster tested for it again, where it is not offered.
    pub again: Option<String>,
}

/// What the words are about.
pub(super) struct Facts<'a> {
    /// The cluster and the provider.
    pub about: &'a About,
    /// How long the provider's ID tokens live, where that is known.
    pub life: Option<Duration>,
    /// How long devices live.
    pub limits: DeviceLimits,
}

/// All of them; `again` says where a format's client is tested again.
pub(super) fn choices(
    formats: &Formats,
    chosen: Format,
    facts: &Facts<'_>,
    again: impl Fn(Format) -> String,
) -> Vec<Choice> {
    let one = |(format, standing): &(Format, Standing)| {
        let offered = formats.offers(*format);
        let hint = match standing {
            Standing::Accepted(_) => hint(*format, facts),
            Standing::Untried => format!("Not tried here yet. {}", hint(*format, facts)),
            Standing::Refused(..) if offered => format!("The cluster does not take it yet. {}", hint(*format, facts)),
            Standing::Refused(_, why) => withdrawn(why.first().map(|finding| told(finding, facts.about))),
        };
        Choice {
            value: format.as_str(),
            chosen: *format == chosen,
            name: name_of(*format),
            hint,
            again: (!offered).then(|| again(*format)),
        }
    };
    formats.all().iter().map(one).collect()
}

fn withdrawn(why: Option<crate::web::diagnosis::Told>) -> String {
    let why = why.map_or_else(String::new, |told| format!(" {}. {} {}", told.title, told.text, told.turn));
    format!("Not offered now: the cluster refused it when it was last tried.{why}")
}

/// What a format is called.
pub(super) fn name_of(format: Format) -> &'static str {
    match format {
        Format::Relay => "kubectl, nothing to install",
        Format::Provider => "provider directly",
        Format::Kubelogin => "kubelogin plugin",
    }
}

fn hint(format: Format, Facts { about, life, limits }: &Facts<'_>) -> String {
    let provider = &about.provider;
    let within = life.map_or_else(|| "when its last token ends".to_owned(), |life| format!("within {}", length(life)));
    match format {
        Format::Relay => format!(
            "For any kubectl. Renews itself through Kubelend for {}, or until it was not used for {}. You and the owners can \
             take this one file back; it ends {within}.",
            length(limits.longest),
            length(limits.unused),
        ),
        Format::Provider => format!(
            "For any kubectl, and for when Kubelend may be away. Renews itself with {provider} for as long as that lets it; \
             only there can it be ended."
        ),
        Format::Kubelogin => format!(
            "For people who have the plugin. No token in the file: it signs you in with {provider} in your browser whenever \
             that is needed; only there can it be ended."
        ),
    }
}
