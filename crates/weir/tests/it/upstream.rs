//! Letting tags move in the open upstream registry, over the distribution API.
//!
//! Some recorded cases need a tag to appear, move or vanish in their middle. An image goes to another name with
//! everything it needs; blobs are mounted from the old repository, not sent again.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::api::{Answer, Api, Request};

/// Every kind of manifest that the upstream registries hold.
const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.index.v1+json";

/// A registry that anybody may write to.
#[derive(Debug)]
pub(crate) struct Upstream(Api);

impl Upstream {
    /// The registry at `host:port`.
    pub(crate) fn at(host: &str) -> Self {
        Self(Api::new(&format!("http://{host}"), None, None))
    }

    /// Gives the image `source` (`/repository:tag`) the name `target` as well: 201 and nothing else when it worked.
    pub(crate) async fn copy(&self, source: &str, target: &str) -> Result<Answer, String> {
        let ((old, reference), (new, tag)) = (split(source)?, split(target)?);
        self.put(old, reference, new, tag).await
    }

    /// Takes the image `name` (`/repository:tag`) out of its repository: 202 and nothing else when it worked.
    pub(crate) async fn remove(&self, name: &str) -> Result<Answer, String> {
        let (repository, tag) = split(name)?;
        let (manifest, _) = self.manifest(repository, tag).await?;
        let digest = manifest.header_values("Docker-Content-Digest").join("");
        let answer =
            self.ask(&Request::new("DELETE", format!("/v2/{repository}/manifests/{digest}"))).await?;
        Ok(done(answer, 202))
    }

    async fn ask(&self, request: &Request) -> Result<Answer, String> {
        self.0.call(request).await.map_err(|error| format!("upstream: {error:?}"))
    }

    async fn manifest(&self, repository: &str, reference: &str) -> Result<(Answer, Vec<u8>), String> {
        let get = Request::new("GET", format!("/v2/{repository}/manifests/{reference}"))
            .header("Accept", MANIFESTS);
        let response = self.0.open(&get).await.map_err(|error| format!("upstream: {error:?}"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let raw = response.bytes().await.map_err(|error| format!("upstream: {error:?}"))?.to_vec();
        if status != 200 {
            return Err(format!("upstream {repository} {reference}: {status}"));
        }
        let body = serde_json::from_slice(&raw).map_err(|error| format!("a manifest is JSON: {error}"))?;
        Ok((Answer { status, headers, body }, raw))
    }

    /// Puts an image with everything it needs into another repository; blobs are mounted, not sent.
    async fn put(&self, old: &str, reference: &str, new: &str, name: &str) -> Result<Answer, String> {
        let (manifest, raw) = self.manifest(old, reference).await?;
        for child in manifest.body["manifests"].as_array().into_iter().flatten() {
            let digest = child["digest"].as_str().unwrap_or_default();
            Box::pin(self.put(old, digest, new, digest)).await?;
        }
        let layers = manifest.body["layers"].as_array().into_iter().flatten();
        for blob in manifest.body.get("config").into_iter().chain(layers) {
            let digest = blob["digest"].as_str().unwrap_or_default();
            let mount = format!("/v2/{new}/blobs/uploads/?mount={digest}&from={old}");
            self.ask(&Request::new("POST", mount)).await?;
        }
        let mut put = Request::new("PUT", format!("/v2/{new}/manifests/{name}"))
            .header("Content-Type", &manifest.header_values("Content-Type").join(""));
        put.body = Some(raw);
        Ok(done(self.ask(&put).await?, 201))
    }
}

/// Recordings hold nothing where the registry did what it was told.
fn done(answer: Answer, wanted: u16) -> Answer {
    let body = if answer.status == wanted { Value::Null } else { answer.body };
    Answer { body, headers: HeaderMap::new(), ..answer }
}

fn split(name: &str) -> Result<(&str, &str), String> {
    name.trim_matches('/').rsplit_once(':').ok_or_else(|| format!("{name} has no tag"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registries;

    #[tokio::test]
    async fn an_image_with_all_its_platforms_gets_another_name_and_loses_it() {
        let registries = Registries::start();
        let upstream = Upstream::at(&registries.open.host);
        let copied = upstream.copy("/library/busybox:latest", "/case-1/app:stable").await.expect("answered");
        assert_eq!((copied.status, copied.body), (201, Value::Null));
        let (_, before) =
            upstream.manifest("library/busybox", "latest").await.expect("the original is there");
        let (index, after) = upstream.manifest("case-1/app", "stable").await.expect("the copy is there");
        assert_eq!(before, after);
        let child = index.body["manifests"][1]["digest"].as_str().expect("a digest").to_owned();
        upstream.manifest("case-1/app", &child).await.expect("the children came along");
        let again = upstream.copy("/library/python:3.5", "/case-1/app:stable").await.expect("a tag can move");
        assert_eq!(again.status, 201);
        let removed = upstream.remove("/case-1/app:stable").await.expect("answered");
        assert_eq!((removed.status, removed.body), (202, Value::Null));
        let gone = upstream.manifest("case-1/app", "stable").await.expect_err("the tag is gone");
        assert_eq!(gone, "upstream case-1/app stable: 404");
    }
}
