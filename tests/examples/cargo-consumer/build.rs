//! Fetches packages and tells Cargo how to link them. Nothing but the standard library is needed.

use std::env;
use std::process::{exit, Command, Stdio};

fn main() {
    // Where they are; the variable is for trying another place.
    println!("cargo:rerun-if-env-changed=REGISTRY");
    let registry = env::var("REGISTRY").unwrap_or_else(|_| "ghcr.io/example".into());
    link(&format!("{registry}/hello:1.2.0"));
    link(&format!("{registry}/hello-rust:1.0.0"));
}

/// Runs `ocipkg-async link`, which reads in TARGET what Cargo builds for.
fn link(package: &str) {
    println!("cargo:rerun-if-env-changed=PYTHON");
    println!("cargo:rerun-if-env-changed=LINK_OPTIONS");
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    // For instance --kind dynamic --rpath, or --locked --offline.
    let options = env::var("LINK_OPTIONS").unwrap_or_default();

    let output = Command::new(&python)
        .args(["-m", "ocipkg_async", "link", package, "--for", "cargo"])
        .args(options.split_whitespace())
        .stderr(Stdio::inherit()) // which Cargo shows where this fails
        .output()
        .unwrap_or_else(|error| panic!("cannot run {python}: {error}"));
    if !output.status.success() {
        exit(output.status.code().unwrap_or(1));
    }
    print!("{}", String::from_utf8(output.stdout).expect("it prints UTF-8"));
}
