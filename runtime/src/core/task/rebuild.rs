//! Rebuilds the memory of a kept instance after a resume.

use std::sync::Arc;

use theater_chain::record::{Outcome, Return};
use theater_chain::state_digest::{Change, State};

use crate::core::task::ActorTask;
use crate::core::task::execute::CallResult;
use crate::replay::past::ReexecutedCall;

impl ActorTask {
    /// Re-executes the calls that ran on a kept instance, the first one with `state`. Host calls return their recorded
    /// results, and nothing is recorded.
    ///
    /// # Errors
    /// A call ended differently than recorded, the pool has no slot left, or the program ends.
    pub(in crate::core) async fn rebuild_memory(
        &mut self,
        state: Option<Arc<Vec<u8>>>,
        calls: Vec<ReexecutedCall>,
    ) -> Result<(), String> {
        // Slots of other kept instances never become free.
        if !calls.is_empty() && self.handle.settings.pooled && self.core.pool.is_full() {
            return Err(
                "the pool has no slot left for its kept instance; start the program with a larger --memory".to_owned()
            );
        }
        let mut state = State::new(state);
        for ReexecutedCall { call, returned } in calls {
            if self.handle.services.stopped.is_set() {
                return Err("the program is stopping".to_owned());
            }
            let sequence = call.queued.sequence;
            let call = self.handle.left_call(call)?;
            let CallResult { outcome, state: new, host_calls, .. } = self.call(call, state.share()).await;
            let change = new.filter(|_| matches!(outcome, Outcome::Ok(_))).and_then(|new| state.change(new));
            let now = Return { outcome, host_calls, state: change.as_ref().map(Change::digest) };
            if now != returned {
                let how = match now.outcome {
                    Outcome::Trap(text) | Outcome::Interrupted(text) => format!("ended with: {text}"),
                    Outcome::Ok(_) | Outcome::Err(_) => "ended differently".to_owned(),
                };
                return Err(format!("replay diverged: the re-executed call of event {sequence} {how}"));
            }
            if let Some(change) = change {
                state.commit(change);
            }
        }
        Ok(())
    }
}
