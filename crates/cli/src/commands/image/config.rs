//! What an image's configuration says, in the form and order that programs read from `-o json`.

use machinery::image::DockerConfig;
use oci::manifest::{Descriptor, Schema1};
use serde::{Deserialize, Serialize};

/// A time that nobody gave.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// An image's configuration. Times stay as they were written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    parent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(serialize_with = "always")]
    pub(super) created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    container_config: DockerConfig,
    #[serde(skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<DockerConfig>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) architecture: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rootfs: Option<RootFs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Step>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "Option::is_none")]
    os_features: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RootFs {
    r#type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diff_ids: Vec<String>,
}

/// How a layer came about.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Step {
    #[serde(serialize_with = "always")]
    created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty_layer: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn always<S: serde::Serializer>(time: &Option<String>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(time.as_deref().unwrap_or(NO_TIME))
}

/// A layer, or another part of an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    #[serde(skip_serializing_if = "String::is_empty")]
    media_type: String,
    pub(super) digest: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
}

impl Layer {
    pub(super) fn of(layer: &Descriptor) -> Layer {
        Layer {
            media_type: layer.media_type.clone(),
            digest: layer.digest.to_string(),
            size: layer.size,
            urls: layer.urls.clone(),
        }
    }

    /// The layers of an old manifest, oldest first; it does not say how large they are.
    pub(super) fn of_schema1(old: &Schema1) -> Vec<Layer> {
        let layers = old.layers.iter().rev();
        layers
            .map(|digest| Layer {
                media_type: String::new(),
                digest: digest.clone(),
                size: 0,
                urls: Vec::new(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_that_programs_know_and_empty_ones_are_left_out() {
        let read = |text: &str| serde_json::from_str::<Config>(text).unwrap();
        let shown = |config: &Config| serde_json::to_string(config).unwrap();
        assert_eq!(
            shown(&read(
                r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["a"]},"architecture":"arm64","new":1,
                    "history":[{"created_by":"x","empty_layer":true}],"config":{"Env":["A=b"]}}"#
            )),
            r#"{"id":"","created":"0001-01-01T00:00:00Z","container_config":{},"config":{"Env":["A=b"]},"architecture":"arm64","rootfs":{"type":"layers","diff_ids":["a"]},"history":[{"created":"0001-01-01T00:00:00Z","created_by":"x","empty_layer":true}],"os":"linux"}"#
        );
        let fine = read(r#"{"created":"2020-01-02T03:04:05.678901234Z"}"#);
        assert!(shown(&fine).contains(r#""created":"2020-01-02T03:04:05.678901234Z""#));
    }
}
