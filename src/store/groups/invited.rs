//! Groups that share links and invitations name: who is in one is asked when a link is opened, and once more in the transaction that
//! accepts it.

use std::collections::BTreeSet;

use crate::{
    model::{
        audience::Guest,
        group::Group,
        id::{GroupId, WorkspaceId},
        identity::Identity,
    },
    store::{
        Store, StoreError,
        db::{CHUNK, Tx, parsed},
        grants,
    },
};

/// The Groups that count in a workspace and that one of these keys is in; where `$34` is 1, those alone that are kept.
const SQL: &str = concat!(
    "SELECT DISTINCT o.id FROM own_group_members m JOIN own_groups o ON o.id = m.group_id WHERE m.member_key IN ",
    id_list!(),
    " AND (o.workspace_id IS NULL OR (o.workspace_id = $33 AND (o.owners_only OR $34 = 0)))"
);

fn which(rows: Vec<(String,)>, named: &[GroupId], found: &mut BTreeSet<GroupId>) -> Result<(), StoreError> {
    for (id,) in rows {
        let id = parsed(&id, "id of a group")?;
        if named.contains(&id) {
            found.insert(id);
        }
    }
    Ok(())
}

/// Which of these Groups somebody is in at this moment, of those that count in a workspace; `kept`: of those whose members its owners, or
/// platform admins, keep.
pub(in crate::store) async fn among(
    tx: &mut Tx,
    person: &Identity,
    named: &[GroupId],
    workspace: WorkspaceId,
    kept: bool,
) -> Result<Vec<GroupId>, StoreError> {
    let mut found = BTreeSet::new();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    for chunk in grants::keys_reaching(person).chunks(CHUNK) {
        let rows: Vec<(String,)> = on!(tx, |db| bind_ids!(sqlx::query_as(SQL), chunk)
            .bind(workspace.to_string())
            .bind(i64::from(kept))
            .fetch_all(db)
            .await)?;
        which(rows, named, &mut found)?;
    }
    Ok(found.into_iter().collect())
}

/// Lets links and invitations call a Group by its new name: they know it by its id.
pub(super) async fn rename(tx: &mut Tx, before: &Group, after: &Group) -> Result<(), StoreError> {
    const LINKS: &str = "UPDATE share_links SET audience = REPLACE(audience, $1, $2) WHERE audience LIKE $3";
    const INVITATIONS: &str = "UPDATE invitations SET audience = REPLACE(audience, $1, $2) WHERE audience LIKE $3";
    if before.name == after.name {
        return Ok(());
    }
    let line = |group: &Group| Guest::Own(group.id, group.spelt()).stored();
    let bearing = format!("%{}%", before.id);
    for sql in [LINKS, INVITATIONS] {
        on!(tx, |db| sqlx::query(sql).bind(line(before)).bind(line(after)).bind(&bearing).execute(db).await.map(drop))?;
    }
    Ok(())
}

impl Store {
    /// Which of these Groups somebody is in now, as above.
    pub async fn in_groups(
        &self,
        person: &Identity,
        named: &[GroupId],
        workspace: WorkspaceId,
        kept: bool,
    ) -> Result<Vec<GroupId>, StoreError> {
        let mut found = BTreeSet::new();
        for chunk in grants::keys_reaching(person).chunks(CHUNK) {
            let rows: Vec<(String,)> = read!(self, |db| bind_ids!(sqlx::query_as(SQL), chunk)
                .bind(workspace.to_string())
                .bind(i64::from(kept))
                .fetch_all(db)
                .await)?;
            which(rows, named, &mut found)?;
        }
        Ok(found.into_iter().collect())
    }
}
