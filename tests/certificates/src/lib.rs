//! A certificate authority for tests, and the certificates that it signs.
//!
//! This is a separate crate, used only as a dev-dependency: a feature of `theater-tls` would change how the plugins are
//! built when tests are built with them.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "tests alone use it")]

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate authority with its files in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates an authority and writes its certificate to `ca.pem` in the folder.
    ///
    /// # Panics
    /// If the folder cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are names");
        // The subject name must differ from those of the signed certificates: a certificate whose subject equals its
        // issuer is taken for self-signed.
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.self_signed(&key).expect("a certificate can be made");
        std::fs::write(folder.join("ca.pem"), cert.pem()).expect("the folder can be written");
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// The path of the authority's certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Signs a certificate for a host name or an IP address, and returns the files of certificate and key. With
    /// `expired`, the certificate was valid only in 2001.
    ///
    /// # Panics
    /// If the folder cannot be written.
    #[must_use]
    pub fn sign(&self, name: &str, expired: bool) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
        params.distinguished_name.push(DnType::CommonName, name);
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        let stem = format!("{}{}", name.replace(':', "-"), if expired { "-expired" } else { "" });
        let files = [format!("{stem}.pem"), format!("{stem}-key.pem")].map(|file| self.folder.join(file));
        let [cert_file, key_file] = files;
        std::fs::write(&cert_file, cert.pem()).expect("the folder can be written");
        std::fs::write(&key_file, key.serialize_pem()).expect("the folder can be written");
        (cert_file, key_file)
    }
}
