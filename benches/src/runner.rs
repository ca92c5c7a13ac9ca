//! Runs benchmarks: every measurement in a fresh child process, the rounds interleaved over the subjects.
//!
//! A child prints one line of JSON, `{"figures": [["metric", value], …]}`. One that fails, or takes too long, costs
//! its row and nothing else.

use std::io::{IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, Context, Figures};
use crate::error::{Error, Result};
use crate::metric;
use crate::quiet::Watch;
use crate::subject::Kind;

/// A child that has not finished by then is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) benches: Vec<&'static Bench>,
    pub(crate) workers: Vec<usize>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) rounds: usize,
    pub(crate) iterations: u32,
    /// Variables for the children.
    pub(crate) environment: Vec<(&'static str, std::ffi::OsString)>,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    /// The CPUs that other processes used during each measurement.
    pub(crate) others_cpus: Vec<f64>,
}

/// The figures of one subject in one benchmark, from all rounds.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) bench: &'static Bench,
    pub(crate) workers: usize,
    pub(crate) kind: Kind,
    pub(crate) rounds: Vec<Figures>,
    /// Why there are none, or fewer.
    pub(crate) failure: Option<String>,
}

impl Plan {
    /// How many measurements there are.
    fn total(&self, rows: &[Row]) -> usize {
        let long = rows.iter().filter(|row| row.bench.is_long).count();
        (rows.len() - long) * self.rounds + long
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for &bench in &self.benches {
            let own = bench.workers.map(|workers| vec![workers]);
            for &workers in own.as_ref().unwrap_or(&self.workers) {
                let kinds = self
                    .kinds
                    .iter()
                    .copied()
                    .filter(|&kind| (bench.can_run)(kind) && kind.can_have(workers));
                rows.extend(kinds.map(|kind| Row {
                    bench,
                    workers,
                    kind,
                    rounds: Vec::new(),
                    failure: None,
                }));
            }
        }
        rows
    }
}

/// Runs everything; prints where it is on the standard error stream.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let mut others_cpus = Vec::new();
    let mut rows = plan.rows();
    let mut progress = Progress::new(plan.total(&rows));
    for round in 0..plan.rounds {
        // Each round begins elsewhere, so that no subject always follows the same one.
        let offset = if rows.is_empty() { 0 } else { round * rows.len() / plan.rounds };
        for index in 0..rows.len() {
            let index = (index + offset) % rows.len();
            let row = &mut rows[index];
            if row.bench.is_long && round > 0 {
                continue;
            }
            progress.step(row, round, plan.rounds);
            if row.failure.is_some() {
                continue;
            }
            let context = Context { kind: row.kind, workers: row.workers, iterations: plan.iterations };
            let watch = Watch::start();
            match measure_in_child(row.bench, &context, &plan.environment) {
                Ok(figures) => row.rounds.push(figures),
                Err(error) => row.failure = Some(error.to_string()),
            }
            others_cpus.extend(watch.and_then(|watch| watch.others_cpus()));
        }
    }
    progress.finish();
    Outcome { rows, others_cpus }
}

/// The child's side: measures and prints.
pub(crate) fn measure_here(bench: &Bench, context: &Context) -> Result<()> {
    let figures = (bench.measure)(context)?;
    println!("{}", to_line(&figures));
    std::io::stdout().flush()?;
    // Green threads may be waiting for ever: the process ends without them.
    std::process::exit(0);
}

fn to_line(figures: &Figures) -> Value {
    let pairs: Vec<Value> = figures.iter().map(|(metric, value)| json!([metric.name, value])).collect();
    json!({ "figures": pairs })
}

fn from_line(line: &str) -> Result<Figures> {
    let value: Value = serde_json::from_str(line)?;
    let pairs = value["figures"].as_array().ok_or_else(|| Error::new("a child printed no figures"))?;
    let figure = |pair: &Value| {
        let metric = pair[0].as_str().and_then(metric::find);
        let metric =
            metric.ok_or_else(|| Error::new(format!("a child printed an unknown metric: {pair}")))?;
        let value = pair[1].as_f64();
        Ok((
            metric,
            value.ok_or_else(|| Error::new(format!("a child printed no number for {}", metric.name)))?,
        ))
    };
    pairs.iter().map(figure).collect()
}

fn measure_in_child(
    bench: &Bench,
    context: &Context,
    environment: &[(&'static str, std::ffi::OsString)],
) -> Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["__measure", bench.name, context.kind.name()]);
    command.args([context.workers.to_string(), context.iterations.to_string()]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = read_apart(child.stdout.take());
    let stderr = read_apart(child.stderr.take());
    let printed = stdout.recv_timeout(STUCK);
    if printed.is_err() {
        // It may have ended just now; nothing depends on whether it did.
        drop(child.kill());
    }
    let status = child.wait()?;
    let Ok(printed) = printed else {
        return Err(Error::new(format!("stuck: killed after {} s", STUCK.as_secs())));
    };
    if !status.success() {
        let complaint = stderr.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        return Err(Error::new(format!("{status}: {}", first_words(&complaint))));
    }
    from_line(&printed)
}

/// Reads a pipe to its end on a thread, so that a stuck child can be given up on.
fn read_apart(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is worth more than the error.
            drop(pipe.read_to_end(&mut bytes));
        }
        // The receiver has gone if it lost patience.
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver
}

/// The lines of a complaint that say most, in one line.
fn first_words(complaint: &str) -> String {
    let lines =
        complaint.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note:"));
    let text = lines.take(3).collect::<Vec<_>>().join(" | ");
    if text.is_empty() { "no message".into() } else { text.chars().take(300).collect() }
}

/// One line that is rewritten on a terminal; elsewhere one line for each measurement.
#[derive(Debug)]
struct Progress {
    total: usize,
    done: usize,
    start: Instant,
    is_terminal: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self { total, done: 0, start: Instant::now(), is_terminal: std::io::stderr().is_terminal() }
    }

    fn step(&mut self, row: &Row, round: usize, rounds: usize) {
        self.done += 1;
        let (name, kind, workers) = (row.bench.name, row.kind.name(), row.workers);
        let line = format!(
            "[{}/{}, {} s] round {} of {rounds}: {name}, {kind}, {workers} worker(s)",
            self.done,
            self.total,
            self.start.elapsed().as_secs(),
            round + 1,
        );
        if self.is_terminal {
            eprint!("\r{line:<90}");
        } else {
            eprintln!("{line}");
        }
    }

    fn finish(&self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_survive_the_way_from_child_to_parent() {
        let figures: Figures = vec![(&metric::TIME, 12.25), (&metric::P999, 3e9)];
        assert_eq!(from_line(&to_line(&figures).to_string()).ok(), Some(figures));
    }

    #[test]
    fn a_strange_line_is_an_error() {
        assert!(from_line("").is_err());
        assert!(from_line("{}").is_err());
        assert!(from_line(r#"{"figures": [["nonsense", 1.0]]}"#).is_err());
        assert!(from_line(r#"{"figures": [["time", "fast"]]}"#).is_err());
    }

    #[test]
    fn a_complaint_is_cut_to_its_first_lines() {
        assert_eq!(
            first_words("\nthread panicked:\n  why\nnote: run with …\nthen\nmore\n"),
            "thread panicked: | why | then"
        );
        assert_eq!(first_words(""), "no message");
    }
}
