//! The real programs with the configurations that the containers get: addresses and paths are this machine's, everything
//! else is to the letter what stands in the repository.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use testbed::{
    Credentials, Port, Postgres, Programs, http,
    process::{Child, Command, Exit},
};

use super::{DEX, KUBELEND, Trial, swap};
use crate::flows::{
    house::binary,
    visitor::{Page, Visitor},
};

/// The trial, running.
struct Running {
    trial: Trial,
    postgres: Postgres,
    kubelend_port: Port,
    dex_port: Port,
    health: Port,
    dex: Child,
}

impl Running {
    /// PostgreSQL with its databases, and Dex.
    async fn start() -> Result<Self> {
        let trial = Trial::set_up()?;
        let postgres = Postgres::start_as("postgres").await?;
        let databases = trial.folder.join("databases.sql");
        fs::write(&databases, trial.configuration("postgres", "/docker-entrypoint-initdb.d/databases.sql")?)?;
        postgres.script("postgres", &databases).await?;
        let (kubelend_port, dex_port, health) = (Port::free()?, Port::free()?, Port::free()?);
        let ports = [("8443", &kubelend_port), ("5556", &dex_port), ("5558", &health)];
        let mut configuration = trial.configuration("dex", "/etc/dex/kubelend.yaml")?;
        for (port, here) in ports {
            configuration = swap(&configuration, &format!(":{port}"), &format!(":{}", here.number()));
        }
        configuration = swap(&configuration, "host: postgres", "host: 127.0.0.1");
        configuration = swap(&configuration, "port: 5432", &format!("port: {}", postgres.port()));
        let file = fill(&trial, &configuration).await?;
        let command = trial.service("dex")["command"].as_array().context("a command")?;
        ensure!(command[..2] == ["dex", "serve"] && command[2] == "/etc/dex/kubelend.yaml", "{command:?}");
        let dex = Command::new(Programs::get()?.path("dex")).arg("serve").arg(file).spawn("dex-trial")?;
        let running = Self { trial, postgres, kubelend_port, dex_port, health, dex };
        running.dex.until_ready(Duration::from_secs(30), || running.is_healthy()).await?;
        Ok(running)
    }

    /// Asks what the container's health check asks.
    async fn is_healthy(&self) -> Result<()> {
        let test = self.trial.service("dex")["healthcheck"]["test"].as_array().context("a health check")?;
        let url = test.last().and_then(Value::as_str).context("it ends with an address")?;
        let url = swap(url, ":5558", &format!(":{}", self.health.number()));
        let answer = http::plain()?.get(url).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        Ok(())
    }

    fn issuer(&self) -> String {
        format!("https://{DEX}:{}", self.dex_port.number())
    }

    /// Kubelend with what its container gets.
    fn kubelend(&self, command: &str) -> Result<Command> {
        let mut settings = self.trial.configuration("kubelend", "/etc/kubelend/kubelend.toml")?;
        let data = self.trial.folder.join("data");
        fs::create_dir_all(&data)?;
        settings = swap(&settings, "/var/lib/kubelend", &data.to_string_lossy());
        settings = swap(&settings, ":8443", &format!(":{}", self.kubelend_port.number()));
        let database = format!("@127.0.0.1:{}/", self.postgres.port());
        let url = self.trial.folder.join("database_url");
        fs::write(&url, swap(&self.trial.secret("database_url")?, "@postgres/", &database))?;
        settings = swap(&settings, self.trial.secret_file("database_url")?, &url.to_string_lossy());
        let file = self.trial.folder.join("kubelend.toml");
        fs::write(&file, settings)?;
        let mut kubelend = Command::new(binary()).args([command, "--config"]).arg(file);
        for (name, value) in self.trial.environment("kubelend")? {
            let value = value.replace(":8443", &format!(":{}", self.kubelend_port.number()));
            kubelend = kubelend.env(name, value.replace(":5556", &format!(":{}", self.dex_port.number())));
        }
        // Here alone Dex's name leads to this machine itself.
        Ok(kubelend.env("KUBELEND_NETWORK__ALLOW_LOOPBACK", "true"))
    }

    /// A browser that trusts the trial's CA, and that finds Kubelend by its name.
    fn browser(&self) -> Result<Visitor> {
        let ca = self.trial.secret("ca.crt")?;
        let here: SocketAddr = self.kubelend_port.address();
        let client = http::builder(&ca)?.cookie_store(true).resolve(KUBELEND, here).build()?;
        let base: url::Url = format!("https://{KUBELEND}:{}", here.port()).parse()?;
        let page = Page { url: base.clone(), status: StatusCode::OK, body: String::new() };
        Ok(Visitor { http: client, base, page })
    }
}

/// What Dex's image does to its configuration before Dex reads it.
async fn fill(trial: &Trial, text: &str) -> Result<PathBuf> {
    let (template, filled) = (trial.folder.join("dex.template"), trial.folder.join("dex.yaml"));
    fs::write(&template, text)?;
    let mut compose = Command::new(Programs::get()?.path("compose")).arg("template").arg(&template).stdout(&filled);
    for (name, value) in trial.environment("dex")? {
        compose = compose.env(name, value);
    }
    let child = compose.spawn("template")?;
    let exit = child.wait(Duration::from_secs(30)).await?;
    ensure!(exit == Exit::Code(0), child.explain(anyhow::anyhow!("the template ended: {exit:?}")));
    Ok(filled)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trial_passes_its_check_and_alice_signs_in() {
    let running = Running::start().await.unwrap();

    // Step 4.
    let told = running.trial.folder.join("check.txt");
    let check = running.kubelend("check").unwrap().stdout(&told).spawn("kubelend-check").unwrap();
    let exit = check.wait(Duration::from_secs(30)).await.unwrap();
    let told = fs::read_to_string(told).unwrap();
    assert_eq!(exit, Exit::Code(0), "{told}{}", check.log_tail(20));
    assert_eq!(told.lines().filter(|line| line.starts_with("ok ")).count(), 4, "{told}");
    assert!(told.contains("postgres, up to date") && told.contains(&running.issuer()), "{told}");

    // Step 5.
    let kubelend = running.kubelend("serve").unwrap().spawn("kubelend-trial").unwrap();
    let mut alice = running.browser().unwrap();
    let ready = alice.base.join("/readyz").unwrap();
    kubelend
        .until_ready(Duration::from_secs(30), async || {
            let answer = alice.http.get(ready.clone()).send().await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            Ok(())
        })
        .await
        .unwrap();
    // What the container's health check runs.
    let health = running.kubelend("health").unwrap().spawn("kubelend-health").unwrap();
    let exit = health.wait(Duration::from_secs(30)).await.unwrap();
    assert_eq!(exit, Exit::Code(0), "{}", health.log_tail(20));

    let password = running.trial.secret("alice_password").unwrap();
    let who = Credentials { password, ..Credentials::of("alice@example.com") };
    let base = alice.base.clone();
    alice.open(base.as_str()).await.unwrap();
    alice.follow("Sign in with Dex").await.unwrap();
    alice.sign_in_as(&who).await.unwrap();
    alice.open("/clusters").await.unwrap().link("Add cluster").expect("she is a platform admin");

    // Bob may sign in too, with his own password and no other.
    let bob = |password| Credentials { password, ..Credentials::of("bob@example.com") };
    let mut visitor = running.browser().unwrap();
    visitor.open(base.as_str()).await.unwrap();
    visitor.follow("Sign in with Dex").await.unwrap();
    let refused = visitor.answer_of_provider(&bob(running.trial.secret("alice_password").unwrap())).await;
    assert!(refused.is_err(), "{refused:?}");
    visitor.sign_in_as(&bob(running.trial.secret("bob_password").unwrap())).await.unwrap();
    visitor.page.does_not_see("Add cluster").unwrap();
    visitor.page.sees("bob@example.com").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dex_lends_tokens_for_ten_minutes_to_both_clients_and_to_kubelogin() {
    let running = Running::start().await.unwrap();
    let browser = running.browser().unwrap();
    let callback = format!("{}auth/callback/dex", browser.base);
    let password = running.trial.secret("bob_password").unwrap();
    let bob = Credentials { password, ..Credentials::of("bob@example.com") };
    for (client, redirect) in [
        ("kubelend", callback.as_str()),
        ("kubelend-direct", callback.as_str()),
        ("kubelend-direct", "http://localhost:8000"),
        ("kubelend-direct", "http://localhost:18000"),
    ] {
        let claims = claims(&running, &browser, client, redirect, &bob).await.unwrap();
        assert_eq!(claims["aud"], client);
        assert_eq!(claims["iss"], running.issuer());
        assert_eq!((&claims["email"], &claims["email_verified"]), (&"bob@example.com".into(), &true.into()));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
        assert!(claims["groups"].is_null(), "the documents say that static passwords have none: {claims}");
    }
    let stranger = claims(&running, &browser, "kubelend", "http://localhost:8000", &bob).await;
    assert!(stranger.unwrap_err().to_string().contains("400"));
}

/// Signs in without Kubelend; the claims of the ID token. There has to be a refresh token beside it.
async fn claims(
    running: &Running,
    browser: &Visitor,
    client: &str,
    redirect: &str,
    who: &Credentials,
) -> Result<Value> {
    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let query = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect),
        ("scope", "openid email groups offline_access"),
        ("state", "state"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    let authorize = url::Url::parse_with_params(&format!("{}/auth", running.issuer()), query)?;
    let back = testbed::http_login(&browser.http, authorize.as_str(), who).await?;
    ensure!(back.as_str().starts_with(redirect), "sent to {back}");
    let code = back.query_pairs().find(|(name, _)| name == "code").context("a code")?.1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", redirect),
        ("code_verifier", verifier),
        ("code", &code),
    ];
    let answer = browser.http.post(format!("{}/token", running.issuer())).form(&form).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let tokens: testbed::Tokens = answer.json().await?;
    ensure!(!tokens.refresh_token.is_empty(), "no refresh token");
    tokens.claims()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_databases_are_closed_to_each_other() {
    let trial = Trial::set_up().unwrap();
    let postgres = Postgres::start_as("postgres").await.unwrap();
    let databases = trial.folder.join("databases.sql");
    let script = trial.configuration("postgres", "/docker-entrypoint-initdb.d/databases.sql").unwrap();
    fs::write(&databases, script).unwrap();
    postgres.script("postgres", &databases).await.unwrap();
    let sql = "SELECT r.rolname || ' ' || d.datname FROM pg_roles r, pg_database d WHERE d.datname IN ('dex', 'kubelend') \
               AND r.rolname IN ('dex', 'kubelend') AND has_database_privilege(r.oid, d.oid, 'CONNECT') ORDER BY 1";
    let may: Vec<_> = postgres.sql("postgres", sql).await.unwrap().lines().map(str::to_owned).collect();
    assert_eq!(may, ["dex dex", "kubelend kubelend"]);
    let supers = "SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole ORDER BY 1";
    assert_eq!(postgres.sql("postgres", supers).await.unwrap().trim(), "postgres");
}
