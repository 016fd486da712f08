//! Privacy incidents: accesses that should not have been, and what is made of them (45 CFR
//! 164.400-414).

use super::{Rules, Standing};
use crate::finding::code;
use crate::limits::{MAX_INCIDENT_ACCESSES, MAX_ITEMS, MAX_LONG_TEXT, MAX_REASON, MAX_SHORT_TEXT};
use crate::rejection::Rejection;
use crate::report::{Path, Report};

/// How much a factor of the assessment weighs.
const LEVELS: &[&str] = &["low", "medium", "high"];
/// What an assessment comes to.
const CONCLUSIONS: &[&str] = &[RiskAssessment::BREACH, RiskAssessment::LOW_PROBABILITY];
/// Whom a notice is to: 45 CFR 164.404, 164.406, 164.408.
const RECIPIENTS: &[&str] = &[Notice::INDIVIDUAL, Notice::MEDIA, Notice::SECRETARY];

/// A day, µs: a notice may be dated by its day alone, and the hospital's begins up to so much earlier or
/// later than that of UTC.
const DAY: u64 = 24 * 3_600 * 1_000_000;
/// The latest that individuals are told of a breach: 60 days after its discovery (45 CFR
/// 164.404(b)), in µs.
pub const NOTICE_WITHIN: u64 = 60 * 24 * 60 * 60 * 1_000_000;

/// A privacy incident as it stands. Whom it affects is derived from the accesses.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PrivacyIncident {
    /// In a line.
    pub title: String,
    /// What happened.
    pub description: String,
    /// When the hospital discovered it, µs since 1970 UTC.
    pub discover_time: u64,
    /// The accesses that it is about: positions in the ledger of accesses, ascending; at most
    /// [`MAX_INCIDENT_ACCESSES`].
    pub access_positions: Vec<u64>,
    /// The assessment, once there is one.
    pub assessment: Option<RiskAssessment>,
    /// Whom the hospital told.
    pub notices: Vec<Notice>,
    /// Why it is closed; none while it is open. Closed is what was assessed, a breach once the
    /// individuals were told.
    pub closure: Option<String>,
}

/// The assessment of 45 CFR 164.402(2), factor by factor.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RiskAssessment {
    /// Nature and extent of the information.
    pub nature: RiskFactor,
    /// The unauthorised person who used it or got it.
    pub recipient: RiskFactor,
    /// Whether it was actually acquired or viewed.
    pub acquired: RiskFactor,
    /// The extent to which the risk has been mitigated.
    pub mitigated: RiskFactor,
    /// [`RiskAssessment::BREACH`] or [`RiskAssessment::LOW_PROBABILITY`].
    pub conclusion: String,
}

impl RiskAssessment {
    /// Those affected are to be told.
    pub const BREACH: &str = "breach";
    /// A low probability that the information was compromised.
    pub const LOW_PROBABILITY: &str = "low-probability";
}

/// One factor.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RiskFactor {
    /// How much it speaks for a compromise: `low`, `medium` or `high`.
    pub level: String,
    /// Why.
    pub text: String,
}

/// A notice that was given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Notice {
    /// [`Notice::INDIVIDUAL`], [`Notice::MEDIA`] or [`Notice::SECRETARY`].
    pub recipient: String,
    /// When, µs since 1970 UTC.
    pub notice_time: u64,
    /// How.
    pub how: String,
}

impl Notice {
    /// To those affected.
    pub const INDIVIDUAL: &str = "individual";
    /// To prominent media.
    pub const MEDIA: &str = "media";
    /// To the Secretary of Health and Human Services.
    pub const SECRETARY: &str = "secretary";
}

impl PrivacyIncident {
    /// When individuals are to be told at the latest, µs since 1970 UTC.
    #[must_use]
    pub fn notice_due(&self) -> u64 {
        self.discover_time.saturating_add(NOTICE_WITHIN)
    }

    /// Whether that is over by `now`, µs since 1970 UTC, though nobody was told, and it is neither
    /// closed nor a compromise concluded to be improbable.
    #[must_use]
    pub fn notice_overdue(&self, now: u64) -> bool {
        let improbable = self.concludes(RiskAssessment::LOW_PROBABILITY);
        now > self.notice_due() && self.closure.is_none() && !improbable && !self.individuals_told()
    }

    /// No day of the discovery begins before, wherever the hospital is.
    const fn earliest_notice(&self) -> u64 {
        (self.discover_time - self.discover_time % DAY).saturating_sub(DAY)
    }

    fn concludes(&self, conclusion: &str) -> bool {
        self.assessment.as_ref().is_some_and(|assessed| assessed.conclusion == conclusion)
    }

    fn individuals_told(&self) -> bool {
        self.notices.iter().any(|notice| notice.recipient == Notice::INDIVIDUAL)
    }

    /// What an incident must have before it is closed.
    fn check_closure(&self, report: &mut Report) {
        if self.closure.is_none() {
            return;
        }
        if self.assessment.is_none() {
            report.required(&Path::Root("assessment"), "assess the incident before it is closed");
        }
        if self.concludes(RiskAssessment::BREACH) && !self.individuals_told() {
            let text = "a breach is closed after the individuals were told: add the notice to them";
            report.required(&Path::Root("notices"), text);
        }
    }
}

impl Rules for PrivacyIncident {
    fn check(&self, report: &mut Report) {
        report.line(&Path::Root("title"), &self.title, MAX_SHORT_TEXT);
        report.lines(&Path::Root("description"), &self.description, MAX_LONG_TEXT);
        if self.discover_time == 0 {
            report.required(&Path::Root("discover_time"), "say when it was discovered");
        }
        let accesses = Path::Root("access_positions");
        if !self.access_positions.is_sorted_by(|one, next| one < next) {
            let text = "name each access once, in ascending order";
            report.violation(&accesses, code::VALUE_NOT_ALLOWED, text);
        }
        report.each(&accesses, &self.access_positions, MAX_INCIDENT_ACCESSES, |report, _, _| {
            report.count(size_of::<u64>());
        });
        if let Some(assessment) = &self.assessment {
            assessment.check(report);
        }
        report.each(&Path::Root("notices"), &self.notices, MAX_ITEMS, |report, at, notice| {
            report.one_of(&at.field("recipient"), Some(&notice.recipient), RECIPIENTS);
            report.lines(&at.field("how"), &notice.how, MAX_SHORT_TEXT);
            if notice.notice_time == 0 {
                report.required(&at.field("notice_time"), "say when it was given");
            } else if notice.notice_time < self.earliest_notice() {
                let text = "must not be before the day on which the incident was discovered";
                report.violation(&at.field("notice_time"), code::VALUE_NOT_ALLOWED, text);
            }
        });
        report.optional_lines(&Path::Root("closure"), self.closure.as_deref(), MAX_REASON);
        self.check_closure(report);
    }

    fn follows(&self, before: Option<&Standing<'_, Self>>, _: &str) -> Result<(), Rejection> {
        let closed = before.is_some_and(|before| before.document.closure.is_some());
        if closed && self.closure.is_some() {
            let why = "the incident is closed: reopen it before it is changed, by filing it without \
                       its closure";
            return Err(Rejection::DocumentStepNotAllowed(why));
        }
        Ok(())
    }
}

impl RiskAssessment {
    fn check(&self, report: &mut Report) {
        let at = Path::Root("assessment");
        let factors = [
            ("nature", &self.nature),
            ("recipient", &self.recipient),
            ("acquired", &self.acquired),
            ("mitigated", &self.mitigated),
        ];
        for (name, factor) in factors {
            let at = at.field(name);
            report.one_of(&at.field("level"), Some(&factor.level), LEVELS);
            report.lines(&at.field("text"), &factor.text, MAX_REASON);
        }
        report.one_of(&at.field("conclusion"), Some(&self.conclusion), CONCLUSIONS);
    }
}
