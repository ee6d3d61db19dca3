//! Words for what can stand in the way, the same wherever it is met: what happened and whose turn it is.

use crate::{k8s::K8sError, policy::Forbidden};

/// A title and a paragraph.
pub type Words = (&'static str, String);

/// What an API server's trouble means to whoever stands before it.
pub fn cluster_trouble(error: &K8sError) -> Words {
    let owner = "It is the turn of the people who run the cluster.";
    match error {
        K8sError::Unreachable(why) => ("The cluster cannot be reached", format!("Kubelend got no connection: {why}. {owner}")),
        K8sError::TimedOut => {
            ("The cluster does not answer", format!("Its API server did not answer in time. {owner} Try again in a moment."))
        }
        K8sError::Tls(why) => (
            "The cluster shows a certificate that is not the expected one",
            format!("Nothing was sent there. It says: {why}. {owner}"),
        ),
        K8sError::Unauthorized => (
            "The cluster does not accept the credential",
            "An API server never says why. Its settings for this sign-in provider may differ from what Kubelend was told \
             (issuer, client, claims), it may not have fetched the provider's keys yet, or the clocks differ. It is the turn \
             of the people who run the cluster."
                .to_owned(),
        ),
        K8sError::Forbidden(why) => {
            ("The cluster does not allow that", format!("It says: {why}. Its owner can grant the right."))
        }
        K8sError::NotFound => ("The cluster does not have that", "It may have been removed there.".to_owned()),
        K8sError::Conflict(why) => {
            ("On the cluster it was changed in the meantime", format!("It says: {why}. Nothing was overwritten; try again."))
        }
        K8sError::Refused(status, why) => {
            ("The cluster refused", format!("It answered {status}: {why}. {owner}"))
        }
        K8sError::Nonsense(why) => (
            "What answers there is no Kubernetes API server",
            format!("{why}. Perhaps a proxy or a login page stands in between. {owner}"),
        ),
        K8sError::Unusable(why) => (
            "Kubelend cannot use what it has stored for this cluster",
            format!("{why}. The cluster's owner can replace the credentials."),
        ),
    }
}

/// Why somebody may not, and who can change that.
pub fn forbidden(why: Forbidden) -> Words {
    match why {
        Forbidden::AddsNoClusters => (
            "Adding clusters is kept to a few people",
            "A cluster that is added here sees everybody's sign-ins, so only platform admins and the people they list add \
             one. Whoever runs this Kubelend can put you on that list (“cluster_adders” in its configuration)."
                .to_owned(),
        ),
        Forbidden::NotYours => (
            "Only the people who manage this cluster can do that",
            "An owner of the cluster's workspace or a platform admin can do it for you. If somebody lent you the cluster, you \
             find it under Shared with me."
                .to_owned(),
        ),
        Forbidden::NotYourWorkspace => (
            "Only the people who manage this workspace can do that",
            "An owner of the workspace or a platform admin can do it for you, or make you a member who may.".to_owned(),
        ),
        Forbidden::NotYourProject => (
            "Only people of this project can do that",
            "An owner of the project can make you a member: look under its Members if you see it, or ask whoever told you of it. \
             Owners of its workspace and platform admins can, too."
                .to_owned(),
        ),
        Forbidden::MakesNoWorkspaces => (
            "Making workspaces is kept to a few people",
            "Platform admins make workspaces, and the people they list. Whoever runs this Kubelend can put you on that list \
             (“workspace_makers” in its configuration), or a platform admin makes one and you its owner."
                .to_owned(),
        ),
        Forbidden::NoPlatformAdmin => (
            "Only platform admins can do that",
            "It reaches every cluster here. Whoever runs this Kubelend names them (“platform_admins” in its configuration)."
                .to_owned(),
        ),
        Forbidden::RaisesThemselves => (
            "Nobody gives themselves a stronger role",
            "Another owner of the workspace or a platform admin can give it to you.".to_owned(),
        ),
        Forbidden::OwnersGive | Forbidden::MakerNoOwner => (
            "This role is for owners to give",
            "Whoever has it can own the cluster, so only owners of its workspace and platform admins give it, or a link that does."
                .to_owned(),
        ),
        Forbidden::OwnersGiveFurther => (
            "What reaches further than admin is for owners to give",
            "The role of it lets do more than admin does there, so only owners of the workspace and platform admins give it, or hand \
             on a link that does."
                .to_owned(),
        ),
        Forbidden::GroupNotKept => (
            "Editors may change who is in this group",
            "They could put themselves into it, and cluster-admin is for owners to give. Let only owners change who is in it, on \
             the group's page, and give it then."
                .to_owned(),
        ),
        Forbidden::GroupOfEditors => (
            "Editors may change who is in this group",
            "They would say who is a member by it. Let only owners change who is in it, on the group's page, and add it then."
                .to_owned(),
        ),
        Forbidden::GroupChanged => (
            "Who may change this group has just been changed",
            "Nothing was done. Look at the group again; if its workspace is being deleted, the group goes with it.".to_owned(),
        ),
        Forbidden::LastOwner => (
            "This is the last person who owns the workspace",
            "Nobody could manage it any more: an address or a group may turn out to be nobody, and who signs in at a provider \
             that is switched off cannot come in. Make another person an owner first."
                .to_owned(),
        ),
        Forbidden::WorkspaceGoing => (
            "This workspace is being deleted",
            "It takes no new clusters and members. Choose another one.".to_owned(),
        ),
        Forbidden::TakenBackElsewhere => (
            "It reaches further than this cluster",
            "This access was given on several clusters at once, in a workspace, a project or everywhere. It is taken back there, \
             for all of them; the access page names the grant."
                .to_owned(),
        ),
        Forbidden::ChangedElsewhere => (
            "It is changed where it came from",
            "What a share link gives is changed on the link's page, for whoever accepts it from then on, and what was given on \
             several clusters at once is changed there. To give this person something else here, take this back and give them \
             that by name; the access page says where it came from."
                .to_owned(),
        ),
        Forbidden::NothingLent => (
            "You have no access to this cluster",
            "Nobody has lent it to you, or the access has ended or was taken back. Whoever lent it can send you a new share \
             link or grant you access."
                .to_owned(),
        ),
        // To whom it is not for, a link is like one that is not there.
        Forbidden::LinkClosed(_) | Forbidden::NotInvited(_) => (
            "This link is not open any more",
            "Ask the person who sent it to you for a new one.".to_owned(),
        ),
        Forbidden::TakenForAnother => (
            "This cluster would take you for somebody else",
            "You, or a group that you are in, are called there as people of another provider are that it trusts, and it could not \
             tell you apart. Its owners see the names under its settings; whoever runs your provider can rename the group."
                .to_owned(),
        ),
        Forbidden::ProviderNotTrusted => (
            "The cluster does not know the provider that you sign in at",
            "Sign out and sign in at the provider that your host uses, or ask them to let the cluster trust yours.".to_owned(),
        ),
        Forbidden::BeingRemoved => (
            "This cluster is being removed",
            "Nothing new is granted on it. Its owner can tell you where to go instead.".to_owned(),
        ),
    }
}
