//! TLS to Redis: the system's certificate authorities, and more from a file for private ones.

use crate::model::{Failure, Side};
use fred::types::config::{TlsConfig, TlsConnector};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// The TLS configuration of a `rediss://` connection.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, Failure> {
    let mut roots = RootCertStore::empty();
    // Some certificates of a system's store may be unreadable; the handshake tells whether a needed one is missing.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal("TLS could not be set up").because(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), Failure> {
    let refuse = |why: String| {
        Failure::usage(
            Side::Settings,
            format!("the file of certificate authorities {} can't be used: {why} (source.ca_file)", path.display()),
            "Give a PEM file with the certificate of the authority that signed the server's.",
        )
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))?;
    let mut count = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        count += 1;
    }
    if count == 0 {
        return Err(refuse("it holds no certificate".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::config;
    use std::io::Write;

    #[test]
    fn the_file_of_authorities_must_hold_one() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"no certificate").unwrap();
        let failure = config(Some(file.path())).unwrap_err();
        assert_eq!(failure.exit.code(), 2);
        assert!(failure.message.contains("source.ca_file"), "{failure}");
        assert!(config(Some(std::path::Path::new("/no/such/file"))).is_err());
        assert!(config(None).is_ok());
    }
}
