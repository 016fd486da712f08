//! Settling requests whose outcome their callers do not know.

use ledger::Settled;

use crate::Failure;
use crate::answers::Settlement;
use crate::commands::check_request_id;
use crate::context::Context;
use crate::engine::Engine;

impl Engine {
    /// What the caller may do about a request whose outcome it does not know: unless it was filed,
    /// it is abandoned now, for ever.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn settle(&self, ctx: &Context, request_id: &str) -> Result<Settlement, Failure> {
        let _pass = self.admit(ctx, None).await?;
        check_request_id(request_id)?;
        let id = Self::contribution_id(&ctx.caller, request_id);
        let line = &self.records.line;
        if line.store.settled(line.ledger, &id)?.is_none() {
            // The request itself may be under way: it holds its id until its outcome is known.
            let names: [&[u8]; 1] = [&id.0];
            let held = tokio::time::timeout(ctx.patience, self.locks.hold(&names));
            let held = self.stopping.run_until_cancelled(held).await;
            let _held = held.and_then(Result::ok).ok_or(Failure::OutcomeUnknown)?;
            let settled = line.store.settled(line.ledger, &id)?.is_some();
            // Apply has no word for an abandonment that comes too late: what it came after, has.
            if !settled
                && let Err(failure) = self.abandon(id, ctx.patience).await
                && line.store.settled(line.ledger, &id)?.is_none()
            {
                // That the abandonment is not on file says nothing of the request.
                let unsaid = matches!(failure, Failure::NotFiled { .. });
                return Err(if unsaid { Failure::OutcomeUnknown } else { failure });
            }
        }
        match line.store.settled(line.ledger, &id)? {
            Some(Settled::Accepted { first_position, count, .. }) => {
                Ok(Settlement::Filed { position: first_position, count })
            }
            Some(Settled::Abandoned { .. }) => Ok(Settlement::Abandoned),
            None => Err(Failure::OutcomeUnknown),
        }
    }
}
