//! The files and flags of a control plane, chosen for a quick start and little work afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    ca::{Ca, signing_key},
    etcd::Etcd,
    ports::Port,
};

/// The controllers that Kubelend's work needs; the others only use up the machine.
const CONTROLLERS: &str = "clusterrole-aggregation-controller,serviceaccount-controller,serviceaccount-token-controller,\
certificatesigningrequest-signing-controller,certificatesigningrequest-approving-controller,\
certificatesigningrequest-cleaner-controller,namespace-controller,root-ca-certificate-publisher-controller,\
token-cleaner-controller,garbage-collector-controller";

const AUTHENTICATION: &str = "authentication.yaml";

/// An issuer whose ID tokens an API server trusts, and how it reads them.
#[derive(Debug, Clone)]
pub struct JwtIssuer {
    /// The issuer's URL.
    pub url: String,
    /// The CA of its certificate, PEM.
    pub ca_pem: String,
    /// Accepted audiences; any of them will do.
    pub audiences: Vec<String>,
    /// Claim that becomes the user name.
    pub username_claim: String,
    /// What is put before the user name.
    pub username_prefix: String,
    /// Claim that becomes the groups.
    pub groups_claim: String,
    /// What is put before each group.
    pub groups_prefix: String,
}

impl JwtIssuer {
    /// An issuer with the usual claims: the email is the name, groups are `oidc:GROUP`.
    pub fn new(url: &str, ca_pem: &str, audiences: &[&str]) -> Self {
        Self {
            url: url.to_owned(),
            ca_pem: ca_pem.to_owned(),
            audiences: audiences.iter().map(ToString::to_string).collect(),
            username_claim: "email".to_owned(),
            username_prefix: String::new(),
            groups_claim: "groups".to_owned(),
            groups_prefix: "oidc:".to_owned(),
        }
    }

    fn entry(&self) -> Value {
        let mut issuer = json!({
            "url": self.url, "certificateAuthority": self.ca_pem, "audiences": self.audiences,
        });
        if self.audiences.len() > 1 {
            issuer["audienceMatchPolicy"] = "MatchAny".into();
        }
        json!({
            "issuer": issuer,
            "claimMappings": {
                "username": {"claim": self.username_claim, "prefix": self.username_prefix},
                "groups": {"claim": self.groups_claim, "prefix": self.groups_prefix},
            },
        })
    }
}

/// Writes down whom an API server trusts.
pub(super) fn trust(file: &Path, issuers: &[JwtIssuer]) -> Result<()> {
    let authentication = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": issuers.iter().map(JwtIssuer::entry).collect::<Vec<_>>(),
    });
    Ok(fs::write(file, authentication.to_string())?)
}

/// The files that the two servers read.
pub(super) struct Files {
    folder: PathBuf,
    pub(super) admin_kubeconfig: PathBuf,
}

impl Files {
    pub(super) fn write(folder: &Path, ca: &Ca, issuers: &[JwtIssuer]) -> Result<Self> {
        let files = Self { folder: folder.to_owned(), admin_kubeconfig: folder.join("admin.kubeconfig") };
        ca.server("serving", &["10.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"])?;
        let (private, public) = signing_key()?;
        fs::write(files.path("service-accounts.key"), private)?;
        fs::write(files.path("service-accounts.pub"), public)?;
        trust(&files.path(AUTHENTICATION), issuers)?;
        Ok(files)
    }

    /// The file that says whom the API server trusts.
    pub(super) fn authentication(&self) -> PathBuf {
        self.path(AUTHENTICATION)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn flag(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.path(file).display())
    }

    pub(super) fn api_server(&self, port: &Port, etcd: &Etcd, name: &str) -> Vec<String> {
        let mut flags = vec![
            format!("--secure-port={}", port.number()),
            format!("--etcd-servers={}", etcd.endpoint()),
            format!("--etcd-prefix=/{name}-{}", port.number()),
            format!("--service-account-issuer=https://{}", port.address()),
            self.flag("tls-cert-file", "serving.pem"),
            self.flag("tls-private-key-file", "serving.key"),
            self.flag("client-ca-file", "ca.pem"),
            self.flag("service-account-key-file", "service-accounts.pub"),
            self.flag("service-account-signing-key-file", "service-accounts.key"),
            self.flag("authentication-config", AUTHENTICATION),
        ];
        flags.extend(
            [
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--endpoint-reconciler-type=none",
                "--event-ttl=10m",
                "--profiling=false",
                "--enable-priority-and-fairness=false",
                "--disable-admission-plugins=Priority,DefaultStorageClass,StorageObjectInUseProtection,\
                 DefaultIngressClass,TaintNodesByCondition,PodTopologyLabels,DefaultTolerationSeconds",
                "--v=1",
            ]
            .map(str::to_owned),
        );
        flags
    }

    pub(super) fn controller_manager(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.admin_kubeconfig.display()),
            format!("--controllers={CONTROLLERS}"),
            // The signers for nodes are not wanted, and each would watch its files: a user has 128 such watches on most machines.
            self.flag("cluster-signing-kube-apiserver-client-cert-file", "ca.pem"),
            self.flag("cluster-signing-kube-apiserver-client-key-file", "ca.key"),
            self.flag("root-ca-file", "ca.pem"),
            self.flag("service-account-private-key-file", "service-accounts.key"),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--v=1".to_owned(),
        ]
    }
}
