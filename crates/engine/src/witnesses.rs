//! Witnesses (c2sp.org/tlog-witness): others who cosign a ledger's checkpoints, each having seen that it
//! only grew. Nodes hand them what a majority of the nodes has signed; how, `server` knows. With a
//! quorum, no checkpoint leaves without so many of them: records are final only then. What they
//! cosigned of the newest that left is kept: after a restart it leaves again, whether they are there
//! or not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::LedgerId;
use ledger::note::{NoteSignature, SignedNote, Vkey};
use tokio::sync::Notify;

use crate::Failure;
use crate::alarms::Alarms;
use crate::checkpoints::NodeCheckpoint;
use crate::engine::Engine;

/// Checkpoints of which cosignatures are kept: several witnesses, one slower than the other, come
/// together on one of them.
const KEPT: usize = 64;

/// Who the witnesses are.
#[derive(Clone, Debug, Default)]
pub struct WitnessSetup {
    /// Their keys.
    pub keys: Vec<Vkey>,
    /// How many of them must have cosigned a checkpoint before it leaves this node.
    pub quorum: usize,
}

/// What a witness did with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witnessed {
    /// Cosigned it: the lines that it answered with.
    Cosigned(String),
    /// It holds something that this checkpoint does not continue, or says so.
    Disagrees(String),
    /// It was not reached, or did not answer as a witness does.
    Failed(String),
}

/// One ledger's witnesses.
#[derive(Debug)]
pub(crate) struct Witnesses {
    ledger: LedgerId,
    setup: WitnessSetup,
    alarms: Arc<Alarms>,
    state: Mutex<State>,
    /// Something new was cosigned.
    pub(crate) news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Texts of checkpoints, the newest first, and who cosigned them.
    cosigned: VecDeque<(String, BTreeMap<usize, NoteSignature>)>,
    /// By alarm and witness, what is wrong.
    trouble: BTreeMap<(&'static str, String), String>,
}

impl Witnesses {
    pub(crate) fn new(ledger: LedgerId, setup: WitnessSetup, alarms: Arc<Alarms>) -> Self {
        let (state, news) = (Mutex::default(), Notify::new());
        Self { ledger, setup, alarms, state, news }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the witnesses' signatures to a note; how many. None when they are fewer than the quorum.
    pub(crate) fn cosign(&self, note: &mut SignedNote) -> Option<usize> {
        let state = self.state();
        let found = state.cosigned.iter().find(|(text, _)| text == note.text());
        let lines = found.map(|(_, lines)| lines.values().cloned().collect()).unwrap_or_default();
        let lines: Vec<NoteSignature> = lines;
        let count = lines.len();
        note.signatures.extend(lines);
        (count >= self.setup.quorum).then_some(count)
    }

    /// Takes in what a witness answered; false when its signature does not hold.
    fn add(&self, key: &Vkey, text: &str, lines: &str) -> bool {
        let Ok(answer) = format!("{text}\n{lines}").parse::<SignedNote>() else { return false };
        // Under that text and no longer one.
        answer.text() == text && self.take(key, &answer)
    }

    /// Takes in a note of before the start, as far as those who are witnesses now signed it.
    pub(crate) fn recall(&self, note: &SignedNote) {
        for key in &self.setup.keys {
            let _ = self.take(key, note);
        }
    }

    /// Takes in a witness's line under a note; false when there is none, or it does not hold.
    fn take(&self, key: &Vkey, from: &SignedNote) -> bool {
        let text = from.text();
        let Ok(mut note) = SignedNote::new(text.to_owned()) else { return false };
        // That line alone.
        note.signatures.extend(from.signatures.iter().find(|line| key.claims(line)).cloned());
        let good = note.verify(std::slice::from_ref(key)).is_ok();
        let place = self.setup.keys.iter().position(|one| one == key);
        let (true, Some(line), Some(place)) = (good, note.signatures.pop(), place) else {
            return false;
        };
        let mut state = self.state();
        match state.cosigned.iter_mut().find(|(known, _)| known == text) {
            Some((_, lines)) => {
                lines.insert(place, line);
            }
            None => {
                state.cosigned.push_front((text.to_owned(), BTreeMap::from([(place, line)])));
                state.cosigned.truncate(KEPT);
            }
        }
        drop(state);
        self.news.notify_one();
        true
    }

    /// Raises an alarm that names every witness in this trouble, or takes it back with the last.
    fn trouble(&self, code: &'static str, witness: &str, what: Option<String>) {
        let mut state = self.state();
        let key = (code, witness.to_owned());
        let changed = match what {
            Some(what) => state.trouble.insert(key, what.clone()).as_ref() != Some(&what),
            None => state.trouble.remove(&key).is_some(),
        };
        if !changed {
            return;
        }
        let now = state.trouble.iter().filter(|((of, _), _)| *of == code);
        let now: Vec<String> = now.map(|((_, who), what)| format!("{who}: {what}")).collect();
        drop(state);
        if now.is_empty() {
            self.alarms.clear(code, Some(self.ledger));
        } else {
            self.alarms.raise(code, Some(self.ledger), now.join("; "));
        }
    }
}

/// A witness is not reached.
const UNREACHED: &str = "WITNESS_UNREACHED";
/// A witness holds another history.
const DISAGREES: &str = "WITNESS_DISAGREES";

impl Engine {
    /// The newest checkpoint that a majority of the nodes has signed, for a witness; as soon as it is
    /// another note than `before`. None when this node stops.
    pub async fn for_witness(
        &self,
        ledger: LedgerId,
        before: Option<&NodeCheckpoint>,
    ) -> Option<Arc<NodeCheckpoint>> {
        let mut on_file = self.side_of(ledger).ok()?.on_file.clone();
        let other =
            |signed: &Option<Arc<NodeCheckpoint>>| signed.is_some() && signed.as_deref() != before;
        let found = on_file.wait_for(|on_file| other(&on_file.signed));
        match self.stopping.run_until_cancelled(found).await {
            Some(Ok(on_file)) => on_file.signed.clone(),
            Some(Err(_)) | None => None,
        }
    }

    /// Takes in what a witness did with a checkpoint; whether it has cosigned it.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not.
    pub fn witnessed(
        &self,
        ledger: LedgerId,
        witness: &Vkey,
        checkpoint: &NodeCheckpoint,
        did: Witnessed,
    ) -> Result<bool, Failure> {
        let witnesses = &self.side_of(ledger)?.witnesses;
        let name = witness.name();
        let size = checkpoint.checkpoint.size;
        let (unreached, disagrees) = match did {
            Witnessed::Cosigned(lines) => {
                if witnesses.add(witness, checkpoint.note.text(), &lines) {
                    (None, None)
                } else {
                    (Some("its answer has no good signature of its key".to_owned()), None)
                }
            }
            Witnessed::Disagrees(why) => (
                None,
                Some(format!(
                    "it does not accept the checkpoint of {size} records as continuing what it has \
                     cosigned ({why}): this ledger was changed or put back, or the witness was. \
                     Compare both with a checkpoint that was kept elsewhere"
                )),
            ),
            Witnessed::Failed(why) => (Some(why), None),
        };
        let good = unreached.is_none() && disagrees.is_none();
        witnesses.trouble(UNREACHED, name, unreached);
        if good || disagrees.is_some() {
            witnesses.trouble(DISAGREES, name, disagrees);
        }
        Ok(good)
    }
}

#[cfg(test)]
mod tests {
    use ledger::SigningKey;
    use ledger::note::KeyType;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn of_what_was_cosigned_before_the_start_only_good_lines_of_witnesses_count() {
        let key = |seed| SigningKey::from_bytes(&[seed; 32]);
        let vkey = |name: &str, seed| {
            let public = key(seed).verifying_key().to_bytes();
            Vkey::new(name, KeyType::Cosignature, public).unwrap()
        };
        let setup = WitnessSetup { keys: vec![vkey("w1", 1), vkey("w2", 2)], quorum: 1 };
        let note = || SignedNote::new("log\n7\nroot\n".to_owned()).unwrap();
        let recalled = |kept: &SignedNote| {
            let alarms = Arc::new(Alarms::new(Clock::system()));
            let witnesses = Witnesses::new(LedgerId::RECORDS, setup.clone(), alarms);
            witnesses.recall(kept);
            witnesses.cosign(&mut note())
        };
        let mut kept = note();
        kept.cosign("node", &key(9), 5);
        assert_eq!(recalled(&kept), None, "nobody who is a witness");
        kept.cosign("w2", &key(2), 5);
        assert_eq!(recalled(&kept), Some(1));
        kept.cosign("w1", &key(1), 6);
        assert_eq!(recalled(&kept), Some(2));
        kept.signatures.iter_mut().for_each(|line| line.signature[9] ^= 1);
        assert_eq!(recalled(&kept), None, "none holds");
        let mut other = SignedNote::new("log\n8\nroot\n".to_owned()).unwrap();
        other.cosign("w1", &key(1), 5);
        assert_eq!(recalled(&other), None, "of another checkpoint");
    }
}
