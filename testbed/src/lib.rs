//! Real servers for Kubelend's tests, demo and benches.
//!
//! Nothing here is a mock: the API servers, the identity provider, the database and the browser are the programs that
//! people run. A process starts what it needs once ([`Testbed::shared`]), each test takes what it changes for itself (a
//! database, a namespace, a person, or a whole cluster), and nothing survives the process that started it.
//!
//! | for | see |
//! |---|---|
//! | servers shared by all tests of a process | [`Testbed`] |
//! | one server each | [`Etcd`], [`ControlPlane`], [`Dex`], [`Directory`], [`Postgres`], [`Kubelend`] |
//! | clients | [`Kubectl`], [`Python`], [`Browser`], [`login`] |
//! | things that go wrong | [`FaultProxy`], [`HttpFault`], [`StrictProvider`] |
//! | ground | [`process`], [`ports`], [`programs`], [`system`], [`run`], [`ca`], [`eventually`] |

pub mod browser;
pub mod ca;
pub mod control_plane;
pub mod dex;
pub mod directory;
pub mod etcd;
pub mod fault;
pub mod http;
pub mod kubeconfig;
pub mod kubectl;
pub mod kubelend;
pub mod login;
pub mod output;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod python;
mod ready;
pub mod run;
mod shared;
pub mod system;

pub use browser::{Browser, BrowserOptions, ColorScheme, axe_source};
pub use ca::{Ca, Issued};
pub use control_plane::{ControlPlane, JwtIssuer, Pool};
pub use dex::{Dex, Tokens};
pub use directory::{Directory, Person};
pub use etcd::Etcd;
pub use fault::{FaultProxy, Hold, HttpFault, StrictProvider};
pub use kubectl::Kubectl;
pub use kubelend::Kubelend;
pub use login::{Credentials, http_login};
pub use output::{Output, Running};
pub use ports::Port;
pub use postgres::Postgres;
pub use programs::Programs;
pub use python::Python;
pub use ready::eventually;
pub use shared::{SHORT, Testbed};
