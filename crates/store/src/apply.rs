//! Applying messages: verdicts, records, heads, tiles, views and state in one synced batch.

use crate::fold::Fold;
use crate::message::{Placed, take_apart};
use crate::reader::{History, Reader};
use crate::rows::{self, ChainRow};
use crate::{Store, StoreError, checkpoints, keys, options};
use ledger::{Applied, ApplyError, LedgerId, Overlay, State, Tree, stream_hash};
use rocksdb::WriteBatch;

/// Most bytes of messages written in one batch (design, section 4): sixteen of the largest blocks,
/// far more than one sync's time of publishing, and small beside the memtables.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

impl Store {
    /// Applies the next messages of a ledger's stream and writes all they change in one synced
    /// batch. When it returns, the disk has it.
    ///
    /// May apply fewer than given, in order, at least one: up to [`MAX_BATCH_BYTES`], and up to
    /// the first message that cannot be applied. Call again with the rest; then that message gives
    /// its error.
    ///
    /// # Errors
    /// For the first message alone: it is applied already ([`StoreError::AlreadyApplied`]), the
    /// stream's past was changed ([`StoreError::OtherHistory`]), or the rules cannot judge it
    /// ([`StoreError::Apply`]). Anything else: nothing was applied.
    pub fn apply<M: AsRef<[u8]>>(
        &self,
        ledger: LedgerId,
        messages: &[(u64, M)],
    ) -> Result<Vec<Applied>, StoreError> {
        self.apply_all(ledger, messages).map_err(|error| self.met(error))
    }

    fn apply_all<M: AsRef<[u8]>>(
        &self,
        ledger: LedgerId,
        messages: &[(u64, M)],
    ) -> Result<Vec<Applied>, StoreError> {
        let place = self.ledger(ledger)?;
        let _writer = self.lock(&place.writer)?;
        let mut state = self.state(ledger)?.state().clone();
        let reader = self.reader();
        let history = History { reader: &reader, ledger };
        let mut overlay = Overlay::new(&history);
        let mut fold = Fold::new(self, &reader, ledger, state.genesis);
        let mut all = Vec::with_capacity(messages.len());
        let mut bytes = 0;
        for (sequence, message) in messages {
            let message = message.as_ref();
            if !all.is_empty() && bytes + message.len() > MAX_BATCH_BYTES {
                break;
            }
            // A database made anew comes back to just where this node was, or not at all.
            let other = place.floor.as_ref().is_some_and(|floor| {
                floor.sequence == *sequence
                    && state.sequence + 1 == *sequence
                    && stream_hash(&state.stream_hash, *sequence, message) != floor.stream_hash
            });
            if other && all.is_empty() {
                return Err(StoreError::OtherHistory { ledger, sequence: *sequence });
            } else if other {
                break;
            }
            let applied = match state.apply(&overlay, *sequence, message) {
                Ok(applied) => applied,
                Err(_) if !all.is_empty() => break,
                Err(error) => return Err(self.refused(&reader, &state, message, error)?),
            };
            bytes += message.len();
            overlay.add(&applied);
            stage(&mut fold, message, &applied)?;
            checkpoints::stage(&mut fold, message, &applied, &state)?;
            all.push(applied);
        }
        if all.is_empty() {
            return Ok(all);
        }
        let mut batch = fold.finish()?;
        stage_state(self, &mut batch, &state)?;
        self.db
            .write_opt(batch, &options::synced())
            .map_err(|source| StoreError::Database { action: "write applied messages", source })?;
        for (chain, head) in all.iter().flat_map(|applied| &applied.heads) {
            self.lately.moved(ledger, *chain, *head);
        }
        if all.iter().any(|applied| !applied.destroyed.is_empty()) {
            self.raise_generation();
        }
        self.publish(state)?;
        self.keep_position();
        Ok(all)
    }

    /// Writes `position.json` when that is due. What was applied is on disk by then, so a file that
    /// cannot be written is told of, and is tried again a second later: it may be behind.
    fn keep_position(&self) {
        let due = self.lock(&self.position).map(|position| position.is_due());
        let kept = due.and_then(|due| if due { self.write_position() } else { Ok(()) });
        if let Err(error) = kept {
            tracing::error!(error = &error as &dyn std::error::Error, "the position is not kept");
        }
    }

    /// Says why a message was not applied. A sequence that was applied before is compared with what
    /// was applied then.
    fn refused(
        &self,
        reader: &Reader<'_>,
        state: &State,
        message: &[u8],
        error: ApplyError<StoreError>,
    ) -> Result<StoreError, StoreError> {
        let ledger = state.ledger;
        let source = match error {
            ApplyError::Lookup(error) => return Ok(error),
            ApplyError::Gap { expected, got } if got > 0 && got < expected => {
                let before = reader.stream_hash_at(ledger, got.saturating_sub(1))?;
                let then = reader.stream_hash_at(ledger, got)?;
                let (Some(before), Some(then)) = (before, then) else {
                    return Err(crate::error::damaged(keys::BLOCKS, &keys::block(ledger, got)));
                };
                return Ok(if stream_hash(&before, got, message) == then {
                    StoreError::AlreadyApplied { ledger, sequence: got }
                } else {
                    StoreError::OtherHistory { ledger, sequence: got }
                });
            }
            ApplyError::HistoryMissing { sequence } => {
                return Ok(crate::error::damaged(keys::BLOCKS, &keys::block(ledger, sequence)));
            }
            ApplyError::Gap { expected, got } => ApplyError::Gap { expected, got },
            ApplyError::NotOurGenesis { pinned } => ApplyError::NotOurGenesis { pinned },
            ApplyError::UnknownFormat { sequence, node, format } => {
                ApplyError::UnknownFormat { sequence, node, format }
            }
            ApplyError::UnknownRules { rules } => ApplyError::UnknownRules { rules },
        };
        Ok(StoreError::Apply { ledger, source })
    }
}

/// Stages everything one message changed.
fn stage(fold: &mut Fold<'_>, message: &[u8], applied: &Applied) -> Result<(), StoreError> {
    let store = fold.store;
    rows_of(fold.ledger, message, applied, |table, key, row| {
        fold.batch.put_cf(store.table(table)?, key, row);
        Ok::<_, StoreError>(())
    })?;
    for record in &applied.records {
        fold.record(record.position, &record.header, record.body(message))?;
    }
    Ok(())
}

/// Tells `put` every row that one message makes, but for views and checkpoints: table, key, value. What
/// apply writes, and what `fsck` makes again and compares.
pub(crate) fn rows_of<E: From<StoreError>>(
    ledger: LedgerId,
    message: &[u8],
    applied: &Applied,
    mut put: impl FnMut(&'static str, &[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut placed = Vec::with_capacity(applied.records.len());
    for record in &applied.records {
        let (position, header_at) = (record.position, record.header_at.start);
        let (header, body) = (record.header_bytes(message), record.body(message));
        placed.push(Placed { position, header_at, header, body });
        put_record(ledger, position, header, body, &mut put)?;
        let chain = ChainRow { position, recorded_at: record.header.recorded_at };
        let key = keys::chain(ledger, record.header.chain(), record.header.version);
        put(keys::CHAINS, &key, &rows::encode_chain(chain))?;
        // Where it stands among the records of a block.
        if let Some(committed) = applied.committed.as_ref().filter(|it| it.position == position + 1)
        {
            put_record(ledger, committed.position, &committed.bytes, &[], &mut put)?;
        }
    }
    let form = postcard::to_stdvec(&take_apart(message, &placed))
        .map_err(|_| StoreError::Encoding(keys::BLOCKS))?;
    let row = [applied.stream_hash.0.as_slice(), &form].concat();
    put(keys::BLOCKS, &keys::block(ledger, applied.sequence), &row)?;
    for (chain, head) in &applied.heads {
        put(keys::HEADS, &keys::head(ledger, *chain), &rows::encode_head(head))?;
    }
    for (id, settled) in &applied.settled {
        put(keys::SETTLED, &keys::settled(ledger, id), &rows::encode_settled(settled))?;
    }
    for key in &applied.destroyed {
        put(keys::DESTROYED, &keys::destroyed(ledger, *key), &[])?;
    }
    for (subject, summary) in applied.committed.iter().flat_map(|committed| &committed.changed) {
        put(keys::SUBJECTS, &keys::file(ledger, *subject), &rows::encode_summary(summary))?;
    }
    for tile in &applied.tiles {
        put(keys::TILES, &keys::tile(ledger, tile.id.level, tile.id.index), &tile.to_bytes())?;
    }
    Ok(())
}

fn put_record<E: From<StoreError>>(
    ledger: LedgerId,
    position: u64,
    leaf: &[u8],
    body: &[u8],
    put: &mut impl FnMut(&'static str, &[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let row = rows::encode_record(leaf, body).ok_or(StoreError::Encoding(keys::RECORDS))?;
    put(keys::RECORDS, &keys::record(ledger, position), &row)
}

/// The state's row leaves the tree's hashes out: up to 33 KiB a batch would be most of what a
/// single small block writes, and `open` gets them back from headers and tiles, which at the same
/// time checks those.
fn stage_state(store: &Store, batch: &mut WriteBatch, state: &State) -> Result<(), StoreError> {
    let row = encode_state(state)?;
    batch.put_cf(store.table(keys::META)?, keys::meta(state.ledger, keys::MetaTag::State), row);
    Ok(())
}

/// Size of the tree (8) ‖ postcard of the state with an empty tree.
pub(crate) fn encode_state(state: &State) -> Result<Vec<u8>, StoreError> {
    let bare = State { tree: Tree::default(), ..state.clone() };
    let encoded = postcard::to_stdvec(&bare).map_err(|_| StoreError::Encoding(keys::META))?;
    Ok([state.size().to_be_bytes().as_slice(), &encoded].concat())
}

/// Size of the tree, and the state without it.
pub(crate) fn decode_state(row: &[u8]) -> Option<(u64, State)> {
    let (size, rest) = row.split_first_chunk::<8>()?;
    match postcard::take_from_bytes(rest).ok()? {
        (state, []) => Some((u64::from_be_bytes(*size), state)),
        _ => None,
    }
}
