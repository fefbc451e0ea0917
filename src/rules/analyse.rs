//! Reads Rhai's tree of a `when` or `per` and makes of it what can be asked without Rhai.
//!
//! Nothing is guessed: a part that is not exactly one of the known shapes stays Rhai's. What the file
//! captured or called constant is a snapshot and becomes a literal. A function that the file defines
//! itself hides ours of the same name, and stays Rhai's too.

use regex::Regex;
use rhai::{ASTFlags, BinaryExpr, Dynamic, Expr, FnCallExpr, Position, Stmt};

use crate::rules::closure::{Closure, Surroundings};
use crate::rules::condition::{Condition, Kind, Literal, Operator, Pattern, Test};
use crate::rules::cover::{Clause, cover};
use crate::rules::field::{ENVELOPE, Field, Root};

/// Steps that Rhai would count for a condition at most: far below the limit of a closure, so that no
/// answer is given where Rhai would run into it.
const STEPS_LIMIT: usize = 4_000;
/// Steps of looking through an event's list, as many as `condition::ITEMS_LIMIT` can cost.
const LIST_STEPS: usize = 2_000;

/// How Rhai's names of closures begin.
const ANONYMOUS: &str = "anon$";

/// What of a rule is asked without Rhai.
#[derive(Default)]
pub(crate) struct Analysis {
    /// The fields that the condition and the key name.
    pub(crate) fields: Box<[Field]>,
    /// `when`; nothing where there is none.
    pub(crate) condition: Option<Condition>,
    /// The field that is the key, where `per` is no more than that.
    pub(crate) key: Option<u16>,
    /// What an event must have for the rule to be asked; one empty clause where that is nothing.
    pub(crate) cover: Vec<Clause>,
}

impl Analysis {
    /// Looks through `when` and `per`.
    pub(crate) fn of(when: Option<&Closure>, per: Option<&Closure>, around: &Surroundings) -> Self {
        let mut fields = Vec::new();
        let condition = when.map(|when| {
            let around = when.around().map_or(around, |own| own);
            let own = named(around);
            let mut reader =
                Reader { closure: when, around, own: &own, fields: &mut fields, steps: 0 };
            let condition = reader.condition(when.body());
            if reader.steps <= STEPS_LIMIT {
                return condition;
            }
            opaque(when.body(), "is too long to be asked without Rhai".to_owned())
        });
        let key = per.and_then(|per| {
            let around = per.around().map_or(around, |own| own);
            let own = named(around);
            let mut reader =
                Reader { closure: per, around, own: &own, fields: &mut fields, steps: 0 };
            match reader.term(per.body()) {
                Term::Field(field) => Some(field),
                _ => None,
            }
        });
        let cover = condition.as_ref().map_or_else(|| vec![Clause::default()], cover);
        Self { fields: fields.into(), condition, key, cover }
    }
}

/// The functions that a file defines itself.
fn named(around: &Surroundings) -> Vec<&str> {
    let functions = around.functions.iter_script_fn_info().map(|(_, _, name, ..)| name);
    functions.filter(|name| !name.starts_with(ANONYMOUS)).collect()
}

/// One side of a comparison.
enum Term {
    Field(u16),
    Length(u16),
    Constant(Dynamic),
    Other,
}

struct Reader<'r> {
    closure: &'r Closure,
    around: &'r Surroundings,
    /// The file's own functions.
    own: &'r [&'r str],
    fields: &'r mut Vec<Field>,
    /// What Rhai would count, estimated upwards.
    steps: usize,
}

type Understood = Result<Kind, String>;

impl Reader<'_> {
    fn condition(&mut self, expression: &Expr) -> Condition {
        if let Expr::Stmt(block) = expression
            && let [Stmt::Expr(only)] = block.statements()
        {
            return self.condition(only);
        }
        self.steps += 20;
        let place = begin(expression);
        match self.kind(expression) {
            Ok(kind) => Condition { kind, place },
            Err(why) => opaque(expression, why),
        }
    }

    fn kind(&mut self, expression: &Expr) -> Understood {
        match expression {
            Expr::BoolConstant(answer, _) => Ok(Kind::Constant(*answer)),
            Expr::And(parts, _) => Ok(Kind::All(self.conditions(parts))),
            Expr::Or(parts, _) => Ok(Kind::Any(self.conditions(parts))),
            Expr::FnCall(call, _) if call.is_qualified() => {
                Err(format!("calls `{}`, a function of a library", call.name))
            }
            Expr::FnCall(call, _) => self.call(&call.name, &call.args.iter().collect::<Vec<_>>()),
            Expr::Dot(..) | Expr::Index(..) => self.chain(expression),
            Expr::Variable(..) => match self.constant(expression).map(|value| value.as_bool()) {
                Some(Ok(answer)) => Ok(Kind::Constant(answer)),
                _ => Err("is a variable that is not true or false".to_owned()),
            },
            other => Err(reason(other).to_owned()),
        }
    }

    fn conditions(&mut self, parts: &[Expr]) -> Vec<Condition> {
        parts.iter().map(|part| self.condition(part)).collect()
    }

    /// `e.x`, `e.x.starts_with("a")`, `LIST.contains(e.x)`.
    fn chain(&mut self, expression: &Expr) -> Understood {
        if let Some((receiver, call)) = method(expression) {
            return self.method(&receiver, call);
        }
        match self.path(expression) {
            Some(field) => Ok(Kind::Flag { field: self.number(field)? }),
            None => Err("reads what is no field of the event".to_owned()),
        }
    }

    fn method(&mut self, receiver: &Expr, call: &FnCallExpr) -> Understood {
        let arguments: Vec<&Expr> = std::iter::once(receiver).chain(&call.args).collect();
        self.call(&call.name, &arguments)
    }

    /// An operator or function; a method is the same with its receiver first.
    fn call(&mut self, name: &str, arguments: &[&Expr]) -> Understood {
        if self.is_own(name) {
            return Err(format!("calls `{name}`, a function of the file"));
        }
        match (name, arguments) {
            ("!", [part]) => Ok(Kind::Not(Box::new(self.condition(part)))),
            ("present", [value]) => match self.term(value) {
                Term::Field(field) => Ok(Kind::Present { field }),
                _ => Err("asks `present` about what is no field".to_owned()),
            },
            (_, [left, right]) => match Operator::named(name) {
                Some(operator) => self.compare(left, operator, right),
                None => self.about(name, left, right),
            },
            _ => Err(unknown(name)),
        }
    }

    /// The functions of two things that give true or false.
    fn about(&mut self, name: &str, left: &Expr, right: &Expr) -> Understood {
        match (name, self.term(left), self.term(right)) {
            ("contains", Term::Constant(list), Term::Field(field)) => self.contained(&list, field),
            ("contains", Term::Field(field), Term::Constant(item)) => {
                self.steps += LIST_STEPS;
                let item = literal(&item).ok_or("looks for what is no plain value")?;
                Ok(Kind::Holds { field, item })
            }
            ("starts_with" | "ends_with", Term::Field(field), Term::Constant(word)) => {
                let text = words(&word).ok_or_else(|| unknown(name))?.into();
                let at_end = name == "ends_with";
                Ok(Kind::Text {
                    field,
                    test: if at_end { Test::EndsWith } else { Test::StartsWith },
                    text,
                })
            }
            ("matches" | "like", Term::Field(field), Term::Constant(text)) => {
                let text = text.into_string().map_err(|_| unknown(name))?;
                let pattern = Pattern::new(&text, name == "like");
                if !pattern.is_right() {
                    return Err(format!("`{text}` cannot be compiled"));
                }
                Ok(Kind::Matches { field, pattern: Box::new(pattern) })
            }
            ("matches", Term::Constant(regex), Term::Field(field)) => {
                let regex = regex.try_cast::<Regex>().ok_or_else(|| unknown(name))?;
                Ok(Kind::Matches { field, pattern: Box::new(Pattern::compiled(regex)) })
            }
            _ => Err(unknown(name)),
        }
    }

    /// `e.x in [1, 2]`, `e.x in 1..5`, `e.x in "a text"`.
    fn contained(&mut self, whole: &Dynamic, field: u16) -> Understood {
        if let Some(range) = whole.read_lock::<std::ops::Range<i64>>() {
            let (first, last) = (range.start, range.end);
            return Ok(Kind::Within { field, first, last, inclusive: false });
        }
        if let Some(range) = whole.read_lock::<std::ops::RangeInclusive<i64>>() {
            let (first, last) = (*range.start(), *range.end());
            return Ok(Kind::Within { field, first, last, inclusive: true });
        }
        let items = whole.as_array_ref().map_err(|_| "looks into what is no list".to_owned())?;
        self.steps += items.len() * 4;
        let set: Option<Vec<Literal>> = items.iter().map(literal).collect();
        let set = set.ok_or("looks into a list of more than plain values")?;
        Ok(Kind::Among { field, set: set.into() })
    }

    fn compare(&mut self, left: &Expr, operator: Operator, right: &Expr) -> Understood {
        let plain = |value: &Dynamic| literal(value).ok_or("compares with what is no plain value");
        Ok(match (self.term(left), self.term(right)) {
            (Term::Field(field), Term::Constant(value)) => {
                Kind::Compare { field, operator, literal: plain(&value)? }
            }
            (Term::Constant(value), Term::Field(field)) => {
                Kind::Compare { field, operator: operator.turned(), literal: plain(&value)? }
            }
            (Term::Length(field), Term::Constant(value)) => {
                Kind::Length { field, operator, literal: plain(&value)? }
            }
            (Term::Constant(value), Term::Length(field)) => {
                Kind::Length { field, operator: operator.turned(), literal: plain(&value)? }
            }
            (Term::Field(left), Term::Field(right)) => Kind::Fields { left, operator, right },
            _ => return Err(self.strange(left, right)),
        })
    }

    /// Why two sides cannot be compared without Rhai.
    fn strange(&self, left: &Expr, right: &Expr) -> String {
        for side in [left, right] {
            match side {
                Expr::FnCall(call, _) if self.is_own(&call.name) => {
                    return format!("calls `{}`, a function of the file", call.name);
                }
                Expr::FnCall(call, _) if call.is_qualified() => {
                    return format!("calls `{}`, a function of a library", call.name);
                }
                Expr::FnCall(call, _) if call.op_token.is_some() => {
                    return format!("calculates with `{}`", call.name);
                }
                Expr::FnCall(call, _) => return format!("calls `{}`", call.name),
                Expr::Dot(..) | Expr::Index(..) => {
                    if let Some((_, call)) = method(side) {
                        return format!("calls `{}`", call.name);
                    }
                }
                _ => {}
            }
        }
        "compares more than a field and a plain value".to_owned()
    }

    fn term(&mut self, expression: &Expr) -> Term {
        if let Some(value) = self.constant(expression) {
            return Term::Constant(value);
        }
        if let Some(field) = self.path(expression) {
            return self.number(field).map_or(Term::Other, Term::Field);
        }
        let measured = match expression {
            Expr::FnCall(call, _) if call.name == "len" && !call.is_qualified() => {
                match &*call.args {
                    [value] => self.path(value),
                    _ => None,
                }
            }
            _ => method(expression)
                .filter(|(_, call)| call.name == "len" && call.args.is_empty())
                .and_then(|(receiver, _)| self.path(&receiver)),
        };
        match measured {
            Some(field) if !self.is_own("len") => {
                self.number(field).map_or(Term::Other, Term::Length)
            }
            _ => Term::Other,
        }
    }

    /// The number of a field among the fields of the rule.
    fn number(&mut self, field: Field) -> Result<u16, String> {
        let found = self.fields.iter().position(|known| *known == field);
        let place = found.unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        u16::try_from(place).map_err(|_| "names too many fields".to_owned())
    }

    /// The field that an expression is, if it is one: `e.a.b`, `e["a"].b`, `m.source`.
    fn path(&self, expression: &Expr) -> Option<Field> {
        let (root, steps) = steps(expression)?;
        let root = self.root(root)?;
        let known = |steps: &[Box<str>]| matches!(steps, [only] if ENVELOPE.contains(&&**only));
        (root == Root::Data || known(&steps)).then(|| Field { root, steps: steps.into() })
    }

    fn root(&self, expression: &Expr) -> Option<Root> {
        match self
            .closure
            .place_of(plain_name(expression)?)?
            .checked_sub(self.closure.captured().len())?
        {
            0 => Some(Root::Data),
            1 => Some(Root::Envelope),
            _ => None,
        }
    }

    /// What an expression always is, if it is always the same.
    fn constant(&self, expression: &Expr) -> Option<Dynamic> {
        match expression {
            Expr::Variable(variable, _, _) if !variable.2.is_empty() => {
                self.around.constant(&variable.2, &variable.1)
            }
            Expr::Variable(..) => {
                let place = self.closure.place_of(plain_name(expression)?)?;
                self.closure.captured().get(place).cloned()
            }
            Expr::Array(items, _) => {
                let items: Option<rhai::Array> =
                    items.iter().map(|item| self.constant(item)).collect();
                items.map(Into::into)
            }
            Expr::InterpolatedString(parts, _) => self.joined(parts).map(Into::into),
            Expr::FnCall(call, _) if call.args.len() == 2 && !call.is_qualified() => {
                match call.name.as_str() {
                    ".." | "..=" => self.range(call).or_else(|| expression.get_literal_value(None)),
                    _ => None,
                }
            }
            Expr::FnCall(..) => None,
            Expr::Dot(..) => self.constant_field(expression),
            other => other.get_literal_value(None),
        }
    }

    /// A text of constants: `pool-${number}`.
    fn joined(&self, parts: &[Expr]) -> Option<String> {
        let mut joined = String::new();
        for part in parts {
            let value = self.constant(part)?;
            let plain = value.is_string() || value.is_int() || value.is_bool();
            joined.push_str(&plain.then(|| value.to_string())?);
        }
        Some(joined)
    }

    fn range(&self, call: &FnCallExpr) -> Option<Dynamic> {
        let first = self.constant(&call.args[0])?.as_int().ok()?;
        let last = self.constant(&call.args[1])?.as_int().ok()?;
        Some(if call.name == ".." { (first..last).into() } else { (first..=last).into() })
    }

    /// A field of a captured map: `LIMITS.high`.
    fn constant_field(&self, expression: &Expr) -> Option<Dynamic> {
        let (root, steps) = steps(expression)?;
        let mut value = self.constant(root)?;
        for step in steps {
            let inner = value.as_map_ref().ok()?.get(&*step).cloned();
            value = inner.unwrap_or(Dynamic::UNIT);
        }
        Some(value)
    }

    fn is_own(&self, name: &str) -> bool {
        self.own.contains(&name)
    }
}

fn opaque(expression: &Expr, why: String) -> Condition {
    let place = begin(expression);
    Condition { kind: Kind::Opaque { expression: Box::new(expression.clone()), why }, place }
}

/// Where an expression begins; Rhai places an operator where it stands.
fn begin(expression: &Expr) -> Position {
    let own = expression.start_position();
    let Expr::FnCall(call, _) = expression else { return own };
    let sides = call.args.iter().map(begin).filter(|place| !place.is_none());
    sides.chain([own]).min_by_key(|place| (place.line(), place.position())).unwrap_or(own)
}

/// The name of a variable of the closure itself.
fn plain_name(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Variable(variable, _, _) if variable.2.is_empty() => Some(variable.1.as_str()),
        _ => None,
    }
}

/// What a chain of fields begins with, and their names.
fn steps(expression: &Expr) -> Option<(&Expr, Vec<Box<str>>)> {
    let (root, mut rest) = first(expression)?;
    let mut names = Vec::new();
    loop {
        let (part, next) = match rest.inner {
            Expr::Dot(..) | Expr::Index(..) if rest.goes_on => {
                let (part, next) = first(rest.inner)?;
                (part, Some(next))
            }
            last => (last, None),
        };
        names.push(match part {
            Expr::Property(property, _) if rest.dotted => property.2.as_str().into(),
            Expr::StringConstant(name, _) if !rest.dotted => name.as_str().into(),
            _ => return None,
        });
        match next {
            Some(next) => rest = next,
            None => return Some((root, names)),
        }
    }
}

/// What follows the first link of a chain.
struct Rest<'r> {
    inner: &'r Expr,
    /// Reached by a dot, not by brackets.
    dotted: bool,
    /// Whether a chain inside is its continuation, and not an index of its own.
    goes_on: bool,
}

fn first(expression: &Expr) -> Option<(&Expr, Rest<'_>)> {
    let (pair, flags, dotted): (&BinaryExpr, _, _) = match expression {
        Expr::Dot(pair, flags, _) => (pair, flags, true),
        Expr::Index(pair, flags, _) => (pair, flags, false),
        _ => return None,
    };
    let goes_on = !flags.contains(ASTFlags::BREAK);
    Some((&pair.lhs, Rest { inner: &pair.rhs, dotted, goes_on }))
}

/// The receiver and call of `receiver.call(…)`; nothing where the call is not the last link.
fn method(expression: &Expr) -> Option<(Expr, &FnCallExpr)> {
    let (pair, flags, position, dotted) = match expression {
        Expr::Dot(pair, flags, position) => (pair, *flags, *position, true),
        Expr::Index(pair, flags, position) => (pair, *flags, *position, false),
        _ => return None,
    };
    // `?.` on nothing leaves out the call.
    if flags.contains(ASTFlags::NEGATED) {
        return None;
    }
    if let (Expr::MethodCall(call, _), true) = (&pair.rhs, dotted) {
        return Some((pair.lhs.clone(), call));
    }
    if flags.contains(ASTFlags::BREAK) {
        return None;
    }
    // `e.a.f()` is `e` and then `a.f()`: the receiver is the chain without its last link.
    let (inner, call) = method(&pair.rhs)?;
    let shortened = BinaryExpr { lhs: pair.lhs.clone(), rhs: inner };
    let chain = if dotted { Expr::Dot } else { Expr::Index };
    Some((chain(Box::new(shortened), flags, position), call))
}

/// A plain value, as comparisons know it.
fn literal(value: &Dynamic) -> Option<Literal> {
    if value.is_unit() {
        return Some(Literal::Nothing);
    }
    if let Ok(flag) = value.as_bool() {
        return Some(Literal::Flag(flag));
    }
    if let Ok(whole) = value.as_int() {
        return Some(Literal::Whole(whole));
    }
    if let Ok(real) = value.as_float() {
        return Some(Literal::Real(real));
    }
    if let Ok(letter) = value.as_char() {
        return Some(Literal::Letter(letter));
    }
    value.as_immutable_string_ref().ok().map(|text| Literal::Text(text.as_str().into()))
}

/// A text or a letter.
fn words(value: &Dynamic) -> Option<String> {
    let letter = value.as_char().ok().map(String::from);
    letter.or_else(|| value.clone().into_string().ok())
}

fn unknown(name: &str) -> String {
    format!("calls `{name}` with more than a field and a plain value")
}

fn reason(expression: &Expr) -> &'static str {
    match expression {
        Expr::Stmt(_) => "is more than one expression",
        Expr::Coalesce(..) => "uses `??`",
        Expr::Unit(_) => "gives nothing",
        _ => "is not true or false by itself",
    }
}
