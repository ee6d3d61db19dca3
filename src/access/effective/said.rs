//! What is found out about what somebody can do, part by part.

use crate::{
    access::AccessError,
    k8s::{FoundBinding, K8sError, Said},
    model::{
        grant::Grant,
        group::GroupName,
        id::FederatedGrantId,
        identity::Identity,
        questions::Question,
        rbac::{Actor, Deed, Extent},
        subject::Subject,
    },
};

/// Who that is on the cluster.
#[derive(Clone, Debug)]
pub struct Named {
    /// User name and groups, as they are asked for.
    pub actor: Actor,
    /// The person, where Kubelend has seen them.
    pub person: Option<Identity>,
}

/// A binding that gives something.
#[derive(Clone, Debug)]
pub struct Source {
    /// The binding.
    pub binding: FoundBinding,
    /// The subject that it names.
    pub subject: Subject,
    /// How far it reaches.
    pub extent: Extent,
    /// The grant that it was made for, with the person of a person's grant; `None` for one that was made elsewhere.
    pub grant: Option<Box<(Grant, Option<Identity>)>>,
    /// The Group that this was given to, where it came by one.
    pub group: Option<(FederatedGrantId, GroupName)>,
}

/// A part of a question: what the cluster says, and by what.
#[derive(Clone, Debug)]
pub struct Part {
    /// What is asked.
    pub deed: Deed,
    /// What the cluster says; `None` where it was not asked, or did not answer in time.
    pub said: Option<Said>,
    /// The bindings that give it.
    pub sources: Vec<Source>,
}

/// The answer to one question in one place.
#[derive(Clone, Debug)]
pub struct AnswerAt {
    /// The namespace; `None` for the whole cluster.
    pub namespace: Option<String>,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// The answer to one question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The question.
    pub question: &'static Question,
    /// Where it was asked.
    pub here: AnswerAt,
    /// Where else bindings give some of it: single namespaces, when it was asked of the whole cluster.
    pub elsewhere: Vec<AnswerAt>,
}

/// What stood in the way of an answer.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Why bindings and roles could not be read.
    pub rules: Option<AccessError>,
    /// Why the cluster could not be asked.
    pub reviews: Option<K8sError>,
    /// Whether there are more bindings or roles than were read.
    pub cut: bool,
}

/// What somebody can do.
#[derive(Debug)]
pub struct WhatCan {
    /// Who that is.
    pub named: Named,
    /// Question by question.
    pub answers: Vec<Answer>,
    /// What is not known.
    pub gaps: Gaps,
}

/// A subject that can do what was asked.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Who.
    pub subject: Subject,
    /// Where: a namespace, or the whole cluster.
    pub namespace: Option<String>,
    /// What of it, each with what the cluster says and by which bindings.
    pub parts: Vec<Part>,
    /// Whether all of it is Kubernetes' own doing.
    pub own: bool,
}

/// Who can do something.
#[derive(Debug)]
pub struct WhoCan {
    /// The subjects, those of Kubernetes last.
    pub holders: Vec<Holder>,
    /// How many more there are.
    pub more: usize,
    /// What is not known.
    pub gaps: Gaps,
}

impl Part {
    /// How far its bindings reach together.
    pub fn extent(&self) -> Option<Extent> {
        self.sources.iter().map(|s| s.extent.clone()).reduce(Extent::and)
    }
}
