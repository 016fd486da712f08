//! `PolicyService`, but for trials.

use api::v1 as proto;
use api::v1::policy_service_server::PolicyService;
use domain::DocumentId;
use engine::{Context, Failure, Operation, PolicyAnswer, PolicyPage};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::{Call, request_id};
use crate::convert::policy::{listed_out, policy_out, proposal_in, which_in};
use crate::convert::values::all;
use crate::convert::{At, Report};
use crate::pages::Place;
use crate::stream::Out;

#[tonic::async_trait]
impl PolicyService for Services {
    async fn propose_policy(
        &self,
        request: Request<proto::ProposePolicyRequest>,
    ) -> Result<Response<proto::ProposePolicyResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.propose(&call, &message).await;
        call.answer(answer)
    }

    async fn adopt_policy(
        &self,
        request: Request<proto::AdoptPolicyRequest>,
    ) -> Result<Response<proto::AdoptPolicyResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.adopt(&call, &message).await;
        call.answer(answer)
    }

    async fn withdraw_policy(
        &self,
        request: Request<proto::WithdrawPolicyRequest>,
    ) -> Result<Response<proto::WithdrawPolicyResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.withdraw(&call, &message).await;
        call.answer(answer)
    }

    async fn get_policy(
        &self,
        request: Request<proto::PolicyServiceGetPolicyRequest>,
    ) -> Result<Response<proto::PolicyServiceGetPolicyResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.policy(&call, &message).await;
        call.answer(answer)
    }

    async fn list_policies(
        &self,
        request: Request<proto::ListPoliciesRequest>,
    ) -> Result<Response<proto::ListPoliciesResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.policies(&call, message).await;
        call.answer(answer)
    }

    type TryPolicyStream = Out<Result<proto::TryPolicyResponse, Status>>;

    async fn try_policy(
        &self,
        request: Request<proto::TryPolicyRequest>,
    ) -> Result<Response<Self::TryPolicyStream>, Status> {
        self.tried(request).await
    }
}

/// A step that is asked for.
struct Step<'a> {
    context: Context,
    request_id: &'a str,
    policy: DocumentId,
}

/// What a request for a step asks for.
fn step_in<'a>(
    call: &Call,
    operation: Operation,
    message: &impl Message,
    purpose: Option<&proto::Purpose>,
    (id, policy): (&'a str, &str),
) -> Result<Step<'a>, Failure> {
    let mut report = Report::default();
    let context = call.context(operation, purpose, message, &mut report);
    let request_id = request_id(id, &mut report);
    let policy = proposal_in(policy, &At::TOP.field("policy_id"), &mut report);
    let asked = context.zip(request_id).zip(policy);
    let ((context, request_id), policy) = report.finish(asked)?;
    Ok(Step { context, request_id, policy })
}

impl Services {
    async fn propose(
        &self,
        call: &Call,
        message: &proto::ProposePolicyRequest,
    ) -> Result<proto::ProposePolicyResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::ProposePolicy;
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let id = request_id(&message.request_id, &mut report);
        if message.text.is_empty() {
            report.missing(&At::TOP.field("text"));
        }
        let (context, id) = report.finish(context.zip(id))?;
        let (text, reason) = (&message.text, &message.reason);
        let proposed = self.engine().propose_policy(&context, id, text, reason).await?;
        Ok(proto::ProposePolicyResponse {
            policy_id: proposed.filed.id.to_string(),
            version: proposed.version,
            position: proposed.filed.position,
            repeated_request: !proposed.filed.first,
        })
    }

    async fn adopt(
        &self,
        call: &Call,
        message: &proto::AdoptPolicyRequest,
    ) -> Result<proto::AdoptPolicyResponse, Failure> {
        let named = (message.request_id.as_str(), message.policy_id.as_str());
        let purpose = message.purpose.as_ref();
        let step = step_in(call, Operation::AdoptPolicy, message, purpose, named)?;
        let Step { context, request_id, policy } = step;
        let adopted =
            self.engine().adopt_policy(&context, request_id, policy, &message.reason).await?;
        Ok(proto::AdoptPolicyResponse {
            version: adopted.version,
            position: adopted.filed.position,
            repeated_request: !adopted.filed.first,
        })
    }

    async fn withdraw(
        &self,
        call: &Call,
        message: &proto::WithdrawPolicyRequest,
    ) -> Result<proto::WithdrawPolicyResponse, Failure> {
        let named = (message.request_id.as_str(), message.policy_id.as_str());
        let purpose = message.purpose.as_ref();
        let step = step_in(call, Operation::WithdrawPolicy, message, purpose, named)?;
        let Step { context, request_id, policy } = step;
        let withdrawn =
            self.engine().withdraw_policy(&context, request_id, policy, &message.reason).await?;
        Ok(proto::WithdrawPolicyResponse {
            position: withdrawn.filed.position,
            repeated_request: !withdrawn.filed.first,
        })
    }

    async fn policy(
        &self,
        call: &Call,
        message: &proto::PolicyServiceGetPolicyRequest,
    ) -> Result<proto::PolicyServiceGetPolicyResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::GetPolicy;
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let which = which_in(&message.policy_id, &At::TOP.field("policy_id"), &mut report);
        let (context, which) = report.finish(context.zip(which))?;
        let shown = self.engine().show_policy(&context, which, text_out).await?;
        Ok(proto::PolicyServiceGetPolicyResponse {
            policy: Some(shown.answer),
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn policies(
        &self,
        call: &Call,
        message: proto::ListPoliciesRequest,
    ) -> Result<proto::ListPoliciesResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::ListPolicies;
        let context = call.context(operation, message.purpose.as_ref(), &message, &mut report);
        let pages = self.pages()?;
        let page = pages.asked(call.caller(), operation, message, &mut report);
        let context = report.finish(context)?;
        let before = page.start.as_ref().map(Place::number).transpose()?;
        let shown = self.engine().list_policies(&context, before, page.size, policies_out).await?;
        let (policies, next) = shown.answer;
        let next = next.map(|before| before.to_be_bytes().to_vec());
        Ok(proto::ListPoliciesResponse {
            policies,
            next_page_token: page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }
}

pub(super) fn text_out(from: &PolicyAnswer) -> (proto::Policy, Vec<u8>) {
    let policy = policy_out(from);
    let bytes = policy.encode_to_vec();
    (policy, bytes)
}

type Page = (Vec<proto::Policy>, Option<u64>);

pub(super) fn policies_out(from: &PolicyPage) -> (Page, Vec<u8>) {
    let policies = all(&from.policies, listed_out);
    let listed = proto::ListPoliciesResponse { policies, ..Default::default() };
    let bytes = listed.encode_to_vec();
    ((listed.policies, from.next), bytes)
}
