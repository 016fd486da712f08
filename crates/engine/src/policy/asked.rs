//! What is asked of access policies, and how that is said in Cedar.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context as Said, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
    Schema,
};

use crate::Failure;
use crate::context::{Caller, Context, Operation, Purpose, Role};
use crate::facts::Facts;

/// What a policy decides on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    person: Option<String>,
    service: String,
    organisation: String,
    roles: Vec<Role>,
    operation: Operation,
    purpose: &'static str,
    reason_given: bool,
    facts: Facts,
}

impl Asked {
    pub(super) fn of(ctx: &Context, facts: &Facts) -> Self {
        let Caller { person, service, organisation, roles, .. } = &ctx.caller;
        Self {
            person: person.clone(),
            service: service.clone(),
            organisation: organisation.clone(),
            roles: roles.clone(),
            operation: ctx.operation,
            purpose: ctx.purpose.code(),
            reason_given: ctx.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty()),
            facts: facts.clone(),
        }
    }

    /// The same, asked as an emergency.
    pub(super) fn in_emergency(&self) -> Self {
        Self { purpose: Purpose::BREAK_GLASS.code(), reason_given: true, ..self.clone() }
    }

    /// Cedar's request, and the entities that it speaks of beside [`known`].
    pub(super) fn request(&self, schema: &Schema) -> Result<(Request, Vec<Entity>), Failure> {
        let user = user(self)?;
        let purpose = RestrictedExpression::new_entity_uid(uid("Purpose", self.purpose)?);
        let said = [
            ("purpose".to_owned(), purpose),
            ("reasonGiven".to_owned(), RestrictedExpression::new_bool(self.reason_given)),
        ];
        let request = Request::new(
            user.uid(),
            uid("Action", self.operation.action())?,
            uid(resource(self.operation), "any")?,
            Said::from_pairs(said).map_err(Failure::internal)?,
            Some(schema),
        );
        Ok((request.map_err(Failure::internal)?, vec![user]))
    }
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

/// Roles and purposes of use, which every request refers to.
pub(super) fn known() -> Result<Vec<Entity>, Failure> {
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
