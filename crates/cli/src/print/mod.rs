//! Printers: from objects to the text that `-o` asks for.
//!
//! A printer prints one object (or list) after another to standard output and keeps what separates them. Tables are not
//! here but in `table`, because they come ready from the server.

pub(crate) mod columns;
mod kyaml;
pub(crate) mod sort;
pub(crate) mod table;

use std::cell::Cell;

use serde_json::Value;

use crate::failure::{Failure, plain};
use crate::flags::PrintFlags;
use crate::golang::{self, items_at, text_at};
use crate::gotemplate;
use crate::io::Io;
use crate::jsonpath;
use columns::Columns;

/// Formats of commands that print single objects.
const COMMON: &str = "go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,yaml";
/// Formats of `get`.
const ALL: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,wide,yaml";

/// Turns objects into text.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    managed_fields: bool,
    printed: Cell<usize>,
    /// Key order of JSON for objects that went through a typed client.
    typed: Option<&'static [&'static str]>,
}

#[derive(Debug)]
enum Format {
    Json,
    Yaml,
    Kyaml,
    Name,
    Path { template: jsonpath::Template, text: String, lenient: bool, as_json: bool },
    Template { template: gotemplate::Template, text: String, lenient: bool },
    Columns(Columns),
}

/// The printer that the flags ask for; nothing for the command's own output.
pub(crate) fn printer(flags: &PrintFlags) -> Result<Option<Printer>, Failure> {
    choose(flags, false, false)
}

/// The printer that the flags of `get` ask for; nothing for tables (which `wide` is, too).
pub(crate) fn printer_for_get(flags: &PrintFlags, headers: bool) -> Result<Option<Printer>, Failure> {
    if flags.output.as_deref() == Some("wide") {
        return Ok(None);
    }
    choose(flags, true, headers)
}

fn choose(flags: &PrintFlags, columns: bool, headers: bool) -> Result<Option<Printer>, Failure> {
    let output = flags.output.as_deref().unwrap_or_default();
    let given = flags.template.as_deref().filter(|text| !text.is_empty());
    if output.is_empty() && given.is_none() {
        return Ok(None);
    }
    let (name, argument) = match output.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None if output.is_empty() => ("go-template", None),
        None => (output, None),
    };
    let argument = argument.or(given);
    let lenient = flags.allow_missing_template_keys;
    let format = match name {
        "json" => Format::Json,
        "yaml" => Format::Yaml,
        "kyaml" => Format::Kyaml,
        "name" => Format::Name,
        "jsonpath" | "jsonpath-as-json" | "jsonpath-file" => {
            let text = template_text(argument, name == "jsonpath-file")?;
            let template = jsonpath::Template::parse(&text)
                .map_err(|error| plain(format!("error parsing jsonpath {text}, {error}")))?;
            Format::Path { template, text, lenient, as_json: name == "jsonpath-as-json" }
        }
        "go-template" | "template" | "go-template-file" | "templatefile" => {
            let text = template_text(argument, name.ends_with("file"))?;
            let template = gotemplate::Template::parse(&text)
                .map_err(|error| plain(format!("error parsing template {text}, {error}")))?;
            Format::Template { template, text, lenient }
        }
        "custom-columns" if columns => {
            Format::Columns(Columns::parse(argument.unwrap_or_default(), headers)?)
        }
        "custom-columns-file" if columns => {
            Format::Columns(Columns::read(argument.unwrap_or_default(), headers)?)
        }
        _ => {
            let allowed = if columns { ALL } else { COMMON };
            return Err(plain(format!(
                "unable to match a printer suitable for the output format \"{output}\", allowed formats are: {allowed}"
            )));
        }
    };
    Ok(Some(Printer {
        format,
        managed_fields: flags.show_managed_fields,
        printed: Cell::new(0),
        typed: None,
    }))
}

fn template_text(argument: Option<&str>, file: bool) -> Result<String, Failure> {
    let argument = argument.filter(|text| !text.is_empty());
    let argument = argument.ok_or_else(|| plain("template format specified but no template given"))?;
    if file {
        return std::fs::read_to_string(argument)
            .map_err(|error| plain(format!("error reading --template {argument}, {error}\n")));
    }
    Ok(argument.to_owned())
}

impl Printer {
    /// JSON in the order of fields that objects from typed clients have.
    #[must_use]
    pub(crate) fn typed(mut self, order: &'static [&'static str]) -> Printer {
        self.typed = Some(order);
        self
    }

    /// Prints one object or list.
    pub(crate) fn print(&self, object: &Value, io: &Io) -> Result<(), Failure> {
        let count = self.printed.get();
        self.printed.set(count + 1);
        match &self.format {
            Format::Json => {
                let object = self.tidied(object);
                let text = match self.typed {
                    Some(order) => golang::json_typed(&object, order, b"    "),
                    None => golang::json_pretty(&object),
                };
                io.line(&text)
            }
            Format::Yaml => {
                let text = machinery::yaml::to_string(&self.tidied(object));
                io.print(&format!("{}{text}", if count > 0 { "---\n" } else { "" }))
            }
            Format::Kyaml => io.print(&kyaml::document(&self.tidied(object))),
            Format::Name => match object.get("items") {
                Some(Value::Array(items)) if text_at(object, &["kind"]).ends_with("List") => {
                    items.iter().try_for_each(|item| io.line(&name_of(item)))
                }
                _ => io.line(&name_of(object)),
            },
            Format::Path { template, text, lenient, as_json } => {
                if *as_json {
                    let found = template
                        .find(object, *lenient)
                        .map_err(|error| path_failure(text, object, &error))?;
                    return found
                        .into_iter()
                        .try_for_each(|group| io.line(&golang::json_pretty(&Value::Array(group))));
                }
                let out =
                    template.render(object, *lenient).map_err(|error| path_failure(text, object, &error))?;
                io.print(&out)
            }
            Format::Template { template, text, lenient } => {
                print_template(template, text, *lenient, object, io)
            }
            Format::Columns(columns) => io.print(&columns.render(object)?),
        }
    }

    /// Without what only machines read, unless that was asked for.
    fn tidied(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if !self.managed_fields {
            strip(&mut object);
            if let Some(Value::Array(items)) = object.get_mut("items") {
                items.iter_mut().for_each(strip);
            }
        }
        object
    }
}

fn strip(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
}

/// `imagestream.image.openshift.io/ruby`, from the object alone.
pub(crate) fn name_of(object: &Value) -> String {
    let kind = text_at(object, &["kind"]).to_lowercase();
    let name = text_at(object, &["metadata", "name"]);
    match text_at(object, &["apiVersion"]).split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

fn path_failure(text: &str, object: &Value, error: &str) -> Failure {
    plain(format!(
        "error executing jsonpath {}: Error executing template: {error}. Printing more information for debugging the \
         template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath engine was:\n\t\t{}\n\n",
        machinery::field::quote(text),
        golang::syntax(object)
    ))
}

fn print_template(
    template: &gotemplate::Template,
    text: &str,
    lenient: bool,
    object: &Value,
    io: &Io,
) -> Result<(), Failure> {
    match template.render(object, lenient) {
        Ok(out) => io.print(&out),
        Err((before, error)) => {
            io.print(&format!(
                "{before}Error executing template: {error}. Printing more information for debugging the template:\n\t\
                 template was:\n\t\t{text}\n\traw data was:\n\t\t{}\n\tobject given to template engine was:\n\t\t{}\n\n",
                golang::json(object),
                golang::print(object)
            ))?;
            Err(plain(format!("error executing template {}: {error}", machinery::field::quote(text))))
        }
    }
}

/// A list object around items.
pub(crate) fn list_of(items: &[Value]) -> Value {
    serde_json::json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

/// Items of a list, or the object itself.
pub(crate) fn each(object: &Value) -> Vec<&Value> {
    if text_at(object, &["kind"]).ends_with("List") && object.get("items").is_some_and(Value::is_array) {
        return items_at(object, &["items"]).iter().collect();
    }
    vec![object]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::streams;
    use serde_json::json;

    fn flags(output: &str) -> PrintFlags {
        PrintFlags {
            output: Some(output.to_owned()),
            allow_missing_template_keys: true,
            ..PrintFlags::default()
        }
    }

    #[track_caller]
    fn check(output: &str, object: &Value, want: &str) {
        let (io, out, _) = streams("");
        let printer = printer_for_get(&flags(output), true).unwrap().unwrap();
        printer.print(object, &io).unwrap();
        assert_eq!(out.text(), want, "{output}");
    }

    #[track_caller]
    fn check_error(output: &str, want: &str) {
        let error = printer_for_get(&flags(output), true).unwrap_err();
        assert_eq!(error.render("weir"), want, "{output}");
    }

    fn object() -> Value {
        json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
            "metadata": {"name": "app", "managedFields": [], "labels": {"a": "true"}}})
    }

    #[test]
    fn every_format_has_its_text() {
        check("name", &object(), "imagestream.image.openshift.io/app\n");
        check("jsonpath={.metadata.name}", &object(), "app");
        check("jsonpath-as-json={.metadata.name}", &object(), "[\n    \"app\"\n]\n");
        check("go-template={{.kind}}", &object(), "ImageStream");
        check(
            "json",
            &object(),
            "{\n    \"apiVersion\": \"image.openshift.io/v1\",\n    \"kind\": \"ImageStream\",\n    \"metadata\": {\n        \"labels\": {\n            \"a\": \"true\"\n        },\n        \"name\": \"app\"\n    }\n}\n",
        );
        check(
            "yaml",
            &object(),
            "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  labels:\n    a: \"true\"\n  name: app\n",
        );
        check(
            "name",
            &list_of(&[json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}})]),
            "secret/s\n",
        );
    }

    #[test]
    fn formats_that_do_not_exist_are_refused() {
        check_error("jsonpath=", "error: template format specified but no template given");
        check_error("go-template", "error: template format specified but no template given");
        check_error("jsonpath={.a", "error: error parsing jsonpath {.a, unclosed action");
        check_error("custom-columns=", "error: custom-columns format specified but no custom columns given");
        check_error(
            "nope",
            "error: unable to match a printer suitable for the output format \"nope\", allowed formats are: custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,wide,yaml",
        );
        let error = printer(&flags("wide")).unwrap_err().render("weir");
        assert!(error.contains("\"wide\", allowed formats are: go-template,"), "{error}");
    }

    #[test]
    fn a_failing_path_shows_what_it_was_given() {
        let printer = printer(&flags("jsonpath={.kind[0]}")).unwrap().unwrap();
        let error = printer.print(&json!({"kind": "K"}), &streams("").0).unwrap_err();
        assert_eq!(
            error.render("weir"),
            "error: error executing jsonpath \"{.kind[0]}\": Error executing template: string is not array or slice. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{.kind[0]}\n\tobject given to jsonpath engine was:\n\t\tmap[string]interface {}{\"kind\":\"K\"}\n\n"
        );
    }
}
