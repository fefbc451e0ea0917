//! What expressions ask about their workflow.
//!
//! YAQL reads the scope itself. The engines of Jinja and Rhai keep functions for good, so these cannot
//! borrow a scope: they ask at a desk. What the desk does not know ends that try; it is looked up in the
//! scope, and the expression is evaluated again. An expression changes nothing, so that is safe; and
//! what a try needs is copied only where it is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::script::limits::Sizes;
use crate::workflows::Context;
use crate::workflows::expression::Scope;
use crate::workflows::expression::fault::Fault;

/// The words of Orquesta's statuses.
pub(super) const SUCCEEDED: &str = "succeeded";
pub(super) const FAILED: &str = "failed";
pub(super) const COMPLETED: [&str; 5] = ["succeeded", "failed", "timeout", "abandoned", "canceled"];
/// The status of a task that did not begin.
pub(super) const UNSET: &str = "null";

pub(super) const NO_TASK: &str = "The current task is not set in the context.";
pub(super) const NO_ITEM: &str = "Item is not type of collections.abc.Mapping.";

/// Tries of one expression at most.
const TRIES: usize = 200;
/// After so many tries the whole context is lent: whoever asked so often goes through all of it.
const PATIENCE: usize = 8;

/// Nobody set a key.
pub(super) fn no_such_key(name: &str) -> String {
    format!("The key \"{name}\" does not exist in the StackStorm datastore.")
}

/// No task of the name ran.
pub(super) fn no_such_task(name: &str) -> String {
    format!("Unable to find task execution for \"{name}\".")
}

/// A variable of the context.
///
/// # Errors
/// There is none; or it is for internal use.
pub(super) fn variable<'a>(scope: &Scope<'a>, name: &str) -> Result<&'a Value, Fault> {
    let found = scope.context.get(name).ok_or_else(|| undefined(name))?;
    if name.starts_with("__") {
        return Err(inaccessible(name));
    }
    Ok(found)
}

fn undefined(name: &str) -> Fault {
    Fault::new("VariableUndefinedError", format!("The variable \"{name}\" is undefined."))
}

fn inaccessible(name: &str) -> Fault {
    let message = format!("The variable \"{name}\" is for internal use and inaccessible.");
    Fault::new("VariableInaccessibleError", message)
}

/// The variables of a context that expressions may see, as an object.
pub(super) fn shown(context: &Context) -> Map<String, Value> {
    let shown = context.iter().filter(|(name, _)| !name.starts_with("__"));
    shown.map(|(name, value)| (name.to_string(), Value::clone(value))).collect()
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Variable(String),
    Variables,
    Result,
    Item,
    /// The status of the task that just ended.
    Status,
    TaskStatus(String, Option<u32>),
    Task(Option<String>, Option<u32>),
    Key(String, bool),
    /// Milliseconds since 1970.
    Now,
}

/// What is known about a question.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Value(Arc<Value>),
    Context(Context),
    Nothing,
    Failed(Fault),
}

/// Questions and replies of one evaluation.
#[derive(Debug, Default)]
pub(super) struct Desk {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    replies: HashMap<Question, Reply>,
    open: Vec<Question>,
    all: Option<Context>,
    /// The last variable that is not there, for the complaint.
    missing: Option<String>,
}

impl Desk {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Nobody panics while holding it; and if so, replies stay true.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply, or nothing yet: then this try ends, and the next one knows.
    pub(super) fn ask(&self, question: Question) -> Option<Reply> {
        let mut known = self.known();
        if let (Question::Variable(name), Some(all)) = (&question, &known.all) {
            let reply = all.get(&**name).filter(|_| !name.starts_with("__"));
            return Some(reply.map_or(Reply::Nothing, |value| Reply::Value(Arc::clone(value))));
        }
        if let Some(reply) = known.replies.get(&question).cloned() {
            if let (Reply::Nothing, Question::Variable(name)) = (&reply, question) {
                known.missing = Some(name);
            }
            return Some(reply);
        }
        known.open.push(question);
        None
    }

    /// How large the replies are together.
    pub(super) fn sizes(&self) -> Sizes {
        let known = self.known();
        let mut all = Sizes::default();
        let mut add = |value: &Value| {
            let sizes = Sizes::of(value);
            all.string_bytes += sizes.string_bytes;
            all.array_items += sizes.array_items;
            all.map_items += sizes.map_items;
        };
        for reply in known.replies.values() {
            match reply {
                Reply::Value(value) => add(value),
                Reply::Context(context) => context.values().for_each(|value| add(value)),
                Reply::Nothing | Reply::Failed(_) => {}
            }
        }
        all
    }

    /// The variable whose absence was noticed last.
    pub(super) fn missing(&self) -> Option<String> {
        self.known().missing.clone()
    }

    fn answer(&self, scope: &Scope<'_>, tries: usize) -> bool {
        let mut known = self.known();
        let open = std::mem::take(&mut known.open);
        let asked = !open.is_empty();
        for question in open {
            let reply = reply(&question, scope);
            known.replies.insert(question, reply);
        }
        if tries == PATIENCE {
            known.all = Some(scope.context.clone());
        }
        asked
    }
}

/// Evaluates until nothing more is asked.
///
/// # Errors
/// What the last try failed with; or it asks without end.
pub(super) fn answered<T>(
    scope: &Scope<'_>,
    mut go: impl FnMut(&Arc<Desk>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let desk = Arc::new(Desk::default());
    for tries in 1..=TRIES {
        let result = go(&desk);
        if !desk.answer(scope, tries) {
            return result;
        }
    }
    Err(Fault::limit(format!("it asks for more than {TRIES} different things")))
}

fn reply(question: &Question, scope: &Scope<'_>) -> Reply {
    let own = |value: Value| Reply::Value(Arc::new(value));
    let task = || Reply::Failed(Fault::expression(NO_TASK));
    let route = |route: &Option<u32>| route.or(scope.task.map(|task| task.route));
    match question {
        Question::Variable(name) => match scope.context.get(&**name) {
            Some(_) if name.starts_with("__") => Reply::Failed(inaccessible(name)),
            Some(value) => Reply::Value(Arc::clone(value)),
            None => Reply::Nothing,
        },
        Question::Variables => Reply::Context(scope.context.clone()),
        Question::Result => scope.task.map_or_else(task, |task| own(task.result.clone())),
        Question::Item => own(scope.item.cloned().unwrap_or_default()),
        Question::Status => scope.task.map_or_else(task, |task| own(task.status.into())),
        Question::TaskStatus(name, on) => {
            let status = scope.world.task_status(name, route(on));
            own(status.unwrap_or_else(|| UNSET.to_owned()).into())
        }
        Question::Task(name, on) => {
            let Some(name) = name.as_deref().or(scope.task.map(|task| task.name)) else {
                return task();
            };
            let found = scope.world.task(name, route(on));
            found.map_or_else(|| Reply::Failed(Fault::expression(no_such_task(name))), own)
        }
        Question::Key(name, decrypt) => match scope.world.key(name, *decrypt) {
            Ok(Some(value)) => own(value),
            Ok(None) => Reply::Nothing,
            Err(message) => Reply::Failed(Fault::expression(message)),
        },
        Question::Now => own(scope.world.now().millis().into()),
    }
}

/// A variable that is not there, asked for by name.
pub(super) fn not_there(name: &str) -> Fault {
    undefined(name)
}
