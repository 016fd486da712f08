use super::*;
use crate::testing::{assert_golden, key, public};

fn every_kind() -> Vec<(&'static str, Control)> {
    let signatures = vec![AdminSignature { administrator: 1, signature: [0xab; 64] }];
    let (node, signed) = (NodeId([0x55; 16]), || signatures.clone());
    let genesis = Genesis {
        ledger: LedgerId::RECORDS,
        created_at: 1_790_000_000_000_000,
        administrators: vec![[0x11; 32], [0x22; 32]],
        threshold: 2,
        rules: 1,
        name: "ledger.hospital.example".to_owned(),
    };
    let admitted = Control::NodeAdmitted {
        node,
        keys: NodeKeys { block: [0x33; 32], checkpoint: [0x44; 32], cosigner: [0x66; 32] },
        signatures: signed(),
    };
    let (key, subject) = (KeyId([0x77; 16]), SubjectId([0x33; 16]));
    vec![
        ("control-genesis", Control::Genesis(genesis)),
        ("control-node-admitted", admitted),
        ("control-node-retired", Control::NodeRetired { node, signatures: signed() }),
        ("control-rules-raised", Control::RulesRaised { rules: 2, signatures: signed() }),
        ("control-key-destroyed", Control::KeyDestroyed { key, subject, signatures: signed() }),
    ]
}

#[test]
fn golden_bytes_and_sizes() {
    let signature = 1 + 1 + 64;
    let sizes = [
        1 + 5 + 8 + 1 + 2 * 32 + 1 + 1 + 1 + 23,
        1 + 16 + 3 * 32 + signature,
        1 + 16 + signature,
        1 + 1 + signature,
        1 + 16 + 16 + signature,
    ];
    for ((name, control), size) in every_kind().iter().zip(sizes) {
        let bytes = control.encode();
        assert_eq!(bytes.len(), size, "{name}");
        assert_golden(name, &bytes);
        assert_eq!(Control::decode(&bytes).as_ref(), Ok(control), "{name}");
    }
}

#[test]
fn only_the_canonical_bytes_are_read() {
    for (name, control) in every_kind() {
        let bytes = control.encode();
        assert_eq!(Control::decode(&bytes[..bytes.len() - 1]), Err(ControlError), "{name}");
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Control::decode(&longer), Err(ControlError), "{name}");
        // The variant's number in two bytes.
        let needless = [&[bytes[0] | 0x80, 0], &bytes[1..]].concat();
        assert_eq!(Control::decode(&needless), Err(ControlError), "{name}");
    }
    assert_eq!(Control::decode(&[5]), Err(ControlError));
    assert_eq!(Control::decode(&[0; MAX_CONTROL + 1]), Err(ControlError));
}

#[test]
fn signatures_count_once_an_administrator_and_must_all_hold() {
    let administrators = [public(1), public(2), public(3)];
    let genesis = Hash([9; 32]);
    let retired = Control::NodeRetired { node: NodeId([5; 16]), signatures: Vec::new() };
    let signed = |by: &[(u8, u8)]| {
        let mut control = retired.clone();
        for (administrator, seed) in by {
            control.sign(&genesis, *administrator, &key(*seed));
        }
        control
    };
    let holds = |control: &Control| control.is_signed_by(&genesis, &administrators, 2);

    assert!(holds(&signed(&[(0, 1), (2, 3)])));
    assert!(holds(&signed(&[(2, 3), (1, 2), (0, 1)])));
    assert!(!holds(&signed(&[])));
    assert!(!holds(&signed(&[(0, 1)])), "one of two");
    assert!(!holds(&signed(&[(0, 1), (0, 1)])), "the same one twice");
    assert!(!holds(&signed(&[(0, 1), (1, 3)])), "another's key");
    assert!(!holds(&signed(&[(0, 1), (1, 2), (3, 4)])), "nobody's place");
    assert!(!signed(&[(0, 1), (1, 2)]).is_signed_by(&Hash([8; 32]), &administrators, 2));
    assert!(!retired.is_signed_by(&genesis, &administrators, 0), "a threshold of none");

    let Control::NodeRetired { signatures, .. } = signed(&[(0, 1), (1, 2)]) else { panic!() };
    let other = Control::NodeRetired { node: NodeId([6; 16]), signatures };
    assert!(!holds(&other), "signed for another node");
}

#[test]
fn names_fit_a_line_of_a_checkpoint() {
    assert!(is_valid_name("ledger.hospital.example/west"));
    let long = "a".repeat(MAX_NAME + 1);
    for bad in ["", "two words", "a+b", "line\nbreak", "nul\0", long.as_str()] {
        assert!(!is_valid_name(bad), "{bad:?}");
    }
    assert!(is_valid_name(&"a".repeat(MAX_NAME)));
}
