//! Hundreds of random operations, and kill −9 at random moments of them: afterwards the clusters are as a model has it that only
//! adds up what was answered, and what is not ours stands as it stood.
//!
//! In the suite it is a short walk on each database. `KUBELEND_OPERATIONS=500` makes it a long one, and `KUBELEND_SEED` draws the same
//! operations, deaths and meddling once more; at what line a death meets the process is up to the machine.

mod asking;
mod beginning;
mod ground;
mod meddling;
mod model;
mod operations;
mod settling;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubelend::{clock::Clock, model::grant::GrantState, store::Store};
use testbed::eventually;

use self::{
    ground::{Ground, Standing},
    model::{Dice, Model, Stands},
    operations::{Answer, Operation, World},
};
use super::{
    house::{Database, House},
    visitor::Visitor,
};

/// In the suite.
const FEW: usize = 60;
/// After so many the clusters are compared.
const STRETCH: usize = 30;
/// A claim of a process that died runs out, what is being replaced makes way, and what was in the way is tried again.
const PATIENCE: Duration = Duration::from_secs(90);
/// One operation in so many ends with the process.
const DEADLY: usize = 7;

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how long a test walks is no setting of the product")]
    let text = std::env::var(name).ok()?;
    text.parse().ok()
}

struct Walk {
    house: House,
    owner: Visitor,
    visitors: Vec<Visitor>,
    world: World,
    grounds: Vec<Ground>,
    model: Model,
    /// What somebody else made, as it stood then.
    foreign: Vec<(usize, Standing)>,
    /// A name that nobody has.
    stranger: String,
    seed: u64,
    /// What was done, for whoever has to find out.
    told: Vec<String>,
    figures: Figures,
}

/// How often what happened.
#[derive(Debug, Default)]
struct Figures {
    deaths: usize,
    /// Answers that were lost, of what had happened and of what had not.
    lost: [usize; 2],
    refused: usize,
    meddled: usize,
    ended: usize,
    /// Bindings, as often as they were compared.
    compared: usize,
}

impl Walk {
    async fn store(&self) -> Result<Store> {
        Ok(Store::open(&self.house.database_url).await?)
    }

    /// One operation, and perhaps a death in its midst, and perhaps what somebody does behind Kubelend's back.
    async fn step(&mut self, step: usize) -> Result<()> {
        let mut dice = Dice::of(self.seed, step);
        let dies = dice.one_in(DEADLY);
        // Within the page's own work mostly, and within what goes on behind it.
        let longest = if dice.one_in(4) { 900 } else { 120 };
        let after = Duration::from_millis(dice.below(longest) as u64);
        let meddles = dice.one_in(4);
        let operation = self.world.draw(&mut dice, &self.model);
        let tag = format!("op{step:05}");
        self.told.push(format!("{tag} {operation:?}, dies {dies} after {after:?}"));
        let parts = (&mut self.owner, self.visitors.as_mut_slice());
        let asking = self.world.ask(&operation, &self.model, &tag, parts);
        self.figures.deaths += usize::from(dies);
        let answer = if dies {
            let (answer, killed) = tokio::join!(asking, async {
                tokio::time::sleep(after).await;
                self.house.kubelend.kill9().await
            });
            killed?;
            lost(answer)?
        } else {
            Some(asking.await?)
        };
        if meddles && dies {
            self.meddle(&mut dice).await?;
        }
        if dies {
            self.revive().await?;
        }
        self.keep(&operation, answer, &tag).await?;
        if meddles && !dies {
            self.meddle(&mut dice).await?;
        }
        if dice.one_in(16) {
            self.let_end(&mut dice).await?;
        }
        Ok(())
    }

    /// Puts into the model what was answered. What was not, is as the database has it.
    async fn keep(&mut self, operation: &Operation, answer: Option<Answer>, tag: &str) -> Result<()> {
        if answer == Some(Answer::Refused) {
            ensure!(World::is_so(operation, &self.model), "{operation:?} was refused for nothing");
            self.figures.refused += 1;
            return Ok(());
        }
        let store = self.store().await?;
        let happened = self.world.settle(operation, &mut self.model, tag, &store).await?;
        store.close().await;
        self.told.push(format!("{tag} was answered with {answer:?}, and happened: {happened}"));
        self.figures.lost[usize::from(!happened)] += usize::from(answer.is_none());
        ensure!(happened || answer.is_none(), "{operation:?} was answered with yes, and has not happened");
        Ok(())
    }

    /// Starts it again, and lets it follow the clusters at once: others wait for a sign of life of the one that died.
    async fn revive(&self) -> Result<()> {
        self.house.kubelend.resume().await?;
        let store = self.store().await?;
        let later = Clock::System.now().plus(Duration::from_hours(1));
        store.hold_watches("nobody", later, Duration::from_millis(1)).await?;
        store.release_watches("nobody").await?;
        store.close().await;
        Ok(())
    }

    /// The bindings of a cluster that are none of those that somebody else made.
    async fn ours(&self, at: usize) -> Result<Vec<Standing>> {
        let mut all = self.grounds[at].standing().await?;
        all.retain(|found| !self.foreign.iter().any(|(cluster, made)| *cluster == at && made.uid == found.uid));
        Ok(all)
    }

    /// Waits until nothing is to be done any more and the clusters are as the model has it.
    async fn agrees(&self) -> Result<()> {
        let store = self.store().await?;
        let wanted = self.model.wanted();
        eventually("the clusters to be as the model has it", PATIENCE, async || {
            for (state, many) in store.unsettled_grants().await? {
                ensure!(many == 0 || state == GrantState::Conflict, "{many} grants are {}", state.as_str());
            }
            let same = self.compare(&wanted).await;
            if same.is_err() {
                // To list everything costs the API servers something; what is to be noticed takes its time.
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            same
        })
        .await?;
        store.close().await;
        Ok(())
    }

    async fn compare(&self, wanted: &[Stands]) -> Result<()> {
        let mut stands: Vec<Stands> = Vec::new();
        for (at, ground) in self.grounds.iter().enumerate() {
            let all = ground.standing().await?;
            for (_, made) in self.foreign.iter().filter(|(cluster, _)| *cluster == at) {
                let found = all.iter().find(|found| found.uid == made.uid);
                let untouched = found.is_some_and(|found| found.version == made.version);
                ensure!(untouched, "{made:?} of somebody else is {found:?}");
            }
            for found in self.ours(at).await? {
                stands.push((at, found.namespace, found.role, found.subjects.join(", ")));
            }
        }
        stands.sort();
        let missing: Vec<_> = wanted.iter().filter(|one| !stands.contains(one)).collect();
        let extra: Vec<_> = stands.iter().filter(|one| !wanted.contains(one)).collect();
        ensure!(stands == wanted, "missing: {missing:#?}, too many: {extra:#?}, {} for {}", stands.len(), wanted.len());
        Ok(())
    }

    async fn walk(&mut self, steps: usize) -> Result<()> {
        for step in 0..steps {
            self.step(step).await.with_context(|| format!("step {step}"))?;
            if (step + 1) % STRETCH == 0 || step + 1 == steps {
                self.agrees().await.with_context(|| format!("after step {step}"))?;
                self.figures.compared += self.model.wanted().len();
            }
        }
        Ok(())
    }
}

/// The answer, unless it was lost with the process.
fn lost(answer: Result<Answer>) -> Result<Option<Answer>> {
    match answer {
        Err(error) if error.chain().any(|cause| cause.is::<reqwest::Error>()) => Ok(None),
        other => other.map(Some),
    }
}

async fn random_operations(database: Database) -> Result<()> {
    let seed = number("KUBELEND_SEED").unwrap_or_else(|| u64::from_be_bytes(kubelend::crypto::random()));
    let steps = number("KUBELEND_OPERATIONS").and_then(|n| usize::try_from(n).ok()).unwrap_or(FEW);
    let mut walk = Walk::begin(database, seed).await?;
    let went = walk.walk(steps).await;
    #[expect(clippy::print_stderr, reason = "for whoever looks at a long walk; it is captured otherwise")]
    {
        eprintln!("{database:?}, seed {seed}, {steps} operations: {:?}, {} forged", walk.figures, walk.foreign.len());
    }
    let last = walk.told.split_off(walk.told.len().saturating_sub(60)).join("\n");
    went.with_context(|| format!("{last}\nThe same again: KUBELEND_SEED={seed} KUBELEND_OPERATIONS={steps}"))
}

#[tokio::test]
async fn immune_25_killed_at_random_moments_of_random_operations_the_clusters_are_as_a_model_has_it() -> Result<()> {
    random_operations(Database::Sqlite).await
}

#[tokio::test]
async fn immune_25_killed_at_random_moments_of_random_operations_the_clusters_are_as_a_model_has_it_on_postgres()
-> Result<()> {
    random_operations(Database::Postgres).await
}
