//! The host functions that need an actor, for hosts without one.

/// Implements the functions of `HostSide` that need an actor: each fails with that sentence.
macro_rules! without_actor {
    ($sentence:expr) => {
        fn call(&self, _: u32, _: &[u8], _: String) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn call_from(&self, _: Message<'_>) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn post(&self, _: Message<'_>, _: bool) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn stage(&self, _: Message<'_>, _: &[u8]) -> impl Future<Output = Answer> + Send + 'static {
            std::future::ready(Answer::with(ABSENT, $sentence))
        }
        fn spawn_child(
            &self,
            _: String,
            _: Option<Vec<u8>>,
        ) -> impl Future<Output = Result<String, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn resume_child(
            &self,
            _: String,
            _: Option<Vec<u8>>,
        ) -> impl Future<Output = Result<String, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn restart_child(&self, _: String, _: bool) -> impl Future<Output = Result<(), String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn stop_child(&self, _: String) -> impl Future<Output = Result<(), String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn release_child(&self, _: &str) -> Result<(), String> {
            Err($sentence.to_owned())
        }
        fn children(&self) -> Vec<String> {
            Vec::new()
        }
        fn child_state(&self, _: &str) -> Result<Option<Bytes>, String> {
            Err($sentence.to_owned())
        }
        fn child_events(&self, _: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static {
            std::future::ready(Err($sentence.to_owned()))
        }
        fn fail(&self, _: String) {}
        fn note(&self, _: &str, _: &[u8]) -> Result<(), String> {
            Err($sentence.to_owned())
        }
    };
}
pub(crate) use without_actor;
