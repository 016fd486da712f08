//! Checkpoints: what this node signs, and the notes that a majority of the nodes has signed.
//!
//! Nodes sign in blocks of the ledger's own stream, which take no position in it, so every node sees
//! all signatures in one order and keeps them for ever, and no node calls another. A node signs only
//! what it computed from its own database, synced: the largest head it has while there is something
//! new, at most once a second (one node proposes, the others sign the same size as soon as they see
//! it), and the newest note again each minute while nothing happens, so that its age shows that the
//! nodes are alive. Before it signs a larger size than ever, it notes so, synced, in its database and
//! beside it; it signs nothing while its database has not come back to that size, or holds another
//! tree.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ledger::checkpoint::Checkpoint;
use ledger::cosigned::{Cosigned, cosigner_name, sign};
use ledger::note::SignedNote;
use ledger::{Hash, Item, NodeId, SigningKey};
use store::{Snapshot, Store};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Failure;
use crate::witnesses::Witnesses;
use crate::writer::Press;

/// How often a node looks whether it should propose.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// New records wait at most so long for a checkpoint to be proposed.
const PROPOSE_AFTER: Duration = Duration::from_millis(750);
/// Each further member waits so much longer, so that mostly one proposes.
const TURN: Duration = Duration::from_millis(300);
/// An unchanged checkpoint is cosigned again when the node's own signature is so old, in seconds.
const COSIGN_AGAIN: u64 = 60;
/// A signature that was published and has not come back is published again.
const PUBLISH_AGAIN: Duration = Duration::from_secs(5);
/// Sizes that are looked through for a majority, from the largest down: a minute's proposals. Who
/// signs later than that signs the next.
const LOOKED_THROUGH: usize = 64;

/// How long witnesses have for one checkpoint before they are handed the next.
const HANDED_FOR: Duration = Duration::from_secs(5);

/// What a node signs checkpoints with.
#[derive(Clone, Debug)]
pub struct NoteKeys {
    /// As the log.
    pub checkpoint: SigningKey,
    /// As a cosigner.
    pub cosigner: SigningKey,
}

/// A checkpoint that a majority of the nodes has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCheckpoint {
    /// Origin, size and root.
    pub checkpoint: Checkpoint,
    /// With the signatures of all nodes that signed it, and of witnesses.
    pub note: SignedNote,
    /// How many witnesses have cosigned it: with none it is unwitnessed.
    pub witnesses: usize,
}

/// What is on file of a ledger's checkpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnFile {
    /// The newest that a majority of the nodes has signed: for witnesses.
    pub(crate) signed: Option<Arc<NodeCheckpoint>>,
    /// The newest of these that the quorum of witnesses has cosigned: what leaves.
    pub(crate) newest: Option<Arc<NodeCheckpoint>>,
    /// The largest size that this node has signed and seen filed since it started; 0: none.
    pub(crate) own_size: u64,
}

/// One ledger's checkpoints on this node.
pub(crate) struct Checkpoints {
    press: Arc<Press>,
    store: Arc<Store>,
    keys: NoteKeys,
    witnesses: Arc<Witnesses>,
    on_file: watch::Sender<OnFile>,
    /// The largest size that anybody signed, and when that was seen first.
    proposed: (u64, Instant),
    /// What this node published last and has not seen come back.
    published: Option<(u64, Instant)>,
    /// Nodes of which a checkpoint was found to disagree: told once.
    told: BTreeSet<NodeId>,
    /// When witnesses were handed the checkpoint that they have now.
    handed_at: Instant,
}

impl Checkpoints {
    pub(crate) fn new(
        press: Arc<Press>,
        store: Arc<Store>,
        keys: NoteKeys,
        witnesses: Arc<Witnesses>,
    ) -> (Self, watch::Receiver<OnFile>) {
        let (on_file, seen) = watch::channel(OnFile::default());
        let now = Instant::now();
        let (proposed, published, told) = ((0, now), None, BTreeSet::new());
        let handed_at = now;
        let own =
            Self { press, store, keys, witnesses, on_file, proposed, published, told, handed_at };
        (own, seen)
    }

    /// Signs and gathers until it is dropped.
    pub(crate) async fn run(mut self) {
        match self.store.witnessed(self.press.line.ledger) {
            Ok(Some(note)) => self.witnesses.recall(&note),
            Ok(None) => {}
            Err(error) => tracing::warn!(?error, "what witnesses cosigned is not known any more"),
        }
        let mut filed = self.press.line.follow_checkpoints();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                // The sender lives in the line, which the press holds.
                _ = filed.changed() => {}
                () = self.witnesses.news.notified() => {}
            }
            if let Err(failure) = self.look() {
                tracing::warn!(?failure, ledger = %self.press.line.ledger, "no checkpoint is signed");
                look.reset_after(PROPOSE_AFTER);
            }
        }
    }

    fn look(&mut self) -> Result<(), Failure> {
        let state = self.press.line.state()?;
        if state.size == 0 {
            return Ok(());
        }
        let largest = self.gather(&state)?;
        if self.press.line.writable().is_err() {
            return Ok(());
        }
        match self.due(&state, largest)? {
            Some(size) => self.sign(&state, size),
            None => Ok(()),
        }
    }

    /// Looks at what nodes have signed, from the largest size down to the newest that a majority has,
    /// and the quorum of witnesses (at the start: had, as far as this node knew). Returns the largest.
    fn gather(&mut self, state: &Snapshot) -> Result<Option<u64>, Failure> {
        let (store, ledger) = (Arc::clone(&self.store), self.press.line.ledger);
        let reader = store.reader();
        let largest = reader.checkpoint_before(ledger, u64::MAX)?;
        if let Some(size) = largest.filter(|size| *size > self.proposed.0) {
            self.proposed = (size, Instant::now());
        }
        let known = self.on_file.borrow().newest.as_ref().map(|newest| newest.checkpoint.size);
        let (mut next, mut looked, mut newest) = (largest, 0, true);
        while let Some(mut size) = next.filter(|size| known.is_none_or(|known| *size >= known)) {
            looked += 1;
            if looked > LOOKED_THROUGH {
                // Only without any that is known; then what was known before the start, or none.
                match store.newest_checkpoint(ledger)?.filter(|_| known.is_none()) {
                    Some(before) if looked == LOOKED_THROUGH + 1 => size = size.min(before),
                    Some(_) | None => break,
                }
            }
            let cosigned = self.cosigned(state, size)?;
            if cosigned.has_majority(&state.state().authority)
                && self.tell(&cosigned, std::mem::take(&mut newest))?
            {
                // Before, a slower witness may still cosign it.
                if known.is_none_or(|known| known < size) {
                    let newest = self.on_file.borrow().newest.clone();
                    let witnessed = newest.filter(|newest| newest.witnesses > 0);
                    let witnessed = witnessed.as_ref().map(|newest| &newest.note);
                    store.set_newest_checkpoint(ledger, size, witnessed)?;
                }
                break;
            }
            next = reader.checkpoint_before(ledger, size)?;
        }
        Ok(largest)
    }

    /// Tells of a checkpoint that a majority of the nodes has signed, `newest` for witnesses too; whether
    /// it may leave.
    fn tell(&mut self, cosigned: &Cosigned, newest: bool) -> Result<bool, Failure> {
        let note = cosigned.note().map_err(Failure::internal)?;
        let checkpoint = cosigned.checkpoint().clone();
        let signed = NodeCheckpoint { checkpoint, note, witnesses: 0 };
        let mut witnessed = signed.clone();
        let count = self.witnesses.cosign(&mut witnessed.note);
        witnessed.witnesses = count.unwrap_or_default();
        // All witnesses get the same one until the quorum has it, or it takes too long: each that takes
        // the newest when it has time would never meet the others.
        let with_them = self.on_file.borrow().signed.clone();
        let waits = with_them.is_some_and(|with_them| {
            self.witnesses.cosign(&mut with_them.note.clone()).is_none()
                && self.handed_at.elapsed() < HANDED_FOR
        });
        let hand_over = newest && !waits;
        if hand_over {
            self.handed_at = Instant::now();
        }
        self.on_file.send_if_modified(|on_file| {
            let mut changed = false;
            if hand_over && on_file.signed.as_deref() != Some(&signed) {
                on_file.signed = Some(Arc::new(signed));
                changed = true;
            }
            if count.is_some() && on_file.newest.as_deref() != Some(&witnessed) {
                on_file.newest = Some(Arc::new(witnessed));
                changed = true;
            }
            changed
        });
        Ok(count.is_some())
    }

    /// What is signed of a size, as far as it agrees with what this node has. What does not is an
    /// alarm: either node has another history.
    fn cosigned(&mut self, state: &Snapshot, size: u64) -> Result<Cosigned, Failure> {
        let state_now = state.state();
        let ledger = self.press.line.ledger;
        let checkpoint = self.checkpoint(state, size)?;
        let mut cosigned = Cosigned::new(checkpoint);
        for filed in self.store.reader().checkpoints(ledger, size)? {
            let Some(member) = state_now.authority.members.get(&filed.node) else { continue };
            let right = cosigned.add(&state_now.name, filed.node, &member.keys, &filed.note);
            if !right && self.told.insert(filed.node) {
                self.press.alarms.raise(
                    "CHECKPOINT_DISAGREES",
                    Some(ledger),
                    format!(
                        "node {} signed a checkpoint of {ledger} at size {size} that is not what \
                         this node has, or not with the keys it was admitted with. One of the two \
                         has lost or changed records: compare both with a checkpoint that was kept \
                         elsewhere before trusting either",
                        filed.node
                    ),
                );
            }
        }
        if cosigned.cosigned_at(self.press.node).is_some() {
            self.on_file.send_if_modified(|on_file| {
                let larger = size > on_file.own_size;
                on_file.own_size = on_file.own_size.max(size);
                larger
            });
        }
        Ok(cosigned)
    }

    fn checkpoint(&self, state: &Snapshot, size: u64) -> Result<Checkpoint, Failure> {
        let root = self.root(state, size)?;
        Ok(Checkpoint { origin: state.state().origin(), size, root })
    }

    fn root(&self, state: &Snapshot, size: u64) -> Result<Hash, Failure> {
        if size == state.size {
            return Ok(state.root());
        }
        Ok(self.store.reader().root_at(self.press.line.ledger, size)?)
    }

    /// What size this node should sign now, if any.
    fn due(&mut self, state: &Snapshot, largest: Option<u64>) -> Result<Option<u64>, Failure> {
        let node = self.press.node;
        let authority = &state.state().authority;
        let Some(member) = authority.active(node) else { return Ok(None) };
        let (checkpoint, cosigner) = (&self.keys.checkpoint, &self.keys.cosigner);
        if member.keys.checkpoint != checkpoint.verifying_key().to_bytes()
            || member.keys.cosigner != cosigner.verifying_key().to_bytes()
        {
            self.raise_once(
                "CHECKPOINT_KEYS_UNLIKE",
                "the files of this node's checkpoint_key and cosigner_key are not those that it was \
                 admitted with: it signs no checkpoints. Put the right ones back and restart it"
                    .to_owned(),
            );
            return Ok(None);
        }
        let now = self.press.clock.now() / 1_000_000;
        let size = match largest {
            Some(largest) => {
                let mine = self.cosigned(state, largest)?.cosigned_at(node);
                let own = self.checkpoint(state, largest)?;
                match mine {
                    // Somebody wrote in this node's name: the next size is its own again.
                    None if self.contradicts(largest, &own)? => state.size,
                    None => largest,
                    Some(_) if largest < state.size => state.size,
                    Some(at) if at + COSIGN_AGAIN <= now => largest,
                    Some(_) => return Ok(None),
                }
            }
            None => state.size,
        };
        let others = authority.members.iter().filter(|(_, member)| !member.retired);
        let rank = others.take_while(|(other, _)| **other != node).count();
        let turn = PROPOSE_AFTER + TURN * u32::try_from(rank).unwrap_or(u32::MAX);
        let early = largest != Some(size) && self.proposed.1.elapsed() < turn;
        let under_way = self.published.is_some_and(|(published, at)| {
            at.elapsed() < if published == size { PUBLISH_AGAIN } else { PROPOSE_AFTER }
        });
        Ok((!early && !under_way).then_some(size))
    }

    /// Signs this size, unless this node once signed a tree that this one does not continue.
    fn sign(&mut self, state: &Snapshot, size: u64) -> Result<(), Failure> {
        let ledger = self.press.line.ledger;
        let checkpoint = self.checkpoint(state, size)?;
        if self.contradicts(size, &checkpoint)? {
            return Ok(());
        }
        if let Some(last) = self.store.last_checkpoint(ledger)? {
            if last.size > state.size {
                // What it signed is still to come, from the stream.
                return Ok(());
            }
            if last.root != self.root(state, last.size)? {
                self.raise_once(
                    "CHECKPOINT_WOULD_FORK",
                    format!(
                        "this node signed a checkpoint of {ledger} at size {} that what it has now \
                         does not continue: it signs no more. Its database was changed, or put \
                         back and the stream with it; find out which copy is true",
                        last.size
                    ),
                );
                return Ok(());
            }
            if checkpoint.size > last.size {
                self.promise(&checkpoint)?;
            }
        } else {
            self.promise(&checkpoint)?;
        }
        let name = cosigner_name(&state.state().name, self.press.node);
        let time = self.press.clock.now() / 1_000_000;
        let note = sign(&checkpoint, &self.keys.checkpoint, (&name, &self.keys.cosigner), time);
        let note = note.map_err(Failure::internal)?.to_string().into_bytes();
        let block = self.press.block(vec![Item::Checkpoint(note)], 0)?;
        self.published = Some((size, Instant::now()));
        let press = Arc::clone(&self.press);
        // Whatever becomes of it: if it does not come back, it is published again.
        drop(tokio::spawn(async move { press.publish(block).await }));
        Ok(())
    }

    /// Notes what is about to be signed in the database, and how far the ledger is beside it: a node
    /// whose database is lost or put back signs nothing before it is back there.
    fn promise(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.store.set_last_checkpoint(self.press.line.ledger, checkpoint)?;
        Ok(self.store.write_position()?)
    }

    /// Whether a checkpoint of this node is on file at this size that is not what it has now.
    fn contradicts(&self, size: u64, own: &Checkpoint) -> Result<bool, Failure> {
        let filed = self.store.reader().checkpoints(self.press.line.ledger, size)?;
        let text = own.to_string();
        Ok(filed.iter().any(|one| one.node == self.press.node && one.note.text() != text))
    }

    fn raise_once(&self, code: &'static str, text: String) {
        let ledger = Some(self.press.line.ledger);
        if !self.press.alarms.is_raised(code, ledger) {
            self.press.alarms.raise(code, ledger, text);
        }
    }
}
