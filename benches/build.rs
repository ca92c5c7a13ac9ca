//! Puts the workspace's `Cargo.lock`, from which the report takes the peers' versions, where the source can include it: it lies beside the
//! workspace's manifest, and in a packaged crate beside its own. And says which compiler builds the crate.

use std::{env, fs, path::Path, process::Command};

fn main() {
    let crate_dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out_dir = env::var("OUT_DIR").expect("cargo sets it");
    let own = Path::new(&crate_dir).join("Cargo.lock");
    let lock = if own.exists() { own } else { Path::new(&crate_dir).join("../Cargo.lock") };
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(&lock).unwrap_or_default();
    fs::write(Path::new(&out_dir).join("Cargo.lock"), text).expect("the output directory can be written to");

    let compiler = Command::new(env::var("RUSTC").expect("cargo sets it")).arg("--version").output();
    let version = compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!("cargo::rustc-env=RUSTC_VERSION={}", version.unwrap_or_default());
}
