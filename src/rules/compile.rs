//! A file of rules becomes rules: compiled, looked through, evaluated once, each declaration read.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use aws_lc_rs::digest;
use rhai::{AST, Engine, OptimizationLevel, Scope};

use crate::model::problem::{Place, Problem, Severity};
use crate::rules::declare::{self, Pen};
use crate::rules::library::Importer;
use crate::rules::lint::unused;
use crate::rules::rule::Rule;
use crate::rules::run::run;
use crate::rules::sites::{Sites, spot};
use crate::rules::{Known, Library, Source, check, effects, read, slim, window};
use crate::script::fault::Fault;
use crate::script::{self, limits};

/// Bytes of a file of rules.
pub const FILE_LIMIT: usize = 1024 * 1024;

/// Rules written out in one file: Rhai's parser needs time quadratic in the closures of a file.
pub const WRITTEN_LIMIT: usize = 200;

/// What of one file can be used.
#[derive(Debug)]
pub struct Sifted {
    /// The rules that are right.
    pub rules: Vec<Rule>,
    /// The names of those that are not.
    pub left_out: BTreeSet<String>,
    /// Errors of what is left out, and warnings.
    pub problems: Vec<Problem>,
}

/// Compiles one file into its rules.
///
/// # Errors
/// Every problem found, each with line and column; nothing of the file is used then. Warnings come
/// back beside the rules.
pub fn compile(
    source: &Source,
    library: &Library,
    known: &Known,
) -> Result<(Vec<Rule>, Vec<Problem>), Vec<Problem>> {
    let Sifted { rules, left_out, problems } = sift(source, library, known)?;
    if left_out.is_empty() { Ok((rules, problems)) } else { Err(problems) }
}

/// Compiles one file, and leaves out the rules that an error belongs to.
///
/// # Errors
/// Every problem found, where one of them belongs to no single rule: nothing of the file is used then.
pub fn sift(source: &Source, library: &Library, known: &Known) -> Result<Sifted, Vec<Problem>> {
    let whole = Place::file(&source.file);
    sized(source, &whole)?;
    // Rhai 1.27 can be made to panic by a plain script (T8): that is a problem of the file.
    let compiled =
        on_a_tall_stack(|| catch_unwind(AssertUnwindSafe(|| load(source, library, known, &whole))));
    compiled.unwrap_or_else(|_| {
        let message = "Rhai itself gave up on this file";
        let help = "look for an assignment to a constant or to a part of one, and use `let` there";
        Err(vec![Problem::error("rhai_panic", whole, message).help(help)])
    })
}

/// Runs `work` on a thread of its own, whose stack holds what a file may nest.
fn on_a_tall_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("compile".to_owned())
            .stack_size(limits::LOADING_STACK_BYTES)
            .spawn_scoped(scope, work);
        let joined = thread.map(std::thread::ScopedJoinHandle::join);
        // No thread means no memory for one: the process could not go on either.
        joined.expect("a thread to compile on").expect("the work catches its own panics")
    })
}

fn sized(source: &Source, whole: &Place) -> Result<(), Vec<Problem>> {
    if source.text.len() > FILE_LIMIT {
        let message = format!("the file has {} bytes; {FILE_LIMIT} is the most", source.text.len());
        return Err(vec![Problem::error("too_large", whole.clone(), message).help("split it")]);
    }
    let written = source.text.lines().filter(|line| line.trim_start().starts_with("rule(")).count();
    if written > WRITTEN_LIMIT {
        let message = format!("the file has {written} rules; {WRITTEN_LIMIT} is the most");
        let help = "split it into several files of the same folder";
        return Err(vec![Problem::error("too_many_rules", whole.clone(), message).help(help)]);
    }
    Ok(())
}

fn load(
    source: &Source,
    library: &Library,
    known: &Known,
    whole: &Place,
) -> Result<Sifted, Vec<Problem>> {
    let file = source.file.display().to_string();
    let (mut engine, deadline) = script::engine(&limits::LOADING);
    engine.register_global_module(effects::module());
    engine.register_global_module(window::module());
    let importer = Importer::new(library, &source.pack);
    let pen = declare::teach(&mut engine, (&file, &source.text), &importer);
    engine.set_module_resolver(importer.clone());
    deadline.start();
    let written = engine.compile(&source.text).map_err(|error| {
        vec![problem("syntax", Fault::of(&Box::<rhai::EvalAltResult>::from(error), &file), whole)]
    })?;
    let sites = Sites::of(&written);
    let found = check::check(&written, whole, known);
    let wrong = |one: &&check::Found| one.problem.severity == Severity::Error;
    let mut everywhere = found.iter().filter(wrong).any(|one| one.rule.is_none());
    let wrong: BTreeSet<_> = found.iter().filter(wrong).filter_map(|one| one.rule).collect();
    let mut problems: Vec<Problem> = found.into_iter().map(|one| one.problem).collect();
    let declared = match evaluate(&engine, &written, (&file, whole), &pen) {
        Ok(()) => pen.lock().unwrap_or_else(PoisonError::into_inner).take(),
        Err(problem) => {
            let said = problems.iter().any(|said| said.place == problem.place);
            if !said {
                problems.push(problem);
            }
            return Err(sorted(problems));
        }
    };
    // What is mistyped makes something else look unused.
    if !problems.iter().any(|one| one.severity == Severity::Error) {
        problems.extend(unused::problems(&written, &source.text, whole));
    }
    let version = version(source, &importer);
    let place = whole.clone();
    let text = Arc::from(source.text.as_str());
    let file = read::File { pack: &source.pack, place, sites: &sites, version, source: text };
    let (mut rules, mut left_out) = (Vec::new(), BTreeSet::new());
    let mut closures = slim::Closures::default();
    // An error in a rule that was not declared, under an `if`, cannot be left out by name.
    everywhere |= !wrong.iter().all(|at| declared.iter().any(|one| spot(one.call) == *at));
    for declared in declared {
        let (name, at) = (declared.name.clone(), spot(declared.call));
        closures.note(&declared);
        match read::rule(&file, declared, known) {
            Ok((rule, doubts)) => {
                problems.extend(doubts);
                if wrong.contains(&at) {
                    left_out.insert(name);
                } else {
                    rules.push(rule);
                }
            }
            Err(wrong) => {
                problems.extend(wrong);
                left_out.insert(name);
            }
        }
    }
    closures.drop_from(&mut rules);
    let problems = sorted(problems);
    if everywhere { Err(problems) } else { Ok(Sifted { rules, left_out, problems }) }
}

/// In the order of the file; a loop that declares many rules complains once.
fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    problems.dedup();
    problems
}

/// Runs the top level of the file, which declares its rules.
fn evaluate(
    engine: &Engine,
    written: &AST,
    (file, whole): (&str, &Place),
    pen: &Pen,
) -> Result<(), Problem> {
    let mut ast = engine.optimize_ast(&Scope::new(), written.clone(), OptimizationLevel::Simple);
    ast.set_source(file);
    let done = run(engine, &ast, |statement, global| {
        pen.lock().unwrap_or_else(PoisonError::into_inner).turn(statement, global);
    });
    done.map(drop).map_err(|error| problem("evaluation", Fault::of(&error, file), whole))
}

fn problem(code: &str, fault: Fault, whole: &Place) -> Problem {
    let place = fault.file.map_or_else(|| whole.clone(), Place::file);
    let place = match (fault.line, fault.column) {
        (Some(line), Some(column)) => place.at(line, column),
        _ => place,
    };
    let help = slip(&fault.message);
    let problem = Problem::error(code, place, fault.message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The next step after slips that everybody makes who comes from another language.
fn slip(message: &str) -> Option<&'static str> {
    let slips = [
        ("to end this object map", "look for a missing `,` at the end of the line before"),
        ("invalid character", "texts stand in double quotes: `\"10s\"`"),
        ("no variable `about`", "the keys of a rule stand in `#{ … }`, with the `#`"),
        ("no variable `on`", "the keys of a rule stand in `#{ … }`, with the `#`"),
        ("no variable `e`", "what looks at an event is a function: `|e| e.used_pct >= 80`"),
        ("expecting ','", "look for a missing `,`; here `and` is `&&`, `or` is `||`, `not` is `!`"),
    ];
    slips.iter().find(|(part, _)| message.contains(part)).map(|(_, help)| *help)
}

/// The first 16 hexadecimal digits of SHA-256 over the file and its libraries, names and lengths
/// included.
fn version(source: &Source, importer: &Importer) -> Arc<str> {
    let mut hash = digest::Context::new(&digest::SHA256);
    for source in std::iter::once(source).chain(importer.used()) {
        let head = format!("{} {}\n", source.file.display(), source.text.len());
        hash.update(head.as_bytes());
        hash.update(source.text.as_bytes());
    }
    let first = hash.finish().as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("{first:016x}").into()
}
