//! A stored run as a page for people: Markdown, with a picture beside it.
//!
//! First a table of sward against the best peer, by the first figure of each benchmark; then all figures.

use std::fmt::Write;

use serde_json::Value;

use crate::bench;
use crate::error::{Error, Result};
use crate::metric::{Better, Metric};
use crate::report::{differs, number};
use crate::stored::{self, Stored};
use crate::subject::Kind;

/// The figures of one benchmark with one number of workers.
pub(crate) struct Group<'a> {
    pub(crate) bench: &'a str,
    pub(crate) workers: u64,
    pub(crate) figures: Vec<&'a Stored>,
}

impl<'a> Group<'a> {
    /// The groups of a run, in the order in which the benchmarks are listed.
    pub(crate) fn all(figures: &'a [Stored]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for figure in figures {
            let is_its = |group: &&mut Self| group.bench == figure.bench && group.workers == figure.workers;
            match groups.iter_mut().find(is_its) {
                Some(group) => group.figures.push(figure),
                None => {
                    groups.push(Self { bench: &figure.bench, workers: figure.workers, figures: vec![figure] })
                }
            }
        }
        let place = |name: &str| bench::ALL.iter().position(|bench| bench.name == name);
        groups.sort_by_key(|group| (place(group.bench), group.workers));
        groups
    }

    /// The metrics, the most telling first.
    pub(crate) fn metrics(&self) -> Vec<&'static Metric> {
        let mut metrics = Vec::new();
        for figure in &self.figures {
            if !metrics.contains(&figure.metric) {
                metrics.push(figure.metric);
            }
        }
        metrics
    }

    pub(crate) fn of(&self, metric: &Metric) -> impl Iterator<Item = &'a Stored> {
        self.figures.iter().copied().filter(move |figure| figure.metric == metric)
    }

    pub(crate) fn best_peer(&self, metric: &Metric) -> Option<&'a Stored> {
        stored::best_peer(self.of(metric), metric.better)
    }

    fn find(&self, kind: Kind, metric: &Metric) -> Option<&'a Stored> {
        self.of(metric).find(|figure| figure.kind == kind)
    }

    fn kinds(&self) -> Vec<Kind> {
        let is_there = |kind: &Kind| self.figures.iter().any(|figure| figure.kind == *kind);
        Kind::ALL.into_iter().filter(is_there).collect()
    }
}

/// What a benchmark measures, in a few words.
pub(crate) fn about(name: &str) -> &'static str {
    bench::find(name).first().map_or("", |bench| bench.about)
}

/// The page of a stored run; `picture` is the name of the file beside it.
pub(crate) fn to_markdown(document: &Value, picture: &str) -> Result<String> {
    let figures = stored::figures(document)?;
    if figures.is_empty() {
        return Err(Error::new("a stored run without figures makes no page"));
    }
    let groups = Group::all(&figures);
    let mut text = String::from("# Benchmarks\n\n");
    text.push_str(
        "Made from one run by `sward-benches page`; nothing here is written by hand. What is measured, on whom and why that is fair \
         is in [benches/README.md](../benches/README.md).\n\n",
    );
    let rounds = figures.iter().map(|figure| figure.summary.rounds).max().unwrap_or(0);
    let plural = if rounds == 1 { "" } else { "s" };
    text.push_str(&machine(&document["machine"]));
    let _ = writeln!(text, "Medians of {rounds} round{plural}.\n");
    let _ = writeln!(text, "![sward and its peers, a chart for each benchmark]({picture})\n");
    text.push_str(&overview(&groups));
    text.push_str("## All figures\n\n");
    text.push_str(
        "The median of the rounds, the smallest and the largest, and the ratio to the best peer. ↑: more is better. ~: rounds differ by \
         more than a tenth of the median.\n\n",
    );
    groups.iter().for_each(|group| text.push_str(&table(group)));
    text.push_str(&notes(&document["machine"]["notes"]));
    Ok(text)
}

/// What the run was made on, in one sentence.
pub(crate) fn machine_line(machine: &Value) -> String {
    let text = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
    let memory = machine["memory_bytes"].as_f64().unwrap_or(0.0) / f64::from(1 << 30);
    format!(
        "{} CPUs ({}), {memory:.0} GiB, {} {}, {}",
        machine["cpus"],
        text("cpu"),
        text("os"),
        text("kernel"),
        text("arch"),
    )
}

fn machine(machine: &Value) -> String {
    let mut versions: Vec<String> = Vec::new();
    for (name, version) in machine["versions"].as_object().into_iter().flatten() {
        versions.push(format!("{name} {}", version.as_str().unwrap_or_default()));
    }
    let peers = machine["peers"].as_array().into_iter().flatten();
    versions.extend(peers.filter_map(Value::as_str).map(ToOwned::to_owned));
    format!("Measured on {}.\nVersions: {}.\n\n", machine_line(machine), versions.join(", "))
}

/// sward against the best peer, by the first metric of each benchmark.
fn overview(groups: &[Group<'_>]) -> String {
    let mut text = String::from(
        "## Against the best peer\n\n\
         The ratio of sward's median to that of the best peer in the same run; in rows with ↑ more is better, in all others less.\n\n\
         | benchmark | workers | figure | sward | roaming | best peer |\n|---|---|---|---|---|---|\n",
    );
    for group in groups {
        let Some(&metric) = group.metrics().first() else { continue };
        let Some(best) = group.best_peer(metric) else { continue };
        let ratio = |kind| {
            group.find(kind, metric).map_or("–".into(), |own| {
                let ratio = own.summary.median / best.summary.median;
                let is_better = if metric.better == Better::Higher { ratio > 1.0 } else { ratio < 1.0 };
                if is_better { format!("**{ratio:.2}**") } else { format!("{ratio:.2}") }
            })
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {}, {} |",
            group.bench,
            group.workers,
            heading(metric),
            ratio(Kind::Sward),
            ratio(Kind::SwardRoaming),
            best.kind.name(),
            number(best.summary.median),
        );
    }
    text + "\n"
}

/// The name of a metric with its unit, and an arrow if more is better.
pub(crate) fn heading(metric: &Metric) -> String {
    let arrow = if metric.better == Better::Higher { " ↑" } else { "" };
    format!("{}, {}{arrow}", metric.name.replace('_', " "), metric.unit)
}

fn table(group: &Group<'_>) -> String {
    let plural = if group.workers == 1 { "" } else { "s" };
    let mut text =
        format!("### {}, {} worker{plural}\n\n{}.\n\n| |", group.bench, group.workers, about(group.bench));
    let metrics = group.metrics();
    metrics.iter().for_each(|metric| text.push_str(&format!(" {} |", heading(metric))));
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(metrics.len())));
    for kind in group.kinds() {
        let _ = write!(text, "| {} |", kind.name());
        for &metric in &metrics {
            let cell = group.find(kind, metric).map_or("–".into(), |figure| cell(group, figure));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text + "\n"
}

fn cell(group: &Group<'_>, figure: &Stored) -> String {
    let summary = figure.summary;
    let ratio = group
        .best_peer(figure.metric)
        .map_or_else(String::new, |best| format!(" {:.2}×", summary.median / best.summary.median));
    let mark = if differs(&summary) { " ~" } else { "" };
    format!("{} ({}–{}){ratio}{mark}", number(summary.median), number(summary.min), number(summary.max))
}

fn notes(notes: &Value) -> String {
    let notes: Vec<&str> = notes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if notes.is_empty() {
        return String::new();
    }
    let lines: String = notes.iter().map(|note| format!("- {}\n", note.replace('|', "\\|"))).collect();
    format!("## Notes\n\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::document;

    fn page() -> String {
        let run = document(&[
            ("fib", "sward", 1, "time", 5.0),
            ("fib", "tokio", 1, "time", 20.0),
            ("fib", "go", 1, "time", 10.0),
            ("yield_2", "sward-roaming", 2, "time", 30.0),
            ("yield_2", "go", 2, "time", 10.0),
            ("fib", "sward", 1, "first_time", 6.0),
            ("tcp_echo_64", "sward", 1, "messages", 110.0),
            ("tcp_echo_64", "go", 1, "messages", 100.0),
        ]);
        to_markdown(&run, "picture.svg").expect("there are figures")
    }

    #[test]
    fn the_overview_compares_with_the_best_peer() {
        let page = page();
        assert!(page.contains("| `fib` | 1 | time, ns | **0.50** | – | go, 10.0 |"));
        assert!(page.contains("| `yield_2` | 2 | time, ns | – | 3.00 | go, 10.0 |"));
        assert!(page.contains("| `tcp_echo_64` | 1 | messages, 1/s ↑ | **1.10** | – | go, 100 |"));
    }

    #[test]
    fn every_figure_is_in_a_table_and_benchmarks_are_in_their_order() {
        let page = page();
        assert!(page.contains("| sward | 5.00 (4.50–5.50) 0.50× ~ | 6.00 (5.40–6.60) ~ |"));
        assert!(page.contains("| tokio | 20.0 (18.0–22.0) 2.00× ~ | – |"));
        let place = |heading| page.find(heading).unwrap_or(usize::MAX);
        assert!(place("### yield_2, 2 workers") < place("### fib, 1 worker\n"));
        assert!(
            page.contains("2 CPUs (A CPU)")
                && page.contains("Medians of 3 rounds.")
                && page.contains("- a note\n")
                && page.contains("tokio 1")
        );
    }

    #[test]
    fn a_run_without_figures_makes_no_page() {
        assert!(to_markdown(&document(&[]), "picture.svg").is_err());
    }
}
