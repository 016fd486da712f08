use super::*;
use crate::testing::assert_golden;
use proptest::prelude::*;

fn sample() -> Header {
    Header {
        format: 1,
        leaf: LeafType::Record,
        suite: SUITE_SEALED,
        ledger: LedgerId { kind: LedgerKind::Records, shard: 2, period: 2026 },
        record_id: RecordId([0x11; 16]),
        contribution_id: ContributionId([0x22; 32]),
        index: 1,
        count: 300,
        subject: SubjectId([0x33; 16]),
        version: 70_000,
        previous: Hash([0x44; 32]),
        recorded_at: 1_790_000_000_000_000,
        node: NodeId([0x55; 16]),
        actor: ActorId([0x66; 16]),
        envelope_version: 1,
        data_key: KeyId([0x77; 16]),
        key_commitment: Hash([0x88; 32]),
        body_length: 304,
        body_hash: Hash([0x99; 32]),
    }
}

fn any_header() -> impl Strategy<Value = Header> {
    let numbers = (any::<u16>(), any::<u16>(), any::<u64>(), any::<u64>(), any::<u16>());
    let rest = (any::<u32>(), any::<[u8; 32]>(), any::<[u8; 16]>(), any::<bool>(), any::<u8>());
    (numbers, rest).prop_map(|(numbers, (body_length, hash, id, control, suite))| {
        let (index, count, version, recorded_at, envelope_version) = numbers;
        let leaf = if control { LeafType::Control } else { LeafType::Record };
        Header {
            leaf,
            suite,
            record_id: RecordId(id),
            node: NodeId(id),
            previous: Hash(hash),
            key_commitment: Hash(hash),
            index,
            count,
            version,
            recorded_at,
            envelope_version,
            body_length,
            ..sample()
        }
    })
}

#[test]
fn golden_bytes_and_size() {
    let bytes = sample().encode();
    // 216 fixed, and the numbers: index 1, count 2, version 3, time 8, envelope 1, length 2.
    assert_eq!(bytes.len(), 216 + 1 + 2 + 3 + 8 + 1 + 2);
    assert_golden("header", &bytes);
    assert_eq!(leaf_hash(&bytes), Hash::of(&[&[0], bytes.as_slice()].concat()));
}

#[test]
fn the_smallest_and_the_largest_header_have_the_stated_sizes() {
    let largest = Header {
        index: u16::MAX,
        count: u16::MAX,
        version: u64::MAX,
        recorded_at: u64::MAX,
        envelope_version: u16::MAX,
        body_length: u32::MAX,
        ..sample()
    };
    assert_eq!(largest.encode().len(), 250);
    assert_eq!(Header::decode(&largest.encode()), Ok(largest));
    let smallest = Header { count: 1, version: 1, recorded_at: 0, body_length: 1, ..sample() };
    assert_eq!(smallest.encode().len(), MIN_HEADER);
}

#[test]
fn the_sealing_fields_come_last() {
    let header = sample();
    let (bytes, prefix) = (header.encode(), header.sealed_prefix());
    assert_eq!(bytes[..prefix.len()], prefix);
    assert_eq!(bytes.len() - prefix.len(), 32 + 2 + 32);
    let resealed = Header { key_commitment: Hash::ZERO, body_length: 7, ..header };
    assert_eq!(resealed.sealed_prefix(), prefix);
}

#[test]
fn what_is_not_a_header_is_named() {
    let bytes = sample().encode();
    assert_eq!(Header::decode(&[0; 513]), Err(HeaderError::TooLong));
    assert_eq!(Header::decode(&[0; 512]), Err(HeaderError::UnknownFormat(0)));
    assert_eq!(Header::decode(&bytes[..bytes.len() - 1]), Err(HeaderError::Malformed));
    assert_eq!(Header::decode(&[bytes.as_slice(), &[0]].concat()), Err(HeaderError::Malformed));
    let mut next = bytes.clone();
    next[0] = 2;
    assert_eq!(Header::decode(&next), Err(HeaderError::UnknownFormat(2)));
    let mut leaf = bytes.clone();
    leaf[1] = 2;
    assert_eq!(Header::decode(&leaf), Err(HeaderError::Malformed));
    // The index 1 written in two bytes: postcard would read it as 1.
    let place = 3 + 5 + 16 + 32;
    let needless = [&bytes[..place], &[0x81, 0x00], &bytes[place + 1..]].concat();
    assert_eq!(Header::decode(&needless), Err(HeaderError::Malformed));
}

#[test]
fn chains_are_subjects_in_records_and_nodes_in_access() {
    let header = sample();
    assert_eq!(header.chain(), header.subject);
    let access = Header { ledger: LedgerId::ACCESS, ..sample() };
    assert_eq!(access.chain(), SubjectId(header.node.0));
    let control = Header { leaf: LeafType::Control, ..header };
    assert_eq!(control.chain(), SubjectId::ZERO);
}

proptest! {
    #[test]
    fn encoding_is_postcards_and_reads_back(header in any_header()) {
        let bytes = header.encode();
        prop_assert_eq!(&bytes, &postcard::to_allocvec(&header).unwrap());
        prop_assert_eq!(Header::decode(&bytes), Ok(header));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        header in any_header(),
        place in 0_usize..250,
        byte: u8,
        insert: bool,
    ) {
        let mut bytes = header.encode();
        let place = place % bytes.len();
        if insert { bytes.insert(place, byte) } else { bytes[place] = byte }
        if let Ok(read) = Header::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
