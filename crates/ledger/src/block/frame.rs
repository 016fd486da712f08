//! Reading a message: first the frame, which any format has, then the content of format 1.

use super::*;

/// A message that is no block of any format. It is kept and otherwise ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message is not a framed block")]
pub struct Junk;

/// A content of format 1 that is truncated or not written in the one canonical way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block content is truncated or not canonical")]
pub struct ContentError;

/// A message taken apart as a frame, nothing verified yet.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The format it claims.
    pub format: u16,
    /// The ledger it claims.
    pub ledger: LedgerId,
    /// The node it claims to be from.
    pub node: NodeId,
    /// The content's bytes.
    pub content: &'a [u8],
    unsigned: &'a [u8],
    signature: [u8; 64],
}

impl<'a> Frame<'a> {
    /// Takes a message apart. Lengths must fit exactly.
    ///
    /// # Errors
    /// For anything that is not a frame.
    pub fn parse(message: &'a [u8]) -> Result<Self, Junk> {
        Self::take_apart(message).map_err(|Malformed| Junk)
    }

    fn take_apart(message: &'a [u8]) -> Result<Self, Malformed> {
        let (unsigned, signature) = message.split_last_chunk().ok_or(Malformed)?;
        let mut from = Reader::new(unsigned);
        if from.array()? != MAGIC {
            return Err(Malformed);
        }
        let format = u16::from_be_bytes(from.array()?);
        let ledger = LedgerId::from_bytes(from.array()?).ok_or(Malformed)?;
        let node = NodeId(from.array()?);
        let length = u32::from_be_bytes(from.array()?);
        let content = unsigned.get(FRAME_HEAD..).ok_or(Malformed)?;
        if u32::try_from(content.len()) != Ok(length) {
            return Err(Malformed);
        }
        Ok(Self { format, ledger, node, content, unsigned, signature: *signature })
    }

    /// Whether the signature is `block_key`'s for the ledger with this genesis hash. False for a
    /// key that is no point of the curve.
    #[must_use]
    pub fn verify(&self, block_key: &[u8; 32], genesis: &Hash) -> bool {
        verify(block_key, &signed_message(genesis, self.unsigned), &self.signature)
    }

    /// Reads the content as format 1, without copying headers and bodies. The caller has compared
    /// the format.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Block::seal`] writes.
    pub fn content(&self) -> Result<Content<&'a [u8]>, ContentError> {
        let mut from = Reader::new(self.content);
        let content = read_content(&mut from).map_err(|Malformed| ContentError)?;
        from.finish().map_err(|Malformed| ContentError)?;
        Ok(content)
    }
}

fn read_content<'a>(from: &mut Reader<'a>) -> Result<Content<&'a [u8]>, Malformed> {
    let sealed_at = from.u64()?;
    let base = Base { sequence: from.u64()?, stream_hash: Hash(from.array()?) };
    // The smallest item is an empty checkpoint: its number and a length.
    let items = (0..from.count(2)?).map(|_| read_item(from)).collect::<Result<_, _>>()?;
    Ok(Content { sealed_at, base, items })
}

fn read_item<'a>(from: &mut Reader<'a>) -> Result<Item<&'a [u8]>, Malformed> {
    match from.byte()? {
        0 => read_contribution(from).map(Item::Contribution),
        1 => Ok(Item::Abandonment(ContributionId(from.array()?))),
        2 => from.bytes().map(Item::Checkpoint),
        _ => Err(Malformed),
    }
}

fn read_contribution<'a>(from: &mut Reader<'a>) -> Result<Contribution<&'a [u8]>, Malformed> {
    let id = ContributionId(from.array()?);
    let request_digest = Hash(from.array()?);
    let reads = (0..from.count(SubjectId::SIZE + 1)?)
        .map(|_| Ok((SubjectId(from.array()?), from.u64()?)))
        .collect::<Result<_, Malformed>>()?;
    // The smallest record has two empty byte strings; whether it is a record is judged later.
    let records = (0..from.count(2)?)
        .map(|_| Ok(SealedRecord { header: from.bytes()?, body: from.bytes()? }))
        .collect::<Result<_, Malformed>>()?;
    Ok(Contribution { id, request_digest, reads, records })
}
