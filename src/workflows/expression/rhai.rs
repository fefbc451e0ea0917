//! Rhai, `${ }`: one expression, with the limits of a script.
//!
//! `ctx.name` or `ctx("name")` is a variable, `()` where there is none; `ctx()` is all of them.
//! `result()`, `item()`, `item("key")`, `succeeded()`, `failed()`, `completed()`, `task_status("name")`,
//! `task("name")`, `st2kv("system.x")`, `st2kv("system.x", #{decrypt: true, default: 1})`, `now()`, and
//! StackStorm's functions on data. What rules may call may be called here too.

use std::sync::{Arc, LazyLock};

use rhai::{Dynamic, Engine, EvalAltResult, Map, Module, NativeCallContext, Shared};
use serde_json::Value;

use crate::script::convert::{to_dynamic, to_json};
use crate::script::fault::Fault as Trouble;
use crate::script::limits::{DECIDING, Deadline, Limits, admit};
use crate::workflows::expression::ask::{self, Desk, Question, Reply, answered};
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::{Scope, functions};

/// One expression: as a rule's closure, with room for the items of a task.
const LIMITS: Limits = Limits {
    operations: 200_000,
    array_items: 20_000,
    map_items: 20_000,
    string_bytes: 1024 * 1024,
    wall: std::time::Duration::from_millis(200),
    ..DECIDING
};

/// The functions of workflows; a constant in all but name.
static FUNCTIONS: LazyLock<Shared<Module>> = LazyLock::new(|| functions().into());

type Answer = Result<Dynamic, Box<EvalAltResult>>;

/// The value of an expression without its `${ }`.
///
/// # Errors
/// Why it has none.
pub(super) fn evaluate(text: &str, scope: &Scope<'_>) -> Result<Value, Fault> {
    answered(scope, |desk| {
        let (mut engine, deadline) = engine();
        admit(&mut engine, &LIMITS, desk.sizes());
        engine.set_default_tag(Dynamic::from(AtDesk(Arc::clone(desk))));
        run(&engine, &deadline, text, desk)
    })
}

fn run(engine: &Engine, deadline: &Deadline, text: &str, desk: &Arc<Desk>) -> Result<Value, Fault> {
    let wrong = |message: String| Fault::new("ScriptError", message);
    let mut names = rhai::Scope::new();
    names.push_constant("ctx", AtDesk(Arc::clone(desk)));
    let tree = engine
        .compile_expression_with_scope(&names, text)
        .map_err(|error| wrong(Trouble::of(&error.into(), "").message))?;
    deadline.start();
    let value: Dynamic = engine
        .eval_ast_with_scope(&mut names, &tree)
        .map_err(|error| wrong(Trouble::of(&error, "").message))?;
    if value.is::<AtDesk>() {
        return match desk.ask(Question::Variables) {
            Some(Reply::Context(all)) => Ok(Value::Object(ask::shown(&all))),
            _ => Err(wrong("not known yet".to_owned())),
        };
    }
    to_json(&value).map_err(|error| wrong(error.to_string()))
}

/// What is wrong with an expression.
pub(super) fn check(text: &str) -> Result<(), String> {
    let (engine, _) = engine();
    let mut names = rhai::Scope::new();
    names.push_constant("ctx", ());
    engine
        .compile_expression_with_scope(&names, text)
        .map(drop)
        .map_err(|error| Trouble::of(&error.into(), "").message)
}

fn engine() -> (Engine, Deadline) {
    let (mut engine, deadline) = crate::script::engine(&LIMITS);
    engine.register_global_module(FUNCTIONS.clone());
    (engine, deadline)
}

/// The desk, as an evaluation carries it along; in the script it is `ctx`.
#[derive(Debug, Clone)]
struct AtDesk(Arc<Desk>);

fn replied(desk: &Desk, question: Question) -> Result<Option<Dynamic>, Box<EvalAltResult>> {
    match desk.ask(question) {
        // This try ends: the reply comes with the next one.
        None => Err("not known yet".into()),
        Some(Reply::Value(value)) => Ok(Some(to_dynamic(&value))),
        Some(Reply::Context(all)) => Ok(Some(to_dynamic(&Value::Object(ask::shown(&all))))),
        Some(Reply::Nothing) => Ok(None),
        Some(Reply::Failed(fault)) => Err(fault.message.into()),
    }
}

fn ask(context: &NativeCallContext<'_>, question: Question) -> Answer {
    let tag = context.tag().and_then(|tag| tag.clone().try_cast::<AtDesk>());
    let desk = tag.ok_or("the context is not set")?;
    replied(&desk.0, question).map(Option::unwrap_or_default)
}

fn status(context: &NativeCallContext<'_>) -> Result<String, Box<EvalAltResult>> {
    Ok(ask(context, Question::Status)?.into_string().unwrap_or_default())
}

fn functions() -> Module {
    let mut module = Module::new();
    about_context(&mut module);
    about_tasks(&mut module);
    for row in functions::TABLE {
        on_data(&mut module, row);
    }
    module
}

fn about_context(module: &mut Module) {
    use rhai::FuncRegistration as Register;
    Register::new_index_getter().set_into_module(
        module,
        |ctx: &mut AtDesk, name: &str| -> Answer {
            replied(&ctx.0, Question::Variable(name.to_owned())).map(Option::unwrap_or_default)
        },
    );
    Register::new("ctx").set_into_module(module, |context: NativeCallContext<'_>| -> Answer {
        ask(&context, Question::Variables)
    });
    Register::new("ctx").set_into_module(
        module,
        |context: NativeCallContext<'_>, name: &str| -> Answer {
            ask(&context, Question::Variable(name.to_owned()))
        },
    );
    Register::new("item").set_into_module(module, |context: NativeCallContext<'_>| -> Answer {
        ask(&context, Question::Item)
    });
    Register::new("item").set_into_module(
        module,
        |context: NativeCallContext<'_>, key: &str| -> Answer {
            let item = ask(&context, Question::Item)?;
            let field = item.as_map_ref().ok().and_then(|fields| fields.get(key).cloned());
            Ok(field.unwrap_or_default())
        },
    );
    Register::new("st2kv")
        .set_into_module(module, |context: NativeCallContext<'_>, name: &str| -> Answer {
            key(&context, name, &Map::new())
        });
    Register::new("st2kv").set_into_module(
        module,
        |context: NativeCallContext<'_>, name: &str, options: Map| -> Answer {
            key(&context, name, &options)
        },
    );
    Register::new("now").set_into_module(module, |context: NativeCallContext<'_>| -> Answer {
        ask(&context, Question::Now)
    });
}

fn key(context: &NativeCallContext<'_>, name: &str, options: &Map) -> Answer {
    let decrypt = options.get("decrypt").is_some_and(|flag| flag.as_bool().unwrap_or(false));
    let found = ask(context, Question::Key(name.to_owned(), decrypt))?;
    Ok(if found.is_unit() { options.get("default").cloned().unwrap_or_default() } else { found })
}

fn about_tasks(module: &mut Module) {
    use rhai::FuncRegistration as Register;
    Register::new("result").set_into_module(module, |context: NativeCallContext<'_>| -> Answer {
        ask(&context, Question::Result)
    });
    Register::new("succeeded").set_into_module(module, |context: NativeCallContext<'_>| {
        status(&context).map(|status| status == ask::SUCCEEDED)
    });
    Register::new("failed").set_into_module(module, |context: NativeCallContext<'_>| {
        status(&context).map(|status| status == ask::FAILED)
    });
    Register::new("completed").set_into_module(module, |context: NativeCallContext<'_>| {
        status(&context).map(|status| ask::COMPLETED.contains(&status.as_str()))
    });
    Register::new("task_status").set_into_module(
        module,
        |context: NativeCallContext<'_>, name: &str| -> Answer {
            ask(&context, Question::TaskStatus(name.to_owned(), None))
        },
    );
    Register::new("task").set_into_module(
        module,
        |context: NativeCallContext<'_>, name: &str| -> Answer {
            ask(&context, Question::Task(Some(name.to_owned()), None))
        },
    );
}

/// Registers a function on data with each number of arguments that it takes.
fn on_data(module: &mut Module, row: &'static functions::Row) {
    use rhai::FuncRegistration as Register;
    let least = row.1.iter().filter(|take| !take.ends_with('=')).count();
    let register = || Register::new(row.0);
    for count in least..=row.1.len() {
        match count {
            1 => register().set_into_module(module, move |a: Dynamic| called(row, &[a])),
            2 => register()
                .set_into_module(module, move |a: Dynamic, b: Dynamic| called(row, &[a, b])),
            3 => register().set_into_module(module, move |a: Dynamic, b: Dynamic, c: Dynamic| {
                called(row, &[a, b, c])
            }),
            _ => register()
                .set_into_module(module, move |a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic| {
                    called(row, &[a, b, c, d])
                }),
        };
    }
}

fn called(row: &functions::Row, given: &[Dynamic]) -> Answer {
    let values = given.iter().map(to_json).collect::<Result<_, _>>();
    let values = values.map_err(|error| error.to_string())?;
    let result = functions::call(row, values, Vec::new()).map_err(|fault| fault.message)?;
    Ok(to_dynamic(&result))
}
