//! The one command that connects a cluster: run with the owner's own kubectl, it makes a least-power ServiceAccount and
//! prints a kubeconfig to paste.

use serde_json::{Value, json};

use crate::yaml;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The manifest: namespace, ServiceAccount, ClusterRole and its binding, token Secret. `roles` are the ClusterRoles that Kubelend may
/// bind (verb `bind`, by name). Rights: get/list/watch/create/update/patch/delete clusterrolebindings and rolebindings, `bind` on the listed
/// ClusterRoles, get/list namespaces, get/list clusterroles and roles, create subjectaccessreviews; and get `/metrics`, which a diagnosis
/// is better with and nothing needs.
///
/// The Secret's token has no end; deleting the Secret revokes it.
pub fn least_power_manifest(roles: &[&str]) -> String {
    least_power_objects(roles).iter().map(yaml::write).collect::<Vec<_>>().join("---\n")
}

/// The same as the objects themselves, in the order in which they can be made: the token last, when all that it may do stands.
pub fn least_power_objects(roles: &[&str]) -> [Value; 5] {
    let account = json!({"kind": "ServiceAccount", "name": "kubelend", "namespace": "kubelend"});
    let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": "kubelend"});
    let mut account_object = object("v1", "ServiceAccount", true);
    account_object["automountServiceAccountToken"] = false.into();
    let mut secret = object("v1", "Secret", true);
    secret["metadata"]["name"] = "kubelend-token".into();
    secret["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "kubelend"});
    secret["type"] = "kubernetes.io/service-account-token".into();
    let mut cluster_role = object("rbac.authorization.k8s.io/v1", "ClusterRole", false);
    cluster_role["rules"] = allowed(roles);
    let mut binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", false);
    binding["roleRef"] = role;
    binding["subjects"] = json!([account]);
    [object("v1", "Namespace", false), account_object, cluster_role, binding, secret]
}

fn object(api_version: &str, kind: &str, namespaced: bool) -> Value {
    let mut metadata = json!({"name": "kubelend", "labels": {"app.kubernetes.io/name": "kubelend"}});
    if namespaced {
        metadata["namespace"] = "kubelend".into();
    }
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
}

fn allowed(roles: &[&str]) -> Value {
    let mut list = vec![
        json!({
            "apiGroups": [RBAC],
            "resources": ["clusterrolebindings", "rolebindings"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
        }),
        json!({"apiGroups": [RBAC], "resources": ["clusterroles", "roles"], "verbs": ["get", "list"]}),
        json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}),
        json!({"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}),
        // Never needed: the API server's counters say whether it knows an issuer, which a refused sign-in does not.
        json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}),
    ];
    // An empty list of names would mean every role.
    if !roles.is_empty() {
        let bind =
            json!({"apiGroups": [RBAC], "resources": ["clusterroles"], "resourceNames": roles, "verbs": ["bind"]});
        list.insert(1, bind);
    }
    list.into()
}

/// A POSIX shell command to paste: applies the manifest, waits (bounded) for the token, prints the kubeconfig on stdout and nothing else there.
/// It takes the server and CA from the current context of the caller's kubectl. Works with `kubectl` alone (no jq, no base64).
///
/// All of it runs in a subshell, so that a failure ends the command and not the person's shell. It holds no comments and no
/// exclamation marks, which interactive shells do not all take, and its functions bear names that nobody has an alias for.
pub fn connect_script(roles: &[&str]) -> String {
    SCRIPT.replace("MANIFEST_GOES_HERE\n", &least_power_manifest(roles))
}

const SCRIPT: &str = r#"(
set -eu
kubelend_secret() { kubectl --namespace kubelend get secret kubelend-token --output "go-template={{with .data}}{{with index . \"$1\"}}$2{{end}}{{end}}"; }
kubelend_all=$(kubectl config view --minify --flatten --raw --output 'go-template={{printf "%q\n" (index . "current-context")}}{{with index .clusters 0}}{{with index .cluster "server"}}{{printf "%q" .}}{{end}}
{{with index .cluster "tls-server-name"}}{{printf "%q" .}}{{end}}
{{with index .cluster "certificate-authority-data"}}{{.}}{{end}}
{{with index .cluster "insecure-skip-tls-verify"}}{{.}}{{end}}
{{end}}.')
{ read -r name; read -r server; read -r sni; read -r ca; read -r insecure; } <<KUBELEND_ALL
$kubelend_all
KUBELEND_ALL
kubectl apply --filename - >&2 <<'KUBELEND_MANIFEST'
MANIFEST_GOES_HERE
KUBELEND_MANIFEST
tries=0
token=
while [ -z "$token" ]; do
  token=$(kubelend_secret token '{{base64decode .}}' || true)
  [ -n "$token" ] && break
  tries=$((tries + 1))
  if [ "$tries" -ge 30 ]; then
    echo 'kubelend: the cluster has put no token into the Secret kubelend-token within 30 seconds; is its controller manager running?' >&2
    exit 1
  fi
  sleep 1
done
if [ -z "$ca" ] && [ "$insecure" = true ]; then
  ca=$(kubelend_secret ca.crt '{{.}}')
fi
cat <<KUBELEND_KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: $name
  cluster:
    server: $server
    certificate-authority-data: $ca
    tls-server-name: $sni
contexts:
- name: $name
  context:
    cluster: $name
    user: kubelend
current-context: $name
users:
- name: kubelend
  user:
    token: "$token"
KUBELEND_KUBECONFIG
echo 'kubelend: paste the kubeconfig above into Kubelend. Its token has no end; to revoke it: kubectl --namespace kubelend delete secret kubelend-token' >&2
case $server in
  *//127.*|*//localhost*|*//\[::1\]*) echo 'kubelend: this address is only known on this machine; Kubelend must reach the API server from where it runs' >&2 ;;
esac
)
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::role::Role;

    fn roles() -> Vec<&'static str> {
        Role::NAMES.to_vec()
    }

    #[test]
    fn the_manifest_in_deploy_is_the_one_that_is_printed() {
        assert_eq!(include_str!("../../deploy/rbac/kubelend.yaml"), least_power_manifest(&roles()));
    }

    #[test]
    fn without_roles_nothing_may_be_bound_rather_than_everything() {
        assert!(!least_power_manifest(&[]).contains("bind\""));
        assert!(!least_power_manifest(&[]).contains("- bind\n"));
        assert!(least_power_manifest(&["view"]).contains("- bind\n"));
    }

    #[test]
    fn immune_17_a_hostile_role_name_stays_a_name_in_the_manifest_and_in_the_script() {
        for hostile in crate::kubeconfig::build::tests::HOSTILE.iter().chain(&["x\nKUBELEND_MANIFEST\ntouch /tmp/x\n"])
        {
            let manifest = least_power_manifest(&[hostile]);
            for document in manifest.split("---\n") {
                assert!(yaml::read(document).is_ok(), "{hostile:?}: {document}");
            }
            let script = connect_script(&[hostile]);
            assert_eq!(script.lines().filter(|l| *l == "KUBELEND_MANIFEST").count(), 1, "{script}");
        }
    }

    #[test]
    fn the_script_holds_nothing_that_an_interactive_shell_reads_differently() {
        let script = connect_script(&roles());
        assert!(!script.contains('!') && !script.contains('\t') && !script.contains("MANIFEST_GOES_HERE"));
        assert!(script.lines().all(|l| !l.trim_start().starts_with('#')));
        assert!(script.starts_with("(\n") && script.ends_with(")\n"));
        for shell in ["sh", "bash"] {
            let status = std::process::Command::new(shell).args(["-n", "-c", &script]).status().unwrap();
            assert!(status.success(), "{shell}");
        }
    }

    #[test]
    fn it_gives_up_after_a_bounded_wait_with_nothing_on_stdout() {
        use std::{fs, os::unix::fs::PermissionsExt, process::Command};
        let folder =
            std::env::temp_dir().join(format!("kubelend-wait-{}", u64::from_be_bytes(crate::crypto::random())));
        fs::create_dir(&folder).unwrap();
        // A cluster whose controller manager sleeps: the Secret is there, and no token in it.
        for (program, text) in [
            (
                "kubectl",
                "case \"$*\" in apply*) cat >/dev/null; echo applied;; config*) printf 'x\\nhttps://x\\n\\n\\n\\n.';; *) ;; esac",
            ),
            ("sleep", "echo >> slept"),
        ] {
            let file = folder.join(program);
            fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let output = Command::new("sh")
            .args(["-c", &connect_script(&roles())])
            .current_dir(&folder)
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .output()
            .unwrap();
        let slept = fs::read_to_string(folder.join("slept")).unwrap().lines().count();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("applied") && said.contains("no token"), "{said}");
        assert_eq!(slept, 29);
    }
}
