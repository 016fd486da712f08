use std::convert::Infallible;

use super::*;
use crate::note::KeyType;
use crate::proof::consistency_proof;
use crate::testing::key;
use crate::tree::tests::{grown, leaves};
use crate::tree::{FullTile, TileId};

const ORIGIN: &str = "ledger.hospital.example/records.0.0/ab";
const WITNESS: &str = "office.hospital.example/w1";

/// The log's keys are 1 and 2 (two nodes), the witness's is 9.
fn log_keys() -> Vec<Vkey> {
    [1, 2].map(|seed| vkey(ORIGIN, KeyType::Signature, seed)).to_vec()
}

fn vkey(name: &str, kind: KeyType, seed: u8) -> Vkey {
    Vkey::new(name, kind, key(seed).verifying_key().to_bytes()).unwrap()
}

fn own() -> Vkey {
    vkey(WITNESS, KeyType::Cosignature, 9)
}

fn signed(size: u64, root: Hash, seeds: &[u8]) -> SignedNote {
    let mut note = Checkpoint { origin: ORIGIN.to_owned(), size, root }.to_note().unwrap();
    seeds.iter().for_each(|seed| note.sign(ORIGIN, &key(*seed)));
    note
}

fn at(size: u64) -> SignedNote {
    signed(size, grown(&leaves(size)).0.root(), &[1])
}

fn proof(old: u64, new: u64) -> Vec<Hash> {
    let (tree, full) = grown(&leaves(new));
    let tile = |id: TileId| -> Result<Option<Vec<Hash>>, Infallible> {
        let full = full.iter().find(|tile: &&FullTile| tile.id == id);
        Ok(full.map(|tile| tile.hashes.clone()).or_else(|| tree.unfinished(id).map(<[_]>::to_vec)))
    };
    consistency_proof(old, new, tile).unwrap()
}

fn request(old: u64, new: u64) -> AddCheckpoint {
    let proof = if old == 0 || old >= new { Vec::new() } else { proof(old, new) };
    AddCheckpoint { old, proof, note: at(new) }
}

fn known(size: u64) -> Known {
    let accepted = consider(None, &request(0, size), &log_keys()).unwrap();
    accepted.cosign(&log_keys(), &own(), &key(9), 1_790_000_000).unwrap()
}

fn refused(known: Option<&Known>, request: &AddCheckpoint) -> Refused {
    consider(known, request, &log_keys()).unwrap_err()
}

#[test]
fn the_specifications_example_is_read_and_written_to_the_byte() {
    let text = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let read: AddCheckpoint = text.parse().unwrap();
    assert_eq!((read.old, read.proof.len(), read.note.signatures.len()), (20_852_014, 4, 1));
    assert_eq!(read.to_string(), text);
    assert_eq!(consider(None, &read, &log_keys()), Err(Refused::UnknownLog));
}

#[test]
fn what_is_not_written_so_is_malformed() {
    let good = request(3, 9).to_string();
    assert_eq!(good.parse(), Ok(request(3, 9)));
    let line = format!("{}\n", STANDARD.encode([7; 32]));
    let with_lines = |count| good.replacen("old 3\n", &format!("old 3\n{}", line.repeat(count)), 1);
    let left = MAX_PROOF - request(3, 9).proof.len();
    assert!(with_lines(left).parse::<AddCheckpoint>().is_ok(), "63 lines");
    for wrong in [
        String::new(),
        "old 3\n".to_owned(),
        with_lines(left + 1),
        good.replacen("old 3", "old 03", 1),
        good.replacen("old 3", "old +3", 1),
        good.replacen("old 3", "old  3", 1),
        good.replacen("old 3", "new 3", 1),
        good.replacen("old 3\n", "old 3\r\n", 1),
        good.replacen("old 3\n", "old 3\nAAAA\n", 1),
        good.trim_end().to_owned(),
    ] {
        assert_eq!(wrong.parse::<AddCheckpoint>(), Err(Refused::Malformed), "{wrong}");
    }
    let no_checkpoint = SignedNote::new("just a text\n".to_owned()).unwrap();
    let shifted = good.replacen("old 3\n", "old 3\n\n", 1).parse().unwrap();
    for request in [AddCheckpoint { note: no_checkpoint, ..request(3, 9) }, shifted] {
        assert_eq!(refused(None, &request), Refused::Malformed);
    }
}

#[test]
fn a_log_that_grows_is_cosigned_and_the_cosignature_holds() {
    let mut newest: Option<Known> = None;
    for size in [0, 0, 1, 1, 2, 7, 8, 255, 256, 300, 513] {
        let old = newest.as_ref().map_or(0, |known| known.checkpoint().size);
        let accepted = consider(newest.as_ref(), &request(old, size), &log_keys()).unwrap();
        let known = accepted.cosign(&log_keys(), &own(), &key(9), 1_790_000_000 + size).unwrap();
        let read = Known::open(&known.note().to_string(), ORIGIN, &own()).unwrap();
        assert_eq!(read, known);
        assert_eq!(known.cosignature().unwrap().name, WITNESS);
        let (keys, mut note) = ([own()], at(size));
        note.signatures.extend(known.cosignature().cloned());
        assert_eq!(note.verify(&keys).unwrap()[0].time, 1_790_000_000 + size);
        newest = Some(known);
    }
}

#[test]
fn unknown_logs_and_logs_that_did_not_sign_are_told_apart() {
    assert_eq!(consider(None, &request(0, 5), &[]), Err(Refused::UnknownLog));
    let others = [vkey("other.example/log", KeyType::Signature, 1)];
    assert_eq!(consider(None, &request(0, 5), &others), Err(Refused::UnknownLog));
    let root = grown(&leaves(5)).0.root();
    let by = |seeds: &[u8]| AddCheckpoint { note: signed(5, root, seeds), ..request(0, 5) };
    assert_eq!(refused(None, &by(&[3])), Refused::NotSigned);
    assert!(consider(None, &by(&[2]), &log_keys()).is_ok(), "any of the log's keys");
    assert!(consider(None, &by(&[3, 2]), &log_keys()).is_ok(), "strangers are passed over");
    let mut broken = by(&[1, 2]);
    broken.note.signatures[0].signature[3] ^= 1;
    assert_eq!(refused(None, &broken), Refused::NotSigned);
    // Who signed is looked at before sizes, so that only the log learns them.
    let stranger = AddCheckpoint { old: 9, note: signed(5, root, &[3]), proof: Vec::new() };
    assert_eq!(refused(Some(&known(7)), &stranger), Refused::NotSigned);
}

#[test]
fn sizes_and_proofs_are_checked_in_the_specifications_order() {
    let known = known(7);
    assert_eq!(refused(Some(&known), &request(9, 8)), Refused::OldAboveNew);
    for stale in [request(0, 9), request(6, 9), request(8, 9), request(0, 5), request(5, 5)] {
        assert_eq!(refused(Some(&known), &stale), Refused::Stale { size: 7 });
    }
    assert_eq!(refused(None, &request(3, 9)), Refused::Stale { size: 0 });
    let mut flipped = request(7, 12);
    flipped.proof[1].0[0] ^= 1;
    let short = AddCheckpoint { proof: Vec::new(), ..request(7, 12) };
    let root = AddCheckpoint { note: signed(12, Hash([5; 32]), &[1]), ..request(7, 12) };
    let same = AddCheckpoint { proof: vec![Hash([5; 32])], ..request(7, 7) };
    for wrong in [&flipped, &short, &root, &same] {
        assert_eq!(refused(Some(&known), wrong), Refused::WrongProof);
    }
    let fork = AddCheckpoint { note: signed(7, Hash([5; 32]), &[1]), ..request(7, 7) };
    assert_eq!(refused(Some(&known), &fork), Refused::WrongRoot);
    assert!(consider(Some(&known), &request(7, 7), &log_keys()).is_ok(), "the same once more");
}

#[test]
fn from_nothing_there_is_no_proof_and_the_empty_tree_has_one_root() {
    let with_proof = AddCheckpoint { proof: vec![Hash([5; 32])], ..request(0, 5) };
    assert_eq!(refused(None, &with_proof), Refused::WrongProof);
    let not_empty = AddCheckpoint { note: signed(0, Hash([5; 32]), &[1]), ..request(0, 0) };
    assert_eq!(refused(None, &not_empty), Refused::WrongProof);
    assert_eq!(refused(Some(&known(0)), &not_empty), Refused::WrongProof);
    assert!(consider(Some(&known(0)), &request(0, 5), &log_keys()).is_ok());
}

#[test]
fn every_refusal_has_the_specifications_status() {
    for (refused, status) in [
        (Refused::Malformed, 400),
        (Refused::OldAboveNew, 400),
        (Refused::NotSigned, 403),
        (Refused::UnknownLog, 404),
        (Refused::Stale { size: 3 }, 409),
        (Refused::WrongRoot, 409),
        (Refused::WrongProof, 422),
    ] {
        assert_eq!(refused.status(), status);
    }
}

#[test]
fn lines_that_nobody_vouches_for_are_not_passed_on() {
    let mut many = request(0, 5);
    many.note.cosign("stranger.example", &key(77), 5);
    many.note.cosign(WITNESS, &key(9), 5); // an earlier cosignature of our own
    let line = many.note.signatures[0].clone();
    many.note.signatures.extend(std::iter::repeat_n(line, 90));
    let accepted = consider(None, &many, &log_keys()).unwrap();
    let mut keep = log_keys();
    keep.push(own());
    let known = accepted.cosign(&keep, &own(), &key(9), 6).unwrap();
    let names: Vec<&str> = known.note().signatures.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, [ORIGIN, WITNESS]);
}

#[test]
fn a_note_that_could_not_be_read_again_is_not_cosigned() {
    let root = STANDARD.encode(grown(&leaves(5)).0.root().0);
    let head = format!("{ORIGIN}\n5\n{root}\n");
    let extension = "x".repeat(MAX_NOTE - head.len() - 200);
    let mut note = SignedNote::new(format!("{head}{extension}\n")).unwrap();
    note.sign(ORIGIN, &key(1));
    assert!(note.to_string().parse::<SignedNote>().is_ok(), "readable as it came");
    let accepted = consider(None, &AddCheckpoint { note, ..request(0, 5) }, &log_keys()).unwrap();
    let cosigned = accepted.cosign(&log_keys(), &own(), &key(9), 6);
    assert_eq!(cosigned, Err(Refused::Malformed));
}

#[test]
fn what_was_kept_is_believed_only_as_it_was_cosigned() {
    let kept = known(7).note().to_string();
    let open = |text: &str| Known::open(text, ORIGIN, &own());
    assert!(open(&kept).is_ok());
    assert!(open("").is_err());
    assert!(open(&kept.replacen("\n7\n", "\n8\n", 1)).is_err());
    assert!(open(&at(7).to_string()).is_err(), "not cosigned");
    assert!(Known::open(&kept, "other.example/log", &own()).is_err());
    assert!(Known::open(&kept, ORIGIN, &vkey(WITNESS, KeyType::Cosignature, 8)).is_err());
}
