//! `-o custom-columns`: a table whose columns are paths.

use std::cell::Cell;

use serde_json::Value;

use super::each;
use crate::failure::{Failure, plain};
use crate::golang;
use crate::jsonpath::Template;
use crate::tabs::{Layout, align};

/// Headers and the paths of their cells.
#[derive(Debug)]
pub(crate) struct Columns {
    headers: Vec<String>,
    paths: Vec<Template>,
    /// The headers are still to be printed.
    announce: Cell<bool>,
}

impl Columns {
    /// Reads `NAME:.metadata.name,TAGS:.spec.tags[*].name`.
    pub(crate) fn parse(text: &str, headers: bool) -> Result<Columns, Failure> {
        if text.is_empty() {
            return Err(plain("custom-columns format specified but no custom columns given"));
        }
        let parts: Vec<(&str, &str)> = split(text)
            .into_iter()
            .map(|part| {
                part.split_once(':').ok_or_else(|| {
                    plain(format!(
                        "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        Columns::new(parts, headers)
    }

    /// Reads a file with a line of headers and a line of paths.
    pub(crate) fn read(file: &str, headers: bool) -> Result<Columns, Failure> {
        if file.is_empty() {
            return Err(plain("custom-columns-file format specified but no custom columns file given"));
        }
        let text = std::fs::read_to_string(file)
            .map_err(|error| plain(format!("error reading template {file}, {error}\n")))?;
        let mut lines = text.lines();
        let (Some(names), Some(paths)) = (lines.next(), lines.next()) else {
            return Err(plain(
                "custom-columns-file format requires the file to have a line of headers and a line of paths",
            ));
        };
        let (names, paths): (Vec<_>, Vec<_>) =
            (names.split_whitespace().collect(), paths.split_whitespace().collect());
        if names.len() != paths.len() {
            return Err(plain(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                names.len(),
                paths.len()
            )));
        }
        Columns::new(names.into_iter().zip(paths).collect(), headers)
    }

    fn new(parts: Vec<(&str, &str)>, headers: bool) -> Result<Columns, Failure> {
        let mut columns = Columns { headers: Vec::new(), paths: Vec::new(), announce: Cell::new(headers) };
        for (header, path) in parts {
            columns.headers.push(header.to_owned());
            columns.paths.push(Template::parse_relaxed(path).map_err(plain)?);
        }
        Ok(columns)
    }

    /// The rows of an object or list; the first time with the headers.
    pub(crate) fn render(&self, object: &Value) -> Result<String, Failure> {
        let mut text = String::new();
        if self.announce.replace(false) {
            text.push_str(&self.headers.join("\t"));
            text.push('\n');
        }
        for item in each(object) {
            let cells = self.paths.iter().map(|path| cell(path, item)).collect::<Result<Vec<_>, _>>()?;
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        Ok(align(&text, Layout::TABLE))
    }
}

fn cell(path: &Template, item: &Value) -> Result<String, Failure> {
    let found = path.find(item, true).map_err(plain)?.concat();
    if found.is_empty() {
        return Ok("<none>".to_owned());
    }
    Ok(found.iter().map(golang::print).collect::<Vec<_>>().join(","))
}

/// Splits at commas outside of brackets, so that unions survive.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0i32);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(columns: &str, want: &str) {
        let object = json!({"metadata": {"name": "app", "labels": {"example.com/part": "core"}},
            "spec": {"tags": [{"name": "1", "from": {"name": "x"}}, {"name": "2", "from": {"name": "y"}}], "local": false}});
        assert_eq!(Columns::parse(columns, true).unwrap().render(&object).unwrap(), want, "{columns}");
    }

    #[test]
    fn columns_are_paths() {
        check("NAME:.metadata.name,TAGS:.spec.tags[*].name", "NAME   TAGS\napp    1,2\n");
        check("N:metadata.name", "N\napp\n");
        check("N:{.metadata.name}", "N\napp\n");
        check("P:.metadata.labels.example\\.com/part", "P\ncore\n");
        check("L:.metadata.labels", "L\nmap[example.com/part:core]\n");
        check("X:.nope,Y:.spec.local", "X        Y\n<none>   false\n");
        check("A:.spec.tags[?(@.name==\"2\")].from.name", "A\ny\n");
        check("ALL:.spec..name", "ALL\n1,x,2,y\n");
        check("name with blank:.metadata.name", "name with blank\napp\n");
    }

    #[test]
    fn a_column_needs_a_path() {
        let error = Columns::parse("NAME", true).unwrap_err().render("weir");
        assert_eq!(error, "error: unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>");
    }

    #[test]
    fn an_empty_list_has_headers_once() {
        let columns = Columns::parse("NAME:.metadata.name", true).unwrap();
        let list = json!({"kind": "List", "items": []});
        assert_eq!(columns.render(&list).unwrap(), "NAME\n");
        assert_eq!(columns.render(&list).unwrap(), "");
    }
}
