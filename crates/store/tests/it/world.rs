//! One node's worth of keys, two founded ledgers, and signed blocks for them.

use domain::{Actor, CodeableConcept, Detail, Entry, EntryId, Event, HumanName, Identity, Note};
use ledger::founding::{Founding, found};
use ledger::header::{HEADER_FORMAT, SUITE_SEALED};
use ledger::{
    ActorId, Applied, Base, Block, Content, Contribution, ContributionId, Control, Hash, Header,
    Item, KeyId, LeafType, LedgerId, NodeId, RecordId, SealedRecord, SigningKey, SubjectId,
    leaf_hash,
};
use std::path::Path;
use std::sync::Arc;
use store::{LedgerPin, OpenError, Store};
use tempfile::TempDir;
use vault::{BatchOrigin, KeyEncryptionKey, PatientKeyIds, Vault};

pub(crate) const RECORDS: LedgerId = LedgerId::RECORDS;
pub(crate) const ACCESS: LedgerId = LedgerId::ACCESS;
pub(crate) const NODE: NodeId = NodeId([7; 16]);
pub(crate) const ACTOR: ActorId = ActorId([8; 16]);
/// 2026-01-01T00:00Z in µs.
pub(crate) const START: u64 = 1_767_225_600_000_000;
/// A word that no byte of the disk may hold.
pub(crate) const SECRET: &str = "Xylophonitis-of-Wilhelmina";

/// A record before it is sealed.
pub(crate) struct Draft {
    pub(crate) chain: SubjectId,
    pub(crate) subject: SubjectId,
    pub(crate) key: KeyId,
    pub(crate) plain: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) vault: Arc<Vault>,
    pub(crate) batch: Vec<u8>,
    pub(crate) system: Vec<u8>,
    pub(crate) pins: [LedgerPin; 2],
    pub(crate) founding: [Vec<u8>; 2],
    store: Option<Store>,
    /// Every message given to the records and the access ledger.
    pub(crate) messages: [Vec<Vec<u8>>; 2],
    now: u64,
    counter: u128,
}

fn administrator() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn block_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub(crate) fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes(1, &[42; 32]).unwrap()
}

fn founded(ledger: LedgerId) -> (LedgerPin, Vec<u8>) {
    let admin = administrator();
    let founded = found(&Founding {
        ledger,
        name: "ledger.hospital.example",
        created_at: START,
        administrators: &[admin.verifying_key().to_bytes()],
        threshold: 1,
        signers: &[(0, &admin)],
        node: NODE,
        block_key: &block_key(),
        checkpoint_key: SigningKey::from_bytes(&[3; 32]).verifying_key().to_bytes(),
        cosigner_key: SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes(),
    })
    .unwrap();
    (LedgerPin { ledger, genesis: founded.genesis }, founded.block)
}

impl World {
    /// Both ledgers founded and block 1 applied.
    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        let founding = world.founding.clone();
        world.give(RECORDS, founding[0].clone());
        world.give(ACCESS, founding[1].clone());
        world
    }

    /// Nothing applied yet.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), kek()).unwrap();
        let (system, batch) = (vault.mint_system().unwrap(), vault.mint_batch().unwrap());
        vault.add_system(&system).unwrap();
        vault.add_batch("batch", &batch, BatchOrigin::ThisNode).unwrap();
        let ((records, first), (access, second)) = (founded(RECORDS), founded(ACCESS));
        let mut world = Self {
            dir,
            vault: Arc::new(vault),
            batch,
            system,
            pins: [records, access],
            founding: [first, second],
            store: None,
            messages: [Vec::new(), Vec::new()],
            now: START + 1_000_000,
            counter: 0,
        };
        world.store = Some(world.open().unwrap());
        world
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Opens the same directory again; the store must be closed.
    pub(crate) fn open(&self) -> Result<Store, OpenError> {
        Store::open(self.dir.path(), &self.pins, Arc::clone(&self.vault))
    }

    pub(crate) fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().unwrap();
        }
    }

    /// Closes and opens.
    pub(crate) fn reopen(&mut self) {
        self.close();
        self.store = Some(self.open().unwrap());
    }

    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.dir.path().join("ledger")
    }

    pub(crate) fn patient(&self) -> PatientKeyIds {
        self.vault.take_patient().unwrap().unwrap()
    }

    pub(crate) fn genesis(&self, ledger: LedgerId) -> Hash {
        self.pins[usize::from(ledger == ACCESS)].genesis
    }

    pub(crate) fn sequence(&self, ledger: LedgerId) -> u64 {
        self.store().state(ledger).unwrap().sequence
    }

    pub(crate) fn now(&mut self) -> u64 {
        self.now += 1_000;
        self.now
    }

    fn unique(&mut self) -> [u8; 16] {
        self.counter += 1;
        self.counter.to_be_bytes()
    }

    /// A contribution of records linked to the applied heads, or to each other.
    pub(crate) fn contribution(&mut self, ledger: LedgerId, drafts: &[Draft]) -> Contribution {
        let unique = self.unique();
        let id = ContributionId([unique, unique].concat().try_into().unwrap());
        let recorded_at = self.now();
        let mut heads: Vec<(SubjectId, u64, Hash)> = Vec::new();
        let mut records = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            let known = heads.iter().rev().find(|(chain, ..)| *chain == draft.chain).copied();
            let (_, version, previous) = known.unwrap_or_else(|| {
                let head = self.store().reader().head(ledger, draft.chain).unwrap();
                head.map_or((draft.chain, 0, Hash::ZERO), |h| (draft.chain, h.version, h.hash))
            });
            let mut header = Header {
                format: HEADER_FORMAT,
                leaf: LeafType::Record,
                suite: SUITE_SEALED,
                ledger,
                record_id: RecordId(self.unique()),
                contribution_id: id,
                index: u16::try_from(at).unwrap(),
                count: u16::try_from(drafts.len()).unwrap(),
                subject: draft.subject,
                version: version + 1,
                previous,
                recorded_at,
                node: NODE,
                actor: ACTOR,
                envelope_version: schema::CURRENT_ENVELOPE,
                data_key: draft.key,
                key_commitment: Hash::ZERO,
                body_length: 0,
                body_hash: Hash::ZERO,
            };
            let key = self.vault.data_key(draft.key).unwrap().unwrap();
            let genesis = self.genesis(ledger);
            let body = self.vault.seal_body(&genesis, &mut header, &draft.plain, &key).unwrap();
            let header = header.encode();
            heads.push((draft.chain, version + 1, leaf_hash(&header)));
            records.push(SealedRecord { header, body });
        }
        Contribution { id, request_digest: Hash::of(&unique), reads: Vec::new(), records }
    }

    /// A signed block of these items on the applied base.
    pub(crate) fn block(&mut self, ledger: LedgerId, items: Vec<Item>) -> Vec<u8> {
        let state = self.store().state(ledger).unwrap();
        let base = Base { sequence: state.sequence, stream_hash: state.stream_hash };
        let content = Content { sealed_at: self.now(), base, items };
        Block::seal(ledger, NODE, &content, &block_key(), &self.genesis(ledger)).unwrap()
    }

    /// Applies one message as the next.
    pub(crate) fn give(&mut self, ledger: LedgerId, message: Vec<u8>) -> Applied {
        let sequence = self.sequence(ledger) + 1;
        let mut applied = self.store().apply(ledger, &[(sequence, &message)]).unwrap();
        assert_eq!(applied.len(), 1);
        self.messages[usize::from(ledger == ACCESS)].push(message);
        applied.pop().unwrap()
    }

    /// Files events of one patient as one contribution in one block; the block must be accepted.
    pub(crate) fn file(&mut self, keys: PatientKeyIds, events: &[Event]) -> Applied {
        let drafts: Vec<Draft> = events.iter().map(|event| draft(keys, event)).collect();
        let contribution = self.contribution(RECORDS, &drafts);
        let block = self.block(RECORDS, vec![Item::Contribution(contribution)]);
        let applied = self.give(RECORDS, block);
        assert_eq!(applied.records.len(), events.len(), "{:?}", applied.verdict);
        applied
    }

    /// A registered patient with a few entries.
    pub(crate) fn patient_with_file(&mut self) -> PatientKeyIds {
        let keys = self.patient();
        self.file(keys, &[registered("Anna"), added(1, "cough"), added(2, "fever")]);
        keys
    }

    /// Gives a number to a patient, in its registry bucket.
    pub(crate) fn assign(&mut self, bucket: SubjectId, value: &str, patient: SubjectId) {
        self.registry(bucket, &[assigned(value, patient)]);
    }

    /// Files events of the registry in one contribution in one block.
    pub(crate) fn registry(&mut self, bucket: SubjectId, events: &[Event]) {
        let registry = self.vault.system().unwrap().unwrap().registry;
        let draft = |event: &Event| Draft {
            chain: bucket,
            subject: bucket,
            key: registry,
            plain: schema::encode_event(event).unwrap(),
        };
        let drafts: Vec<Draft> = events.iter().map(draft).collect();
        let contribution = self.contribution(RECORDS, &drafts);
        let block = self.block(RECORDS, vec![Item::Contribution(contribution)]);
        assert_eq!(self.give(RECORDS, block).records.len(), events.len());
    }

    /// Files a control record signed by the administrator.
    pub(crate) fn control(&mut self, mut control: Control) -> Applied {
        let genesis = self.genesis(RECORDS);
        control.sign(&genesis, 0, &administrator());
        let mut contribution = self.contribution(RECORDS, &[]);
        let head = self.store().reader().head(RECORDS, SubjectId::ZERO).unwrap().unwrap();
        let header = Header {
            format: HEADER_FORMAT,
            leaf: LeafType::Control,
            suite: 0,
            ledger: RECORDS,
            record_id: RecordId(self.unique()),
            contribution_id: contribution.id,
            index: 0,
            count: 1,
            subject: SubjectId::ZERO,
            version: head.version + 1,
            previous: head.hash,
            recorded_at: self.now(),
            node: NODE,
            actor: ACTOR,
            envelope_version: 1,
            data_key: KeyId::ZERO,
            key_commitment: Hash::ZERO,
            body_length: 0,
            body_hash: Hash::ZERO,
        };
        contribution.records = vec![control.into_record(header)];
        let block = self.block(RECORDS, vec![Item::Contribution(contribution)]);
        self.give(RECORDS, block)
    }
}

pub(crate) fn draft(keys: PatientKeyIds, event: &Event) -> Draft {
    Draft {
        chain: keys.subject,
        subject: keys.subject,
        key: keys.file,
        plain: schema::encode_event(event).unwrap(),
    }
}

pub(crate) fn registered(name: &str) -> Event {
    Event::PatientRegistered { identity: identity(name) }
}

pub(crate) fn identity(name: &str) -> Identity {
    let name = HumanName { text: Some(format!("{name} {SECRET}")), ..HumanName::default() };
    Identity { names: vec![name], ..Identity::default() }
}

pub(crate) fn entry_id(number: u8) -> EntryId {
    EntryId([number; 16])
}

pub(crate) fn note(text: &str) -> Entry {
    let detail = Detail::Note(Note { text: format!("{text} {SECRET}"), ..Note::default() });
    let code = CodeableConcept { text: Some(text.to_owned()), ..CodeableConcept::default() };
    let recorder = Some(Actor { reference: format!("Practitioner/{:.32}", text), display: None });
    Entry { code, detail, recorder, ..Entry::default() }
}

pub(crate) fn added(number: u8, text: &str) -> Event {
    Event::EntryAdded { id: entry_id(number), entry: note(text) }
}

pub(crate) fn amended(number: u8, text: &str) -> Event {
    Event::EntryAmended {
        id: entry_id(number),
        entry: note(text),
        changed: vec!["detail".to_owned()],
        how: domain::Amendment::Correction,
        reason: SECRET.to_owned(),
    }
}

pub(crate) fn retracted(number: u8) -> Event {
    Event::EntryRetracted { id: entry_id(number), reason: SECRET.to_owned() }
}

/// Every file below a directory.
pub(crate) fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies the files of a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A number is given to a patient.
pub(crate) fn assigned(value: &str, patient: SubjectId) -> Event {
    Event::IdentifierAssigned {
        identifier_system: "urn:hospital:mrn".to_owned(),
        identifier_value: value.to_owned(),
        patient: domain::PatientId(patient.0),
    }
}

/// A number is taken off a patient.
pub(crate) fn released(value: &str, patient: SubjectId) -> Event {
    Event::IdentifierReleased {
        identifier_system: "urn:hospital:mrn".to_owned(),
        identifier_value: value.to_owned(),
        patient: domain::PatientId(patient.0),
    }
}
