//! The pages, a file each.

pub mod accept;
pub mod access;
pub mod access_form;
pub mod access_rows;
pub mod activity;
pub mod add_cluster;
pub mod callback;
pub mod claims;
pub mod cluster;
pub mod clusters;
pub mod connection_test;
pub mod create_workspace;
pub mod credentials;
pub mod delete_workspace;
pub mod device_rows;
pub mod devices;
pub mod errors;
pub mod home;
pub mod kubeconfig;
pub mod landing;
pub mod link;
pub mod link_words;
pub mod links;
pub mod member_form;
pub mod members;
pub mod move_cluster;
pub mod overview;
pub mod own_devices;
pub mod roles;
pub mod scope;
pub mod sessions;
pub mod settings;
pub mod settings_form;
pub mod share_form;
pub mod shared;
pub mod sign_in;
pub mod sign_out;
pub mod trust;
pub mod workspace;
pub mod workspace_activity;
pub mod workspace_overview;
pub mod workspace_settings;
pub mod workspaces;

#[cfg(test)]
mod samples;
