//! Style sheets, script and pictures: in the binary, named by their content, so browsers may keep them for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::log;

struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: Vec<u8>,
    /// The name followed by a part of the content's digest.
    address: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let css = "text/css; charset=utf-8";
    let svg = "image/svg+xml";
    let files: [(&str, &str, Vec<u8>); 5] = [
        ("app.css", css, include_bytes!("../../assets/app.css").to_vec()),
        ("ansi.css", css, log::stylesheet().into_bytes()),
        (
            "app.js",
            "text/javascript; charset=utf-8",
            include_bytes!("../../assets/app.js").to_vec(),
        ),
        ("icons.svg", svg, include_bytes!("../../assets/icons.svg").to_vec()),
        ("favicon.svg", svg, include_bytes!("../../assets/favicon.svg").to_vec()),
    ];
    files
        .into_iter()
        .map(|(name, media_type, content)| {
            let digest = Sha256::digest(&content);
            let mut address = format!("/assets/{name}?");
            for byte in &digest[..6] {
                let _ = write!(address, "{byte:02x}");
            }
            Asset {
                name,
                media_type,
                content,
                address,
            }
        })
        .collect()
});

/// Where the file of that name is, with its version.
pub(super) fn address(name: &str) -> &'static str {
    ASSETS
        .iter()
        .find(|asset| asset.name == name)
        .map_or("", |asset| &asset.address)
}

pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.content.as_slice()).into_response()
}
