//! The organisation's people and groups, served over LDAP to Dex.
//!
//! Every query reads the organisation anew, so a test changes it while everything runs: hire somebody, rename an address,
//! take somebody out of a group.

use std::{fs, path::PathBuf, sync::Mutex, time::Duration};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::{
    ports::Port,
    process::{Child, Command},
    run,
};

/// Everybody's password.
pub const PASSWORD: &str = "password";

/// Somebody who can sign in at Dex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Never changes: Dex makes the `sub` of it.
    pub id: String,
    /// The address to sign in with, and the `email` claim.
    pub email: String,
    /// The full name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The groups, as the `groups` claim has them.
    pub groups: Vec<String>,
    /// Former addresses: Dex refreshes by the one that was typed at sign-in.
    pub aliases: Vec<String>,
}

impl Person {
    /// A person with the usual password, whose id is the local part of the address.
    pub fn new(email: &str, name: &str, groups: &[&str]) -> Self {
        Self {
            id: email.split('@').next().unwrap_or(email).to_owned(),
            email: email.to_owned(),
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            groups: groups.iter().map(ToString::to_string).collect(),
            aliases: Vec::new(),
        }
    }
}

/// alice owns everything, bob and carol work, mallory is in no group.
pub fn everybody() -> Vec<Person> {
    vec![
        Person::new("alice@example.com", "Alice Example", &[]),
        Person::new("bob@example.com", "Bob Example", &["devs"]),
        Person::new("carol@example.com", "Carol Example", &["devs", "ops"]),
        Person::new("mallory@example.com", "Mallory Example", &[]),
    ]
}

/// A running directory.
#[derive(Debug)]
pub struct Directory {
    command: Command,
    child: Mutex<Option<Child>>,
    port: Port,
    file: PathBuf,
    people: Mutex<Vec<Person>>,
}

impl Directory {
    /// Starts a directory with [`everybody`].
    pub async fn start() -> Result<Self> {
        let (port, people) = (Port::free()?, everybody());
        let file = run::folder("directory")?.join("people.json");
        write(&file, &people)?;
        let command =
            Command::built("directory")?.args(["serve", "-listen", &port.address().to_string(), "-people"]).arg(&file);
        let directory = Self { command, child: Mutex::default(), port, file, people: Mutex::new(people) };
        directory.start_again().await?;
        Ok(directory)
    }

    /// Kills it. Who is in it stays.
    pub async fn stop(&self) -> Result<()> {
        let child = lock(&self.child).take();
        match child {
            Some(child) => child.kill9().await,
            None => Ok(()),
        }
    }

    /// Starts it on the same port, unless it runs.
    pub async fn start_again(&self) -> Result<()> {
        if lock(&self.child).is_some() {
            return Ok(());
        }
        let (child, address) = (self.command.spawn("directory")?, self.port.address());
        child
            .until_ready(Duration::from_secs(20), || async move {
                TcpStream::connect(address).await.map(drop).context("connect to the directory")
            })
            .await?;
        *lock(&self.child) = Some(child);
        Ok(())
    }

    /// The LDAP address, HOST:PORT.
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// Who is in the directory now.
    pub fn people(&self) -> Vec<Person> {
        lock(&self.people).clone()
    }

    /// Adds a person, or replaces the one with the same id.
    pub fn put(&self, person: Person) -> Result<()> {
        self.change(|people| {
            people.retain(|known| known.id != person.id);
            people.push(person.clone());
        })
    }

    /// Takes a person away.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.change(|people| people.retain(|person| person.id != id))
    }

    /// Gives a person another address; the old one still finds them.
    pub fn rename(&self, id: &str, email: &str) -> Result<()> {
        self.edit(id, |person| {
            let former = std::mem::replace(&mut person.email, email.to_owned());
            person.aliases.push(former);
        })
    }

    /// Puts a person into exactly these groups.
    pub fn set_groups(&self, id: &str, groups: &[&str]) -> Result<()> {
        self.edit(id, |person| person.groups = groups.iter().map(ToString::to_string).collect())
    }

    /// Changes one person in any way.
    pub fn edit(&self, id: &str, change: impl Fn(&mut Person)) -> Result<()> {
        self.change(|people| people.iter_mut().filter(|person| person.id == id).for_each(&change))
    }

    /// Suspends the process: sign-ins hang until [`Self::resume`].
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a suspended process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        lock(&self.child).as_ref().context("the directory does not run")?.signal(signal)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Person>)) -> Result<()> {
        let mut people = lock(&self.people);
        change(&mut people);
        write(&self.file, &people)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// In one step: a query never reads half a file.
fn write(file: &PathBuf, people: &[Person]) -> Result<()> {
    let fresh = file.with_extension("new");
    fs::write(&fresh, serde_json::to_vec_pretty(&serde_json::json!({ "people": people }))?)?;
    fs::rename(&fresh, file).context("put the new people in place")
}
