//! Reading JSON as carriers write it: numbers as strings, strings as numbers, missing and null keys.
//! Used by the shapes of the dialects' frames.
//! Never copies text without escapes, and never fails on a wrong type; only on what is no JSON, and on keys that stand twice.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::heard::Refused;
use super::limits::{MAX_FRAME_BYTES, MAX_PARAMETER_BYTES, MAX_PARAMETERS};

/// Reads one JSON object out of a frame of at most [`MAX_FRAME_BYTES`].
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refused> {
    if text.len() > MAX_FRAME_BYTES {
        return Err(Refused::TooLarge { bytes: text.len() });
    }
    match serde_json::from_str::<Object<T>>(text) {
        Ok(Object(found)) => found.ok_or(Refused::NotAnObject),
        // types never fail here: what is left is a key that stands twice
        Err(error) if error.is_data() => Err(Refused::DuplicateKey),
        Err(error) => Err(Refused::NotJson {
            column: error.column(),
        }),
    }
}

/// Text, or a number as text; anything else is absent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text unless it is empty.
    pub(super) fn given(self) -> Option<Cow<'a, str>> {
        self.0.filter(|text| !text.is_empty())
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text(None))
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text<'de>, A::Error> {
        drain_seq(seq).map(|()| Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<'de>, A::Error> {
        drain_map(map).map(|()| Text(None))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A whole number that is not negative, also when it is written as text; anything else is absent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) Option<u64>);

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.trim().parse().ok()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(u64::try_from(number).ok()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        // up to here every whole number has a float of its own
        let exact = (0.0..=9_007_199_254_740_992.0).contains(&number);
        Ok(Number(exact.then_some(number as u64)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Number, A::Error> {
        drain_seq(seq).map(|()| Number(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Number, A::Error> {
        drain_map(map).map(|()| Number(None))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// An object; anything else is absent. Serde alone would read a struct from an array, too.
#[derive(Debug, Clone)]
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Default> Object<T> {
    pub(super) fn or_empty(self) -> T {
        self.0.unwrap_or_default()
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|found| Object(Some(found)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
        drain_seq(seq).map(|()| Object(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_unit<E>(self) -> Result<Object<T>, E> {
        Ok(Object(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// Custom parameters: an object of texts, or one text as Plivo writes it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) pairs: Vec<(String, String)>,
    /// The text, when it was one.
    pub(super) text: Option<String>,
    /// Too many, too long, one twice, or a NUL.
    pub(super) bad: bool,
}

impl Parameters {
    pub(super) fn add(&mut self, name: String, value: String) {
        let bytes = name.len().saturating_add(value.len());
        let nul = name.contains('\0') || value.contains('\0');
        let known = self.pairs.iter().any(|(other, _)| *other == name);
        if known || nul || bytes > MAX_PARAMETER_BYTES || self.pairs.len() == MAX_PARAMETERS {
            self.bad = true;
        } else {
            self.pairs.push((name, value));
        }
    }

    pub(super) fn checked(self) -> Result<Vec<(String, String)>, Refused> {
        if self.bad {
            return Err(Refused::Parameters);
        }
        Ok(self.pairs)
    }
}

struct ParametersVisitor;

impl<'de> Visitor<'de> for ParametersVisitor {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
        let mut found = Parameters::default();
        while let Some((name, value)) = map.next_entry::<String, Text<'de>>()? {
            if let Some(value) = value.0 {
                found.add(name, value.into_owned());
            }
        }
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Parameters, E> {
        Ok(Parameters {
            text: Some(text.to_owned()),
            ..Parameters::default()
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Parameters, A::Error> {
        drain_seq(seq).map(|()| Parameters::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Parameters, E> {
        Ok(Parameters::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Parameters, E> {
        Ok(Parameters::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Parameters, E> {
        Ok(Parameters::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Parameters, E> {
        Ok(Parameters::default())
    }

    fn visit_unit<E>(self) -> Result<Parameters, E> {
        Ok(Parameters::default())
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParametersVisitor)
    }
}

fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
