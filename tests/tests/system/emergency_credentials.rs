//! The issuer of everybody's tokens is away when a node starts, and somebody opens a sealed envelope.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use api::v1;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::client::{Client, Token, purpose};
use testkit::cluster::{Cluster, Node, program, run};
use testkit::wait::eventually;
use tonic::{Code, Status};

use crate::emergency::{break_glass, file_of};
use crate::tools::{PATIENCE, alarm, reason};

const PEOPLES: &str = "https://idp.hospital.example";
const EMERGENCY: &str = "https://emergency.hospital.example";
const USED: &str = "EMERGENCY_CREDENTIAL_USED";
const DAY: u64 = 24 * 60 * 60;

/// The machine on which credentials are made: an issuer's key in a folder of its own.
struct Desk(TempDir);

struct Sealed {
    id: String,
    code: String,
    file: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(desk.0.path().join("keys")).expect("made");
        run(Command::new(program("caseledgerd").expect("built"))
            .args(["emergency", "key"])
            .arg(desk.key()))
        .expect("a key");
        desk
    }

    /// Where `Token::of_claims` looks for it.
    fn key(&self) -> PathBuf {
        self.0.path().join("keys/issuer.pem")
    }

    fn public(&self) -> PathBuf {
        self.0.path().join("keys/issuer.pub.pem")
    }

    fn seal(&self, person: &str, role: &str) -> Sealed {
        let file = self.0.path().join(format!("{person}.envelope"));
        let mut command = Command::new(program("caseledgerd").expect("built"));
        command.args(["emergency", "seal", "--json", "--issuer", EMERGENCY]);
        command.args(["--person", person, "--role", role, "--organisation", "St James"]);
        command.arg("--key").arg(self.key()).arg("--to").arg(&file);
        let told: Value = serde_json::from_str(&run(&mut command).expect("sealed")).expect("JSON");
        let text = |name: &str| told[name].as_str().expect("text").to_owned();
        Sealed { id: text("id"), code: text("code"), file }
    }

    /// A token with claims that `seal` would not make, by this issuer's key.
    fn signs(&self, changed: &Value) -> Token {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        let mut claims = json!({
            "iss": EMERGENCY, "aud": "caseledger", "nbf": now - 2 * DAY, "exp": now + DAY,
            "jti": "by-hand", "sub": "ada", "roles": ["physician"], "organisation": "St James",
        });
        for (name, add) in changed.as_object().expect("claims") {
            claims[name] = add
                .as_i64()
                .map_or(add.clone(), |add| json!(i64::try_from(now).expect("a time") + add));
        }
        Token::of_claims(self.0.path(), &claims).expect("signed")
    }
}

/// Opens an envelope with a code that is typed.
fn open(sealed: &Sealed, code: &str) -> Result<Token, String> {
    use std::io::Write as _;
    let mut child = Command::new(program("caseledgerd").expect("built"))
        .args(["emergency", "open"])
        .arg(&sealed.file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut typed = child.stdin.take().expect("piped");
    typed.write_all(format!("{code}\n").as_bytes()).expect("typed");
    drop(typed);
    let ended = child.wait_with_output().expect("ended");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").trim().to_owned();
    if ended.status.success() { Ok(Token(text(ended.stdout))) } else { Err(text(ended.stderr)) }
}

/// A node whose people's issuer nobody reaches, with a list of what is taken back.
async fn alone(emergency: &Desk, revoked: &Path) -> Cluster {
    std::fs::write(revoked, "{}").expect("written");
    let mut cluster = Cluster::found(1).await.expect("founded");
    let file = cluster.node(0).state.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("configuration");
    let (keys, revoked) = (emergency.public(), revoked.display());
    // Nobody listens at port 9.
    let text = format!(
        "{text}\n[[issuers]]\nname = \"{PEOPLES}\"\njwks = \"http://127.0.0.1:9/keys\"\n\
         [emergency]\nname = \"{EMERGENCY}\"\nkeys = [\"{}\"]\nrevoked = \"{revoked}\"\n",
        keys.display()
    );
    std::fs::write(&file, text).expect("written");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    cluster
}

async fn tried(node: &Node, token: &Token) -> Result<(), Status> {
    let client = Client::new(node.listen, token).expect("a client");
    client.ledger().get_head(v1::GetHeadRequest { ledger: None }).await.map(drop)
}

async fn refused(node: &Node, token: &Token, expected: &str) -> Status {
    let status = tried(node, token).await.expect_err(expected);
    assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, expected), "{status:?}");
    status
}

async fn started_anew(cluster: &mut Cluster) {
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
}

#[tokio::test]
async fn while_an_issuer_is_away_a_sealed_credential_opens_files_and_is_announced() {
    let (desk, peoples) = (Desk::new(), Desk::new());
    let sealed = desk.seal("ada", "physician");
    let cluster = alone(&desk, &desk.0.path().join("revoked.json")).await;
    let node = cluster.node(0);
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;

    let everyday = peoples.signs(&json!({"iss": PEOPLES}));
    let told = refused(node, &everyday, "TOKEN_ISSUER_UNREACHED").await.message().to_owned();
    assert!(told.contains("could not be reached") && told.contains("emergency"), "{told}");
    let away = alarm(&operator, "CREDENTIALS_OUTDATED").await.text;
    assert!(away.contains("127.0.0.1:9 cannot be reached"), "{away}");

    let label = std::fs::read_to_string(&sealed.file).expect("an envelope");
    assert!(label.contains(&sealed.id) && label.contains("ada (physician), St James"), "{label}");
    let (begin, last) = sealed.code.split_at(sealed.code.len() - 1);
    let other = if last == "Z" { "Y" } else { "Z" };
    let closed = open(&sealed, &format!("{begin}{other}")).map(|token| token.0);
    assert!(closed.expect_err("another code").contains("belongs to another envelope"));
    let token = open(&sealed, &sealed.code.to_lowercase()).expect("opened");
    let before = operator.status().await.expect("a status").alarms;
    assert!(before.iter().all(|alarm| alarm.code != USED), "opening it is not using it");

    let physician = Client::new(node.listen, &token).expect("a client");
    physician.read_file(&patient, None).await.expect("read");
    let because = |code: &str| v1::GetPatientFileRequest {
        patient_id: patient.clone(),
        purpose: Some(v1::Purpose {
            purpose_of_use: code.to_owned(),
            reason: "found unconscious".to_owned(),
        }),
        ..v1::GetPatientFileRequest::default()
    };
    break_glass(&physician, file_of(&patient), None).await.expect("the glass is broken");
    physician.file().get_patient_file(because("BTG")).await.expect("the policies allow it");
    let denied = physician.file().get_patient_file(because("HPAYMT")).await.expect_err("not that");
    assert_eq!(denied.code(), Code::PermissionDenied);

    let raised = alarm(&operator, USED).await;
    assert!(raised.text.contains(&sealed.id), "{}", raised.text);
    assert!(!raised.text.contains("ada") && !raised.text.contains(&patient), "{}", raised.text);
    assert_eq!(raised.count, 1, "once, however often it is used");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "ada".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let mut purposes: Vec<&str> =
        trail.accesses.iter().map(|access| access.purpose_of_use.as_str()).collect();
    purposes.dedup();
    assert_eq!(purposes, ["HPAYMT", "BTG", "TREAT"]);
    assert!(trail.accesses.iter().all(|access| access.issuer == EMERGENCY), "{trail:?}");
    let log = std::fs::read_to_string(node.log()).expect("the log");
    let secret = token.0.rsplit('.').next().expect("a signature");
    assert!(!log.contains(secret) && !log.contains(&sealed.code), "secrets stay out of the log");
}

#[tokio::test]
async fn an_opened_credential_ends_by_itself_and_when_it_is_taken_back() {
    let desk = Desk::new();
    let (first, second) = (desk.seal("ada", "physician"), desk.seal("bob", "nurse"));
    let revoked = desk.0.path().join("revoked.json");
    let mut cluster = alone(&desk, &revoked).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    let [ada, bob] = [&first, &second].map(|sealed| open(sealed, &sealed.code).expect("opened"));
    tried(cluster.node(0), &ada).await.expect("accepted");
    alarm(&operator, USED).await;

    // What is used stays known over a start, and so does when.
    cluster.node_mut(0).stop().await.expect("stopped");
    let file = cluster.node(0).data().join("emergency.json");
    let text = std::fs::read_to_string(&file).expect("what was used");
    let mut used: Value = serde_json::from_str(&text).expect("JSON");
    let at = used[&first.id]["first_used"].as_u64().expect("when");
    used[&first.id]["first_used"] = json!(at - 12 * 60 * 60);
    std::fs::write(&file, used.to_string()).expect("written");
    started_anew(&mut cluster).await;
    assert!(alarm(&operator, USED).await.text.contains(&first.id), "nobody has taken it back");
    refused(cluster.node(0), &ada, "TOKEN_EXPIRED").await;

    let node = cluster.node(0);
    let patient = {
        let manager = cluster.client(0, "case-manager").unwrap();
        manager.register("MRN-1", "Ames").await.expect("registered").patient_id
    };
    let nurse = Client::new(node.listen, &bob).expect("a client");
    let request = v1::WatchPatientFileRequest {
        patient_id: patient,
        purpose: purpose("TREAT"),
        from_version: 0,
    };
    let mut watch = nurse.file().watch_patient_file(request).await.expect("followed").into_inner();
    watch.message().await.expect("a change").expect("not ended");
    let both = eventually(PATIENCE, "both are told", async || {
        let text = alarm(&operator, USED).await.text;
        anyhow::ensure!(text.contains(&first.id) && text.contains(&second.id), "{text}");
        Ok(())
    });
    both.await.expect("told");

    let new = revoked.with_extension("new");
    std::fs::write(&new, json!({"jti": [first.id, second.id]}).to_string()).expect("written");
    std::fs::rename(&new, &revoked).expect("in place");
    let ended = tokio::time::timeout(PATIENCE, watch.message()).await.expect("in time");
    assert_eq!(reason(&ended.expect_err("ended")), "TOKEN_REVOKED");
    refused(node, &bob, "TOKEN_REVOKED").await;
    let over = eventually(PATIENCE, "the alarm is over", async || {
        let alarms = operator.status().await?.alarms;
        anyhow::ensure!(alarms.iter().all(|alarm| alarm.code != USED), "{alarms:?}");
        Ok(())
    });
    over.await.expect("nothing is open any more");
}

#[tokio::test]
async fn what_the_emergency_issuer_did_not_seal_so_is_refused() {
    let (desk, stranger) = (Desk::new(), Desk::new());
    let cluster = alone(&desk, &desk.0.path().join("revoked.json")).await;
    let node = cluster.node(0);
    let day = i64::try_from(DAY).expect("small");
    tried(node, &desk.signs(&json!({}))).await.expect("this is good; what follows changes it");
    for (token, expected) in [
        (stranger.signs(&json!({})), "TOKEN_SIGNATURE"),
        (desk.signs(&json!({"exp": -day})), "TOKEN_EXPIRED"),
        (desk.signs(&json!({"nbf": day})), "TOKEN_NOT_YET_VALID"),
        (desk.signs(&json!({"exp": 101 * day})), "TOKEN_EMERGENCY_CLAIMS"),
        (desk.signs(&json!({"jti": null})), "TOKEN_EMERGENCY_CLAIMS"),
        (desk.signs(&json!({"sub": null, "azp": "desk"})), "TOKEN_EMERGENCY_CLAIMS"),
        (desk.signs(&json!({"iss": "caseledger-quickstart"})), "TOKEN_SIGNATURE"),
        (desk.signs(&json!({"iss": PEOPLES})), "TOKEN_ISSUER_UNREACHED"),
    ] {
        refused(node, &token, expected).await;
    }
    let raised = alarm(&cluster.client(0, "hospital-it").unwrap(), USED).await.text;
    assert_eq!(raised.matches("first used").count(), 1, "the others were not used: {raised}");
}

#[tokio::test]
async fn the_emergency_issuer_lets_nobody_govern_or_review() {
    let desk = Desk::new();
    let cluster = alone(&desk, &desk.0.path().join("revoked.json")).await;
    let token = desk.signs(&json!({"roles": ["compliance-officer", "hospital-it", "auditor"]}));
    let client = Client::new(cluster.node(0).listen, &token).expect("a client");
    let list = v1::ListPoliciesRequest { purpose: purpose("HOPERAT"), ..Default::default() };
    let denied = client.policies().list_policies(list).await.expect_err("not theirs");
    assert_eq!(reason(&denied), "NOT_PERMITTED");
    let request = v1::ListAccessesRequest { purpose: purpose("HOPERAT"), ..Default::default() };
    let denied = client.audit().list_accesses(request).await.expect_err("nor is the trail");
    assert_eq!(reason(&denied), "NOT_PERMITTED");
}
