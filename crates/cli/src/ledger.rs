//! `caseledger ledger head` and `caseledger status`.

use std::fmt::Write as _;
use std::process::ExitCode;

use api::v1;
use api::v1::ledger_service_client::LedgerServiceClient;
use serde_json::{Value, json};

use crate::connection::{connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::{Global, LedgerHead, LedgerKind};
use crate::output::{Output, Table, one_line, thousands};
use crate::time;

/// What a head is good for, which is less than people expect of a ledger.
const GOOD_FOR: &str = "\
compare it with another node's at the same sequence, or with an earlier one that you kept; it is this
node's word alone: `caseledger ledger checkpoint` shows what a majority of the nodes has signed\n";

pub(crate) async fn head(
    global: &Global,
    wanted: &LedgerHead,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut client = LedgerServiceClient::new(connect(global).await?);
    let kinds = match wanted.ledger {
        Some(kind) => vec![kind],
        None => vec![LedgerKind::Records, LedgerKind::Access],
    };
    let mut heads = Vec::new();
    for kind in kinds {
        let request = v1::GetHeadRequest { ledger: Some(kind.id()) };
        let answer = client
            .get_head(timed(request))
            .await
            .map_err(|status| Failure::of(&global.server, "LedgerService/GetHead", status))?
            .into_inner();
        heads.push(answer.head.unwrap_or_default());
    }
    output.show(|| heads_json(&heads, wanted.ledger), || heads_text(&heads))?;
    Ok(ExitCode::SUCCESS)
}

/// The head of the one ledger that was asked for, or all of them by name.
fn heads_json(heads: &[v1::Head], asked: Option<LedgerKind>) -> Value {
    match (heads, asked) {
        ([head], Some(_)) => head_json(head),
        _ => json!({"heads": heads.iter().map(head_json).collect::<Vec<_>>()}),
    }
}

fn heads_text(heads: &[v1::Head]) -> String {
    let mut text = String::new();
    for head in heads {
        text.push_str(&head_text(head));
        text.push('\n');
    }
    text.push_str(GOOD_FOR);
    text
}

/// The head's own fields at the top, the ledger by its name: "records.0.0".
fn head_json(head: &v1::Head) -> Value {
    let mut object = json::of("Head", head);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("ledger".to_owned(), Value::from(name(head.ledger.as_ref())));
    }
    object
}

fn head_text(head: &v1::Head) -> String {
    let mut table = Table::default();
    let rows = [
        ("ledger", name(head.ledger.as_ref())),
        ("origin", head.origin.clone()),
        ("size", format!("{} records", thousands(head.size))),
        ("root", hex::encode(&head.root)),
        ("sequence", thousands(head.sequence)),
        ("stream hash", hex::encode(&head.stream_hash)),
        ("genesis", hex::encode(&head.genesis)),
        ("time", head.time.as_ref().map(time::rfc3339).unwrap_or_default()),
    ];
    for (what, value) in rows {
        table.row([what.to_owned(), value]);
    }
    table.lines("")
}

/// "records.0.0", as the ledger crate writes it.
fn name(ledger: Option<&v1::LedgerId>) -> String {
    let Some(id) = ledger else { return "(not said)".to_owned() };
    let kind = match id.kind() {
        v1::LedgerKind::Records => "records",
        v1::LedgerKind::Access => "access",
        v1::LedgerKind::Unspecified => "unknown",
    };
    format!("{kind}.{}.{}", id.shard, id.period)
}

pub(crate) async fn status(global: &Global, output: &Output) -> Result<ExitCode, Failure> {
    let mut client = LedgerServiceClient::new(connect(global).await?);
    let answer = client
        .get_node_status(timed(v1::GetNodeStatusRequest {}))
        .await
        .map_err(|status| Failure::of(&global.server, "LedgerService/GetNodeStatus", status))?
        .into_inner();
    output.show(|| status_json(&answer), || status_text(&answer))?;
    Ok(if is_serving(&answer) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether every ledger reads and writes.
fn is_serving(status: &v1::GetNodeStatusResponse) -> bool {
    !status.ledgers.is_empty()
        && status.ledgers.iter().all(|one| one.condition() == v1::LedgerCondition::Serving)
}

fn status_json(status: &v1::GetNodeStatusResponse) -> Value {
    let mut object = json::of("GetNodeStatusResponse", status);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("serving".to_owned(), json!(is_serving(status)));
    }
    object
}

fn status_text(status: &v1::GetNodeStatusResponse) -> String {
    let mut text = String::new();
    let yes = |flag: bool| if flag { "connected" } else { "NOT CONNECTED" };
    let _ = writeln!(text, "node        {} (caseledgerd {})", status.node, status.version);
    let _ = writeln!(text, "broker      {}", yes(status.broker_connected));
    let _ = writeln!(text, "spool       {} bytes waiting", thousands(status.spool_bytes));
    let _ = writeln!(text, "spare keys  {} patients\n", thousands(status.spare_keys));
    let mut ledgers = Table::with_heading([
        "ledger",
        "condition",
        "records",
        "signed",
        "witnesses",
        "sequence",
        "time",
        "root",
    ])
    .right_aligned([2, 3, 5]);
    for one in &status.ledgers {
        let head = one.head.clone().unwrap_or_default();
        ledgers.row([
            name(head.ledger.as_ref()),
            condition(one),
            thousands(head.size),
            thousands(one.checkpoint_size),
            witnesses(one.witnesses),
            thousands(head.sequence),
            time::short(head.time.as_ref()),
            hex::encode(head.root.get(..8).unwrap_or_default()),
        ]);
    }
    text.push_str(&ledgers.lines(""));
    if status.alarms.is_empty() {
        text.push_str("\nno alarms\n");
        return text;
    }
    let mut alarms =
        Table::with_heading(["alarm", "ledger", "last noticed", "times", "what to do"])
            .right_aligned([3]);
    for alarm in &status.alarms {
        alarms.row([
            alarm.code.clone(),
            alarm.ledger.as_ref().map(|id| name(Some(id))).unwrap_or_default(),
            time::short(alarm.noticed_at.as_ref()),
            thousands(alarm.count),
            alarm.text.clone(),
        ]);
    }
    let _ = write!(text, "\n{}", alarms.lines(""));
    text
}

/// Whether somebody outside has seen what is signed.
fn witnesses(count: u32) -> String {
    if count == 0 { "UNWITNESSED".to_owned() } else { count.to_string() }
}

fn condition(status: &v1::LedgerStatus) -> String {
    let condition = match status.condition() {
        v1::LedgerCondition::Serving => "serving",
        v1::LedgerCondition::ReadOnly => "READ ONLY",
        v1::LedgerCondition::CatchingUp => "CATCHING UP",
        v1::LedgerCondition::Stopped => "STOPPED",
        v1::LedgerCondition::Unspecified => "unknown",
    };
    match status.reason.as_str() {
        "" => condition.to_owned(),
        reason => format!("{condition}: {}", one_line(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_with(condition: v1::LedgerCondition) -> v1::GetNodeStatusResponse {
        v1::GetNodeStatusResponse {
            node: "ab".repeat(16),
            version: "0.1.0".to_owned(),
            broker_connected: true,
            ledgers: vec![v1::LedgerStatus {
                head: Some(v1::Head {
                    ledger: Some(v1::LedgerId { kind: 2, shard: 0, period: 0 }),
                    size: 1234,
                    root: vec![0xab; 32],
                    ..Default::default()
                }),
                condition: condition.into(),
                reason: "broker away".to_owned(),
                checkpoint_size: 1230,
                signed_size: 1234,
                witnesses: 0,
            }],
            ..Default::default()
        }
    }

    #[test]
    fn a_node_that_does_not_serve_says_so() {
        assert!(is_serving(&status_with(v1::LedgerCondition::Serving)));
        assert!(!is_serving(&v1::GetNodeStatusResponse::default()));
        let status = status_with(v1::LedgerCondition::ReadOnly);
        assert!(!is_serving(&status));
        let text = status_text(&status);
        assert!(
            text.contains("access.0.0  READ ONLY: broker away    1,234   1,230  UNWITNESSED"),
            "{text}"
        );
        assert_eq!(status_json(&status)["serving"], false);
    }

    #[test]
    fn a_head_names_its_ledger() {
        let head = status_with(v1::LedgerCondition::Serving).ledgers[0].head.clone().unwrap();
        let json = head_json(&head);
        assert_eq!(json["ledger"], "access.0.0");
        assert_eq!(json["size"], 1234);
        assert_eq!(json["root"], "ab".repeat(32));
        let text = heads_text(std::slice::from_ref(&head));
        assert!(text.contains("size         1,234 records\n") && text.ends_with(GOOD_FOR));
        assert_eq!(heads_json(&[head.clone(), head], None)["heads"][1]["ledger"], "access.0.0");
    }
}
