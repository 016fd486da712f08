//! Access policies: Cedar policies (<https://www.cedarpolicy.com>), checked against a model before they
//! are used, and which of them decided.
//!
//! `policies/model.cedarschema` says what policies may speak of, `policies/default.cedar` is what
//! Caseledger comes with. A decision depends on nothing but the caller, the operation, the purpose and
//! whether a reason was given, so it is remembered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context as Facts, Decision as Verdict, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, Policy, PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationMode,
    Validator,
};
use ledger::Hash;
use quick_cache::sync::Cache;

use crate::Failure;
use crate::context::{Caller, Context, Operation, Purpose, Role};

const MODEL: &str = include_str!("../policies/model.cedarschema");
const DEFAULT: &str = include_str!("../policies/default.cedar");
/// Version of the policies that Caseledger comes with: another text, another number.
const DEFAULT_VERSION: u32 = 1;

/// Decisions remembered: of 2,000 people, each in a few ways, some 200 bytes each.
const REMEMBERED: usize = 16_384;

/// What a policy decides on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    person: Option<String>,
    service: String,
    organisation: String,
    roles: Vec<Role>,
    operation: Operation,
    purpose: &'static str,
    reason_given: bool,
}

impl Asked {
    fn of(ctx: &Context) -> Self {
        let Caller { person, service, organisation, roles, .. } = &ctx.caller;
        Self {
            person: person.clone(),
            service: service.clone(),
            organisation: organisation.clone(),
            roles: roles.clone(),
            operation: ctx.operation,
            purpose: ctx.purpose.code(),
            reason_given: ctx.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty()),
        }
    }

    /// The same, asked as an emergency.
    fn in_emergency(&self) -> Self {
        Self { purpose: Purpose::BREAK_GLASS.code(), reason_given: true, ..self.clone() }
    }
}

/// What the policies say of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be made.
    pub allowed: bool,
    /// The policies that decided, by their ids, in alphabetical order: those that permit, or those that
    /// forbid. None of a call that no policy permits.
    pub deciding: Vec<String>,
    /// Whether the same call would be allowed as an emergency; only of one that is not.
    pub break_glass: bool,
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
    pub fn decide(&self, ctx: &Context) -> Result<Arc<Decision>, Failure> {
        let asked = Asked::of(ctx);
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
        Ok(Decision { allowed, deciding, break_glass })
    }

    fn ask(&self, asked: &Asked) -> Result<(bool, Vec<String>), Failure> {
        let user = user(asked)?;
        let facts = [
            (
                "purpose".to_owned(),
                RestrictedExpression::new_entity_uid(uid("Purpose", asked.purpose)?),
            ),
            ("reasonGiven".to_owned(), RestrictedExpression::new_bool(asked.reason_given)),
        ];
        let request = Request::new(
            user.uid(),
            uid("Action", asked.operation.action())?,
            uid(resource(asked.operation), "any")?,
            Facts::from_pairs(facts).map_err(Failure::internal)?,
            Some(&self.schema),
        )
        .map_err(Failure::internal)?;
        let entities = self.known.iter().cloned().chain([user]);
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

fn user(asked: &Asked) -> Result<Entity, Failure> {
    let id = match &asked.person {
        Some(person) => person.clone(),
        None => format!("service:{}", asked.service),
    };
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut facts = HashMap::from([
        ("service".to_owned(), text(&asked.service)),
        ("organisation".to_owned(), text(&asked.organisation)),
    ]);
    facts.extend(asked.person.as_ref().map(|person| ("person".to_owned(), text(person))));
    let roles = asked.roles.iter().map(|role| uid("Role", role.name()));
    let roles = roles.collect::<Result<HashSet<_>, _>>()?;
    Entity::new(uid("User", &id)?, facts, roles).map_err(Failure::internal)
}

fn known() -> Result<Vec<Entity>, Failure> {
    let mut known = Vec::new();
    for role in Role::ALL {
        known.push(Entity::new_no_attrs(uid("Role", role.name())?, HashSet::new()));
    }
    for purpose in Purpose::CODES.into_iter().filter_map(Purpose::parse) {
        let parent = purpose.parent().map(|parent| uid("Purpose", parent.code()));
        let parents = parent.into_iter().collect::<Result<HashSet<_>, _>>()?;
        known.push(Entity::new_no_attrs(uid("Purpose", purpose.code())?, parents));
    }
    Ok(known)
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, Failure> {
    let kind: EntityTypeName = format!("Caseledger::{kind}").parse().map_err(Failure::internal)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// What an operation is about.
fn resource(operation: Operation) -> &'static str {
    use Operation as O;
    match operation {
        O::RegisterPatient
        | O::Contribute
        | O::SettleRequest
        | O::GetPatientFile
        | O::GetPatientHistory
        | O::FindPatient
        | O::WatchPatientFile
        | O::Import => "PatientFile",
        O::ListAccesses | O::Replay | O::ReadEntries | O::Prove | O::ProveContents => "Ledger",
        O::GetNodeStatus => "Node",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asked(role: Role, operation: Operation, purpose: &str) -> Context {
        Context {
            caller: Caller {
                person: Some("jdoe".to_owned()),
                service: "console".to_owned(),
                roles: vec![role],
                organisation: "hospital".to_owned(),
                network: None,
            },
            purpose: Purpose::parse(purpose).unwrap(),
            reason: None,
            operation,
            request: Vec::new(),
            patience: Duration::ZERO,
        }
    }

    fn decided(role: Role, operation: Operation, purpose: &str) -> Decision {
        let shipped = Policies::shipped().unwrap();
        shipped.decide(&asked(role, operation, purpose)).unwrap().as_ref().clone()
    }

    #[test]
    fn the_shipped_policies_are_the_version_that_they_say() {
        let shipped = Policies::shipped().unwrap();
        assert_eq!(shipped.version(), "default/1+5a9cebf7", "another text needs another version");
    }

    #[test]
    fn who_decided_is_told() {
        let treated = decided(Role::Nurse, Operation::GetPatientFile, "CAREMGT");
        assert_eq!((treated.allowed, treated.deciding), (true, vec!["treat".to_owned()]));
        let trained = decided(Role::CaseManager, Operation::GetPatientFile, "TRAIN");
        assert!(!trained.allowed && trained.break_glass);
        assert_eq!(trained.deciding, ["no-rehearsal-on-patients"]);
        let curious = decided(Role::HospitalIt, Operation::GetPatientFile, "TREAT");
        assert!(!curious.allowed && !curious.break_glass && curious.deciding.is_empty());
    }

    #[test]
    fn a_broken_glass_needs_a_reason() {
        let shipped = Policies::shipped().unwrap();
        let mut asked = asked(Role::Nurse, Operation::GetPatientFile, "BTG");
        let silent = shipped.decide(&asked).unwrap();
        assert_eq!(
            (silent.allowed, silent.deciding.as_slice()),
            (false, &["break-glass-says-why".to_owned()][..])
        );
        asked.reason = Some("found unconscious".to_owned());
        assert!(shipped.decide(&asked).unwrap().allowed);
    }

    #[test]
    fn hospital_it_sees_no_patient_data_and_nobody_without_a_role_anything() {
        let shipped = Policies::shipped().unwrap();
        for operation in Operation::ALL {
            for purpose in Purpose::CODES {
                let mut call = asked(Role::HospitalIt, operation, purpose);
                call.reason = Some("because".to_owned());
                let may = shipped.decide(&call).unwrap().allowed;
                let blind = operation == Operation::GetNodeStatus;
                let rehearsed = ["HTEST", "SYSDEV", "TRAIN"].contains(&purpose);
                assert_eq!(may, blind && !rehearsed, "{operation:?} {purpose}");
                call.caller.roles.clear();
                assert!(!shipped.decide(&call).unwrap().allowed, "{operation:?} {purpose}");
            }
        }
    }

    #[test]
    fn only_compliance_and_audit_review_accesses_and_only_compliance_what_they_showed() {
        let may = |operation, purpose: &str| -> Vec<Role> {
            let may = |role: &Role| decided(*role, operation, purpose).allowed;
            Role::ALL.into_iter().filter(may).collect()
        };
        for operation in [Operation::ListAccesses, Operation::ReadEntries, Operation::Prove] {
            assert_eq!(may(operation, "HCOMPL"), [Role::ComplianceOfficer, Role::Auditor]);
        }
        for operation in [Operation::Replay, Operation::ProveContents] {
            assert_eq!(may(operation, "HCOMPL"), [Role::ComplianceOfficer]);
        }
    }

    #[test]
    fn policies_that_the_model_does_not_know_are_refused() {
        let wrong = [
            "permit (principal, action, resource);",
            "@id(\"a\") permit (principal, action, resource) when { context.mood == \"good\" };",
            "@id(\"a\") permit (principal in Caseledger::Rule::\"nurse\", action, resource);",
            "@id(\"a\") permit (principal, action == Caseledger::Action::\"Erase\", resource);",
            "@id(\"a\") permit (principal, action, resource)",
        ];
        for text in wrong {
            assert!(Policies::parse("wrong/1", text).is_err(), "{text}");
        }
    }
}
