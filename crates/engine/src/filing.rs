//! Filing: decide, seal, hand over, wait; decide anew when apply says that the ground moved.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
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
        self.in_doubt.begins(id);
        let filed = tokio::spawn(async move {
            let ended = engine.file_to_the_end(request, decide).await;
            engine.in_doubt.ends(id, ended)
        });
        filed.await.map_err(Failure::internal)?
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
            if let Some(repeated) = self.settled_before(&request)? {
                return Ok(repeated);
            }
            if self.stopping.is_cancelled() {
                return Err(stops());
            }
            self.records.line.writable().map_err(|why| Failure::NotFiled { why })?;
            // Before the decision reads anything: what is accepted on these heads was decided on
            // them. Heads read after it could be newer than what it saw, and apply would agree.
            let heads = self.heads(&request.chains)?;
            let (drafts, answer) = match to_file(decide(self), || self.settled_before(&request))? {
                ControlFlow::Continue(decided) => decided,
                ControlFlow::Break(filing) => return Ok(filing),
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
                    return self.settled_before(&request)?.ok_or_else(|| Failure::NotFiled {
                        why: "others changed the same file again and again".to_owned(),
                    });
                }
            }
        }
    }

    /// The first outcome of this request id, if it has one.
    fn settled_before<A>(&self, request: &Request) -> Result<Option<Filing<A>>, Failure> {
        match self.records.line.store.settled(self.records.line.ledger, &request.id)? {
            None => Ok(None),
            Some(Settled::Abandoned { .. }) => Err(Failure::RequestAbandoned),
            Some(Settled::Accepted { request_digest, .. }) if request_digest != request.digest => {
                Err(Failure::RequestIdReused)
            }
            Some(Settled::Accepted { first_position, count, .. }) => {
                Ok(Some(Filing::Repeated { first_position, count }))
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

/// Goes on with what is to be filed, or ends with what the request comes to.
type Next<A> = ControlFlow<Filing<A>, (Vec<Draft>, A)>;

/// The records to file, or what the request comes to without any. What does not let it file may be what
/// an earlier attempt filed meanwhile, and then that is its outcome.
fn to_file<A>(
    decided: Result<Decided<A>, Failure>,
    settled: impl FnOnce() -> Result<Option<Filing<A>>, Failure>,
) -> Result<Next<A>, Failure> {
    let without = match decided {
        Ok(Decided::File { drafts, answer }) => return Ok(ControlFlow::Continue((drafts, answer))),
        Ok(Decided::Nothing(answer)) => Ok(Filing::Nothing(answer)),
        Err(failure) => Err(failure),
    };
    settled()?.map_or(without, Ok).map(ControlFlow::Break)
}

/// Most request ids in doubt that are remembered: 2 MiB. Each stands for a block without a word.
const MOST_IN_DOUBT: usize = 65_536;

/// Request ids of which one attempt does not tell the outcome: until it is known, nothing that happens to
/// another makes it certain that the request was not filed.
#[derive(Debug, Default)]
pub(crate) struct InDoubt(Mutex<Doubts>);

#[derive(Debug, Default)]
struct Doubts {
    /// The outcome of an attempt was unknown when it ended.
    unknown: BTreeSet<ContributionId>,
    /// How many attempts are being made; one whose caller went away goes on.
    under_way: BTreeMap<ContributionId, usize>,
}

impl InDoubt {
    fn begins(&self, id: ContributionId) {
        let mut doubts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *doubts.under_way.entry(id).or_default() += 1;
    }

    /// What an attempt tells of the request when it has ended so.
    fn ends<A>(
        &self,
        id: ContributionId,
        ended: Result<Filing<A>, Failure>,
    ) -> Result<Filing<A>, Failure> {
        let mut doubts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = doubts.under_way.remove(&id).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            doubts.under_way.insert(id, left);
        }
        match ended {
            Err(Failure::OutcomeUnknown) => {
                if doubts.unknown.len() >= MOST_IN_DOUBT {
                    doubts.unknown.pop_first();
                }
                doubts.unknown.insert(id);
                Err(Failure::OutcomeUnknown)
            }
            Err(Failure::NotFiled { .. }) if left > 0 || doubts.unknown.contains(&id) => {
                Err(Failure::OutcomeUnknown)
            }
            // It says nothing of an earlier attempt, which may be on its way.
            nothing @ Ok(Filing::Nothing(_)) => nothing,
            known @ (Ok(_) | Err(Failure::RequestAbandoned | Failure::RequestIdReused)) => {
                doubts.unknown.remove(&id);
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

    const REPEATED: Filing<()> = Filing::Repeated { first_position: 7, count: 1 };

    /// What the caller of an attempt hears, which nobody makes another beside.
    fn told(doubt: &InDoubt, id: u8, ended: Result<Filing<()>, Failure>) -> Result<(), Failure> {
        let id = ContributionId([id; 32]);
        doubt.begins(id);
        doubt.ends(id, ended).map(|_| ())
    }

    fn not_filed() -> Result<Filing<()>, Failure> {
        Err(Failure::NotFiled { why: "the broker is away".to_owned() })
    }

    #[test]
    fn invariant_4_a_repetition_of_what_is_in_doubt_is_not_surely_unfiled() {
        let doubt = InDoubt::default();
        let told = |id, ended| told(&doubt, id, ended);
        assert!(matches!(told(1, Err(Failure::OutcomeUnknown)), Err(Failure::OutcomeUnknown)));
        assert!(matches!(told(1, not_filed()), Err(Failure::OutcomeUnknown)));
        assert!(matches!(told(2, not_filed()), Err(Failure::NotFiled { .. })));
        let refused = told(1, Err(Failure::VersionConflict { current: 7 }));
        assert!(matches!(refused, Err(Failure::VersionConflict { .. })));
        assert!(told(1, Ok(Filing::Nothing(()))).is_ok());
        assert!(matches!(told(1, not_filed()), Err(Failure::OutcomeUnknown)));
        // Once it is known, the id is like any other.
        assert!(told(1, Ok(REPEATED)).is_ok());
        assert!(matches!(told(1, not_filed()), Err(Failure::NotFiled { .. })));
    }

    #[test]
    fn invariant_4_what_another_attempt_may_yet_file_is_not_surely_unfiled() {
        let doubt = InDoubt::default();
        let id = ContributionId([1; 32]);
        doubt.begins(id);
        // Its caller went away and asks again meanwhile.
        for _ in 0..2 {
            assert!(matches!(told(&doubt, 1, not_filed()), Err(Failure::OutcomeUnknown)));
        }
        assert!(matches!(told(&doubt, 2, not_filed()), Err(Failure::NotFiled { .. })));
        assert!(matches!(doubt.ends(id, not_filed()), Err(Failure::NotFiled { .. })));
        assert!(matches!(told(&doubt, 1, not_filed()), Err(Failure::NotFiled { .. })));
    }

    #[test]
    fn invariant_4_an_attempt_that_meets_what_an_earlier_one_filed_tells_its_outcome() {
        let refused = || Err::<Decided<()>, _>(Failure::VersionConflict { current: 2 });
        for decided in [refused(), Ok(Decided::Nothing(()))] {
            let filing = to_file(decided, || Ok(Some(REPEATED)));
            assert!(matches!(filing, Ok(ControlFlow::Break(Filing::Repeated { .. }))));
        }
        let abandoned = to_file(refused(), || Err(Failure::RequestAbandoned));
        assert!(matches!(abandoned, Err(Failure::RequestAbandoned)));
        let first = to_file(refused(), || Ok(None));
        assert!(matches!(first, Err(Failure::VersionConflict { .. })));
        let first = to_file(Ok(Decided::Nothing(())), || Ok(None));
        assert!(matches!(first, Ok(ControlFlow::Break(Filing::Nothing(())))));
    }
}
