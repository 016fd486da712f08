//! Stored forms of the rows whose layout is ours. Fixed widths where a row is written a million
//! times; numbers big-endian; `n` is postcard.
//!
//! | row | layout |
//! |---|---|
//! | record | length of header u16 ‖ header ‖ body; of a commitment, the leaf alone |
//! | head | version 8 ‖ hash 32 ‖ recorded at 8 ‖ position 8 |
//! | chain | position 8 ‖ recorded at 8 |
//! | settled, accepted | 1 ‖ first position 8 ‖ count 2 ‖ sequence 8 ‖ request digest 32 |
//! | settled, abandoned | 2 ‖ sequence 8 |
//! | subject | count 8 ‖ last position 8 ‖ chained 32 |
//! | block | stream hash 32 ‖ postcard of `message::Form` |
//!
//! Decoding gives `None` for anything else; the caller knows table and key and says so.

use ledger::{ChainHead, Hash, Settled, Summary};

const ACCEPTED: u8 = 1;
const ABANDONED: u8 = 2;

pub(crate) const HEAD_BYTES: usize = 56;
pub(crate) const CHAIN_BYTES: usize = 16;
pub(crate) const SUMMARY_BYTES: usize = 48;

/// `None` when the header is longer than any header may be.
pub(crate) fn encode_record(header: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(header.len()).ok()?;
    let mut row = Vec::with_capacity(2 + header.len() + body.len());
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(header);
    row.extend_from_slice(body);
    Some(row)
}

/// Header and body.
pub(crate) fn split_record(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = row.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

pub(crate) fn encode_head(head: &ChainHead) -> [u8; HEAD_BYTES] {
    let mut row = [0; HEAD_BYTES];
    let parts: [&[u8]; 4] = [
        &head.version.to_be_bytes(),
        &head.hash.0,
        &head.recorded_at.to_be_bytes(),
        &head.position.to_be_bytes(),
    ];
    for (to, from) in row.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    row
}

pub(crate) fn decode_head(row: &[u8]) -> Option<ChainHead> {
    let mut row = Fields(row);
    let head = ChainHead {
        version: row.number()?,
        hash: row.hash()?,
        recorded_at: row.number()?,
        position: row.number()?,
    };
    row.end(head)
}

pub(crate) fn encode_summary(summary: &Summary) -> [u8; SUMMARY_BYTES] {
    let mut row = [0; SUMMARY_BYTES];
    let parts: [&[u8]; 3] =
        [&summary.count.to_be_bytes(), &summary.last.to_be_bytes(), &summary.chained.0];
    for (to, from) in row.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    row
}

pub(crate) fn decode_summary(row: &[u8]) -> Option<Summary> {
    let mut row = Fields(row);
    let summary = Summary { count: row.number()?, last: row.number()?, chained: row.hash()? };
    row.end(summary)
}

/// A place in a chain: position and time, so that "as of a time" needs no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainRow {
    pub(crate) position: u64,
    pub(crate) recorded_at: u64,
}

pub(crate) fn encode_chain(row: ChainRow) -> [u8; CHAIN_BYTES] {
    (u128::from(row.position) << 64 | u128::from(row.recorded_at)).to_be_bytes()
}

pub(crate) fn decode_chain(row: &[u8]) -> Option<ChainRow> {
    let mut row = Fields(row);
    let chain = ChainRow { position: row.number()?, recorded_at: row.number()? };
    row.end(chain)
}

pub(crate) fn encode_settled(settled: &Settled) -> Vec<u8> {
    match settled {
        Settled::Accepted { first_position, count, sequence, request_digest } => {
            let mut row = vec![ACCEPTED];
            row.extend_from_slice(&first_position.to_be_bytes());
            row.extend_from_slice(&count.to_be_bytes());
            row.extend_from_slice(&sequence.to_be_bytes());
            row.extend_from_slice(&request_digest.0);
            row
        }
        Settled::Abandoned { sequence } => {
            let mut row = vec![ABANDONED];
            row.extend_from_slice(&sequence.to_be_bytes());
            row
        }
    }
}

pub(crate) fn decode_settled(row: &[u8]) -> Option<Settled> {
    let (tag, rest) = row.split_first()?;
    let mut row = Fields(rest);
    let settled = match *tag {
        ACCEPTED => Settled::Accepted {
            first_position: row.number()?,
            count: u16::from_be_bytes(row.take()?),
            sequence: row.number()?,
            request_digest: row.hash()?,
        },
        ABANDONED => Settled::Abandoned { sequence: row.number()? },
        _ => return None,
    };
    row.end(settled)
}

pub(crate) fn decode_number(row: &[u8]) -> Option<u64> {
    row.try_into().ok().map(u64::from_be_bytes)
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn hash(&mut self) -> Option<Hash> {
        self.take().map(Hash)
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_other_lengths_do_not() {
        let head =
            ChainHead { version: 3, hash: Hash([9; 32]), recorded_at: 1 << 50, position: 77 };
        let row = encode_head(&head);
        assert_eq!(decode_head(&row), Some(head));
        assert_eq!(decode_head(&row[..55]), None);
        let chain = ChainRow { position: 5, recorded_at: u64::MAX };
        assert_eq!(decode_chain(&encode_chain(chain)), Some(chain));
        assert_eq!(encode_chain(chain)[..8], 5_u64.to_be_bytes());
        let summary = Summary { count: 2, last: 9, chained: Hash([3; 32]) };
        assert_eq!(decode_summary(&encode_summary(&summary)), Some(summary));
        assert_eq!(decode_summary(&encode_summary(&summary)[1..]), None);
        for settled in [
            Settled::Abandoned { sequence: 4 },
            Settled::Accepted {
                first_position: 1,
                count: 2,
                sequence: 3,
                request_digest: Hash([4; 32]),
            },
        ] {
            let row = encode_settled(&settled);
            assert_eq!(decode_settled(&row), Some(settled));
            assert_eq!(decode_settled(&[row.as_slice(), &[0]].concat()), None);
        }
        let record = encode_record(b"header", b"body").unwrap();
        assert_eq!(split_record(&record), Some((&b"header"[..], &b"body"[..])));
        assert_eq!(split_record(&record[..5]), None);
    }
}
