//! What a request names: repositories, perhaps with tags. Nothing else of a body is used, and nothing that it names is ever
//! fetched because it was named: only what streams follow already is looked at.

use std::net::IpAddr;

use oci::Reference;
use oci::client::AddressPolicy;
use serde_json::Value;

use super::limits::MENTIONS;
use super::sender::Sender;
use crate::workload::text;

/// An image that changed, as somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Host and port of the registry.
    pub registry: String,
    /// The path.
    pub repository: String,
    /// The tag; empty for all.
    pub tag: String,
    /// Repositories below the path are meant, too.
    pub below: bool,
}

/// What a body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The images.
    pub mentions: Vec<Mention>,
    /// Identities by which a repeat is known.
    pub ids: Vec<String>,
}

/// Reads a body. `registry` is what the hook says about where images are, if it says.
///
/// # Errors
/// Why it is not what this sender sends.
pub fn read(sender: Sender, body: &[u8], registry: &str) -> Result<Said, String> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let said = match sender {
        Sender::DockerHub => docker_hub(&body),
        Sender::GitHub => github(&body, registry),
        Sender::GitLab => gitlab(&body, registry),
        Sender::Harbor => harbor(&body),
        Sender::Quay => quay(&body),
        Sender::Distribution => distribution(&body, registry),
        Sender::CloudEvents => cloud_event(&body),
        Sender::Plain => plain(&body),
    }?;
    if said.mentions.len() > MENTIONS {
        return Err(format!("the body names {} images, at most {MENTIONS} are taken", said.mentions.len()));
    }
    said.mentions.iter().try_for_each(check)?;
    Ok(said)
}

fn check(mention: &Mention) -> Result<(), String> {
    let host = mention.registry.rsplit_once(':').map_or(mention.registry.as_str(), |(host, _)| host);
    let inside = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if inside.is_ok_and(|address| !AddressPolicy::default().allows(address)) {
        return Err(format!("no registry is at {}", mention.registry));
    }
    Ok(())
}

/// The image of a pull spec.
fn image(spec: &str) -> Result<Mention, String> {
    let found = Reference::parse(spec).map_err(|error| format!("{:?} is no image: {error}", clip(spec)))?;
    let tag = if found.id.is_empty() { found.tag.clone() } else { String::new() };
    let full = found.docker_client_defaults().as_v2();
    if full.name.is_empty() {
        return Err(format!("{:?} is no image", clip(spec)));
    }
    let repository = full.repository_name();
    Ok(Mention { registry: full.registry, repository, tag, below: false })
}

fn tagged(repository: &str, tag: &str) -> Result<Mention, String> {
    Ok(Mention { tag: tag.to_owned(), ..image(repository)? })
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

fn said(mentions: impl IntoIterator<Item = Result<Mention, String>>) -> Result<Said, String> {
    let mentions = mentions.into_iter().take(MENTIONS + 1).collect::<Result<_, _>>()?;
    Ok(Said { mentions, ids: Vec::new() })
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn needed<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, String> {
    Some(at(value, pointer))
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("the body has no {pointer}"))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn docker_hub(body: &Value) -> Result<Said, String> {
    let repository = format!("docker.io/{}", needed(body, "/repository/repo_name")?);
    said([tagged(&repository, at(body, "/push_data/tag"))])
}

fn github(body: &Value, registry: &str) -> Result<Said, String> {
    let package = body.get("package").or_else(|| body.get("registry_package"));
    let Some(package) = package else { return Ok(Said::default()) };
    if !text(package, "package_type").eq_ignore_ascii_case("container") {
        return Ok(Said::default());
    }
    let registry = if registry.is_empty() { "ghcr.io" } else { registry };
    let owner = Some(at(package, "/owner/login")).filter(|owner| !owner.is_empty());
    let owner = owner.unwrap_or_else(|| at(package, "/namespace"));
    let repository = format!("{registry}/{owner}/{}", needed(package, "/name")?).to_ascii_lowercase();
    said([tagged(&repository, at(package, "/package_version/container_metadata/tag/name"))])
}

/// GitLab does not tell of images, only of what makes them: everything in the project's part of its registry is meant.
fn gitlab(body: &Value, registry: &str) -> Result<Said, String> {
    let path = needed(body, "/project/path_with_namespace")?.to_ascii_lowercase();
    let registry = if registry.is_empty() {
        let web = needed(body, "/project/web_url")?.split("://").nth(1).unwrap_or_default();
        format!("registry.{}", web.split(['/', ':']).next().unwrap_or_default())
    } else {
        registry.to_owned()
    };
    said([image(&format!("{registry}/{path}")).map(|mention| Mention { below: true, ..mention })])
}

fn harbor(body: &Value) -> Result<Said, String> {
    // In its other format the same data is in an envelope.
    let data = body.get("event_data").or_else(|| body.get("data")).unwrap_or(body);
    let mut said = said(list(data, "/resources").iter().map(|one| match text(one, "tag") {
        "" => image(text(one, "resource_url")),
        tag => tagged(text(one, "resource_url"), tag),
    }))?;
    said.ids = Some(text(body, "id")).filter(|id| !id.is_empty()).map(str::to_owned).into_iter().collect();
    Ok(said)
}

fn quay(body: &Value) -> Result<Said, String> {
    let repository = needed(body, "/docker_url")?;
    match list(body, "/updated_tags") {
        [] => said([image(repository)]),
        tags => said(tags.iter().filter_map(Value::as_str).map(|tag| tagged(repository, tag))),
    }
}

fn distribution(body: &Value, registry: &str) -> Result<Said, String> {
    let events = list(body, "/events");
    let pushes = events.iter().filter(|event| matches!(text(event, "action"), "push" | "delete"));
    let mut said = said(pushes.map(|event| {
        let host = if registry.is_empty() { at(event, "/request/host") } else { registry };
        if host.is_empty() {
            return Err("the event does not say which registry it is of: set spec.registry".to_owned());
        }
        tagged(&format!("{host}/{}", needed(event, "/target/repository")?), at(event, "/target/tag"))
    }))?;
    let ids = events.iter().map(|event| text(event, "id")).filter(|id| !id.is_empty());
    said.ids = ids.take(MENTIONS).map(str::to_owned).collect();
    Ok(said)
}

fn cloud_event(body: &Value) -> Result<Said, String> {
    let mut said = if text(body, "source") == "aws.ecr" {
        ecr(body)
    } else {
        let data = body.get("data").unwrap_or(body);
        if text(data, "source") == "aws.ecr" { ecr(data) } else { plain(data) }
    }?;
    let id = format!("{} {}", text(body, "source"), text(body, "id"));
    said.ids = Some(id).filter(|_| !text(body, "id").is_empty()).into_iter().collect();
    Ok(said)
}

/// Amazon's registry, as `EventBridge` tells of it.
fn ecr(event: &Value) -> Result<Said, String> {
    if at(event, "/detail/action-type") != "PUSH" || at(event, "/detail/result") != "SUCCESS" {
        return Ok(Said::default());
    }
    let (account, region) = (needed(event, "/account")?, needed(event, "/region")?);
    let repository = needed(event, "/detail/repository-name")?;
    let repository = format!("{account}.dkr.ecr.{region}.amazonaws.com/{repository}");
    said([tagged(&repository, at(event, "/detail/image-tag"))])
}

/// `{"image": "HOST/PATH:TAG"}`, `{"repository": "HOST/PATH", "tag": "TAG"}`, or `{"images": […]}` of either.
fn plain(body: &Value) -> Result<Said, String> {
    let one = |body: &Value| match body {
        Value::String(spec) => image(spec),
        body if !text(body, "image").is_empty() => image(text(body, "image")),
        body => tagged(needed(body, "/repository")?, text(body, "tag")),
    };
    match body.get("images").and_then(Value::as_array) {
        Some(images) => said(images.iter().map(one)),
        None => said([one(body)]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(sender: Sender, body: &Value, want: &[&str]) {
        let said = read(sender, body.to_string().as_bytes(), "").unwrap();
        let show = |one: &Mention| {
            let below = if one.below { "/..." } else { "" };
            format!("{}/{}{below}:{}", one.registry, one.repository, one.tag)
        };
        assert_eq!(said.mentions.iter().map(show).collect::<Vec<_>>(), want, "{body}");
    }

    #[test]
    fn every_sender_says_it_in_its_own_way() {
        let hub =
            json!({"push_data": {"tag": "latest"}, "repository": {"repo_name": "svendowideit/testhook"}});
        check(Sender::DockerHub, &hub, &["registry-1.docker.io/svendowideit/testhook:latest"]);
        let official = json!({"push_data": {"tag": "1"}, "repository": {"repo_name": "busybox"}});
        check(Sender::DockerHub, &official, &["registry-1.docker.io/library/busybox:1"]);
        let github = json!({"action": "published", "package": {
            "name": "App", "package_type": "CONTAINER", "owner": {"login": "Acme"},
            "package_version": {"container_metadata": {"tag": {"name": "v1"}}},
        }});
        check(Sender::GitHub, &github, &["ghcr.io/acme/app:v1"]);
        check(Sender::GitHub, &json!({"zen": "Keep it logically awesome.", "hook_id": 1}), &[]);
        let gitlab = json!({"object_kind": "pipeline", "project": {
            "path_with_namespace": "Acme/app", "web_url": "https://gitlab.example/acme/app"}});
        check(Sender::GitLab, &gitlab, &["registry.gitlab.example/acme/app/...:"]);
        let resources =
            json!([{"digest": "sha256:1", "tag": "v1", "resource_url": "harbor.example/proj/app:v1"}]);
        let harbor = json!({"type": "PUSH_ARTIFACT", "occur_at": 1, "event_data": {"resources": resources}});
        check(Sender::Harbor, &harbor, &["harbor.example/proj/app:v1"]);
        let quay =
            json!({"repository": "a/b", "docker_url": "quay.io/a/b", "updated_tags": ["latest", "v2"]});
        check(Sender::Quay, &quay, &["quay.io/a/b:latest", "quay.io/a/b:v2"]);
        let event = |action: &str| {
            json!({
                "id": action, "action": action, "target": {"repository": "a/b/c", "tag": "t"},
                "request": {"host": "r.example:5000"},
            })
        };
        let distribution = json!({"events": [event("pull"), event("push")]});
        check(Sender::Distribution, &distribution, &["r.example:5000/a/b/c:t"]);
        let ecr = json!({
            "id": "1", "source": "aws.ecr", "account": "123456789012", "region": "us-west-2",
            "detail": {"result": "SUCCESS", "action-type": "PUSH", "repository-name": "team/app", "image-tag": "v1"},
        });
        let host = "123456789012.dkr.ecr.us-west-2.amazonaws.com/team/app:v1";
        check(Sender::CloudEvents, &ecr, &[host]);
        check(Sender::CloudEvents, &json!({"id": "2", "source": "x", "data": ecr}), &[host]);
        check(Sender::Plain, &json!({"repository": "r.example/a", "tag": "v"}), &["r.example/a:v"]);
        check(
            Sender::Plain,
            &json!({"images": ["r.example/a:v", {"image": "r.example/b"}]}),
            &["r.example/a:v", "r.example/b:"],
        );
    }

    #[test]
    fn what_is_no_image_or_points_inside_or_is_too_much_is_refused() {
        let refused = |body: &Value| read(Sender::Plain, body.to_string().as_bytes(), "").unwrap_err();
        let inside = refused(&json!({"image": "169.254.169.254/latest/meta-data"}));
        assert_eq!(inside, "no registry is at 169.254.169.254");
        assert!(refused(&json!({"repository": "http://169.254.169.254/latest"})).contains("is no image"));
        assert!(refused(&json!({})).contains("the body has no /repository"));
        let many: Vec<String> = (0..1_000_000).map(|at| format!("r.example/{at}")).collect();
        assert!(refused(&json!({"images": many})).contains("at most 1000 are taken"));
        assert!(read(Sender::Plain, b"[[[", "").unwrap_err().contains("no JSON"));
    }
}
