//! Privacy incidents.

use crate::mirror::{Text, mirror_struct};

mirror_struct! {
    RiskFactor<'a> = domain::RiskFactor {
        level: Text<'a>,
        text: Text<'a>,
    }
}

mirror_struct! {
    RiskAssessment<'a> = domain::RiskAssessment {
        nature: RiskFactor<'a>,
        recipient: RiskFactor<'a>,
        acquired: RiskFactor<'a>,
        mitigated: RiskFactor<'a>,
        conclusion: Text<'a>,
    }
}

mirror_struct! {
    Notice<'a> = domain::Notice {
        recipient: Text<'a>,
        notice_time: u64,
        how: Text<'a>,
    }
}

mirror_struct! {
    PrivacyIncident<'a> = domain::PrivacyIncident {
        title: Text<'a>,
        description: Text<'a>,
        discover_time: u64,
        access_positions: Vec<u64>,
        assessment: Option<RiskAssessment<'a>>,
        notices: Vec<Notice<'a>>,
        closure: Option<Text<'a>>,
    }
}
