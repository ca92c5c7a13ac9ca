//! What the figures were measured on, and which versions of the peers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sys;

/// The lock file of this workspace says which versions were built.
const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock"));
/// The packages whose versions decide what a peer can do.
const PACKAGES: [&str; 11] = [
    "async-channel",
    "async-executor",
    "async-io",
    "corosensei",
    "generator",
    "hyper",
    "may",
    "rayon",
    "smol",
    "sward",
    "tokio",
];

/// The facts for the JSON file, with what there is to know about the run.
pub(crate) fn facts(peers: &[String], notes: &[String]) -> Value {
    json!({
        "cpu": cpu_model(),
        "cpus": sys::available(),
        "memory_bytes": memory_bytes(),
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "load_average": first_line("/proc/loadavg"),
        "versions": versions(LOCK),
        "peers": peers,
        "notes": notes,
    })
}

/// The same in one line.
pub(crate) fn line(peers: &[String]) -> String {
    let gib = memory_bytes().map_or(0.0, |bytes| bytes as f64 / f64::from(1 << 30));
    let built = versions(LOCK);
    let built = built.iter().map(|(name, version)| format!("{name} {version}"));
    let versions: Vec<String> = built.chain(peers.iter().cloned()).collect();
    format!(
        "{} CPUs ({}), {gib:.0} GiB, {} {}; {}",
        sys::available(),
        cpu_model().unwrap_or_else(|| "unknown".into()),
        std::env::consts::OS,
        first_line("/proc/sys/kernel/osrelease").unwrap_or_default(),
        versions.join(", "),
    )
}

fn first_line(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

fn cpu_model() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(kib.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// The versions of [`PACKAGES`] in a lock file; of several, the highest is the one that this crate uses.
fn versions(lock: &str) -> BTreeMap<&str, &str> {
    let mut lines = lock.lines();
    let mut versions = BTreeMap::new();
    while let Some(line) = lines.next() {
        let Some(name) = quoted(line, "name = ") else {
            continue;
        };
        if let (true, Some(version)) =
            (PACKAGES.contains(&name), lines.next().and_then(|next| quoted(next, "version = ")))
        {
            versions.insert(name, version);
        }
    }
    versions
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"tokio\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"other\"\nversion = \"4\"\n";
        assert_eq!(versions(lock), BTreeMap::from([("tokio", "1.2.3")]));
        assert!(versions(LOCK).contains_key("smol"));
    }
}
