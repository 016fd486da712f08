use super::*;
use crate::block::Item;
use crate::testing::{NODE, START, World, admission, edit, is_accepted, subject};

const OTHER: NodeId = NodeId([2; 16]);

/// An entry, and the body of a control record.
type Entry = (Vec<u8>, Option<Vec<u8>>);

/// A ledger of some chains and contributions, with a node that comes, files and goes, and the root.
fn entries() -> (Hash, Vec<Entry>, Hash) {
    let mut world = World::records();
    let file = |world: &mut World, node, number, chains: &[u8]| {
        let subjects: Vec<SubjectId> = chains.iter().map(|chain| subject(*chain)).collect();
        let draft = world.draft_by(node, number, &subjects);
        let message = world.seal_by(node, vec![Item::Contribution(draft)]);
        world.apply(&message);
    };
    for (number, chains) in (1..).zip([[1, 2].as_slice(), &[2], &[1, 3, 2]]) {
        file(&mut world, NODE, number, chains);
    }
    let admitted = world.control(10, admission(OTHER));
    world.file(admitted);
    file(&mut world, OTHER, 11, &[1]);
    let retired = Control::NodeRetired { node: OTHER, signatures: Vec::new() };
    let retired = world.control(12, retired);
    world.file(retired);
    file(&mut world, NODE, 13, &[3]);
    (world.state.genesis, of(&world), world.state.tree.root())
}

/// The records of a world that accepted all it was given.
fn of(world: &World) -> Vec<Entry> {
    let mut entries = Vec::new();
    for message in &world.messages {
        let content = crate::Frame::parse(message).unwrap().content().unwrap();
        for item in content.items {
            let Item::Contribution(contribution) = item else { panic!("a contribution") };
            for record in contribution.records {
                let header = Header::decode(record.header).unwrap();
                let clear = (header.leaf == LeafType::Control).then(|| record.body.to_vec());
                entries.push((record.header.to_vec(), clear));
            }
        }
    }
    assert_eq!(entries.len() as u64, world.state.size());
    entries
}

fn audited(genesis: Hash, entries: &[Entry]) -> Result<Audit, (usize, EntryFault)> {
    let (mut audit, mut full) = (Audit::new(genesis), Vec::new());
    for (at, (entry, body)) in entries.iter().enumerate() {
        audit.add(entry, &mut full).map_err(|fault| (at, fault))?;
        assert_eq!(audit.awaits().is_some(), body.is_some());
        if let Some(body) = body {
            audit.control(body).map_err(|fault| (at, fault))?;
        }
    }
    Ok(audit)
}

#[test]
fn a_log_as_it_was_written_has_the_root_that_apply_has() {
    let (genesis, entries, root) = entries();
    let audit = audited(genesis, &entries).unwrap();
    assert_eq!((audit.root(), audit.size(), audit.is_whole()), (root, entries.len() as u64, true));
    let authority = audit.authority().unwrap();
    assert_eq!((authority.members.len(), authority.active_count()), (2, 1));
}

#[test]
fn what_was_taken_out_swapped_or_put_in_shows_where_it_is() {
    let (genesis, entries, root) = entries();
    for at in 0..entries.len() - 1 {
        let mut without = entries.clone();
        without.remove(at);
        // The end of a chain that nothing follows does not show by itself: the root does.
        let shows = audited(genesis, &without).map(|audit| audit.root() != root);
        assert!(shows.is_err() || shows == Ok(true), "{at} removed");
        let mut twice = entries.clone();
        twice.insert(at, entries[at].clone());
        assert!(audited(genesis, &twice).is_err(), "{at} twice");
        let mut cut = entries.clone();
        cut[at].0.pop();
        assert_eq!(audited(genesis, &cut).unwrap_err(), (at, EntryFault::NotAHeader));
    }
    assert_eq!(audited(Hash([1; 32]), &entries).unwrap_err(), (0, EntryFault::OtherGenesis));
}

#[test]
fn nobody_files_whom_the_administrators_did_not_admit() {
    let (genesis, entries, _) = entries();
    let bodies: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].1.is_some()).collect();
    assert_eq!(bodies.len(), 4, "genesis, two admissions, a retirement");
    for at in &bodies {
        let mut other = entries.clone();
        other[*at].1.as_mut().unwrap()[0] ^= 1;
        assert_eq!(audited(genesis, &other).unwrap_err(), (*at, EntryFault::OtherBody));
    }
    // Whoever can write headers as he likes still lacks the administrators' signature.
    let mut world = World::records();
    world.admit(OTHER);
    let honest = of(&world);
    let unsigned = world.control_unsigned(20, &admission(NodeId([3; 16])));
    let (record, mut forged) = (&unsigned.records[0], honest.clone());
    forged.push((record.header.clone(), Some(record.body.clone())));
    let at = forged.len() - 1;
    assert_eq!(audited(world.state.genesis, &forged).unwrap_err(), (at, EntryFault::NotAuthorised));
    let stranger = world.draft_by(NodeId([9; 16]), 21, &[subject(1)]);
    let mut forged = honest;
    forged.push((stranger.records[0].header.clone(), None));
    assert_eq!(audited(world.state.genesis, &forged).unwrap_err(), (at, EntryFault::NotAMember));
    // A node that another one retired files nothing any more; one that retired itself, what is in the
    // same block.
    let retired = |by| {
        let mut world = World::records();
        world.admit(OTHER);
        let gone = Control::NodeRetired { node: OTHER, signatures: Vec::new() };
        let mut control = world.control(30, gone);
        let mut header = Header::decode(&control.records[0].header).unwrap();
        header.node = by;
        control.records[0].header = header.encode();
        let mut entries = of(&world);
        entries.push((control.records[0].header.clone(), Some(control.records[0].body.clone())));
        for (number, node) in [(31, OTHER), (32, NODE), (33, OTHER)] {
            let one = world.draft_by(node, number, &[subject(u8::try_from(number).unwrap())]);
            entries.push((one.records[0].header.clone(), None));
        }
        (audited(world.state.genesis, &entries).unwrap_err(), entries.len())
    };
    let (found, length) = retired(NODE);
    assert_eq!(found, (length - 3, EntryFault::NotAMember));
    let (found, length) = retired(OTHER);
    assert_eq!(found, (length - 1, EntryFault::NotAMember));
    // Nothing goes on before a body was given, and a log that ends there is not whole.
    let (mut audit, mut full) = (Audit::new(genesis), Vec::new());
    audit.add(&entries[0].0, &mut full).unwrap();
    assert!(!audit.is_whole());
    assert_eq!(audit.add(&entries[1].0, &mut full), Err(EntryFault::BodyNotGiven));
}

#[test]
fn a_node_that_retired_itself_may_retire_another_and_go_on_in_the_same_block() {
    let mut world = World::records();
    world.admit(OTHER);
    world.admit(NodeId([3; 16]));
    let retired = |node| Control::NodeRetired { node, signatures: Vec::new() };
    let own = world.control(40, retired(NODE));
    let mut ahead = world.clone();
    ahead.file(own.clone());
    let others = ahead.control(41, retired(OTHER));
    let mut items = [own, others].map(Item::Contribution).to_vec();
    items.push(Item::Contribution(world.draft(42, &[subject(4)])));
    let message = world.seal_by(NODE, items);
    let applied = world.apply(&message);
    assert!(crate::testing::judged(&applied).iter().all(crate::testing::is_accepted));
    assert!(audited(world.state.genesis, &of(&world)).is_ok());
}

#[test]
fn what_apply_accepts_of_nobody_is_found_in_a_header() {
    let mut world = World::records();
    let key = KeyId([99; 16]);
    let destroyed = Control::KeyDestroyed { key, subject: subject(1), signatures: Vec::new() };
    let destruction = world.control(1, destroyed.clone());
    world.file(destruction);
    let honest = of(&world);
    let audit = audited(world.state.genesis, &honest).unwrap();
    let draft = world.draft(2, &[subject(2)]);
    let header = Header::decode(&draft.records[0].header).unwrap();
    let finds = |header: Header| audit.clone().add(&header.encode(), &mut Vec::new());
    assert!(finds(header.clone()).is_ok());
    let edits: [fn(&mut Header); 5] = [
        |header| header.suite = 9,
        |header| header.body_length = u32::MAX,
        |header| header.subject = SubjectId::ZERO,
        |header| header.count = 257,
        |header| header.leaf = LeafType::Control,
    ];
    for edit in edits {
        let mut edited = header.clone();
        edit(&mut edited);
        assert_eq!(finds(edited.clone()), Err(EntryFault::Fields), "{edited:?}");
    }
    let under = Header { data_key: key, ..header };
    assert_eq!(finds(under), Err(EntryFault::KeyDestroyed));
    let takes = |control: &Control| {
        let filed = world.control(3, control.clone());
        let mut audit = audit.clone();
        audit.add(&filed.records[0].header, &mut Vec::new()).unwrap();
        audit.control(&filed.records[0].body)
    };
    assert_eq!(takes(&destroyed), Err(EntryFault::NotAuthorised), "a key is destroyed once");
    let raised = Control::RulesRaised { rules: RULES + 1, signatures: Vec::new() };
    assert_eq!(takes(&raised), Err(EntryFault::UnknownRules { rules: RULES + 1 }));
}

#[test]
fn what_is_dated_further_back_than_apply_takes_is_found() {
    let at = |world: &World, number: u8, time| {
        let mut draft = world.draft(u64::from(number), &[subject(number)]);
        edit(&mut draft.records[0], |header| header.recorded_at = time);
        draft
    };
    let adds = |world: &World, draft: &crate::Contribution| {
        let mut audit = audited(world.state.genesis, &of(world)).unwrap();
        audit.add(&draft.records[0].header, &mut Vec::new()).map(drop)
    };
    // As far ahead of the ledger's time as may be, then as far behind.
    let mut world = World::records();
    for (number, time) in [(1, START + MAX_AGE), (2, START - MAX_AGE)] {
        let draft = at(&world, number, time);
        assert_eq!(adds(&world, &draft), Ok(()));
        assert!(is_accepted(&world.file(draft)));
    }
    let back = at(&world, 3, START - MAX_AGE - 1);
    assert_eq!(adds(&world, &back), Err(EntryFault::DatedBack));
    // Accesses wait in a spool for as long as they must.
    let world = World::new(LedgerId::ACCESS);
    assert_eq!(adds(&world, &at(&world, 3, START - 100 * MAX_AGE)), Ok(()));
}

#[test]
fn a_ledger_founded_by_rules_that_are_not_known_is_not_judged() {
    let (_, entries, _) = entries();
    let (header, body) = &entries[0];
    let Control::Genesis(mut genesis) = Control::decode(body.as_ref().unwrap()).unwrap() else {
        panic!("the genesis")
    };
    genesis.rules = RULES + 1;
    let founding = Control::Genesis(genesis).into_record(Header::decode(header).unwrap());
    let hash = leaf_hash(&founding.header);
    let found = audited(hash, &[(founding.header, Some(founding.body))]).unwrap_err();
    assert_eq!(found, (0, EntryFault::UnknownRules { rules: RULES + 1 }));
}
