//! Instructions for each operation, counted by callgrind: what noise cannot change.
//!
//! A child process under callgrind does an operation some times, for warmth, then as often again, and then twice as often. It says
//! where a trial ends by entering [`boundary`], at which callgrind puts down its count and starts anew. The difference of the last two
//! trials is that of the operations, so what each trial costs once, such as entering the runtime, drops out. With one worker, there
//! is little left to chance; what there is, such as when the kernel lets a timer expire, is a few thousand instructions.
//!
//! Counts depend on the compiler, so its version is written beside them. They are no times: a miss of the cache, a mispredicted
//! branch and an atomic operation count as little as an addition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::metric::Summary;
use crate::subject::{self, Demand, Kind, Primitive, Subject};
use crate::sys;

/// Who is counted.
const KINDS: [Kind; 2] = [Kind::Sward, Kind::SwardRoaming];
/// A share by which a count may grow: what is left to chance is a tenth of that.
pub(crate) const TOLERANCE: f64 = 0.02;
/// Longer than any trial.
const LIMIT: Duration = Duration::from_secs(3600);
/// Green threads of `skynet` with three levels, and spawns of `fib(16)`.
const SKYNET_NODES: u64 = 1111;
const FIB_SPAWNS: u64 = 1596;

/// What is counted.
struct Operation {
    /// That of the benchmark that measures the time of the same.
    name: &'static str,
    /// How often it is done: several million instructions in all.
    count: u64,
    run: fn(&dyn Subject, u64) -> Result<()>,
}

const fn operation(name: &'static str, count: u64, run: fn(&dyn Subject, u64) -> Result<()>) -> Operation {
    Operation { name, count, run }
}

const fn primitive(name: &'static str, run: fn(&dyn Subject, u64) -> Result<()>) -> Operation {
    operation(name, 16_000, run)
}

/// `select_fan_in` and `semaphore` are not among them: who meets whom there is decided anew by each run, and the counts differ by 6 %.
static OPERATIONS: [Operation; 19] = [
    operation("yield_2", 32_000, |subject, count| subject.yields(2, count / 2).map(drop)),
    operation("yield_1000", 32_000, |subject, count| subject.yields(1000, count / 1000).map(drop)),
    operation("spawn_join", 8_000, |subject, count| subject.spawn_join(count).map(drop)),
    operation("spawn_batch", 16_000, |subject, count| {
        (0..count / 4_000).try_for_each(|_| subject.spawn_batch(4_000).map(drop))
    }),
    operation("pingpong", 16_000, |subject, count| subject.pingpong(count, None).map(drop)),
    operation("timers_cancel", 8_000, |subject, count| subject.pingpong(count, Some(LIMIT)).map(drop)),
    operation("skynet", 10 * SKYNET_NODES, |subject, count| {
        (0..count / SKYNET_NODES).try_for_each(|_| subject.skynet(3).map(drop))
    }),
    operation("fib", 6 * FIB_SPAWNS, |subject, count| {
        (0..count / FIB_SPAWNS).try_for_each(|_| subject.fib(16).map(drop))
    }),
    primitive("chan_pingpong", |subject, count| subject.primitive(Primitive::ChanPingpong, count).map(drop)),
    primitive("chan_mpsc", |subject, count| subject.primitive(Primitive::ChanMpsc, count).map(drop)),
    primitive("chan_mpmc", |subject, count| subject.primitive(Primitive::ChanMpmc, count).map(drop)),
    primitive("pingpong_timeout", |subject, count| {
        subject.primitive(Primitive::PingpongTimeout, count).map(drop)
    }),
    primitive("pipeline", |subject, count| subject.primitive(Primitive::Pipeline, count).map(drop)),
    primitive("scaling_1", |subject, count| subject.primitive(Primitive::Pairs, count).map(drop)),
    operation("mutex_uncontended", 64_000, |subject, count| {
        subject.primitive(Primitive::MutexUncontended, count).map(drop)
    }),
    primitive("mutex_contended", |subject, count| {
        subject.primitive(Primitive::MutexContended, count).map(drop)
    }),
    primitive("rwlock_read_mostly", |subject, count| {
        subject.primitive(Primitive::RwLockReadMostly, count).map(drop)
    }),
    primitive("condvar_handoff", |subject, count| {
        subject.primitive(Primitive::CondvarHandoff, count).map(drop)
    }),
    // No scheduler has a part in it, so the mode makes no difference.
    operation("generator", 64_000, |_, count| subject::generator(Kind::Sward, count).map(drop)),
];

/// Where a trial ends. Callgrind knows it by its name.
#[inline(never)]
fn boundary() {
    // Something that must not be optimised away, or moved.
    std::hint::black_box(());
}

/// The child's side, to be run under callgrind.
pub(crate) fn run_here(name: &str, kind: Kind) -> Result<()> {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name);
    let operation = operation.ok_or_else(|| unknown(name))?;
    let subject = subject::start(kind, 1, Demand::Usual)?;
    for factor in [1, 1, 2] {
        (operation.run)(&*subject, factor * operation.count)?;
        boundary();
    }
    // Nothing after this counts, so nothing is tidied up.
    std::process::exit(0);
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    Error::new(format!("nothing is counted for {name:?}, but for {}", names.join(", ")))
}

/// Instructions for an operation, by subject and by name.
pub(crate) type Counts = BTreeMap<(&'static str, &'static str), f64>;

/// As [`count`], and what seems to have grown is counted three times, of which the median is taken: the runtime looks at the clock
/// now and then, for workers that are stuck, and under callgrind a few trials see more of that than others.
pub(crate) fn count_with_care(
    names: &[String],
    temporary: &Path,
    baseline: Option<&Value>,
    worse: f64,
) -> Result<Counts> {
    let mut counts = count(names, temporary)?;
    let Some(baseline) = baseline else { return Ok(counts) };
    let has_grown = |(&(subject, name), &count): (&(&'static str, &'static str), &f64)| {
        let before = baseline["instructions"][subject][name].as_f64()?;
        (count > before * (1.0 + worse)).then(|| name.to_owned())
    };
    let again: BTreeSet<String> = counts.iter().filter_map(has_grown).collect();
    if again.is_empty() {
        return Ok(counts);
    }
    let again: Vec<String> = again.into_iter().collect();
    let others = [count(&again, temporary)?, count(&again, temporary)?];
    for (place, first) in &mut counts {
        if let (Some(second), Some(third)) = (others[0].get(place), others[1].get(place)) {
            *first = Summary::of(&[*first, *second, *third]).map_or(*first, |summary| summary.median);
        }
    }
    Ok(counts)
}

/// Counts the instructions of the operations of these names, or of all.
pub(crate) fn count(names: &[String], temporary: &Path) -> Result<Counts> {
    for name in names {
        if !OPERATIONS.iter().any(|operation| operation.name == name) {
            return Err(unknown(name));
        }
    }
    let is_wanted =
        |operation: &&Operation| names.is_empty() || names.iter().any(|name| name == operation.name);
    let wanted: Vec<(&Operation, Kind)> = OPERATIONS
        .iter()
        .filter(is_wanted)
        .flat_map(|operation| KINDS.map(|kind| (operation, kind)))
        .collect();
    std::fs::create_dir_all(temporary)?;
    // Counts do not suffer from company, so as many run at a time as there are CPUs.
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(Counts::new()));
    std::thread::scope(|scope| {
        let count_some = || -> Result<()> {
            while let Some(&(operation, kind)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let count = count_in_child(operation, kind, temporary)?;
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                counts.insert((kind.name(), operation.name), count);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..sys::available()).map(|_| scope.spawn(count_some)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Error::new("a thread that counts instructions panicked"))?
        })
    })?;
    Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn count_in_child(operation: &Operation, kind: Kind, temporary: &Path) -> Result<f64> {
    let out = temporary.join(format!("{}.{}", operation.name, kind.name()));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--dump-before=*instructions::boundary*"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(std::env::current_exe()?).args(["__count", operation.name, kind.name()]);
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        Error::new(format!("valgrind: {error}; it is a package of that name in most distributions"))
    })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("{}, {}: {}", operation.name, kind.name(), complaint.trim())));
    }
    let trial = |number: u32| -> Result<u64> {
        let path = format!("{}.{number}", out.display());
        let text = std::fs::read_to_string(&path).map_err(|error| Error::new(format!("{path}: {error}")))?;
        total(&text).ok_or_else(|| Error::new(format!("{path} has no total")))
    };
    let (once, twice) = (trial(2)?, trial(3)?);
    let difference =
        twice.checked_sub(once).ok_or_else(|| Error::new("twice as much took fewer instructions"))?;
    Ok(difference as f64 / operation.count as f64)
}

/// The count of a whole dump of callgrind.
fn total(dump: &str) -> Option<u64> {
    dump.lines().find_map(|line| line.strip_prefix("summary: "))?.trim().parse().ok()
}

/// The form in which counts are stored.
pub(crate) fn to_json(counts: &Counts) -> Value {
    let mut subjects = serde_json::Map::new();
    for (&(subject, name), count) in counts {
        let of_subject = subjects.entry(subject).or_insert_with(|| json!({}));
        of_subject[name] = json!((count * 10.0).round() / 10.0);
    }
    json!({ "rustc": env!("RUSTC_VERSION"), "instructions": subjects })
}

/// A table for people, and what is wrong: counts that have grown by more than a share, or are not in the baseline.
pub(crate) fn compare(counts: &Counts, baseline: Option<&Value>, worse: f64) -> (String, Vec<String>) {
    let mut text = format!("{:<22}{:<16}{:>12}", "", "", "instructions");
    text.push_str(if baseline.is_some() { "    baseline  change\n" } else { "\n" });
    let mut findings = Vec::new();
    for (&(subject, name), &count) in counts {
        text.push_str(&format!("{name:<22}{subject:<16}{count:>12.1}"));
        if let Some(baseline) = baseline {
            match baseline["instructions"][subject][name].as_f64().filter(|&before| before > 0.0) {
                Some(before) => {
                    let change = count / before - 1.0;
                    text.push_str(&format!("{before:>12.1}{:>+7.1} %", change * 100.0));
                    if change > worse {
                        findings.push(format!(
                            "{name}, {subject}: {count:.1} instructions, {:.1} % more than {before:.1}",
                            change * 100.0
                        ));
                    }
                }
                None => findings.push(format!("{name}, {subject}: not in the baseline")),
            }
        }
        text.push('\n');
    }
    (text, findings)
}

/// Says that the baseline is another compiler's, if it is.
pub(crate) fn other_compiler(baseline: &Value) -> Option<String> {
    let (ours, theirs) = (env!("RUSTC_VERSION"), baseline["rustc"].as_str().unwrap_or("unknown"));
    (ours != theirs).then(|| format!("the baseline was made by {theirs}, and this by {ours}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench;

    #[test]
    fn operations_are_those_of_benchmarks_and_divide_evenly() {
        for operation in &OPERATIONS {
            assert_eq!(bench::find(operation.name).len(), 1, "{}", operation.name);
        }
    }

    #[test]
    fn the_total_of_a_dump_is_its_summary() {
        assert_eq!(total("events: Ir\nsummary: 1234\n\nfn=(1)\n0 5\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn what_has_grown_or_is_new_is_found() {
        let counts = |yields, fib| Counts::from([(("sward", "yield_2"), yields), (("sward", "fib"), fib)]);
        let baseline = to_json(&counts(100.0, 1000.0));
        let findings = |counts: &Counts| compare(counts, Some(&baseline), TOLERANCE).1;
        assert_eq!(findings(&counts(101.9, 500.0)), [""; 0]);
        assert_eq!(
            findings(&counts(103.0, 1000.0)),
            ["yield_2, sward: 103.0 instructions, 3.0 % more than 100.0"]
        );
        let others = Counts::from([(("sward-roaming", "fib"), 1.0)]);
        assert_eq!(findings(&others), ["fib, sward-roaming: not in the baseline"]);
        assert!(compare(&others, None, TOLERANCE).1.is_empty());
    }

    #[test]
    fn a_table_shows_the_change() {
        let counts = |count| Counts::from([(("sward", "fib"), count)]);
        let (text, _) = compare(&counts(990.0), Some(&to_json(&counts(1000.0))), TOLERANCE);
        let line = text.lines().nth(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(line, Some(vec!["fib", "sward", "990.0", "1000.0", "-1.0", "%"]));
    }

    #[test]
    fn another_compiler_is_said() {
        assert_eq!(other_compiler(&to_json(&Counts::new())), None);
        assert!(
            other_compiler(&json!({ "rustc": "rustc 1.0.0" })).is_some_and(|text| text.contains("1.0.0"))
        );
    }
}
