//! Encrypted connections to PostgreSQL, as libpq's `sslmode` asks for them.
//!
//! `prefer` (the default) and `require` encrypt without looking at the server's certificate, as everywhere;
//! `verify-full` (and `verify-ca`, which is not weaker here) checks it, against `sslrootcert` or the system's
//! authorities. A given `sslrootcert` makes `require` check as well.

use std::path::PathBuf;
use std::sync::Arc;

use postgres::Config;
use postgres::config::SslMode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::{Error, Result};

pub(crate) type Tls = tokio_postgres_rustls::MakeRustlsConnect;

/// What a URL says, with what the driver does not know taken out.
pub(crate) struct Split {
    config: Config,
    verify: bool,
    root: Option<PathBuf>,
}

/// Reads a URL.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn split(url: &str) -> Result<Split, &'static str> {
    let (head, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut verify, mut root, mut rest) = (false, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "verify-full" | "verify-ca")) => {
                verify = true;
                rest.push("sslmode=require");
            }
            Some(("sslrootcert", path)) => root = Some(PathBuf::from(path)),
            _ => rest.push(pair),
        }
    }
    let config: Config = format!("{head}?{}", rest.join("&"))
        .parse()
        .map_err(|_| "it is not a valid PostgreSQL URL")?;
    let verify = verify || (root.is_some() && config.get_ssl_mode() == SslMode::Require);
    Ok(Split { config, verify, root })
}

/// Reads a URL, and the certificates that it names.
pub(crate) fn read(url: &str) -> Result<(Config, Tls)> {
    let bad = |problem| Error::Url {
        url: crate::url::shown(url),
        problem,
    };
    let Split { config, verify, root } = split(url).map_err(bad)?;
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| bad("TLS is not available"))?;
    let client = if verify {
        client.with_root_certificates(roots(root).map_err(bad)?)
    } else {
        client
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    };
    Ok((config, Tls::new(client.with_no_client_auth())))
}

fn roots(file: Option<PathBuf>) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    let found: Vec<CertificateDer<'_>> = match file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|_| "the file that sslrootcert names cannot be read as PEM")?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        return Err("there are no authorities to check the server's certificate against; give sslrootcert");
    }
    Ok(roots)
}

/// Takes any certificate, but only from who holds its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
