//! Sets `cfg(stack_scan)`, for `scheduler/scan.rs`: with debug assertions, in optimised builds. Elsewhere most of a frame is what earlier calls have
//! left there, and the scan would take too much of that for living references.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stack_scan)");
    let is_optimised = env::var("OPT_LEVEL").is_ok_and(|level| level != "0");
    if is_optimised && env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_some() {
        println!("cargo::rustc-cfg=stack_scan");
    }
}
