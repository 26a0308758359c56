//! Makes the program of a release small: by the linker, since cargo's own `strip` does nothing where the program's package
//! has a profile of its own (`opt-level`, in the workspace's `Cargo.toml`).

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to a build script through its environment"
)]

use std::process::Command;

/// The first glibc that reads packed relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    argument("--strip-all");
    if !is("CARGO_CFG_TARGET_ENV", "gnu") || std::env::var("HOST") != std::env::var("TARGET") {
        return;
    }
    // Four in a hundred bytes of the program were relocations; packed, they are next to nothing.
    if glibc().is_some_and(|version| version >= PACKED_SINCE) {
        argument("-z,pack-relative-relocs");
    }
    // Rust's own linker, which is the default there, keeps one of functions that came out alike.
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        argument("--icf=all");
    }
}

fn argument(text: &str) {
    println!("cargo::rustc-link-arg-bins=-Wl,{text}");
}

/// The version of the C library here.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major.parse().ok()?, minor[..digits].parse().ok()?))
}
