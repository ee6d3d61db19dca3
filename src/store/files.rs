//! Files that say who has access: what they are known by, what each has made, and what stands beside it.
//!
//! What a file makes goes through the same methods as what people make, in the name of the file's own identity, so that it is known as
//! the file's from the moment that it is there. Here is what only files ask.

use super::{
    AuditDraft, Store, StoreError,
    db::{Tx, parsed},
    federation,
    grants::{self, GrantRow, key, namespaces_text, role_text},
    rosters::{OF_GROUPS, OF_PROJECTS},
};
use crate::model::{
    custom_role::CustomRole,
    federation::{FederatedGrant, WideScope},
    file::{self, AccessFile, FILE_ISSUER, FILE_PROVIDER, FileName},
    grant::{EndReason, Grant, Grantee, Origin},
    group::{Group, Holder},
    id::{ClusterId, FederatedGrantId, FileId, GrantId, GroupId, IdentityId, ProjectId, WorkspaceId},
    identity::Identity,
    name::Namespace,
    project::Project,
    reason::Reason,
    role::Role,
    scope::Scope,
    time::Timestamp,
    workspace::{Member, Seats, Workspace},
};

/// What a file has made and what still lives of it.
#[derive(Clone, Debug, Default)]
pub struct MadeByFile {
    /// Workspaces that are not on their way out.
    pub workspaces: Vec<Workspace>,
    /// Members that it has added, and nobody has changed since; its own identity is none of them.
    pub members: Vec<(WorkspaceId, Member)>,
    /// Projects.
    pub projects: Vec<Project>,
    /// Custom roles.
    pub roles: Vec<CustomRole>,
    /// Groups of our own.
    pub groups: Vec<Group>,
    /// Members that it has added to Groups.
    pub group_members: Vec<(GroupId, Grantee)>,
    /// Members that it has added to projects, and nobody has changed since.
    pub project_members: Vec<(ProjectId, Grantee)>,
    /// Groups that it has made members, and nobody has changed since.
    pub seats: Vec<(Seats, GroupId)>,
    /// Grants that reach further than one cluster, or are to a Group.
    pub federated: Vec<FederatedGrant>,
    /// Grants on clusters, each with the identity of a person's grant.
    pub grants: Vec<(Grant, Option<Identity>)>,
}

#[derive(sqlx::FromRow)]
struct FileRow {
    id: String,
    name: String,
    identity_id: String,
}

/// The identity of a file, made where there is none.
async fn identity(tx: &mut Tx, name: &FileName, now: Timestamp) -> Result<String, StoreError> {
    const MAKE: &str = "INSERT INTO identities (id, provider, issuer, sub, email_verified, name, name_key, group_list, \
         last_sign_in) VALUES ($1, $2, $3, $4, FALSE, $5, $5, '[]', $6) ON CONFLICT (issuer, sub) DO NOTHING";
    const FIND: &str = "SELECT id FROM identities WHERE issuer = $1 AND sub = $2";
    on!(tx, |db| {
        sqlx::query(MAKE)
            .bind(IdentityId::new().to_string())
            .bind(FILE_PROVIDER)
            .bind(FILE_ISSUER)
            .bind(name.as_str())
            .bind(file::display(name))
            .bind(now.millis())
            .execute(&mut *db)
            .await?;
        let (id,): (String,) = sqlx::query_as(FIND).bind(FILE_ISSUER).bind(name.as_str()).fetch_one(&mut *db).await?;
        Ok(id)
    })
}

impl Store {
    /// The file of this name, if it was applied before.
    pub async fn file(&self, name: &FileName) -> Result<Option<AccessFile>, StoreError> {
        const SQL: &str = "SELECT id, name, identity_id FROM files WHERE name = $1";
        let row: Option<FileRow> = read!(self, |db| sqlx::query_as(SQL).bind(name.as_str()).fetch_optional(db).await)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(AccessFile {
            id: parsed(&row.id, "id of a file")?,
            name: parsed(&row.name, "name of a file")?,
            identity: self.identity(parsed(&row.identity_id, "identity of a file")?).await?,
        }))
    }

    /// The same, made where it was never applied. Safe to repeat.
    pub async fn begin_file(&self, name: &FileName, now: Timestamp) -> Result<AccessFile, StoreError> {
        const SQL: &str = "INSERT INTO files (id, name, identity_id, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO NOTHING";
        transact!(self, |tx| {
            let identity = identity(tx, name, now).await?;
            on!(tx, |db| sqlx::query(SQL)
                .bind(FileId::new().to_string())
                .bind(name.as_str())
                .bind(&identity)
                .bind(now.millis())
                .execute(db)
                .await
                .map(drop))?;
            Ok(())
        })?;
        self.file(name).await?.ok_or(StoreError::NotFound)
    }

    /// What a file has made and what still lives of it.
    pub async fn made_by_file(&self, file: &AccessFile) -> Result<MadeByFile, StoreError> {
        const GRANTS: &str = select_grants!("WHERE g.origin = $1 AND g.ended IS NULL ORDER BY g.id");
        let maker = file.identity.id;
        let origin = grants::origin_text(Origin::File(file.id));
        let rows: Vec<GrantRow> = read!(self, |db| sqlx::query_as(GRANTS).bind(origin).fetch_all(db).await)?;
        Ok(MadeByFile {
            workspaces: self.workspaces_made_by(maker).await?,
            members: self.members_added_by(maker).await?,
            projects: self.projects_made_by(maker).await?,
            roles: self.custom_roles_made_by(maker).await?,
            groups: self.groups_made_by(maker).await?,
            group_members: OF_GROUPS.added_by(self, maker).await?,
            project_members: OF_PROJECTS.added_by(self, maker).await?,
            seats: self.seats_made_by(maker).await?,
            federated: self.federated_grants_made_by(maker).await?,
            grants: rows.into_iter().map(GrantRow::grant).collect::<Result<_, _>>()?,
        })
    }

    /// The live grants on clusters that say exactly this and stand by themselves: not because of a link or a wider grant.
    pub async fn standing_grants(
        &self,
        scope: &Scope,
        grantee: &Grantee,
        role: &Role,
        now: Timestamp,
    ) -> Result<Vec<Grant>, StoreError> {
        const SQL: &str = select_grants!(
            "WHERE g.cluster_id = $1 AND g.grantee_key = $2 AND g.role = $3 AND g.namespaces = $4 AND g.ended IS NULL \
             ORDER BY g.id"
        );
        let rows: Vec<GrantRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(scope.cluster().to_string())
            .bind(key(grantee))
            .bind(role_text(Some(role)))
            .bind(namespaces_text(scope))
            .fetch_all(db)
            .await)?;
        let all = rows.into_iter().map(|row| row.grant().map(|(grant, _)| grant)).collect::<Result<Vec<_>, _>>()?;
        let by_itself = |grant: &Grant| match grant.origin {
            Origin::Manual | Origin::Owner | Origin::Request(_) | Origin::File(_) => grant.is_live(now),
            Origin::Link(_) | Origin::Federated(_) => false,
        };
        Ok(all.into_iter().filter(by_itself).collect())
    }

    /// The live grants on a cluster that no wider one has come to, oldest first: at most `limit`, those after `after`.
    pub async fn live_grants_of(
        &self,
        cluster: ClusterId,
        after: Option<GrantId>,
        limit: u32,
    ) -> Result<Vec<(Grant, Option<Identity>)>, StoreError> {
        const SQL: &str = select_grants!(
            "WHERE g.cluster_id = $1 AND g.state <> 'removed' AND g.ended IS NULL AND g.federated_id IS NULL AND g.id > $2 \
             ORDER BY g.id LIMIT $3"
        );
        let rows: Vec<GrantRow> = read!(self, |db| sqlx::query_as(SQL)
            .bind(cluster.to_string())
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(GrantRow::grant).collect()
    }

    /// Whether somebody took back what this file gave there last.
    pub async fn was_taken_back(
        &self,
        file: FileId,
        scope: &Scope,
        grantee: &Grantee,
        role: &Role,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT ended FROM grants WHERE cluster_id = $1 AND grantee_key = $2 AND role = $3 \
             AND namespaces = $4 AND origin = $5 ORDER BY id DESC LIMIT 1";
        let last: Option<(Option<String>,)> = read!(self, |db| sqlx::query_as(SQL)
            .bind(scope.cluster().to_string())
            .bind(key(grantee))
            .bind(role_text(Some(role)))
            .bind(namespaces_text(scope))
            .bind(grants::origin_text(Origin::File(file)))
            .fetch_optional(db)
            .await)?;
        Ok(last.and_then(|(ended,)| ended).as_deref() == Some(EndReason::Revoked.as_str()))
    }

    /// Gives a live federated grant another end and another reason; what it is written out as follows. Repeating it changes nothing and
    /// writes no second event. Returns whether this call changed it.
    ///
    /// # Errors
    /// `Stale` where it has ended.
    pub async fn change_federated_terms(
        &self,
        id: FederatedGrantId,
        expires_at: Option<Timestamp>,
        reason: Option<&Reason>,
        audit: AuditDraft,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        transact!(self, |tx| {
            federation::lock(tx).await?;
            let grant = federation::one(tx, id).await?;
            if !grant.is_live(now) {
                return Err(StoreError::Stale);
            }
            if grant.expires_at == expires_at && grant.reason.as_ref() == reason {
                return Ok(false);
            }
            federation::set_terms(tx, id, expires_at, reason).await?;
            let about = federation::about(tx, grant.scope).await?;
            audit.append(tx, about, now).await?;
            Ok(true)
        })
    }

    /// The live federated grant that says exactly this.
    pub async fn standing_federated(
        &self,
        place: (WideScope, &[Namespace]),
        holder: &Holder,
        role: &Role,
        now: Timestamp,
    ) -> Result<Option<FederatedGrant>, StoreError> {
        let found = self.federated_of(place, holder, role).await?;
        Ok(found.filter(|grant| grant.is_live(now)))
    }
}
