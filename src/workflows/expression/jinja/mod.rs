//! Jinja, `{{ }}`: StackStorm's templates, with its functions and filters, in a sandbox with fuel.

mod complaint;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{
    Enumerator, Kwargs, Object, ObjectExt, ObjectRepr, Rest, ValueKind, ValueOrKwargs,
};
use minijinja::{Environment, Error, ErrorKind, Expression, State, Value};
use regex::Regex;
use serde_json::Value as Json;

use crate::model::problem::nearest;
use crate::script::jinja;
use crate::script::jinja::{json, said, wrong};
use crate::workflows::expression::ask::{self, Desk, Question, Reply, answered};
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::{Scope, TEXT_BYTES, functions};

/// Steps of one template at most: 10,000 items may be looked at ten times each.
const FUEL: u64 = 1_000_000;
/// The name under which functions find their desk.
const DESK: &str = "__desk";

/// What is said where the engine does not tell what is undefined.
const NO_VALUE: &str = "a value is undefined";

/// The environment of all templates; a constant in all but name.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// A filter; texts in quotes are passed over.
static FILTER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""[^"]*"|'[^']*'|\|\s*([A-Za-z_]\w*)"#).ok());

/// The value of an expression without its `{{ }}`; nothing where it is undefined.
///
/// # Errors
/// Why it has none.
pub(super) fn evaluate(text: &str, scope: &Scope<'_>) -> Result<Option<Json>, Fault> {
    let expression = ENVIRONMENT.compile_expression(text).map_err(|error| fault(&error, None))?;
    answered(scope, |desk| {
        let value = expression.eval(names(desk)).map_err(|error| {
            let fault = fault(&error, Some(desk));
            match unknown_name(&expression).filter(|_| fault.message == NO_VALUE) {
                Some(name) => Fault { message: format!("'{name}' is undefined"), ..fault },
                None => fault,
            }
        })?;
        if value.is_undefined() {
            return Ok(is_open_condition(text).then(|| Json::String(String::new())));
        }
        json(&value).map(Some).map_err(|error| fault(&error, Some(desk)))
    })
}

/// A name of an expression that nobody defines.
fn unknown_name(expression: &Expression<'_, '_>) -> Option<String> {
    let known = |name: &str| ENVIRONMENT.globals().any(|(known, _)| known == name);
    let mut names: Vec<String> = expression.undeclared_variables(false).into_iter().collect();
    names.sort();
    names.into_iter().find(|name| !known(name))
}

/// Whether an expression is `a if b`: where `b` does not hold, it is an empty text.
fn is_open_condition(text: &str) -> bool {
    text.contains(" if ")
        && !text.contains(" else ")
        && ENVIRONMENT.compile_expression(&format!("{text} else ''")).is_ok()
}

/// A text with blocks, rendered.
///
/// # Errors
/// Why it cannot be.
pub(super) fn render(text: &str, scope: &Scope<'_>) -> Result<String, Fault> {
    let template = ENVIRONMENT.template_from_str(text).map_err(|error| fault(&error, None))?;
    if is_recursive(text) {
        // Each turn could hand the double of its text to the next, which fuel does not see.
        return Err(Fault::new(
            "TemplateRuntimeError",
            "loops that call themselves are not allowed",
        ));
    }
    answered(scope, |desk| {
        let mut out = Bounded(Vec::new());
        match template.render_captured_to(names(desk), &mut out) {
            Ok(_) => {}
            Err(_) if out.0.len() > TEXT_BYTES => {
                return Err(Fault::limit("the text becomes too large"));
            }
            Err(error) => return Err(fault(&error, Some(desk))),
        }
        String::from_utf8(out.0).map_err(|error| Fault::value(error.to_string()))
    })
}

fn is_recursive(text: &str) -> bool {
    let mut blocks =
        text.split("{%").skip(1).map(|block| block.split("%}").next().unwrap_or(block));
    blocks.any(|block| block.split_whitespace().any(|word| word == "recursive"))
}

/// A text that is written, up to a size.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() > TEXT_BYTES {
            return Err(std::io::Error::other("the text becomes too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is wrong with a text, as far as it can be read.
pub(super) fn check(text: &str) -> Result<(), String> {
    let read = ENVIRONMENT.template_from_str(text).map(drop);
    read.map_err(|error| complaint::of(&said(&error), text))
}

/// What is wrong with an expression.
pub(super) fn check_expression(text: &str) -> Result<(), String> {
    let read = ENVIRONMENT.compile_expression(text).map(drop);
    read.map_err(|error| complaint::of(&said(&error), text))
}

/// The names and filters of an expression that are not known, each as what to say and the name that
/// may be meant.
pub(super) fn strangers(text: &str) -> Vec<(String, Option<String>)> {
    let Ok(expression) = ENVIRONMENT.compile_expression(text) else { return Vec::new() };
    let known = ENVIRONMENT.globals().map(|(name, _)| name);
    let name = unknown_name(&expression).map(|name| {
        let meant = nearest(&name, known).map(str::to_owned);
        (format!("'{name}' is undefined"), meant)
    });
    let filters = FILTER.as_ref().into_iter().flat_map(|form| form.captures_iter(text));
    let filters = filters.filter_map(|found| found.get(1)).filter(|name| !is_filter(name.as_str()));
    let filters = filters.map(|name| (format!("No filter named '{}'.", name.as_str()), None));
    name.into_iter().chain(filters).collect()
}

/// Whether there is such a filter: the engine tells only when it comes to it.
fn is_filter(name: &str) -> bool {
    let text = format!("'' | {name}");
    let told = ENVIRONMENT.compile_expression(&text).and_then(|expression| expression.eval(()));
    !told.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
}

fn names(desk: &Arc<Desk>) -> Value {
    let desk = Value::from_object(AtDesk(Arc::clone(desk)));
    Value::from(BTreeMap::from([(DESK, desk)]))
}

/// An error as Python tells it.
fn fault(error: &Error, desk: Option<&Arc<Desk>>) -> Fault {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(fault) = inner.downcast_ref::<Fault>() {
            return fault.clone();
        }
        source = inner.source();
    }
    let undefined = |message: String| Fault::new("UndefinedError", message);
    match (error.kind(), error.detail()) {
        (ErrorKind::UnknownFunction, Some(detail)) => {
            let name = detail.split(' ').next().unwrap_or(detail);
            undefined(format!("'{name}' is undefined"))
        }
        (ErrorKind::UndefinedError, detail) => match desk.and_then(|desk| desk.missing()) {
            Some(name) => undefined(format!("'dict object' has no attribute '{name}'")),
            None => undefined(detail.map_or_else(|| NO_VALUE.to_owned(), str::to_owned)),
        },
        (ErrorKind::SyntaxError, _) => {
            Fault::new("TemplateSyntaxError", complaint::of(&said(error), ""))
        }
        (ErrorKind::OutOfFuel, _) => Fault::limit("it takes too many steps"),
        (ErrorKind::UnknownFilter, Some(detail)) => {
            let name = detail.split(' ').nth(1).unwrap_or(detail);
            Fault::new("TemplateAssertionError", format!("No filter named '{name}'."))
        }
        (ErrorKind::UnknownMethod, Some(detail)) => {
            let name = detail.rsplit(' ').next().unwrap_or(detail);
            undefined(format!("the value has no attribute '{name}'"))
        }
        (ErrorKind::InvalidOperation, Some(detail))
            if detail.starts_with("unable to calculate") && detail.ends_with(" 0") =>
        {
            Fault::new("ZeroDivisionError", "division by zero")
        }
        (ErrorKind::InvalidOperation, Some(detail)) if detail.contains("unsupported types") => {
            match desk.and_then(|desk| desk.missing()).filter(|_| detail.contains("undefined")) {
                Some(name) => undefined(format!("'dict object' has no attribute '{name}'")),
                None => Fault::kind_of_value(detail),
            }
        }
        (ErrorKind::TooManyArguments | ErrorKind::MissingArgument, _) => {
            Fault::kind_of_value(said(error))
        }
        _ => Fault::new("TemplateRuntimeError", said(error)),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = jinja::environment(FUEL);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    for row in functions::TABLE {
        environment.add_function(row.0, move |given: Rest<ValueOrKwargs>| {
            on_data(row, &given.into_values())
        });
        environment.add_filter(row.0, move |given: Rest<ValueOrKwargs>| {
            on_data(row, &given.into_values())
        });
    }
    environment.add_function("ctx", ctx);
    environment.add_function("zip", zip);
    environment.add_filter("zip", zip);
    environment.add_function("item", item);
    environment.add_function("result", |state: &State<'_, '_>| ask(state, Question::Result));
    environment.add_function("succeeded", |state: &State<'_, '_>| {
        status(state).map(|status| status == ask::SUCCEEDED)
    });
    environment.add_function("failed", |state: &State<'_, '_>| {
        status(state).map(|status| status == ask::FAILED)
    });
    environment.add_function("completed", |state: &State<'_, '_>| {
        status(state).map(|status| ask::COMPLETED.contains(&status.as_str()))
    });
    environment.add_function(
        "task_status",
        |state: &State<'_, '_>, name: &str, route: Option<u32>| {
            ask(state, Question::TaskStatus(name.to_owned(), route))
        },
    );
    environment.add_function(
        "task",
        |state: &State<'_, '_>, name: Option<String>, route: Option<u32>| {
            ask(state, Question::Task(name, route))
        },
    );
    environment.add_function("st2kv", st2kv);
    environment
}

/// The desk, as a template carries it along.
#[derive(Debug)]
struct AtDesk(Arc<Desk>);

impl Object for AtDesk {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

fn desk(state: &State<'_, '_>) -> Result<Arc<Desk>, Error> {
    let found = state.lookup(DESK);
    let found = found.as_ref().and_then(|desk| desk.downcast_object_ref::<AtDesk>());
    found
        .map(|desk| Arc::clone(&desk.0))
        .ok_or_else(|| raised(Fault::expression("The context is not set.")))
}

fn raised(fault: Fault) -> Error {
    wrong(fault.message.clone()).with_source(fault)
}

/// Ends this try: the reply comes with the next one.
fn unknown() -> Error {
    wrong("not known yet".to_owned())
}

fn replied(desk: &Desk, question: Question) -> Result<Option<Value>, Error> {
    match desk.ask(question) {
        None => Err(unknown()),
        Some(Reply::Value(value)) => Ok(Some(lent(&value))),
        Some(Reply::Context(all)) => {
            let shown = all.iter().filter(|(name, _)| !name.starts_with("__"));
            let all: BTreeMap<String, Value> =
                shown.map(|(name, value)| (name.to_string(), lent(value))).collect();
            Ok(Some(Value::from(all)))
        }
        Some(Reply::Nothing) => Ok(None),
        Some(Reply::Failed(fault)) => Err(raised(fault)),
    }
}

fn ask(state: &State<'_, '_>, question: Question) -> Result<Value, Error> {
    replied(&*desk(state)?, question).map(|value| value.unwrap_or(Value::from(())))
}

fn status(state: &State<'_, '_>) -> Result<String, Error> {
    ask(state, Question::Status).map(|status| status.as_str().unwrap_or_default().to_owned())
}

fn ctx(state: &State<'_, '_>, name: Option<&str>) -> Result<Value, Error> {
    let desk = desk(state)?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(Value::from_object(Variables(desk)));
    };
    let found = replied(&desk, Question::Variable(name.to_owned()))?;
    found.ok_or_else(|| raised(ask::not_there(name)))
}

fn item(state: &State<'_, '_>, key: Option<&str>) -> Result<Value, Error> {
    let item = ask(state, Question::Item)?;
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(item) };
    if item.kind() != ValueKind::Map {
        return Err(raised(Fault::expression(ask::NO_ITEM)));
    }
    let found = item.get_attr(key)?;
    if found.is_undefined() {
        return Err(raised(Fault::expression(format!("Item does not have key \"{key}\"."))));
    }
    Ok(found)
}

#[expect(clippy::needless_pass_by_value, reason = "the engine hands values over")]
fn st2kv(state: &State<'_, '_>, name: Value, named: Kwargs) -> Result<Value, Error> {
    let Some(name) = name.as_str() else {
        return Err(raised(Fault::kind_of_value("Given key is not typeof string.")));
    };
    let decrypt: Option<Value> = named.get("decrypt")?;
    let decrypt = match decrypt {
        None => false,
        Some(flag) if flag.kind() == ValueKind::Bool => flag.is_true(),
        Some(_) => {
            return Err(raised(Fault::kind_of_value("Decrypt parameter is not typeof bool.")));
        }
    };
    let default: Option<Value> =
        if named.has("default") { Some(named.get("default")?) } else { None };
    named.assert_all_used()?;
    let found = replied(&*desk(state)?, Question::Key(name.to_owned(), decrypt))?;
    found.or(default).ok_or_else(|| raised(Fault::expression(ask::no_such_key(name))))
}

fn zip(given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = given.into_values();
    let (given, named): (&[Value], Kwargs) = minijinja::value::from_args(&given)?;
    let pad: Option<Value> = named.get("pad")?;
    let pad = pad.unwrap_or(Value::from(()));
    if let [only] = given {
        return Ok(if only.is_none() { Value::from(Vec::<Value>::new()) } else { only.clone() });
    }
    let mut columns = Vec::new();
    for value in given {
        columns.push(match value.as_str() {
            Some(text) => text.chars().map(Value::from).collect(),
            None if value.is_none() => Vec::new(),
            None => value.try_iter()?.collect::<Vec<_>>(),
        });
    }
    let length = columns.iter().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| {
        let cell = |column: &Vec<Value>| column.get(at).unwrap_or(&pad).clone();
        columns.iter().map(cell).collect::<Value>()
    };
    Ok((0..length).map(row).collect())
}

fn on_data(row: &'static functions::Row, given: &[Value]) -> Result<Value, Error> {
    let (given, named): (&[Value], Kwargs) = minijinja::value::from_args(given)?;
    if given.iter().any(Value::is_undefined) {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let values = given.iter().map(json).collect::<Result<_, _>>()?;
    let keys: Vec<String> = named.args().map(str::to_owned).collect();
    let mut by_name = Vec::with_capacity(keys.len());
    for name in keys {
        let value: Value = named.get(&name)?;
        by_name.push((name, json(&value)?));
    }
    let result = functions::call(row, values, by_name).map_err(raised)?;
    Ok(lent(&Arc::new(result)))
}

/// `ctx()`: its variables are asked for one by one, so that none is copied that nobody reads.
#[derive(Debug)]
struct Variables(Arc<Desk>);

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let question = Question::Variable(key.as_str()?.to_owned());
        replied(&self.0, question).ok().flatten()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let all = replied(&self.0, Question::Variables).ok().flatten();
        match all.and_then(|all| all.try_iter().ok().map(Iterator::collect)) {
            Some(names) => Enumerator::Values(names),
            None => Enumerator::Empty,
        }
    }
}

/// A value that is shared, read at the place where it is wanted.
fn lent(root: &Arc<Json>) -> Value {
    shared(root, &[])
}

/// A step into a value.
#[derive(Debug, Clone)]
enum Step {
    Name(Arc<str>),
    Place(usize),
}

/// An array or an object inside a shared value: what a template does not read is not copied.
#[derive(Debug)]
struct Shared {
    root: Arc<Json>,
    path: Vec<Step>,
}

fn at<'v>(root: &'v Json, path: &[Step]) -> Option<&'v Json> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Name(name) => value.get(&**name),
        Step::Place(place) => value.get(place),
    })
}

fn shared(root: &Arc<Json>, path: &[Step]) -> Value {
    match at(root, path) {
        Some(Json::Array(_) | Json::Object(_)) => {
            Value::from_object(Shared { root: Arc::clone(root), path: path.to_vec() })
        }
        Some(scalar) => jinja::name(scalar),
        None => Value::UNDEFINED,
    }
}

impl Shared {
    fn here(&self) -> Option<&Json> {
        at(&self.root, &self.path)
    }

    fn step(&self, step: Step) -> Value {
        let mut path = self.path.clone();
        path.push(step);
        shared(&self.root, &path)
    }
}

impl Object for Shared {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.here() {
            Some(Json::Array(_)) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let step = match self.here()? {
            Json::Object(fields) => {
                let name = key.as_str().filter(|name| fields.contains_key(*name))?;
                Step::Name(name.into())
            }
            Json::Array(items) => {
                let place = key.as_usize().filter(|place| *place < items.len())?;
                Step::Place(place)
            }
            _ => return None,
        };
        Some(self.step(step))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.here() {
            Some(Json::Array(items)) => Enumerator::Seq(items.len()),
            Some(Json::Object(_)) => self.mapped_enumerator(|shared| match shared.here() {
                Some(Json::Object(fields)) => {
                    Box::new(fields.keys().map(|name| Value::from(name.as_str())))
                }
                _ => Box::new(std::iter::empty()),
            }),
            _ => Enumerator::Empty,
        }
    }
}
