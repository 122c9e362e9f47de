//! Pages of tags and of repositories.

use serde_json::json;

use super::harness::Harness;

#[tokio::test]
async fn tags_are_sorted_by_byte_and_come_in_pages() {
    let harness = Harness::new().await;
    for tag in ["b", "a", "10", "9", "A", "v1.0", "v1"] {
        harness.push("demo/app", tag, "layer").await;
    }
    let all = json!(["10", "9", "A", "a", "b", "v1", "v1.0"]);
    assert_eq!(harness.get("/v2/demo/app/tags/list").await.json()["tags"], all);
    let mut next = "/v2/demo/app/tags/list?n=3".to_owned();
    let mut walked = Vec::new();
    while !next.is_empty() {
        let page = harness.get(&next).await.is(200);
        walked.extend(page.json()["tags"].as_array().unwrap().clone());
        let link = page.header("link");
        next = link.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap_or_default().0.to_owned();
    }
    assert_eq!(json!(walked), all);
    let none = harness.get("/v2/demo/app/tags/list?n=0").await.is(200);
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), ""));
    let beyond = harness.get("/v2/demo/app/tags/list?last=zzz").await;
    assert_eq!(beyond.json()["tags"], json!([]));
    for bad in ["x", "-1", "1.5"] {
        let path = format!("/v2/demo/app/tags/list?n={bad}");
        harness.get(&path).await.fails(400, "PAGINATION_NUMBER_INVALID");
    }
    harness.get("/v2/demo/nowhere/tags/list").await.fails(404, "NAME_UNKNOWN");
    harness.catalog.make("demo/empty");
    assert_eq!(
        harness.get("/v2/demo/empty/tags/list").await.json(),
        json!({"name": "demo/empty", "tags": []})
    );
}

#[tokio::test]
async fn everybody_sees_their_own_repositories() {
    let harness = Harness::new().await;
    for repository in ["demo/b", "demo/a", "other/c"] {
        harness.push(repository, "v1", "layer").await;
    }
    let seen = async |user: &str, query: &str| {
        harness.ask_as(user, "GET", &format!("/v2/_catalog{query}")).send().await
    };
    assert_eq!(seen("admin", "").await.json()["repositories"], json!(["demo/a", "demo/b", "other/c"]));
    assert_eq!(seen("puller", "").await.json()["repositories"], json!(["demo/a", "demo/b"]));
    assert_eq!(seen("none", "").await.json()["repositories"], json!([]));
    let page = seen("admin", "?n=1&last=demo/a").await;
    assert_eq!(page.json()["repositories"], json!(["demo/b"]));
    assert_eq!(page.header("link"), "</v2/_catalog?last=demo/b&n=1>; rel=\"next\"");
    seen("", "").await.is(401);
}
