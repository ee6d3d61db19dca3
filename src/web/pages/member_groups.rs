//! Groups of our own among the members of a workspace or a project: their rows, and what is asked and done about one.

use std::collections::HashMap;

use super::{
    member_form::{MemberForm, own_key, roles},
    member_list::{Asked, Asking, Row},
};
use crate::{
    access::{AccessError, Seats},
    model::{
        group::{Group, SeatedGroup},
        id::{IdentityId, WorkspaceId},
        time::Timestamp,
    },
    policy::{Authorized, SeatGroups},
    store::Store,
    web::{errors::PageError, forms::FieldErrors, labels::counted, when::When},
};

/// The Groups that can be members of what is in a workspace, as they are typed: those that are kept.
pub(super) async fn seatable(store: &Store, workspace: WorkspaceId) -> Result<String, PageError> {
    const SHOWN: usize = 12;
    let all = store.groups_usable_in(Some(workspace)).await?;
    let kept: Vec<String> = all.iter().filter(|group| group.is_kept()).map(Group::spelt).collect();
    let shown = kept.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    Ok(match kept.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    })
}

pub(super) async fn seat_rows(store: &Store, seats: &[SeatedGroup], now: Timestamp) -> Result<Vec<Row>, PageError> {
    let givers: Vec<IdentityId> = seats.iter().map(|seat| seat.by).collect();
    let givers: HashMap<_, _> =
        store.identities(&givers).await?.into_iter().map(|p| (p.id, p.display().to_owned())).collect();
    let row = |seat: &SeatedGroup| Row {
        key: own_key(seat.group.id),
        name: seat.group.spelt(),
        notes: vec![format!("Kubelend group with {}", counted(seat.members, "member"))],
        since: When::new(seat.since, now),
        by: givers.get(&seat.by).cloned(),
        role: seat.role.as_str(),
        own: false,
    };
    Ok(seats.iter().map(row).collect())
}

/// Asks what a Group's role is to be, or whether it is to be no member any more.
pub(super) fn asks_of_group(asked: &Asked, seat: &SeatedGroup) -> Asking {
    let (name, key) = (seat.group.spelt(), own_key(seat.group.id));
    if !asked.change.is_empty() {
        let (title, text, change) = (format!("What may those in {name} do?"), Vec::new(), Some("role"));
        return Asking { title, text, change, button: "Save role", key, roles: roles(seat.role.as_str()) };
    }
    let title = format!("Remove the Kubelend group {name}?");
    let lost = format!("Its {} lose what they are here by it, from the next page on.", counted(seat.members, "member"));
    Asking { title, text: vec![lost], change: Some("remove"), button: "Remove", key, roles: Vec::new() }
}

/// Does what the form asks of a Group of our own; `None` where it is about somebody else.
pub(super) async fn change_group(
    seats: &Seats,
    permit: &Authorized<SeatGroups>,
    form: &MemberForm,
    errors: &mut FieldErrors,
) -> Option<Result<(), AccessError>> {
    if form.adds_own_group() {
        let Some(role) = form.role(errors) else { return Some(Ok(())) };
        return Some(seats.add(permit, &form.name, role).await);
    }
    let group = form.own_group()?;
    Some(match form.change.as_str() {
        "remove" => seats.remove(permit, group).await,
        "role" => {
            let Some(role) = form.role(errors) else { return Some(Ok(())) };
            seats.change(permit, group, role).await
        }
        _ => Err(AccessError::NotFound),
    })
}
