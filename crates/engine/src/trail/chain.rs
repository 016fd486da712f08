//! Where this node's own chain of access records stands.

use ledger::SubjectId;

use crate::Failure;
use crate::forward::Waiting;
use crate::seal::Chain;
use crate::writer::Press;

/// As the database has it: the head that is remembered moves a moment after a block is known to be
/// settled, and what is sealed onto the one before is refused.
pub(super) fn applied(press: &Press) -> Result<Chain, Failure> {
    let line = &press.line;
    let head = line.store.reader().head(line.ledger, SubjectId(press.node.0))?;
    Ok(head.map_or(Chain::NEW, |head| Chain {
        version: head.version,
        hash: head.hash,
        recorded_at: head.recorded_at,
    }))
}

/// What waits in the spool, and the head that the next access record links to: the last spooled one,
/// else the applied one. The spool may be larger than what fits into memory.
pub(super) fn spooled(press: &Press) -> Result<(Vec<Waiting>, Chain), Failure> {
    let mut head = applied(press)?;
    let mut waiting = Vec::new();
    for block in press.line.store.spool().blocks() {
        let (number, block) = block?;
        let records = go_on(&mut head, &block)?;
        waiting.push(Waiting { number, records });
    }
    Ok((waiting, head))
}

/// Moves a chain's head on to the last record of a block; tells how many the block has.
fn go_on(head: &mut Chain, block: &[u8]) -> Result<u64, Failure> {
    let content = ledger::Frame::parse(block)
        .ok()
        .and_then(|frame| frame.content().ok())
        .ok_or_else(|| Failure::Damaged { what: "a spooled access block".to_owned() })?;
    let mut records = 0;
    for item in content.items {
        let ledger::Item::Contribution(contribution) = item else { continue };
        for record in &contribution.records {
            records += 1;
            let header = ledger::Header::decode(record.header)
                .map_err(|_| Failure::Damaged { what: "a spooled access record".to_owned() })?;
            if header.version > head.version {
                *head = Chain {
                    version: header.version,
                    hash: ledger::leaf_hash(record.header),
                    recorded_at: header.recorded_at,
                };
            }
        }
    }
    Ok(records)
}
