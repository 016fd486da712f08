//! A whole ledger verified offline, by `caseledger verify` from a folder laid out as a node serves it:
//! every header, chain, commitment, tile and admission.
//!
//! The ledger is made here, of headers alone, for making a million of them through a node takes minutes.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use ledger::checkpoint::{Checkpoint, origin};
use ledger::commitment::{self, Subjects};
use ledger::cosigned::{cosigner_name, policy, sign};
use ledger::founding::{Founding, found};
use ledger::header::{HEADER_FORMAT, SUITE_SEALED};
use ledger::tree::{TILE_WIDTH, tile_bytes};
use ledger::{
    ActorId, ContributionId, Frame, FullTile, Hash, Header, Item, KeyId, LeafType, LedgerId,
    NodeId, RecordId, SigningKey, State, SubjectId, TileId, TileKind, TilePath, Tree, leaf_hash,
};
use testkit::cluster::program;

use super::{IN_ROWS, SCATTERED, VERIFICATION, VERIFIED};
use crate::load::Measured;
use crate::rng::Rng;
use crate::session::{Session, say};
use crate::usage::ran;

const NAME: &str = "ledger.example";
const NODE: NodeId = NodeId([1; 16]);
/// Records of each patient.
const EACH: u64 = 10;
/// 2026-09-21, in µs since 1970: long enough ago.
const START: u64 = 1_790_000_000_000_000;

/// Measures both orders in which records may stand: a patient's one after the other, as an import files
/// them, and of anybody at random.
///
/// # Errors
/// When a folder cannot be written, or what is in it does not verify.
pub(crate) fn caseledger(session: &mut Session) -> anyhow::Result<()> {
    let records = session.plan.verified;
    for order in [IN_ROWS, SCATTERED] {
        let folder = tempfile::tempdir()?;
        say(&format!("  a ledger of {records} records, {order}"));
        Log::written(folder.path(), records, order == SCATTERED)?;
        let mut command = Command::new(program("caseledger")?);
        command.arg("verify").arg("--policy").arg(folder.path().join("policy")).arg(folder.path());
        let (said, seconds, usage) = ran("caseledger", &mut command)?;
        ensure!(said.starts_with("intact"), "{said}");
        let measured = Measured::bulk(seconds, records, vec![usage])?;
        session.report.add(VERIFICATION, "headers", VERIFIED, order, measured);
    }
    Ok(())
}

/// A ledger that is being written into a folder.
struct Log<'a> {
    folder: &'a Path,
    tree: Tree,
    subjects: Subjects,
    full: Vec<FullTile>,
    bundle: Vec<u8>,
}

impl<'a> Log<'a> {
    /// Writes one of so many records, signed by its one node, and the policy to verify it with.
    fn written(folder: &'a Path, records: u64, scattered: bool) -> anyhow::Result<()> {
        let keys = [1, 2, 3, 4].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let [administrator, block, checkpoint, cosigner] = &keys;
        let public = |key: &SigningKey| key.verifying_key().to_bytes();
        let founded = found(&Founding {
            ledger: LedgerId::RECORDS,
            name: NAME,
            created_at: START,
            administrators: &[public(administrator)],
            threshold: 1,
            signers: &[(0, administrator)],
            node: NODE,
            block_key: block,
            checkpoint_key: public(checkpoint),
            cosigner_key: public(cosigner),
        })?;
        let (tree, subjects) = (Tree::default(), Subjects::default());
        let mut log = Self { folder, tree, subjects, full: Vec::new(), bundle: Vec::new() };
        log.found(&founded.block)?;
        let mut heads: HashMap<SubjectId, (u64, Hash)> = HashMap::new();
        let mut rng = Rng::seeded(1);
        while log.tree.size() < records {
            let position = log.tree.size();
            if commitment::is_at(position) {
                let (due, _) = log.subjects.commit(LedgerId::RECORDS, position);
                log.add(&due.encode())?;
                continue;
            }
            let number = match scattered {
                true => rng.next() % (records / EACH).max(1),
                false => position / EACH,
            };
            let subject = subject(number);
            let (version, previous) = heads.get(&subject).copied().unwrap_or((0, Hash::ZERO));
            let header = header(position, subject, version + 1, previous).encode();
            let leaf = log.add(&header)?;
            log.subjects.add(position, subject, leaf);
            heads.insert(subject, (version + 1, leaf));
        }
        log.finish()?;
        let origin = origin(NAME, LedgerId::RECORDS, &founded.genesis);
        let signed = Checkpoint { origin: origin.clone(), size: records, root: log.tree.root() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let note = sign(&signed, checkpoint, (&cosigner_name(NAME, NODE), cosigner), now)?;
        log.put("checkpoint", note.to_string().as_bytes())?;
        let mut state = State::new(LedgerId::RECORDS, founded.genesis);
        state.apply(&ledger::rules::Memory::default(), 1, &founded.block)?;
        log.put("policy", policy(&origin, NAME, &state.authority)?.as_bytes())
    }

    /// The genesis and the first admission, whose bodies are clear.
    fn found(&mut self, block: &[u8]) -> anyhow::Result<()> {
        let content = Frame::parse(block)?.content()?;
        for item in content.items {
            let Item::Contribution(contribution) = item else { continue };
            for record in contribution.records {
                let position = self.tree.size();
                let leaf = self.add(record.header)?;
                self.subjects.add(position, SubjectId::ZERO, leaf);
                self.put(&format!("control/{position}"), record.body)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: &[u8]) -> anyhow::Result<Hash> {
        let leaf = leaf_hash(entry);
        self.bundle.extend_from_slice(&u16::try_from(entry.len())?.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        self.tree.append(leaf, &mut self.full);
        for tile in std::mem::take(&mut self.full) {
            self.put(&TilePath::full(tile.id).to_string(), &tile.to_bytes())?;
        }
        if self.tree.size().is_multiple_of(TILE_WIDTH as u64) {
            self.entries(TILE_WIDTH)?;
        }
        Ok(leaf)
    }

    fn entries(&mut self, width: usize) -> anyhow::Result<()> {
        let index = (self.tree.size() - 1) / TILE_WIDTH as u64;
        let path = TilePath { kind: TileKind::Entries, index, width: u16::try_from(width)? };
        let bundle = std::mem::take(&mut self.bundle);
        self.put(&path.to_string(), &bundle)
    }

    /// What is not full at the end.
    fn finish(&mut self) -> anyhow::Result<()> {
        let rest = usize::try_from(self.tree.size() % TILE_WIDTH as u64)?;
        if rest > 0 {
            self.entries(rest)?;
        }
        let (mut level, mut hashes) = (0, self.tree.size());
        while hashes > 0 {
            let index = hashes / TILE_WIDTH as u64;
            if let Some(hashes) = self.tree.unfinished(TileId { level, index }) {
                let width = u16::try_from(hashes.len())?;
                let path = TilePath { kind: TileKind::Hashes(level), index, width };
                self.put(&path.to_string(), &tile_bytes(hashes))?;
            }
            (level, hashes) = (level + 1, index);
        }
        Ok(())
    }

    fn put(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.folder.join(path);
        std::fs::create_dir_all(file.parent().context("a folder")?)?;
        std::fs::write(&file, bytes).with_context(|| file.display().to_string())
    }
}

/// Spread like the random ids that patients have.
fn subject(number: u64) -> SubjectId {
    let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut id = [0; SubjectId::SIZE];
    id.iter_mut()
        .zip(spread.iter().chain(&number.to_be_bytes()))
        .for_each(|(to, from)| *to = *from);
    SubjectId(id)
}

/// As long as those that nodes write.
fn header(position: u64, subject: SubjectId, version: u64, previous: Hash) -> Header {
    let mut record_id = [7; 16];
    record_id.iter_mut().zip(position.to_be_bytes()).for_each(|(to, from)| *to = from);
    let id = leaf_hash(&position.to_be_bytes());
    Header {
        format: HEADER_FORMAT,
        leaf: LeafType::Record,
        suite: SUITE_SEALED,
        ledger: LedgerId::RECORDS,
        record_id: RecordId(record_id),
        contribution_id: ContributionId(id.0),
        index: 0,
        count: 1,
        subject,
        version,
        previous,
        recorded_at: START + position,
        node: NODE,
        actor: ActorId([2; 16]),
        envelope_version: 1,
        data_key: KeyId([5; 16]),
        key_commitment: id,
        body_length: 600,
        body_hash: id,
    }
}
