//! The command line as an operator meets it: the real program, its output, its exit codes.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;
use testbed::Testbed;

/// A folder of its own that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(configuration: &str) -> Self {
        let folder = Self(testbed::run::folder("config").unwrap());
        fs::write(folder.0.join("kubelend.toml"), configuration).unwrap();
        folder
    }

    fn kubelend(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubelend"));
        command.env_clear().env("KUBELEND_CONFIG", self.0.join("kubelend.toml")).args(arguments).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn configuration(issuer: &str, ca_file: &str) -> String {
    format!(
        r#"
public_url = "https://kubelend.example.com"
data_dir = "."
[network]
allow_loopback = true
[[providers]]
id = "dex"
issuer = "{issuer}"
client_id = "kubelend"
ca_file = "{ca_file}"
[[platform_admins]]
provider = "dex"
email = "alice@example.com"
"#
    )
}

#[test]
fn version_and_help_are_told() {
    let folder = Folder::with("");
    let version = folder.kubelend(&["version"]);
    assert!(version.status.success());
    assert_eq!(text(&version.stdout), concat!("kubelend ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = folder.kubelend(&["check", "--help"]);
    assert!(text(&help.stdout).contains("Example:") && text(&help.stdout).contains("KUBELEND_CONFIG"));
}

#[test]
fn a_start_and_a_check_tell_all_mistakes_and_the_next_step() {
    let folder = Folder::with("public_url = \"http://x\"\n[listn]\n");
    for command in ["serve", "check"] {
        let output = folder.kubelend(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let errors = text(&output.stderr);
        for part in ["public_url", "not https", "did you mean listen?", "providers", "platform_admins", "→"] {
            assert!(errors.contains(part), "{command}: {part} in {errors}");
        }
    }
    let output = folder.kubelend(&["check", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], false);
    assert!(answer["checks"].as_array().unwrap().len() >= 4, "{answer}");
    assert!(answer["checks"][0]["next"].is_string());
}

#[test]
fn a_missing_configuration_says_how_to_name_one() {
    let folder = Folder::with("");
    let output = folder.kubelend(&["serve", "--config", "/nowhere.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--config FILE"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_opens_the_database_and_asks_the_providers() {
    let bed = Testbed::shared().await.unwrap();
    let dex = bed.dex().await.unwrap();
    let folder = Folder::with(&configuration(dex.issuer(), dex.ca_file().to_str().unwrap()));
    let output = folder.kubelend(&["check", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let what: Vec<_> = answer["checks"].as_array().unwrap().iter().map(|c| c["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["configuration", "key ring", "database", "provider dex"]);
    assert!(!folder.0.join("keyring").exists(), "a look makes no keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_stands_in_the_way_of_each_part() {
    let bed = Testbed::shared().await.unwrap();
    let other = testbed::Ca::new("Another CA").unwrap();
    let dex = bed.dex().await.unwrap();
    let folder = Folder::with(&configuration(dex.issuer(), other.path().to_str().unwrap()));
    fs::write(folder.0.join("keyring"), "nonsense").unwrap();
    let output = folder.kubelend(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    for line in ["FAILED key ring", "ok     database", "FAILED provider dex"] {
        assert!(table.contains(line), "{line} in {table}");
    }
    let errors = text(&output.stderr);
    assert!(errors.contains("ca_file") && errors.contains("key ring"), "{errors}");
}
