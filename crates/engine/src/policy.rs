//! Access policies: Cedar policies (<https://www.cedarpolicy.com>), checked against a model before they
//! are used, and which of them decided.
//!
//! `policies/model.cedarschema` says what policies may speak of, `policies/default.cedar` is what
//! Caseledger comes with. A decision depends on nothing but the caller, the operation or the class of
//! entry, the purpose, whether a reason was given and the facts, so it is remembered.

mod asked;
mod requester;

use std::sync::Arc;

use cedar_policy::{
    Authorizer, Decision as Verdict, Entities, Entity, Policy, PolicyId, PolicySet, Schema,
    ValidationMode, Validator,
};
use ledger::Hash;
use quick_cache::sync::Cache;

use crate::Failure;
use crate::context::Context;
use crate::facts::Facts;
use asked::{Asked, Asker, What, known};

pub(crate) use requester::Requester;

const MODEL: &str = include_str!("../policies/model.cedarschema");
const DEFAULT: &str = include_str!("../policies/default.cedar");
/// Version of the policies that Caseledger comes with: another text, another number.
const DEFAULT_VERSION: u32 = 2;

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

/// Policies in force.
#[derive(Debug)]
pub struct Policies {
    /// Name, version, and the beginning of the SHA-256 of their text.
    version: String,
    set: PolicySet,
    schema: Schema,
    /// Roles and purposes of use, which every request refers to.
    known: Vec<Entity>,
    authorizer: Authorizer,
    decided: Cache<Asked, Arc<Decision>>,
}

impl Policies {
    /// Those that Caseledger comes with.
    ///
    /// # Errors
    /// A fault of ours: they are not what the model says.
    pub fn shipped() -> Result<Self, Failure> {
        Self::parse(&format!("default/{DEFAULT_VERSION}"), DEFAULT)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let (schema, _) = Schema::from_cedarschema_str(MODEL).map_err(Failure::internal)?;
        let set = named(&text.parse::<PolicySet>().map_err(Failure::internal)?)?;
        let checked = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if !checked.validation_passed() {
            let errors: Vec<_> = checked.validation_errors().map(ToString::to_string).collect();
            return Err(Failure::internal(errors.join("; ")));
        }
        let digest = Hash::of(text.as_bytes()).to_string();
        let version = format!("{name}+{}", digest.get(..8).unwrap_or_default());
        let authorizer = Authorizer::new();
        let decided = Cache::new(REMEMBERED);
        Ok(Self { version, set, schema, known: known()?, authorizer, decided })
    }

    /// Which policies these are, as access records name them.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// May they?
    ///
    /// # Errors
    /// A fault of ours: the call is not one that the model knows.
    pub fn decide(&self, ctx: &Context, facts: &Facts) -> Result<Arc<Decision>, Failure> {
        let (asker, what) = (Asker::of(ctx, facts), What::Call(ctx.operation));
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
        let break_glass = !allowed && self.ask(&asked.in_emergency())?.0;
        Ok(Decision { allowed, deciding, break_glass, policies: self.version.clone() })
    }

    fn ask(&self, asked: &Asked) -> Result<(bool, Vec<String>), Failure> {
        let (request, about) = asked.request(&self.schema)?;
        let entities = self.known.iter().cloned().chain(about);
        let entities =
            Entities::from_entities(entities, Some(&self.schema)).map_err(Failure::internal)?;
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

/// The policies under the ids that they give themselves.
fn named(set: &PolicySet) -> Result<PolicySet, Failure> {
    let named = set.policies().map(|policy| {
        let id = policy.annotation("id").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Failure::internal("an access policy has no @id"))?;
        Ok(policy.new_id(PolicyId::new(id)))
    });
    let named: Vec<Policy> = named.collect::<Result<_, Failure>>()?;
    PolicySet::from_policies(named).map_err(Failure::internal)
}

#[cfg(test)]
mod tests;
