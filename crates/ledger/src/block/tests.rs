use super::*;
use crate::testing::{assert_golden, key, public};
use proptest::prelude::*;

const NODE: NodeId = NodeId([0x55; 16]);
const GENESIS: Hash = Hash([0x66; 32]);

fn record(header: usize, body: usize) -> SealedRecord {
    SealedRecord { header: vec![0xaa; header], body: vec![0xbb; body] }
}

fn contribution(records: Vec<SealedRecord>) -> Contribution {
    Contribution {
        id: ContributionId([0x22; 32]),
        request_digest: Hash([0x33; 32]),
        reads: vec![(SubjectId([0x44; 16]), 300)],
        records,
    }
}

fn content(items: Vec<Item>) -> Content {
    let base = Base { sequence: 41, stream_hash: Hash([0x11; 32]) };
    Content { sealed_at: 1_790_000_000_000_000, base, items }
}

fn seal(content: &Content) -> Result<Vec<u8>, BlockError> {
    Block::seal(LedgerId::RECORDS, NODE, content, &key(7), &GENESIS)
}

fn owned(content: &Content<&[u8]>) -> Content {
    let items = content.items.iter().map(|item| match item {
        Item::Contribution(of) => Item::Contribution(Contribution {
            id: of.id,
            request_digest: of.request_digest,
            reads: of.reads.clone(),
            records: of
                .records
                .iter()
                .map(|record| SealedRecord {
                    header: record.header.to_vec(),
                    body: record.body.to_vec(),
                })
                .collect(),
        }),
        Item::Abandonment(id) => Item::Abandonment(*id),
        Item::Checkpoint(note) => Item::Checkpoint(note.to_vec()),
    });
    Content { sealed_at: content.sealed_at, base: content.base, items: items.collect() }
}

fn any_content() -> impl Strategy<Value = Content> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let record = (bytes(), bytes()).prop_map(|(header, body)| SealedRecord { header, body });
    let reads = proptest::collection::vec((any::<[u8; 16]>(), any::<u64>()), 0..4);
    let records = proptest::collection::vec(record, 1..5);
    let filed = (any::<[u8; 32]>(), reads, records).prop_map(|(id, reads, records)| {
        let reads = reads.into_iter().map(|(of, version)| (SubjectId(of), version)).collect();
        let (id, request_digest) = (ContributionId(id), Hash(id));
        Item::Contribution(Contribution { id, request_digest, reads, records })
    });
    let item = prop_oneof![
        filed,
        any::<[u8; 32]>().prop_map(|id| Item::Abandonment(ContributionId(id))),
        bytes().prop_map(Item::Checkpoint),
    ];
    (any::<u64>(), any::<u64>(), any::<[u8; 32]>(), proptest::collection::vec(item, 0..4)).prop_map(
        |(sealed_at, sequence, hash, items)| {
            let base = Base { sequence, stream_hash: Hash(hash) };
            Content { sealed_at, base, items }
        },
    )
}

#[test]
fn golden_bytes_and_size() {
    let items = vec![
        Item::Contribution(contribution(vec![record(3, 5)])),
        Item::Abandonment(ContributionId([0x77; 32])),
        Item::Checkpoint(b"note".to_vec()),
    ];
    let content = content(items);
    let block = seal(&content).unwrap();
    let of_contribution = 1 + 32 + 32 + 1 + (16 + 2) + 1 + (1 + 3) + (1 + 5);
    let of_content = 8 + 1 + 32 + 1 + of_contribution + (1 + 32) + (1 + 1 + 4);
    assert_eq!(content.encoded_len(), of_content);
    assert_eq!(block.len(), 31 + of_content + 64);
    assert_golden("block", &block);

    let frame = Frame::parse(&block).unwrap();
    assert_eq!((frame.format, frame.ledger, frame.node), (1, LedgerId::RECORDS, NODE));
    assert_eq!(frame.content, postcard::to_allocvec(&content).unwrap());
    assert_eq!(owned(&frame.content().unwrap()), content);
    // What is signed, put together by hand.
    let digest = Hash::of(&block[..block.len() - 64]);
    let message = [b"caseledger/block/v1".as_slice(), &GENESIS.0, &digest.0].concat();
    let signature = block[block.len() - 64..].try_into().unwrap();
    assert!(verify(&public(7), &message, &signature));
}

#[test]
fn a_signature_holds_for_these_bytes_this_key_and_this_genesis() {
    let block = seal(&content(vec![Item::Abandonment(ContributionId::ZERO)])).unwrap();
    let holds = |block: &[u8], seed: u8, genesis: &Hash| {
        Frame::parse(block).is_ok_and(|frame| frame.verify(&public(seed), genesis))
    };
    assert!(holds(&block, 7, &GENESIS));
    assert!(!holds(&block, 8, &GENESIS));
    assert!(!holds(&block, 7, &Hash::ZERO));
    for place in 0..block.len() {
        let mut flipped = block.clone();
        flipped[place] ^= 1;
        assert!(!holds(&flipped, 7, &GENESIS), "byte {place}");
    }
    assert!(!Frame::parse(&block).unwrap().verify(&[0; 32], &GENESIS), "a weak key");
}

#[test]
fn what_is_no_frame_is_junk() {
    let block = seal(&content(Vec::new())).unwrap();
    for junk in [&[][..], b"CSLB", &block[..block.len() - 1], &[0; 200]] {
        assert!(matches!(Frame::parse(junk), Err(Junk)));
    }
    assert!(matches!(Frame::parse(&[block.as_slice(), &[0]].concat()), Err(Junk)));
    let mut kind = block;
    kind[6] = 9;
    assert!(matches!(Frame::parse(&kind), Err(Junk)), "a ledger of unknown kind");
}

#[test]
fn limits_hold_at_the_edge_and_are_named() {
    let filled = |records: usize| {
        content(vec![Item::Contribution(contribution(vec![record(1, 1); records]))])
    };
    assert!(seal(&filled(MAX_CONTRIBUTION_RECORDS)).is_ok());
    let limit = |content: &Content| seal(content).unwrap_err();
    assert_eq!(limit(&filled(257)), BlockError::ContributionRecords { records: 257 });
    assert_eq!(limit(&filled(0)), BlockError::ContributionRecords { records: 0 });
    assert!(limit(&filled(257)).to_string().contains("256"));

    let quarter = || Item::Contribution(contribution(vec![record(1, 1); 256]));
    let one = || Item::Contribution(contribution(vec![record(1, 1)]));
    assert!(seal(&content((0..4).map(|_| quarter()).collect())).is_ok());
    let over = content((0..4).map(|_| quarter()).chain([one()]).collect());
    assert_eq!(limit(&over), BlockError::TooManyRecords { records: 1025 });

    let largest =
        |header, body| content(vec![Item::Contribution(contribution(vec![record(header, body)]))]);
    assert!(seal(&largest(MAX_HEADER, MAX_BODY)).is_ok());
    let (header, body) = (MAX_HEADER, MAX_BODY + 1);
    assert_eq!(limit(&largest(header, body)), BlockError::RecordTooLong { header, body });
    let (header, body) = (MAX_HEADER + 1, 1);
    assert_eq!(limit(&largest(header, body)), BlockError::RecordTooLong { header, body });

    let mut reading = contribution(vec![record(1, 1)]);
    reading.reads = vec![(SubjectId::ZERO, 1); MAX_CONTRIBUTION_READS];
    assert!(reading.check_limits().is_ok());
    reading.reads.push((SubjectId::ZERO, 1));
    assert_eq!(reading.check_limits(), Err(BlockError::TooManyReads { reads: 1025 }));
}

#[test]
fn a_block_takes_512_kib_and_not_a_byte_more() {
    let room = MAX_BLOCK - FRAME_HEAD - SIGNATURE;
    let note = |len: usize| content(vec![Item::Checkpoint(vec![0; len])]);
    let fits = room - note(0).encoded_len() - 2;
    let block = seal(&note(fits)).unwrap();
    assert_eq!(block.len(), MAX_BLOCK);
    let bytes = MAX_BLOCK + 1;
    assert_eq!(seal(&note(fits + 1)), Err(BlockError::TooLong { bytes }));
    // What a writer reckons with: overhead and items.
    assert!(BLOCK_OVERHEAD + note(fits).items[0].encoded_len() <= MAX_BLOCK + 20);
    assert!(block.len() <= BLOCK_OVERHEAD + note(fits).items[0].encoded_len());
}

proptest! {
    #[test]
    fn content_is_postcards_and_reads_back(content in any_content()) {
        let block = seal(&content).unwrap();
        let frame = Frame::parse(&block).unwrap();
        prop_assert_eq!(frame.content, &postcard::to_allocvec(&content).unwrap());
        prop_assert_eq!(frame.content.len(), content.encoded_len());
        prop_assert_eq!(owned(&frame.content().unwrap()), content);
    }

    #[test]
    fn whatever_reads_is_canonical(content in any_content(), place: usize, byte: u8, insert: bool) {
        let mut bytes = postcard::to_allocvec(&content).unwrap();
        let place = place % bytes.len();
        if insert { bytes.insert(place, byte) } else { bytes[place] = byte }
        let mut message = seal(&content).unwrap()[..FRAME_HEAD - 4].to_vec();
        message.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&bytes);
        message.extend_from_slice(&[0; 64]);
        let frame = Frame::parse(&message).unwrap();
        if let Ok(read) = frame.content() {
            prop_assert_eq!(postcard::to_allocvec(&owned(&read)).unwrap(), bytes);
        }
    }

    #[test]
    fn junk_never_panics(message in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(frame) = Frame::parse(&message) {
            let _ = frame.content();
        }
    }
}
