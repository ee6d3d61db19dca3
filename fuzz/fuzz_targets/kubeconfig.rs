//! Uploaded kubeconfigs: no text makes the parser panic, and what it accepts keeps its promises.
//!
//! ```text
//! cargo install cargo-fuzz
//! cargo +nightly fuzz run --sanitizer none kubeconfig fuzz/corpus/kubeconfig fuzz/seeds/kubeconfig -- \
//!     -dict=fuzz/kubeconfig.dict -max_len=16384 -max_total_time=600
//! ```
#![no_main]

use kubelend::{kubeconfig, model::cluster::ClusterCredential};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match kubeconfig::parse(text) {
        Ok(parsed) => {
            let server = &parsed.endpoint.server;
            assert_eq!(server.scheme(), "https");
            assert!(server.username().is_empty() && server.password().is_none());
            assert!(server.query().is_none() && server.fragment().is_none());
            assert!(server.host_str().is_some_and(|host| !host.is_empty()));
            if let Some(pem) = &parsed.endpoint.ca_pem {
                assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && !pem.contains("PRIVATE KEY"));
            }
            if let ClusterCredential::ClientCertificate { certificate, .. } = &parsed.credential {
                assert!(!certificate.contains("PRIVATE KEY"));
            }
            // What is accepted does not change when it is read in another frame.
            let framed = format!("---\n{text}\n");
            if let Ok(again) = kubeconfig::parse(&framed) {
                assert_eq!(again.endpoint, parsed.endpoint);
                assert_eq!(again.context, parsed.context);
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty() && errors.len() <= 50);
            for error in errors {
                assert!(!error.place.is_empty() && !error.reason.is_empty());
            }
        }
    }
});
