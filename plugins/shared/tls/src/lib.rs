//! TLS for plugins that listen or connect: certificates and keys from files, roots from the system.
//!
//! This is not a plugin: it is a plain library that is linked into each of them. It speaks TLS 1.2 and 1.3 through
//! rustls with ring; both sides offer HTTP/1.1 (ALPN, RFC 7301). Certificate checks cannot be turned off: there is no
//! parameter for it.
//!
//! All functions read files and block.

#![forbid(unsafe_code)]

mod stream;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::pki_types::pem::{self, PemObject};
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

pub use futures_rustls::rustls::pki_types::ServerName;
pub use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
pub use stream::Stream;

/// Errors of [`acceptor`] and [`connector`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read, or does not contain what it should.
    #[error("{} has no {what} that can be used: {source}; PEM is needed", path.display())]
    File {
        /// What the file should contain: `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The PEM or I/O error.
        source: pem::Error,
    },
    /// A certificate file has no certificate.
    #[error("{} has no certificate: PEM is needed, `-----BEGIN CERTIFICATE-----`", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key do not belong together, or one of them is not supported.
    #[error("the certificate in {} and the key in {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// The system has no root certificates, and no others were given.
    #[error(
        "this machine trusts no certificate authority: install the package ca-certificates, or set SSL_CERT_FILE to a \
         file of certificates"
    )]
    NoRoots,
    /// rustls rejected the configuration.
    #[error("TLS could not be set up: {0}")]
    Setup(#[from] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::File { what: "certificate", path: path.to_owned(), source };
    let all = CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if all.is_empty() { Err(Error::Empty(path.to_owned())) } else { Ok(all) }
}

/// Creates an acceptor for TLS connections from two PEM files: the certificate chain and its private key. Blocks.
///
/// # Errors
/// Fails if a file has no certificate or key, or if the key belongs to another certificate.
pub fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|source| Error::File { what: "private key", path: key.to_owned(), source })?;
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let config = config.with_no_client_auth().with_single_cert(chain, private);
    let mut config = config.map_err(|source| Error::Pair { cert: cert.to_owned(), key: key.to_owned(), source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Creates a connector for TLS connections. It trusts the system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` where they
/// are set), which are loaded once per process, and the certificates in the PEM files `more`. Blocks.
///
/// # Errors
/// Fails if there is no root at all, or if a file of `more` has no certificate.
pub fn connector(more: &[PathBuf]) -> Result<TlsConnector, Error> {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // A root that cannot be read is not trusted; the others are.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    let mut roots = system.clone();
    for path in more {
        roots.add_parsable_certificates(certificates(path)?);
    }
    if roots.is_empty() {
        return Err(Error::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("theater-tls-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_certificate_and_its_key_are_taken_and_anything_else_is_not() {
        let scratch = Scratch::new("pair");
        let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let cert = scratch.write("cert.pem", &one.cert.pem());
        let key = scratch.write("key.pem", &one.signing_key.serialize_pem());
        let foreign = scratch.write("foreign.pem", &other.signing_key.serialize_pem());
        let nothing = scratch.write("nothing.pem", "");
        let garbage = scratch.write("garbage.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        let wrong = scratch.write("wrong.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let missing = scratch.0.join("missing.pem");
        assert!(acceptor(&cert, &key).is_ok());
        let error = |cert: &Path, key: &Path| acceptor(cert, key).err().unwrap().to_string();
        assert!(error(&cert, &foreign).contains("cannot be used together"));
        assert!(error(&nothing, &key).contains("has no certificate"));
        assert!(error(&key, &key).contains("has no certificate"));
        assert!(error(&cert, &nothing).contains("no private key"));
        assert!(error(&cert, &cert).contains("no private key"));
        assert!(error(&garbage, &key).contains("has no certificate that can be used"));
        assert!(error(&wrong, &key).contains("cannot be used together"));
        assert!(error(&missing, &key).contains("missing.pem"));
        assert!(error(&cert, &missing).contains("missing.pem"));
    }

    #[test]
    fn more_roots_must_be_certificates() {
        let scratch = Scratch::new("roots");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let cert = scratch.write("cert.pem", &made.cert.pem());
        assert!(connector(&[cert]).is_ok());
        let key = scratch.write("key.pem", &made.signing_key.serialize_pem());
        assert!(connector(&[key]).err().unwrap().to_string().contains("has no certificate"));
    }
}
