//! `caseledger settle`.

use api::v1;
use api::v1::patient_file_service_client::PatientFileServiceClient;

use std::process::ExitCode;

use crate::connection::{connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::{Global, Settle};
use crate::output::Output;
use crate::purpose::{self, Otherwise};

pub(crate) async fn run(
    global: &Global,
    settle: &Settle,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut client = PatientFileServiceClient::new(connect(global).await?);
    let request = v1::SettleRequestRequest {
        request_id: settle.request_id.clone(),
        purpose: Some(purpose::of(global, Otherwise::Always("RECORDMGT"))?),
    };
    let answer = client
        .settle_request(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "PatientFileService/SettleRequest", status))?
        .into_inner();
    output.show(|| json::of("SettleRequestResponse", &answer), || text(&answer))?;
    Ok(ExitCode::SUCCESS)
}

fn text(answer: &v1::SettleRequestResponse) -> String {
    match answer.outcome() {
        v1::SettlementOutcome::Filed => {
            format!("filed: {} record(s) from position {}", answer.count, answer.first_position)
        }
        v1::SettlementOutcome::Abandoned => {
            "abandoned: it is not on file and never will be; send it anew under a new request id"
                .to_owned()
        }
        v1::SettlementOutcome::Unspecified => {
            "the server's answer is of a newer version; update this program".to_owned()
        }
    }
}
