//! `node.kek`: where each version of the key-encryption key comes from.
//!
//! One key is written as one place, and is version 1. While it is changed for another, and after that,
//! the versions are named:
//!
//! ```toml
//! kek = "keys/kek"
//! kek = { 1 = "keys/kek", 2 = "env:CASELEDGER_KEK" }
//! kek = { 2 = "env:CASELEDGER_KEK" }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor};
use vault::{KekSource, KeyRing, VaultError};

/// The version of a key-encryption key whose version is not said.
const FIRST: u32 = 1;

/// The versions of the key-encryption key that a node is given, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keks(pub(crate) BTreeMap<u32, KekSource>);

impl Keks {
    /// The one key of a fresh node.
    #[must_use]
    pub fn one(source: KekSource) -> Self {
        Self(BTreeMap::from([(FIRST, source)]))
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn load(&self) -> Result<KeyRing, VaultError> {
        let keys: Result<Vec<_>, _> =
            self.0.iter().map(|(version, source)| source.load(*version)).collect();
        KeyRing::new(keys?)
    }

    pub(super) fn resolve(&mut self, directory: &Path) {
        self.0.values_mut().for_each(|source| source.resolve(directory));
    }

    /// As it stands in a configuration, `quoted` making strings of it.
    pub(crate) fn written(&self, quoted: impl Fn(&str) -> String) -> String {
        let place = |source: &KekSource| quoted(&source.to_string());
        match self.0.first_key_value() {
            Some((&FIRST, only)) if self.0.len() == 1 => place(only),
            _ => {
                let one = |(version, source)| format!("{version} = {}", place(source));
                format!("{{ {} }}", self.0.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Keks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Keks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place of a key-encryption key, or a table of version = place")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Keks, E> {
        text.parse().map(Keks::one).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Keks, A::Error> {
        let mut keks = BTreeMap::new();
        while let Some((version, place)) = table.next_entry::<String, String>()? {
            let number = version.parse().ok().filter(|number: &u32| *number > 0);
            let number = number.ok_or_else(|| {
                A::Error::custom(format!("'{version}' is no version: versions are 1, 2, 3, …"))
            })?;
            keks.insert(number, place.parse().map_err(A::Error::custom)?);
        }
        if keks.is_empty() {
            return Err(A::Error::custom("no version of the key-encryption key is named"));
        }
        Ok(Keks(keks))
    }
}
