//! How a metric looks in JSON: read in one pass, borrowed from the body. Whether it is right is for [`crate::sample`].

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::labels::{self, Given};

/// An element of the array.
pub(crate) enum Element<'a> {
    Item(Box<Item<'a>>),
    Other,
}

#[derive(Default)]
pub(crate) struct Item<'a> {
    pub(crate) name: Field<'a>,
    pub(crate) kind: Field<'a>,
    /// None unless it is a finite number.
    pub(crate) value: Option<f64>,
    pub(crate) timestamp: Field<'a>,
    pub(crate) project: Field<'a>,
    pub(crate) labels: Labels<'a>,
}

/// A member's value as far as any member needs it.
#[derive(Default)]
pub(crate) enum Field<'a> {
    /// Or null.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Number(f64),
    Other,
}

impl<'a> Field<'a> {
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

#[derive(Default)]
pub(crate) enum Labels<'a> {
    /// Or null.
    #[default]
    Absent,
    Given(Given<'a>),
    Other,
}

/// Defines the visits that end in "something else", which is consumed and remembered as such.
macro_rules! other_visits {
    ($other:expr; $($visit:ident: $type:ty),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok($other)
        })*
    };
}

impl<'de> Deserialize<'de> for Element<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor;

        impl<'de> Visitor<'de> for ElementVisitor {
            type Value = Element<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            other_visits!(Element::Other; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Element::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut item = Item::default();
                let mut seen = 0_u8;
                while let Some(Name(name)) = map.next_key()? {
                    let bit = match &*name {
                        "name" => 1,
                        "type" => 2,
                        "value" => 4,
                        "timestamp" => 8,
                        "project" => 16,
                        "labels" => 32,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    if seen & bit != 0 {
                        return Err(A::Error::custom(format_args!("two members are named '{name}'")));
                    }
                    seen |= bit;
                    match bit {
                        1 => item.name = map.next_value()?,
                        2 => item.kind = map.next_value()?,
                        4 => item.value = number(map.next_value()?),
                        8 => item.timestamp = map.next_value()?,
                        16 => item.project = map.next_value()?,
                        _ => item.labels = map.next_value()?,
                    }
                }
                Ok(Element::Item(Box::new(item)))
            }
        }

        deserializer.deserialize_any(ElementVisitor)
    }
}

/// A finite number; text that overflows to infinity is none.
fn number(raw: &RawValue) -> Option<f64> {
    let is_number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    is_number.then(|| raw.get().parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

/// A member's name, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = Field<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            other_visits!(Field::Other; visit_bool: bool);

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Field::Number(number as f64))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Field::Number(number as f64))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Field::Number(number))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Field::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Field::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Field::Absent)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
        }

        deserializer.deserialize_any(FieldVisitor)
    }
}

impl<'de> Deserialize<'de> for Labels<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;

        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            other_visits!(Labels::Other; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Labels::Absent)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Labels::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut given = Given::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, LabelValue<'de>>()? {
                    given.push((name, value.0));
                }
                Ok(Labels::Given(given))
            }
        }

        deserializer.deserialize_any(LabelsVisitor)
    }
}

struct LabelValue<'a>(labels::Value<'a>);

impl<'de> Deserialize<'de> for LabelValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = labels::Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(labels::Value::Bool(value))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(labels::Value::Whole(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(labels::Value::Large(number), labels::Value::Whole))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(labels::Value::Decimal(number))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(labels::Value::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(labels::Value::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(labels::Value::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(labels::Value::Nested)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(labels::Value::Nested)
            }
        }

        deserializer.deserialize_any(ValueVisitor).map(LabelValue)
    }
}
