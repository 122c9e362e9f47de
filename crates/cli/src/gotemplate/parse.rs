//! From tokens to a tree.

use serde_json::Number;

use super::functions;
use super::lex::{self, Piece, Token, TokenKind};
use super::problem;
use crate::limits;

/// A statement.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If { test: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { test: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Break,
    Continue,
}

/// Commands that feed each other, and the variables that take the result.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function with arguments, or a value.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) args: Vec<Operand>,
    pub(super) at: usize,
    /// As written, for messages.
    pub(super) text: String,
}

/// A value in a command.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    pub(super) at: usize,
    /// As written, for messages.
    pub(super) text: String,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Pipeline(Box<Pipeline>, Vec<String>),
}

/// Reads a template.
pub(super) fn template(source: &str) -> Result<Vec<Node>, String> {
    let pieces = lex::pieces(source)?;
    let mut parser =
        Parser { source, pieces: pieces.into_iter(), variables: vec!["$".to_owned()], depth: 0, loops: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        Stop::Eof => Ok(nodes),
        Stop::End(at) => Err(problem(source, at, "unexpected {{end}}")),
        Stop::Else(at, _) => Err(problem(source, at, "unexpected {{else}}")),
    }
}

/// What ended a block.
enum Stop {
    Eof,
    End(usize),
    /// What follows the word `else`.
    Else(usize, Vec<Token>),
}

struct Parser<'a> {
    source: &'a str,
    pieces: std::vec::IntoIter<Piece>,
    variables: Vec<String>,
    depth: usize,
    loops: usize,
}

impl Parser<'_> {
    fn block(&mut self) -> Result<(Vec<Node>, Stop), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let first = tokens.iter().position(|token| token.kind != TokenKind::Blank);
            let Some(first) = first else {
                return Err(problem(self.source, self.source.len(), "missing value for command"));
            };
            let at = tokens[first].start;
            let keyword = match &tokens[first].kind {
                TokenKind::Word(word) => word.clone(),
                _ => String::new(),
            };
            let rest = tokens[first + 1..].to_vec();
            match keyword.as_str() {
                "end" => return Ok((nodes, Stop::End(at))),
                "else" => return Ok((nodes, Stop::Else(at, rest))),
                "if" | "with" | "range" => nodes.push(self.control(&keyword, at, &rest)?),
                "break" | "continue" if self.loops == 0 => {
                    return Err(problem(
                        self.source,
                        at,
                        &format!("{{{{{keyword}}}}} outside {{{{range}}}}"),
                    ));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => {
                    return Err(problem(
                        self.source,
                        at,
                        &format!("{{{{{keyword}}}}} is not available here"),
                    ));
                }
                _ => nodes.push(Node::Print(self.pipeline(&tokens, "command")?)),
            }
        }
        Ok((nodes, Stop::Eof))
    }

    fn control(&mut self, keyword: &str, at: usize, tokens: &[Token]) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > limits::NESTING {
            return Err(problem(self.source, at, "nested too deeply"));
        }
        let variables = self.variables.len();
        let test = self.pipeline(tokens, keyword)?;
        self.loops += usize::from(keyword == "range");
        let (body, mut end) = self.block()?;
        self.loops -= usize::from(keyword == "range");
        self.variables.truncate(variables.max(1));
        let mut otherwise = Vec::new();
        if let Stop::Else(at, rest) = end {
            let word = rest.iter().find(|token| token.kind != TokenKind::Blank);
            match word.map(|token| &token.kind) {
                Some(TokenKind::Word(word)) if word == keyword && (word == "if" || word == "with") => {
                    let skip = rest.iter().position(|t| t.kind != TokenKind::Blank).unwrap_or(0) + 1;
                    otherwise.push(self.control(keyword, at, &rest[skip..])?);
                    // The chained statement took the one `end` there is.
                    self.depth -= 1;
                    return Ok(node(keyword, test, body, otherwise));
                }
                Some(_) => return Err(problem(self.source, at, "unexpected token in {{else}}")),
                None => {
                    let (nodes, after) = self.block()?;
                    otherwise = nodes;
                    end = after;
                }
            }
        } else if let Stop::Eof = end {
            return Err(problem(self.source, self.source.len(), "unexpected EOF"));
        }
        self.depth -= 1;
        match end {
            Stop::End(_) => Ok(node(keyword, test, body, otherwise)),
            Stop::Eof => Err(problem(self.source, self.source.len(), "unexpected EOF")),
            Stop::Else(at, _) => Err(problem(self.source, at, "expected end; found {{else}}")),
        }
    }

    fn pipeline(&mut self, tokens: &[Token], context: &str) -> Result<Pipeline, String> {
        self.depth += 1;
        if self.depth > limits::NESTING {
            return Err(problem(self.source, tokens.first().map_or(0, |t| t.start), "nested too deeply"));
        }
        let (variables, assigns, rest) = self.declaration(tokens, context)?;
        let mut commands = Vec::new();
        for part in split(rest) {
            commands.push(self.command(part, context)?);
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipeline { variables, assigns, commands })
    }

    /// `$x :=`, `$x =` or `$i, $x :=` in front of a pipeline.
    fn declaration<'t>(
        &self,
        tokens: &'t [Token],
        context: &str,
    ) -> Result<(Vec<String>, bool, &'t [Token]), String> {
        let solid: Vec<usize> = (0..tokens.len()).filter(|at| tokens[*at].kind != TokenKind::Blank).collect();
        let kind = |at: usize| solid.get(at).map(|at| &tokens[*at].kind);
        let (names, next) = match (kind(0), kind(1), kind(2)) {
            (Some(TokenKind::Variable(a)), Some(TokenKind::Comma), Some(TokenKind::Variable(b)))
                if context == "range" =>
            {
                (vec![a.clone(), b.clone()], 3)
            }
            (Some(TokenKind::Variable(a)), Some(TokenKind::Declare | TokenKind::Assign), _) => {
                (vec![a.clone()], 1)
            }
            _ => return Ok((Vec::new(), false, tokens)),
        };
        match kind(next) {
            Some(TokenKind::Declare) => Ok((names, false, &tokens[solid[next] + 1..])),
            Some(TokenKind::Assign) => {
                for name in &names {
                    self.known(name, tokens[solid[0]].start)?;
                }
                Ok((names, true, &tokens[solid[next] + 1..]))
            }
            _ => Err(problem(self.source, tokens[solid[0]].start, "expected := in range")),
        }
    }

    fn known(&self, name: &str, at: usize) -> Result<(), String> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(problem(self.source, at, &format!("undefined variable \"{name}\"")))
    }

    fn command(&mut self, tokens: &[Token], context: &str) -> Result<Command, String> {
        let mut args: Vec<Operand> = Vec::new();
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            if token.kind == TokenKind::Blank {
                continue;
            }
            let (operand, after) = self.operand(token, rest)?;
            rest = after;
            args.push(operand);
        }
        let (Some(first), Some(last)) = (args.first(), tokens.last()) else {
            let at = tokens.first().map_or(self.source.len(), |token| token.start);
            return Err(problem(self.source, at, &format!("missing value for {context}")));
        };
        let at = first.at_start(tokens);
        let end = tokens.iter().rev().find(|token| token.kind != TokenKind::Blank).unwrap_or(last).end;
        Ok(Command { text: self.source[at..end].to_owned(), at, args })
    }

    fn operand<'t>(
        &mut self,
        token: &Token,
        mut rest: &'t [Token],
    ) -> Result<(Operand, &'t [Token]), String> {
        let mut end = token.end;
        let mut kind = match &token.kind {
            TokenKind::Dot => OperandKind::Dot,
            TokenKind::Field(name) => OperandKind::Field(vec![name.clone()]),
            TokenKind::Variable(name) => {
                self.known(name, token.start)?;
                OperandKind::Variable(name.clone(), Vec::new())
            }
            TokenKind::Word(word) => match word.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                name if functions::exists(name) => OperandKind::Function(name.to_owned()),
                name => {
                    return Err(problem(
                        self.source,
                        token.start,
                        &format!("function \"{name}\" not defined"),
                    ));
                }
            },
            TokenKind::Text(text) => OperandKind::Text(text.clone()),
            TokenKind::Number(number) => OperandKind::Number(number.clone()),
            TokenKind::Open => {
                let close =
                    closing(rest).ok_or_else(|| problem(self.source, token.start, "unclosed left paren"))?;
                let inner = self.pipeline(&rest[..close], "parenthesized pipeline")?;
                end = rest[close].end;
                rest = &rest[close + 1..];
                OperandKind::Pipeline(Box::new(inner), Vec::new())
            }
            _ => {
                let text = &self.source[token.start..token.end];
                return Err(problem(self.source, token.start, &format!("unexpected <{text}> in operand")));
            }
        };
        let mut at = token.start;
        let mut chained = false;
        while let Some((Token { kind: TokenKind::Field(name), start, end: ends }, after)) = rest.split_first()
        {
            if !chained {
                at = *start;
                chained = true;
            }
            match &mut kind {
                OperandKind::Field(path)
                | OperandKind::Variable(_, path)
                | OperandKind::Pipeline(_, path) => {
                    path.push(name.clone());
                }
                _ => {
                    return Err(problem(
                        self.source,
                        *start,
                        &format!(
                            "unexpected . after term {}",
                            machinery::field::quote(&self.source[token.start..end])
                        ),
                    ));
                }
            }
            end = *ends;
            rest = after;
        }
        Ok((Operand { kind, at, text: self.source[token.start..end].to_owned() }, rest))
    }
}

impl Operand {
    /// Where the command that starts with this operand starts.
    fn at_start(&self, tokens: &[Token]) -> usize {
        tokens.iter().find(|token| token.kind != TokenKind::Blank).map_or(self.at, |token| token.start)
    }
}

fn node(keyword: &str, test: Pipeline, then: Vec<Node>, otherwise: Vec<Node>) -> Node {
    match keyword {
        "if" => Node::If { test, then, otherwise },
        "with" => Node::With { test, then, otherwise },
        _ => Node::Range { over: test, body: then, otherwise },
    }
}

/// Splits at the pipes that are not inside parentheses.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Pipe if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts
}

fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close if depth == 0 => return Some(at),
            TokenKind::Close => depth -= 1,
            _ => {}
        }
    }
    None
}
