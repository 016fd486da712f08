//! Bytes: headers, commitments, blocks, control bodies and overrides.

use ledger::block::{BLOCK_FORMAT, FRAME_HEAD, SIGNATURE};
use ledger::{Block, BlockError, Control, Frame, Hash, Header, Item, Leaf, NodeId, Override};

use crate::seeds;

/// A header is written as it stood, and its sealed part is the first of it.
pub(crate) fn header(bytes: &[u8]) -> bool {
    let Ok(header) = Header::decode(bytes) else { return false };
    assert_eq!(header.encode(), bytes, "one encoding");
    assert!(bytes.starts_with(&header.sealed_prefix()), "sealed is what stands first");
    let _ = header.chain();
    true
}

/// A leaf is a header or a commitment, never both, and is written as it stood.
pub(crate) fn leaf(bytes: &[u8]) -> bool {
    match Leaf::decode(bytes) {
        Ok(Leaf::Commitment(commitment)) => {
            assert_eq!(commitment.encode(), bytes, "one encoding");
            assert!(Header::decode(bytes).is_err(), "no header");
            true
        }
        Ok(Leaf::Record(read)) => {
            assert_eq!(read.encode(), bytes, "one encoding");
            true
        }
        Err(_) => false,
    }
}

/// A message is its frame and its content, to the byte.
pub(crate) fn frame(bytes: &[u8]) -> bool {
    let Ok(frame) = Frame::parse(bytes) else { return false };
    assert_eq!(FRAME_HEAD + frame.content.len() + SIGNATURE, bytes.len(), "nothing left over");
    assert_eq!(bytes.get(FRAME_HEAD..FRAME_HEAD + frame.content.len()), Some(frame.content));
    if frame.format == BLOCK_FORMAT {
        read(&frame, bytes);
    }
    true
}

/// The same for any content: the frame around it, whose length a fuzzer mostly spoils, is ours.
pub(crate) fn content(bytes: &[u8]) -> bool {
    let message = seeds::framed(bytes);
    Frame::parse(&message).is_ok_and(|frame| read(&frame, &message))
}

/// A content that is understood is what sealing it would write, unless it breaks a limit of sealing,
/// which apply judges by itself.
fn read(frame: &Frame<'_>, message: &[u8]) -> bool {
    let Ok(content) = frame.content() else { return false };
    assert_eq!(content.encoded_len(), frame.content.len(), "one encoding");
    let (key, genesis) = (seeds::key(1), Hash::ZERO);
    match Block::seal(frame.ledger, frame.node, &content, &key, &genesis) {
        Ok(sealed) => {
            let unsigned = |block: &[u8]| block.len().checked_sub(SIGNATURE);
            assert_eq!(sealed.len(), message.len());
            assert!(
                sealed
                    .iter()
                    .zip(message)
                    .take(unsigned(message).unwrap_or(0))
                    .all(|(a, b)| a == b),
                "one encoding"
            );
        }
        Err(BlockError::TooLong { bytes }) => assert!(bytes > ledger::block::MAX_BLOCK),
        Err(
            BlockError::TooManyRecords { .. }
            | BlockError::ContributionRecords { .. }
            | BlockError::TooManyReads { .. }
            | BlockError::RecordTooLong { .. },
        ) => {}
    }
    for item in &content.items {
        if let Item::Contribution(contribution) = item {
            for record in &contribution.records {
                header(record.header);
                control(record.body);
            }
        }
    }
    true
}

/// A control body is written as it stood, and nobody's signature makes it good.
pub(crate) fn control(bytes: &[u8]) -> bool {
    let Ok(control) = Control::decode(bytes) else { return false };
    assert_eq!(control.encode(), bytes, "one encoding");
    assert!(control.signing_bytes(&Hash::ZERO).len() <= bytes.len() + 64, "label, genesis, body");
    assert!(!control.is_signed_by(&Hash::ZERO, &[], 1), "no administrator signed");
    true
}

/// An override is written as it stood, and so is every retirement in it.
pub(crate) fn leave(bytes: &[u8]) -> bool {
    let Some(made) = Override::decode(bytes) else { return false };
    assert_eq!(made.encode(), bytes, "one encoding");
    assert!(made.nodes().collect::<Vec<NodeId>>().len() <= made.retirements.len());
    true
}
