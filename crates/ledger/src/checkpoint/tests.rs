use super::*;
use crate::header::leaf_hash;
use crate::note::KeyType;
use crate::proof::inclusion_proof;
use crate::testing::{key, public};
use crate::tree::tests::{grown, leaves};

const ORIGIN: &str = "ledger.hospital.example/records.0.0/00";

fn signed(size: u64) -> (SignedNote, [Vkey; 1]) {
    let (tree, _) = grown(&leaves(size));
    let head = Checkpoint { origin: ORIGIN.to_owned(), size, root: tree.root() };
    let mut note = head.to_note().unwrap();
    note.sign(ORIGIN, &key(1));
    (note, [Vkey::new(ORIGIN, KeyType::Signature, public(1)).unwrap()])
}

/// The root that four unrelated verifiers accepted for these 70,000 entries.
#[test]
fn the_tree_of_70000_entries_has_the_known_root() {
    let leaves: Vec<Hash> = (0..70_000)
        .map(|number| leaf_hash(format!(r#"{{"event":{number},"type":"CaseUpdated"}}"#).as_bytes()))
        .collect();
    let (tree, full) = grown(&leaves);
    let origin = "ledger.hospital.example/log1".to_owned();
    let checkpoint = Checkpoint { origin, size: 70_000, root: tree.root() };
    let text =
        "ledger.hospital.example/log1\n70000\nrrcsJMg8f5Van4afhRM7zA3q8G1RjrUyMn2TAIYVMYk=\n";
    assert_eq!(checkpoint.to_string(), text);
    assert_eq!(text.parse(), Ok(checkpoint));
    assert_eq!(full.iter().filter(|tile| tile.id.level == 0).count(), 273);
    assert_eq!(full.iter().filter(|tile| tile.id.level == 1).count(), 1);
}

#[test]
fn an_origin_ends_in_the_genesis_hash() {
    let text = origin("ledger.hospital.example", LedgerId::ACCESS, &Hash([0xab; 32]));
    assert_eq!(text, format!("ledger.hospital.example/access.0.0/{}", "ab".repeat(32)));
}

#[test]
fn a_checkpoint_is_opened_for_its_origin_under_known_keys() {
    let (note, keys) = signed(3);
    let (checkpoint, by) = Checkpoint::open(&note, ORIGIN, &keys).unwrap();
    assert_eq!((checkpoint.size, by.len()), (3, 1));
    let other = Checkpoint::open(&note, "ledger.hospital.example/access.0.0/00", &keys);
    assert_eq!(other, Err(CheckpointError::WrongOrigin));
    let unknown = Checkpoint::open(&note, ORIGIN, &[]);
    assert_eq!(unknown, Err(CheckpointError::Note(NoteError::NotSigned)));
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = STANDARD.encode([1; 32]);
    let good = format!("o\n7\n{root}\n");
    assert!(good.parse::<Checkpoint>().is_ok());
    assert!(format!("{good}extension\n").parse::<Checkpoint>().is_ok());
    let short = STANDARD.encode([1; 31]);
    let bad = [
        String::new(),
        format!("o\n7\n{root}"),
        format!("\n7\n{root}\n"),
        format!("o\n07\n{root}\n"),
        format!("o\n+7\n{root}\n"),
        format!("o\n-7\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n7\n{short}\n"),
        format!("o\n7\n{root}\n\n"),
        "o\n7\n".to_owned(),
    ];
    for text in bad {
        assert_eq!(text.parse::<Checkpoint>(), Err(CheckpointError::Form), "{text:?}");
    }
}

#[test]
fn a_proof_travels_alone() {
    let (checkpoint, keys) = signed(300);
    let leaves = leaves(300);
    let (tree, full) = grown(&leaves);
    let tile = |id| {
        let kept = full.iter().find(|tile| tile.id == id).map(|tile| tile.hashes.clone());
        Ok::<_, ()>(tree.unfinished(id).map(<[Hash]>::to_vec).or(kept))
    };
    let proof = TlogProof { index: 41, proof: inclusion_proof(41, 300, tile).unwrap(), checkpoint };
    let text = proof.to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 41\n"));
    let read: TlogProof = text.parse().unwrap();
    assert_eq!(read, proof);
    assert!(read.verify(&leaves[41], ORIGIN, &keys).is_ok());
    assert_eq!(read.verify(&leaves[42], ORIGIN, &keys), Err(CheckpointError::Proof));
    let extra = text.replace("@v1\n", "@v1\nextra AAAA\n");
    assert_eq!(extra.parse(), Ok(proof));
    for bad in ["@v2\n", "@v1\nindex 41\n", "@v1\nindex x\n", "@v1\nAAAA\n"] {
        let text = text.replace("@v1\n", bad);
        assert_eq!(text.parse::<TlogProof>(), Err(CheckpointError::Proof), "{bad}");
    }
}
