//! What is asked of access policies, and how that is said in Cedar.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    Context as Said, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request,
    RestrictedExpression, Schema,
};

use domain::EntryId;
use schema::AccessRecord;

use crate::Failure;
use crate::context::{Caller, Context, Operation, Purpose, Role};
use crate::facts::Facts;
use crate::local_time::LocalTime;
use crate::masking::Class;

use super::spoken::Spoken;

/// What a policy decides on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) asker: Arc<Asker>,
    pub(super) what: What,
}

/// Who asks, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    person: Option<String>,
    service: String,
    organisation: String,
    roles: Vec<Role>,
    purpose: &'static str,
    reason_given: bool,
    /// Those that the policies speak of.
    facts: Facts,
}

/// What for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// To make a call.
    Call(Operation),
    /// To see entries of a class.
    Entry(Class),
}

impl Asker {
    pub(super) fn of(ctx: &Context, facts: &Facts, spoken: Spoken) -> Self {
        let Caller { person, service, organisation, roles, .. } = &ctx.caller;
        Self {
            person: person.clone(),
            service: service.clone(),
            organisation: organisation.clone(),
            roles: roles.clone(),
            purpose: ctx.purpose.code(),
            reason_given: ctx.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty()),
            facts: spoken.among(facts),
        }
    }

    /// Who made a call that is on the trail with these facts, as far as this version knows what its record
    /// says.
    pub(super) fn recorded(record: &AccessRecord, facts: &Facts, spoken: Spoken) -> Option<Self> {
        let roles = record.roles.iter().map(|role| role.parse().ok());
        let reason = record.reason.as_deref();
        Some(Self {
            person: record.person.clone(),
            service: record.service.clone(),
            organisation: record.organisation.clone(),
            roles: roles.collect::<Option<_>>()?,
            purpose: Purpose::parse(&record.purpose)?.code(),
            reason_given: reason.is_some_and(|reason| !reason.trim().is_empty()),
            facts: spoken.among(facts),
        })
    }

    /// The entry that an emergency access opens alone to them, if one does.
    pub(super) const fn alone(&self) -> Option<EntryId> {
        self.facts.alone
    }
}

impl Asked {
    /// The same, asked as an emergency.
    pub(super) fn in_emergency(&self) -> Self {
        let purpose = Purpose::BREAK_GLASS.code();
        let asker = Asker { purpose, reason_given: true, ..self.asker.as_ref().clone() };
        Self { asker: Arc::new(asker), what: self.what.clone() }
    }

    /// Cedar's request, and the entities that it speaks of beside [`known`].
    pub(super) fn request(
        &self,
        schema: &Schema,
        spoken: Spoken,
    ) -> Result<(Request, Vec<Entity>), Failure> {
        let user = user(&self.asker)?;
        let mut about = vec![user.clone()];
        let (action, resource) = match &self.what {
            What::Call(operation) => (operation.action(), uid(resource(*operation), "any")?),
            What::Entry(class) => {
                let entry = entry(class)?;
                let uid = entry.uid();
                about.push(entry);
                ("SeeEntry", uid)
            }
        };
        let said = said(&self.asker, spoken)?;
        let request = Request::new(
            user.uid(),
            uid("Action", action)?,
            resource,
            Said::from_pairs(said).map_err(Failure::internal)?,
            Some(schema),
        );
        Ok((request.map_err(Failure::internal)?, about))
    }
}

/// What policies are told beside who asks for what.
fn said(asker: &Asker, spoken: Spoken) -> Result<Vec<(String, RestrictedExpression)>, Failure> {
    let yes = RestrictedExpression::new_bool;
    let Facts { relationship, own_file, vip, restricted, units, time, .. } = &asker.facts;
    let time = match time {
        Some(time) => *time,
        None if spoken.time => return Err(Failure::internal("the time of day is not told")),
        // No policy asks, so whatever is said decides nothing.
        None => LocalTime::default(),
    };
    let purpose = RestrictedExpression::new_entity_uid(uid("Purpose", asker.purpose)?);
    let mut said = vec![
        ("purpose".to_owned(), purpose),
        ("reasonGiven".to_owned(), yes(asker.reason_given)),
        ("ownFile".to_owned(), yes(*own_file)),
        ("vip".to_owned(), yes(*vip)),
        ("restricted".to_owned(), yes(*restricted)),
        ("units".to_owned(), texts(units)),
        ("timeOfDay".to_owned(), RestrictedExpression::new_duration(format!("{}m", time.minute()))),
        (
            "dayOfWeek".to_owned(),
            RestrictedExpression::new_entity_uid(uid("DayOfWeek", time.day())?),
        ),
    ];
    said.extend(relationship.as_ref().map(|relationship| {
        let relationship = RestrictedExpression::new_string(relationship.clone());
        ("relationship".to_owned(), relationship)
    }));
    Ok(said)
}

fn texts(texts: &BTreeSet<String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
}

fn user(asker: &Asker) -> Result<Entity, Failure> {
    let id = match &asker.person {
        Some(person) => person.clone(),
        None => format!("service:{}", asker.service),
    };
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut facts = HashMap::from([
        ("service".to_owned(), text(&asker.service)),
        ("organisation".to_owned(), text(&asker.organisation)),
        ("units".to_owned(), texts(&asker.facts.staff_units)),
    ]);
    facts.extend(asker.person.as_ref().map(|person| ("person".to_owned(), text(person))));
    let employed = asker.facts.employed.map(RestrictedExpression::new_bool);
    facts.extend(employed.map(|employed| ("employed".to_owned(), employed)));
    let roles = asker.roles.iter().map(|role| uid("Role", role.name()));
    let roles = roles.collect::<Result<HashSet<_>, _>>()?;
    Entity::new(uid("User", &id)?, facts, roles).map_err(Failure::internal)
}

fn entry(class: &Class) -> Result<Entity, Failure> {
    let kind = RestrictedExpression::new_string(class.kind.name().to_owned());
    let labels = class.labels.iter().map(|code| uid("Label", code));
    let labels = labels.collect::<Result<HashSet<_>, _>>()?;
    let facts = HashMap::from([("kind".to_owned(), kind)]);
    Entity::new(uid("Entry", "any")?, facts, labels).map_err(Failure::internal)
}

/// Roles and purposes of use, which every request refers to.
pub(super) fn known(schema: &Schema) -> Result<Entities, Failure> {
    let mut known = Vec::new();
    for role in Role::ALL {
        known.push(Entity::new_no_attrs(uid("Role", role.name())?, HashSet::new()));
    }
    for purpose in Purpose::CODES.into_iter().filter_map(Purpose::parse) {
        let parent = purpose.parent().map(|parent| uid("Purpose", parent.code()));
        let parents = parent.into_iter().collect::<Result<HashSet<_>, _>>()?;
        known.push(Entity::new_no_attrs(uid("Purpose", purpose.code())?, parents));
    }
    Entities::from_entities(known, Some(schema)).map_err(Failure::internal)
}

/// Kinds of entities by their names in the model: reading a name takes longer than the rest of a request.
static KINDS: LazyLock<Result<BTreeMap<&str, EntityTypeName>, Box<ParseErrors>>> =
    LazyLock::new(|| {
        let kinds = [
            "User",
            "Role",
            "Purpose",
            "Label",
            "DayOfWeek",
            "Entry",
            "PatientFile",
            "Ledger",
            "AccessPolicies",
            "Node",
            "StaffDirectory",
            "Action",
        ];
        let named = |kind| Ok((kind, format!("Caseledger::{kind}").parse().map_err(Box::new)?));
        kinds.into_iter().map(named).collect()
    });

fn uid(kind: &str, id: &str) -> Result<EntityUid, Failure> {
    let kinds = KINDS.as_ref().map_err(Failure::internal)?;
    let kind = kinds.get(kind).ok_or_else(|| Failure::internal(format!("no kind {kind}")))?;
    Ok(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
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
        | O::Import
        | O::BreakGlass
        | O::EndEmergencyAccess => "PatientFile",
        O::ListAccesses
        | O::Replay
        | O::ReadEntries
        | O::Prove
        | O::ProveContents
        | O::ListEmergencyAccesses
        | O::CloseReview
        | O::OpenIncident
        | O::AmendIncident
        | O::GetIncident
        | O::ListIncidents => "Ledger",
        O::ProposePolicy
        | O::AdoptPolicy
        | O::WithdrawPolicy
        | O::GetPolicy
        | O::ListPolicies
        | O::TryPolicy => "AccessPolicies",
        O::GetNodeStatus => "Node",
        O::PutPractitionerRole
        | O::GetPractitionerRole
        | O::ListPractitionerRoles
        | O::LinkOwnFile
        | O::GetOwnFile => "StaffDirectory",
    }
}
