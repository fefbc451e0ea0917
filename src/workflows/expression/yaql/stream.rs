//! Items that come one by one: what `select`, `where` and `range` give. Nothing is computed before it
//! is asked for, so `sequence().take(3)` ends; and what was taken is gone, as in Python.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::Value;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::frame::Lambda;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::value::{Datum, around};

/// The next item, or nothing at the end.
pub(super) type Next<'a> = Box<dyn FnMut(&mut Run<'a>) -> Result<Option<Datum<'a>>, Fault> + 'a>;

/// Items that can be had once.
pub(super) struct Stream<'a> {
    /// Nothing while it is asked, and at its end.
    next: RefCell<Option<Next<'a>>>,
    busy: Cell<bool>,
    pub(super) depth: u16,
}

/// Items that are kept as they come, so that they can be had again.
pub(super) struct Memo<'a> {
    source: RefCell<Cursor<'a>>,
    seen: RefCell<Vec<Datum<'a>>>,
    pub(super) depth: u16,
}

/// Items in an order that `thenBy` may still refine.
pub(super) struct Sorted<'a> {
    pub(super) source: Datum<'a>,
    /// Selectors, and whether they order upwards.
    pub(super) by: Vec<(Lambda<'a>, bool)>,
    pub(super) depth: u16,
}

impl<'a> Stream<'a> {
    /// A stream over values whose depth is at most `depth`.
    ///
    /// # Errors
    /// It nests too deeply.
    pub(super) fn over(
        depth: u16,
        next: impl FnMut(&mut Run<'a>) -> Result<Option<Datum<'a>>, Fault> + 'a,
    ) -> Answer<'a> {
        let next = RefCell::new(Some(Box::new(next) as Next<'a>));
        let stream = Self { next, busy: Cell::new(false), depth: around(depth)? };
        Ok(Datum::Stream(Rc::new(stream)))
    }

    fn pull(&self, run: &mut Run<'a>) -> Result<Option<Datum<'a>>, Fault> {
        if self.busy.get() {
            return Err(Fault::value("generator already executing"));
        }
        let Some(mut next) = self.next.borrow_mut().take() else { return Ok(None) };
        self.busy.set(true);
        let item = run.deeper(|run| next(run));
        self.busy.set(false);
        if matches!(item, Ok(Some(_))) {
            *self.next.borrow_mut() = Some(next);
        }
        item
    }
}

impl<'a> Memo<'a> {
    pub(super) fn over(source: &Datum<'a>) -> Answer<'a> {
        let depth = around(source.depth())?;
        let source = RefCell::new(Cursor::over(source));
        Ok(Datum::Memo(Rc::new(Self { source, seen: RefCell::default(), depth })))
    }

    fn get(&self, at: usize, run: &mut Run<'a>) -> Result<Option<Datum<'a>>, Fault> {
        if let Some(item) = self.seen.borrow().get(at) {
            return Ok(Some(item.clone()));
        }
        let Ok(mut source) = self.source.try_borrow_mut() else {
            return Err(Fault::value("generator already executing"));
        };
        let item = source.next(run)?;
        if let Some(item) = &item {
            run.spend(1)?;
            self.seen.borrow_mut().push(item.clone());
        }
        Ok(item)
    }
}

/// A place in something that has items.
pub(super) enum Cursor<'a> {
    Lent(std::slice::Iter<'a, Value>),
    Datum(Datum<'a>, usize),
    Stream(Rc<Stream<'a>>),
    Memo(Rc<Memo<'a>>, usize),
    /// Sorted when the first is asked for.
    Sorted(Rc<Sorted<'a>>),
}

impl<'a> Cursor<'a> {
    /// At the first item; what has no items is at its end.
    pub(super) fn over(datum: &Datum<'a>) -> Self {
        match datum {
            Datum::Lent(Value::Array(items)) => Self::Lent(items.iter()),
            Datum::Stream(stream) => Self::Stream(Rc::clone(stream)),
            Datum::Memo(memo) => Self::Memo(Rc::clone(memo), 0),
            Datum::Sorted(sorted) => Self::Sorted(Rc::clone(sorted)),
            other => Self::Datum(other.clone(), 0),
        }
    }

    /// The next item, or nothing at the end.
    ///
    /// # Errors
    /// What its lambdas fail with; the limit of steps.
    pub(super) fn next(&mut self, run: &mut Run<'a>) -> Result<Option<Datum<'a>>, Fault> {
        run.step()?;
        match self {
            Self::Lent(items) => Ok(items.next().map(Datum::lent)),
            Self::Datum(datum, at) => {
                *at += 1;
                Ok(match datum {
                    Datum::List(list) => list.items.get(*at - 1).cloned(),
                    Datum::Set(set) => set.items.get(*at - 1).cloned(),
                    _ => None,
                })
            }
            Self::Stream(stream) => stream.pull(run),
            Self::Memo(memo, at) => {
                *at += 1;
                memo.get(*at - 1, run)
            }
            Self::Sorted(sorted) => {
                let items = Datum::list(run.sorted(sorted)?)?;
                *self = Self::over(&items);
                self.next(run)
            }
        }
    }

    /// All items that are left.
    ///
    /// # Errors
    /// As `next`; and there may be too many.
    pub(super) fn rest(mut self, run: &mut Run<'a>) -> Result<Vec<Datum<'a>>, Fault> {
        let mut all = Vec::new();
        while let Some(item) = self.next(run)? {
            run.spend(1)?;
            all.push(item);
        }
        Ok(all)
    }
}
