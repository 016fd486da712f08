use super::*;
use crate::finding_code as code;

#[test]
fn snomed_ids_by_form_partition_and_verhoeff() {
    // Clinical finding, hypertension, obesity, no known allergy.
    for id in ["404684003", "38341003", "162864005", "716186003"] {
        assert!(is_snomed(id), "{id}");
    }
    assert!(is_snomed("731000124108"), "an extension concept, with its namespace");
    // The eight of a simulated hospital that fail Verhoeff.
    for id in [
        "115556009",
        "735038006",
        "260219005",
        "309362007",
        "229886001",
        "385760008",
        "425574000",
        "244042001",
    ] {
        assert!(!is_snomed(id), "{id}");
    }
    for id in ["", "0", "12345", "04684003", "404684013", "4046840o3", "４04684003", "-38341003"] {
        assert!(!is_snomed(id), "{id}");
    }
    assert!(!is_snomed(&"1".repeat(19)));
}

#[test]
fn every_single_wrong_digit_and_neighbour_swap_of_a_snomed_id_is_seen() {
    let id = b"404684003";
    for place in 0..id.len() {
        for digit in b'0'..=b'9' {
            let mut wrong = *id;
            wrong[place] = digit;
            assert_eq!(is_snomed(std::str::from_utf8(&wrong).unwrap()), wrong == *id);
        }
        if place > 0 {
            let mut wrong = *id;
            wrong.swap(place, place - 1);
            assert_eq!(is_snomed(std::str::from_utf8(&wrong).unwrap()), wrong == *id);
        }
    }
}

#[test]
fn loinc_codes_by_mod_10_with_the_published_exceptions() {
    for code in ["8480-6", "8462-4", "2339-0", "34552-0", "11331-6", "85354-9", "72514-3"] {
        assert!(is_loinc(code), "{code}");
    }
    for code in ["11491-6", "6649-9", "5895-7"] {
        assert!(is_loinc(code), "{code} was published");
    }
    for code in ["LA6751-7", "LA6752-5", "LA28397-0"] {
        assert!(is_loinc(code), "{code}");
    }
    for code in [
        "",
        "-",
        "8480-7",
        "8480-",
        "-6",
        "84806",
        "12345678-9",
        "8480-66",
        "LA6751-8",
        "LX6751-7",
        "ABG_or_VBG",
        "Troponin_I_serial_6h",
        "８480-6",
    ] {
        assert!(!is_loinc(code), "{code}");
    }
}

#[test]
fn icd_10_cm_codes_by_form() {
    for code in ["I10", "E66.3", "C7A.010", "Z3A.12", "S72.001A", "M1A.9XX0"] {
        assert!(is_icd10cm(code), "{code}");
    }
    for code in ["", "I1", "i10", "I10.", "E66.34567", "E663", "110", "E66.3x", "ÄA1"] {
        assert!(!is_icd10cm(code), "{code}");
    }
}

#[test]
fn npis_by_luhn_with_the_prefix() {
    // The example of CMS, and one of its registry's published examples.
    for number in ["1234567893", "1245319599"] {
        assert!(is_npi(number), "{number}");
    }
    for number in ["", "1", "1234567890", "9999999999", "3234567899", "12345678931", "123456789a"] {
        assert!(!is_npi(number), "{number}");
    }
}

#[test]
fn units_by_the_grammar_of_ucum() {
    for unit in [
        "mg",
        "mg/dL",
        "ng/dl",
        "10*3/uL",
        "10^6/uL",
        "mm[Hg]",
        "[iU]",
        "[IU]/L",
        "kU/L",
        "U/kg/h",
        "{score}",
        "{T-score}",
        "mL/min/{1.73_m2}",
        "kg/m2",
        "%",
        "Cel",
        "[degF]",
        "meq/h",
        "/min",
        "/[HPF]",
        "1",
        "mg{total}",
        "m.s-2",
        "(mg/kg)/d",
        "[in_i]",
        "cm[H2O]",
        "[pH]",
        "'",
        "mo",
        "KiBy",
        "10*-3",
        "mg/(24.h)",
        "umol/L",
        "[lb_av]",
        "u",
        "deg",
    ] {
        assert!(is_ucum(unit), "{unit}");
    }
    for unit in [
        "",
        "IU/L",
        "M/uL",
        "(score)",
        "units",
        "mcg",
        "mmHg",
        "sec",
        "mg/",
        "mg//dL",
        "(mg",
        "mg)",
        "mg {x}",
        "{a",
        "{a{b}}",
        "[iU",
        "m+",
        "mg/dL ",
        "µg",
        "kmg",
        "k%",
        "//min",
        "10*+",
        "((((((((((m))))))))))",
    ] {
        assert!(!is_ucum(unit), "{unit}");
    }
    assert!(!is_ucum(&"(".repeat(100_000)), "nesting is bounded");
}

#[test]
fn units_that_are_valid_but_mean_something_else() {
    for unit in ["K/uL", "pH", "G/L", "ML"] {
        assert!(is_ucum(unit), "{unit}");
        assert!(ucum_look_alike(unit).is_some(), "{unit}");
    }
    assert_eq!(ucum_look_alike("mg/dL"), None);
}

#[test]
fn ucum_tables_are_in_order_and_disjoint() {
    for table in [ucum_atoms::METRIC, ucum_atoms::OTHER] {
        assert!(table.is_sorted());
    }
    assert!(ucum_atoms::METRIC.iter().all(|atom| !ucum_atoms::OTHER.contains(atom)));
}

#[test]
fn faults_of_real_data_are_named() {
    let fault = |system, value| coding(system, value).map(|fault| fault.code);
    // 222 times in a generated population: an echocardiogram's LOINC code under SNOMED CT.
    assert_eq!(fault(system::SNOMED, "34552-0"), Some(code::LOINC_UNDER_SNOMED));
    assert_eq!(fault(system::SNOMED, "115556009"), Some(code::SNOMED_CODE));
    assert_eq!(fault(system::LOINC, "ABG_or_VBG"), Some(code::LOINC_CODE));
    assert_eq!(fault(system::UCUM, "IU/L"), Some(code::UCUM_UNIT));
    assert_eq!(fault(system::UCUM, "K/uL"), Some(code::UCUM_LOOK_ALIKE));
    assert_eq!(fault(system::UCUM, "(score)"), Some(code::UCUM_UNIT));
    assert_eq!(fault(system::NPI, "9999"), Some(code::NPI));
    assert_eq!(fault(system::ICD10CM, "e66"), Some(code::ICD10CM_CODE));
    assert_eq!(fault("http://example.org/codes", "anything"), None);
}

#[test]
fn npis_are_checked_in_references_too() {
    let fault = |text| reference(text).map(|fault| fault.code);
    let search = "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999";
    assert_eq!(fault(search), Some(code::NPI));
    assert_eq!(fault("http://hl7.org/fhir/sid/us-npi|1234567893"), None);
    assert_eq!(fault("Practitioner/123"), None);
    assert_eq!(fault("|"), None);
}

#[test]
fn languages_by_their_form() {
    for tag in ["es", "zh-Hant", "de-CH-1996", "x-klingon", "sgn-US"] {
        assert!(is_language_tag(tag), "{tag}");
    }
    for tag in ["", "e", "Spanish language", "en_US", "en-", "123"] {
        assert!(!is_language_tag(tag), "{tag}");
    }
}

#[test]
fn the_joint_commissions_list() {
    let first = |text| banned_abbreviations(text).first().and_then(|advice| advice.get(..2));
    for (text, begins) in [
        ("10U at bedtime", "U "),
        ("10 u sc", "U "),
        ("5000 IU", "IU"),
        ("1 tablet q.d.", "QD"),
        ("1 tablet QOD", "QO"),
        ("1.0 mg", "a "),
        ("1.0mg", "a "),
        (".5 mg", "a "),
        ("MS 2 mg iv", "MS"),
        ("MgSO4 1 g", "MS"),
    ] {
        assert_eq!(first(text), Some(begins), "{text}");
    }
    for text in [
        "",
        "1g IV DAILY",
        "10 units at bedtime",
        "0.5 mg",
        "10.5 mg",
        "take 2.",
        "1 tablet 4x/day",
        "10 mS",
        "quod erat",
        "up to 100 mg",
        "...",
    ] {
        assert_eq!(banned_abbreviations(text), Vec::<&str>::new(), "{text}");
    }
    assert_eq!(banned_abbreviations("10U, then 10U, 5.0 mg").len(), 2, "each once");
}
