//! Random files, every way to read them, and no byte of what is masked.

use std::collections::BTreeSet;

use super::*;

/// Labels that the shipped policies protect, and that they do not.
const LABELS: [&str; 6] = ["PSY", "HIV", "V", "N", "ward-7", "of the hospital's own, in words"];
const PROTECTED: [&str; 3] = ["PSY", "HIV", "V"];
const CHANGES: usize = 40;

/// Numbers that look like chance and are the same every time (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33);
        drawn.unwrap_or_default() % end
    }
}

/// A text that stands in one revision of one entry, under these labels.
struct Marker {
    text: String,
    entry: String,
    labels: Vec<&'static str>,
}

/// What was filed, as somebody who wrote it down remembers it.
#[derive(Default)]
struct Filed {
    markers: Vec<Marker>,
    /// Entries as they came: by their ids, which are random, no two runs would choose the same.
    entries: Vec<String>,
    /// The labels that each entry has now.
    labels: BTreeMap<String, Vec<&'static str>>,
    notes: BTreeSet<String>,
    retracted: BTreeSet<String>,
}

fn protected(labels: &[&str]) -> bool {
    labels.iter().any(|label| PROTECTED.contains(label))
}

impl Filed {
    async fn change(&mut self, chance: &mut Chance, physician: &Client, patient: &str) {
        let text = format!("marker-{}-x", self.markers.len());
        let labels: Vec<_> = LABELS.into_iter().filter(|_| chance.below(4) == 0).collect();
        let standing: Vec<_> =
            self.entries.iter().filter(|id| !self.retracted.contains(*id)).cloned().collect();
        let chosen = (!standing.is_empty()).then(|| standing[chance.below(standing.len())].clone());
        let chosen = chosen.filter(|_| chance.below(5) > 1);
        let is_note = match &chosen {
            Some(id) => self.notes.contains(id),
            None => chance.below(2) == 0,
        };
        let entry = if is_note { note(&text, &labels) } else { condition(&text, &labels) };
        let change = match chosen {
            None => added(entry),
            Some(entry_id) if chance.below(3) == 0 => {
                self.retracted.insert(entry_id.clone());
                Change::RetractEntry(v1::RetractEntry { entry_id, reason: text.clone() })
            }
            Some(entry_id) => Change::AmendEntry(v1::AmendEntry {
                entry_id,
                entry: Some(entry),
                update_mask: Some(api::FieldMask {
                    paths: ["code", "labels", "note", "detail"].map(str::to_owned).to_vec(),
                }),
                how: v1::Amendment::Correction.into(),
                reason: text.clone(),
            }),
        };
        let retracts = matches!(change, Change::RetractEntry(_));
        let filed = contribute(physician, patient, "TREAT", vec![change]).await.expect("filed");
        let entry = filed.entry_ids[0].clone();
        let labels = if retracts { self.labels[&entry].clone() } else { labels };
        if is_note {
            self.notes.insert(entry.clone());
        }
        if !self.labels.contains_key(&entry) {
            self.entries.push(entry.clone());
        }
        self.labels.insert(entry.clone(), labels.clone());
        self.markers.push(Marker { text, entry, labels });
    }

    /// Nothing that a nurse may not see is in an answer's bytes.
    fn searched(&self, what: &str, answer: &[u8]) {
        for marker in &self.markers {
            let open = self.open(marker);
            let found = contains(answer, &marker.text);
            assert!(open || !found, "{what} has {} of {}", marker.text, marker.entry);
        }
    }

    fn open(&self, marker: &Marker) -> bool {
        !protected(&marker.labels) && !protected(&self.labels[&marker.entry])
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A nurse reads all of it, in every way that there is.
async fn read(filed: &Filed, chance: &mut Chance, nurse: &Client, patient: &str, version: u64) {
    let (events, _) = history(nurse, patient, "TREAT").await;
    let alone = v1::GetPatientHistoryResponse { events, ..<_>::default() };
    let bytes = alone.encode_to_vec();
    filed.searched("the history", &bytes);
    for marker in filed.markers.iter().filter(|marker| filed.open(marker)) {
        assert!(contains(&bytes, &marker.text), "{} is for nurses", marker.text);
    }
    for as_of in [None, Some(1 + chance.below(CHANGES) as u64), Some(version)] {
        let mut request = v1::GetPatientFileRequest {
            as_of: as_of.filter(|at| *at <= version).map(AsOf::Version),
            page_size: 1 + u32::try_from(chance.below(7)).unwrap(),
            include_retracted: chance.below(2) == 0,
            kinds: if chance.below(3) == 0 { vec![v1::Kind::Note.into()] } else { Vec::new() },
            ..whole(patient, "TREAT")
        };
        loop {
            let page = nurse.file().get_patient_file(request.clone()).await;
            let page = page.expect("a page").into_inner();
            filed.searched(&format!("the file as of {as_of:?}"), &page.encode_to_vec());
            let file = page.file.unwrap();
            for state in file.entries.iter().filter(|state| state.masked) {
                assert_eq!(*state, hidden(&state.entry_id));
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    let mut following = watch(nurse, patient, 1).await;
    for _ in 1..=version {
        filed.searched("a watch", &change(&mut following).await.encode_to_vec());
    }
}

#[tokio::test]
async fn no_byte_of_what_is_masked_is_in_any_answer() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, physician) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "physician").unwrap());
    let manager = cluster.client(0, "case-manager").unwrap();
    let mut chance = Chance(20_261_126);
    for number in 0..3 {
        let registered = manager.register(&format!("MRN-{number}"), "Ames").await.unwrap();
        let mut filed = Filed::default();
        for done in 1..=CHANGES {
            filed.change(&mut chance, &physician, &registered.patient_id).await;
            if done % 10 == 0 {
                let version = 1 + done as u64;
                read(&filed, &mut chance, &nurse, &registered.patient_id, version).await;
            }
        }
        let masked = filed.markers.iter().filter(|marker| !filed.open(marker)).count();
        assert!(masked > 5 && masked + 5 < CHANGES, "{masked} of {CHANGES}: some of both");
    }
}
