//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.

use std::collections::BTreeMap;

use crate::field::{FieldError, aggregate};
use crate::limits::MAX_SELECTOR_REQUIREMENTS;
use crate::validate::{label_value_errors, qualified_name_errors};

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named as Kubernetes names them")]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With what; `=` is `In` with one value.
    pub values: Vec<String>,
}

/// All conditions that an object's labels must meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(pub Vec<LabelRequirement>);

/// A label selector that cannot be read; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabelSelectorError(String);

impl LabelSelector {
    /// Reads a selector; an empty text selects everything.
    ///
    /// # Errors
    /// [`LabelSelectorError`] says what cannot be understood.
    pub fn parse(text: &str) -> Result<LabelSelector, LabelSelectorError> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        if parser.peek(Context::Values) == Token::End {
            return Ok(LabelSelector(requirements));
        }
        loop {
            match parser.peek(Context::Values) {
                Token::Word(_) | Token::Symbol("!") => {}
                Token::End if requirements.is_empty() => return Ok(LabelSelector(requirements)),
                other => {
                    let text = other.text();
                    return Err(LabelSelectorError(format!(
                        "found '{text}', expected: !, identifier, or 'end of string'"
                    )));
                }
            }
            let requirement = parser
                .requirement()
                .map_err(|error| LabelSelectorError(format!("unable to parse requirement: {error}")))?;
            requirements.push(requirement);
            if requirements.len() > MAX_SELECTOR_REQUIREMENTS {
                let message = format!("more than {MAX_SELECTOR_REQUIREMENTS} requirements");
                return Err(LabelSelectorError(message));
            }
            match parser.next(Context::Values) {
                Token::End => break,
                Token::Symbol(",") => match parser.peek(Context::Values) {
                    Token::Word(_) | Token::Symbol("!") => {}
                    other => {
                        let text = other.text();
                        return Err(LabelSelectorError(format!(
                            "found '{text}', expected: identifier after ','"
                        )));
                    }
                },
                other => {
                    let text = other.text();
                    return Err(LabelSelectorError(format!(
                        "found '{text}', expected: ',' or 'end of string'"
                    )));
                }
            }
        }
        Ok(LabelSelector(requirements))
    }

    /// True when every object matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when all conditions hold.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl LabelRequirement {
    /// True when the labels meet the condition.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            LabelOperator::In => value.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::GreaterThan => self.compare(value, |held, wanted| held > wanted),
            LabelOperator::LessThan => self.compare(value, |held, wanted| held < wanted),
        }
    }

    fn compare(&self, value: Option<&String>, holds: impl Fn(i64, i64) -> bool) -> bool {
        let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
        match (number(value), number(self.values.first())) {
            (Some(held), Some(wanted)) => holds(held, wanted),
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// `in` and `notin` where an operator is expected; punctuation everywhere.
    Symbol(&'a str),
    End,
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }
}

/// What may come next: `in` and `notin` are plain words among values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Operator,
    Values,
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self, context: Context) -> Token<'a> {
        match self.tokens.get(self.at).copied().unwrap_or(Token::End) {
            Token::Word(word @ ("in" | "notin")) if context == Context::Operator => Token::Symbol(word),
            token => token,
        }
    }

    fn next(&mut self, context: Context) -> Token<'a> {
        let token = self.peek(context);
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let mut token = self.next(Context::Values);
        let negated = token == Token::Symbol("!");
        if negated {
            token = self.next(Context::Values);
        }
        let Token::Word(key) = token else {
            return Err(format!("found '{}', expected: identifier", token.text()));
        };
        check_key(key, "<nil>")?;
        let ends = matches!(self.peek(Context::Values), Token::End | Token::Symbol(","));
        if negated || ends {
            let operator = if negated { LabelOperator::DoesNotExist } else { LabelOperator::Exists };
            return Ok(LabelRequirement { key: key.to_owned(), operator, values: Vec::new() });
        }
        let token = self.next(Context::Operator);
        let operator = match token {
            Token::Symbol("in" | "=" | "==") => LabelOperator::In,
            Token::Symbol("notin" | "!=") => LabelOperator::NotIn,
            Token::Symbol(">") => LabelOperator::GreaterThan,
            Token::Symbol("<") => LabelOperator::LessThan,
            other => {
                return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text()));
            }
        };
        let mut values = match token {
            Token::Symbol("in" | "notin") => self.values()?,
            _ => vec![self.exact_value()?],
        };
        values.sort();
        values.dedup();
        check_values(key, operator, &values)?;
        Ok(LabelRequirement { key: key.to_owned(), operator, values })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next(Context::Values);
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let values = match self.peek(Context::Values) {
            Token::Symbol(")") => vec![String::new()],
            Token::Word(_) | Token::Symbol(",") => self.value_list()?,
            other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
        };
        match self.next(Context::Values) {
            Token::Symbol(")") => Ok(values),
            other => Err(format!("found '{}', expected: ')'", other.text())),
        }
    }

    /// Values up to the closing parenthesis; nothing between two commas is the empty value.
    fn value_list(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            match self.next(Context::Values) {
                Token::Word(word) => {
                    values.push(word.to_owned());
                    match self.peek(Context::Values) {
                        Token::Symbol(",") => {}
                        Token::Symbol(")") => return Ok(values),
                        other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
                    }
                }
                Token::Symbol(",") => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek(Context::Values) {
                        Token::Symbol(")") => {
                            values.push(String::new());
                            return Ok(values);
                        }
                        Token::Symbol(",") => values.push(String::new()),
                        _ => {}
                    }
                }
                other => return Err(format!("found '{}', expected: ',', or identifier", other.text())),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek(Context::Values), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.next(Context::Values) {
            Token::Word(word) => Ok(word.to_owned()),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }
}

fn check_key(key: &str, path: &str) -> Result<(), String> {
    let errors = qualified_name_errors(key);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(FieldError::invalid(path, key, errors.join("; ")).to_string())
    }
}

fn check_values(key: &str, operator: LabelOperator, values: &[String]) -> Result<(), String> {
    let mut errors = Vec::new();
    let numeric = matches!(operator, LabelOperator::GreaterThan | LabelOperator::LessThan);
    for (index, value) in values.iter().enumerate() {
        if numeric && value.parse::<i64>().is_err() {
            let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
            errors.push(FieldError::invalid(format!("values[{index}]"), value.as_str(), detail).to_string());
        }
    }
    for (index, value) in values.iter().enumerate() {
        let found = label_value_errors(value);
        if !found.is_empty() {
            let path = format!("values[{index}][{key}]");
            errors.push(FieldError::invalid(path, value.as_str(), found.join("; ")).to_string());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(aggregate(errors)) }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let special = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '<' | '>');
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(blank);
    while let Some(first) = rest.chars().next() {
        let length = if special(first) {
            if rest.starts_with("==") || rest.starts_with("!=") { 2 } else { 1 }
        } else {
            rest.find(|c: char| special(c) || blank(c)).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(length);
        tokens.push(if special(first) { Token::Symbol(token) } else { Token::Word(token) });
        rest = after.trim_start_matches(blank);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_labels() {
        let labels: BTreeMap<String, String> =
            [("a", "b"), ("n", "5"), ("e", ""), ("in", "x")].map(|(k, v)| (k.into(), v.into())).into();
        let check = |selector: &str, want: bool| {
            assert_eq!(LabelSelector::parse(selector).unwrap().matches(&labels), want, "{selector}");
        };
        check("", true);
        check("  ", true);
        check("a=b", true);
        check("a==b, n != 6", true);
        check("a!=b", false);
        check("zz!=b", true);
        check("a in (b,c),n notin (1)", true);
        check("zz notin (1)", true);
        check("a,!zz", true);
        check("!a", false);
        check("n>4,n<6", true);
        check("n>5", false);
        check("a>1", false);
        check("e=,e in ()", true);
        check("e in (,x)", true);
        check("in in (in,x)", true);
        check("a in (c,)", false);
    }

    #[test]
    fn bad_selectors_say_what_is_wrong() {
        let check = |selector: &str, want: &str| {
            assert_eq!(LabelSelector::parse(selector).unwrap_err().to_string(), want, "{selector}");
        };
        check("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        check("a in b", "unable to parse requirement: found 'b' expected: '('");
        check("a in (b", "unable to parse requirement: found '', expected: ',' or ')'");
        check("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'");
        check("a=b,", "found '', expected: identifier after ','");
        check("a=b c", "found 'c', expected: ',' or 'end of string'");
        check(",a", "found ',', expected: !, identifier, or 'end of string'");
        check("a==!", "unable to parse requirement: found '!', expected: identifier");
        check(
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must \
             be an integer",
        );
        let error = LabelSelector::parse("a_=b").unwrap_err().to_string();
        assert!(
            error.starts_with("unable to parse requirement: <nil>: Invalid value: \"a_\": name part"),
            "{error}"
        );
        let error = LabelSelector::parse("a=b_").unwrap_err().to_string();
        assert!(
            error.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"b_\": a"),
            "{error}"
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "[a-z!=(),<> \\tin]{0,40}|.{0,40}") {
            let _ = LabelSelector::parse(&text);
        }
    }
}
