//! What a walk begins from: two clusters, a project, Groups, and people of its own.

use anyhow::{Context, Result};
use testbed::Testbed;
use tokio::sync::OnceCell;

use super::{
    super::{
        federation::workspace_of,
        house::{Database, House, connect},
        visitor::Visitor,
    },
    Figures, Walk,
    ground::Ground,
    model::{Crew, Model, Who},
    operations::World,
};

/// What the two walks of one process share: kubeconfigs of the clusters.
async fn kubeconfigs() -> Result<&'static [String; 2]> {
    static CONNECTED: OnceCell<[String; 2]> = OnceCell::const_new();
    CONNECTED
        .get_or_try_init(|| async {
            let bed = Testbed::shared().await?;
            let (staging, production) = tokio::try_join!(bed.staging(), bed.production())?;
            Ok(tokio::try_join!(connect(staging), connect(production))?.into())
        })
        .await
}

/// The id that the address of a page ends with.
fn id<T: std::str::FromStr>(path: &str) -> Result<T> {
    let last = path.rsplit('/').next().and_then(|id| id.parse().ok());
    last.with_context(|| format!("an id at the end of {path}"))
}

async fn make_crews(owner: &mut Visitor, home: &str) -> Result<Vec<Crew>> {
    let mut crews = Vec::new();
    for (list, name) in [(format!("{home}/groups"), "Crew"), ("/groups".to_owned(), "All")] {
        owner.open(&list).await?;
        owner.press("Make group", &[("Name", name)]).await?;
        crews.push(Crew { id: id(owner.page.url.path())?, name: name.to_owned(), members: Vec::new() });
    }
    Ok(crews)
}

impl Walk {
    pub(super) async fn begin(database: Database, seed: u64) -> Result<Self> {
        let house = House::open(database).await?;
        let mark = format!("r{}r", house.bed.unique());
        let namespaces: Vec<String> = ["a", "b"].map(|name| format!("{mark}-{name}")).into();
        let shop = format!("{mark}-shop");
        let grounds = grounds(&mark, &[&namespaces[..], &[shop.clone(), format!("{mark}-else")]].concat()).await?;
        let mut owner = house.owner().await?;
        let mut clusters = Vec::new();
        for (name, kubeconfig) in ["one", "two"].into_iter().zip(kubeconfigs().await?) {
            clusters.push(id(&house.add_kubeconfig(&mut owner, name, kubeconfig).await?)?);
        }
        let home = workspace_of(&mut owner, "").await?;
        owner.open(&format!("{home}/projects")).await?;
        let answers = [("Name", "Shop"), ("Namespace", &shop), ("On", "labelled"), ("Labels", "env=prod")];
        owner.press("Make project", &answers).await?;
        let project = id(owner.page.url.path())?;
        let crews = make_crews(&mut owner, &home).await?;
        let (mut visitors, mut emails) = (Vec::new(), Vec::new());
        for name in ["eli", "fay"] {
            let person = house.bed.hire(&format!("{name}-{mark}"), &[]).await?;
            let mut visitor = house.visitor()?;
            visitor.sign_in(&person.email).await?;
            visitors.push(visitor);
            emails.push(person.email);
        }
        let named = |name: &str, end: &str| format!("{name}-{mark}{end}");
        let world = World {
            clusters,
            workspace: id(&home)?,
            project,
            accounts: vec![Who::Account(format!("{}/robot-{mark}", namespaces[0]))],
            people: ["ann", "ben", "cas", "dan"].map(|name| Who::Person(named(name, "@example.com"))).into(),
            groups: ["north", "south"].map(|name| Who::Group(named(name, ""))).into(),
            namespaces,
            visitors: emails,
        };
        let labelled = vec![false; grounds.len()];
        let model = Model { crews, labelled, shop, ..Model::default() };
        let (foreign, told, stranger, figures) = (Vec::new(), Vec::new(), named("eve", ""), Figures::default());
        Ok(Self { house, owner, visitors, world, grounds, model, foreign, stranger, seed, told, figures })
    }
}

async fn grounds(mark: &str, namespaces: &[String]) -> Result<Vec<Ground>> {
    let bed = Testbed::shared().await?;
    let grounds = vec![Ground::new(bed.staging().await?, mark)?, Ground::new(bed.production().await?, mark)?];
    for ground in &grounds {
        for name in namespaces {
            ground.make_namespace(name).await?;
        }
    }
    Ok(grounds)
}
