//! What others do behind Kubelend's back: they edit and delete what is ours, and make what is not, under our names and labels too;
//! and time passes.

use std::time::Duration;

use anyhow::Result;
use kubelend::{
    clock::Clock,
    model::{
        audit::{Action, Actor},
        id::GrantId,
    },
    store::{AuditDraft, Terms},
};
use serde_json::{Value, json};

use super::{Walk, ground::Standing, model::Dice};

const GRANT: &str = "kubelend.io/grant";
const INSTANCE: &str = "kubelend.io/instance";
const MARK: &str = "kubelend.io/mark";

impl Walk {
    pub(super) async fn meddle(&mut self, dice: &mut Dice) -> Result<()> {
        let at = dice.below(self.grounds.len());
        let mut ours = self.ours(at).await?;
        ours.sort_by(|a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
        let Some(one) = dice.pick(&ours).cloned() else { return Ok(()) };
        let ground = &self.grounds[at];
        let stranger = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.stranger});
        let what = dice.below(7);
        self.figures.meddled += 1;
        self.told.push(format!("somebody does {what} to {one:?} on {at}"));
        match what {
            0 | 1 => ground.patch(&one, &json!({"subjects": [stranger]})).await?,
            2 => ground.patch(&one, &json!({"metadata": {"labels": {INSTANCE: null}}})).await?,
            3 | 4 => ground.delete(&one).await?,
            5 => self.replace(at, &one).await?,
            _ => self.forge(dice, at, &one).await?,
        }
        Ok(())
    }

    /// Ours goes, and another one bears its name and its labels before it is back.
    async fn replace(&mut self, at: usize, one: &Standing) -> Result<()> {
        // What was written out has a name that the model does not know.
        if !self.model.given.iter().any(|given| format!("kubelend-{}", given.id) == one.name) {
            return Ok(());
        }
        let labels = self.copied(one).await?;
        let ground = &self.grounds[at];
        ground.delete(one).await?;
        if let Some(made) = ground.make(&one.namespace, &one.name, &labels, &self.stranger).await? {
            self.model.taken.push((at, one.namespace.clone(), one.name.clone()));
            self.foreign.push((at, made));
        }
        Ok(())
    }

    /// Labels for a forgery: all of ours. The mark of what is not remembered yet is what Kubelend knows its own by, so whoever reads it in
    /// the moment between a death and the next start is the one that is not told apart; it is left out then.
    async fn copied(&self, one: &Standing) -> Result<Value> {
        let mut labels = one.labels.clone();
        let id: Option<GrantId> = one.labels[GRANT].as_str().and_then(|id| id.parse().ok());
        let store = self.store().await?;
        let remembered = match id {
            Some(id) => store.memory(id).await?.made.iter().any(|made| made.uid == one.uid),
            None => false,
        };
        store.close().await;
        if let Some(labels) = labels.as_object_mut().filter(|_| !remembered) {
            labels.remove(MARK);
        }
        Ok(labels)
    }

    /// Something that is none of ours, with a name or labels like ours.
    async fn forge(&mut self, dice: &mut Dice, at: usize, one: &Standing) -> Result<()> {
        let elsewhere = self.model.shop.replace("-shop", "-else");
        let labels = self.copied(one).await?;
        let (namespace, name, labels) = match dice.below(3) {
            0 => (String::new(), format!("kubelend-{}", GrantId::new()), labels),
            // A copy of ours, where nothing of ours is.
            1 => (elsewhere, one.name.clone(), labels),
            _ => (elsewhere, format!("theirs-{}", GrantId::new()), json!({"team": "theirs"})),
        };
        let made = self.grounds[at].make(&namespace, &name, &labels, &self.stranger).await?;
        self.foreign.extend(made.map(|made| (at, made)));
        Ok(())
    }

    /// The end of something has come, as if it had been given for so long.
    pub(super) async fn let_end(&mut self, dice: &mut Dice) -> Result<()> {
        let Some(given) = dice.pick(&self.model.given).filter(|given| given.ends).cloned() else { return Ok(()) };
        let store = self.store().await?;
        let (grant, now) = (store.grant(given.id).await?.0, Clock::System.now());
        let soon = Terms { expires_at: Some(now.plus(Duration::from_millis(50))), ..Terms::of(&grant) };
        let audit = AuditDraft {
            actor: Actor::Person(grant.created_by),
            actor_name: "time".into(),
            action: Action::GrantChanged,
            target: given.who.subject(),
            request_id: None,
        };
        let ended = store.change_terms(given.id, &Terms::of(&grant), &soon, audit, now).await;
        store.close().await;
        self.told.push(format!("the end of {given:?} has come: {ended:?}"));
        ended?;
        self.figures.ended += 1;
        self.model.given.retain(|other| other.id != given.id);
        Ok(())
    }
}
