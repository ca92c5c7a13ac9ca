//! Puts the workspace's `Cargo.lock`, from which the report takes the peers' versions, where the source can include it: it lies beside the
//! workspace's manifest, and in a packaged crate beside its own.

use std::{env, fs, path::Path};

fn main() {
    let crate_dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out_dir = env::var("OUT_DIR").expect("cargo sets it");
    let own = Path::new(&crate_dir).join("Cargo.lock");
    let lock = if own.exists() { own } else { Path::new(&crate_dir).join("../Cargo.lock") };
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(&lock).unwrap_or_default();
    fs::write(Path::new(&out_dir).join("Cargo.lock"), text).expect("the output directory can be written to");
}
