//! An observation.

use crate::mirror::{Text, mirror_enum, mirror_struct};
use crate::v1::value::{Concept, Moment, Period, Quantity};

mirror_struct! {
    Observation<'a> = domain::Observation {
        category: Vec<Concept<'a>>,
        value: Option<ObservationValue<'a>>,
        data_absent_reason: Option<Concept<'a>>,
        interpretation: Vec<Concept<'a>>,
        body_site: Option<Concept<'a>>,
        method: Option<Concept<'a>>,
        reference_range: Vec<ReferenceRange<'a>>,
        component: Vec<Component<'a>>,
        issued: Option<Moment<'a>>,
    }
}

mirror_struct! {
    ReferenceRange<'a> = domain::ReferenceRange {
        low: Option<Quantity<'a>>,
        high: Option<Quantity<'a>>,
        text: Option<Text<'a>>,
    }
}

mirror_struct! {
    Component<'a> = domain::Component {
        code: Concept<'a>,
        value: Option<ObservationValue<'a>>,
        data_absent_reason: Option<Concept<'a>>,
    }
}

mirror_enum! {
    ObservationValue<'a> = domain::ObservationValue {
        Quantity(quantity: Quantity<'a>),
        CodeableConcept(concept: Concept<'a>),
        String(text: Text<'a>),
        Boolean(yes: bool),
        Integer(number: i32),
        DateTime(moment: Moment<'a>),
        Period(period: Period<'a>),
    }
}
