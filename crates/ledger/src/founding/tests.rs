use super::*;
use crate::block::SealedRecord;
use crate::rules::{ApplyError, ItemVerdict, Memory, State};
use crate::testing::*;

fn founding<'a>(
    administrators: &'a [[u8; 32]],
    signers: &'a [(u8, &'a SigningKey)],
) -> Founding<'a> {
    static BLOCK: std::sync::LazyLock<SigningKey> = std::sync::LazyLock::new(|| key(1));
    Founding {
        ledger: LedgerId::RECORDS,
        name: "ledger.hospital.example",
        created_at: START,
        administrators,
        threshold: 2,
        signers,
        node: NODE,
        block_key: &BLOCK,
        checkpoint_key: public(101),
        cosigner_key: public(151),
    }
}

#[test]
fn golden_bytes() {
    assert_golden("founding", &founding_block(LedgerId::RECORDS).block);
}

#[test]
fn block_1_founds_the_ledger_that_is_pinned() {
    let administrators = [public(200), public(201), public(202)];
    let (one, two) = (key(200), key(202));
    let signers = [(0, &one), (2, &two)];
    let founding = founding(&administrators, &signers);
    let founded = found(&founding).unwrap();
    assert_eq!(found(&founding).unwrap(), founded, "the same founding gives the same bytes");

    let mut state = State::new(LedgerId::RECORDS, founded.genesis);
    let applied = state.apply(&Memory::default(), 1, &founded.block).unwrap();
    assert!(matches!(judged(&applied)[..], [ItemVerdict::Accepted { count: 2, .. }]));
    assert_eq!(applied.records[0].leaf, founded.genesis);
    assert_eq!((state.size(), state.sequence, state.time), (2, 1, START));
    assert_eq!(state.authority.administrators, administrators);
    assert_eq!(state.authority.active(NODE).unwrap().keys.checkpoint, public(101));
    assert!(state.origin().ends_with(&founded.genesis.to_string()));
}

#[test]
fn a_founding_that_nobody_could_apply_is_refused() {
    let administrators = [public(200), public(201)];
    let (one, two, stranger) = (key(200), key(201), key(99));
    let both = [(0, &one), (1, &two)];
    assert!(found(&founding(&administrators, &both)).is_ok());

    let not_signed = Err(FoundingError::NotSigned { threshold: 2 });
    assert_eq!(found(&founding(&administrators, &both[..1])), not_signed);
    assert_eq!(found(&founding(&administrators, &[(0, &one), (1, &stranger)])), not_signed);

    let unsound = Err(FoundingError::Unsound);
    let twice = [public(200), public(200)];
    assert_eq!(found(&founding(&twice, &[(0, &one), (1, &one)])), unsound);
    assert_eq!(found(&founding(&administrators[..1], &both)), unsound, "threshold too high");
    assert_eq!(found(&founding(&[public(200), [0; 32]], &both)), unsound, "a weak key");
    let named = Founding { name: "two words", ..founding(&administrators, &both) };
    assert_eq!(found(&named), unsound);
    let none = Founding { threshold: 0, ..founding(&administrators, &both) };
    assert_eq!(found(&none), unsound);
}

/// A wiped node, or one that follows a stranger's stream, does not start a new world.
#[test]
fn another_first_block_stops_apply() {
    let ours = founding_block(LedgerId::RECORDS);
    let access = founding_block(LedgerId::ACCESS);
    let mut state = State::new(LedgerId::RECORDS, ours.genesis);
    let before = state.clone();
    let mut flipped = ours.block.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let administrators = [public(77), public(78)];
    let (one, two) = (key(77), key(78));
    let strangers = found(&founding(&administrators, &[(0, &one), (1, &two)])).unwrap();
    for message in [&b""[..], b"junk", &access.block, &flipped, &strangers.block] {
        let stopped = state.apply(&Memory::default(), 1, message);
        assert_eq!(stopped, Err(ApplyError::NotOurGenesis { pinned: ours.genesis }));
        assert_eq!(state, before);
    }
    assert!(state.apply(&Memory::default(), 1, &ours.block).is_ok());
}

/// Somebody's own genesis, with everything below it signed as if it were the one that is pinned.
#[test]
fn the_pinned_hash_is_the_genesis_records() {
    let ours = founding_block(LedgerId::RECORDS);
    let strangers = found(&Founding {
        administrators: &[public(77)],
        threshold: 1,
        ..founding(&[], &[(0, &key(77))])
    })
    .unwrap();
    let frame = crate::block::Frame::parse(&strangers.block).unwrap();
    let content = frame.content().unwrap();
    let Item::Contribution(filed) = &content.items[0] else { panic!() };
    let [genesis, admitted] = [0, 1].map(|at| SealedRecord {
        header: filed.records[at].header.to_vec(),
        body: filed.records[at].body.to_vec(),
    });
    let mut forged = admission(NODE);
    forged.sign(&ours.genesis, 0, &key(77));
    let admitted = seal(Header::decode(&admitted.header).unwrap(), &forged.encode());
    let contribution = Contribution {
        id: filed.id,
        request_digest: Hash::ZERO,
        reads: Vec::new(),
        records: vec![genesis, admitted],
    };
    let items = vec![Item::Contribution(contribution)];
    let content = Content { sealed_at: START, base: Base::START, items };
    let seal = |genesis| Block::seal(LedgerId::RECORDS, NODE, &content, &key(1), &genesis).unwrap();
    let mut state = State::new(LedgerId::RECORDS, ours.genesis);
    let stopped = state.apply(&Memory::default(), 1, &seal(ours.genesis));
    assert_eq!(stopped, Err(ApplyError::NotOurGenesis { pinned: ours.genesis }));
}

/// The genesis is public: somebody who has it but not the administrators' keys founds nothing.
#[test]
fn a_first_admission_needs_the_administrators() {
    let ours = founding_block(LedgerId::RECORDS);
    let frame = crate::block::Frame::parse(&ours.block).unwrap();
    let content = frame.content().unwrap();
    let Item::Contribution(filed) = &content.items[0] else { panic!() };
    let header = Header::decode(filed.records[1].header).unwrap();
    let intruder = NodeId([66; 16]);
    let mut forged = admission(intruder);
    forged.sign(&ours.genesis, 0, &key(66));
    let records = [
        (Header::decode(filed.records[0].header).unwrap(), filed.records[0].body.to_vec()),
        (Header { node: intruder, ..header }, forged.encode()),
    ];
    let records = records.map(|(header, body)| seal(header, &body)).to_vec();
    let contribution =
        Contribution { id: filed.id, request_digest: Hash::ZERO, reads: vec![], records };
    let content = Content {
        sealed_at: START,
        base: Base::START,
        items: vec![Item::Contribution(contribution)],
    };
    let genesis = &ours.genesis;
    let block = Block::seal(LedgerId::RECORDS, intruder, &content, &key(66), genesis).unwrap();
    let mut state = State::new(LedgerId::RECORDS, ours.genesis);
    assert!(state.apply(&Memory::default(), 1, &block).is_err());
}
