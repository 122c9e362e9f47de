//! Go templates for `-o go-template`: the part of `text/template` that makes sense for JSON documents.
//!
//! There are actions, pipelines, variables, `if`, `range`, `with`, `break`, `continue`, comments, trimming and the
//! usual functions; there are no nested templates (`define`, `template`, `block`), because an output flag has one.
//! Errors carry the place and the words of the reference. Parsing and execution never panic and are bounded.

mod exec;
mod functions;
mod lex;
mod parse;

use serde_json::Value;

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template {
    source: String,
    nodes: Vec<parse::Node>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// One line: place and problem.
    pub(crate) fn parse(source: &str) -> Result<Template, String> {
        Ok(Template { source: source.to_owned(), nodes: parse::template(source)? })
    }

    /// The text of the template for a document. A missing key prints `<no value>`, or fails unless `lenient`.
    ///
    /// # Errors
    /// What was printed so far, and the problem with its place.
    pub(crate) fn render(&self, document: &Value, lenient: bool) -> Result<String, (String, String)> {
        exec::run(&self.source, &self.nodes, document, lenient)
    }
}

/// `output:1:7`, the place of a byte.
fn place(source: &str, at: usize) -> String {
    let before = &source.as_bytes()[..at.min(source.len())];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    format!("output:{line}:{column}")
}

/// A problem of parsing at a byte.
fn problem(source: &str, at: usize, what: &str) -> String {
    let before = &source.as_bytes()[..at.min(source.len())];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    format!("template: output:{line}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        let tag = |name: &str| json!({"name": name, "from": {"name": "x"}, "annotations": null});
        json!({"kind": "ImageStream", "metadata": {"name": "app", "generation": 3},
            "spec": {"lookupPolicy": {"local": false}, "tags": [tag("1"), tag("2"), tag("3")]}})
    }

    fn render(template: &str, lenient: bool) -> Result<String, String> {
        Template::parse(template)?.render(&document(), lenient).map_err(|(_, error)| error)
    }

    #[track_caller]
    fn check(template: &str, want: &str) {
        assert_eq!(render(template, true).as_deref(), Ok(want), "{template}");
    }

    #[track_caller]
    fn check_error(template: &str, want: &str) {
        assert_eq!(render(template, true), Err(want.to_owned()), "{template}");
    }

    #[test]
    fn values_print() {
        check("{{.metadata.name}}", "app");
        check("{{.metadata.name}}{{\"\\n\"}}", "app\n");
        check("{{.metadata.nope}}", "<no value>");
        check("{{.nope.deeper}}", "<no value>");
        check("{{.metadata.generation}}", "3");
        check("{{index .spec.tags 1}}", "map[annotations:<nil> from:map[name:x] name:2]");
        check("{{(index .spec.tags 0).name}}", "1");
        check("{{with .spec}}{{.lookupPolicy}}{{end}}", "map[local:false]");
        check("a {{- /* no */ -}} b", "ab");
        check("{{$x := .kind}}{{$x}}", "ImageStream");
    }

    #[test]
    fn loops_and_conditions_work() {
        check("{{range .spec.tags}}{{.name}}={{.from.name}} {{end}}", "1=x 2=x 3=x ");
        check("{{range $i, $t := .spec.tags}}{{if $i}},{{end}}{{$t.name}}{{end}}", "1,2,3");
        check("{{if eq .kind \"ImageStream\"}}yes{{else}}no{{end}}", "yes");
        check("{{if .spec.lookupPolicy.local}}a{{else if .nope}}b{{else}}c{{end}}", "c");
        check("{{range .nope}}x{{else}}none{{end}}", "none");
        check("{{range .spec.tags}}{{if eq .name \"2\"}}{{break}}{{end}}{{.name}}{{end}}", "1");
        check("{{range .spec.tags}}{{if eq .name \"2\"}}{{continue}}{{end}}{{.name}}{{end}}", "13");
        check("{{range $k, $v := .metadata}}{{$k}}:{{$v}} {{end}}", "generation:3 name:app ");
        check("{{$n := 0}}{{range .spec.tags}}{{$n = .name}}{{end}}{{$n}}", "3");
    }

    #[test]
    fn functions_work() {
        check("{{len .spec.tags}}", "3");
        check("{{printf \"%s-%v\" .kind .spec.lookupPolicy.local}}", "ImageStream-false");
        check("{{\"aGk=\" | base64decode}}", "hi");
        check("{{and .kind .nope | not}}", "true");
        check("{{or .nope .kind}}", "ImageStream");
        check("{{exists . \"metadata\" \"name\"}} {{exists . \"metadata\" \"nope\"}}", "true false");
        check("{{printf \"%q %5d|%-5s|%05.1f\" .kind 7 \"ab\" 1.25}}", "\"ImageStream\"     7|ab   |001.2");
        check("{{slice \"abcdef\" 1 3}}", "bc");
        check("{{html \"<a>\"}}", "&lt;a&gt;");
        check("{{gt 2 1}} {{ne \"a\" \"b\"}} {{le 1 1}}", "true true true");
    }

    #[test]
    fn failures_say_where() {
        check_error(
            "{{index .metadata.labels \"a\"}}",
            "template: output:1:2: executing \"output\" at <index .metadata.labels \"a\">: error calling index: index of untyped nil",
        );
        check_error(
            "{{.spec.tags.name}}",
            "template: output:1:7: executing \"output\" at <.spec.tags.name>: can't evaluate field name in type interface {}",
        );
        assert_eq!(
            render("{{.metadata.nope}}", false),
            Err("template: output:1:11: executing \"output\" at <.metadata.nope>: map has no entry for key \"nope\"".to_owned())
        );
    }

    #[test]
    fn bad_templates_say_why() {
        check_error("{{.metadata.name", "template: output:1: unclosed action");
        check_error("{{nosuch .metadata}}", "template: output:1: function \"nosuch\" not defined");
        check_error("{{if .a}}", "template: output:1: unexpected EOF");
        check_error("{{end}}", "template: output:1: unexpected {{end}}");
        check_error("{{$x}}", "template: output:1: undefined variable \"$x\"");
        check_error("{{}}", "template: output:1: missing value for command");
    }

    proptest::proptest! {
        #[test]
        fn no_template_panics(text in "(\\{\\{|\\}\\}|range|if|end|else|with|\\.|\\$x|:=|\\.spec|\\.tags|index|len|printf|\"%d\"|\\(|\\)|\\||,| |1|-|x){0,20}") {
            if let Ok(template) = Template::parse(&text) {
                drop(template.render(&document(), true));
                drop(template.render(&document(), false));
            }
        }
    }
}
