//! A database that is handed on is as one that was just made.

use super::*;

/// All that its tables hold, in words.
async fn content(url: &str) -> String {
    const ALL: &str = "SELECT string_agg(relname || query_to_xml(format('SELECT * FROM %I ORDER BY 1', relname), true, false, '')::text, ' '
        ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    let mut db = PgConnection::connect(url).await.unwrap();
    let content = sqlx::query_scalar(ALL).fetch_one(&mut db).await.unwrap();
    db.close().await.unwrap();
    content
}

async fn run(url: &str, sql: &'static str) {
    let mut db = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn what_a_test_wrote_is_gone_and_what_migrations_wrote_is_back() {
    let first = First::get().await;
    let (url, unused) = (first.server.copy_database(&first.url).await.unwrap(), content(&first.url).await);
    assert!(unused.contains("_sqlx_migrations") && unused.contains("federation"));
    let mut keeper = None;
    for _ in 0..2 {
        run(&url, "INSERT INTO workspaces (id, name, created_at) VALUES ('w', 'Home', 5)").await;
        run(&url, "UPDATE federation SET changes = 7; DELETE FROM _sqlx_migrations WHERE version = 1").await;
        assert_ne!(content(&url).await, unused);
        keeper = first.renew(&url, keeper).await;
        assert!(keeper.is_some(), "it is handed on");
        assert_eq!(content(&url).await, unused);
    }
    drop(first.server.in_use(&url));
}

#[tokio::test]
async fn one_whose_tables_a_test_changed_is_not_handed_on() {
    let first = First::get().await;
    for change in [
        "ALTER TABLE workspaces ADD COLUMN more TEXT",
        "DROP TABLE sessions",
        "ANALYZE workspaces; INSERT INTO workspaces (id, name, created_at) VALUES ('w', 'Home', 5); ANALYZE workspaces",
        "CREATE INDEX more ON workspaces (name)",
        "INSERT INTO workspaces (id, name, created_at) SELECT n::text, repeat(md5(n::text), 10), n FROM generate_series(1, 9000) n",
    ] {
        let url = first.server.copy_database(&first.url).await.unwrap();
        run(&url, change).await;
        assert!(first.renew(&url, None).await.is_none(), "{change}");
        drop(first.server.in_use(&url));
    }
}
