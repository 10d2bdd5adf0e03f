//! What the fixtures have in common: a healthy plugin, of which each fixture overrides the one thing it breaks.
//!
//! [`plugin!`] makes a fixture through `bindings!`, as any author would. [`by_hand`] is for what `bindings!` does not let
//! anybody break.

pub mod by_hand;

use std::future::Future;

use theater_plugin_api::Host;

/// A handler that does what `wit/probe.wit` says, until a method is overridden.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// The plugin's `init`.
    ///
    /// # Errors
    /// When that is what is broken.
    fn init() -> Result<(), String> {
        Ok(())
    }
    /// The plugin's `attach`.
    ///
    /// # Errors
    /// When that is what is broken.
    fn attach(host: Host) -> Result<Self, String>;
    /// `probe/run`.
    ///
    /// # Errors
    /// When that is what is broken.
    fn run(&self, text: String) -> Result<String, String> {
        Ok(text)
    }
    /// `probe/run-later`.
    fn run_later(&self, text: String) -> impl Future<Output = Result<String, String>> + Send {
        async { Ok(text) }
    }
    /// `probe/bare`.
    fn bare(&self) -> u32 {
        7
    }
}

/// Makes a plugin of the [`Fixture`] with that name: `plugin!(Fixture, "name", "handler:type")`, and behind it the
/// services it needs as `bindings!` wants them.
#[macro_export]
macro_rules! plugin {
    ($fixture:ident, $name:literal, $handler:literal) => {
        $crate::plugin!($fixture, $name, $handler, {});
    };
    ($fixture:ident, $name:literal, $handler:literal, $services:tt) => {
        ::theater_plugin_api::bindings! {
            plugin: Made,
            handler: $fixture,
            name: $name,
            wit: "../wit",
            handlers: [$handler],
            services: $services,
            provides: { "bad:plugin/probe@1.0.0": { "run": read, "run-later": async read, "bare": read } },
        }

        struct Made;

        impl ::theater_plugin_api::Plugin for Made {
            type Handler = $fixture;
            fn init(_: ::theater_plugin_api::Host) -> Result<Self, String> {
                <$fixture as $crate::Fixture>::init().map(|()| Made)
            }
            async fn attach(
                &self,
                host: ::theater_plugin_api::Host,
                _: ::theater_plugin_api::Attachment,
            ) -> Result<$fixture, String> {
                $crate::Fixture::attach(host)
            }
        }

        impl ::theater_plugin_api::Handler for $fixture {}

        impl bad::plugin::probe::Probe for $fixture {
            fn run(&self, _: &::theater_plugin_api::Call, text: &str) -> Result<String, String> {
                $crate::Fixture::run(self, text.to_owned())
            }
            async fn run_later(&self, _: &::theater_plugin_api::Call, text: String) -> Result<String, String> {
                $crate::Fixture::run_later(self, text).await
            }
            fn bare(&self, _: &::theater_plugin_api::Call) -> u32 {
                $crate::Fixture::bare(self)
            }
        }
    };
}
