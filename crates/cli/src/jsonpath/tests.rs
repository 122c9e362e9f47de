use super::*;
use serde_json::json;

fn stream() -> Value {
    let tag = |name: &str, generation: i64| {
        json!({"name": name, "annotations": null, "from": {"kind": "DockerImage", "name": "example.com/x:1"},
            "generation": generation, "importPolicy": {"importMode": "Legacy"}, "reference": true})
    };
    json!({
        "kind": "ImageStream",
        "metadata": {"name": "app", "namespace": "ns", "labels": {"example.com/part": "core", "team": "one"}},
        "spec": {"lookupPolicy": {"local": false}, "tags": [tag("1", 1), tag("2", 2), tag("3", 3)]},
    })
}

fn render(template: &str) -> Result<String, String> {
    Template::parse(template).and_then(|template| template.render(&stream(), true))
}

#[track_caller]
fn check(template: &str, want: &str) {
    assert_eq!(render(template).as_deref(), Ok(want), "{template}");
}

#[track_caller]
fn check_error(template: &str, want: &str) {
    assert_eq!(render(template), Err(want.to_owned()), "{template}");
}

#[test]
fn paths_reach_fields() {
    check("{.metadata.name}", "app");
    check("{@.metadata.name}", "app");
    check("{$.metadata.name}", "app");
    check("{.metadata.labels.example\\.com/part}", "core");
    check("{['metadata'].name}", "app");
    check("{['metadata','kind']}", &format!("{} ImageStream", golang::json(&stream()["metadata"])));
}

#[test]
fn lists_take_indexes_and_slices() {
    check("{.spec.tags[0].name}", "1");
    check("{.spec.tags[-1].name}", "3");
    check("{.spec.tags[0:2].name}", "1 2");
    check("{.spec.tags[1:].name}", "2 3");
    check("{.spec.tags[:-1].name}", "1 2");
    check("{.spec.tags[::2].name}", "1 3");
    check("{.spec.tags[0,2].name}", "1 3");
    check("{.spec.tags[*].from.name}", "example.com/x:1 example.com/x:1 example.com/x:1");
    check("{.spec.tags[1:1].name}", "");
    check_error("{.spec.tags[9].name}", "array index out of bounds: index 9, length 3");
    check_error("{.spec[0]}", "map[string]interface {} is not array or slice");
}

#[test]
fn filters_compare_one_thing() {
    check("{.spec.tags[?(@.name==\"2\")].generation}", "2");
    check("{.spec.tags[?(@.name=='2')].generation}", "2");
    check("{.spec.tags[?(@.name!=\"2\")].name}", "1 3");
    check("{.spec.tags[?(@.reference==true)].name}", "1 2 3");
    check("{.spec.tags[?(@.generation>1)].name}", "2 3");
    check("{.spec.tags[?(@.generation<=2)].name}", "1 2");
    check("{.spec.tags[?(@.nope)].name}", "");
    check("{.spec.tags[?(@.importPolicy)].name}", "1 2 3");
    check_error("{.spec.tags[?(@.name=2)].name}", "unrecognized filter operator =");
    check_error("{.spec.tags[?(@.name=~/x/)].name}", "unrecognized character in action: U+007E '~'");
    check_error(
        "{.spec.tags[?(@.name==\"1\" || @.name==\"2\")].name}",
        "unrecognized character in action: U+007C '|'",
    );
}

#[test]
fn ranges_repeat_their_body() {
    check("{range .spec.tags[*]}[{.name}:{.generation}]{end}", "[1:1][2:2][3:3]");
    check(
        "{range .spec.tags[*]}{.name}{\"\\t\"}{.from.kind}{\"\\n\"}{end}x",
        "1\tDockerImage\n2\tDockerImage\n3\tDockerImage\nx",
    );
    check("{range .spec.tags[*]}{.name}", "123");
    check("{range .nope[*]}{.name}{end}after", "after");
    check("{range .spec.tags[0:2]}{range .from}{.kind}{end},{end}", "DockerImage,DockerImage,");
    check_error("{end}", "not in range, nothing to end");
}

#[test]
fn what_is_missing_prints_nothing() {
    check("{.nope}", "");
    check("{.metadata.name.first}", "");
    check("{.length()}", "");
    check("{.spec.tags[0].annotations}", "null");
    let template = Template::parse("{.metadata.nope}").unwrap();
    assert_eq!(template.render(&stream(), false), Err("nope is not found".to_owned()));
}

#[test]
fn text_stays() {
    check("text {.metadata.name} more", "text app more");
    check(".metadata.name", ".metadata.name");
    check("{\"a\\n\"}", "a\n");
    check("{.spec.lookupPolicy}", "{\"local\":false}");
    check("{.metadata.labels}", "{\"example.com/part\":\"core\",\"team\":\"one\"}");
}

#[test]
fn everything_below_comes_parents_first() {
    check("{..kind}", "ImageStream DockerImage DockerImage DockerImage");
    check("{.spec..name}", "1 example.com/x:1 2 example.com/x:1 3 example.com/x:1");
}

#[test]
fn bad_templates_say_why() {
    check_error("{.metadata.name", "unclosed action");
    check_error("{.spec.tags[a].name}", "invalid array index a");
    check_error("{.metadata[\"name\"]}", "invalid array index \"name\"");
    check_error("{.spec.tags[", "unterminated array");
    check_error("{{.a}}", "unrecognized character in action: U+007B '{'");
    check_error("{nope}", "unrecognized identifier nope");
}

#[test]
fn bare_paths_come_in_four_forms() {
    for path in [".metadata.name", "metadata.name", "{.metadata.name}", "{metadata.name}"] {
        let template = Template::parse_relaxed(path).unwrap();
        assert_eq!(template.render(&stream(), true).unwrap(), "app", "{path}");
    }
    assert!(Template::parse_relaxed("{.a}{.b}").is_err());
    assert!(Template::parse_relaxed("nope[").is_err());
}

proptest::proptest! {
    #[test]
    fn no_template_panics(text in "[{}\\[\\]().@$*?:,'\"a-c0-9 =<>!|~\\\\-]{0,24}") {
        if let Ok(template) = Template::parse(&text) {
            drop(template.render(&stream(), true));
            drop(template.render(&stream(), false));
        }
    }

    #[test]
    fn no_expression_panics(text in "\\{(\\.|\\.\\.|\\[|\\]|\\*|spec|tags|range|end|-?[0-9]{1,2}|:|,|'|\\?\\(|@|==|\\)|\\}|\\{){0,16}\\}") {
        if let Ok(template) = Template::parse(&text) {
            drop(template.render(&stream(), true));
        }
    }
}
