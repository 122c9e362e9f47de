//! The Go type of a list's items, for the message about something that should have been a list.
//!
//! Only the type that is being decoded knows what its items are, and tells it by how it asks for one: it is offered a
//! list whose first item notes the question and has no answer.

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::fields::Misfit;

/// The name that Go has for the items that `visitor` would take from a list.
pub(super) fn element_type<'de, V: Visitor<'de>>(visitor: V) -> String {
    let mut asked = String::new();
    // It fails by design; what counts is what was asked for before it did.
    let failed = visitor.visit_seq(List(&mut asked)).is_err();
    if failed && !asked.is_empty() { asked } else { "interface {}".to_owned() }
}

struct List<'a>(&'a mut String);

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        seed.deserialize(Item(self.0)).map(Some)
    }
}

struct Item<'a>(&'a mut String);

impl Item<'_> {
    fn note<T>(self, name: impl Into<String>) -> Result<T, Misfit> {
        *self.0 = name.into();
        Err(Misfit(String::new()))
    }
}

impl<'de> Deserializer<'de> for Item<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("interface {}")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("bool")
    }

    fn deserialize_i32<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("int32")
    }

    fn deserialize_i64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("int64")
    }

    fn deserialize_str<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("string")
    }

    fn deserialize_string<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("string")
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let inner = element_type(visitor);
        self.note(format!("[]{inner}"))
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        self.note("map[string]string")
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Misfit> {
        self.note(format!("v1.{name}"))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct newtype_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::IgnoredAny;

    use super::*;

    /// Asks for a list of `T`, as its decoder does.
    fn of<'de, T: Deserialize<'de>>() -> String {
        struct Ask<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Ask<T> {
            type Value = ();
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
                items.next_element::<T>().map(|_| ())
            }
        }
        element_type(Ask::<T>(std::marker::PhantomData))
    }

    #[test]
    fn items_are_named_as_go_names_them() {
        assert_eq!(of::<String>(), "string");
        assert_eq!(of::<crate::image::TagReference>(), "v1.TagReference");
        assert_eq!(of::<Vec<String>>(), "[]string");
        assert_eq!(of::<IgnoredAny>(), "interface {}");
    }
}
