//! Which access policies decide: the set that was adopted last, as this node has applied its register,
//! else the set that Caseledger comes with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use domain::{AccessPolicy, DocumentId, DocumentKind, DocumentState};

use crate::Failure;
use crate::adoption::access_policy;
use crate::context::Operation;
use crate::engine::Engine;
use crate::local_time::TimeZone;
use crate::policy::Policies;
use crate::registers::Documents;

/// Raised while a node cannot say which set is in force.
const UNKNOWN: &str = "POLICIES_UNKNOWN";

/// The set in force, as of a version of the register's chain.
#[derive(Debug)]
pub(crate) struct InForce {
    /// By whose clocks they decide that speak of the time.
    pub(crate) time_zone: TimeZone,
    shipped: Arc<Policies>,
    known: RwLock<Option<Known>>,
    /// The stream's sequence up to which that is known to be so: while nothing is applied, a decision
    /// asks no table.
    looked_at: AtomicU64,
    /// It was raised that this is not known: a decision looks at no alarm unless it was.
    told_unknown: AtomicBool,
}

#[derive(Debug)]
struct Known {
    register: u64,
    adopted: Option<DocumentId>,
    policies: Arc<Policies>,
}

impl InForce {
    pub(crate) fn new(shipped: Policies, time_zone: TimeZone) -> Self {
        let (shipped, known) = (Arc::new(shipped), RwLock::default());
        let (looked_at, told_unknown) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { time_zone, shipped, known, looked_at, told_unknown }
    }

    fn if_known(&self, so: impl Fn(&Known) -> bool) -> Option<Arc<Policies>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| so(known)).map(|known| Arc::clone(&known.policies))
    }

    /// Decides by what the register says from now on.
    fn switch(&self, register: u64, documents: &Documents) -> Result<Arc<Policies>, Failure> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let adopted = adopted_last(documents);
        let id = adopted.map(|(state, _)| state.id);
        let policies = match (&*known, adopted) {
            // Somebody else looked later.
            (Some(before), _) if before.register > register => {
                return Ok(Arc::clone(&before.policies));
            }
            // Another proposal; decisions that are remembered stay so.
            (Some(before), _) if before.adopted == id => Arc::clone(&before.policies),
            (_, None) => Arc::clone(&self.shipped),
            (_, Some((state, policy))) => Arc::new(usable(state.id, &policy.text)?),
        };
        let decides = Arc::clone(&policies);
        *known = Some(Known { register, adopted: id, policies });
        Ok(decides)
    }
}

/// A set that was adopted under another version of the model may not be one that this version knows. Then
/// nothing is decided, rather than by another set.
fn usable(id: DocumentId, text: &str) -> Result<Policies, Failure> {
    Policies::on_file(id, text).map_err(|failure| {
        tracing::error!(?failure, policy = %id, "the access policies in force cannot be used");
        let version = Policies::version_of(id, text);
        Failure::Unavailable {
            why: format!(
                "the access policies in force, {version}, are not such as this node's version knows: \
                 adopt others at a node of the version before"
            ),
        }
    })
}

/// The set that became active last; none while nobody adopted one.
pub(crate) fn adopted_last(documents: &Documents) -> Option<(&DocumentState, &AccessPolicy)> {
    let policies = documents.values();
    policies
        .filter_map(|state| Some((state, access_policy(&state.document)?)))
        .filter(|(_, policy)| policy.status == "active")
        .max_by_key(|(state, _)| state.changed.stamp.version)
}

impl Engine {
    /// The set that decides on an operation.
    ///
    /// A node that has yet to come near the stream's end, or cannot open the register, does not know which
    /// set that is, and does not decide. How it is shows nobody's data and tells why it does not serve: that
    /// is decided by the set that it knows.
    pub(crate) fn policies_for(&self, operation: Operation) -> Result<Arc<Policies>, Failure> {
        if operation != Operation::GetNodeStatus {
            self.records.line.near_end()?;
            return self.policies_applied();
        }
        self.policies_applied().or_else(|failure| {
            let text = format!(
                "this node decides on nothing but its status, for it does not know which access policies \
                 are in force: {failure}"
            );
            self.alarms.raise(UNKNOWN, Some(self.records.line.ledger), text);
            // Only now: whoever finds it set takes the alarm back.
            self.in_force.told_unknown.store(true, Ordering::Release);
            Ok(Arc::clone(&self.in_force.shipped))
        })
    }

    /// The set in force as this node has applied the register. That it was not known is over then,
    /// whichever way it was found.
    fn policies_applied(&self) -> Result<Arc<Policies>, Failure> {
        let policies = self.policies_found()?;
        let told = &self.in_force.told_unknown;
        if told.load(Ordering::Acquire) && told.swap(false, Ordering::AcqRel) {
            self.alarms.clear(UNKNOWN, Some(self.records.line.ledger));
        }
        Ok(policies)
    }

    fn policies_found(&self) -> Result<Arc<Policies>, Failure> {
        let line = &self.records.line;
        let looked_at = &self.in_force.looked_at;
        // Before the head is read: it is at least of then.
        let sequence = line.progress().sequence;
        let nothing_new = looked_at.load(Ordering::Acquire) == sequence;
        if nothing_new && let Some(policies) = self.in_force.if_known(|_| true) {
            return Ok(policies);
        }
        let chain = self.register_chain(DocumentKind::AccessPolicy)?;
        let register = line.store.head(line.ledger, chain)?.map_or(0, |head| head.version);
        if let Some(policies) = self.in_force.if_known(|known| known.register == register) {
            looked_at.fetch_max(sequence, Ordering::Release);
            return Ok(policies);
        }
        let documents = self.documents(DocumentKind::AccessPolicy)?;
        let policies = self.in_force.switch(register, &documents)?;
        tracing::info!(version = policies.version(), "access policies in force");
        Ok(policies)
    }
}
