//! The names that an expression sees: `$`, `$name`, and functions of `def`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::tree::Expr;
use crate::workflows::expression::yaql::value::{Datum, around};

/// Names, and those around them.
#[derive(Default)]
pub(super) struct Frame<'a> {
    names: RefCell<Vec<(Rc<str>, Datum<'a>)>>,
    functions: RefCell<Vec<(Rc<str>, Body<'a>)>>,
    parent: Option<Rc<Frame<'a>>>,
    depth: Cell<u16>,
}

/// An expression to be evaluated later, with the names that it sees.
#[derive(Clone)]
pub(super) struct Lambda<'a> {
    pub(super) body: Body<'a>,
    pub(super) frame: Rc<Frame<'a>>,
}

/// What a lambda gives.
#[derive(Clone)]
pub(super) enum Body<'a> {
    Expr(&'a Expr),
    Value(Datum<'a>),
}

impl<'a> Frame<'a> {
    /// A frame inside another.
    ///
    /// # Errors
    /// There are too many around it.
    pub(super) fn inside(parent: &Rc<Self>) -> Result<Rc<Self>, Fault> {
        let depth = Cell::new(around(parent.depth.get())?);
        Ok(Rc::new(Self { parent: Some(Rc::clone(parent)), depth, ..Self::default() }))
    }

    /// How deep frames and their values nest.
    pub(super) fn depth(&self) -> u16 {
        self.depth.get()
    }

    /// The value of a name; null where nobody set it.
    pub(super) fn get(&self, name: &str) -> Datum<'a> {
        let mut frame = Some(self);
        while let Some(here) = frame {
            let names = here.names.borrow();
            if let Some((_, value)) = names.iter().rev().find(|(known, _)| **known == *name) {
                return value.clone();
            }
            frame = here.parent.as_deref();
        }
        Datum::Null
    }

    /// Sets a name here.
    ///
    /// # Errors
    /// The value nests too deeply.
    pub(super) fn set(&self, name: impl Into<Rc<str>>, value: Datum<'a>) -> Result<(), Fault> {
        self.depth.set(self.depth.get().max(around(value.depth())?));
        self.names.borrow_mut().push((name.into(), value));
        Ok(())
    }

    /// Defines a function here: it sees this frame, so it may call itself. The frame does not hold
    /// itself for that, which nobody would ever drop.
    pub(super) fn define(&self, name: impl Into<Rc<str>>, body: Body<'a>) {
        self.functions.borrow_mut().push((name.into(), body));
    }

    /// The function that `def` called so.
    pub(super) fn function(self: &Rc<Self>, name: &str) -> Option<Lambda<'a>> {
        let mut frame = Some(self);
        while let Some(here) = frame {
            let functions = here.functions.borrow();
            if let Some((_, body)) = functions.iter().rev().find(|(known, _)| **known == *name) {
                return Some(Lambda { body: body.clone(), frame: Rc::clone(here) });
            }
            frame = here.parent.as_ref();
        }
        None
    }
}
