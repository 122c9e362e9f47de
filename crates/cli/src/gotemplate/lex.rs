//! Splits a template into text and the tokens of its actions.

use super::problem;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// A token and where it starts and ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    /// `$` or `$name`
    Variable(String),
    /// A word: keyword, function, `true`, `nil`
    Word(String),
    Text(String),
    Number(serde_json::Number),
    Open,
    Close,
    Pipe,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// Blanks matter: they separate arguments from the fields of the one before.
    Blank,
}

/// Splits a whole template.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while let Some(open) = source[at..].find("{{") {
        let open = at + open;
        let trims_before = trims(&source[open + 2..]);
        push_text(&mut pieces, &source[at..open], trim, trims_before);
        let start = if trims_before { open + 3 } else { open + 2 };
        if let Some(after) = comment(source, start)? {
            trim = after.1;
            at = after.0;
            continue;
        }
        let (tokens, end, trims_after) = Lexer { source, at: start, open }.action()?;
        pieces.push(Piece::Action(tokens));
        trim = trims_after;
        at = end;
    }
    push_text(&mut pieces, &source[at..], trim, false);
    Ok(pieces)
}

fn trims(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(char::is_whitespace)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, trim_start: bool, trim_end: bool) {
    let text = if trim_start { text.trim_start() } else { text };
    let text = if trim_end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Skips `/* … */}}`; says where the text goes on and whether it is trimmed.
fn comment(source: &str, start: usize) -> Result<Option<(usize, bool)>, String> {
    let inner = source[start..].trim_start();
    if !inner.starts_with("/*") {
        return Ok(None);
    }
    let begin = source.len() - inner.len();
    let Some(end) = source[begin..].find("*/") else {
        return Err(problem(source, begin, "unclosed comment"));
    };
    let end = begin + end + 2;
    let rest = &source[end..];
    if rest.starts_with("}}") {
        return Ok(Some((end + 2, false)));
    }
    match rest.trim_start().strip_prefix("-}}") {
        Some(after) if rest.starts_with(char::is_whitespace) => Ok(Some((source.len() - after.len(), true))),
        _ => Err(problem(source, end, "comment ends before closing delimiter")),
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    open: usize,
}

impl Lexer<'_> {
    fn action(mut self) -> Result<(Vec<Token>, usize, bool), String> {
        let mut tokens = Vec::new();
        let mut depth = 0usize;
        loop {
            let rest = &self.source[self.at..];
            if rest.starts_with("}}")
                || (rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with("-}}"))
            {
                if depth > 0 {
                    return Err(problem(self.source, self.at, "unclosed left paren"));
                }
                let trims = !rest.starts_with("}}");
                let end = if trims { self.source.len() - rest.trim_start().len() + 3 } else { self.at + 2 };
                return Ok((tokens, end, trims));
            }
            let Some(c) = rest.chars().next() else {
                return Err(problem(self.source, self.open, "unclosed action"));
            };
            let start = self.at;
            let kind = self.token(c, &mut depth)?;
            tokens.push(Token { kind, start, end: self.at });
        }
    }

    fn token(&mut self, c: char, depth: &mut usize) -> Result<TokenKind, String> {
        let rest = &self.source[self.at..];
        Ok(match c {
            c if c.is_whitespace() => {
                self.at += rest.len() - rest.trim_start().len();
                // A blank before the closing `-}}` belongs to it.
                if self.source[self.at..].starts_with("-}}") {
                    self.at -= 1;
                }
                TokenKind::Blank
            }
            '(' => {
                *depth += 1;
                self.at += 1;
                TokenKind::Open
            }
            ')' => {
                *depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| problem(self.source, self.at, "unexpected right paren"))?;
                self.at += 1;
                TokenKind::Close
            }
            '|' => self.single(TokenKind::Pipe),
            ',' => self.single(TokenKind::Comma),
            ':' if rest.starts_with(":=") => {
                self.at += 2;
                TokenKind::Declare
            }
            '=' => self.single(TokenKind::Assign),
            '"' => self.text()?,
            '`' => {
                let Some(end) = rest[1..].find('`') else {
                    return Err(problem(self.source, self.at, "unterminated raw quoted string"));
                };
                self.at += end + 2;
                TokenKind::Text(rest[1..=end].to_owned())
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                self.at += 1 + name.len();
                if name.is_empty() { TokenKind::Dot } else { TokenKind::Field(name.to_owned()) }
            }
            '$' => {
                let name = word(&rest[1..]);
                self.at += 1 + name.len();
                TokenKind::Variable(format!("${name}"))
            }
            c if c == '.' || c == '+' || c == '-' || c.is_ascii_digit() => self.number()?,
            c if c == '_' || c.is_alphabetic() => {
                let name = word(rest);
                self.at += name.len();
                TokenKind::Word(name.to_owned())
            }
            c => {
                return Err(problem(
                    self.source,
                    self.at,
                    &format!("unexpected {} in command", machinery::field::quote(&c.to_string())),
                ));
            }
        })
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    fn number(&mut self) -> Result<TokenKind, String> {
        let rest = &self.source[self.at..];
        let length = 1 + rest[1..]
            .find(|c: char| !(c == '.' || c == '_' || c.is_ascii_alphanumeric()))
            .unwrap_or(rest.len() - 1);
        let text = &rest[..length];
        let digits = text.replace('_', "");
        let plain = digits.strip_prefix('+').unwrap_or(&digits);
        let whole = match plain.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => plain.parse::<i64>().ok(),
        };
        let number = whole
            .map(serde_json::Number::from)
            .or_else(|| plain.parse::<f64>().ok().and_then(serde_json::Number::from_f64));
        let number = number.ok_or_else(|| {
            problem(self.source, self.at, &format!("bad number syntax: {}", machinery::field::quote(text)))
        })?;
        self.at += length;
        Ok(TokenKind::Number(number))
    }

    fn text(&mut self) -> Result<TokenKind, String> {
        let unterminated = || problem(self.source, self.at, "unterminated quoted string");
        let mut chars = self.source[self.at + 1..].char_indices();
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 2;
                    return Ok(TokenKind::Text(out));
                }
                '\n' => break,
                '\\' => out.push(match chars.next().ok_or_else(unterminated)?.1 {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    c @ ('\\' | '"' | '\'') => c,
                    'x' => code(&mut chars, 2).ok_or_else(unterminated)?,
                    'u' => code(&mut chars, 4).ok_or_else(unterminated)?,
                    _ => return Err(problem(self.source, self.at, "invalid syntax")),
                }),
                c => out.push(c),
            }
        }
        Err(unterminated())
    }
}

fn code(chars: &mut std::str::CharIndices<'_>, digits: usize) -> Option<char> {
    let text: String = chars.take(digits).map(|(_, c)| c).collect();
    char::from_u32(u32::from_str_radix(&text, 16).ok()?)
}

fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(text.len())]
}
