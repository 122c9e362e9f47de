//! Functions of templates: Go's own, and `exists` and `base64decode` of kubectl.

use std::cmp::Ordering;
use std::fmt::Write as _;

use base64::Engine;
use serde_json::Value;

use super::exec::{Slot, truth};
use crate::golang;

const NAMES: &[&str] = &[
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "exists",
    "base64decode",
];

/// Widest field and longest precision that `printf` pads to.
const WIDEST: usize = 1024;

/// True for the name of a function.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a function.
pub(super) fn call(name: &str, args: &[Slot]) -> Result<Slot, String> {
    let least = match name {
        "and" | "or" | "not" | "len" | "index" | "slice" | "printf" | "base64decode" | "eq" | "exists" => 1,
        "ne" | "lt" | "le" | "gt" | "ge" => 2,
        _ => 0,
    };
    let most = match name {
        "not" | "len" | "base64decode" => 1,
        "ne" | "lt" | "le" | "gt" | "ge" => 2,
        _ => usize::MAX,
    };
    if args.len() < least || args.len() > most {
        let want = if most == usize::MAX { format!("at least {least}") } else { least.to_string() };
        return Err(format!("wrong number of args for {name}: want {want} got {}", args.len()));
    }
    Ok(Some(match name {
        "and" => return Ok(args.iter().find(|arg| !truth(arg)).or(args.last()).cloned().flatten()),
        "or" => return Ok(args.iter().find(|arg| truth(arg)).or(args.last()).cloned().flatten()),
        "not" => (!truth(&args[0])).into(),
        "len" => length(&args[0])?.into(),
        "index" => return index(args),
        "slice" => slice(args)?,
        "print" | "println" => {
            let end = if name == "println" { "\n" } else { "" };
            format!("{}{end}", sprint(args, name == "println")).into()
        }
        "printf" => printf(args).into(),
        "html" => escape(&sprint(args, false), |c| match c {
            '"' => Some("&#34;".to_owned()),
            '\'' => Some("&#39;".to_owned()),
            '&' => Some("&amp;".to_owned()),
            '<' => Some("&lt;".to_owned()),
            '>' => Some("&gt;".to_owned()),
            '\0' => Some("\u{fffd}".to_owned()),
            _ => None,
        })
        .into(),
        "js" => escape(&sprint(args, false), |c| match c {
            '\\' | '\'' | '"' => Some(format!("\\{c}")),
            '<' | '>' | '&' | '=' => Some(format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => Some(format!("\\u{:04X}", u32::from(c))),
            _ => None,
        })
        .into(),
        "urlquery" => escape(&sprint(args, false), |c| match c {
            ' ' => Some("+".to_owned()),
            c if c.is_ascii_alphanumeric() || "-_.~".contains(c) => None,
            c => Some(c.to_string().bytes().fold(String::new(), |mut out, byte| {
                write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
                out
            })),
        })
        .into(),
        "eq" => eq(args)?.into(),
        "ne" => (!equal(&args[0], &args[1])?).into(),
        "lt" => order(&args[0], &args[1])?.is_lt().into(),
        "le" => order(&args[0], &args[1])?.is_le().into(),
        "gt" => order(&args[0], &args[1])?.is_gt().into(),
        "ge" => order(&args[0], &args[1])?.is_ge().into(),
        "exists" => index(args).is_ok_and(|found| found.is_some()).into(),
        "base64decode" => decode(&args[0])?.into(),
        other => return Err(format!("{other} is no function")),
    }))
}

fn escape(text: &str, replace: impl Fn(char) -> Option<String>) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match replace(c) {
            Some(replacement) => out.push_str(&replacement),
            None => out.push(c),
        }
        out
    })
}

fn shown(value: &Slot) -> String {
    value.as_ref().map_or_else(|| "<nil>".to_owned(), golang::print)
}

/// Blanks stand between operands when neither is a text, or always.
fn sprint(args: &[Slot], always: bool) -> String {
    let mut out = String::new();
    for (at, arg) in args.iter().enumerate() {
        let text = |slot: &Slot| matches!(slot, Some(Value::String(_)));
        if at > 0 && (always || (!text(arg) && !text(&args[at - 1]))) {
            out.push(' ');
        }
        out.push_str(&shown(arg));
    }
    out
}

fn length(value: &Slot) -> Result<usize, String> {
    match value {
        Some(Value::String(text)) => Ok(text.len()),
        Some(Value::Array(items)) => Ok(items.len()),
        Some(Value::Object(map)) => Ok(map.len()),
        None | Some(Value::Null) => Err("len of nil pointer".to_owned()),
        Some(other) => Err(format!("len of type {}", type_name(other))),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn index(args: &[Slot]) -> Result<Slot, String> {
    let mut value = args[0].clone();
    for key in &args[1..] {
        value = match (value, key) {
            (None | Some(Value::Null), _) => return Err("index of untyped nil".to_owned()),
            (Some(Value::Object(mut map)), Some(Value::String(key))) => map.remove(key),
            (Some(Value::Array(items)), Some(Value::Number(number))) => {
                let at = position(number, items.len(), false)?;
                items.into_iter().nth(at)
            }
            (Some(Value::String(text)), Some(Value::Number(number))) => {
                let at = position(number, text.len(), false)?;
                text.as_bytes().get(at).map(|byte| (*byte).into())
            }
            (_, None | Some(Value::Null)) => return Err("cannot index slice/array with nil".to_owned()),
            (Some(Value::Object(_)), Some(other)) => {
                return Err(format!("value has type {}; should be string", type_name(other)));
            }
            (Some(Value::Array(_) | Value::String(_)), Some(other)) => {
                return Err(format!("cannot index slice/array with type {}", type_name(other)));
            }
            (Some(other), _) => return Err(format!("can't index item of type {}", type_name(&other))),
        };
    }
    Ok(value)
}

fn position(number: &serde_json::Number, length: usize, end: bool) -> Result<usize, String> {
    let at = number.as_i64().and_then(|at| usize::try_from(at).ok());
    match at {
        Some(at) if at < length || (end && at == length) => Ok(at),
        _ => Err(format!("index out of range: {number}")),
    }
}

fn slice(args: &[Slot]) -> Result<Value, String> {
    let bounds = |length: usize| -> Result<(usize, usize), String> {
        let bound = |at: usize, default: usize| match args.get(at) {
            None => Ok(default),
            Some(Some(Value::Number(number))) => position(number, length, true),
            Some(_) => Err("cannot index slice/array with a value that is no number".to_owned()),
        };
        let (from, to) = (bound(1, 0)?, bound(2, length)?);
        if from > to { Err(format!("invalid slice index: {from} > {to}")) } else { Ok((from, to)) }
    };
    match &args[0] {
        Some(Value::String(text)) => {
            let (from, to) = bounds(text.len())?;
            Ok(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned().into())
        }
        Some(Value::Array(items)) => {
            let (from, to) = bounds(items.len())?;
            Ok(items[from..to].to_vec().into())
        }
        None | Some(Value::Null) => Err("slice of untyped nil".to_owned()),
        Some(other) => Err(format!("can't slice item of type {}", type_name(other))),
    }
}

fn eq(args: &[Slot]) -> Result<bool, String> {
    if args.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &args[1..] {
        if equal(&args[0], other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Slot, b: &Slot) -> Result<bool, String> {
    match (a, b) {
        (None | Some(Value::Null), None | Some(Value::Null)) => Ok(true),
        (None | Some(Value::Null), _) | (_, None | Some(Value::Null)) => Ok(false),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => Ok(a == b),
        (Some(Value::String(a)), Some(Value::String(b))) => Ok(a == b),
        (Some(Value::Number(_)), Some(Value::Number(_))) => order(a, b).map(Ordering::is_eq),
        (Some(Value::Array(_) | Value::Object(_)), _) | (_, Some(Value::Array(_) | Value::Object(_))) => {
            Err("non-comparable types".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn order(a: &Slot, b: &Slot) -> Result<Ordering, String> {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => Ok(a.cmp(b)),
        (Some(Value::Number(a)), Some(Value::Number(b))) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Ok(a.cmp(&b)),
            _ => Ok(a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)),
        },
        (None | Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)), _) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn decode(value: &Slot) -> Result<String, String> {
    let Some(Value::String(text)) = value else {
        return Err("base64decode wants a string".to_owned());
    };
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| "base64 decode failed: illegal base64 data".to_owned())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `%s %v %d %q %t %x %f %g %e %%` with flags `-+0 #`, width and precision.
fn printf(args: &[Slot]) -> String {
    let Some(Value::String(format)) = &args[0] else { return sprint(args, false) };
    let mut values = args[1..].iter();
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+0 #".contains(*c)) {
            spec.left |= flag == '-';
            spec.zero |= flag == '0';
            spec.plus |= flag == '+';
        }
        spec.width = digits(&mut chars).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.next() {
                Some(value) => spec.write(&mut out, verb, value),
                None => out.push_str(&format!("%!{verb}(MISSING)")),
            },
        }
    }
    let extra: Vec<String> = values
        .map(|value| format!("{}={}", value.as_ref().map_or("<nil>", type_name), shown(value)))
        .collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let digit = digit.to_digit(10).unwrap_or(0) as usize;
        number = Some((number.unwrap_or(0usize).saturating_mul(10).saturating_add(digit)).min(WIDEST));
    }
    number
}

#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn write(&self, out: &mut String, verb: char, value: &Slot) {
        let float = || match value {
            Some(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        let whole = || match value {
            Some(Value::Number(number)) => {
                number.as_i64().map(|n| n.to_string()).or_else(|| number.as_f64().map(|n| format!("{n:.0}")))
            }
            _ => None,
        };
        let text = match verb {
            'v' => Some(shown(value)),
            's' => match value {
                Some(Value::String(text)) => {
                    Some(self.precision.map_or_else(|| text.clone(), |n| text.chars().take(n).collect()))
                }
                Some(Value::Array(_) | Value::Object(_)) => Some(shown(value)),
                _ => None,
            },
            'q' => match value {
                Some(Value::String(text)) => Some(machinery::field::quote(text)),
                _ => None,
            },
            'd' => whole(),
            't' => value.as_ref().and_then(Value::as_bool).map(|value| value.to_string()),
            'f' | 'F' => float().map(|number| format!("{number:.*}", self.precision.unwrap_or(6))),
            'g' => float().map(|number| format!("{number}")),
            'e' => float().map(|number| format!("{number:.*e}", self.precision.unwrap_or(6))),
            'x' => match value {
                Some(Value::String(text)) => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
                Some(Value::Number(number)) => number.as_i64().map(|number| format!("{number:x}")),
                _ => None,
            },
            _ => None,
        };
        let Some(mut text) = text else {
            let name = value.as_ref().map_or("<nil>", type_name);
            out.push_str(&format!("%!{verb}({name}={})", shown(value)));
            return;
        };
        let number = matches!(value, Some(Value::Number(_)));
        if self.plus && number && !text.starts_with('-') {
            text.insert(0, '+');
        }
        let room = self.width.saturating_sub(text.chars().count());
        let fill = if self.zero && !self.left && number { '0' } else { ' ' };
        if self.left {
            out.push_str(&text);
            out.extend(std::iter::repeat_n(' ', room));
        } else {
            // Zeros go behind a sign.
            if fill == '0' && text.starts_with(['-', '+']) {
                out.push(text.remove(0));
            }
            out.extend(std::iter::repeat_n(fill, room));
            out.push_str(&text);
        }
    }
}
