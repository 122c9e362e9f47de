//! Tables and metadata-only documents: what `oc get` and informers ask for instead of whole objects.
//!
//! A row holds ready cells; what it says about its object is the client's choice (`includeObject`). The encoding is
//! written once, straight into bytes.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::field::quote;
use crate::meta::{ListMeta, ObjectMeta};
use crate::negotiate::MetaVersion;
use crate::query;
use crate::status::ApiError;

/// Description of the Name column of every table.
pub const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, \
    although some resources may allow a client to request the generation of an appropriate name automatically. Name \
    is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// `string`, `number`, `integer`, `boolean` or `date`.
    pub r#type: &'static str,
    /// `name` for the column that names the object, else empty.
    pub format: &'static str,
    /// What it shows.
    pub description: &'static str,
    /// 0 is always shown, more only when the client wants wide output.
    pub priority: i32,
}

impl Column {
    /// The column every table begins with.
    pub const NAME: Column =
        Column { name: "Name", r#type: "string", format: "name", description: NAME_DESCRIPTION, priority: 0 };

    /// A column of text that is always shown.
    pub const fn text(name: &'static str, description: &'static str) -> Column {
        Column { name, r#type: "string", format: "", description, priority: 0 }
    }

    /// The same, but only in wide output.
    #[must_use]
    pub const fn wide(self) -> Column {
        Column { priority: 1, ..self }
    }

    /// The same with another type.
    #[must_use]
    pub const fn of_type(self, r#type: &'static str) -> Column {
        Column { r#type, ..self }
    }
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
    /// Nothing.
    Null,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

/// What a row says about its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
    /// Nothing.
    None,
}

impl IncludeObject {
    /// Reads the query parameter `includeObject`.
    ///
    /// # Errors
    /// 400 for an unknown word.
    pub fn parse(query: &str) -> Result<IncludeObject, ApiError> {
        match query::first(query, "includeObject").as_deref() {
            None | Some("" | "Metadata") => Ok(IncludeObject::Metadata),
            Some("Object") => Ok(IncludeObject::Object),
            Some("None") => Ok(IncludeObject::None),
            Some(other) => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', \
                 'Object', 'None', or empty",
                quote(other)
            ))),
        }
    }
}

/// The object of a row.
#[derive(Clone, Copy, Debug)]
pub enum RowObject<'a> {
    /// `null`.
    None,
    /// The metadata.
    Metadata(&'a ObjectMeta),
    /// The whole object, encoded as JSON with its kind.
    Object(&'a RawValue),
}

/// A row of a table.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// One cell a column.
    pub cells: Vec<Cell>,
    /// The object.
    pub object: RowObject<'a>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// Which version of the table's kind is wanted.
    pub version: MetaVersion,
    /// The list's metadata; for one object, its resource version.
    pub metadata: ListMeta,
    /// The columns; absent (`null`) in the later events of a watch.
    pub columns: Option<&'a [Column]>,
    /// The rows.
    pub rows: Vec<Row<'a>>,
}

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", "Table")?;
        map.serialize_entry("apiVersion", self.version.api_version())?;
        map.serialize_entry("metadata", &self.metadata)?;
        map.serialize_entry("columnDefinitions", &self.columns)?;
        let rows: Vec<VersionedRow<'_>> =
            self.rows.iter().map(|row| VersionedRow { row, version: self.version }).collect();
        map.serialize_entry("rows", &rows)?;
        map.end()
    }
}

struct VersionedRow<'a> {
    row: &'a Row<'a>,
    version: MetaVersion,
}

impl Serialize for VersionedRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("cells", &self.row.cells)?;
        match self.row.object {
            RowObject::None => map.serialize_entry("object", &())?,
            RowObject::Metadata(metadata) => {
                map.serialize_entry("object", &PartialObject { version: self.version, metadata })?;
            }
            RowObject::Object(raw) => map.serialize_entry("object", raw)?,
        }
        map.end()
    }
}

/// `PartialObjectMetadata`: the metadata of one object.
#[derive(Clone, Copy, Debug)]
pub struct PartialObject<'a> {
    /// Which version of the kind is wanted.
    pub version: MetaVersion,
    /// The metadata.
    pub metadata: &'a ObjectMeta,
}

impl Serialize for PartialObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("kind", "PartialObjectMetadata")?;
        map.serialize_entry("apiVersion", self.version.api_version())?;
        map.serialize_entry("metadata", self.metadata)?;
        map.end()
    }
}

/// `PartialObjectMetadataList`: the metadata of a list's objects. An empty one prints `"items":null`.
#[derive(Clone, Debug)]
pub struct PartialObjectList<'a> {
    /// Which version of the kind is wanted.
    pub version: MetaVersion,
    /// The list's metadata.
    pub metadata: ListMeta,
    /// The metadata of each object.
    pub items: Vec<&'a ObjectMeta>,
}

impl Serialize for PartialObjectList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("kind", "PartialObjectMetadataList")?;
        map.serialize_entry("apiVersion", self.version.api_version())?;
        map.serialize_entry("metadata", &self.metadata)?;
        let version = self.version;
        let items: Vec<PartialObject<'_>> =
            self.items.iter().map(|metadata| PartialObject { version, metadata }).collect();
        map.serialize_entry("items", &(!items.is_empty()).then_some(items))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    const COLUMNS: &[Column] = &[Column::NAME, Column::text("History", "d").of_type("number").wide()];

    fn text<T: Serialize>(value: &T) -> String {
        String::from_utf8(json::compact(value)).unwrap().replace(NAME_DESCRIPTION, "NAME")
    }

    #[test]
    fn tables_show_what_the_client_wants_to_know() {
        let metadata = ObjectMeta { name: "a".into(), ..Default::default() };
        let raw = RawValue::from_string("{\"kind\":\"X\"}".to_owned()).unwrap();
        let row = |object| Row { cells: vec!["a".into(), 3.into()], object };
        let mut table = Table {
            version: MetaVersion::V1,
            metadata: ListMeta { resource_version: "7".into(), ..Default::default() },
            columns: Some(COLUMNS),
            rows: vec![row(RowObject::Metadata(&metadata)), row(RowObject::Object(&raw))],
        };
        assert_eq!(
            text(&table),
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"NAME","priority":0},{"name":"History","type":"number","format":"","description":"d","priority":1}],"rows":[{"cells":["a",3],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}},{"cells":["a",3],"object":{"kind":"X"}}]}"#
        );
        table.version = MetaVersion::V1Beta1;
        table.columns = None;
        table.rows = vec![Row { cells: vec![Cell::Null, Cell::Bool(true)], object: RowObject::None }];
        assert_eq!(
            text(&table),
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1beta1","metadata":{"resourceVersion":"7"},"columnDefinitions":null,"rows":[{"cells":[null,true],"object":null}]}"#
        );
    }

    #[test]
    fn an_empty_list_of_metadata_is_null() {
        let metadata = ObjectMeta { name: "a".into(), ..Default::default() };
        let mut list =
            PartialObjectList { version: MetaVersion::V1, metadata: ListMeta::default(), items: vec![] };
        assert_eq!(
            text(&list),
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{},"items":null}"#
        );
        list.items.push(&metadata);
        assert!(text(&list).ends_with(
            r#""items":[{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}]}"#
        ));
    }

    #[test]
    fn the_choice_of_the_row_object_is_a_parameter() {
        assert_eq!(IncludeObject::parse("includeObject=None"), Ok(IncludeObject::None));
        assert_eq!(IncludeObject::parse(""), Ok(IncludeObject::Metadata));
        assert_eq!(
            IncludeObject::parse("includeObject=x").unwrap_err().to_string(),
            "Unable to convert to Table as requested: includeObject: Invalid value: \"x\": must be 'Metadata', \
             'Object', 'None', or empty"
        );
    }
}
