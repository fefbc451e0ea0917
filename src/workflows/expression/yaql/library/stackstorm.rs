//! What StackStorm adds: the context, the task that ended, stored keys. Its functions on data are the
//! same in every dialect and stand in `data`.

use crate::workflows::expression::Seen;
use crate::workflows::expression::ask;
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::{Row, Way::Function};
use crate::workflows::expression::yaql::stream::Cursor;
use crate::workflows::expression::yaql::value::Datum;

pub(super) const TABLE: &[Row] = &[
    ("ctx", Function, "key:any=", ctx),
    ("zip", Function, "*:any, **:any", zip),
    ("item", Function, "key:any=", item),
    ("result", Function, "", |run, _| Ok(Datum::lent(seen(run)?.result))),
    ("succeeded", Function, "", |run, _| Ok(Datum::Bool(seen(run)?.status == ask::SUCCEEDED))),
    ("failed", Function, "", |run, _| Ok(Datum::Bool(seen(run)?.status == ask::FAILED))),
    ("completed", Function, "", |run, _| {
        Ok(Datum::Bool(ask::COMPLETED.contains(&seen(run)?.status)))
    }),
    ("task_status", Function, "task_id:any, route:any=", task_status),
    ("task", Function, "task_id:any=, route:any=", task),
    ("st2kv", Function, "key:any, **:any", st2kv),
];

fn seen<'a>(run: &Run<'a>) -> Result<Seen<'a>, Fault> {
    run.scope.task.ok_or_else(|| Fault::expression(ask::NO_TASK))
}

fn ctx<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let key = given.value(0);
    if !key.is_true() {
        return Ok(Datum::Variables(run.scope.context));
    }
    let name = key.shown();
    ask::variable(run.scope, &name).map(Datum::lent)
}

fn zip<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut parts = given.values();
    if parts.len() == 1 {
        return Ok(match parts.remove(0) {
            Datum::Null => Datum::list(Vec::new())?,
            only => only,
        });
    }
    let pad = given.named.iter().find(|(name, _)| name == "pad");
    let pad = pad.map_or(Datum::Null, |(_, value)| value.clone());
    let mut columns = Vec::new();
    for part in parts {
        columns.push(match part {
            Datum::Null => Vec::new(),
            Datum::Text(text) => {
                text.chars().map(|letter| Datum::text(letter.to_string())).collect()
            }
            part if part.is_map() => part.entries().into_iter().map(|(name, _)| name).collect(),
            part if part.is_iterable() => Cursor::over(&part).rest(run)?,
            _ => return Err(Fault::kind_of_value("a value of zip() is not iterable")),
        });
    }
    let length = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut rows = Vec::with_capacity(length);
    for at in 0..length {
        let cell = |column: &Vec<Datum<'a>>| column.get(at).unwrap_or(&pad).clone();
        let row = columns.iter().map(cell).collect();
        rows.push(run.list(row)?);
    }
    run.list(rows)
}

fn item<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let key = given.value(0);
    let item = run.scope.item.map_or(Datum::Null, Datum::lent);
    if !key.is_true() {
        return Ok(item);
    }
    if !item.is_map() {
        return Err(Fault::expression(ask::NO_ITEM));
    }
    let found = item.get(&key)?;
    found.ok_or_else(|| Fault::expression(format!("Item does not have key \"{}\".", key.shown())))
}

fn route(given: &Given<'_>, run: &Run<'_>) -> Option<u32> {
    match given.value(1) {
        Datum::Int(route) => u32::try_from(route).ok(),
        _ => run.scope.task.map(|task| task.route),
    }
}

fn task_status<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let name = given.value(0).shown();
    let status = run.scope.world.task_status(&name, route(given, run));
    run.text(status.unwrap_or_else(|| ask::UNSET.to_owned()))
}

fn task<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let name = match given.value(0) {
        Datum::Null => seen(run)?.name.to_owned(),
        name => name.shown(),
    };
    match run.scope.world.task(&name, route(given, run)) {
        Some(task) => Datum::own(task),
        None => Err(Fault::expression(ask::no_such_task(&name))),
    }
}

fn st2kv<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let Datum::Text(name) = given.value(0) else {
        return Err(Fault::kind_of_value("Given key is not typeof string."));
    };
    let named = |wanted: &str| {
        let mut named = given.named.iter();
        named.find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    let decrypt = match named("decrypt") {
        None => false,
        Some(Datum::Bool(flag)) => flag,
        Some(_) => return Err(Fault::kind_of_value("Decrypt parameter is not typeof bool.")),
    };
    match (run.scope.world.key(&name, decrypt), named("default")) {
        (Ok(Some(value)), _) => Datum::own(value),
        (Ok(None), Some(default)) => Ok(default),
        (Ok(None), None) => Err(Fault::expression(ask::no_such_key(&name))),
        (Err(message), _) => Err(Fault::expression(message)),
    }
}
