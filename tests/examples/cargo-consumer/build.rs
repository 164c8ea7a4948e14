//! Fetches a package and tells Cargo how to link it. Nothing but the standard library is needed.

use std::env;
use std::process::{exit, Command, Stdio};

/// What is linked; the variable is for trying others.
const PACKAGE: &str = "ghcr.io/example/hello:1.2.0";

fn main() {
    println!("cargo:rerun-if-env-changed=HELLO_PACKAGE");
    println!("cargo:rerun-if-env-changed=HELLO_OPTIONS");
    println!("cargo:rerun-if-env-changed=PYTHON");
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let package = env::var("HELLO_PACKAGE").unwrap_or_else(|_| PACKAGE.into());
    // For instance: --kind dynamic --rpath, or --locked --offline.
    let options = env::var("HELLO_OPTIONS").unwrap_or_default();

    // Cargo tells the target in TARGET, which the command reads. What it prints on stderr, Cargo
    // shows when this fails.
    let output = Command::new(&python)
        .args(["-m", "ocipkg_async", "link", &package, "--for", "cargo"])
        .args(options.split_whitespace())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {python}: {error}"));
    if !output.status.success() {
        exit(output.status.code().unwrap_or(1));
    }
    print!("{}", String::from_utf8(output.stdout).expect("it prints UTF-8"));
}
