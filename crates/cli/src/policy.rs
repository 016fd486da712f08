//! `caseledger policy`: all but `try`, which is below.

pub(crate) mod options;
mod trial;

use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use api::v1;
use api::v1::policy_service_client::PolicyServiceClient;
use serde_json::json;

use crate::connection::{Authenticated, connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::Global;
use crate::output::{Output, Table, one_line};
use crate::purpose::{self, Otherwise};
use crate::time;
use options::{Named, Policies, Propose, Show};

type Client = PolicyServiceClient<Authenticated>;

pub(crate) async fn run(
    global: &Global,
    wanted: &Policies,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let purpose = purpose::of(global, Otherwise::ByRole)?;
    match wanted {
        Policies::List => list(global, purpose, output).await,
        Policies::Show(wanted) => show(global, purpose, wanted, output).await,
        Policies::Propose(wanted) => propose(global, purpose, wanted, output).await,
        Policies::Try(wanted) => trial::run(global, purpose, wanted, output).await,
        Policies::Adopt(wanted) => adopt(global, purpose, wanted, output).await,
        Policies::Withdraw(wanted) => withdraw(global, purpose, wanted, output).await,
    }
}

async fn client(global: &Global) -> Result<Client, Failure> {
    Ok(PolicyServiceClient::new(connect(global).await?))
}

/// What the node says to a call of this service that it refuses.
fn refused(global: &Global, call: &'static str) -> impl Fn(tonic::Status) -> Failure {
    move |status| Failure::of(&global.server, call, status)
}

async fn list(global: &Global, purpose: v1::Purpose, output: &Output) -> Result<ExitCode, Failure> {
    let mut client = client(global).await?;
    let mut request = v1::ListPoliciesRequest {
        purpose: Some(purpose),
        page_size: 200,
        page_token: String::new(),
    };
    let (mut policies, mut receipts) = (Vec::new(), Vec::new());
    loop {
        let page = client
            .list_policies(timed(request.clone()))
            .await
            .map_err(refused(global, "PolicyService/ListPolicies"))?
            .into_inner();
        policies.extend(page.policies);
        receipts.push(hex::encode(page.receipt));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let as_json = || {
        let policies: Vec<_> = policies.iter().map(|one| json::of("Policy", one)).collect();
        json!({"policies": policies, "receipts": receipts})
    };
    output.show(as_json, || listed(&policies, &receipts))?;
    Ok(ExitCode::SUCCESS)
}

/// Sets in short.
pub(crate) fn listed(policies: &[v1::Policy], receipts: &[String]) -> String {
    let mut table =
        Table::with_heading(["id", "status", "version", "proposed", "by", "adopted", "by"]);
    for policy in policies {
        let step = |step: &Option<v1::PolicyStep>| match step {
            Some(step) => (time::short(step.at.as_ref()), step.author.clone()),
            None => (String::new(), String::new()),
        };
        let (proposed, by) = step(&policy.proposed);
        let (adopted, second) = step(&policy.adopted);
        let (id, version) = (policy.policy_id.clone(), policy.version.clone());
        table.row([id, status(policy), version, proposed, by, adopted, second]);
    }
    let mut text = table.lines("");
    for receipt in receipts {
        let _ = write!(text, "\nreceipt {receipt}");
    }
    text
}

/// What has become of it, in words that say more than its FHIR code.
fn status(policy: &v1::Policy) -> String {
    match policy.status.as_str() {
        _ if policy.in_force => "in force",
        // What Caseledger comes with, too: another set decides now.
        "active" => "superseded",
        "retired" => "withdrawn",
        other => other,
    }
    .to_owned()
}

async fn show(
    global: &Global,
    purpose: v1::Purpose,
    wanted: &Show,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let request = v1::PolicyServiceGetPolicyRequest {
        purpose: Some(purpose),
        policy_id: wanted.policy.clone(),
    };
    let answer = client(global)
        .await?
        .get_policy(timed(request))
        .await
        .map_err(refused(global, "PolicyService/GetPolicy"))?
        .into_inner();
    let policy = answer.policy.clone().unwrap_or_default();
    output.show(
        || json::of("PolicyServiceGetPolicyResponse", &answer),
        || if wanted.text { policy.text.clone() } else { shown(&policy, &answer.receipt) },
    )?;
    Ok(ExitCode::SUCCESS)
}

fn shown(policy: &v1::Policy, receipt: &[u8]) -> String {
    // A policy's text is the hospital's own, and was checked to hold no control characters.
    format!("{}receipt   {}\n\n{}", steps(policy), hex::encode(receipt), policy.text)
}

/// What became of a set until now.
pub(crate) fn steps(policy: &v1::Policy) -> String {
    let mut text = format!(
        "policy    {}\nversion   {}\nstatus    {}\n",
        policy.policy_id,
        policy.version,
        status(policy)
    );
    let steps = [
        ("proposed", &policy.proposed),
        ("adopted", &policy.adopted),
        ("withdrawn", &policy.withdrawn),
    ];
    for (name, step) in steps {
        let Some(step) = step else { continue };
        let (at, author) = (time::short(step.at.as_ref()), one_line(&step.author));
        let _ = writeln!(text, "{name:<9} {at} by {author}: {}", one_line(&step.reason));
    }
    text
}

/// Why a step is taken: every step needs a reason, and it is the caller's own.
fn reason(global: &Global) -> Result<String, Failure> {
    global.reason.clone().ok_or_else(|| Failure::Usage("say with --reason why".to_owned()))
}

async fn propose(
    global: &Global,
    purpose: v1::Purpose,
    wanted: &Propose,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let text = fs::read_to_string(&wanted.file)
        .map_err(|error| Failure::local(format!("read {}", wanted.file.display()), error))?;
    let (purpose, request_id, reason) = (Some(purpose), wanted.request.get()?, reason(global)?);
    let filed_under = request_id.clone();
    let request = v1::ProposePolicyRequest { purpose, request_id, text, reason };
    let answer = client(global)
        .await?
        .propose_policy(timed(request))
        .await
        .map_err(refused(global, "PolicyService/ProposePolicy"))
        .map_err(|failure| failure.filing(&filed_under))?
        .into_inner();
    let text = || {
        let v1::ProposePolicyResponse { policy_id, version, .. } = &answer;
        format!(
            "proposed {policy_id}, {version}\n  try it:  caseledger policy try {policy_id} --from DATE\n  \
             then somebody else: caseledger policy adopt {policy_id} --reason TEXT"
        )
    };
    output.show(|| json::of("ProposePolicyResponse", &answer), text)?;
    Ok(ExitCode::SUCCESS)
}

async fn adopt(
    global: &Global,
    purpose: v1::Purpose,
    wanted: &Named,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let request_id = wanted.request.get()?;
    let request = v1::AdoptPolicyRequest {
        purpose: Some(purpose),
        request_id: request_id.clone(),
        policy_id: wanted.policy.clone(),
        reason: reason(global)?,
    };
    let answer = client(global)
        .await?
        .adopt_policy(timed(request))
        .await
        .map_err(refused(global, "PolicyService/AdoptPolicy"))
        .map_err(|failure| failure.filing(&request_id))?
        .into_inner();
    let text = || format!("{} is in force from position {} on", answer.version, answer.position);
    output.show(|| json::of("AdoptPolicyResponse", &answer), text)?;
    Ok(ExitCode::SUCCESS)
}

async fn withdraw(
    global: &Global,
    purpose: v1::Purpose,
    wanted: &Named,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let request_id = wanted.request.get()?;
    let request = v1::WithdrawPolicyRequest {
        purpose: Some(purpose),
        request_id: request_id.clone(),
        policy_id: wanted.policy.clone(),
        reason: reason(global)?,
    };
    let answer = client(global)
        .await?
        .withdraw_policy(timed(request))
        .await
        .map_err(refused(global, "PolicyService/WithdrawPolicy"))
        .map_err(|failure| failure.filing(&request_id))?
        .into_inner();
    output.show(|| json::of("WithdrawPolicyResponse", &answer), || "withdrawn".to_owned())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_says_who_proposed_and_adopted_it_and_why() {
        let step = |author: &str, reason: &str| {
            let (author, reason) = (author.to_owned(), reason.to_owned());
            Some(v1::PolicyStep { author, reason, ..v1::PolicyStep::default() })
        };
        let policy = v1::Policy {
            policy_id: "5f".repeat(16),
            status: "active".to_owned(),
            in_force: true,
            proposed: step("ada", "billing\u{1b}[2J"),
            adopted: step("ben", "tried"),
            text: "permit (principal, action, resource);".to_owned(),
            ..v1::Policy::default()
        };
        let text = shown(&policy, &[7; 32]);
        assert!(text.contains("status    in force\n"), "{text}");
        assert!(text.contains(" by ben: tried\n") && !text.contains('\u{1b}'), "{text}");
        assert!(text.ends_with("\n\npermit (principal, action, resource);"), "{text}");
        let list = listed(std::slice::from_ref(&policy), &["07".to_owned()]);
        assert!(list.contains("in force") && list.ends_with("receipt 07"), "{list}");
        for (code, word) in [("active", "superseded"), ("retired", "withdrawn"), ("draft", "draft")]
        {
            let status = code.to_owned();
            let policy = v1::Policy { in_force: false, status, ..policy.clone() };
            assert!(listed(&[policy], &[]).contains(word), "{code}");
        }
    }
}
