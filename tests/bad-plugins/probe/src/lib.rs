//! The healthy plugin that all fixtures share. Each fixture overrides the one thing that it breaks.
//!
//! [`plugin!`] defines a fixture through `bindings!`, as an author would. [`by_hand`] is for parts that cannot be
//! broken through `bindings!`.

pub mod by_hand;

use std::future::Future;

use theater_plugin_api::Host;

/// A handler that implements `wit/probe.wit` correctly, except for overridden methods.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// The plugin's `init`.
    ///
    /// # Errors
    /// If the fixture breaks this.
    fn init() -> Result<(), String> {
        Ok(())
    }
    /// The plugin's `attach`.
    ///
    /// # Errors
    /// If the fixture breaks this.
    fn attach(host: Host) -> Result<Self, String>;
    /// `probe/run`.
    ///
    /// # Errors
    /// If the fixture breaks this.
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

/// Defines a plugin with a [`Fixture`] as its handler: `plugin!(Fixture, "name", "handler:type")`. An optional last
/// argument has the required services, in the syntax of `bindings!`.
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
