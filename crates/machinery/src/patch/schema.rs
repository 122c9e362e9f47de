//! How the fields of each kind take part in a strategic merge.

/// The fields of an object that do not simply merge; the others do: objects by key, lists as a whole.
#[derive(Debug)]
pub struct MergeSchema {
    /// Name and rule of each such field.
    pub fields: &'static [(&'static str, Rule)],
}

/// How a field takes part in a strategic merge.
#[derive(Debug)]
pub enum Rule {
    /// An object with fields of its own.
    Object(&'static MergeSchema),
    /// A map of objects with fields of their own.
    Map(&'static MergeSchema),
    /// A list of objects that belong together when the key's value is equal.
    List {
        /// The key.
        key: &'static str,
        /// The fields of the items.
        item: &'static MergeSchema,
    },
    /// A list of words without order or repetition.
    Set,
    /// A value that is replaced as a whole.
    Replace,
}

impl MergeSchema {
    /// The rule of a field.
    pub fn rule(&self, field: &str) -> Option<&'static Rule> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, rule)| rule)
    }
}

/// An object none of whose fields is special.
pub(super) static NONE: MergeSchema = MergeSchema { fields: &[] };

static OBJECT_META: MergeSchema = MergeSchema {
    fields: &[("finalizers", Rule::Set), ("ownerReferences", Rule::List { key: "uid", item: &NONE })],
};

/// Kinds of which only the metadata is special.
pub static PLAIN: MergeSchema = MergeSchema { fields: &[("metadata", Rule::Object(&OBJECT_META))] };

/// `ServiceAccount`.
pub static SERVICE_ACCOUNT: MergeSchema = MergeSchema {
    fields: &[
        ("metadata", Rule::Object(&OBJECT_META)),
        ("secrets", Rule::List { key: "name", item: &NONE }),
        ("imagePullSecrets", Rule::List { key: "name", item: &NONE }),
    ],
};

static CONTAINER: MergeSchema = MergeSchema {
    fields: &[
        ("ports", Rule::List { key: "containerPort", item: &NONE }),
        ("env", Rule::List { key: "name", item: &NONE }),
        ("volumeMounts", Rule::List { key: "mountPath", item: &NONE }),
        ("volumeDevices", Rule::List { key: "devicePath", item: &NONE }),
    ],
};

static POD_SPEC: MergeSchema = MergeSchema {
    fields: &[
        ("containers", Rule::List { key: "name", item: &CONTAINER }),
        ("initContainers", Rule::List { key: "name", item: &CONTAINER }),
        ("ephemeralContainers", Rule::List { key: "name", item: &CONTAINER }),
        ("volumes", Rule::List { key: "name", item: &NONE }),
        ("imagePullSecrets", Rule::List { key: "name", item: &NONE }),
        ("hostAliases", Rule::List { key: "ip", item: &NONE }),
        ("topologySpreadConstraints", Rule::List { key: "topologyKey", item: &NONE }),
    ],
};

static CONDITIONS: MergeSchema =
    MergeSchema { fields: &[("conditions", Rule::List { key: "type", item: &NONE })] };
static POD_TEMPLATE: MergeSchema =
    MergeSchema { fields: &[("metadata", Rule::Object(&OBJECT_META)), ("spec", Rule::Object(&POD_SPEC))] };
static JOB_TEMPLATE: MergeSchema = MergeSchema {
    fields: &[("metadata", Rule::Object(&OBJECT_META)), ("spec", Rule::Object(&WORKLOAD_SPEC))],
};
static WORKLOAD_SPEC: MergeSchema = MergeSchema {
    fields: &[("template", Rule::Object(&POD_TEMPLATE)), ("jobTemplate", Rule::Object(&JOB_TEMPLATE))],
};

/// Kinds with a template of pods (or of jobs).
pub static WORKLOAD: MergeSchema = MergeSchema {
    fields: &[
        ("metadata", Rule::Object(&OBJECT_META)),
        ("spec", Rule::Object(&WORKLOAD_SPEC)),
        ("status", Rule::Object(&CONDITIONS)),
    ],
};

/// `Pod`.
pub static POD: MergeSchema = MergeSchema {
    fields: &[
        ("metadata", Rule::Object(&OBJECT_META)),
        ("spec", Rule::Object(&POD_SPEC)),
        ("status", Rule::Object(&CONDITIONS)),
    ],
};

static SIGNATURE: MergeSchema = MergeSchema {
    fields: &[
        ("metadata", Rule::Object(&OBJECT_META)),
        ("conditions", Rule::List { key: "type", item: &NONE }),
    ],
};

/// `Image`.
pub static IMAGE: MergeSchema = MergeSchema {
    fields: &[
        ("metadata", Rule::Object(&OBJECT_META)),
        ("dockerImageMetadata", Rule::Replace),
        ("signatures", Rule::List { key: "name", item: &SIGNATURE }),
    ],
};

static STREAM_SPEC: MergeSchema =
    MergeSchema { fields: &[("tags", Rule::List { key: "name", item: &NONE })] };
static STREAM_STATUS: MergeSchema =
    MergeSchema { fields: &[("tags", Rule::List { key: "tag", item: &NONE })] };

/// `ImageStream`.
pub static IMAGE_STREAM: MergeSchema = MergeSchema {
    fields: &[
        ("metadata", Rule::Object(&OBJECT_META)),
        ("spec", Rule::Object(&STREAM_SPEC)),
        ("status", Rule::Object(&STREAM_STATUS)),
    ],
};

/// `ImageStreamTag`.
pub static IMAGE_STREAM_TAG: MergeSchema =
    MergeSchema { fields: &[("metadata", Rule::Object(&OBJECT_META)), ("image", Rule::Object(&IMAGE))] };

/// `ImageTag`.
pub static IMAGE_TAG: MergeSchema =
    MergeSchema { fields: &[("metadata", Rule::Object(&OBJECT_META)), ("image", Rule::Object(&IMAGE))] };
