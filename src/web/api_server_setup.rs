//! How an API server is told about the providers: the `AuthenticationConfiguration` (Kubernetes 1.30 and later) and the older
//! `--oidc-*` flags, for the claim mappings that Kubelend itself uses, so that both sides say the same.

use serde::Serialize;

use super::shell;
use crate::{
    model::{claim_mapping::ClaimMapping, cluster::Cluster},
    oidc::{ProviderSettings, Providers},
};

/// What to paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServerSetup {
    /// The file for `--authentication-config`.
    pub configuration: String,
    /// The flags, where one provider is trusted: they name no more.
    pub flags: Option<String>,
    /// Whether the flags name a CA file.
    pub ca_file: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthenticationConfiguration<'a> {
    api_version: &'static str,
    kind: &'static str,
    jwt: Vec<Jwt<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Jwt<'a> {
    issuer: Issuer<'a>,
    claim_mappings: Mappings<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Issuer<'a> {
    url: &'a str,
    audiences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience_match_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority: Option<&'a str>,
}

#[derive(Serialize)]
struct Mappings<'a> {
    username: Claim<'a>,
    groups: Claim<'a>,
}

#[derive(Serialize)]
struct Claim<'a> {
    claim: &'a str,
    prefix: &'a str,
}

/// A provider as an API server is told of it.
struct Trusted<'a> {
    issuer: &'a str,
    /// All clients of ours, the one that people sign in with first.
    audiences: Vec<&'a str>,
    ca_pem: Option<&'a str>,
}

impl<'a> Trusted<'a> {
    fn of(settings: &'a ProviderSettings) -> Self {
        Self { issuer: &settings.issuer, audiences: settings.clients(), ca_pem: settings.ca_pem.as_deref() }
    }
}

impl ApiServerSetup {
    /// For the providers that a cluster trusts; `version` is the API server's, where it is known.
    pub fn of(cluster: &Cluster, providers: &Providers, version: Option<&str>) -> Self {
        let known = cluster.trusts.iter().filter_map(|(id, mapping)| Some((providers.get(id)?, mapping)));
        let known: Vec<_> = known.collect();
        let trusted: Vec<(Trusted<'_>, &ClaimMapping)> =
            known.iter().map(|(provider, mapping)| (Trusted::of(provider.settings()), *mapping)).collect();
        Self::from_parts(&trusted, version)
    }

    fn from_parts(trusted: &[(Trusted<'_>, &ClaimMapping)], version: Option<&str>) -> Self {
        let configuration = AuthenticationConfiguration {
            api_version: api_version(version),
            kind: "AuthenticationConfiguration",
            jwt: trusted.iter().map(|(issuer, mapping)| jwt(issuer, mapping)).collect(),
        };
        let only = match trusted {
            [only] => Some(only),
            _ => None,
        };
        Self {
            configuration: serde_saphyr::to_string(&configuration).unwrap_or_default(),
            flags: only.map(|(issuer, mapping)| flags(issuer, mapping)),
            ca_file: only.is_some_and(|(issuer, _)| issuer.ca_pem.is_some()),
        }
    }
}

/// `v1` came with Kubernetes 1.34; before that it was `v1beta1`. An unknown version is taken for a current one.
fn api_version(version: Option<&str>) -> &'static str {
    let minor = version.and_then(|v| v.split('.').nth(1)).and_then(|m| m.parse::<u32>().ok());
    if minor.is_some_and(|m| m < 34) { "apiserver.config.k8s.io/v1beta1" } else { "apiserver.config.k8s.io/v1" }
}

fn jwt<'a>(issuer: &Trusted<'a>, mapping: &'a ClaimMapping) -> Jwt<'a> {
    Jwt {
        issuer: Issuer {
            url: issuer.issuer,
            // The API server wants the policy where there are several.
            audience_match_policy: (issuer.audiences.len() > 1).then_some("MatchAny"),
            audiences: issuer.audiences.clone(),
            certificate_authority: issuer.ca_pem,
        },
        claim_mappings: Mappings {
            username: Claim { claim: mapping.username_claim.as_str(), prefix: &mapping.username_prefix },
            groups: Claim { claim: &mapping.groups_claim, prefix: &mapping.groups_prefix },
        },
    }
}

fn flags(issuer: &Trusted<'_>, mapping: &ClaimMapping) -> String {
    // The flag's word for “no prefix” is a dash; without the flag the API server puts the issuer before some claims.
    let user_prefix = if mapping.username_prefix.is_empty() { "-" } else { &mapping.username_prefix };
    let mut flags = vec![
        ("issuer-url", issuer.issuer),
        // Flags take one audience: the client that Kubelend signs people in with.
        ("client-id", issuer.audiences.first().copied().unwrap_or_default()),
        ("username-claim", mapping.username_claim.as_str()),
        ("username-prefix", user_prefix),
        ("groups-claim", &mapping.groups_claim),
        ("groups-prefix", &mapping.groups_prefix),
    ];
    if issuer.ca_pem.is_some() {
        flags.push(("ca-file", "/etc/kubernetes/pki/oidc-ca.pem"));
    }
    flags.iter().map(|(name, value)| shell::word(&format!("--oidc-{name}={value}"))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(ca_pem: Option<&str>) -> Trusted<'_> {
        Trusted { issuer: "https://dex.example/dex", audiences: vec!["kubelend"], ca_pem }
    }

    /// All scalars of a document in their order, as a YAML reader takes them.
    fn scalars(text: &str) -> Vec<String> {
        let events = granit_parser::Parser::new_from_str(text).map(|event| event.unwrap().0);
        events
            .filter_map(|event| match event {
                granit_parser::Event::Scalar(value, ..) => Some(value.into_owned()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_configuration_says_what_the_claim_mapping_says() {
        let mapping = ClaimMapping::default();
        let setup = ApiServerSetup::from_parts(&[(issuer(Some("-----BEGIN\nX\n")), &mapping)], Some("v1.33.1"));
        let wanted = "apiVersion apiserver.config.k8s.io/v1beta1 kind AuthenticationConfiguration jwt \
                      issuer url https://dex.example/dex audiences kubelend certificateAuthority -----BEGIN\nX\n \
                      claimMappings username claim email prefix  groups claim groups prefix oidc:";
        assert_eq!(scalars(&setup.configuration), wanted.split(' ').collect::<Vec<_>>());
        assert!(setup.flags.unwrap().contains("--oidc-username-prefix=-\n"));
        assert!(setup.ca_file);
    }

    #[test]
    fn both_clients_are_audiences_and_the_flags_name_the_first() {
        let mapping = ClaimMapping::default();
        let both = Trusted { audiences: vec!["kubelend", "kubelend-direct"], ..issuer(None) };
        let setup = ApiServerSetup::from_parts(&[(both, &mapping)], None);
        let read = scalars(&setup.configuration).join(" ");
        assert!(read.contains("audiences kubelend kubelend-direct audienceMatchPolicy MatchAny "), "{read}");
        assert!(setup.flags.unwrap().contains("--oidc-client-id=kubelend\n"));
    }

    #[test]
    fn immune_17_a_prefix_stays_a_value_in_yaml_and_in_flags() {
        let mapping = ClaimMapping { groups_prefix: "x'\"\n- y: $(z)".into(), ..ClaimMapping::default() };
        let setup = ApiServerSetup::from_parts(&[(issuer(None), &mapping)], None);
        let read = scalars(&setup.configuration);
        assert_eq!(read.last(), Some(&mapping.groups_prefix));
        assert_eq!(read[1], "apiserver.config.k8s.io/v1");
        assert!(setup.flags.unwrap().contains(r"'--oidc-groups-prefix=x'\''"));
    }

    #[test]
    fn flags_are_not_offered_for_several_providers() {
        let mapping = ClaimMapping::default();
        assert_eq!(ApiServerSetup::from_parts(&[(issuer(None), &mapping), (issuer(None), &mapping)], None).flags, None);
    }
}
