//! The contents that cases of the registry name: bytes, images and indexes, made from their definitions, and the texts
//! with placeholders that speak of them.
//!
//! Every case has repositories of its own, and most contents hold the repository's name, so that no other case has
//! pushed them already.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256, Sha512};

pub(super) const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const SCHEMA2: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_PARTS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"];
const OCI_PARTS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"];
const PLATFORMS: [&str; 4] = ["amd64", "arm64", "s390x", "ppc64le"];

/// `sha256:<hex>` of some bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that depend on nothing but the seed.
pub(super) fn random(seed: &str, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 32);
    for number in 0_u64.. {
        if bytes.len() >= size {
            break;
        }
        let mut hasher = Sha256::new();
        hasher.update(seed.as_bytes());
        hasher.update(number.to_be_bytes());
        bytes.extend_from_slice(&hasher.finalize());
    }
    bytes.truncate(size);
    bytes
}

/// Definitions, and the words that stand for something in texts.
pub(super) struct Contents {
    definitions: Map<String, Value>,
    words: BTreeMap<String, String>,
}

impl Contents {
    pub(super) fn new(
        shared: &Map<String, Value>,
        own: Option<&Map<String, Value>>,
        words: BTreeMap<String, String>,
    ) -> Self {
        let mut definitions = shared.clone();
        definitions.extend(own.cloned().unwrap_or_default());
        Self { definitions, words }
    }

    pub(super) fn learn(&mut self, name: &str, word: String) {
        self.words.insert(name.to_owned(), word);
    }

    fn definition(&self, name: &str) -> &Value {
        self.definitions.get(name).unwrap_or_else(|| panic!("no content is called {name}"))
    }

    /// The bytes that have a name.
    pub(super) fn named(&self, name: &str) -> Vec<u8> {
        self.make(self.definition(name))
    }

    /// The parts of an image, or the children of an index: what has to be pushed before it.
    pub(super) fn parts(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let definition = self.definition(name);
        let image = &definition["image"];
        let config = image["config"].as_str().map(str::to_owned);
        let blobs = config.into_iter().chain(texts(&image["layers"])).collect();
        (blobs, texts(&definition["index"]["manifests"]))
    }

    pub(super) fn media_type(&self, name: &str) -> &'static str {
        let definition = self.definition(name);
        let docker = |kind: &str| definition[kind]["docker"] == true;
        match (definition.get("index").is_some(), docker("index"), docker("image")) {
            (true, true, _) => DOCKER_LIST,
            (true, false, _) => OCI_INDEX,
            (false, _, true) => SCHEMA2,
            (false, _, false) => OCI,
        }
    }

    pub(super) fn make(&self, definition: &Value) -> Vec<u8> {
        let number = |name: &str| usize::try_from(definition[name].as_u64().expect(name)).expect(name);
        let field = |name: &str| definition[name].as_str();
        if let Some(name) = field("blob") {
            self.named(name)
        } else if let Some(text) = field("text") {
            self.fill(text).into_bytes()
        } else if let Some(text) = field("repeat") {
            text.repeat(number("times")).into_bytes()
        } else if let Some(seed) = field("random") {
            random(&self.fill(seed), number("size"))
        } else if let Some(value) = definition.get("json") {
            self.fill_all(value).to_string().into_bytes()
        } else if let Some(image) = definition.get("image") {
            self.image(image).to_string().into_bytes()
        } else {
            let index = definition.get("index").unwrap_or_else(|| panic!("no content: {definition}"));
            self.index(index).to_string().into_bytes()
        }
    }

    fn image(&self, image: &Value) -> Value {
        let docker = image["docker"] == true;
        let [config, layer] = if docker { DOCKER_PARTS } else { OCI_PARTS };
        let part = |media_type: &str, name: &str| {
            let bytes = self.named(name);
            json!({"mediaType": media_type, "size": bytes.len(), "digest": digest(&bytes)})
        };
        let layers: Vec<Value> = texts(&image["layers"]).iter().map(|name| part(layer, name)).collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": if docker { SCHEMA2 } else { OCI },
            "config": part(config, image["config"].as_str().expect("a configuration")),
            "layers": layers,
        });
        let fields = manifest.as_object_mut().expect("a manifest is an object");
        self.merge(fields, &image["more"]);
        if let Some([count, length]) = image["pad"].as_array().map(Vec::as_slice) {
            let length = usize::try_from(length.as_u64().expect("a length")).expect("a length");
            let pads = (0..count.as_u64().expect("a count"))
                .map(|number| (format!("org.example.pad{number:04}"), Value::from("x".repeat(length))));
            fields.insert("annotations".to_owned(), Value::Object(pads.collect()));
        }
        fields.retain(|_, value| !value.is_null());
        manifest
    }

    fn index(&self, index: &Value) -> Value {
        let docker = index["docker"] == true;
        let platforms = match index.get("platforms") {
            None => PLATFORMS.map(str::to_owned).to_vec(),
            Some(named) => texts(named),
        };
        let children = texts(&index["manifests"]);
        let children = children.iter().enumerate().map(|(position, name)| {
            let bytes = self.named(name);
            let media_type = self.media_type(name);
            let mut child = json!({"mediaType": media_type, "size": bytes.len(), "digest": digest(&bytes)});
            if let Some(architecture) = platforms.get(position) {
                child["platform"] = json!({"architecture": architecture, "os": "linux"});
            }
            child
        });
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": if docker { DOCKER_LIST } else { OCI_INDEX },
            "manifests": children.collect::<Vec<_>>(),
        });
        self.merge(document.as_object_mut().expect("an index is an object"), &index["more"]);
        document
    }

    fn merge(&self, fields: &mut Map<String, Value>, more: &Value) {
        if let Value::Object(more) = self.fill_all(more) {
            fields.extend(more);
        }
    }

    /// A text with its placeholders replaced; what nobody knows stays.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            filled.push_str(before);
            let word = after[1..].find('}').map(|end| &after[1..=end]);
            match word.and_then(|word| Some((word, self.word(word)?))) {
                Some((word, value)) => {
                    filled.push_str(&value);
                    rest = &after[word.len() + 2..];
                }
                None => {
                    filled.push('{');
                    rest = &after[1..];
                }
            }
        }
        filled + rest
    }

    fn word(&self, word: &str) -> Option<String> {
        let Some((kind, name)) = word.split_once(':') else { return self.words.get(word).cloned() };
        match kind {
            "digest" => Some(digest(&self.named(name))),
            "sha512" => Some(format!("sha512:{}", hex(&Sha512::digest(self.named(name))))),
            "size" => Some(self.named(name).len().to_string()),
            "token" | "basic" => self.words.get(word).cloned(),
            _ => None,
        }
    }

    pub(super) fn fill_all(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.fill_all(item)).collect()),
            Value::Object(fields) => {
                let filled = fields.iter().map(|(key, value)| (self.fill(key), self.fill_all(value)));
                Value::Object(filled.collect())
            }
            other => other.clone(),
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().expect("names are texts").to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_speak_of_contents_and_words() {
        let shared = json!({"a": {"text": "hi {name}"}, "b": {"json": {"of": "{size:a}"}}});
        let words = BTreeMap::from([("name".to_owned(), "weir".to_owned())]);
        let contents = Contents::new(shared.as_object().unwrap(), None, words);
        assert_eq!(contents.named("a"), b"hi weir");
        assert_eq!(contents.named("b"), br#"{"of":"7"}"#);
        assert_eq!(contents.fill("{digest:a}{ {unknown}"), format!("{}{{ {{unknown}}", digest(b"hi weir")));
        assert_eq!(random("seed", 40)[..], random("seed", 80)[..40]);
    }
}
