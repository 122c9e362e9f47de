//! From the text of a template to its nodes.

use crate::limits;

/// One step of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A literal: text outside braces, a quoted string, a number, a truth value.
    Literal(serde_json::Value),
    /// `.name`
    Field(String),
    /// `.*`
    Wildcard,
    /// `..`
    Recursive,
    /// `[n]` or `[from:to:step]`
    Slice(Slice),
    /// `[a,b]`
    Union(Vec<Vec<Node>>),
    /// `[?(…)]`
    Filter(Filter),
    /// `range`, `end`, or a word that means nothing.
    Word(String),
}

/// Bounds of a slice as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slice {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    /// `to` was not written but follows from `from`: `[n]`.
    pub(super) single: bool,
    pub(super) step: Option<i64>,
}

/// A comparison, or the mere existence of the left side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    pub(super) left: Vec<Node>,
    /// Operator and right side.
    pub(super) compare: Option<(String, Vec<Node>)>,
}

/// Reads a template: one list of nodes for each stretch of text and each pair of braces.
pub(super) fn template(text: &str) -> Result<Vec<Vec<Node>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(vec![Node::Literal(before.into())]);
        }
        let mut parser = Parser { rest: after, depth: 0 };
        parts.push(parser.action(true)?);
        rest = parser.rest;
    }
    if !rest.is_empty() {
        parts.push(vec![Node::Literal(rest.into())]);
    }
    Ok(parts)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// Reads an expression that stands alone, without its braces.
fn expression(text: &str, depth: usize) -> Result<Vec<Node>, String> {
    if depth > limits::NESTING {
        return Err("expression is nested too deeply".to_owned());
    }
    Parser { rest: text, depth }.action(false)
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let found = chars.next()?;
        self.rest = chars.as_str();
        Some(found)
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Reads nodes up to the closing brace (or, for a part of an expression, its end).
    fn action(&mut self, braces: bool) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            if self.rest.starts_with("[?(") {
                self.take(3);
                nodes.push(self.filter()?);
                continue;
            }
            if self.rest.starts_with("..") {
                self.take(2);
                nodes.push(Node::Recursive);
                if self.rest.starts_with(|c: char| !is_terminator(c)) {
                    nodes.push(self.field());
                }
                continue;
            }
            match self.next() {
                None if !braces => return Ok(nodes),
                Some('}') => return Ok(nodes),
                None | Some('\r' | '\n') => return Err("unclosed action".to_owned()),
                Some(' ' | '@' | '$') => {}
                Some('[') => self.subscript(&mut nodes)?,
                Some(quote @ ('"' | '\'')) => nodes.push(self.quoted(quote)?),
                Some('.') => nodes.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_ascii_digit() => nodes.push(self.number(c)?),
                Some(c) if c == '_' || c.is_alphanumeric() => nodes.push(self.word(c)),
                Some(c) => {
                    return Err(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c)));
                }
            }
        }
    }

    fn field(&mut self) -> Node {
        let mut name = String::new();
        while let Some(c) = self.rest.chars().next() {
            if c == '\\' {
                self.next();
                name.extend(self.next());
            } else if is_terminator(c) {
                break;
            } else {
                name.push(c);
                self.next();
            }
        }
        if name == "*" { Node::Wildcard } else { Node::Field(name) }
    }

    fn word(&mut self, first: char) -> Node {
        let length = self.rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(self.rest.len());
        let word = format!("{first}{}", self.take(length));
        match word.as_str() {
            "true" => Node::Literal(true.into()),
            "false" => Node::Literal(false.into()),
            _ => Node::Word(word),
        }
    }

    fn number(&mut self, first: char) -> Result<Node, String> {
        let length = self.rest.find(|c: char| !(c == '.' || c.is_ascii_digit())).unwrap_or(self.rest.len());
        let text = format!("{first}{}", self.take(length));
        let plain = text.strip_prefix('+').unwrap_or(&text);
        if let Ok(number) = plain.parse::<i64>() {
            return Ok(Node::Literal(number.into()));
        }
        match plain.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Node::Literal(number.into())),
            _ => Err(format!("cannot parse number {text}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Node, String> {
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                Some('\\') => match self.next() {
                    None => return Err("unterminated quoted string".to_owned()),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('a') => text.push('\u{7}'),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('v') => text.push('\u{b}'),
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    Some('x') => text.push(self.code(2)?),
                    Some('u') => text.push(self.code(4)?),
                    Some('U') => text.push(self.code(8)?),
                    Some(_) => return Err("invalid syntax".to_owned()),
                },
                Some(c) if c == quote => return Ok(Node::Literal(text.into())),
                Some(c) => text.push(c),
            }
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        let text = self.rest.get(..digits).ok_or("invalid syntax")?;
        let code = u32::from_str_radix(text, 16).map_err(|_| "invalid syntax")?;
        self.take(digits);
        char::from_u32(code).ok_or_else(|| "invalid syntax".to_owned())
    }

    fn subscript(&mut self, nodes: &mut Vec<Node>) -> Result<(), String> {
        let length = match self.rest.find([']', '\n']) {
            Some(length) if self.rest[length..].starts_with(']') => length,
            _ => return Err("unterminated array".to_owned()),
        };
        let text = self.take(length);
        self.take(1);
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let parts = text
                .split(',')
                .map(|part| expression(&format!("[{}]", part.trim_matches(' ')), self.depth + 1));
            nodes.push(Node::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        let quoted = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        if let Some(name) = quoted.filter(|name| !name.contains('\'')) {
            nodes.extend(expression(&format!(".{name}"), self.depth + 1)?);
            return Ok(());
        }
        nodes.push(Node::Slice(slice(text)?));
        Ok(())
    }

    fn filter(&mut self) -> Result<Node, String> {
        let (mut quote, mut closed, mut before) = (None, false, ' ');
        let start = self.rest;
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated filter".to_owned()),
                Some(c @ ('"' | '\'')) => match quote {
                    None => quote = Some(c),
                    Some(open) if open == c && before != '\\' => closed = true,
                    Some(_) => {}
                },
                Some(')') if quote.is_some() == closed => break,
                Some(c) => {
                    before = c;
                    continue;
                }
            }
            before = ' ';
        }
        let text = &start[..start.len() - self.rest.len() - 1];
        if self.next() != Some(']') {
            return Err("unclosed array expect ]".to_owned());
        }
        let operator = text.find(['!', '<', '=', '>']).filter(|at| *at > 0);
        let compare = operator.and_then(|at| {
            let (left, rest) = text.split_at(at);
            let length = rest.find(|c| !matches!(c, '!' | '<' | '=' | '>'))?;
            let (operator, right) = rest.split_at(length);
            Some((left, operator, right))
        });
        let Some((left, operator, right)) = compare else {
            return Ok(Node::Filter(Filter { left: expression(text, self.depth + 1)?, compare: None }));
        };
        let left = expression(left, self.depth + 1)?;
        let right = expression(right, self.depth + 1)?;
        Ok(Node::Filter(Filter { left, compare: Some((operator.to_owned(), right)) }))
    }
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn slice(text: &str) -> Result<Slice, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_bound = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        digits.bytes().all(|b| b.is_ascii_digit())
    };
    if parts.len() > 3 || !parts.iter().all(|part| is_bound(part)) {
        return Err(format!("invalid array index {text}"));
    }
    let bound = |at: usize| match parts.get(at) {
        None | Some(&"") => Ok(None),
        Some(part) => part.parse().map(Some).map_err(|_| format!("array index {part} is not a number")),
    };
    let from: Option<i64> = bound(0)?;
    if parts.len() == 1 {
        let to =
            from.unwrap_or(0).checked_add(1).ok_or_else(|| format!("array index {text} is not a number"))?;
        return Ok(Slice { from, to: Some(to), single: true, step: None });
    }
    Ok(Slice { from, to: bound(1)?, single: false, step: bound(2)? })
}
