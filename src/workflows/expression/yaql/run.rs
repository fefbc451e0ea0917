//! One evaluation: its limits, and the operators that are part of the language.

use std::rc::Rc;

use crate::workflows::expression::Scope;
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Arguments;
use crate::workflows::expression::yaql::frame::{Body, Frame, Lambda};
use crate::workflows::expression::yaql::library;
use crate::workflows::expression::yaql::stream::{Cursor, Sorted, Stream};
use crate::workflows::expression::yaql::tree::{Constant, Expr};
use crate::workflows::expression::yaql::value::{Datum, Text};

/// Steps of one expression at most: 10,000 items may be looked at a hundred times each.
const STEPS: u32 = 1_000_000;
/// What one expression may build at most, in bytes of texts and items of lists.
const SIZE: usize = 32 * 1024 * 1024;
/// What an item of a list counts as, beside its texts.
const ITEM_BYTES: usize = 32;
/// Calls inside calls at most: they stand on the stack.
const DEPTH: u16 = 110;

/// An evaluation under way.
pub(super) struct Run<'a> {
    pub(super) scope: &'a Scope<'a>,
    steps: u32,
    size: usize,
    depth: u16,
    /// Numbers that `random` gave.
    pub(super) drawn: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope, steps: 0, size: 0, depth: 0, drawn: 0 }
    }

    /// Counts a step.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > STEPS { Err(Fault::limit("it takes too many steps")) } else { Ok(()) }
    }

    /// Counts items that are built.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn spend(&mut self, items: usize) -> Result<(), Fault> {
        self.spend_bytes(items.saturating_mul(ITEM_BYTES))
    }

    /// Counts bytes of texts that are built.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.size = self.size.saturating_add(bytes);
        if self.size > SIZE {
            return Err(Fault::new(
                "MemoryQuotaExceededException",
                "Expression consumed too much memory",
            ));
        }
        Ok(())
    }

    /// A text of ours, counted.
    ///
    /// # Errors
    /// As `spend_bytes`.
    pub(super) fn text(&mut self, text: impl Into<Rc<str>>) -> Answer<'a> {
        let text = text.into();
        self.spend_bytes(text.len())?;
        Ok(Datum::Text(Text::Own(text)))
    }

    /// A list of ours, counted.
    ///
    /// # Errors
    /// As `spend`.
    pub(super) fn list(&mut self, items: Vec<Datum<'a>>) -> Answer<'a> {
        self.spend(items.len())?;
        Datum::list(items)
    }

    /// Goes one deeper.
    ///
    /// # Errors
    /// It is too deep.
    pub(super) fn deeper<T>(
        &mut self,
        go: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.step()?;
        if self.depth >= DEPTH {
            return Err(Fault::new("RecursionError", "maximum recursion depth exceeded"));
        }
        self.depth += 1;
        let result = go(self);
        self.depth -= 1;
        result
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn eval(&mut self, expr: &'a Expr, frame: &Rc<Frame<'a>>) -> Answer<'a> {
        self.deeper(|run| match expr {
            Expr::Constant(constant) => Ok(literal(constant)),
            Expr::Word(word) => Ok(Datum::Text(Text::Lent(word))),
            Expr::Variable(name) => Ok(frame.get(name)),
            Expr::Missing => Ok(Datum::Null),
            Expr::Rule(..) => Err(Fault::kind_of_value("`=>` stands outside of arguments")),
            Expr::Call(name, arguments) => {
                library::call(run, name, None, &Arguments::Written(arguments, frame))
            }
            Expr::List(items) => {
                let mut all = Vec::with_capacity(items.len());
                for item in items {
                    all.push(run.eval(item, frame)?);
                }
                run.list(all)
            }
            Expr::Map(rules) => library::call(run, "#map", None, &Arguments::Written(rules, frame)),
            Expr::Index(value, arguments) => {
                let value = run.eval(value, frame)?;
                let arguments = Arguments::Written(arguments, frame);
                library::call(run, "#indexer", Some(value), &arguments)
            }
            Expr::Unary(sign, value) => {
                let value = run.eval(value, frame)?;
                library::operator::unary(sign, &value)
            }
            Expr::Binary(sign, left, right) => run.binary(sign, (left, right), frame),
        })
    }

    fn binary(
        &mut self,
        sign: &str,
        (left, right): (&'a Expr, &'a Expr),
        frame: &Rc<Frame<'a>>,
    ) -> Answer<'a> {
        match sign {
            "." | "?." => {
                if let (Expr::Call(name, none), Expr::Word(field)) = (left, right)
                    && name == "ctx"
                    && none.is_empty()
                {
                    return field_of(&Datum::Variables(self.scope.context), field);
                }
                let receiver = self.eval(left, frame)?;
                if sign == "?." && matches!(receiver, Datum::Null) {
                    return Ok(Datum::Null);
                }
                self.dot(receiver, right, frame)
            }
            "and" | "or" => {
                let left = self.eval(left, frame)?;
                if left.is_true() == (sign == "or") { Ok(left) } else { self.eval(right, frame) }
            }
            "->" => match self.eval(left, frame)? {
                Datum::Frame(names) => self.eval(right, &names),
                _ => Err(no_match("#operator_->")),
            },
            _ => {
                let left = self.eval(left, frame)?;
                let right = self.eval(right, frame)?;
                library::operator::binary(self, sign, &left, &right)
            }
        }
    }

    fn dot(&mut self, receiver: Datum<'a>, what: &'a Expr, frame: &Rc<Frame<'a>>) -> Answer<'a> {
        match what {
            Expr::Call(name, arguments) => {
                library::call(self, name, Some(receiver), &Arguments::Written(arguments, frame))
            }
            Expr::Word(field) if receiver.is_iterable() => {
                let mut items = Cursor::over(&receiver);
                Stream::over(receiver.depth(), move |run| {
                    let Some(item) = items.next(run)? else { return Ok(None) };
                    run.dot_field(&item, field).map(Some)
                })
            }
            Expr::Word(field) => self.dot_field(&receiver, field),
            _ => Err(no_match("#operator_.")),
        }
    }

    fn dot_field(&mut self, value: &Datum<'a>, field: &'a str) -> Answer<'a> {
        self.step()?;
        if value.is_map() {
            return field_of(value, field);
        }
        if value.is_iterable() {
            let value = value.clone();
            let mut items = Cursor::over(&value);
            return Stream::over(value.depth(), move |run| {
                let Some(item) = items.next(run)? else { return Ok(None) };
                run.deeper(|run| run.dot_field(&item, field)).map(Some)
            });
        }
        library::time::property(value, field)
    }

    /// Calls a lambda: its arguments are `$1`, `$2`, ….
    ///
    /// # Errors
    /// What it fails with.
    pub(super) fn apply(&mut self, lambda: &Lambda<'a>, arguments: &[Datum<'a>]) -> Answer<'a> {
        match &lambda.body {
            Body::Value(value) => Ok(value.clone()),
            Body::Expr(expr) => {
                let frame = Frame::inside(&lambda.frame)?;
                for (at, argument) in arguments.iter().enumerate() {
                    frame.set((at + 1).to_string(), argument.clone())?;
                }
                self.eval(expr, &frame)
            }
        }
    }

    /// Calls a lambda in a frame of the caller's.
    ///
    /// # Errors
    /// What it fails with.
    pub(super) fn apply_in(&mut self, lambda: &Lambda<'a>, frame: &Rc<Frame<'a>>) -> Answer<'a> {
        match &lambda.body {
            Body::Value(value) => Ok(value.clone()),
            Body::Expr(expr) => self.eval(expr, frame),
        }
    }

    /// The items in their order.
    ///
    /// # Errors
    /// Two of them have no order.
    pub(super) fn sorted(&mut self, sorted: &Sorted<'a>) -> Result<Vec<Datum<'a>>, Fault> {
        let mut keyed = Vec::new();
        for item in Cursor::over(&sorted.source).rest(self)? {
            let mut keys = Vec::with_capacity(sorted.by.len());
            for (selector, _) in &sorted.by {
                keys.push(self.apply(selector, std::slice::from_ref(&item))?);
            }
            keyed.push((keys, item));
        }
        let mut failed = None;
        keyed.sort_by(|(a, _), (b, _)| {
            for ((a, b), (_, upwards)) in a.iter().zip(b).zip(&sorted.by) {
                let order = library::operator::order(a, b).unwrap_or_else(|fault| {
                    failed.get_or_insert(fault);
                    std::cmp::Ordering::Equal
                });
                if order.is_ne() {
                    return if *upwards { order } else { order.reverse() };
                }
            }
            std::cmp::Ordering::Equal
        });
        failed.map_or_else(|| Ok(keyed.into_iter().map(|(_, item)| item).collect()), Err)
    }
}

/// A field of a dictionary.
///
/// # Errors
/// It has no such key.
pub(super) fn field_of<'a>(value: &Datum<'a>, field: &'a str) -> Answer<'a> {
    let found = value.get(&Datum::Text(Text::Lent(field)))?;
    found.ok_or_else(|| Fault::key(field.to_owned()))
}

/// No function of the name takes such arguments.
pub(super) fn no_match(name: &str) -> Fault {
    Fault::new(
        "NoMatchingFunctionException",
        format!("No function \"{name}\" matches supplied arguments"),
    )
}

/// The value of a constant.
pub(super) fn literal(constant: &Constant) -> Datum<'_> {
    match constant {
        Constant::Null => Datum::Null,
        Constant::Bool(flag) => Datum::Bool(*flag),
        Constant::Int(number) => Datum::Int(*number),
        Constant::Float(number) => Datum::Float(*number),
        Constant::Text(text) => Datum::Text(Text::Lent(text)),
    }
}
