//! Runs a template over a document.

use serde_json::Value;

use super::functions;
use super::parse::{Command, Node, Operand, OperandKind, Pipeline};
use super::place;
use crate::golang::{print, sorted};

/// A value; nothing where a key was missing.
pub(super) type Slot = Option<Value>;

/// How a block ended.
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    source: &'a str,
    lenient: bool,
    variables: Vec<(String, Slot)>,
    out: String,
}

/// Runs the statements of a template.
pub(super) fn run(
    source: &str,
    nodes: &[Node],
    document: &Value,
    lenient: bool,
) -> Result<String, (String, String)> {
    let variables = vec![("$".to_owned(), Some(document.clone()))];
    let mut run = Run { source, lenient, variables, out: String::new() };
    match run.block(nodes, &Some(document.clone())) {
        Ok(_) => Ok(run.out),
        Err(error) => Err((run.out, error)),
    }
}

impl Run<'_> {
    fn block(&mut self, nodes: &[Node], dot: &Slot) -> Result<Flow, String> {
        for node in nodes {
            match self.statement(node, dot)? {
                Flow::On => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::On)
    }

    fn statement(&mut self, node: &Node, dot: &Slot) -> Result<Flow, String> {
        let variables = self.variables.len();
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&shown(&value));
                }
                // A variable of an action lives to the end of its block.
                return Ok(Flow::On);
            }
            Node::If { test, then, otherwise } => {
                let value = self.pipeline(test, dot)?;
                let flow = self.block(if truth(&value) { then } else { otherwise }, dot)?;
                self.variables.truncate(variables);
                return Ok(flow);
            }
            Node::With { test, then, otherwise } => {
                let value = self.pipeline(test, dot)?;
                let flow = if truth(&value) { self.block(then, &value) } else { self.block(otherwise, dot) }?;
                self.variables.truncate(variables);
                return Ok(flow);
            }
            Node::Range { over, body, otherwise } => {
                let flow = self.range(over, body, otherwise, dot)?;
                self.variables.truncate(variables);
                return Ok(flow);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Slot,
    ) -> Result<Flow, String> {
        let value = self.commands(over, dot)?;
        let items: Vec<(Value, Value)> = match &value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => {
                items.iter().enumerate().map(|(at, item)| (Value::from(at), item.clone())).collect()
            }
            Some(Value::Object(map)) => {
                sorted(map).into_iter().map(|(key, item)| (Value::from(key.as_str()), item.clone())).collect()
            }
            Some(Value::Number(number)) if number.is_i64() => {
                let count = number.as_i64().unwrap_or(0).clamp(0, 1 << 20);
                (0..count).map(|at| (Value::from(at), Value::from(at))).collect()
            }
            Some(other) => {
                let at = over.commands.first().map_or(0, |command| command.at);
                let text = over.commands.first().map(|command| command.text.clone()).unwrap_or_default();
                return Err(self.failure(at, &text, &format!("range can't iterate over {}", print(other))));
            }
        };
        if items.is_empty() {
            return self.block(otherwise, dot);
        }
        let variables = self.variables.len();
        for (key, item) in items {
            match over.variables.as_slice() {
                [] => {}
                [only] => self.set(only, Some(item.clone()), over.assigns),
                [first, second, ..] => {
                    self.set(first, Some(key), over.assigns);
                    self.set(second, Some(item.clone()), over.assigns);
                }
            }
            let flow = self.block(body, &Some(item))?;
            self.variables.truncate(variables);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &str, value: Slot, assigns: bool) {
        if assigns && let Some(known) = self.variables.iter_mut().rev().find(|known| known.0 == name) {
            known.1 = value;
        } else {
            self.variables.push((name.to_owned(), value));
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Slot) -> Result<Slot, String> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Slot) -> Result<Slot, String> {
        let mut last: Option<Slot> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.flatten())
    }

    fn command(&mut self, command: &Command, dot: &Slot, last: Option<Slot>) -> Result<Slot, String> {
        let Some((first, rest)) = command.args.split_first() else { return Ok(None) };
        if let OperandKind::Function(name) = &first.kind {
            return self.call(name, rest, command, dot, last);
        }
        if !rest.is_empty() || last.is_some() {
            let what = format!("can't give argument to non-function {}", first.text);
            return Err(self.failure(first.at, &first.text, &what));
        }
        if let OperandKind::Nil = first.kind {
            return Err(self.failure(first.at, &first.text, "nil is not a command"));
        }
        self.operand(first, dot)
    }

    fn call(
        &mut self,
        name: &str,
        args: &[Operand],
        command: &Command,
        dot: &Slot,
        last: Option<Slot>,
    ) -> Result<Slot, String> {
        let mut values = Vec::with_capacity(args.len() + 1);
        // `and` and `or` stop at the first argument that decides.
        let decides = |value: &Slot| (name == "and" && !truth(value)) || (name == "or" && truth(value));
        for arg in args {
            let value = self.operand(arg, dot)?;
            if decides(&value) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(last);
        functions::call(name, &values).map_err(|problem| {
            let what = if problem.starts_with("wrong number of args") {
                problem
            } else {
                format!("error calling {name}: {problem}")
            };
            self.failure(command.at, &command.text, &what)
        })
    }

    fn operand(&mut self, operand: &Operand, dot: &Slot) -> Result<Slot, String> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(None),
            OperandKind::Bool(value) => Ok(Some((*value).into())),
            OperandKind::Number(value) => Ok(Some(Value::Number(value.clone()))),
            OperandKind::Text(value) => Ok(Some(value.as_str().into())),
            OperandKind::Field(path) => self.fields(dot.clone(), path, operand),
            OperandKind::Variable(name, path) => {
                let value = self.variables.iter().rev().find(|known| &known.0 == name);
                self.fields(value.and_then(|known| known.1.clone()), path, operand)
            }
            OperandKind::Pipeline(inner, path) => {
                let value = self.pipeline(inner, dot)?;
                self.fields(value, path, operand)
            }
            OperandKind::Function(name) => functions::call(name, &[])
                .map_err(|problem| self.failure(operand.at, &operand.text, &problem)),
        }
    }

    fn fields(&self, mut value: Slot, path: &[String], operand: &Operand) -> Result<Slot, String> {
        for name in path {
            value = match value {
                None if self.lenient => None,
                None => {
                    let what = format!("nil data; no entry for key \"{name}\"");
                    return Err(self.failure(operand.at, &operand.text, &what));
                }
                Some(Value::Object(mut map)) => match map.remove(name) {
                    None if !self.lenient => {
                        let what = format!("map has no entry for key \"{name}\"");
                        return Err(self.failure(operand.at, &operand.text, &what));
                    }
                    found => found,
                },
                Some(Value::Null) => {
                    let what = format!("nil pointer evaluating interface {{}}.{name}");
                    return Err(self.failure(operand.at, &operand.text, &what));
                }
                Some(_) => {
                    let what = format!("can't evaluate field {name} in type interface {{}}");
                    return Err(self.failure(operand.at, &operand.text, &what));
                }
            };
        }
        Ok(value)
    }

    fn failure(&self, at: usize, text: &str, what: &str) -> String {
        format!("template: {}: executing \"output\" at <{text}>: {what}", place(self.source, at))
    }
}

fn shown(value: &Slot) -> String {
    match value {
        None | Some(Value::Null) => "<no value>".to_owned(),
        Some(value) => print(value),
    }
}

/// What counts as true: everything but nothing, false, zero and empty things.
pub(super) fn truth(value: &Slot) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}
