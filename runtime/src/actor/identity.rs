//! Who an actor is: all that the directory of actors and the child table need to know of one.

use theater_chain::event::Id;

/// A value with the id and the name of an actor.
pub trait Identity: Send + Sync + 'static {
    /// Its id.
    fn id(&self) -> Id;

    /// Its id as text.
    fn id_text(&self) -> &str;

    /// Its name.
    fn name(&self) -> &str;
}
