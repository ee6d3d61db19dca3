//! The store's conformance suite: whatever the store promises, tried on SQLite and on PostgreSQL alike.
//!
//! A test is a function over a [`Bed`]; `both!` makes two tests of it, `NAME::on_sqlite` and `NAME::on_postgres`. Every test has a
//! database of its own.

/// Makes a test for each database out of functions over a [`Bed`].
macro_rules! both {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_sqlite() {
                super::$test(crate::store::bed::Bed::sqlite().await).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_postgres() {
                super::$test(crate::store::bed::Bed::postgres().await).await;
            }
        }
    )+};
}

mod bed;
mod bindings;
mod clusters;
mod custom_roles;
mod devices;
mod federation;
mod files;
mod grants;
mod group_links;
mod groups;
mod identities;
mod link_rules;
mod links;
mod made_roles;
mod matrix;
mod opening;
mod own_providers;
mod pages;
mod presets;
mod project_members;
mod requests;
mod rotation;
mod seats;
mod service_accounts;
mod sessions;
mod terms;
mod tokens;
mod trail;
mod upstream;
mod work;
mod workspaces;
