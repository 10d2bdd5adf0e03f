//! Certificates of tests' own: an authority, and what it signs.
//!
//! A crate of its own, for dev-dependencies alone: as a feature of `theater-tls` it would change how the plugins are built
//! beside tests.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "tests alone use it")]

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate authority whose files stand in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority; its certificate is `ca.pem` in the folder.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are names");
        // By names of their own: what has its issuer's is taken for signed by itself.
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.self_signed(&key).expect("a certificate can be made");
        std::fs::write(folder.join("ca.pem"), cert.pem()).expect("the folder can be written");
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// The file of its certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Signs a certificate for a name or an address, for a year that is over when `expired`: the files of certificate and
    /// key.
    ///
    /// # Panics
    /// When the folder cannot be written.
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
