//! From JSON values to YAML, byte for byte as the reference's writer does it.
//!
//! The writer keeps the little state that decides about blanks and line breaks (`column`, `whitespace`, `indention`) in
//! the way the classic C library introduced and everybody copied; the conditions look odd but are exactly what makes the
//! output equal.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::scalar::{Scalar, is_sexagesimal, resolve};

/// Text is folded at the first blank after this column.
const WIDTH: usize = 80;
/// Longer keys are written with a `?`.
const LONGEST_SIMPLE_KEY: usize = 128;
const STEP: usize = 2;

/// Writes one document; it ends with a newline.
pub fn to_string(value: &Value) -> String {
    let mut writer = Writer {
        out: String::new(),
        column: 0,
        indent: None,
        whitespace: true,
        indention: true,
        simple_key: false,
        in_mapping: false,
    };
    writer.node(value);
    writer.indent = None;
    writer.write_indent();
    writer.out
}

struct Writer {
    out: String,
    column: usize,
    /// `None` outside of the document's node.
    indent: Option<usize>,
    /// The last character was a blank.
    whitespace: bool,
    /// So far there are only blanks and indicators in this line.
    indention: bool,
    simple_key: bool,
    in_mapping: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Writer {
    fn node(&mut self, value: &Value) {
        match value {
            Value::Null => self.scalar("null", Style::Plain),
            Value::Bool(true) => self.scalar("true", Style::Plain),
            Value::Bool(false) => self.scalar("false", Style::Plain),
            Value::Number(number) => self.scalar(&shown(number), Style::Plain),
            Value::String(text) => self.text(text),
            Value::Array(items) if items.is_empty() => self.empty("[", "]"),
            Value::Array(items) => self.list(items),
            Value::Object(fields) if fields.is_empty() => self.empty("{", "}"),
            Value::Object(fields) => self.map(fields),
        }
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.indicator(open, true, true, false);
        self.indicator(close, false, false, false);
    }

    fn list(&mut self, items: &[Value]) {
        let outer = self.indent;
        let stays = self.in_mapping && !self.indention;
        self.indent = match outer {
            None => Some(0),
            Some(indent) if stays => Some(indent),
            Some(indent) => Some(indent + STEP),
        };
        for item in items {
            self.write_indent();
            self.indicator("-", true, false, true);
            self.in_mapping = false;
            self.node(item);
        }
        self.indent = outer;
    }

    fn map(&mut self, fields: &Map<String, Value>) {
        let outer = self.indent;
        self.indent = Some(outer.map_or(0, |indent| indent + STEP));
        let mut keys: Vec<&String> = fields.keys().collect();
        keys.sort_by(|a, b| natural(a, b));
        for key in keys {
            self.write_indent();
            if key.len() <= LONGEST_SIMPLE_KEY && !key.contains(is_break) {
                self.simple_key = true;
                self.text(key);
                self.simple_key = false;
                self.indicator(":", false, false, false);
            } else {
                self.indicator("?", true, false, true);
                self.in_mapping = true;
                self.text(key);
                self.write_indent();
                self.indicator(":", true, false, true);
            }
            self.in_mapping = true;
            self.node(&fields[key]);
        }
        self.indent = outer;
    }

    fn text(&mut self, text: &str) {
        let plain = matches!(resolve(text), Scalar::Text) && !is_sexagesimal(text);
        let wanted = if text.contains('\n') {
            Style::Literal
        } else if plain {
            Style::Plain
        } else {
            Style::Double
        };
        let style = self.possible_style(text, wanted);
        self.scalar(text, style);
    }

    /// The wanted style, or the next one that can express the text here.
    fn possible_style(&self, text: &str, wanted: Style) -> Style {
        let analysis = Analysis::of(text);
        let mut style = wanted;
        if self.simple_key && analysis.multiline {
            style = Style::Double;
        }
        if style == Style::Plain && (!analysis.plain || (text.is_empty() && self.simple_key)) {
            style = Style::Single;
        }
        if style == Style::Single && !analysis.single {
            style = Style::Double;
        }
        if style == Style::Literal && (!analysis.literal || self.simple_key) {
            style = Style::Double;
        }
        style
    }

    fn scalar(&mut self, text: &str, style: Style) {
        let outer = self.indent;
        self.indent = Some(outer.map_or(STEP, |indent| indent + STEP));
        match style {
            Style::Plain => self.plain(text),
            Style::Single => self.single_quoted(text),
            Style::Double => self.double_quoted(text),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    fn plain(&mut self, text: &str) {
        if !self.whitespace {
            self.put(' ');
        }
        let mut blanks = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let fold = !self.simple_key && !blanks && self.column > WIDTH && chars.peek() != Some(&' ');
            if c == ' ' && fold {
                self.write_indent();
            } else {
                self.put(c);
            }
            blanks = c == ' ';
            self.indention &= blanks;
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single_quoted(&mut self, text: &str) {
        self.indicator("'", true, false, false);
        let mut blanks = false;
        let mut breaks = false;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            if c == ' ' {
                let next = chars.peek();
                let inside = !first && next.is_some() && next != Some(&' ');
                if !self.simple_key && !blanks && self.column > WIDTH && inside {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                blanks = true;
            } else if is_break(c) {
                if !breaks && c == '\n' {
                    self.put_break();
                }
                self.put_any_break(c);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                blanks = false;
                breaks = false;
            }
            first = false;
        }
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn double_quoted(&mut self, text: &str) {
        self.indicator("\"", true, false, false);
        let mut blanks = false;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                for escaped in escape(c).chars() {
                    self.put(escaped);
                }
                blanks = false;
            } else if c == ' ' {
                let next = chars.peek().copied();
                if !self.simple_key && !blanks && self.column > WIDTH && !first && next.is_some() {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                blanks = true;
            } else {
                self.put(c);
                blanks = false;
            }
            first = false;
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(|c: char| c == ' ' || is_break(c)) {
            self.indicator("2", false, false, false);
        }
        let mut from_end = text.chars().rev();
        match (from_end.next(), from_end.next()) {
            (Some(last), _) if !is_break(last) => self.indicator("-", false, false, false),
            (Some(_), None) => self.indicator("+", false, false, false),
            (Some(_), Some(before)) if is_break(before) => self.indicator("+", false, false, false),
            _ => {}
        }
        self.put_break();
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.put_any_break(c);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                self.put(c);
                self.indention = false;
                breaks = false;
            }
        }
    }

    fn indicator(&mut self, text: &str, needs_blank: bool, is_blank: bool, is_indention: bool) {
        if needs_blank && !self.whitespace {
            self.put(' ');
        }
        for c in text.chars() {
            self.put(c);
        }
        self.whitespace = is_blank;
        self.indention &= is_indention;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn put_any_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
    }
}

/// Which styles can express a text.
struct Analysis {
    multiline: bool,
    plain: bool,
    single: bool,
    literal: bool,
}

impl Analysis {
    fn of(text: &str) -> Analysis {
        if text.is_empty() {
            return Analysis { multiline: false, plain: true, single: true, literal: false };
        }
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut breaks, mut special, mut break_blank, mut blank_break) = (false, false, false, false);
        let mut previous = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let ends_word = chars.peek().is_none_or(|&next| matches!(next, ' ' | '\t') || is_break(next));
            let starts_word = previous.is_none_or(|before| matches!(before, ' ' | '\t') || is_break(before));
            indicators |= match c {
                ':' => ends_word,
                '#' => starts_word,
                '?' | '-' => previous.is_none() && ends_word,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    previous.is_none()
                }
                _ => false,
            };
            special |= !is_printable(c);
            breaks |= is_break(c);
            break_blank |= c == ' ' && previous.is_some_and(is_break);
            blank_break |= is_break(c) && previous == Some(' ');
            previous = Some(c);
        }
        let outer = |c: char| c == ' ' || is_break(c);
        let unusable = blank_break || special;
        let bare = !text.starts_with(outer) && !text.ends_with(outer);
        Analysis {
            multiline: breaks,
            plain: bare && !breaks && !indicators && !unusable && !break_blank,
            single: !unusable && !break_blank,
            literal: !unusable && !text.ends_with(' '),
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What may stand unescaped; characters outside the basic plane may not.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c => {
            return match u32::from(c) {
                code @ 0..=0xff => format!("\\x{code:02X}"),
                code @ 0x100..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

/// Whole numbers as they are, others in the shortest form, with an exponent where Go would use one.
fn shown(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = i32::try_from(mantissa.chars().filter(char::is_ascii_digit).count()).unwrap_or(i32::MAX);
    let precision = if digits > 21 { digits } else { 21 };
    if exponent < -4 || exponent >= precision {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

/// The order of keys: numbers in them count as numbers, letters come after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        let (x, y) = (a[at], b[at]);
        if x == y {
            digits = x.is_ascii_digit();
            continue;
        }
        match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => return x.cmp(&y),
            (false, false) => return numeric(&a, &b, at),
            (true, false) => return if digits { Ordering::Less } else { Ordering::Greater },
            (false, true) => return if digits { Ordering::Greater } else { Ordering::Less },
        }
    }
    a.len().cmp(&b.len())
}

/// Compares from the first difference on, which is not between two letters.
fn numeric(a: &[char], b: &[char], at: usize) -> Ordering {
    let mut lead = 0u64;
    if a[at] == '0' || b[at] == '0' {
        let before = a[..at].iter().rev().take_while(|c| c.is_ascii_digit());
        lead = u64::from(before.into_iter().any(|&c| c != '0'));
    }
    let run = |text: &[char]| {
        let digits = text[at..].iter().map_while(|c| c.to_digit(10));
        digits.fold((lead, 0usize), |(value, length), digit| {
            (value.wrapping_mul(10).wrapping_add(u64::from(digit)), length + 1)
        })
    };
    run(a).cmp(&run(b)).then_with(|| a[at].cmp(&b[at]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Duplicates, parse};
    use super::*;

    fn check(value: &Value, want: &str) {
        assert_eq!(to_string(value), want);
    }

    #[test]
    fn lists_stand_at_the_indentation_of_their_key() {
        check(
            &json!({"spec": {"tags": [{"name": "a", "l": ["x"], "e": []}, {"m": {}}, [1, [2]]]}}),
            "spec:\n  tags:\n  - e: []\n    l:\n    - x\n    name: a\n  - m: {}\n  - - 1\n    - - 2\n",
        );
        check(&json!([]), "[]\n");
        check(&json!("x"), "x\n");
        check(&json!([{"a": null}, true]), "- a: null\n- true\n");
    }

    #[test]
    fn quotes_stand_only_where_they_must() {
        let check = |text: &str, want: &str| check(&json!({"k": text}), &format!("k: {want}\n"));
        check("plain text", "plain text");
        check("- item", "'- item'");
        check("key: value", "'key: value'");
        check("#comment", "'#comment'");
        check("a #b", "'a #b'");
        check(" space", "' space'");
        check("space ", "'space '");
        check("", "\"\"");
        check("~", "\"~\"");
        check("'single'", "'''single'''");
        check("tab\there", "\"tab\\there\"");
        check("日本語", "日本語");
        check("😀", "\"\\U0001F600\"");
        check("http://example.com:80/x?y=z", "http://example.com:80/x?y=z");
        check("--- doc", "'--- doc'");
        check("-", "'-'");
        check("-c", "-c");
        check("bell\u{7}", "\"bell\\a\"");
        check("=", "=");
        check("<<", "<<");
        check("1:30", "\"1:30\"");
        check("2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\"");
        check("0o17", "\"0o17\"");
        check("two\nlines", "|-\n  two\n  lines");
        check("\n", "|2+\n");
        check("a \nb", "\"a \\nb\"");
        check("k:{\"name\":\"x\"}", "k:{\"name\":\"x\"}");
    }

    #[test]
    fn block_text_keeps_its_last_line_breaks() {
        check(&json!({"a": "x\n", "b": 1}), "a: |\n  x\nb: 1\n");
        check(&json!({"a": "x\n\n", "b": 1}), "a: |+\n  x\n\nb: 1\n");
        check(&json!({"a": "  x\ny", "b": 1}), "a: |2-\n    x\n  y\nb: 1\n");
    }

    #[test]
    fn long_text_is_folded_behind_column_eighty() {
        let text = "a long text of many words that goes on well past the eightieth column so that a folding writer \
                    would have to break it somewhere";
        check(
            &json!({"metadata": {"annotations": {"n": text}}}),
            "metadata:\n  annotations:\n    \"n\": a long text of many words that goes on well past the eightieth \
             column so\n      that a folding writer would have to break it somewhere\n",
        );
    }

    #[test]
    fn keys_are_in_natural_order() {
        let fields = ["a10", "a2", "B", "b", "f:x", ".", "k:{", "a", "01", "1", "za", "z"];
        let map: Map<String, Value> = fields.iter().map(|&key| (key.to_owned(), json!(1))).collect();
        let text = to_string(&Value::Object(map));
        let keys: Vec<&str> =
            text.lines().map(|line| line.trim_end_matches(": 1").trim_matches('"')).collect();
        assert_eq!(keys, [".", "1", "01", "B", "a", "a2", "a10", "b", "f:x", "k:{", "z", "za"]);
    }

    #[test]
    fn numbers_are_short() {
        check(
            &json!([1, -5, 5_000_000_000_i64, 1.5, 1e3, 1e30, 1e-7]),
            "- 1\n- -5\n- 5000000000\n- 1.5\n- 1000\n- 1e+30\n- 1e-07\n",
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(
            text in "[-a-c:#'\"\\\\ \\n\\tyn0-9.~{}\\[\\],é😀]{0,100}",
            key in "[-a-c:#'\" \\nyn0-9.~]{0,12}",
        ) {
            let value = json!({"list": [text.clone(), {key: text}]});
            let written = to_string(&value);
            proptest::prop_assert_eq!(parse(&written, Duplicates::Reject).map_err(|e| (e, written)).unwrap(), value);
        }
    }
}
