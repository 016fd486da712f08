//! Evidence and what leads from it to a checkpoint.

use ::ledger::map::{End, MapProof};
use api::v1 as proto;
use engine::{Content, Evidence, EvidenceLeaf};

use super::audit::access_out;
use super::event::filed_out;

/// The proof, without the receipt, which there is not yet.
#[must_use]
pub fn proof_out(from: &Evidence) -> proto::EvidenceProof {
    proto::EvidenceProof {
        note: from.checkpoint.note.to_string(),
        first: from.first,
        map: from.map.as_ref().map(map_out),
        hashes: from.hashes.iter().map(|hash| hash.0.to_vec()).collect(),
        receipt: Vec::new(),
        witnesses: u32::try_from(from.checkpoint.witnesses).unwrap_or(u32::MAX),
    }
}

fn map_out(from: &MapProof) -> proto::MapProof {
    let end = match from.end {
        End::Nobody => None,
        End::Subject(subject, summary) => Some(proto::SubjectSummary {
            subject: subject.0.to_vec(),
            count: summary.count,
            last: summary.last,
            chained: summary.chained.0.to_vec(),
        }),
    };
    let siblings = from.siblings.iter().map(|hash| hash.0.to_vec()).collect();
    proto::MapProof { siblings, end }
}

/// A leaf, with what it says where it was opened.
#[must_use]
pub fn leaf_out(from: &EvidenceLeaf) -> proto::EvidenceLeaf {
    use proto::evidence_leaf::Content as Said;
    let plain = proto::EvidenceLeaf {
        position: from.position,
        leaf: from.leaf.clone(),
        ..proto::EvidenceLeaf::default()
    };
    let Some(opened) = &from.opened else { return plain };
    let content = match &opened.content {
        Content::Filed(item) => Some(Said::Event(Box::new(filed_out(item)))),
        Content::Access(item) => Some(Said::Access(Box::new(access_out(item)))),
        Content::Control => None,
    };
    proto::EvidenceLeaf {
        body: opened.body.clone(),
        record_key: opened.record_key.clone().unwrap_or_default(),
        content,
        ..plain
    }
}
