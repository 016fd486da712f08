//! What is counted: one function a case. It makes everything ready, which is the same however many
//! units are asked for, and then does the units.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use api::v1;
use domain::{Command, EntryId, Event, PatientFile, decide};
use ledger::founding::{Founding, found};
use ledger::{
    Block, BlockVerdict, Content, Contribution, ContributionId, Hash, Header, Item, ItemVerdict,
    KeyId, LedgerId, Memory, SealedRecord, SigningKey, State, SubjectId,
};
use prost::Message as _;
use server::convert::entry::state_out;
use vault::{BatchOrigin, KeyEncryptionKey, Opened, Vault};

use crate::samples::{NODE, NOW, header, note, observation, states};

/// Contributions of a block.
const CONTRIBUTIONS: u32 = 64;
/// Blocks that are judged.
const BLOCKS: u32 = 8;
/// Content of a body that is sealed, bytes.
const BODY: usize = 1_000;
/// Entries of a page.
const ENTRIES: u8 = 50;

/// One thing whose instructions are counted.
pub(crate) struct Case {
    /// Its name among the limits.
    pub(crate) name: &'static str,
    /// What a unit is.
    pub(crate) what: &'static str,
    /// How many units are run, so that what varies between runs is little of it.
    pub(crate) units: u32,
    /// Makes ready and does so many.
    pub(crate) run: fn(u32) -> anyhow::Result<()>,
}

/// All of them.
pub(crate) const CASES: [Case; 6] = [
    Case {
        name: "decide",
        what: "domain: a laboratory result to be added is judged",
        units: 1_000,
        run: deciding,
    },
    Case {
        name: "entry",
        what: "schema: a result and a note, filed, encoded and decoded",
        units: 1_000,
        run: stored,
    },
    Case {
        name: "header",
        what: "ledger: a header encoded and decoded",
        units: 5_000,
        run: headers,
    },
    Case {
        name: "judge",
        what: "ledger: a block of 64 contributions of one record judged",
        units: BLOCKS,
        run: judging,
    },
    Case {
        name: "render",
        what: "server: a page of 50 entries converted and encoded",
        units: 50,
        run: rendering,
    },
    Case {
        name: "seal",
        what: "vault: a body of 1 KiB sealed and opened",
        units: 500,
        run: sealing,
    },
];

fn deciding(units: u32) -> anyhow::Result<()> {
    let file = PatientFile { registered: true, ..PatientFile::default() };
    let command = Command::AddEntry { id: EntryId([7; 16]), entry: observation()? };
    for _ in 0..units {
        let events = decide(black_box(&file), black_box(&command)).ok();
        black_box(events.context("the entry is refused")?);
    }
    Ok(())
}

fn stored(units: u32) -> anyhow::Result<()> {
    let added = |entry| Event::EntryAdded { id: EntryId([7; 16]), entry };
    let events = [added(observation()?), added(note())];
    for _ in 0..units {
        for event in &events {
            let bytes = schema::encode_event(black_box(event))?;
            black_box(schema::decode_event(schema::CURRENT_ENVELOPE, &bytes)?);
        }
    }
    Ok(())
}

fn headers(units: u32) -> anyhow::Result<()> {
    let header = header(SubjectId([5; 16]), ContributionId([2; 32]), KeyId([8; 16]));
    for _ in 0..units {
        let bytes = black_box(&header).encode();
        black_box(Header::decode(black_box(&bytes))?);
    }
    Ok(())
}

fn rendering(units: u32) -> anyhow::Result<()> {
    let states = states(ENTRIES)?;
    for _ in 0..units {
        let file = v1::PatientFile {
            entries: black_box(&states).iter().map(state_out).collect(),
            ..v1::PatientFile::default()
        };
        black_box(file.encode_to_vec());
    }
    Ok(())
}

fn sealing(units: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let vault = Vault::open(folder.path(), KeyEncryptionKey::from_bytes(1, &[42; 32])?)?;
    vault.add_system(&vault.mint_system()?)?;
    vault.add_batch("one", &vault.mint_batch()?, BatchOrigin::ThisNode)?;
    let keys = vault.take_patient()?.context("no keys")?;
    let key = vault.data_key(keys.file)?.context("no key")?;
    let (genesis, plain) = (Hash([9; 32]), vec![b'x'; BODY]);
    for _ in 0..units {
        let mut header = header(keys.subject, ContributionId([2; 32]), keys.file);
        let body = vault.seal_body(&genesis, &mut header, black_box(&plain), &key)?;
        let opened = vault.open_body(&genesis, &header, black_box(&body))?;
        ensure!(matches!(opened, Opened::Plain(_)), "the body does not open");
    }
    Ok(())
}

fn judging(units: u32) -> anyhow::Result<()> {
    let (mut state, mut memory, blocks) = ledger_with_blocks()?;
    for block in blocks.iter().take(usize::try_from(units)?) {
        let applied = state.apply(&memory, state.sequence + 1, black_box(block))?;
        memory.add(&applied);
        let BlockVerdict::Judged(items) = applied.verdict else {
            anyhow::bail!("a block is refused");
        };
        let accepted = items.iter().all(|item| matches!(item, ItemVerdict::Accepted { .. }));
        ensure!(accepted, "a contribution is void");
    }
    Ok(())
}

/// A ledger just founded, and blocks that come next.
fn ledger_with_blocks() -> anyhow::Result<(State, Memory, Vec<Vec<u8>>)> {
    let (administrator, key) =
        (SigningKey::from_bytes(&[200; 32]), SigningKey::from_bytes(&[1; 32]));
    let founded = found(&Founding {
        ledger: LedgerId::RECORDS,
        name: "ledger.hospital.example",
        created_at: NOW,
        administrators: &[administrator.verifying_key().to_bytes()],
        threshold: 1,
        signers: &[(0, &administrator)],
        node: NODE,
        block_key: &key,
        checkpoint_key: SigningKey::from_bytes(&[101; 32]).verifying_key().to_bytes(),
        cosigner_key: SigningKey::from_bytes(&[151; 32]).verifying_key().to_bytes(),
    })?;
    let (mut state, mut memory) =
        (State::new(LedgerId::RECORDS, founded.genesis), Memory::default());
    memory.add(&state.apply(&memory, 1, &founded.block)?);
    let at_first = (state.clone(), memory.clone());
    let mut blocks = Vec::new();
    for block in 0..BLOCKS {
        let items = (0..CONTRIBUTIONS).map(|n| contribution(block * CONTRIBUTIONS + n)).collect();
        let content = Content { sealed_at: NOW, base: state.base(), items };
        let message = Block::seal(LedgerId::RECORDS, NODE, &content, &key, &state.genesis)?;
        memory.add(&state.apply(&memory, state.sequence + 1, &message)?);
        blocks.push(message);
    }
    Ok((at_first.0, at_first.1, blocks))
}

/// One record of a subject who has none yet.
fn contribution(number: u32) -> Item {
    let Hash(id) = Hash::of(&number.to_be_bytes());
    let (subject, _) = id.as_chunks::<16>();
    let subject = SubjectId(subject.first().copied().unwrap_or_default());
    let mut header = header(subject, ContributionId(id), KeyId([8; 16]));
    let body = vec![7; 560];
    header.body_length = 560;
    header.body_hash = Hash::of(&body);
    let records = vec![SealedRecord { header: header.encode(), body }];
    let request_digest = Hash([9; 32]);
    Item::Contribution(Contribution {
        id: ContributionId(id),
        request_digest,
        reads: Vec::new(),
        records,
    })
}
