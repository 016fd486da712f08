//! Good inputs to begin with: the golden files of `ledger`, and a small signed log.

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger::block::FRAME_HEAD;
use ledger::checkpoint::{Checkpoint, TlogProof};
use ledger::note::{KeyType, SignedNote, Vkey};
use ledger::proof::inclusion_proof;
use ledger::witness::AddCheckpoint;
use ledger::{Frame, Hash, Header, SigningKey, Tree, leaf_hash};

const NAME: &str = "ledger.hospital.example/log1";
const WITNESSES: [&str; 2] = ["witness.example/w1", "witness.example/w2"];

/// A log of seven leaves, signed by its key and two witnesses.
pub(crate) struct Log {
    /// Of the log and the witnesses.
    pub(crate) keys: Vec<Vkey>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: SignedNote,
    pub(crate) leaf: Hash,
    /// Of that leaf.
    pub(crate) proof: TlogProof,
}

static LOG: LazyLock<Option<Log>> = LazyLock::new(Log::found);

impl Log {
    /// The log. Without one no target would look at anything, so that it is better to stop.
    pub(crate) fn get() -> &'static Self {
        LOG.as_ref().unwrap_or_else(|| std::process::abort())
    }

    fn found() -> Option<Self> {
        let leaves: Vec<Hash> = (0..7_u8).map(|n| leaf_hash(&[n])).collect();
        let (mut tree, mut full) = (Tree::default(), Vec::new());
        for leaf in &leaves {
            tree.append(*leaf, &mut full);
        }
        let checkpoint = Checkpoint { origin: NAME.to_owned(), size: 7, root: tree.root() };
        let mut note = checkpoint.to_note().ok()?;
        note.sign(NAME, &key(1));
        let mut keys = vec![vkey_of(NAME, KeyType::Signature, 1)?];
        for (name, seed) in WITNESSES.into_iter().zip(2..) {
            note.cosign(name, &key(seed), 1_767_000_000);
            keys.push(vkey_of(name, KeyType::Cosignature, seed)?);
        }
        let tile = |id| Ok::<_, ()>(tree.unfinished(id).map(<[Hash]>::to_vec));
        let proof = inclusion_proof(3, 7, tile).ok()?;
        let proof = TlogProof { index: 3, proof, checkpoint: note.clone() };
        Some(Self { keys, checkpoint, note, leaf: *leaves.get(3)?, proof })
    }
}

/// The signing key of a seed.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn vkey_of(name: &str, kind: KeyType, seed: u8) -> Option<Vkey> {
    Vkey::new(name, kind, key(seed).verifying_key().to_bytes()).ok()
}

/// The log's note with its own signature alone, with one witness' and with both.
pub(crate) fn signed_by_more_and_more() -> [SignedNote; 3] {
    [1, 2, 3].map(|signers| {
        let mut note = Log::get().note.clone();
        note.signatures.truncate(signers);
        note
    })
}

/// A content in a frame. Its signature is not looked at by those who only read.
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    let (magic, format, ledger, node) = (b"CSLB", [0, 1], [1, 0, 0, 0, 0], [7; 16]);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [&magic[..], &format, &ledger, &node, &length].concat();
    debug_assert_eq!(head.len(), FRAME_HEAD, "the head of a frame");
    [&head, content, &[0; 64]].concat()
}

/// The golden files whose names begin so; none where they cannot be read.
fn golden(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/ledger/golden");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = files.filter(|file| file.file_name().to_string_lossy().starts_with(name));
    let read = |path| hex::decode(std::fs::read_to_string(path).ok()?.replace('\n', "")).ok();
    named.filter_map(|file| read(file.path())).collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn notes() -> Vec<Vec<u8>> {
    let own = signed_by_more_and_more().map(|note| note.to_string().into_bytes());
    [own.to_vec(), golden("note")].concat()
}

pub(crate) fn additions() -> Vec<Vec<u8>> {
    let Log { note, proof, .. } = Log::get();
    let first = AddCheckpoint { old: 0, proof: Vec::new(), note: note.clone() };
    let next = AddCheckpoint { old: 3, proof: proof.proof.clone(), note: note.clone() };
    [first, next].map(|asked| asked.to_string().into_bytes()).to_vec()
}

pub(crate) fn checkpoints() -> Vec<Vec<u8>> {
    let text = Log::get().note.text();
    texts(&[text, &format!("{text}an extension\nand another\n")])
}

pub(crate) fn proofs() -> Vec<Vec<u8>> {
    let proof = Log::get().proof.to_string();
    let extra = format!("\nextra {}\nindex", STANDARD.encode("nothing vouches for it"));
    texts(&[&proof, &proof.replacen("\nindex", &extra, 1)])
}

pub(crate) fn vkeys() -> Vec<Vec<u8>> {
    Log::get().keys.iter().map(|key| key.to_string().into_bytes()).collect()
}

pub(crate) fn paths() -> Vec<Vec<u8>> {
    texts(&["tile/0/x001/x234/067.p/112", "tile/63/000", "tile/entries/x018/005.p/1"])
}

pub(crate) fn policies() -> Vec<Vec<u8>> {
    let mut text = String::from("# Who must have signed.\n");
    for (place, key) in Log::get().keys.iter().enumerate() {
        text.push_str(&match place {
            0 => format!("log {key} https://{NAME}\n"),
            _ => format!("witness w{place} {key}\n"),
        });
    }
    let none = format!("{text}quorum none\n");
    let nested = "group one any w1\n\n # Both.\ngroup g 2 one w2\nquorum g\n";
    texts(&[&none, &format!("{text}quorum w2\n"), &format!("{text}{nested}")])
}

pub(crate) fn headers() -> Vec<Vec<u8>> {
    let of_records = contents().into_iter().flat_map(|content| {
        let message = framed(&content);
        let read = Frame::parse(&message).ok().and_then(|frame| frame.content().ok());
        read.into_iter().flat_map(|content| headers_of(&content)).collect::<Vec<_>>()
    });
    // The golden block's records are not all what they say.
    let good = of_records.filter(|bytes| Header::decode(bytes).is_ok());
    golden("header").into_iter().chain(good).collect()
}

pub(crate) fn leaves() -> Vec<Vec<u8>> {
    [golden("commitment"), headers()].concat()
}

fn headers_of(content: &ledger::Content<&[u8]>) -> Vec<Vec<u8>> {
    let contributions = content.items.iter().filter_map(|item| match item {
        ledger::Item::Contribution(contribution) => Some(&contribution.records),
        ledger::Item::Abandonment(_) | ledger::Item::Checkpoint(_) => None,
    });
    contributions.flatten().map(|record| record.header.to_vec()).collect()
}

pub(crate) fn blocks() -> Vec<Vec<u8>> {
    [golden("block"), golden("founding")].concat()
}

pub(crate) fn contents() -> Vec<Vec<u8>> {
    let content = |block: &Vec<u8>| Frame::parse(block).ok().map(|frame| frame.content.to_vec());
    blocks().iter().filter_map(content).collect()
}

pub(crate) fn controls() -> Vec<Vec<u8>> {
    golden("control")
}

pub(crate) fn overrides() -> Vec<Vec<u8>> {
    golden("override")
}
