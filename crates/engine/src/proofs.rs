//! Proofs that lead to the newest checkpoint of a majority of the nodes. They show neither who nor
//! what: positions, hashes and signatures, so reading them is no showing. The entries under them are.

use std::sync::Arc;
use std::time::Duration;

use ledger::checkpoint::TlogProof;
use ledger::cosigned::policy;
use ledger::tree::TILE_WIDTH;
use ledger::{Hash, LeafType, LedgerId, TileId};

use crate::access::Pass;
use crate::checkpoints::{NodeCheckpoint, OnFile};
use crate::context::Context;
use crate::engine::{Engine, Working};
use crate::showing::{Ended, Saw};
use crate::{Failure, Shown, Violation};

/// That a record is under a checkpoint.
#[derive(Clone, Debug)]
pub struct InclusionProof {
    /// Hashes and checkpoint.
    pub proof: TlogProof,
    /// How many witnesses have cosigned the checkpoint.
    pub witnesses: usize,
}

/// That one checkpoint's tree continues a smaller one.
#[derive(Clone, Debug)]
pub struct ConsistencyProof {
    /// RFC 6962 consistency proof; empty from size 0, and from the same size.
    pub hashes: Vec<Hash>,
    /// The newest, where it leads unless something else was asked for.
    pub checkpoint: Arc<NodeCheckpoint>,
}

impl Engine {
    /// The newest checkpoint that a majority of the nodes has signed.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Unavailable`] when
    /// there is none yet.
    pub fn checkpoint(&self, ledger: LedgerId) -> Result<Arc<NodeCheckpoint>, Failure> {
        newest(self.side_of(ledger)?).ok_or_else(|| Failure::Unavailable {
            why: format!(
                "no checkpoint of {ledger} is signed by a majority of the nodes, and the quorum of \
                          witnesses, yet"
            ),
        })
    }

    /// The keys of the nodes' signatures and how many must have signed, as a C2SP tlog-policy.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not.
    pub fn policy(&self, ledger: LedgerId) -> Result<String, Failure> {
        let state = self.side_of(ledger)?.line.state()?;
        let state = state.state();
        policy(&state.origin(), &state.name, &state.authority).map_err(Failure::internal)
    }

    /// That the record at a position, from 0, is under the newest checkpoint.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger or position that there is not, [`Failure::Unavailable`]
    /// while no checkpoint covers the position.
    pub fn inclusion_proof(
        &self,
        ledger: LedgerId,
        position: u64,
    ) -> Result<InclusionProof, Failure> {
        let side = self.side_of(ledger)?;
        if position >= side.line.state()?.size {
            // What has not come here yet may be on file.
            side.line.near_end()?;
            return Err(Failure::NotFound);
        }
        let checkpoint = newest(side).filter(|newest| newest.checkpoint.size > position);
        let checkpoint = checkpoint.ok_or_else(|| Failure::Unavailable {
            why: format!("no checkpoint of {ledger} covers position {position} yet{}", lacks(side)),
        })?;
        let (reader, size) = (side.line.store.reader(), checkpoint.checkpoint.size);
        let proof = reader.inclusion_proof(ledger, position, size)?;
        let proof = TlogProof { index: position, proof, checkpoint: checkpoint.note.clone() };
        Ok(InclusionProof { proof, witnesses: checkpoint.witnesses })
    }

    /// As [`Engine::inclusion_proof`], as soon as a checkpoint covers the position.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Unavailable`] when none
    /// does within `patience`.
    pub async fn await_proof(
        &self,
        ledger: LedgerId,
        position: u64,
        patience: Duration,
    ) -> Result<InclusionProof, Failure> {
        let mut on_file = self.side_of(ledger)?.on_file.clone();
        let covers = |now: &OnFile| {
            now.newest.as_ref().is_some_and(|newest| newest.checkpoint.size > position)
        };
        let covered = tokio::time::timeout(patience, on_file.wait_for(covers));
        // If none does in time, or before the node stops, the proof says so.
        let _ = self.stopping.run_until_cancelled(covered).await.is_some();
        self.inclusion_proof(ledger, position)
    }

    /// A tile of the tree as it is served, cut to this width; none beyond the newest checkpoint, for
    /// whoever gets one keeps it for ever. Hashes of headers that hold hashes of ciphertext: they show
    /// nothing.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Damaged`].
    pub fn tile(
        &self,
        ledger: LedgerId,
        id: TileId,
        width: usize,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let side = self.side_of(ledger)?;
        if !covers(side, id, width)? {
            return Ok(None);
        }
        let tile = side.line.store.reader().tile(ledger, id)?;
        let cut = |mut tile: Vec<u8>| {
            tile.truncate(width * Hash::SIZE);
            (tile.len() == width * Hash::SIZE).then_some(tile)
        };
        Ok(tile.and_then(cut))
    }

    /// An entry bundle: headers show who filed when about whom, so this is a showing.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::NotFound`] beyond the ledger, and whatever keeps the showing
    /// from being recorded.
    pub async fn entry_bundle(
        &self,
        ctx: &Context,
        ledger: LedgerId,
        index: u64,
        width: usize,
    ) -> Result<Shown<Vec<u8>>, Failure> {
        let pass = self.admit(ctx, None).await?;
        let side = self.side_of(ledger)?;
        let position = side.line.state()?.size;
        if !covers(side, TileId { level: 0, index }, width)? {
            return Err(Failure::NotFound);
        }
        let found = self.shelf.open(&pass).reader().entry_bundle(ledger, index, width)?;
        let answer = found.ok_or(Failure::NotFound)?;
        self.showed_leaves(ctx, &pass, position, width, answer).await
    }

    /// The body of the control record at a position under the newest checkpoint. It is clear, and says
    /// who may write and whose keys are gone: a showing, like the headers.
    ///
    /// # Errors
    /// As [`Engine::entry_bundle`]; [`Failure::NotFound`] also for a record that is no control record.
    pub async fn control_body(
        &self,
        ctx: &Context,
        ledger: LedgerId,
        position: u64,
    ) -> Result<Shown<Vec<u8>>, Failure> {
        let pass = self.admit(ctx, None).await?;
        let side = self.side_of(ledger)?;
        let size = side.line.state()?.size;
        if !covers(
            side,
            TileId { level: 0, index: position / TILE_WIDTH as u64 },
            in_tile(position),
        )? {
            return Err(Failure::NotFound);
        }
        let record = self.shelf.open(&pass).reader().record(ledger, position)?;
        let control = record.filter(|record| record.header.leaf == LeafType::Control);
        self.showed_leaves(ctx, &pass, size, 1, control.ok_or(Failure::NotFound)?.body).await
    }

    async fn showed_leaves(
        &self,
        ctx: &Context,
        pass: &Pass,
        position: u64,
        count: usize,
        answer: Vec<u8>,
    ) -> Result<Shown<Vec<u8>>, Failure> {
        let saw = Saw {
            position,
            count: u32::try_from(count).map_err(Failure::internal)?,
            digest: Some(self.answer_digest(&answer)?),
            ..Saw::default()
        };
        let receipt = self.ended(ctx, pass, None, Ended::Shown, &saw).await?;
        Ok(Shown { answer, receipt, position })
    }

    /// That the tree of the first `size` records continues that of the first `old`, both on file here:
    /// for a witness. None is needed from 0, or from the same size.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Damaged`].
    pub fn consistency_of(
        &self,
        ledger: LedgerId,
        old: u64,
        size: u64,
    ) -> Result<Vec<Hash>, Failure> {
        if old == 0 || old == size {
            return Ok(Vec::new());
        }
        Ok(self.side_of(ledger)?.line.store.reader().consistency_proof(ledger, old, size)?)
    }

    /// That the newest checkpoint, or the tree of the first `to` records, continues that of the first
    /// `size`.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Unavailable`] when there
    /// is no checkpoint of so many records yet.
    pub fn consistency_proof(
        &self,
        ledger: LedgerId,
        size: u64,
        to: Option<u64>,
    ) -> Result<ConsistencyProof, Failure> {
        let checkpoint = self.checkpoint(ledger)?;
        let newest = checkpoint.checkpoint.size;
        if let Some(to) = to.filter(|to| size > *to) {
            return Err(Failure::Invalid(vec![Violation {
                field: "to_size".to_owned(),
                code: "before-size".to_owned(),
                description: format!("must not be below `size`, as {to} is"),
            }]));
        }
        let to = to.unwrap_or(newest);
        if to > newest || size > to {
            let why = format!("the newest checkpoint of {ledger} is of {newest} records");
            return Err(Failure::Unavailable { why });
        }
        let hashes = self.consistency_of(ledger, size, to)?;
        Ok(ConsistencyProof { hashes, checkpoint })
    }
}

/// What keeps newer checkpoints back, if the nodes have signed one.
pub(crate) fn lacks(side: &Working) -> &'static str {
    let on_file = side.on_file.borrow();
    let size =
        |one: &Option<Arc<NodeCheckpoint>>| one.as_ref().map_or(0, |one| one.checkpoint.size);
    if size(&on_file.signed) > size(&on_file.newest) {
        ": the nodes have signed one, and the quorum of witnesses has not cosigned it"
    } else {
        ""
    }
}

/// How much of its tile reaches to a position.
fn in_tile(position: u64) -> usize {
    usize::try_from(position % TILE_WIDTH as u64).unwrap_or(TILE_WIDTH) + 1
}

/// Whether the newest checkpoint covers a tile. A node that is far from the stream's end does not say
/// no: others may have more.
fn covers(side: &Working, id: TileId, width: usize) -> Result<bool, Failure> {
    let size = newest(side).map_or(0, |newest| newest.checkpoint.size);
    let end = u64::try_from(width).ok().and_then(|width| {
        let hashes = id.index.checked_mul(TILE_WIDTH as u64)?.checked_add(width)?;
        hashes.checked_mul((TILE_WIDTH as u64).checked_pow(u32::from(id.level))?)
    });
    if end.is_some_and(|end| end <= size) {
        return Ok(true);
    }
    side.line.near_end()?;
    Ok(false)
}

fn newest(side: &Working) -> Option<Arc<NodeCheckpoint>> {
    side.on_file.borrow().newest.clone()
}
