//! sward measured against its peers.
//!
//! Without arguments it runs the server benchmark: CPU work for every request, over many connections, with batch work
//! beside it. `run NAME` runs one of the micro-benchmarks. README.md says what is measured and why that is fair.
//!
//! In reading order: [`mod@bench`] is the table of all benchmarks, [`server`] and [`micro`] say how each is made,
//! [`subject`] has sward and its peers behind one trait, [`runner`] starts a child process for each measurement and
//! [`report`] prints what they found.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark is there to print its results")]

mod args;
mod bench;
mod churn;
mod error;
mod load;
mod machine;
mod metric;
mod micro;
mod quiet;
mod relay;
mod report;
mod runner;
mod server;
mod subject;
mod sys;
mod work;

use std::path::Path;
use std::process::ExitCode;

use args::{Command, Options, UsageError};
use bench::Bench;
use error::Result;
use runner::{Outcome, Plan};
use subject::Kind;

/// Rounds, if not said otherwise.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => return bad_input(&error),
    };
    let result = match command {
        Command::Help => {
            print!("{}", args::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Command::List => {
            bench::ALL.iter().for_each(|bench| println!("{:<18} {}", bench.name, bench.about));
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { benches, options } => run(benches, &options),
        Command::Measure { bench, context } => {
            runner::measure_here(bench, &context).map(|()| ExitCode::SUCCESS)
        }
        Command::Serve { role, context } => {
            server::serve(role, context.kind, &context).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn bad_input(error: &UsageError) -> ExitCode {
    eprintln!("sward-benches: {error}\n\n{}", args::HELP);
    ExitCode::from(2)
}

fn run(benches: Vec<&'static Bench>, options: &Options) -> Result<ExitCode> {
    // Before minutes are spent: a file that cannot be written is bad input.
    if let Some(Err(error)) = options.json.as_ref().map(std::fs::File::create) {
        return Ok(bad_input(&UsageError::new(format!("--json: {error}"))));
    }
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|&kind| is_wanted(kind, options)).collect();
    let temporary = std::env::temp_dir().join(format!("sward-benches-{}", std::process::id()));
    let go = build_go_peer(&mut kinds, options.go.as_deref(), &temporary);
    let is_main = benches.iter().any(|bench| bench.name == bench::MAIN);
    let plan = Plan {
        workers: options.workers.map_or_else(one_and_all, |workers| vec![workers]),
        rounds: options.rounds.unwrap_or(ROUNDS),
        iterations: if is_main { work::calibrate() } else { 1 },
        environment: go.path.map(|path| (subject::GO_PEER_VARIABLE, path.into())).into_iter().collect(),
        benches,
        kinds,
    };
    println!("{}", machine::line());
    if is_main {
        println!("a request is {} iterations of SHA-256", plan.iterations);
    }
    println!(
        "median (min..max) of {} rounds, then the ratio to the best peer; ↑: more is better\n",
        plan.rounds
    );
    let outcome = runner::run(&plan);
    // Left behind, it would only take some space in the temporary directory.
    drop(std::fs::remove_dir_all(&temporary));
    print_results(&outcome, go.skipped.as_deref(), options.json.as_deref())
}

fn is_wanted(kind: Kind, options: &Options) -> bool {
    !kind.is_peer() || options.peers.as_ref().is_none_or(|peers| peers.contains(&kind))
}

fn one_and_all() -> Vec<usize> {
    let all = sys::available();
    if all == 1 { vec![1] } else { vec![1, all] }
}

/// The Go peer, or why there is none.
#[derive(Debug, Default)]
struct GoPeer {
    path: Option<std::path::PathBuf>,
    skipped: Option<String>,
}

/// Builds the Go peer if it is wanted; takes it off the list if that is not possible.
fn build_go_peer(kinds: &mut Vec<Kind>, tool: Option<&Path>, into: &Path) -> GoPeer {
    if !kinds.contains(&Kind::Go) {
        return GoPeer::default();
    }
    match subject::build_go_peer(tool, into) {
        Ok(path) => GoPeer { path: Some(path), skipped: None },
        Err(error) => {
            kinds.retain(|&kind| kind != Kind::Go);
            GoPeer { path: None, skipped: Some(error.to_string()) }
        }
    }
}

fn print_results(outcome: &Outcome, go_skipped: Option<&str>, json: Option<&Path>) -> Result<ExitCode> {
    let rows = &outcome.rows;
    let mut notes = report::notes(rows);
    notes.extend(go_skipped.map(|reason| format!("go skipped: {reason}")));
    notes.extend(quiet::warning(&outcome.others_cpus));
    let figures = report::summarise(rows);
    print!("{}", report::to_text(rows, &figures));
    notes.iter().for_each(|note| println!("{note}"));
    if let Some(path) = json {
        let document = report::to_json(machine::facts(&notes), &figures);
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    let has_failed = rows.iter().any(|row| row.failure.is_some());
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
