//! Calls: which of the functions of a name takes the arguments that stand there.
//!
//! A name may have several signatures. Those that take so many arguments are candidates; what they all
//! want evaluated is evaluated once, and the first whose kinds fit is called.

use std::rc::Rc;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::functions;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::frame::{Body, Frame, Lambda};
use crate::workflows::expression::yaql::run::{Run, literal, no_match};
use crate::workflows::expression::yaql::signature::{Kind, Signature, Take};
use crate::workflows::expression::yaql::tree::Expr;
use crate::workflows::expression::yaql::value::{Datum, Text};

/// Arguments as they stand, or values.
pub(super) enum Arguments<'e, 'a> {
    Written(&'a [Expr], &'e Rc<Frame<'a>>),
    Given(Vec<Datum<'a>>, Vec<(String, Datum<'a>)>, &'e Rc<Frame<'a>>),
}

/// One argument, evaluated or not.
#[derive(Clone)]
pub(super) enum Arg<'a> {
    Value(Datum<'a>),
    Lambda(Lambda<'a>),
    Rule(Lambda<'a>, Lambda<'a>),
}

/// What a function was given, in the order of its signature.
pub(super) struct Given<'a> {
    pub(super) fixed: Vec<Option<Arg<'a>>>,
    pub(super) rest: Vec<Arg<'a>>,
    pub(super) named: Vec<(String, Datum<'a>)>,
    pub(super) frame: Rc<Frame<'a>>,
}

/// An argument before it is evaluated.
#[derive(Clone)]
enum Slot<'a> {
    Missing,
    Expr(&'a Expr),
    Ready(Datum<'a>),
}

/// Which parameter each argument goes to.
struct Mapping<'s> {
    signature: &'s Signature,
    positional: Vec<Target>,
    named: Vec<Target>,
}

#[derive(Clone, Copy)]
enum Target {
    Fixed(usize),
    Rest,
    Named,
}

/// Calls the first of `signatures` that fits.
///
/// # Errors
/// None fits; or what it fails with.
pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    receiver: Option<&Datum<'a>>,
    arguments: &Arguments<'_, 'a>,
    signatures: &[&Signature],
) -> Answer<'a> {
    let plain = signatures.iter().any(|signature| signature.plain);
    let (mut slots, mut named) = (Vec::new(), Vec::new());
    slots.extend(receiver.cloned().map(Slot::Ready));
    let frame = split(arguments, plain, &mut slots, &mut named)?;
    let found: Vec<Mapping<'_>> =
        signatures.iter().filter_map(|signature| map(signature, &slots, &named)).collect();
    let Some(first) = found.first() else { return Err(mismatch(name, receiver)) };
    let mut values = Vec::with_capacity(slots.len());
    for (slot, target) in slots.into_iter().zip(&first.positional) {
        values.push(evaluate(run, slot, first.kind(*target), frame)?);
    }
    let mut by_name = Vec::with_capacity(named.len());
    for ((name, slot), target) in named.into_iter().zip(&first.named) {
        by_name.push((name, evaluate(run, slot, first.kind(*target), frame)?));
    }
    for mapping in &found {
        if mapping.fits(&values, &by_name) {
            let mut given = mapping.given(values, by_name, frame);
            return (mapping.signature.body)(run, &mut given);
        }
    }
    Err(mismatch(name, receiver))
}

/// Calls what `def` defined.
///
/// # Errors
/// What it fails with.
pub(super) fn defined<'a>(
    run: &mut Run<'a>,
    lambda: &Lambda<'a>,
    arguments: &Arguments<'_, 'a>,
) -> Answer<'a> {
    let (mut slots, mut named) = (Vec::new(), Vec::new());
    let frame = split(arguments, false, &mut slots, &mut named)?;
    let inner = Frame::inside(&lambda.frame)?;
    for (at, slot) in slots.into_iter().enumerate() {
        inner.set((at + 1).to_string(), ready(run, slot, frame)?)?;
    }
    for (name, slot) in named {
        inner.set(name, ready(run, slot, frame)?)?;
    }
    run.apply_in(lambda, &inner)
}

/// Calls a function on data.
///
/// # Errors
/// What it fails with.
pub(super) fn with_data<'a>(
    run: &mut Run<'a>,
    row: &functions::Row,
    arguments: &Arguments<'_, 'a>,
) -> Answer<'a> {
    let (mut slots, mut named) = (Vec::new(), Vec::new());
    let frame = split(arguments, false, &mut slots, &mut named)?;
    let mut values = Vec::with_capacity(slots.len());
    for slot in slots {
        values.push(ready(run, slot, frame)?.to_json(run)?);
    }
    let mut by_name = Vec::with_capacity(named.len());
    for (name, slot) in named {
        by_name.push((name, ready(run, slot, frame)?.to_json(run)?));
    }
    let result = functions::call(row, values, by_name)?;
    run.spend_bytes(result.as_str().map_or(0, str::len))?;
    Datum::own(result)
}

fn split<'e, 'a>(
    arguments: &Arguments<'e, 'a>,
    plain: bool,
    slots: &mut Vec<Slot<'a>>,
    named: &mut Vec<(String, Slot<'a>)>,
) -> Result<&'e Rc<Frame<'a>>, Fault> {
    match arguments {
        Arguments::Given(values, by_name, frame) => {
            slots.extend(values.iter().cloned().map(Slot::Ready));
            named.extend(by_name.iter().map(|(k, v)| (k.clone(), Slot::Ready(v.clone()))));
            Ok(frame)
        }
        Arguments::Written(written, frame) => {
            for expr in *written {
                match expr {
                    Expr::Missing => slots.push(Slot::Missing),
                    Expr::Rule(name, value) if !plain => match &**name {
                        Expr::Word(name) => named.push((name.clone(), Slot::Expr(value))),
                        _ => {
                            return Err(Fault::new(
                                "MappingTranslationException",
                                "Cannot convert mapping to keyword argument",
                            ));
                        }
                    },
                    expr => slots.push(Slot::Expr(expr)),
                }
            }
            Ok(frame)
        }
    }
}

fn map<'s, 'a>(
    signature: &'s Signature,
    slots: &[Slot<'a>],
    named: &[(String, Slot<'a>)],
) -> Option<Mapping<'s>> {
    let mut positional = Vec::with_capacity(slots.len());
    for (at, slot) in slots.iter().enumerate() {
        match signature.takes.get(at) {
            Some(take) if take.accepts(slot) => positional.push(Target::Fixed(at)),
            None if signature.rest.as_ref().is_some_and(|rest| rest.accepts(slot)) => {
                positional.push(Target::Rest);
            }
            _ => return None,
        }
    }
    let mut by_name = Vec::with_capacity(named.len());
    for (name, slot) in named {
        let place = signature.takes.iter().position(|take| take.name == name);
        match place {
            Some(place) if place >= slots.len() && signature.takes[place].accepts(slot) => {
                by_name.push(Target::Fixed(place));
            }
            None if signature.named => by_name.push(Target::Named),
            _ => return None,
        }
    }
    let is_given = |at: usize| {
        slots.get(at).is_some_and(|slot| !matches!(slot, Slot::Missing))
            || by_name.iter().any(|target| matches!(target, Target::Fixed(place) if *place == at))
    };
    let complete =
        signature.takes.iter().enumerate().all(|(at, take)| take.optional || is_given(at));
    complete.then_some(Mapping { signature, positional, named: by_name })
}

impl Take {
    /// Whether what stands there may go here, as far as that is known before it is evaluated.
    fn accepts(&self, slot: &Slot<'_>) -> bool {
        match slot {
            Slot::Missing => self.optional,
            Slot::Expr(Expr::Rule(..)) => self.kind == Kind::Rule,
            Slot::Expr(_) if self.kind == Kind::Rule => false,
            Slot::Expr(Expr::Constant(constant)) => self.fits(&literal(constant)),
            Slot::Expr(Expr::Word(word)) => self.fits(&Datum::Text(Text::Lent(word))),
            Slot::Expr(_) => true,
            Slot::Ready(value) => self.fits(value),
        }
    }
}

impl Mapping<'_> {
    fn take(&self, target: Target) -> Option<&Take> {
        match target {
            Target::Fixed(at) => self.signature.takes.get(at),
            Target::Rest => self.signature.rest.as_ref(),
            Target::Named => None,
        }
    }

    fn kind(&self, target: Target) -> Kind {
        self.take(target).map_or(Kind::Any, |take| take.kind)
    }

    fn fits<'a>(&self, values: &[Option<Arg<'a>>], named: &[(String, Option<Arg<'a>>)]) -> bool {
        let fits = |argument: &Option<Arg<'a>>, target: &Target| match argument {
            Some(Arg::Value(value)) => self.take(*target).is_none_or(|take| take.fits(value)),
            _ => true,
        };
        values.iter().zip(&self.positional).all(|(argument, target)| fits(argument, target))
            && named.iter().zip(&self.named).all(|((_, argument), target)| fits(argument, target))
    }

    fn given<'a>(
        &self,
        values: Vec<Option<Arg<'a>>>,
        named: Vec<(String, Option<Arg<'a>>)>,
        frame: &Rc<Frame<'a>>,
    ) -> Given<'a> {
        let mut given = Given {
            fixed: vec![None; self.signature.takes.len()],
            rest: Vec::new(),
            named: Vec::new(),
            frame: Rc::clone(frame),
        };
        for (argument, target) in values.into_iter().zip(&self.positional) {
            match target {
                Target::Fixed(at) => given.fixed[*at] = argument,
                Target::Rest => given.rest.extend(argument),
                Target::Named => {}
            }
        }
        for ((name, argument), target) in named.into_iter().zip(&self.named) {
            match (target, argument) {
                (Target::Fixed(at), argument) => given.fixed[*at] = argument,
                (_, Some(Arg::Value(value))) => given.named.push((name, value)),
                _ => {}
            }
        }
        given
    }
}

fn evaluate<'a>(
    run: &mut Run<'a>,
    slot: Slot<'a>,
    kind: Kind,
    frame: &Rc<Frame<'a>>,
) -> Result<Option<Arg<'a>>, Fault> {
    let lambda = |expr| Lambda { body: Body::Expr(expr), frame: Rc::clone(frame) };
    Ok(match (slot, kind) {
        (Slot::Missing, _) => None,
        (Slot::Expr(Expr::Rule(name, value)), _) => Some(Arg::Rule(lambda(name), lambda(value))),
        (Slot::Expr(expr), Kind::Lambda) => Some(Arg::Lambda(lambda(expr))),
        (Slot::Ready(value), Kind::Lambda) => {
            Some(Arg::Lambda(Lambda { body: Body::Value(value), frame: Rc::clone(frame) }))
        }
        (slot, _) => Some(Arg::Value(ready(run, slot, frame)?)),
    })
}

fn ready<'a>(run: &mut Run<'a>, slot: Slot<'a>, frame: &Rc<Frame<'a>>) -> Answer<'a> {
    match slot {
        Slot::Missing => Ok(Datum::Null),
        Slot::Expr(expr) => run.eval(expr, frame),
        Slot::Ready(value) => Ok(value),
    }
}

fn mismatch(name: &str, receiver: Option<&Datum<'_>>) -> Fault {
    match receiver.filter(|_| !name.starts_with('#')) {
        None => no_match(name),
        Some(receiver) => Fault::new(
            "NoMatchingMethodException",
            format!(
                "No method \"{name}\" for receiver {} matches supplied arguments",
                receiver.shown_shortly()
            ),
        ),
    }
}

impl<'a> Given<'a> {
    /// A value; null where it was left out.
    pub(super) fn value(&self, at: usize) -> Datum<'a> {
        self.maybe(at).unwrap_or(Datum::Null)
    }

    /// A value, where one was given.
    pub(super) fn maybe(&self, at: usize) -> Option<Datum<'a>> {
        match self.fixed.get(at) {
            Some(Some(Arg::Value(value))) => Some(value.clone()),
            _ => None,
        }
    }

    /// A text; empty where it was left out.
    pub(super) fn text(&self, at: usize) -> Text<'a> {
        self.maybe_text(at).unwrap_or(Text::Lent(""))
    }

    /// A text, where one was given.
    pub(super) fn maybe_text(&self, at: usize) -> Option<Text<'a>> {
        match self.maybe(at) {
            Some(Datum::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An integer, or the default.
    pub(super) fn int(&self, at: usize, default: i128) -> i128 {
        match self.maybe(at) {
            Some(Datum::Int(number)) => number,
            Some(Datum::Bool(flag)) => i128::from(flag),
            _ => default,
        }
    }

    /// A flag; false where it was left out.
    pub(super) fn flag(&self, at: usize) -> bool {
        self.maybe(at).is_some_and(|value| value.is_true())
    }

    /// A lambda, where one was given.
    pub(super) fn maybe_lambda(&self, at: usize) -> Option<Lambda<'a>> {
        match self.fixed.get(at) {
            Some(Some(Arg::Lambda(lambda))) => Some(lambda.clone()),
            _ => None,
        }
    }

    /// A lambda that the signature demands.
    pub(super) fn lambda(&self, at: usize) -> Lambda<'a> {
        self.maybe_lambda(at).unwrap_or_else(|| Lambda {
            body: Body::Value(Datum::Null),
            frame: Rc::clone(&self.frame),
        })
    }

    /// The values behind the fixed ones.
    pub(super) fn values(&self) -> Vec<Datum<'a>> {
        let value = |argument: &Arg<'a>| match argument {
            Arg::Value(value) => Some(value.clone()),
            _ => None,
        };
        self.rest.iter().filter_map(value).collect()
    }

    /// The lambdas behind the fixed ones.
    pub(super) fn lambdas(&self) -> Vec<Lambda<'a>> {
        let lambda = |argument: &Arg<'a>| match argument {
            Arg::Lambda(lambda) => Some(lambda.clone()),
            _ => None,
        };
        self.rest.iter().filter_map(lambda).collect()
    }

    /// The rules behind the fixed ones.
    pub(super) fn rules(&self) -> Vec<(Lambda<'a>, Lambda<'a>)> {
        let rule = |argument: &Arg<'a>| match argument {
            Arg::Rule(name, value) => Some((name.clone(), value.clone())),
            _ => None,
        };
        self.rest.iter().filter_map(rule).collect()
    }
}
