//! Evidence packages: what people read in `records/*.json` is held against what is sealed, by `check.py` alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use api::v1;
use serde_json::{Value, json};
use testkit::client::{purpose, request_id};

use crate::evidence::{World, check};
use crate::relationships::{coding, entry, practitioner, words};

/// The files in `records/` of a package, and what they say.
fn records(package: &Path) -> Vec<(PathBuf, Value)> {
    let files = std::fs::read_dir(package.join("records")).expect("records");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), read(&file))).collect()
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("readable")).expect("JSON")
}

/// The package with this in place of a file is found wrong, and the record and the field are named.
fn found(package: &Path, file: &Path, forged: &Value, field: &str) {
    let whole = std::fs::read(file).expect("readable");
    std::fs::write(file, forged.to_string()).expect("written");
    let (code, said) = check(package);
    std::fs::write(file, whole).expect("written");
    let name = format!("records/{}", file.file_name().expect("a name").display());
    assert_eq!(code, Some(10), "{name} {field}: {said}");
    assert!(said.contains(&format!("{name} is not what was filed at position")), "{field}: {said}");
    assert!(said.contains(&format!("{field} (filed: ")), "{field}: {said}");
}

/// Another value of the same type.
fn another(value: &Value) -> Value {
    match value {
        Value::Null => json!("something"),
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => json!(number.as_u64().expect("no fraction") + 1),
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(items) => items.iter().cloned().chain([json!("physician")]).collect(),
        Value::Object(fields) => {
            let more = [("more".to_owned(), json!("x"))];
            Value::Object(fields.clone().into_iter().chain(more).collect())
        }
    }
}

fn emptied(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(false),
        Value::Number(_) => json!(0),
        Value::String(_) => json!(""),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}

/// Every field of an object: changed, emptied, left out; and one more.
fn forge_each(package: &Path, file: &Path, whole: &Value) {
    let fields = whole.as_object().expect("an object");
    for (name, value) in fields {
        for other in [another(value), emptied(value)].iter().filter(|other| *other != value) {
            // Of an object what is in it is named.
            let field = if value.is_object() { "" } else { name };
            let mut forged = whole.clone();
            forged[name] = other.clone();
            found(package, file, &forged, field);
        }
        let mut forged = whole.clone();
        forged.as_object_mut().expect("an object").remove(name);
        found(package, file, &forged, name);
    }
    let mut forged = whole.clone();
    forged["told"] = json!("something");
    found(package, file, &forged, "told");
}

/// The places of all that is in a value, as JSON pointers.
fn places(value: &Value, at: &str) -> Vec<String> {
    let within: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, of)| (name.clone(), of)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, of)| (index.to_string(), of)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let deeper = within.iter().flat_map(|(name, of)| places(of, &format!("{at}/{name}")));
    deeper.chain([at.to_owned()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_that_is_told_otherwise_in_a_package_of_evidence_is_found() {
    let world = World::small().await;
    world.manager.read_file(&world.bell, None).await.expect("shown");
    let package = world.package("accesses", &[&world.bell, "--ledger", "access"]);
    let (code, said) = check(&package);
    assert_eq!(code, Some(0), "{said}");
    let records = records(&package);
    let every = format!("every field of {} was compared", records.len());
    assert!(said.contains(&every) && said.contains("ALL MATCHES."), "{said}");
    let shown = |(_, of): &&(PathBuf, Value)| of["outcome"] == "shown" && of["version"].is_null();
    let (file, whole) = records.iter().rfind(shown).expect("an access");
    assert!(whole.as_object().expect("an object").len() >= 30, "every field is there: {whole}");
    forge_each(&package, file, whole);
    // The parts of an access that are somebody else's do not make it theirs.
    for (name, other) in [("purpose_of_use", "BTG"), ("outcome", "denied"), ("network", "")] {
        let mut forged = whole.clone();
        forged[name] = json!(other);
        found(&package, file, &forged, name);
    }
    // Whoever takes the key away to say something else has nothing that shows it.
    let evidence = package.join("evidence.json");
    let mut without = read(&evidence);
    let leaves = without["leaves"].as_array_mut().expect("leaves");
    let leaf = leaves.iter_mut().find(|leaf| leaf["position"] == whole["position"]);
    leaf.expect("its leaf")["record_key"] = Value::Null;
    std::fs::write(&evidence, without.to_string()).expect("written");
    let mut forged = whole.clone();
    forged["person"] = json!("nina");
    found(&package, file, &forged, "unreadable");
    let unreadable = |name: &str| ["position", "recorded_at", "node", "hash"].contains(&name);
    let mut closed = whole.clone();
    for (name, value) in closed.as_object_mut().expect("an object") {
        let kept = unreadable(name) || name == "contribution_id";
        *value = if kept { value.clone() } else { emptied(value) };
    }
    closed["kind"] = json!("ACCESS_KIND_UNSPECIFIED");
    closed["unreadable"] = json!(true);
    std::fs::write(file, closed.to_string()).expect("written");
    let (code, said) = check(&package);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ALL THAT WAS COMPARED MATCHES.") && said.contains("NOT COMPARED at"));
}

/// Entries of more kinds than notes.
async fn file_more(world: &World) {
    let class = Some(coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "IMP"));
    let participant = vec![practitioner("nina")];
    let stay = v1::Encounter { class, participant, ..v1::Encounter::default() };
    let member = Some(practitioner("paul"));
    let member = v1::CareTeamParticipant { member, role: words("lead"), period: None };
    let team = v1::CareTeam { participant: vec![member], ..v1::CareTeam::default() };
    let entries = [
        entry("in-progress", v1::entry::Detail::EncounterDetail(stay)),
        entry("active", v1::entry::Detail::CareTeam(team)),
    ];
    let add = |entry| v1::Change {
        change: Some(v1::change::Change::AddEntry(v1::AddEntry { entry: Some(entry) })),
    };
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: purpose("TREAT"),
        patient_id: world.bell.clone(),
        expected_version: None,
        changes: entries.map(add).to_vec(),
    };
    world.manager.file().contribute(request).await.expect("filed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_told_otherwise_in_a_package_of_evidence_is_found() {
    let world = World::small().await;
    file_more(&world).await;
    let package = world.package("bell", &[&world.bell]);
    let (code, said) = check(&package);
    assert_eq!(code, Some(0), "{said}");
    assert!(!package.join("__pycache__").exists(), "it writes nothing");
    let records = records(&package);
    assert!(said.contains(&format!("every field of {} was compared", records.len())), "{said}");
    let has = |kind: &str| {
        let entry = |of: &Value| !of["event"]["entry_added"]["entry"][kind].is_null();
        records.iter().find(|(_, of)| entry(of)).expect(kind)
    };
    forge_each(&package, &has("note_detail").0, &has("note_detail").1);
    for (file, whole) in [has("note_detail"), has("encounter_detail"), has("care_team")] {
        for place in places(&whole["event"], "/event").iter().filter(|place| *place != "/event") {
            let mut forged = whole.clone();
            let value = forged.pointer_mut(place).expect("it is there");
            *value = another(value);
            found(&package, file, &forged, "");
        }
    }
    // Texts of one record do not vouch for another.
    let (file, whole) = has("note_detail");
    let mut forged = whole.clone();
    forged["event"] = has("care_team").1["event"].clone();
    found(&package, file, &forged, "");
    // A form that this program is too old for is neither right nor wrong.
    let older = "import sys, check; check.ENVELOPE = 0; sys.exit(check.main(['.', '--json']))";
    let older = Command::new("python3").args(["-c", older]).current_dir(&package).output();
    let older = older.expect("python3");
    assert_eq!(older.status.code(), Some(0));
    let said = String::from_utf8(older.stdout).expect("text");
    assert!(said.contains("NOT COMPARED") && said.contains("newer than this program"), "{said}");
    std::fs::remove_file(package.join("forms.py")).expect("removed");
    let (code, said) = check(&package);
    assert!(code == Some(12) && said.contains("forms.py has to stand beside"), "{said}");
}

/// Each stored form that was ever written is one that packages are checked with, and nothing is left over.
#[test]
fn every_stored_form_is_known_to_the_checker() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = here.join("../crates/schema/golden");
    let read = "import sys, forms\n\
                for path in sys.argv[1:]:\n    \
                form = 'Access' if path.endswith('v1-access.hex') else 'Event'\n    \
                print(forms.whole(form, bytes.fromhex(open(path).read())))\n\
                for newer in b'\\x0f', b'\\x02' + bytes(16) + b'\\xc8' + bytes(99):\n    \
                try: print('WRONG', forms.whole('Event', newer))\n    \
                except forms.Newer as error: print('newer:', error)";
    let files = std::fs::read_dir(golden).expect("golden").map(|file| file.expect("one").path());
    let files: Vec<PathBuf> = files
        .filter(|file| {
            let name = file.to_string_lossy();
            name.contains("v1-event-") || name.ends_with("v1-access.hex")
        })
        .collect();
    let output = Command::new("python3")
        .args(["-B", "-c", read])
        .args(&files)
        .current_dir(here.join("../crates/cli/src/prove"))
        .output()
        .expect("python3");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().count(), files.len() + 2, "{said}");
    assert_eq!(said.matches("newer: ").count(), 2, "{said}");
    assert!(files.len() > 20 && !said.contains("WRONG"), "{said}");
}

/// What a snippet of Python that knows the checker prints.
fn asked(snippet: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cli/src/prove");
    let output = Command::new("python3").args(["-B", "-c", snippet]).current_dir(here).output();
    let output = output.expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// As the command line reads it (`ledger::policy`).
#[test]
fn a_witness_counts_once_in_a_package_whatever_its_names_and_groups() {
    let said = asked(
        "import base64, check\n\
         def vkey(name, kind, n):\n    \
         data = bytes([kind]) + check.point_bytes(check.point_times(n, check.BASE))\n    \
         key_id = check.sha256(name.encode(), b'\\n', data)[:4].hex()\n    \
         return f'{name}+{key_id}+{base64.b64encode(data).decode()}'\n\
         head = f'log {vkey(\"log\", 1, 7)}\\n \\t# ours\\nwitness a {vkey(\"a\", 4, 8)}\\n'\n\
         b, copied = (f'witness b {vkey(\"b\", 4, n)}\\n' for n in (9, 8))\n\
         for rest in (b + 'group g all a b', copied + 'group g all a b', b + 'group g any a b a',\n             \
         b + 'group one any a\\ngroup g all a b'):\n    \
         try: print(check.parse_policy(head + rest + '\\nquorum g\\n').quorum)\n    \
         except check.Wrong as error: print(error)",
    );
    let said: Vec<&str> = said.lines().collect();
    let [good, copied, twice, nested] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(*good, "g");
    assert!(copied.starts_with("line 4 has the public key of a witness above"), "{copied}");
    assert!(twice.starts_with("line 5 has a member twice"), "{twice}");
    assert!(nested.starts_with("line 6 has a member twice"), "{nested}");
}

/// Whoever asks for a comparison is not told that all matches without it; nor does a file that was
/// spoilt, or that nobody signed, make a package wrong.
#[test]
fn a_kept_checkpoint_that_cannot_be_compared_is_not_called_compared() {
    let said = asked(
        "import base64, check, hashlib\n\
         from types import SimpleNamespace as Of\n\
         public, nonce = (check.point_bytes(check.point_times(n, check.BASE)) for n in (7, 5))\n\
         key = check.Key('log', bytes(4), 1, public)\n\
         policy = Of(logs=[key], parties={}, members=set(), quorum='none')\n\
         def text(origin):\n    \
         return f'{origin}\\n7\\n{base64.b64encode(bytes(32)).decode()}\\n'\n\
         def signed(text):\n    \
         k = int.from_bytes(hashlib.sha512(nonce + public + text.encode()).digest(), 'little')\n    \
         return nonce + ((5 + k * 7) % check.ORDER).to_bytes(32, 'little')\n\
         def note(origin, key_id, signature):\n    \
         data = base64.b64encode(key_id + signature).decode()\n    \
         return f'{text(origin)}\\n\\u2014 log {data}\\n'\n\
         stranger, good = note('log', b'else', bytes(64)), note('log', key.id, signed(text('log')))\n\
         spoilt = note('log', key.id, bytes(64))\n\
         other = note('others', b'else', bytes(64))\n\
         same, forked = bytes(32), bytes([1] * 32)\n\
         for file, size, root in ((stranger, 7, same), (stranger, 8, same), (stranger, 6, same),\n             \
         (spoilt, 7, same), (other, 7, same), ('no note', 7, same), (stranger, 7, forked),\n             \
         (good, 7, same), (good, 7, forked)):\n    \
         check.read_text = lambda folder, name, most: file\n    \
         report = check.Report()\n    \
         here = Of(origin='log', size=size, root=root)\n    \
         report.attempt('1', check.check_kept, report, 'kept', here, policy)\n    \
         print(report.code(), *check.told(report, '.'), sep=' | ')",
    );
    let said: Vec<&str> = said.lines().collect();
    let starts = said.iter().map(|line| line.split(' ').next().unwrap_or_default());
    let codes = ["0", "12", "12", "12", "12", "12", "12", "0", "10"];
    assert_eq!(starts.collect::<Vec<_>>(), codes, "{said:?}");
    for line in &said[1..7] {
        assert!(line.contains("NOT COMPARED") && !line.contains("MATCHES"), "{line}");
    }
    for line in &said[1..3] {
        assert!(line.contains("caseledger verify"), "{line}");
    }
}

/// As the command line asks it: of the quorum, whatever the clocks of the others say.
#[test]
fn a_cosigner_whose_clock_is_slow_does_not_make_a_checkpoint_dated_back() {
    let read = "import check\n\
                from types import SimpleNamespace as Of\n\
                keys = [check.Key(name, b'', 4, b'') for name in 'abc']\n\
                parties = {**{key.name: key for key in keys}, 'two': check.Group(2, list('abc'))}\n\
                leaf = Of(kind=check.RECORD, recorded_at=1000 * 10**6 + 999_999)\n\
                def said(quorum, *times):\n    \
                policy = Of(parties=parties, quorum=quorum)\n    \
                try: check.check_dates(policy, dict(zip(keys, times)), [leaf])\n    \
                except check.Wrong as error: return 'dated back' in str(error) and 'back'\n    \
                return 'good'\n\
                print(said('two', 940, 1000, 1000), said('two', 5, 1000, 940), said('two', 5, 5, 1000),\n      \
                said('two', 939, 939, 939), said('none', 5, 940), said('none', 939), said('none'),\n      \
                said('a', 5, 1000, 1000), said('a', 1000, 5, 5))";
    let verdicts = ["good", "good", "back", "back", "good", "back", "good", "back", "good"];
    assert_eq!(asked(read).trim(), verdicts.join(" "));
}
