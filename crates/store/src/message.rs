//! Messages without their records. A record is stored once, under its position; the block that
//! brought it keeps the rest of the message and refers to it, so that the message can be rebuilt
//! bit for bit: to republish a stream, to heal a gap, to prove what was received.
//!
//! In a block's content a record is: length of header ‖ header ‖ length of body ‖ body, the lengths
//! being postcard numbers. Whatever is not found in just this form stays as bytes, and a message
//! that would not rebuild to itself is kept whole: nothing here decides about a message.

use serde::{Deserialize, Serialize};

/// The stored form of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    /// The whole message: refused, or without an accepted record.
    Whole(Vec<u8>),
    /// In pieces, to be put together in order.
    Pieces(Vec<Piece>),
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// As it stands.
    Bytes(Vec<u8>),
    /// This many accepted records from this position on, one directly behind the other.
    Records { first: u64, count: u16 },
}

/// An accepted record as it lies in the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) position: u64,
    /// Where the header begins; its length stands before.
    pub(crate) header_at: usize,
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Takes the accepted records out of a message.
pub(crate) fn take_apart(message: &[u8], records: &[Placed<'_>]) -> Form {
    if records.is_empty() {
        return Form::Whole(message.to_vec());
    }
    pieces(message, records).map_or_else(|| Form::Whole(message.to_vec()), Form::Pieces)
}

/// `None` when a record is not where it is said to be, or not in the form it is rebuilt in.
fn pieces(message: &[u8], records: &[Placed<'_>]) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut done = 0;
    let mut encoded = Vec::new();
    for record in records {
        encoded.clear();
        put_number(&mut encoded, record.header.len());
        let start = record.header_at.checked_sub(encoded.len())?;
        encoded.clear();
        put_record(&mut encoded, record.header, record.body);
        let end = start + encoded.len();
        if message.get(start..end)? != encoded.as_slice() {
            return None;
        }
        let between = message.get(done..start)?;
        if !between.is_empty() {
            pieces.push(Piece::Bytes(between.to_vec()));
        }
        done = end;
        if let Some(Piece::Records { first, count }) = pieces.last_mut()
            && *count < u16::MAX
            && *first + u64::from(*count) == record.position
        {
            *count += 1;
        } else {
            pieces.push(Piece::Records { first: record.position, count: 1 });
        }
    }
    let rest = message.get(done..)?;
    if !rest.is_empty() {
        pieces.push(Piece::Bytes(rest.to_vec()));
    }
    Some(pieces)
}

/// Puts a message together again; `record` gives header and body at a position.
pub(crate) fn put_together<E>(
    form: Form,
    mut record: impl FnMut(u64, &mut dyn FnMut(&[u8], &[u8])) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    match form {
        Form::Whole(message) => Ok(message),
        Form::Pieces(pieces) => {
            let mut message = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => message.extend_from_slice(&bytes),
                    Piece::Records { first, count } => {
                        for offset in 0..u64::from(count) {
                            record(first.saturating_add(offset), &mut |header, body| {
                                put_record(&mut message, header, body);
                            })?;
                        }
                    }
                }
            }
            Ok(message)
        }
    }
}

fn put_record(out: &mut Vec<u8>, header: &[u8], body: &[u8]) {
    for part in [header, body] {
        put_number(out, part.len());
        out.extend_from_slice(part);
    }
}

/// A postcard number: base 128, least significant first, in the fewest bytes.
fn put_number(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Part {
        Raw(Vec<u8>),
        Record(Vec<u8>, Vec<u8>),
    }

    fn part() -> impl Strategy<Value = Part> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            bytes().prop_map(Part::Raw),
            (bytes(), bytes()).prop_map(|(header, body)| Part::Record(header, body))
        ]
    }

    proptest! {
        #[test]
        fn a_message_comes_back_bit_for_bit(parts in proptest::collection::vec(part(), 0..20)) {
            let mut message = Vec::new();
            let mut records = Vec::new();
            for part in &parts {
                match part {
                    Part::Raw(bytes) => message.extend_from_slice(bytes),
                    Part::Record(header, body) => {
                        let mut length = Vec::new();
                        put_number(&mut length, header.len());
                        let header_at = message.len() + length.len();
                        put_record(&mut message, header, body);
                        let position = records.len() as u64;
                        records.push(Placed { position, header_at, header, body });
                    }
                }
            }
            let form = take_apart(&message, &records);
            prop_assert!(records.is_empty() || matches!(form, Form::Pieces(_)));
            let again = put_together::<()>(form, |position, put| {
                let record = records[usize::try_from(position).unwrap()];
                put(record.header, record.body);
                Ok(())
            });
            prop_assert_eq!(again, Ok(message));
        }
    }

    #[test]
    fn records_are_taken_out_and_neighbours_joined() {
        let mut message = b"front".to_vec();
        let one = message.len() + 1;
        put_record(&mut message, b"header one", &[1; 300]);
        let two = message.len() + 1;
        put_record(&mut message, b"header two", &[2; 300]);
        message.extend_from_slice(b"back");
        let placed = [
            Placed { position: 7, header_at: one, header: b"header one", body: &[1; 300] },
            Placed { position: 8, header_at: two, header: b"header two", body: &[2; 300] },
        ];
        let expected = Form::Pieces(vec![
            Piece::Bytes(b"front".to_vec()),
            Piece::Records { first: 7, count: 2 },
            Piece::Bytes(b"back".to_vec()),
        ]);
        assert_eq!(take_apart(&message, &placed), expected);
    }

    #[test]
    fn what_is_not_in_the_message_leaves_it_whole() {
        let placed = [Placed { position: 0, header_at: 1, header: b"absent", body: b"" }];
        assert_eq!(take_apart(b"message", &placed), Form::Whole(b"message".to_vec()));
    }
}
