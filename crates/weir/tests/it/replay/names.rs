//! The words of one run: what `{ns}`, `{registry}`, `{d0}` and saved values stand for.
//!
//! Recorded bodies are text as far as substitution goes, so that the order of their fields reaches the server as it
//! was recorded. Words replace each other in the order in which they were learnt, as in the recorder.

use serde_json::Value;

use crate::random_hex;

/// Name and word, in the order learnt.
#[derive(Debug, Clone)]
pub(crate) struct Names(Vec<(String, String)>);

impl Names {
    /// The upstream registries and sixteen digests that no other run uses, sorted by their first digits.
    pub(crate) fn fresh(registry: &str, private: &str) -> Self {
        let mut names = Self(Vec::new());
        names.learn("registry", registry);
        names.learn("private", private);
        for digit in "0123456789abcdef".chars() {
            let start = digit.to_string().repeat(4);
            names.learn(&format!("d{digit}"), &format!("{start}{}", random_hex(30)));
        }
        names
    }

    /// A later word for the same name replaces the earlier one.
    pub(crate) fn learn(&mut self, name: &str, word: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => word.clone_into(old),
            None => self.0.push((name.to_owned(), word.to_owned())),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, word)| word.as_str())
    }

    /// The names that answers are normalised with, the longest word first: a word may be part of another.
    pub(crate) fn masks(&self) -> Vec<(&str, &str)> {
        let mut masks: Vec<(&str, &str)> = self
            .0
            .iter()
            .filter(|(name, word)| !word.is_empty() && is_mask(name))
            .map(|(name, word)| (name.as_str(), word.as_str()))
            .collect();
        masks.sort_by_key(|(_, word)| std::cmp::Reverse(word.len()));
        masks
    }

    pub(crate) fn text(&self, text: &str) -> String {
        self.replace(text, str::to_owned)
    }

    /// Substitutes within a JSON document without parsing it.
    pub(crate) fn document(&self, raw: &str) -> String {
        self.replace(raw, |word| {
            let quoted = Value::String(word.to_owned()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        })
    }

    pub(crate) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, item)| (self.text(name), self.value(item))).collect()
            }
            other => other.clone(),
        }
    }

    fn replace(&self, text: &str, form: impl Fn(&str) -> String) -> String {
        let mut text = text.to_owned();
        for (name, word) in &self.0 {
            let place = format!("{{{name}}}");
            if text.contains(&place) {
                text = text.replace(&place, &form(word));
            }
        }
        text
    }
}

fn is_mask(name: &str) -> bool {
    let digest = name.len() == 2
        && name.starts_with('d')
        && name.ends_with(|last: char| last.is_ascii_digit() || ('a'..='f').contains(&last));
    matches!(name, "ns" | "ns2" | "registry" | "private") || digest
}

/// Encodes a path as the recorder did: what has a meaning in a URL stays, everything else becomes `%XX`.
pub(crate) fn quote(path: &str) -> String {
    let mut quoted = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~/?&=:,@%!+*;()".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}
