//! Numbers.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::library::operator::{self, whole};
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::{Row, Way::Function};
use crate::workflows::expression::yaql::value::Datum;

pub(super) const TABLE: &[Row] = &[
    ("abs", Function, "op:number", abs),
    ("int", Function, "value:any", int),
    ("float", Function, "value:any", float),
    ("random", Function, "", random),
    ("random", Function, "from:int, to:int", random_between),
    ("bitwiseAnd", Function, "left:int, right:int", |_, given| bits(given, |a, b| a & b)),
    ("bitwiseOr", Function, "left:int, right:int", |_, given| bits(given, |a, b| a | b)),
    ("bitwiseXor", Function, "left:int, right:int", |_, given| bits(given, |a, b| a ^ b)),
    ("bitwiseNot", Function, "arg:int", |_, given| Ok(Datum::Int(!given.int(0, 0)))),
    ("shiftBitsLeft", Function, "value:int, bitsNumber:int", shift_left),
    ("shiftBitsRight", Function, "value:int, bitsNumber:int", shift_right),
    ("max", Function, "a:any, b:any", |_, given| extreme(given, true)),
    ("min", Function, "a:any, b:any", |_, given| extreme(given, false)),
    ("pow", Function, "a:number, b:number, c:number?=", pow),
    ("sign", Function, "num:number", sign),
    ("round", Function, "number:number, ndigits:int=", round),
    ("isInteger", Function, "value:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Int(_))))
    }),
    ("isNumber", Function, "value:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Int(_) | Datum::Float(_))))
    }),
    ("hex", Function, "num:number?", hex),
];

fn abs<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    match given.value(0) {
        Datum::Int(number) => whole(number.checked_abs()),
        Datum::Float(number) => Ok(Datum::Float(number.abs())),
        other => Ok(other),
    }
}

/// What Python calls the kind of a value.
pub(super) fn kind(value: &Datum<'_>) -> &'static str {
    match value {
        Datum::Null => "NoneType",
        Datum::Bool(_) => "bool",
        Datum::Int(_) => "int",
        Datum::Float(_) => "float",
        Datum::Text(_) => "str",
        value if value.is_map() => "FrozenDict",
        value if value.is_sequence() => "tuple",
        Datum::Set(_) => "frozenset",
        Datum::Moment(_) => "datetime.datetime",
        Datum::Span(_) => "datetime.timedelta",
        Datum::Regex(_) => "re.Pattern",
        _ => "generator",
    }
}

fn int<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    Ok(Datum::Int(match given.value(0) {
        Datum::Null => 0,
        Datum::Bool(flag) => i128::from(flag),
        Datum::Int(number) => number,
        Datum::Float(number) => truncated(number)?,
        Datum::Text(text) => {
            let digits = text.trim().replace('_', "");
            digits.parse().map_err(|_| {
                let text = crate::script::python::quoted(&text);
                Fault::value(format!("invalid literal for int() with base 10: {text}"))
            })?
        }
        other => {
            return Err(Fault::kind_of_value(format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                kind(&other)
            )));
        }
    }))
}

fn truncated(number: f64) -> Result<i128, Fault> {
    if number.is_nan() {
        return Err(Fault::value("cannot convert float NaN to integer"));
    }
    if number.is_infinite() {
        return Err(Fault::new("OverflowError", "cannot convert float infinity to integer"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "what is larger is cut to 128 bits")]
    let number = number.trunc() as i128;
    Ok(number)
}

fn float<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    #[expect(clippy::cast_precision_loss, reason = "so does Python")]
    Ok(Datum::Float(match given.value(0) {
        Datum::Null => 0.0,
        Datum::Bool(flag) => f64::from(u8::from(flag)),
        Datum::Int(number) => number as f64,
        Datum::Float(number) => number,
        Datum::Text(text) => text.trim().parse().map_err(|_| {
            let text = crate::script::python::quoted(&text);
            Fault::value(format!("could not convert string to float: {text}"))
        })?,
        other => {
            return Err(Fault::kind_of_value(format!(
                "float() argument must be a string or a real number, not '{}'",
                kind(&other)
            )));
        }
    }))
}

/// A number drawn from the present moment: the same step of a workflow draws the same again.
fn draw(run: &mut Run<'_>) -> u64 {
    run.drawn = run.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = run.drawn ^ run.scope.world.now().millis().cast_unsigned();
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn random<'a>(run: &mut Run<'a>, _: &mut Given<'a>) -> Answer<'a> {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let number = (draw(run) >> 11) as f64 / 9_007_199_254_740_992.0;
    Ok(Datum::Float(number))
}

fn random_between<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (from, to) = (given.int(0, 0), given.int(1, 0));
    let width = to.checked_sub(from).filter(|width| *width >= 0).and_then(|w| w.checked_add(1));
    let width = width.ok_or_else(|| Fault::value("empty range for randint"))?;
    Ok(Datum::Int(from + i128::from(draw(run)) % width))
}

fn bits<'a>(given: &Given<'a>, join: impl Fn(i128, i128) -> i128) -> Answer<'a> {
    Ok(Datum::Int(join(given.int(0, 0), given.int(1, 0))))
}

fn shift_left<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (value, count) = (given.int(0, 0), given.int(1, 0));
    if count < 0 {
        return Err(Fault::value("negative shift count"));
    }
    let factor = u32::try_from(count).ok().and_then(|count| 2_i128.checked_pow(count));
    whole(factor.and_then(|factor| value.checked_mul(factor)))
}

fn shift_right<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (value, count) = (given.int(0, 0), given.int(1, 0));
    if count < 0 {
        return Err(Fault::value("negative shift count"));
    }
    Ok(Datum::Int(value >> u32::try_from(count).unwrap_or(127).min(127)))
}

fn extreme<'a>(given: &Given<'a>, largest: bool) -> Answer<'a> {
    larger(given.value(0), given.value(1), largest)
}

/// The larger, or the smaller, of two.
///
/// # Errors
/// They have no order.
pub(super) fn larger<'a>(a: Datum<'a>, b: Datum<'a>, largest: bool) -> Answer<'a> {
    let order = operator::order(&b, &a)
        .map_err(|_| crate::workflows::expression::yaql::run::no_match("#operator_>"))?;
    Ok(if order.is_gt() == largest { b } else { a })
}

fn pow<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    #[expect(clippy::cast_precision_loss, reason = "so does Python")]
    let float = |value: &Datum<'a>| match value {
        Datum::Int(number) => *number as f64,
        Datum::Float(number) => *number,
        _ => 0.0,
    };
    match (given.value(0), given.value(1), given.value(2)) {
        (Datum::Int(base), Datum::Int(power), Datum::Int(modulus))
            if power >= 0 && modulus != 0 =>
        {
            power_modulo(base, power, modulus)
        }
        (_, _, Datum::Int(0)) => Err(Fault::value("pow() 3rd argument cannot be 0")),
        (Datum::Int(base), Datum::Int(power), Datum::Null) if power >= 0 => {
            whole(u32::try_from(power).ok().and_then(|power| base.checked_pow(power)))
        }
        (base, power, Datum::Null) => {
            if float(&base) == 0.0 && float(&power) < 0.0 {
                let message = "0.0 cannot be raised to a negative power";
                return Err(Fault::new("ZeroDivisionError", message));
            }
            Ok(Datum::Float(float(&base).powf(float(&power))))
        }
        _ => Err(Fault::kind_of_value(
            "pow() 3rd argument not allowed unless all arguments are integers",
        )),
    }
}

fn power_modulo<'a>(base: i128, power: i128, modulus: i128) -> Answer<'a> {
    let (mut result, mut base, mut power) = (1, base.rem_euclid(modulus), power);
    while power > 0 {
        if power & 1 == 1 {
            result = mul_mod(result, base, modulus)?;
        }
        base = mul_mod(base, base, modulus)?;
        power >>= 1;
    }
    let rest: i128 = result % modulus;
    Ok(Datum::Int(if modulus < 0 && rest > 0 { rest + modulus } else { rest }))
}

fn mul_mod(a: i128, b: i128, modulus: i128) -> Result<i128, Fault> {
    let product = a
        .checked_mul(b)
        .ok_or_else(|| Fault::new("OverflowError", "the integer has more than 128 bits"))?;
    Ok(product.rem_euclid(modulus))
}

fn sign<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let order = operator::order(&given.value(0), &Datum::Int(0))?;
    Ok(Datum::Int(order as i128))
}

/// Python rounds halves to the even neighbour, and looks at the exact value of the float.
fn round<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let digits = i32::try_from(given.int(1, 0).clamp(-400, 400)).unwrap_or(0);
    match given.value(0) {
        Datum::Int(number) if digits >= 0 => Ok(Datum::Int(number)),
        Datum::Int(number) => {
            let Some(unit) = 10_i128.checked_pow(digits.unsigned_abs()) else {
                return Ok(Datum::Int(0));
            };
            let (low, rest) = (number.div_euclid(unit), number.rem_euclid(unit));
            let up = rest * 2 > unit || (rest * 2 == unit && low % 2 != 0);
            whole((low + i128::from(up)).checked_mul(unit))
        }
        Datum::Float(number) => Ok(Datum::Float(rounded(number, digits))),
        other => Ok(other),
    }
}

fn rounded(number: f64, digits: i32) -> f64 {
    match usize::try_from(digits) {
        // Rust writes the exact value, halves to even.
        Ok(digits) => format!("{number:.digits$}").parse().unwrap_or(number),
        Err(_) => {
            let unit = 10_f64.powi(-digits);
            (number / unit).round_ties_even() * unit
        }
    }
}

fn hex<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    match given.value(0) {
        Datum::Int(number) if number < 0 => {
            Ok(Datum::text(format!("-{:#x}", number.unsigned_abs())))
        }
        Datum::Int(number) => Ok(Datum::text(format!("{number:#x}"))),
        other => Err(Fault::kind_of_value(format!(
            "'{}' object cannot be interpreted as an integer",
            kind(&other)
        ))),
    }
}
