//! Selectors: which objects of a collection are meant, by their labels or by a few of their fields.
//!
//! Both are parsed once at the edge into requirements and then only matched. Error texts are those that clients of the
//! reference see.

mod field;
mod label;

pub use field::{FieldRequirement, FieldSelector, FieldSelectorError};
pub use label::{LabelOperator, LabelRequirement, LabelSelector, LabelSelectorError};
