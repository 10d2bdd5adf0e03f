//! The chain of an actor, as its lock guards it.

use theater_chain::event::Chain;

/// A chain, and whether it has ended. The lock around it also orders everything that must agree with the order of events:
/// calls are recorded and put into the mailbox under it, and the mailbox is closed under it.
pub(crate) struct ChainState {
    pub(crate) chain: Chain,
    // No event follows the last one, unless the actor is started again.
    pub(crate) closed: bool,
}
