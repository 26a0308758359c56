//! The one TLS stack: rustls with ring.

/// Makes ring the process-wide provider of TLS. Call it once before the first client or server is built;
/// further calls do nothing.
pub fn install() {
    // An error only says that a provider is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
