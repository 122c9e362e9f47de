use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use machinery::image::{ImageStreamImport, TagEventCondition};
use machinery::status::ApiError;
use oci::Digest;
use oci::client::FaultyTransport;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::limits::FETCH_TIME;
use super::registries::MirrorList;
use super::testing::{Trouble, Upstream};
use super::world::World;
use super::{PullSecret, Surroundings};
use crate::stream::StreamLimits;

const APP: &str = "a.test/team/app";

/// A request to import `from` into the tags `to` of the stream `s`.
fn request(images: &[(&str, &str)]) -> Value {
    let entry = |(from, to): &(&str, &str)| json!({"from": {"kind": "DockerImage", "name": from}, "to": {"name": to}, "importPolicy": {"insecure": true}});
    let images: Vec<Value> = images.iter().map(entry).collect();
    json!({"metadata": {"name": "s"}, "spec": {"import": true, "images": images}})
}

async fn import(world: &World, images: &[(&str, &str)]) -> ImageStreamImport {
    world.import(request(images)).await.unwrap()
}

fn head(world: &World, tag: &str) -> Option<String> {
    world.held("s").and_then(|stream| stream.status.head(tag).map(|head| head.image.clone()))
}

fn condition(world: &World, tag: &str) -> TagEventCondition {
    world.held("s").unwrap().status.tag(tag).unwrap().conditions.first().cloned().unwrap_or_default()
}

/// The images of an answer, without the identities that differ from answer to answer.
fn shown(answer: &ImageStreamImport) -> Vec<Value> {
    let images = answer.status.images.iter();
    images
        .map(|entry| {
            let mut image = serde_json::to_value(&entry.image).unwrap();
            let metadata = image["metadata"].as_object_mut().unwrap();
            metadata
                .retain(|key, _| !["uid", "creationTimestamp", "resourceVersion"].contains(&key.as_str()));
            image
        })
        .collect()
}

fn one_image() -> (World, Digest) {
    let world = World::new();
    let digest = world.upstream.image(APP, "1", "one");
    (world, digest)
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_tag_costs_one_head_and_writes_nothing() {
    let (world, digest) = one_image();
    let first = import(&world, &[("a.test/team/app:1", "t")]).await;
    let cold = world.upstream.requests();
    assert_eq!(cold.len(), 2, "{cold:?}");
    let revision = world.revision();
    let again = import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(world.upstream.requests(), ["HEAD a.test/team/app/manifests/1"]);
    assert_eq!((world.revision(), head(&world, "t")), (revision, Some(digest.to_string())));
    assert_eq!(shown(&first), shown(&again));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_stored_image_answers_for_one_head() {
    let (mut world, _) = one_image();
    let first = import(&world, &[("a.test/team/app:1", "t")]).await;
    world.restart();
    world.upstream.requests();
    let again = import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(world.upstream.requests(), ["HEAD a.test/team/app/manifests/1"]);
    assert_eq!(shown(&first), shown(&again));
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moved_is_noticed() {
    let (world, _) = one_image();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    let moved = world.upstream.image(APP, "1", "two");
    import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(head(&world, "t"), Some(moved.to_string()));
    assert_eq!(world.held("s").unwrap().status.tag("t").unwrap().items.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_not_given_to_those_the_registry_refuses() {
    let (world, digest) = one_image();
    let by_digest = format!("{APP}@{digest}");
    import(&world, &[(&by_digest, "t")]).await;
    world.upstream.lock("a.test", "somebody:else");
    // What was learnt about the registry is believed for a while.
    tokio::time::advance(super::limits::REPOSITORY_AGE).await;
    let refused = import(&world, &[(&by_digest, "other")]).await;
    assert_eq!(refused.status.images[0].status.reason, "Unauthorized");
    assert_eq!(head(&world, "other"), None);
}

#[tokio::test(start_paused = true)]
async fn a_digest_that_is_only_claimed_gives_away_nothing() {
    let mut world = World::new();
    let secret = world.upstream.image("private.test/x/y", "1", "secret");
    let own = world.upstream.image("evil.test/x/y", "1", "own");
    import(&world, &[("private.test/x/y:1", "secret"), ("evil.test/x/y:1", "t")]).await;
    world.upstream.trouble("evil.test", Some(Trouble::Claims(secret.clone())));
    for _ in 0..2 {
        import(&world, &[("evil.test/x/y:1", "t")]).await;
        let by_digest = import(&world, &[(&format!("evil.test/x/y@{secret}"), "u")]).await;
        assert_eq!(head(&world, "t"), Some(own.to_string()));
        assert_eq!(by_digest.status.images[0].status.reason, "NotFound");
        world.restart();
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_image_gets_its_sizes_from_the_registry() {
    let world = World::new();
    let layer = world.upstream.blob(APP, b"twelve bytes");
    let head = format!(
        r#"{{"schemaVersion":1,"name":"team/app","tag":"1","architecture":"amd64","fsLayers":[{{"blobSum":"{layer}"}},{{"blobSum":"{layer}"}}],"history":[{{"v1Compatibility":"{{\"id\":\"new\",\"architecture\":\"amd64\"}}"}},{{"v1Compatibility":"{{\"id\":\"old\"}}"}}]"#
    );
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let protected =
        encode(format!(r#"{{"formatLength":{},"formatTail":"{}"}}"#, head.len(), encode(b"}")).as_bytes());
    let raw =
        format!(r#"{head},"signatures":[{{"header":{{}},"signature":"c2ln","protected":"{protected}"}}]}}"#);
    world.upstream.put(APP, "1", oci::media::DOCKER_SCHEMA1_SIGNED, raw.as_bytes());
    let answer = import(&world, &[("a.test/team/app:1", "t")]).await;
    let image = answer.status.images[0]
        .image
        .as_ref()
        .unwrap_or_else(|| panic!("{:?}", answer.status.images[0].status));
    let metadata: Value = serde_json::from_slice(&image.docker_image_metadata.raw).unwrap();
    assert_eq!((metadata["Id"].as_str(), metadata["Size"].as_i64()), (Some("new"), Some(12)));
    assert_eq!(image.docker_image_layers.len(), 2);
    let asked = world.upstream.requests().iter().filter(|request| request.starts_with("HEAD")).count();
    assert_eq!(asked, 1, "each layer once");
}

#[tokio::test(start_paused = true)]
async fn one_failure_is_told_and_the_others_are_imported() {
    let (world, digest) = one_image();
    world.upstream.trouble("down.test", Some(Trouble::Refused));
    let images = [("a.test/team/app:1", "t"), ("a.test/team/app:no", "no"), ("down.test/x/y:1", "down")];
    let answer = import(&world, &images).await;
    let reasons: Vec<&str> = answer.status.images.iter().map(|image| image.status.reason.as_str()).collect();
    assert_eq!(reasons, ["", "NotFound", "InternalError"]);
    assert_eq!(head(&world, "t"), Some(digest.to_string()));
    assert_eq!(condition(&world, "no").reason, "NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_silent_host_fails_alone_and_in_time() {
    let (world, digest) = one_image();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    world.upstream.trouble("silent.test", Some(Trouble::Silent));
    let start = Instant::now();
    let answer = import(&world, &[("silent.test/x/y:1", "t"), ("a.test/team/app:1", "u")]).await;
    assert!(start.elapsed() <= FETCH_TIME + Duration::from_secs(1), "{:?}", start.elapsed());
    let message = &answer.status.images[0].status.message;
    assert!(message.starts_with("Internal error occurred: silent.test/x/y:1: "), "{message}");
    assert!(message.contains("context deadline exceeded"), "{message}");
    assert_eq!(head(&world, "u"), Some(digest.to_string()));
    assert_eq!(head(&world, "t"), Some(digest.to_string()), "the last good image stays");
}

#[tokio::test(start_paused = true)]
async fn trouble_at_the_registry_is_never_taken_for_a_deletion() {
    const MISSING: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"x"}]}"#;
    let (world, digest) = one_image();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    let troubles = [
        Trouble::Answers(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#, None),
        Trouble::Answers(429, MISSING, None),
        Trouble::Answers(503, "sorry", None),
        Trouble::Answers(500, MISSING, None),
        Trouble::Answers(403, "<html>", None),
        Trouble::Refused,
    ];
    for trouble in troubles {
        world.upstream.trouble("a.test", Some(trouble.clone()));
        let answer = import(&world, &[("a.test/team/app:1", "t")]).await;
        assert_eq!(answer.status.images[0].status.reason, "InternalError", "{trouble:?}");
        assert_eq!(head(&world, "t"), Some(digest.to_string()), "{trouble:?}");
    }
    world.upstream.trouble("a.test", None);
    import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(condition(&world, "t"), TagEventCondition::default());
}

#[tokio::test(start_paused = true)]
async fn content_that_is_not_what_its_digest_says_is_refused_in_plain_words() {
    let (world, digest) = one_image();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    let other = world.upstream.image(APP, "2", "two");
    world.upstream.trouble("a.test", Some(Trouble::Corrupt));
    let answer = import(&world, &[(&format!("{APP}@{other}"), "t")]).await;
    let message = &answer.status.images[0].status.message;
    assert!(message.contains("content integrity error: the manifest retrieved with digest"), "{message}");
    assert_eq!(condition(&world, "t").message, *message);
    assert_eq!(head(&world, "t"), Some(digest.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_registry_asks_for_is_kept_by_everybody() {
    let (world, _) = one_image();
    let busy = Trouble::Answers(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"x"}]}"#, Some(10));
    world.upstream.trouble("a.test", Some(busy));
    import(&world, &[("a.test/team/app:1", "t")]).await;
    world.upstream.trouble("a.test", None);
    let start = Instant::now();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    assert!(head(&world, "t").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_many_want_at_the_same_time_is_fetched_once() {
    let world = World::new();
    world.upstream.pace(Duration::from_millis(50));
    let child = world.upstream.image(APP, "", "one");
    world.upstream.list(APP, "1", &[("linux/amd64", &child)]);
    let imports = (0..20).map(|at| {
        let mut asked = request(&[("a.test/team/app:1", "t")]);
        asked["metadata"]["name"] = format!("s{at}").into();
        world.import(asked)
    });
    for answer in futures_util::future::join_all(imports).await {
        assert_eq!(answer.unwrap().status.images[0].image.as_ref().unwrap().metadata.name, child.as_str());
    }
    let requests = world.upstream.requests();
    let child_requests = requests.iter().filter(|request| request.contains(child.as_str())).count();
    let blobs = requests.iter().filter(|request| request.contains("/blobs/")).count();
    assert_eq!((child_requests, blobs), (1, 1), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn passwords_that_a_registry_does_not_know_are_left_out_the_second_time() {
    let world = World::new();
    world.upstream.give_tokens("hub.test");
    let digest = world.upstream.image("hub.test/team/app", "1", "one");
    let data = br#"{"auths":{"hub.test":{"username":"u","password":"old"}}}"#.to_vec();
    let secret = PullSecret { kind: "kubernetes.io/dockerconfigjson".into(), data: Some(data) };
    world.secrets.lock().unwrap().insert("pull".into(), secret);
    let answer = import(&world, &[("hub.test/team/app:1", "t"), ("hub.test/team/app:no", "no")]).await;
    assert_eq!(head(&world, "t"), Some(digest.to_string()));
    assert_eq!(answer.status.images[1].status.reason, "NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_another_version_of_the_stream_is_refused() {
    let (world, _) = one_image();
    let mut stale = request(&[("a.test/team/app:1", "t")]);
    stale["metadata"]["resourceVersion"] = "7".into();
    assert_eq!(world.import(stale.clone()).await.unwrap_err().code(), 404);
    import(&world, &[("a.test/team/app:1", "t")]).await;
    let error = world.import(stale).await.unwrap_err();
    assert!(error.is_conflict());
    assert!(error.0.message.contains("the image stream was updated from \"7\" to \"101\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn looking_stores_nothing() {
    let (mut world, _) = one_image();
    let mut look = request(&[("a.test/team/app:1", "t")]);
    look["spec"]["import"] = false.into();
    look["spec"]["images"][0]["includeManifest"] = true.into();
    let answer = world.import(look).await.unwrap();
    assert!(!answer.status.images[0].image.as_ref().unwrap().docker_image_manifest.is_empty());
    world.dry_run = true;
    let dry = import(&world, &[("a.test/team/app:1", "t")]).await;
    assert!(dry.status.import.is_some());
    assert_eq!((world.held("s"), world.image_count(), world.revision()), (None, 0, 100));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_deleted_comes_back_with_the_next_import() {
    let (world, digest) = one_image();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    world.forget_image(digest.as_str());
    import(&world, &[("a.test/team/app:1", "t")]).await;
    assert!(Surroundings::image(&world, digest.as_str()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_told_in_the_tags_that_it_forbids() {
    let (mut world, digest) = one_image();
    world.upstream.image(APP, "2", "two");
    import(&world, &[("a.test/team/app:1", "t")]).await;
    world.limits = StreamLimits { images: Some(1), ..Default::default() };
    let error: ApiError = world.import(request(&[("a.test/team/app:2", "u")])).await.unwrap_err();
    assert!(error.0.message.contains("exceeds the maximum limit"), "{error}");
    let told = condition(&world, "u");
    assert_eq!((told.reason.as_str(), told.message), ("Invalid", error.0.message.clone()));
    assert_eq!(head(&world, "t"), Some(digest.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_not_on_the_list_is_refused() {
    let (mut world, _) = one_image();
    let allowed = crate::settings::AllowedRegistry { domain_name: "quay.io".into(), insecure: false };
    world.images.allowed_registries_for_import = vec![allowed];
    let error = world.import(request(&[("a.test/team/app:1", "t")])).await.unwrap_err();
    assert_eq!(
        error.0.message,
        "ImageStreamImport.image.openshift.io \"s\" is invalid: spec.images[0].from.name: Forbidden: importing images \
         from registry \"a.test:80\" is forbidden: registry \"a.test\" not allowed by whitelist: \"quay.io:443\""
    );
}

#[tokio::test(start_paused = true)]
async fn a_repository_takes_its_most_interesting_tags_and_names_the_rest() {
    let mut world = World::new();
    world.images.max_images_bulk_imported_per_repository = 2;
    for tag in ["edge", "1.0", "v1.0.1", "latest", "2.0"] {
        world.upstream.image(APP, tag, tag);
    }
    let from = json!({"kind": "DockerImage", "name": APP});
    let asked = json!({"metadata": {"name": "s"}, "spec": {"import": true,
        "repository": {"from": from, "importPolicy": {"insecure": true}},
        "images": [{"from": {"kind": "DockerImage", "name": "a.test/team/app:edge"}, "to": {"name": "mine"}}]}});
    let repository = world.import(asked).await.unwrap().status.repository.unwrap();
    let imported: Vec<&str> = repository.images.iter().map(|image| image.tag.as_str()).collect();
    assert_eq!(imported, ["latest", "2.0", "edge"]);
    assert_eq!(repository.additional_tags, ["1.0", "v1.0.1"]);
    assert!(world.held("s").unwrap().spec.tag("1.0").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_answer_does_not_depend_on_who_asked_before() {
    let world = World::new();
    let children = ["amd64", "arm64"].map(|arch| (arch, world.upstream.image(APP, "", arch)));
    let platforms =
        children.iter().map(|(arch, digest)| (format!("linux/{arch}"), digest)).collect::<Vec<_>>();
    let listed: Vec<(&str, &Digest)> =
        platforms.iter().map(|(name, digest)| (name.as_str(), *digest)).collect();
    world.upstream.list(APP, "1", &listed);
    let mut whole = request(&[("a.test/team/app:1", "all")]);
    whole["spec"]["images"][0]["importPolicy"]["importMode"] = "PreserveOriginal".into();
    let first = world.import(whole.clone()).await.unwrap();
    import(&world, &[("a.test/team/app:1", "one")]).await;
    let second = world.import(whole).await.unwrap();
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(first.status.images[0].manifests.len(), 2);
    assert_eq!(head(&world, "one").as_deref(), Some(children[0].1.as_str()));
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_on_the_way_a_tag_points_at_an_image_that_was_there() {
    for seed in 0..40 {
        let upstream = Arc::new(Upstream::default());
        let faulty = FaultyTransport::seeded(Arc::clone(&upstream) as _, seed, 4);
        let world = World::over(Arc::clone(&upstream), Arc::new(faulty));
        let mut known = Vec::new();
        for round in 0..6 {
            known.push(upstream.image(APP, "1", &format!("state {}", round / 2)).to_string());
            let answer = import(&world, &[("a.test/team/app:1", "t")]).await;
            let status = &answer.status.images[0].status;
            assert_ne!(status.reason, "NotFound", "seed {seed}: {}", status.message);
            if status.status == "Success" {
                assert_eq!(head(&world, "t").as_ref(), known.last(), "seed {seed}");
            }
            if let Some(head) = head(&world, "t") {
                assert!(known.contains(&head), "seed {seed}");
                assert!(Surroundings::image(&world, &head).is_some(), "seed {seed}");
            }
            tokio::time::advance(Duration::from_secs(30)).await;
        }
    }
}

fn mirrored(world: &World, source: &str, mirrors: &[&str], by_digest: bool) {
    let list = MirrorList {
        source: source.to_owned(),
        mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
        ..Default::default()
    };
    let mut config = world.registries.lock().unwrap();
    if by_digest { config.digest_mirrors.push(list) } else { config.tag_mirrors.push(list) }
}

#[tokio::test(start_paused = true)]
async fn mirrors_are_asked_in_order_and_the_name_stays_the_sources() {
    let world = World::new();
    let digest = world.upstream.image("m.test/copies/app", "1", "one");
    mirrored(&world, "a.test/team", &["empty.test", "m.test/copies"], false);
    let answer = import(&world, &[("a.test/team/app:1", "t")]).await;
    let image = answer.status.images[0].image.as_ref().unwrap();
    assert_eq!(image.docker_image_reference, format!("a.test/team/app@{digest}"));
    let asked = world.upstream.requests();
    assert_eq!(asked[0], "GET empty.test/app/manifests/1");
    assert!(asked[1..].iter().all(|request| request.contains(" m.test/copies/app/")), "{asked:?}");
    import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(
        world.upstream.requests(),
        [
            "HEAD empty.test/app/manifests/1",
            "GET empty.test/app/manifests/1",
            "HEAD m.test/copies/app/manifests/1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_source_is_asked_last_and_all_reasons_are_told() {
    let (world, digest) = one_image();
    mirrored(&world, "a.test", &["empty.test"], false);
    world.upstream.trouble("dead.test", Some(Trouble::Refused));
    mirrored(&world, "b.test", &["empty.test", "dead.test"], false);
    let answer = import(&world, &[("a.test/team/app:1", "t"), ("b.test/x:1", "u")]).await;
    assert_eq!(head(&world, "t"), Some(digest.to_string()));
    let status = &answer.status.images[1].status;
    assert_eq!(status.code, 500);
    let message = &status.message;
    let begin = "Internal error occurred: [dockerimage.image.openshift.io \"empty.test/x:1\" not found, dead.test/x:1: ";
    let end = ", dockerimage.image.openshift.io \"b.test/x:1\" not found]";
    assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
    assert_eq!(condition(&world, "u").message, *message);
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_hangs_leaves_time_for_the_source() {
    let (world, digest) = one_image();
    world.upstream.trouble("hung.test", Some(Trouble::Silent));
    mirrored(&world, "a.test", &["hung.test"], false);
    let begin = Instant::now();
    import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(head(&world, "t"), Some(digest.to_string()));
    assert!(begin.elapsed() < FETCH_TIME, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn children_of_a_list_are_looked_for_at_the_mirrors_for_digests() {
    let world = World::new();
    let child = world.upstream.image("digests.test/app", "1", "one");
    world.upstream.image("tags.test/app", "1", "one");
    world.upstream.list("tags.test/app", "all", &[("linux/amd64", &child)]);
    mirrored(&world, "a.test/team", &["tags.test"], false);
    let mut both = request(&[("a.test/team/app:all", "t"), ("a.test/team/app:all", "u")]);
    both["spec"]["images"][0]["importPolicy"]["importMode"] = "PreserveOriginal".into();
    let answer = world.import(both.clone()).await.unwrap();
    let failed = &answer.status.images[0].status;
    // Only the source may be asked for digests so far; a single child comes from where the list was.
    assert_eq!(
        failed.message,
        format!("dockerimage.image.openshift.io \"a.test/team/app@{child}\" not found")
    );
    assert_eq!(answer.status.images[1].status.status, "Success");
    mirrored(&world, "a.test/team", &["digests.test"], true);
    let answer = world.import(both).await.unwrap();
    assert_eq!(answer.status.images[0].status.status, "Success", "{:?}", answer.status.images[0].status);
    let children = &answer.status.images[0].manifests;
    assert_eq!(children[0].docker_image_reference, format!("a.test/team/app@{child}"));
}

#[tokio::test(start_paused = true)]
async fn each_mirror_is_shown_its_own_credentials() {
    let world = World::new();
    world.upstream.image("m.test/app", "1", "one");
    world.upstream.lock("m.test", "user:word");
    mirrored(&world, "a.test/team", &["m.test"], false);
    let auth = base64::engine::general_purpose::STANDARD.encode("user:word");
    let data = json!({"auths": {"m.test": {"auth": auth}}}).to_string().into_bytes();
    let secret = PullSecret { kind: "kubernetes.io/dockerconfigjson".into(), data: Some(data) };
    world.secrets.lock().unwrap().insert("s".into(), secret);
    let answer = import(&world, &[("a.test/team/app:1", "t")]).await;
    assert_eq!(answer.status.images[0].status.status, "Success", "{:?}", answer.status.images[0].status);
}
