//! The stable codes of all errors of this crate, in one table.
//!
//! A code never changes its meaning and is never reused. The errors of chains and the journal have their table in
//! `theater-chain`.

use theater_plugin_api::descriptor::SectionError;

use crate::support::error::Error;
use crate::support::error::actor::ActorProblem;
use crate::support::error::component::ComponentProblem;
use crate::support::error::handler::HandlerProblem;
use crate::support::error::manifest::ManifestProblem;
use crate::support::error::plugin::{PluginProblem, Problem};

impl Error {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ManifestRead { .. } => "M0001",
            Self::PermissionsRead { .. } => "M0011",
            Self::Manifest { what, .. } => what.code(),
            Self::ComponentRead { .. } => "C0001",
            Self::NotGranted { .. } => "A0008",
            Self::TooLong { .. } => "A0009",
            Self::Component { what, .. } => what.code(),
            Self::Handler { what, .. } => what.code(),
            Self::PluginFolder { .. } => "P0001",
            Self::NoSuchPlugin { .. } => "P0022",
            Self::NothingToAsk { .. } => "P0024",
            Self::Plugin { what } => what.code(),
            Self::Actor { what, .. } => what.code(),
            Self::NoSuchActor(_) => "A0006",
            Self::Command { .. } => "O0001",
            Self::OpenFiles { .. } => "S0004",
            Self::Engine(_) => "S0005",
            Self::Chain(error) => error.code(),
            Self::Replay { .. } => "J0006",
        }
    }
}

impl ManifestProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "M0002",
            Self::UnknownKey { .. } => "M0003",
            Self::WrongType { .. } => "M0004",
            Self::Missing { .. } => "M0005",
            Self::ConfigTwice { .. } => "M0006",
            Self::Substitution(_) => "M0007",
            Self::Config { .. } => "M0008",
            Self::Value { .. } => "M0009",
            Self::Interface { .. } => "M0010",
        }
    }
}

impl ComponentProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::NotWasm(_) => "C0002",
            Self::Refused(_) => "C0016",
            Self::CoreModule => "C0003",
            Self::UnknownImport { .. } | Self::BareImport(_) => "C0004",
            Self::Wasi(_) => "C0005",
            Self::MissingHandler { .. } => "C0006",
            Self::MissingExport { .. } => "C0007",
            Self::Type { .. } => "C0008",
            Self::NoFunction { .. } => "C0009",
            Self::Convention { .. } => "C0010",
            Self::Unsupported { .. } => "C0011",
            Self::Version { .. } => "C0012",
            Self::Digest { .. } => "C0013",
            Self::Link(_) => "C0014",
            Self::NoDigest { .. } => "C0015",
        }
    }
}

impl HandlerProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::NoPlugin { .. } => "H0001",
            Self::Twice { .. } => "H0002",
            Self::Attach(_) => "H0003",
            Self::AttachPanicked { .. } => "H0004",
            Self::Started(_) => "H0005",
            Self::Narrow(_) => "H0006",
            Self::NotResumed(_) => "H0007",
        }
    }
}

impl ActorProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::InitErr(_) => "A0001",
            Self::InitFailed(_) => "A0002",
            Self::InitShutdown => "A0003",
            Self::ParentEnding(_) => "A0004",
            Self::Failed { .. } => "A0005",
            Self::NotResumed(_) => "A0007",
            Self::TooMany { .. } => "A0010",
            Self::OverBudget(_) => "A0011",
        }
    }
}

impl PluginProblem {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.what {
            Problem::Read(_) => "P0002",
            Problem::NotLibrary(_) => "P0003",
            Problem::NoDescriptor => "P0004",
            Problem::Section(SectionError::Layout(_)) => "P0023",
            Problem::Section(_) => "P0005",
            Problem::Architecture { .. } => "P0006",
            Problem::TooNew(_) => "P0007",
            Problem::TooOld(_) => "P0008",
            Problem::PanicAborts => "P0009",
            Problem::Descriptor(_) => "P0010",
            Problem::Wit(_) => "P0011",
            Problem::Service(..) => "P0012",
            Problem::Layout(_) => "P0013",
            Problem::NoEntry(_) => "P0014",
            Problem::Open(_) => "P0015",
            Problem::Init(_) => "P0016",
            Problem::InitPanicked(_) => "P0017",
            Problem::NameTwice(_) => "P0018",
            Problem::HandlerTwice { .. } => "P0019",
            Problem::Copy { .. } => "P0020",
            Problem::Ambient => "P0021",
        }
    }
}
