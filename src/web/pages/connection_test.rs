//! The connection test as the kubeconfig page shows it: that it works, or first of all what is wrong, whose turn it is, and what
//! to send them.

use crate::{
    access::{ConnectionTest, TestedRight},
    k8s::UserInfo,
    model::diagnosis::{Cause, Certainty, Finding},
    web::{
        api_server_setup::ApiServerSetup,
        diagnosis::{About, Told, message, told, whom},
        labels::within,
    },
};

/// How many bytes of group names the page lists.
const GROUPS_ROOM: usize = 4 * 1024;

/// The connection test in words.
pub struct TestView {
    /// Who they are there.
    pub known_as: Option<KnownAs>,
    /// What they may do.
    pub rights: Vec<TestedRight>,
    /// What is wrong, or could be.
    pub trouble: Vec<Told>,
    /// Whether one of these is it, the likeliest first.
    pub open: bool,
    /// What is worth a word besides.
    pub beside: Vec<Told>,
    /// Where to sign in again, where that is what helps.
    pub sign_in: Option<String>,
    /// Whether it is worth a try from the person's own machine.
    pub try_yourself: bool,
    /// Whom to write to, and what.
    pub letter: Option<(String, String)>,
    /// What the API server should be set to, where that is at stake.
    pub setup: Option<ApiServerSetup>,
    /// How long it took.
    pub millis: u64,
}

/// Who somebody is on a cluster.
pub struct KnownAs {
    /// The user name.
    pub username: String,
    /// The groups.
    pub groups: Vec<String>,
    /// How many more there are than the page lists.
    pub more_groups: usize,
}

impl From<UserInfo> for KnownAs {
    fn from(user: UserInfo) -> Self {
        let (groups, unfit) = within(user.groups, GROUPS_ROOM, String::len);
        Self { username: user.username, groups, more_groups: user.more_groups + unfit }
    }
}

impl TestView {
    /// Of a test; `setup` is what the API server should be set to, `sign_in` where the person signs in again.
    pub fn new(test: ConnectionTest, about: &About, person: &str, setup: ApiServerSetup, sign_in: String) -> Self {
        let findings = &test.findings;
        let first = findings.iter().find(|finding| finding.trouble);
        let about_setup = findings.iter().any(|finding| finding.trouble && finding.cause.is_about_setup());
        let setup = about_setup.then_some(setup);
        let letter = first.and_then(|finding| whom(finding.cause.turn(), about)).map(|whom| {
            (whom, message(findings, about, person, setup.as_ref().map(|setup| setup.configuration.as_str())))
        });
        let is = |wanted: fn(&Cause) -> bool| first.is_some_and(|finding| wanted(&finding.cause));
        let in_words = |trouble: bool| {
            let these = findings.iter().filter(|finding| finding.trouble == trouble);
            these.map(|finding| told(finding, about)).collect::<Vec<Told>>()
        };
        Self {
            trouble: in_words(true),
            open: findings.iter().any(is_open),
            beside: in_words(false),
            sign_in: is(|cause| matches!(cause, Cause::NoToken | Cause::TokenOver(_))).then_some(sign_in),
            try_yourself: is(|cause| matches!(cause, Cause::Unreachable(_) | Cause::Silent)),
            letter,
            setup,
            known_as: test.user.map(KnownAs::from),
            rights: test.rights,
            millis: test.millis,
        }
    }

    /// Whether nothing is wrong.
    pub fn works(&self) -> bool {
        self.known_as.is_some() && self.trouble.is_empty()
    }
}

fn is_open(finding: &Finding) -> bool {
    finding.trouble && finding.certainty == Certainty::Possible
}
