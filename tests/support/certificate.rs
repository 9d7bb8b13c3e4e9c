//! A certificate for servers that speak TLS.

use redis2pg::sandbox::RedisTls;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a certificate for this machine in a directory, which is its own authority: whoever trusts the file `ca` trusts it.
pub(crate) fn self_signed(dir: &Path) -> RedisTls {
    let (key, cert) = (dir.join("key.pem"), dir.join("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl").success());
    RedisTls { ca: cert.clone(), cert, key }
}
