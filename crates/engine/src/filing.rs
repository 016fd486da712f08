//! Filing: decide, seal, hand over, wait; decide anew when apply says that the ground moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ledger::{ActorId, ContributionId, Hash, KeyId, Settled, SubjectId, VoidReason, commitment};
use tokio::time::Instant;

use crate::Failure;
use crate::context::{Caller, Context};
use crate::engine::Engine;
use crate::line::Outcome;
use crate::seal::{Chain, Draft};
use crate::writer::Sent;

/// Longest a caller waits for an outcome, whatever it asked for.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a block that has left may still be heard of once the node stops. A broker that answers
/// does so in milliseconds; whoever waits longer hears that the outcome is unknown.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a decision comes to.
pub(crate) enum Decided<A> {
    /// These records are to be filed.
    File { drafts: Vec<Draft>, answer: A },
    /// Nothing is.
    Nothing(A),
}

/// What became of a request.
pub(crate) enum Filing<A> {
    /// On file, from this position on; where the last record left its chain.
    Filed { first_position: u64, count: u16, head: Chain, answer: A },
    /// On file since an earlier call with the same request id.
    Repeated { first_position: u64, count: u16 },
    /// There was nothing to file.
    Nothing(A),
}

/// One request to file.
pub(crate) struct Request {
    pub(crate) id: ContributionId,
    pub(crate) digest: Hash,
    pub(crate) actor: ActorId,
    /// Chains that the decision looks at; held until the outcome is known.
    pub(crate) chains: Vec<SubjectId>,
    pub(crate) patience: Duration,
}

impl Engine {
    /// The request's id in the ledger: the same service, person and request id always give the same
    /// one (invariant 4).
    pub(crate) fn contribution_id(caller: &Caller, request_id: &str) -> ContributionId {
        let person = caller.person.as_deref().unwrap_or_default();
        ContributionId::of_request(&caller.service, person, request_id)
    }

    /// The caller's pseudonymous id in headers.
    pub(crate) fn actor(&self, caller: &Caller) -> Result<ActorId, Failure> {
        self.actor_of(&caller.service, caller.person.as_deref())
    }

    /// A person is one actor whatever service they use; a service without a person is its own.
    pub(crate) fn actor_of(&self, service: &str, person: Option<&str>) -> Result<ActorId, Failure> {
        let (label, name) = match person {
            Some(person) => ("actor/person", person),
            None => ("actor/service", service),
        };
        let term = self.vault.index_term(label, &[name.as_bytes()]).map_err(Failure::from)?;
        Ok(ActorId(first_half(&term)))
    }

    pub(crate) fn request(
        &self,
        ctx: &Context,
        request_id: &str,
        chains: Vec<SubjectId>,
    ) -> Result<Request, Failure> {
        // Messages of two calls may have the same bytes: to adopt a set of policies, and to withdraw it.
        let asked = [ctx.operation.name().as_bytes(), b"\n", &ctx.request].concat();
        Ok(Request {
            id: Self::contribution_id(&ctx.caller, request_id),
            digest: self.vault.digest("request", &asked).map_err(Failure::from)?,
            actor: self.actor(&ctx.caller)?,
            chains,
            patience: ctx.patience.min(LONGEST),
        })
    }

    /// Files what `decide` decides. It goes on when the caller goes away: a block that left cannot
    /// be called back, and the chain stays held until its outcome is known.
    pub(crate) async fn file<A: Send + 'static>(
        &self,
        request: Request,
        decide: impl FnMut(&Self) -> Result<Decided<A>, Failure> + Send + 'static,
    ) -> Result<Filing<A>, Failure> {
        let engine = self.clone();
        let id = request.id;
        let filed = tokio::spawn(async move { engine.file_to_the_end(request, decide).await });
        match filed.await.map_err(Failure::internal)? {
            // It says nothing of an earlier attempt, which may be on its way.
            nothing @ Ok(Filing::Nothing(_)) => nothing,
            ended => self.in_doubt.settle(id, ended),
        }
    }

    async fn file_to_the_end<A: Send>(
        &self,
        request: Request,
        mut decide: impl FnMut(&Self) -> Result<Decided<A>, Failure> + Send,
    ) -> Result<Filing<A>, Failure> {
        let deadline = Instant::now() + request.patience;
        let mut names: Vec<&[u8]> = request.chains.iter().map(|chain| chain.0.as_slice()).collect();
        names.push(&request.id.0);
        let _held = tokio::select! {
            held = tokio::time::timeout_at(deadline, self.locks.hold(&names)) => {
                held.map_err(|_| Failure::NotFiled {
                    why: "other changes of the same file are under way".to_owned(),
                })?
            }
            () = self.stopping.cancelled() => return Err(stops()),
        };
        loop {
            if let Some((first_position, count)) = self.settled_before(&request)? {
                return Ok(Filing::Repeated { first_position, count });
            }
            if self.stopping.is_cancelled() {
                return Err(stops());
            }
            self.records.line.writable().map_err(|why| Failure::NotFiled { why })?;
            // Before the decision reads anything: what is accepted on these heads was decided on
            // them. Heads read after it could be newer than what it saw, and apply would agree.
            let heads = self.heads(&request.chains)?;
            let (drafts, answer) = match decide(self)? {
                Decided::Nothing(answer) => return Ok(Filing::Nothing(answer)),
                Decided::File { drafts, answer } => (drafts, answer),
            };
            let (outcome, sealed) = self.hand_over(&request, &heads, drafts, deadline).await?;
            match outcome {
                Outcome::Accepted { first_position, count } => {
                    if self.is_own(sealed, first_position, count)? {
                        let (_, head) = sealed;
                        return Ok(Filing::Filed { first_position, count, head, answer });
                    }
                    // Another attempt under the same id was: what it came to is on file, and what was
                    // decided here is not.
                }
                Outcome::Void(VoidReason::KeyDestroyed) => {
                    let why = "the file's key was destroyed; nothing can be filed in it";
                    return Err(Failure::refused("KEY_DESTROYED", why));
                }
                Outcome::Void(VoidReason::Malformed | VoidReason::NotAuthorised)
                | Outcome::Refused(_) => {
                    return Err(Failure::NotFiled {
                        why: "the ledger refused this node's block; its health says why".to_owned(),
                    });
                }
                // The ground moved, or the id is settled: look again and decide anew.
                Outcome::Void(_) | Outcome::Abandoned if Instant::now() < deadline => {}
                Outcome::Void(_) | Outcome::Abandoned => {
                    return Err(Failure::NotFiled {
                        why: "others changed the same file again and again".to_owned(),
                    });
                }
            }
        }
    }

    /// The first outcome of this request id, if it has one.
    fn settled_before(&self, request: &Request) -> Result<Option<(u64, u16)>, Failure> {
        match self.records.line.store.settled(self.records.line.ledger, &request.id)? {
            None => Ok(None),
            Some(Settled::Abandoned { .. }) => Err(Failure::RequestAbandoned),
            Some(Settled::Accepted { request_digest, .. }) if request_digest != request.digest => {
                Err(Failure::RequestIdReused)
            }
            Some(Settled::Accepted { first_position, count, .. }) => {
                Ok(Some((first_position, count)))
            }
        }
    }

    fn heads(&self, chains: &[SubjectId]) -> Result<BTreeMap<SubjectId, Chain>, Failure> {
        let line = &self.records.line;
        let head = |chain: &SubjectId| Ok((*chain, Chain::of(&line.store, line.ledger, *chain)?));
        chains.iter().map(head).collect()
    }

    /// Whether a contribution's last record is the one sealed here as the new head of its chain; not, when
    /// what was accepted is another attempt under the same id, by another node or earlier on this one.
    fn is_own(
        &self,
        (chain, sealed): (SubjectId, Chain),
        first_position: u64,
        count: u16,
    ) -> Result<bool, Failure> {
        let line = &self.records.line;
        if line.store.head(line.ledger, chain)?.is_some_and(|head| head.hash == sealed.hash) {
            return Ok(true);
        }
        // Others may have gone on from it since.
        let last = self.header_at(commitment::end(first_position, count) - 1)?;
        Ok(ledger::leaf_hash(&last.encode()) == sealed.hash)
    }

    /// Seals, sends and waits. With the outcome, the chain of the last record as sealed.
    async fn hand_over(
        &self,
        request: &Request,
        heads: &BTreeMap<SubjectId, Chain>,
        drafts: Vec<Draft>,
        deadline: Instant,
    ) -> Result<(Outcome, (SubjectId, Chain)), Failure> {
        let line = &self.records.line;
        let not_before = line.state()?.time;
        let last = drafts.last().ok_or_else(|| Failure::internal("nothing to file"))?.subject;
        // What the decision looked at and does not change must still stand when it is applied.
        let read = |(chain, head): (&SubjectId, &Chain)| {
            let linked = drafts.iter().any(|draft| draft.subject == *chain);
            (!linked).then_some((*chain, head.version))
        };
        let reads = heads.iter().filter_map(read).collect();
        let mut head = |chain| match heads.get(&chain) {
            Some(head) => Ok(*head),
            // A new patient's: nobody else knows of it, or apply says so.
            None => Ok(Chain::NEW),
        };
        let sealed = self.records.sealer.seal(
            request.id,
            request.digest,
            request.actor,
            reads,
            drafts,
            not_before,
            &mut head,
        )?;
        let after =
            sealed.heads.get(&last).ok_or_else(|| Failure::internal("an unsealed chain"))?;
        let after = (last, *after);
        let item = ledger::Item::Contribution(sealed.contribution);
        check_size(item.encoded_len())?;
        let told = line.expect(request.id);
        let filed = async {
            let sent = self.records.writer.file(item, sealed.newest).await;
            outcome(sent, told).await
        };
        Ok((self.heard(request.id, deadline, filed).await?, after))
    }

    /// What becomes of a block that leaves, as long as there is time to hear of it.
    async fn heard(
        &self,
        id: ContributionId,
        deadline: Instant,
        outcome: impl Future<Output = Result<Outcome, String>>,
    ) -> Result<Outcome, Failure> {
        let last_word = async {
            self.stopping.cancelled().await;
            // An endless wait that is cut off: the timer is what is waited for.
            let _ = tokio::time::timeout(LAST_WORD, std::future::pending::<()>()).await;
        };
        let heard = tokio::select! {
            biased;
            heard = tokio::time::timeout_at(deadline, outcome) => heard.ok(),
            () = last_word => None,
        };
        match heard {
            Some(Ok(outcome)) => Ok(outcome),
            Some(Err(why)) => {
                self.records.line.forget(&id);
                Err(Failure::NotFiled { why })
            }
            None => {
                self.records.line.forget(&id);
                Err(Failure::OutcomeUnknown)
            }
        }
    }

    /// Files an abandonment; whichever of it and the request applies first is final.
    pub(crate) async fn abandon(
        &self,
        id: ContributionId,
        patience: Duration,
    ) -> Result<(), Failure> {
        let line = &self.records.line;
        if self.stopping.is_cancelled() {
            return Err(stops());
        }
        line.writable().map_err(|why| Failure::NotFiled { why })?;
        let told = line.expect(id);
        let filed = async { outcome(self.records.writer.abandon(id).await, told).await };
        let deadline = Instant::now() + patience.min(LONGEST);
        self.heard(id, deadline, filed).await.map(|_| ())
    }
}

/// What a caller hears whose change has not left a node that is to stop.
fn stops() -> Failure {
    Failure::NotFiled { why: "this node is stopping".to_owned() }
}

/// Most request ids in doubt that are remembered: 2 MiB. Each stands for a block without a word.
const MOST_IN_DOUBT: usize = 65_536;

/// Request ids whose outcome was told to be unknown. Until it is known, nothing that happens to a
/// repetition makes it certain that the first was not filed.
#[derive(Debug, Default)]
pub(crate) struct InDoubt(Mutex<BTreeSet<ContributionId>>);

impl InDoubt {
    fn settle<T>(&self, id: ContributionId, filed: Result<T, Failure>) -> Result<T, Failure> {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match filed {
            Err(Failure::OutcomeUnknown) => {
                if ids.len() >= MOST_IN_DOUBT {
                    ids.pop_first();
                }
                ids.insert(id);
                Err(Failure::OutcomeUnknown)
            }
            Err(Failure::NotFiled { .. }) if ids.contains(&id) => Err(Failure::OutcomeUnknown),
            known @ (Ok(_) | Err(Failure::RequestAbandoned | Failure::RequestIdReused)) => {
                ids.remove(&id);
                known
            }
            // What refuses the repetition says nothing of the first.
            refused => refused,
        }
    }
}

/// Both must be known: that the broker's quorum has the block, and what apply said of it
/// (invariant 3). When the broker's answer got lost, apply's word is enough: it applies only what
/// the broker stored.
async fn outcome(
    sent: tokio::sync::oneshot::Receiver<Sent>,
    told: tokio::sync::oneshot::Receiver<Outcome>,
) -> Result<Outcome, String> {
    match sent.await {
        Ok(Sent::No(why)) => Err(why),
        Ok(Sent::Yes | Sent::Unknown) => match told.await {
            Ok(outcome) => Ok(outcome),
            // The line forgot it: a newer wait under the same id took its place.
            Err(_) => std::future::pending().await,
        },
        Err(_) => Err("this node is shutting down".to_owned()),
    }
}

/// A contribution fits in one block (design, section 7).
fn check_size(bytes: usize) -> Result<(), Failure> {
    if bytes <= crate::writer::BLOCK_ROOM {
        return Ok(());
    }
    Err(Failure::Invalid(vec![crate::Violation {
        field: "changes".to_owned(),
        code: "too-large".to_owned(),
        description: format!(
            "sealed, these changes are {bytes} bytes; a contribution has at most {}: file it in parts",
            crate::writer::BLOCK_ROOM
        ),
    }]))
}

pub(crate) fn first_half(bytes: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    half
}

/// A record to be filed under this key.
pub(crate) fn draft(
    subject: SubjectId,
    key: KeyId,
    event: &domain::Event,
) -> Result<Draft, Failure> {
    Ok(Draft { subject, key, plain: schema::encode_event(event).map_err(Failure::internal)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_4_a_repetition_of_what_is_in_doubt_is_not_surely_unfiled() {
        let doubt = InDoubt::default();
        let (one, other) = (ContributionId([1; 32]), ContributionId([2; 32]));
        let not_filed = || Err::<(), _>(Failure::NotFiled { why: "the broker is away".to_owned() });
        let unknown = || Err::<(), _>(Failure::OutcomeUnknown);
        assert!(matches!(doubt.settle(one, unknown()), Err(Failure::OutcomeUnknown)));
        assert!(matches!(doubt.settle(one, not_filed()), Err(Failure::OutcomeUnknown)));
        assert!(matches!(doubt.settle(other, not_filed()), Err(Failure::NotFiled { .. })));
        let refused = doubt.settle(one, Err::<(), _>(Failure::VersionConflict { current: 7 }));
        assert!(matches!(refused, Err(Failure::VersionConflict { .. })));
        assert!(matches!(doubt.settle(one, not_filed()), Err(Failure::OutcomeUnknown)));
        // Once it is known, the id is like any other.
        assert!(doubt.settle(one, Ok(())).is_ok());
        assert!(matches!(doubt.settle(one, not_filed()), Err(Failure::NotFiled { .. })));
    }
}
