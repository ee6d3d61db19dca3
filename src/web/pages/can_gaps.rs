//! What is not known of somebody's rights because Kubelend may not ask or read it, with the command that lets it.

use crate::{
    access::Gaps,
    k8s::K8sError,
    model::rbac::service_account_of,
    web::{shell, words},
};

/// Something that is not known, and what mends it.
#[derive(Debug)]
pub struct Gap {
    /// In words.
    pub words: String,
    /// A command that an admin of the cluster runs.
    pub command: Option<String>,
}

/// What is not known; `me` is Kubelend's name there.
pub fn gaps(gaps: &Gaps, me: Option<&str>) -> Vec<Gap> {
    let mut found = Vec::new();
    if let Some(error) = &gaps.rules {
        found.push(Gap {
            words: format!(
                "Kubelend may not read roles and bindings there, so it cannot say by what, nor who else. {error}"
            ),
            command: Some(command(
                "kubelend-reads-roles",
                "--verb=get,list --resource=clusterroles.rbac.authorization.k8s.io,roles.rbac.authorization.k8s.io,\
                 clusterrolebindings.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io",
                me,
            )),
        });
    }
    match &gaps.reviews {
        Some(error @ K8sError::Forbidden(_)) => found.push(Gap {
            words: format!(
                "Kubelend may not ask the cluster what others may do, so this is read from bindings alone. {error}"
            ),
            command: Some(command(
                "kubelend-asks",
                "--verb=create --resource=subjectaccessreviews.authorization.k8s.io",
                me,
            )),
        }),
        Some(error) => {
            let (title, _) = words::cluster_trouble(error);
            found.push(Gap { words: format!("{title}, so some of this is read from bindings alone."), command: None });
        }
        None => {}
    }
    if gaps.cut {
        let words = "The cluster has more bindings or roles than Kubelend reads at once: 2,000 of each kind. Somebody may be missing here.";
        found.push(Gap { words: words.into(), command: None });
    }
    found
}

/// What lets Kubelend do it. `rights` are words of ours.
fn command(name: &str, rights: &str, me: Option<&str>) -> String {
    let account = me.and_then(service_account_of);
    let whom = match (account, me) {
        (Some((namespace, name)), _) => format!("--serviceaccount={namespace}:{name}"),
        (None, Some(user)) => format!("--user={user}"),
        (None, None) => "--serviceaccount=kubelend:kubelend".into(),
    };
    format!(
        "kubectl create clusterrole {name} {rights}\nkubectl create clusterrolebinding {name} --clusterrole={name} {}",
        shell::word(&whom)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_17_whoever_kubelend_is_there_stays_one_word_of_the_command() {
        assert!(command("x", "", Some("$(reboot) 'x")).ends_with(r"'--user=$(reboot) '\''x'"));
        assert!(command("x", "", Some("system:serviceaccount:a:b")).ends_with("--serviceaccount=a:b"));
    }
}
