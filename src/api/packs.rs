//! Packs, their configurations, and what is wrong with them.

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::auth::{Kind, Right};
use crate::model::problem;
use crate::model::reference::Reference;
use crate::packs::catalog::{Catalog, Pack};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/packs",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call) }),
        "Lists the packs.",
    )
    .of(Of::Each)
    .query(&[("name", "Only the pack of this name.")])
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Pack")),
    Route::get(
        "/api/v1/packs/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call) }),
        "Shows one pack with what it holds and what is wrong with it.",
    )
    .of(Of::Path(Kind::Pack, "ref"))
    .gives(200, Shape::One("Pack")),
    Route::get(
        "/api/v1/problems",
        Access::Needs(Right::View),
        |call| Box::pin(async move { problems(&call) }),
        "Lists what is wrong with the home: packs, rules and sensors that did not load, and why.",
    )
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("HomeProblem")),
    Route::get(
        "/api/v1/config_schemas",
        Access::Needs(Right::View),
        |call| Box::pin(async move { schemas(&call) }),
        "Lists the packs' configuration schemas.",
    )
    .of(Of::Each)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("ConfigSchema")),
    Route::get(
        "/api/v1/config_schemas/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { schema(&call) }),
        "Shows one pack's configuration schema.",
    )
    .of(Of::Path(Kind::Pack, "ref"))
    .gives(200, Shape::One("ConfigSchema")),
];

const KNOWN: &[&str] = &[
    "id",
    "ref",
    "uid",
    "name",
    "description",
    "keywords",
    "version",
    "python_versions",
    "author",
    "email",
    "contributors",
    "files",
    "dependencies",
    "system",
    "path",
    "hash",
    "contents",
    "problems",
];
const PROBLEM: &[&str] = &["severity", "code", "place", "message", "help"];
const SCHEMA: &[&str] = &["id", "pack", "attributes"];

fn list(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let catalog = call.state.catalog.load_full();
    let all: Vec<_> = catalog
        .packs
        .iter()
        .filter(|(name, _)| call.query("name").is_none_or(|wanted| wanted == *name))
        .filter(|(name, _)| call.sees(Kind::Pack, name))
        .collect();
    page.cut(all).map(|(name, pack)| row(&catalog, name, pack)).answer(call, KNOWN)
}

fn find<'a>(call: &Call, catalog: &'a Catalog) -> Result<(&'a String, &'a Pack), Problem> {
    let name = call.path("ref");
    catalog.packs.get_key_value(name).ok_or_else(|| {
        let problem = Problem::unknown("pack", name);
        match problem::nearest(name, catalog.packs.keys().map(String::as_str)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("`ifso check` says why a pack that is there did not load"),
        }
    })
}

fn get(call: &Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let (name, pack) = find(call, &catalog)?;
    paging::one(call, row(&catalog, name, pack), KNOWN)
}

fn row(catalog: &Catalog, name: &str, pack: &Pack) -> Value {
    let manifest = &pack.manifest;
    let folder = std::path::Path::new("packs").join(name);
    let problems: Vec<Value> = catalog
        .problems
        .iter()
        .filter(|problem| problem.place.file.starts_with(&folder))
        .map(problem_row)
        .collect();
    json!({
        "id": name,
        "ref": name,
        "uid": format!("pack:{name}"),
        "name": manifest.name,
        "description": manifest.description,
        "keywords": manifest.keywords,
        "version": manifest.version,
        "python_versions": manifest.python_versions,
        "author": manifest.author,
        "email": manifest.email,
        "contributors": [],
        "files": [],
        "dependencies": manifest.dependencies,
        "system": {},
        "path": pack.folder,
        "hash": pack.version,
        "contents": {
            "actions": names(catalog.actions.keys(), name),
            "triggers": names(catalog.triggers.keys(), name),
            "sensors": names(catalog.sensors.keys(), name),
        },
        "problems": problems,
    })
}

fn names<'a>(all: impl Iterator<Item = &'a Reference>, pack: &str) -> Vec<&'a str> {
    all.filter(|reference| reference.pack() == pack).map(Reference::as_str).collect()
}

fn problem_row(problem: &problem::Problem) -> Value {
    json!({
        "severity": problem.severity,
        "code": problem.code,
        "place": problem.place.to_string(),
        "message": problem.message,
        "help": problem.help,
    })
}

fn problems(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let catalog = call.state.catalog.load_full();
    let all: Vec<_> = catalog.problems.iter().collect();
    page.cut(all).map(problem_row).answer(call, PROBLEM)
}

fn schemas(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let catalog = call.state.catalog.load_full();
    let described = catalog.packs.iter().filter(|(_, pack)| !pack.config_schema.is_null());
    let all: Vec<_> = described.filter(|(name, _)| call.sees(Kind::Pack, name)).collect();
    page.cut(all).map(|(name, pack)| schema_row(name, pack)).answer(call, SCHEMA)
}

fn schema(call: &Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let (name, pack) = find(call, &catalog)?;
    if pack.config_schema.is_null() {
        return Err(Problem::unknown("config schema", name));
    }
    paging::one(call, schema_row(name, pack), SCHEMA)
}

fn schema_row(name: &str, pack: &Pack) -> Value {
    json!({ "id": name, "pack": name, "attributes": pack.config_schema })
}
