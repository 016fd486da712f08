//! Of what is filed about no patient: policies, the staff directory, incidents, emergency accesses, as
//! somebody saw them.
//!
//! Their registers are made anew as they were at the position that the answer reflected, at its time.

use domain::{DocumentId, DocumentKind, DocumentState, PatientId, PractitionerRole};

use crate::access::Pass;
use crate::adoption::{PolicyAnswer, PolicyPage, WhichPolicy, policy_answer, policy_page};
use crate::answers::AccessItem;
use crate::emergencies::EmergencyId;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::incidents::{IncidentPage, IncidentsPage, incidents_page};
use crate::replay::{not_replayed, said};
use crate::reviews::{EmergencyFilter, EmergencyPage, emergency_page};
use crate::staff::{StaffPage, staff_page};

/// What was asked for of a register.
#[derive(Clone, Debug)]
pub enum DocumentQuery {
    /// What is known of the person with this id.
    Person(String),
    /// A page of the staff directory.
    People {
        /// After which person's id.
        after: Option<String>,
        /// How many at most.
        limit: usize,
    },
    /// A set of access policies.
    Policy(WhichPolicy),
    /// A page of the list of sets.
    Policies {
        /// Before which version of the register.
        before: Option<u64>,
        /// How many at most.
        limit: usize,
    },
    /// An incident, and a page of the patients whom it affects.
    Incident {
        /// Which.
        id: DocumentId,
        /// After which patient.
        after: Option<PatientId>,
        /// How many patients at most.
        limit: usize,
    },
    /// A page of incidents.
    Incidents {
        /// Whether those that are closed were left out.
        open_only: bool,
        /// After which incident.
        after: Option<DocumentId>,
        /// How many at most.
        limit: usize,
    },
    /// A page of emergency accesses with their reviews.
    Emergencies {
        /// Which.
        filter: EmergencyFilter,
        /// After which.
        after: Option<EmergencyId>,
        /// How many at most.
        limit: usize,
    },
}

/// What of a register was shown.
#[derive(Clone, Debug)]
pub enum DocumentAnswer {
    /// What was known of a person, and how their entry stood.
    Person(PractitionerRole, DocumentState),
    /// A page of the staff directory.
    People(StaffPage),
    /// A set of access policies.
    Policy(PolicyAnswer),
    /// A page of the list of sets.
    Policies(PolicyPage),
    /// An incident.
    Incident(IncidentPage),
    /// A page of incidents.
    Incidents(IncidentsPage),
    /// A page of emergency accesses.
    Emergencies(EmergencyPage),
}

impl DocumentAnswer {
    /// Whether what was on record a moment before it may have been missing.
    pub(super) const fn may_lack_the_newest(&self) -> bool {
        matches!(self, Self::Emergencies(_))
    }

    /// The patients whom it names.
    pub(super) fn affected(&self) -> Vec<PatientId> {
        match self {
            Self::Incident(page) => page.affected.clone(),
            Self::Emergencies(page) => page.patients(),
            Self::Person(..)
            | Self::People(_)
            | Self::Policy(_)
            | Self::Policies(_)
            | Self::Incidents(_) => Vec::new(),
        }
    }
}

impl Engine {
    /// What the query of this access was answered; none if there is none of what it asks for. So many of
    /// the newest records of the node's own it had not heard of.
    pub(super) fn documents_shown(
        &self,
        pass: &Pass,
        asked: &DocumentQuery,
        access: &AccessItem,
        unheard: usize,
    ) -> Result<Option<Box<DocumentAnswer>>, Failure> {
        let record = said(access)?;
        // The first forms of an access record did not say.
        let at = match record.answered_at {
            0 => access.header.recorded_at,
            at => at,
        };
        let then = |kind| self.documents_then(pass, kind, record.position);
        let answer = match asked {
            DocumentQuery::Person(person) => {
                let people = then(DocumentKind::PractitionerRole)?;
                let found = self.person(&people, person)?;
                found.map(|(role, state)| DocumentAnswer::Person(role.clone(), state.clone()))
            }
            DocumentQuery::People { after, limit } => {
                let people = then(DocumentKind::PractitionerRole)?;
                Some(DocumentAnswer::People(staff_page(&people, after.as_deref(), *limit)))
            }
            DocumentQuery::Policy(which) => {
                policy_answer(&then(DocumentKind::AccessPolicy)?, *which)
                    .map(DocumentAnswer::Policy)
            }
            DocumentQuery::Policies { before, limit } => {
                let policies = then(DocumentKind::AccessPolicy)?;
                Some(DocumentAnswer::Policies(policy_page(&policies, *before, *limit)))
            }
            DocumentQuery::Incident { id, after, limit } => {
                let incidents = then(DocumentKind::PrivacyIncident)?;
                self.incident_page(&incidents, at, *id, *after, *limit)?
                    .map(DocumentAnswer::Incident)
            }
            DocumentQuery::Incidents { open_only, after, limit } => {
                let incidents = then(DocumentKind::PrivacyIncident)?;
                let page = incidents_page(&incidents, at, *open_only, *after, *limit);
                Some(DocumentAnswer::Incidents(page))
            }
            DocumentQuery::Emergencies { .. } if record.trail == 0 => return Err(not_replayed()),
            DocumentQuery::Emergencies { filter, after, limit } => {
                let register = self.emergencies_then(access, unheard)?;
                let reviews = then(DocumentKind::BreakGlassReview)?;
                let page = emergency_page(&register, &reviews, at, filter, *after, *limit);
                Some(DocumentAnswer::Emergencies(page))
            }
        };
        Ok(answer.map(Box::new))
    }
}
