//! What people do, drawn from what there is.

use kubelend::model::id::{ClusterId, FederatedGrantId, GrantId, ProjectId, ShareLinkId, WorkspaceId};

use super::model::{Dice, Given, Model, Reach, To, Who};

const ROLES: [&str; 3] = ["view", "edit", "admin"];
/// More than this is rather taken back than given.
const MANY: usize = 24;

/// What somebody does.
#[derive(Clone, Debug)]
pub enum Operation {
    Give { cluster: usize, who: Who, role: &'static str, namespaces: Vec<String>, ends: bool },
    GiveWide { reach: Reach, to: To, role: &'static str },
    Change { id: GrantId, cluster: usize, role: &'static str, namespaces: Vec<String> },
    Extend { id: GrantId, cluster: usize },
    Remove { id: GrantId, cluster: usize },
    RemoveWide(FederatedGrantId),
    Label { cluster: usize, inside: bool },
    Join { crew: usize, who: Who },
    Leave { crew: usize, who: Who },
    Share { cluster: usize, role: &'static str, namespaces: Vec<String> },
    Accept { link: ShareLinkId, visitor: usize },
    Revoke { link: ShareLinkId, taking: bool },
}

/// How it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// It is so already.
    Refused,
}

/// Whom and where there is.
pub struct World {
    pub clusters: Vec<ClusterId>,
    pub workspace: WorkspaceId,
    pub project: ProjectId,
    /// Namespaces where something is given.
    pub namespaces: Vec<String>,
    pub people: Vec<Who>,
    pub groups: Vec<Who>,
    pub accounts: Vec<Who>,
    /// Emails of those who accept links.
    pub visitors: Vec<String>,
}

impl World {
    fn scope(&self, dice: &mut Dice) -> Vec<String> {
        match dice.below(4) {
            0 => Vec::new(),
            1 => self.namespaces.clone(),
            at => vec![self.namespaces[at - 2].clone()],
        }
    }

    fn cluster(&self, dice: &mut Dice) -> usize {
        dice.below(self.clusters.len())
    }

    /// Something that can be done now.
    pub fn draw(&self, dice: &mut Dice, model: &Model) -> Operation {
        loop {
            if let Some(operation) = self.may_draw(dice, model) {
                return operation;
            }
        }
    }

    fn may_draw(&self, dice: &mut Dice, model: &Model) -> Option<Operation> {
        let role = *dice.pick(&ROLES)?;
        let cluster = self.cluster(dice);
        let room = model.given.len() + model.wide.len() < MANY;
        let by_hand: Vec<&Given> = model.given.iter().filter(|given| given.link.is_none()).collect();
        Some(match dice.below(22) {
            0..=4 if room => {
                let all = [&self.people[..], &self.groups, &self.accounts].concat();
                let who = dice.pick(&all)?.clone();
                Operation::Give { cluster, who, role, namespaces: self.scope(dice), ends: dice.one_in(2) }
            }
            5..=8 if room => self.give_wide(dice, model, role)?,
            9 | 10 => {
                let given = *dice.pick(&by_hand)?;
                let namespaces = self.scope(dice);
                Operation::Change { id: given.id, cluster: given.cluster, role, namespaces }
            }
            11 => {
                let ending: Vec<&Given> = by_hand.into_iter().filter(|given| given.ends).collect();
                let given = dice.pick(&ending)?;
                Operation::Extend { id: given.id, cluster: given.cluster }
            }
            12 | 13 => dice.pick(&model.given).map(|g| Operation::Remove { id: g.id, cluster: g.cluster })?,
            14 => Operation::RemoveWide(dice.pick(&model.wide)?.id),
            15 => Operation::Label { cluster, inside: !model.labelled[cluster] },
            16 | 17 => self.move_member(dice, model)?,
            18 if model.links.len() < 4 => Operation::Share { cluster, role, namespaces: self.scope(dice) },
            19 | 20 if room => {
                let (link, visitor) = (dice.pick(&model.links)?, dice.below(self.visitors.len()));
                let new = !link.accepted.contains(&visitor);
                new.then_some(Operation::Accept { link: link.id, visitor })?
            }
            21 => {
                let link = dice.pick(&model.links)?;
                let held = model.given.iter().any(|given| given.link == Some(link.id));
                Operation::Revoke { link: link.id, taking: held && dice.one_in(2) }
            }
            _ => return None,
        })
    }

    fn give_wide(&self, dice: &mut Dice, model: &Model, role: &'static str) -> Option<Operation> {
        // Only the second Group is of all workspaces.
        let crew = dice.below(model.crews.len());
        let reach = match dice.below(4) {
            0 => Reach::Everywhere,
            1 => Reach::Workspace,
            2 => Reach::Project,
            _ => Reach::Cluster(self.cluster(dice), self.scope(dice)),
        };
        let to = match reach {
            Reach::Cluster(..) => To::Group(crew),
            Reach::Everywhere if dice.one_in(2) => To::Group(1),
            _ if dice.one_in(2) => To::Group(crew),
            _ => To::One(dice.pick(&[&self.people[..], &self.groups].concat())?.clone()),
        };
        (reach != Reach::Everywhere || to != To::Group(0)).then_some(Operation::GiveWide { reach, to, role })
    }

    fn move_member(&self, dice: &mut Dice, model: &Model) -> Option<Operation> {
        let crew = dice.below(model.crews.len());
        let who = dice.pick(&[&self.people[..], &self.groups].concat())?.clone();
        let is_in = model.crews[crew].members.contains(&who);
        match is_in {
            false => Some(Operation::Join { crew, who }),
            // So that there are some in them.
            true => dice.one_in(3).then_some(Operation::Leave { crew, who }),
        }
    }

    /// Whether this is so already, which is the one reason to refuse it.
    pub fn is_so(operation: &Operation, model: &Model) -> bool {
        match operation {
            Operation::Give { cluster, who, role, namespaces, .. } => model.has(*cluster, who, role, namespaces),
            Operation::GiveWide { reach, to, role } => model.has_wide(reach, to, role),
            Operation::Change { id, role, namespaces, .. } => {
                let given = model.given.iter().find(|given| given.id == *id);
                given.is_some_and(|given| model.has(given.cluster, &given.who, role, namespaces))
            }
            _ => false,
        }
    }
}
