//! Weir's own certificate authority: made once, kept in the data directory, signs the server's certificate (anew at every
//! start and while running, so that it never runs out) and those of administrators.
//!
//! Keys are ECDSA P-256. Files with secrets are readable by their owner alone.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::random::Random;

/// Seconds a certificate counts from before it was made, for clocks that are behind.
const LEEWAY: i64 = 3600;
const DAY: i64 = 24 * 3600;
const CA_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 398;
const CLIENT_DAYS: i64 = 3650;

/// Why certificates could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate could not be made or parsed.
    #[error("certificate authority: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The certificate authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate with its private key.
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The certificate as PEM.
    pub certificate_pem: String,
    /// The key as PEM.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Authority {
    /// Reads the authority from `dir`, or makes it there.
    ///
    /// # Errors
    /// [`PkiError`] when files cannot be read or written or hold something else.
    pub fn open(dir: &Path, now: Timestamp, random: &Random) -> Result<Authority, PkiError> {
        let key_path = dir.join("ca.key");
        let certificate_path = dir.join("ca.crt");
        if !key_path.exists() || !certificate_path.exists() {
            create_dir(dir)?;
            let (certificate, key) = make_authority(now, random)?;
            write_secret(&key_path, key.as_bytes())?;
            write_atomically(&certificate_path, certificate.as_bytes(), 0o644)?;
        }
        let key = KeyPair::from_pem(&read(&key_path)?)?;
        let pem = read(&certificate_path)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
        let der = rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes())
            .map_err(|_| PkiError::Certificate(rcgen::Error::CouldNotParseCertificate))?;
        Ok(Authority { issuer, pem, der })
    }

    /// The authority's certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority's certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// A certificate for this server, good for the given DNS names and addresses.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] for a name that is neither.
    pub fn server(&self, names: &[String], now: Timestamp, random: &Random) -> Result<Identity, PkiError> {
        let mut params = params("weir", None, now, SERVER_DAYS, random);
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A certificate for a user and a group.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] when signing fails.
    pub fn client(
        &self,
        user: &str,
        group: &str,
        now: Timestamp,
        random: &Random,
    ) -> Result<Identity, PkiError> {
        let mut params = params(user, Some(group), now, CLIENT_DAYS, random);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity, PkiError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

fn make_authority(now: Timestamp, random: &Random) -> Result<(String, String), PkiError> {
    let mut suffix = [0; 4];
    random.fill(&mut suffix);
    // A name of its own keeps the authorities of several data directories apart in clients' trust stores.
    let name = format!("weir-ca-{}", crate::random::hex(&suffix));
    let mut params = params(&name, None, now, CA_DAYS, random);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn params(user: &str, group: Option<&str>, now: Timestamp, days: i64, random: &Random) -> CertificateParams {
    let at =
        |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    let mut serial = [0; 16];
    random.fill(&mut serial);
    serial[0] &= 0x7f;
    let mut params = CertificateParams::default();
    params.not_before = at(now.as_second() - LEEWAY);
    params.not_after = at(now.as_second() + days * DAY);
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source })
}

/// Makes a directory that only its owner can enter.
///
/// # Errors
/// [`PkiError::File`].
pub fn create_dir(dir: &Path) -> Result<(), PkiError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| PkiError::File { path: dir.to_owned(), source })
}

/// Writes a file that only its owner can read; a reader sees the old content or the new one, never a part.
///
/// # Errors
/// [`PkiError::File`].
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    write_atomically(path, content, 0o600)
}

/// Writes a file so that a reader sees the old content or the new one, never a part.
///
/// # Errors
/// [`PkiError::File`].
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let write = || -> io::Result<()> {
        // A left-over of a crash may have another mode.
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| PkiError::File { path: path.to_owned(), source })
}
