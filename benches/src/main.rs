//! sward measured against its peers.
//!
//! Without arguments it runs `cpu_io`: CPU work for every request, over many connections, with batch work
//! beside it. `run NAME` runs one of the micro-benchmarks. README.md says what is measured and why that is fair.
//!
//! In reading order: [`mod@bench`] is the table of all benchmarks, [`server`] and [`micro`] say how each is made,
//! [`subject`] has sward and its peers behind one trait, [`runner`] starts a child process for each measurement,
//! [`report`] prints what they found and [`check`] compares it with what was found before; [`page`] and [`chart`]
//! make a page of it. [`instructions`] counts what
//! the others time. [`soak`] measures nothing: it looks for what gets lost under a mixed load of minutes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark is there to print its results")]

mod args;
mod bench;
mod chart;
mod check;
mod churn;
mod cost;
mod error;
mod instructions;
mod load;
mod machine;
mod metric;
mod micro;
mod open_loop;
mod page;
mod peers;
mod quiet;
mod relay;
mod report;
mod runner;
mod server;
mod soak;
mod stored;
mod subject;
mod sys;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use args::{Command, Options, UsageError};
use bench::Bench;
use error::{Error, Result};
use peers::Peers;
use runner::{Outcome, Plan};
use subject::Kind;

/// Rounds, if not said otherwise.
const ROUNDS: usize = 3;
/// The exit code if something got worse than it was in the run to compare with.
const GOT_WORSE: u8 = 3;

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
        Command::Instructions { names, options } => count_instructions(&names, &options),
        Command::Soak(soak) => soak.run(),
        Command::Page { stored, page } => make_page(&stored, &page).map(|()| ExitCode::SUCCESS),
        Command::Run { benches, options } => run(benches, &options),
        Command::Measure { bench, context } => {
            runner::measure_here(bench, &context).map(|()| ExitCode::SUCCESS)
        }
        Command::Count { name, kind } => instructions::run_here(&name, kind).map(|()| ExitCode::SUCCESS),
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

/// The run to compare with, if there is one. Read before minutes are spent, and before the file may be written anew.
fn baseline(options: &Options) -> std::result::Result<Option<Value>, UsageError> {
    let Some(path) = &options.check else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let baseline = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match baseline {
        Ok(baseline) => Ok(Some(baseline)),
        Err(error) => Err(UsageError::new(format!("--check: {}: {error}", path.display()))),
    }
}

/// Also before minutes are spent: a file that cannot be written is bad input.
fn create_output(options: &Options) -> std::result::Result<(), UsageError> {
    let created =
        options.json.as_ref().map(|path| std::fs::OpenOptions::new().create(true).append(true).open(path));
    match created {
        Some(Err(error)) => Err(UsageError::new(format!("--json: {error}"))),
        _ => Ok(()),
    }
}

/// A directory of this process, which may not exist yet.
fn temporary_directory() -> PathBuf {
    std::env::temp_dir().join(format!("sward-benches-{}", std::process::id()))
}

/// Writes the page of a stored run, and the picture beside it.
fn make_page(stored: &Path, page: &Path) -> Result<()> {
    let text = std::fs::read_to_string(stored)
        .map_err(|error| Error::new(format!("{}: {error}", stored.display())))?;
    let document =
        serde_json::from_str(&text).map_err(|error| Error::new(format!("{}: {error}", stored.display())))?;
    let picture = page.with_extension("svg");
    let name = picture.file_name().unwrap_or_default().to_string_lossy();
    std::fs::write(page, page::to_markdown(&document, &name)?)?;
    std::fs::write(&picture, chart::to_svg(&document)?)?;
    Ok(())
}

fn count_instructions(names: &[String], options: &Options) -> Result<ExitCode> {
    let baseline = match baseline(options).and_then(|baseline| create_output(options).map(|()| baseline)) {
        Ok(baseline) => baseline,
        Err(error) => return Ok(bad_input(&error)),
    };
    let temporary = temporary_directory();
    let worse = options.worse.unwrap_or(instructions::TOLERANCE);
    let counts = instructions::count_with_care(names, &temporary, baseline.as_ref(), worse);
    // Left behind, it would only take some space in the temporary directory.
    drop(std::fs::remove_dir_all(&temporary));
    let counts = counts?;
    let (table, findings) = instructions::compare(&counts, baseline.as_ref(), worse);
    print!("{table}");
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", instructions::to_json(&counts)))?;
    }
    if let Some(note) = baseline.as_ref().and_then(instructions::other_compiler) {
        println!("{note}");
    }
    Ok(complain(&findings))
}

/// Prints what got worse, if anything did.
fn complain(findings: &[String]) -> ExitCode {
    findings.iter().for_each(|finding| println!("worse: {finding}"));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(GOT_WORSE) }
}

fn run(benches: Vec<&'static Bench>, options: &Options) -> Result<ExitCode> {
    let baseline = match baseline(options).and_then(|baseline| create_output(options).map(|()| baseline)) {
        Ok(baseline) => baseline,
        Err(error) => return Ok(bad_input(&error)),
    };
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|&kind| is_wanted(kind, options)).collect();
    let temporary = temporary_directory();
    let peers = Peers::prepare(&mut kinds, options, &temporary);
    let is_main = benches.iter().any(|bench| bench.name == bench::MAIN);
    let plan = Plan {
        workers: options.workers.map_or_else(one_and_all, |workers| vec![workers]),
        rounds: options.rounds.unwrap_or(ROUNDS),
        iterations: if is_main { work::calibrate() } else { 1 },
        environment: peers.environment.clone(),
        benches,
        kinds,
    };
    println!("{}", machine::line(&peers.versions));
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
    let (document, has_failed) = print_results(&outcome, &peers);
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    let mut code = ExitCode::SUCCESS;
    if let Some(baseline) = &baseline {
        let comparison = check::compare(&document, baseline, options.worse.unwrap_or(check::WORSE))?;
        println!("{} ratios compared with those before", comparison.compared);
        code = complain(&comparison.findings);
    }
    Ok(if has_failed { ExitCode::FAILURE } else { code })
}

fn is_wanted(kind: Kind, options: &Options) -> bool {
    !kind.is_peer() || options.peers.as_ref().is_none_or(|peers| peers.contains(&kind))
}

fn one_and_all() -> Vec<usize> {
    let all = sys::available();
    if all == 1 { vec![1] } else { vec![1, all] }
}

/// Returns the document that is stored, too, and whether a measurement failed.
fn print_results(outcome: &Outcome, peers: &Peers) -> (Value, bool) {
    let rows = &outcome.rows;
    let mut notes = report::notes(rows);
    notes.extend(peers.skipped.iter().cloned());
    notes.extend(cost::note());
    notes.extend(quiet::warning(&outcome.others_cpus));
    let figures = report::summarise(rows);
    notes.extend(report::disagreement(&figures));
    print!("{}", report::to_text(rows, &figures));
    notes.iter().for_each(|note| println!("{note}"));
    let document = report::to_json(machine::facts(&peers.versions, &notes), &figures);
    (document, rows.iter().any(|row| row.failure.is_some()))
}
