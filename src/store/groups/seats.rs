//! Groups as members of workspaces and of projects. Who is in one is looked up at each request, so whoever joins or is taken out is
//! somebody or nobody there with their next one.
//!
//! Only a Group that is kept is a member: whoever changes who is in it says who is a member of what it is a member of. As long as it is
//! one, it stays kept.

use super::{GroupRow, ready};
use crate::{
    model::{
        audit::Action,
        grant::Grantee,
        group::{Group, SeatedGroup},
        id::{GroupId, IdentityId},
        time::Timestamp,
        workspace::{MemberRole, Seats},
    },
    store::{
        AuditDraft, Store, StoreError,
        audit::About,
        db::{Tx, parsed},
        federation,
        rosters::{self, OF_GROUPS},
        workspaces,
    },
};

/// How many Groups are members of one workspace or project.
const MOST: i64 = 50;

/// The statement for a workspace's or a project's.
macro_rules! of {
    ($seats:expr, $which:ident) => {
        match $seats {
            Seats::Workspace(_) => concat_sql!("workspace_groups", "workspace_id", $which),
            Seats::Project(_) => concat_sql!("project_groups", "project_id", $which),
        }
    };
}
macro_rules! concat_sql {
    ($table:literal, $set:literal, one) => {
        concat!("SELECT role FROM ", $table, " WHERE ", $set, " = $1 AND group_id = $2")
    };
    ($table:literal, $set:literal, count) => {
        concat!("SELECT COUNT(*) FROM ", $table, " WHERE ", $set, " = $1")
    };
    ($table:literal, $set:literal, delete) => {
        concat!("DELETE FROM ", $table, " WHERE ", $set, " = $1 AND group_id = $2")
    };
    ($table:literal, $set:literal, put) => {
        concat!(
            "INSERT INTO ", $table, " (", $set, ", group_id, role, since, added_by) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (", $set, ", group_id) DO UPDATE SET role = excluded.role, since = excluded.since, \
             added_by = excluded.added_by"
        )
    };
    ($table:literal, $set:literal, all) => {
        concat!(
            "SELECT o.id, o.workspace_id, o.name, o.owners_only, o.created_by, o.created_at, s.role, s.since, s.added_by, \
             (SELECT COUNT(*) FROM own_group_members m WHERE m.group_id = o.id) AS people FROM ", $table,
            " s JOIN own_groups o ON o.id = s.group_id WHERE s.", $set, " = $1"
        )
    };
}

#[derive(sqlx::FromRow)]
struct SeatRow {
    #[sqlx(flatten)]
    group: GroupRow,
    role: String,
    since: i64,
    added_by: String,
    people: i64,
}

impl SeatRow {
    fn seated(self) -> Result<SeatedGroup, StoreError> {
        Ok(SeatedGroup {
            group: self.group.group()?,
            role: rosters::role(&self.role)?.ok_or(StoreError::Corrupt("role of a group"))?,
            since: Timestamp::from_millis(self.since),
            by: parsed(&self.added_by, "who added a group")?,
            members: u32::try_from(self.people).unwrap_or(u32::MAX),
        })
    }
}

fn set(seats: Seats) -> String {
    match seats {
        Seats::Workspace(id) => id.to_string(),
        Seats::Project(id) => id.to_string(),
    }
}

/// As what a Group becomes a member.
#[derive(Clone, Copy, Debug)]
pub struct NewSeat {
    /// What it is then.
    pub role: MemberRole,
    /// Who says so.
    pub by: IdentityId,
    /// Whether they may be in it only by others: they were not in it when this was decided, and would be more by it than they are.
    pub raises: bool,
}

/// The workspace that it is in, ready to take somebody in.
async fn open(tx: &mut Tx, seats: Seats) -> Result<About, StoreError> {
    const SQL: &str = "UPDATE projects SET name_key = name_key WHERE id = $1 RETURNING workspace_id";
    let workspace = match seats {
        Seats::Workspace(id) => id,
        Seats::Project(id) => {
            let row: Option<(String,)> =
                on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
            parsed(&row.ok_or(StoreError::NotFound)?.0, "workspace of a project")?
        }
    };
    workspaces::lock_for_giving(tx, workspace).await?;
    Ok(About::Workspace(workspace))
}

/// Whether it is a member of anything.
pub(super) async fn is_seated(tx: &mut Tx, id: GroupId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT group_id FROM workspace_groups WHERE group_id = $1 \
         UNION ALL SELECT group_id FROM project_groups WHERE group_id = $1 LIMIT 1";
    let row: Option<(String,)> = on!(tx, |db| sqlx::query_as(SQL).bind(id.to_string()).fetch_optional(db).await)?;
    Ok(row.is_some())
}

/// Writes down that all memberships of a Group end, as it is about to be deleted.
pub(super) async fn end_of(tx: &mut Tx, group: &Group, event: &AuditDraft, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "SELECT w.id, w.name AS place, g.role AS role FROM workspace_groups g \
         JOIN workspaces w ON w.id = g.workspace_id WHERE g.group_id = $1 \
         UNION ALL SELECT p.workspace_id, 'the project ' || p.name AS place, g.role AS role FROM project_groups g \
         JOIN projects p ON p.id = g.project_id WHERE g.group_id = $1 ORDER BY place";
    let id = group.id.to_string();
    let rows: Vec<(String, String, String)> = on!(tx, |db| sqlx::query_as(SQL).bind(&id).fetch_all(&mut *db).await)?;
    for (workspace, place, role) in rows {
        let about = About::Workspace(parsed(&workspace, "workspace of a group's membership")?);
        let target = format!("Kubelend group {} of {place}: {role}", group.name);
        let event = AuditDraft { action: Action::SeatRemoved, target, ..event.clone() };
        event.append_of(tx, about, Some(group.id), now).await?;
    }
    Ok(())
}

impl Store {
    /// Makes a Group, as it was `seen`, a member, or gives it another role. Repeating it changes nothing and writes no second event.
    ///
    /// # Errors
    /// `Held` where editors change who is in it; `Stale` where others may change it now, or whoever would be raised by it has joined it,
    /// or the workspace is being deleted; `Full`;
    /// `NotFound` where the Group or the project is gone, or it counts elsewhere.
    pub async fn seat_group(
        &self,
        seats: Seats,
        seen: &Group,
        new: NewSeat,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let about = open(tx, seats).await?;
            let group = ready(tx, seen).await?;
            if !group.is_kept() {
                return Err(StoreError::Held);
            }
            if new.raises && OF_GROUPS.one(tx, group.id, &Grantee::Person(new.by)).await?.is_some() {
                return Err(StoreError::Stale);
            }
            let About::Workspace(workspace) = about else { return Err(StoreError::NotFound) };
            if !group.is_usable_in(Some(workspace)) {
                return Err(StoreError::NotFound);
            }
            let (of, id) = (set(seats), group.id.to_string());
            let held: Option<(String,)> =
                on!(tx, |db| sqlx::query_as(of!(seats, one)).bind(&of).bind(&id).fetch_optional(db).await)?;
            if held.as_ref().is_some_and(|(held,)| held == new.role.as_str()) {
                return Ok(());
            }
            let (count,): (i64,) = on!(tx, |db| sqlx::query_as(of!(seats, count)).bind(&of).fetch_one(db).await)?;
            if held.is_none() && count >= MOST {
                return Err(StoreError::Full("50 Kubelend groups"));
            }
            on!(tx, |db| sqlx::query(of!(seats, put))
                .bind(&of)
                .bind(&id)
                .bind(new.role.as_str())
                .bind(now.millis())
                .bind(new.by.to_string())
                .execute(db)
                .await
                .map(drop))?;
            audit.append_of(tx, about, Some(group.id), now).await
        })
    }

    /// Ends a Group's membership. Repeating it changes nothing and writes no second event.
    pub async fn unseat_group(
        &self,
        seats: Seats,
        group: GroupId,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const HOME: &str = "SELECT workspace_id FROM projects WHERE id = $1";
        transact!(self, |tx| {
            let gone = on!(tx, |db| sqlx::query(of!(seats, delete))
                .bind(set(seats))
                .bind(group.to_string())
                .execute(&mut *db)
                .await
                .map(|done| done.rows_affected()))?;
            if gone == 0 {
                return Ok(());
            }
            let workspace = match seats {
                Seats::Workspace(id) => id,
                Seats::Project(id) => {
                    let (home,): (String,) =
                        on!(tx, |db| sqlx::query_as(HOME).bind(id.to_string()).fetch_one(db).await)?;
                    parsed(&home, "workspace of a project")?
                }
            };
            audit.append_of(tx, About::Workspace(workspace), Some(group), now).await
        })
    }

    /// The Groups that are members, the strongest first, each with how many are in it.
    pub async fn seated_groups(&self, seats: Seats) -> Result<Vec<SeatedGroup>, StoreError> {
        let rows: Vec<SeatRow> =
            read!(self, |db| sqlx::query_as(of!(seats, all)).bind(set(seats)).fetch_all(db).await)?;
        let mut groups = rows.into_iter().map(SeatRow::seated).collect::<Result<Vec<_>, _>>()?;
        groups.sort_by_cached_key(|seat| (std::cmp::Reverse(seat.role), seat.since, seat.group.id));
        Ok(groups)
    }

    /// Where somebody has made Groups members, or given them the role that they have.
    pub(in crate::store) async fn seats_made_by(&self, by: IdentityId) -> Result<Vec<(Seats, GroupId)>, StoreError> {
        const SQL: &str = "SELECT 'workspace' AS kind, workspace_id AS place, group_id FROM workspace_groups WHERE added_by = $1 \
             UNION ALL SELECT 'project' AS kind, project_id AS place, group_id FROM project_groups WHERE added_by = $1 \
             ORDER BY place, group_id";
        let rows: Vec<(String, String, String)> =
            read!(self, |db| sqlx::query_as(SQL).bind(by.to_string()).fetch_all(db).await)?;
        let seat = |(kind, place, group): (String, String, String)| {
            const WHAT: &str = "membership of a group";
            let seats = match kind.as_str() {
                "workspace" => Seats::Workspace(parsed(&place, WHAT)?),
                _ => Seats::Project(parsed(&place, WHAT)?),
            };
            Ok((seats, parsed(&group, WHAT)?))
        };
        rows.into_iter().map(seat).collect()
    }

    /// What a Group is a member of, in words: “Payments: editor”, “the project Shop: viewer”.
    pub async fn seats_of(&self, group: GroupId) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT w.name AS place, g.role AS role FROM workspace_groups g \
             JOIN workspaces w ON w.id = g.workspace_id WHERE g.group_id = $1 \
             UNION ALL SELECT 'the project ' || p.name AS place, g.role AS role FROM project_groups g \
             JOIN projects p ON p.id = g.project_id WHERE g.group_id = $1 ORDER BY place";
        let rows: Vec<(String, String)> =
            read!(self, |db| sqlx::query_as(SQL).bind(group.to_string()).fetch_all(db).await)?;
        Ok(rows.into_iter().map(|(place, role)| format!("{place}: {role}")).collect())
    }
}
