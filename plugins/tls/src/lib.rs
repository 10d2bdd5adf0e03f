//! TLS for the plugins that listen or connect: certificates and keys from files, roots from the system.
//!
//! It is no plugin: a plain library, linked into each of them. TLS 1.2 and 1.3 as rustls has them, with ring; HTTP/1.1 is
//! what both sides offer (ALPN, RFC 7301). Nothing in here switches the check of a certificate off, and nothing can: there
//! is no such parameter.
//!
//! Everything in here reads files, and blocks.

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

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that could not be read as what it should be.
    #[error("{} has no {what} that can be used: {source}; PEM is needed", path.display())]
    File {
        /// A certificate or a private key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file of certificates without one.
    #[error("{} has no certificate: PEM is needed, `-----BEGIN CERTIFICATE-----`", .0.display())]
    Empty(PathBuf),
    /// Certificate and key do not belong together, or one of them is not understood.
    #[error("the certificate in {} and the key in {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificates' file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// No root at all.
    #[error(
        "this machine trusts no certificate authority: install its package ca-certificates, or name a file of \
         certificates in SSL_CERT_FILE"
    )]
    NoRoots,
    /// What rustls says about its own settings.
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

/// What takes TLS connections with the certificate chain and the private key of two PEM files.
///
/// # Errors
/// A file that has no such thing, or a key of another certificate.
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

/// What makes TLS connections: it trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set), and
/// the certificates in `more`.
///
/// # Errors
/// No root at all, or a file of `more` that has none.
pub fn connector(more: &[PathBuf]) -> Result<TlsConnector, Error> {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    let system = SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // One that cannot be read is trusted by nobody; those that can be stay.
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
