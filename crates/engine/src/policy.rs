//! Access policies: Cedar policies (<https://www.cedarpolicy.com>), checked against a model before they
//! are used, and which of them decided.
//!
//! `policies/model.cedarschema` says what policies may speak of, `policies/default.cedar` is what
//! Caseledger comes with; a hospital's own are documents on file (`adoption`, `in_force`). A decision
//! depends on nothing but the caller, the operation or the class of entry, the purpose, whether a reason
//! was given and those of the facts that the policies speak of, so it is remembered.

mod asked;
mod compared;
mod faults;
mod lockout;
mod requester;
mod spoken;

use std::sync::Arc;

use cedar_policy::{Authorizer, Decision as Verdict, Entities, PolicySet, Schema};
use domain::DocumentId;
use ledger::Hash;
use quick_cache::sync::Cache;

use crate::Failure;
use crate::context::Context;
use crate::facts::Facts;
use asked::{Asked, Asker, What, known};
use faults::Names;
use spoken::Spoken;

pub(crate) use requester::Requester;

const MODEL: &str = include_str!("../policies/model.cedarschema");
const DEFAULT: &str = include_str!("../policies/default.cedar");
/// Version of the policies that Caseledger comes with: another text, another number.
const DEFAULT_VERSION: u32 = 4;

/// Decisions remembered: of 2,000 people, each in a few ways and about a dozen classes of entries,
/// some 300 bytes each.
const REMEMBERED: usize = 65_536;

/// What the policies say of a call, or of seeing entries of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be made, or they may be seen.
    pub allowed: bool,
    /// The policies that decided, by their ids, in alphabetical order: those that permit, or those that
    /// forbid. None of what no policy permits.
    pub deciding: Vec<String>,
    /// Whether the same would be allowed as an emergency; only of what is not.
    pub break_glass: bool,
    /// Which policies these are: [`Policies::version`].
    pub policies: String,
}

/// A set of policies that can decide.
#[derive(Debug)]
pub struct Policies {
    /// Name, version, and the beginning of the SHA-256 of their text.
    version: String,
    set: PolicySet,
    spoken: Spoken,
    schema: Schema,
    /// Roles and purposes of use, which every request refers to.
    known: Entities,
    authorizer: Authorizer,
    decided: Cache<Asked, Arc<Decision>>,
}

impl Policies {
    /// The text of those that Caseledger comes with.
    pub(crate) const SHIPPED: &'static str = DEFAULT;

    /// Those that Caseledger comes with.
    ///
    /// # Errors
    /// A fault of ours: they are not what the model says.
    pub fn shipped() -> Result<Self, Failure> {
        Self::read(Self::shipped_version(), DEFAULT, Names::Known)
            .map_err(|failure| Failure::internal(format!("the shipped policies: {failure:?}")))
    }

    /// [`Policies::version`] of those that Caseledger comes with.
    pub(crate) fn shipped_version() -> String {
        version(&format!("default/{DEFAULT_VERSION}"), DEFAULT)
    }

    /// Those of a proposal.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with everything that is wrong with the text.
    pub(crate) fn proposed(id: DocumentId, text: &str) -> Result<Self, Failure> {
        Self::read(Self::version_of(id, text), text, Names::Known)
    }

    /// Those that are on file, proposed or adopted, perhaps at a version that asked less of a text.
    ///
    /// # Errors
    /// [`Failure::Invalid`] if they cannot decide by this version's model.
    pub(crate) fn on_file(id: DocumentId, text: &str) -> Result<Self, Failure> {
        Self::read(Self::version_of(id, text), text, Names::AsTheyAre)
    }

    /// [`Policies::version`] of those of a proposal.
    pub(crate) fn version_of(id: DocumentId, text: &str) -> String {
        let id = id.to_string();
        version(&format!("policy/{}", id.get(..8).unwrap_or_default()), text)
    }

    /// Those of a text that is not on file.
    ///
    /// # Errors
    /// As [`Policies::proposed`].
    pub(crate) fn unfiled(text: &str) -> Result<Self, Failure> {
        Self::read(version("text", text), text, Names::Known)
    }

    fn read(version: String, text: &str, names: Names) -> Result<Self, Failure> {
        let (schema, _) = Schema::from_cedarschema_str(MODEL).map_err(Failure::internal)?;
        let set = faults::read(text, &schema, names).map_err(Failure::Invalid)?;
        let spoken = Spoken::of(&set);
        let known = known(&schema)?;
        let authorizer = Authorizer::new();
        let decided = Cache::new(REMEMBERED);
        Ok(Self { version, set, spoken, schema, known, authorizer, decided })
    }

    /// Which policies these are, as access records name them.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether what they say may depend on the time of day or the day of the week: then [`Facts::time`] is to
    /// be told.
    #[must_use]
    pub const fn speak_of_time(&self) -> bool {
        self.spoken.time
    }

    /// May they?
    ///
    /// # Errors
    /// A fault of ours: the call is not one that the model knows, or the time is not told.
    pub fn decide(&self, ctx: &Context, facts: &Facts) -> Result<Arc<Decision>, Failure> {
        let (asker, what) = (Asker::of(ctx, facts, self.spoken), What::Call(ctx.operation));
        self.decided(Asked { asker: Arc::new(asker), what })
    }

    fn decided(&self, asked: Asked) -> Result<Arc<Decision>, Failure> {
        if let Some(decided) = self.decided.get(&asked) {
            return Ok(decided);
        }
        let decision = Arc::new(self.decide_anew(&asked)?);
        self.decided.insert(asked, Arc::clone(&decision));
        Ok(decision)
    }

    fn decide_anew(&self, asked: &Asked) -> Result<Decision, Failure> {
        let (allowed, deciding) = self.ask(asked)?;
        let can_be_covered = match asked.what {
            What::Call(operation) => operation.can_be_covered(),
            What::Entry(_) => true,
        };
        let break_glass = !allowed && can_be_covered && self.ask(&asked.in_emergency())?.0;
        Ok(Decision { allowed, deciding, break_glass, policies: self.version.clone() })
    }

    fn ask(&self, asked: &Asked) -> Result<(bool, Vec<String>), Failure> {
        let (request, about) = asked.request(&self.schema, self.spoken)?;
        let entities = self.known.clone().add_entities(about, Some(&self.schema));
        let entities = entities.map_err(Failure::internal)?;
        let answer = self.authorizer.is_authorized(&request, &self.set, &entities);
        // A policy that could not be evaluated counts for nothing, so one that forbids would not forbid.
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(Failure::internal(error));
        }
        let mut deciding: Vec<_> = answer.diagnostics().reason().map(ToString::to_string).collect();
        deciding.sort_unstable();
        Ok((answer.decision() == Verdict::Allow, deciding))
    }
}

/// A name, and the beginning of the SHA-256 of the text: which text decided.
fn version(name: &str, text: &str) -> String {
    let digest = Hash::of(text.as_bytes()).to_string();
    format!("{name}+{}", digest.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests;
