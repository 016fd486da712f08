//! Who wrote in a file lately: who filed its last entries, and whom these name as their authors.

use std::collections::BTreeMap;

use crate::{Entry, Stamp};

/// Records of a file whose authors count, the last ones: what is kept of a file is bounded, however long
/// it grows. Ours; no rule says a number.
const LATELY: u64 = 64;

/// When somebody was an author last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Of the file's record: its place in the file's chain, from 1.
    pub version: u64,
    /// When it was recorded, µs since 1970-01-01T00:00Z.
    pub at: u64,
}

/// The authors of a file's last records that filed or amended an entry. What was retracted since was
/// filed all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authors {
    /// Who filed something, by their pseudonymous actor ids.
    pub filed: BTreeMap<[u8; 16], Last>,
    /// Whom an entry names as recorder, asserter or verifier, by the reference it has.
    pub named: BTreeMap<String, Last>,
}

impl Authors {
    /// Takes in a record that files or amends this entry, and forgets those of too long ago.
    pub fn wrote(&mut self, entry: &Entry, stamp: &Stamp) {
        let last = Last { version: stamp.version, at: stamp.recorded_at };
        self.filed.insert(stamp.actor, last);
        let people = [&entry.recorder, &entry.asserter, &entry.verifier];
        for actor in people.into_iter().flatten().filter(|actor| !actor.reference.is_empty()) {
            self.named.insert(actor.reference.clone(), last);
        }
        self.forget(stamp.version);
    }

    /// Forgets whose last record is no longer among the last of a file that has this version.
    pub fn forget(&mut self, version: u64) {
        let counts = |last: &mut Last| last.version.saturating_add(LATELY) > version;
        self.filed.retain(|_, last| counts(last));
        self.named.retain(|_, last| counts(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Actor;

    #[test]
    fn the_authors_of_the_last_64_records_count() {
        let by = |reference: &str| Some(Actor { reference: reference.to_owned(), display: None });
        let entry = Entry { asserter: by("Practitioner/1"), recorder: by(""), ..Entry::default() };
        let stamp = |version, actor| Stamp { position: 0, version, recorded_at: version, actor };
        let mut authors = Authors::default();
        authors.wrote(&entry, &stamp(2, [1; 16]));
        authors.wrote(&Entry::default(), &stamp(65, [2; 16]));
        let first = Last { version: 2, at: 2 };
        assert_eq!(authors.filed.get(&[1; 16]), Some(&first));
        assert_eq!(
            authors.named.iter().collect::<Vec<_>>(),
            [(&"Practitioner/1".to_owned(), &first)]
        );
        // Whatever else the 66th record is.
        authors.forget(66);
        assert_eq!(authors.filed.keys().collect::<Vec<_>>(), [&[2; 16]]);
        assert!(authors.named.is_empty());
    }
}
