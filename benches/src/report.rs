//! The results: as a table for people, as JSON for programs.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::metric::{Better, CHUNKS, Metric, REQUESTS, SPEEDUP, Summary, WORK_SPEEDUP};
use crate::runner::Row;
use crate::subject::Kind;
use crate::work::CHUNK_REQUESTS;

/// Rounds whose range is a larger share of the median differ.
const DIFFERS: f64 = 0.1;
/// No table is wider, if it has only one column of figures.
const WIDTH: usize = 110;

/// One figure of one subject in one benchmark, over all rounds.
#[derive(Debug)]
pub(crate) struct Figure {
    bench: &'static Bench,
    kind: Kind,
    workers: usize,
    metric: &'static Metric,
    summary: Summary,
}

/// Takes the medians, and adds what follows from several rows: the speed-up from one worker to more.
pub(crate) fn summarise(rows: &[Row]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for row in rows {
        let Some(first) = row.rounds.first() else {
            continue;
        };
        let of = |metric: &'static Metric| values(row, metric);
        let mut columns: Vec<_> = first.iter().map(|&(metric, _)| (metric, of(metric))).collect();
        if let Some(alone) = rows.iter().find(|other| is_alone(other, row)) {
            columns.extend(speedups(alone, row));
        }
        figures.extend(columns.into_iter().filter_map(|(metric, values)| {
            let summary = Summary::of(&values)?;
            Some(Figure { bench: row.bench, kind: row.kind, workers: row.workers, metric, summary })
        }));
    }
    figures
}

fn values(row: &Row, metric: &'static Metric) -> Vec<f64> {
    let of_round =
        |round: &Vec<(&'static Metric, f64)>| round.iter().find(|(other, _)| *other == metric).map(|at| at.1);
    row.rounds.iter().filter_map(of_round).collect()
}

/// Whether `other` is the same as `row` with one worker, and `row` has more.
fn is_alone(other: &Row, row: &Row) -> bool {
    other.workers == 1 && row.workers > 1 && other.kind == row.kind && other.bench == row.bench
}

/// The ratios of each round with many workers to the same round with one.
fn speedups(alone: &Row, row: &Row) -> Vec<(&'static Metric, Vec<f64>)> {
    let ratios =
        |many: &[f64], one: &[f64]| many.iter().zip(one).map(|(many, one)| many / one).collect::<Vec<_>>();
    let requests = |row: &Row| values(row, &REQUESTS);
    let work = |row: &Row| -> Vec<f64> {
        let chunks = values(row, &CHUNKS);
        requests(row)
            .iter()
            .zip(chunks)
            .map(|(requests, chunks)| requests + chunks * f64::from(CHUNK_REQUESTS))
            .collect()
    };
    if requests(row).is_empty() {
        return Vec::new();
    }
    vec![
        (&SPEEDUP, ratios(&requests(row), &requests(alone))),
        (&WORK_SPEEDUP, ratios(&work(row), &work(alone))),
    ]
}

/// The JSON form: `{"machine": {…}, "results": […]}`.
pub(crate) fn to_json(machine: Value, figures: &[Figure]) -> Value {
    let result = |figure: &Figure| {
        json!({
            "bench": figure.bench.name,
            "subject": figure.kind.name(),
            "workers": figure.workers,
            "metric": figure.metric.name,
            "unit": figure.metric.unit,
            "median": figure.summary.median,
            "min": figure.summary.min,
            "max": figure.summary.max,
            "rounds": figure.summary.rounds,
        })
    };
    json!({ "machine": machine, "results": figures.iter().map(result).collect::<Vec<_>>() })
}

/// The form for people: a table for each benchmark and number of workers.
pub(crate) fn to_text(rows: &[Row], figures: &[Figure]) -> String {
    let mut text = String::new();
    for group in rows.chunk_by(|a, b| a.bench == b.bench && a.workers == b.workers) {
        let (bench, workers) = (group[0].bench, group[0].workers);
        let plural = if workers == 1 { "" } else { "s" };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}, {workers} worker{plural} ({})", bench.name, bench.about);
        let of_group = |figure: &&Figure| figure.bench == bench && figure.workers == workers;
        text.push_str(&tables(group, &figures.iter().filter(of_group).collect::<Vec<_>>()));
        text.push('\n');
    }
    text
}

/// Says how many figures are marked by `~`, if any is.
pub(crate) fn disagreement(figures: &[Figure]) -> Option<String> {
    let differing = figures.iter().filter(|figure| differs(&figure.summary)).count();
    let percent = DIFFERS * 100.0;
    let all = figures.len();
    (differing > 0).then(|| {
        format!("~ rounds differ by more than {percent:.0} % of the median: {differing} of {all} figures")
    })
}

/// What marks in the tables stand for, each once.
pub(crate) fn notes(rows: &[Row]) -> Vec<String> {
    let mut notes = Vec::new();
    for note in rows.iter().filter_map(note) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn note(row: &Row) -> Option<String> {
    let (bench, kind) = (row.bench.name, row.kind.name());
    if let Some(failure) = &row.failure {
        return Some(format!("! {bench}, {kind}, {} worker(s): {failure}", row.workers));
    }
    (row.bench.differs)(row.kind).map(|what| format!("† {bench}, {kind}: {what}"))
}

/// The tables of one group: as many columns as fit side by side, then a new table below.
fn tables(group: &[Row], figures: &[&Figure]) -> String {
    let mut metrics: Vec<&'static Metric> = Vec::new();
    for figure in figures {
        if !metrics.contains(&figure.metric) {
            metrics.push(figure.metric);
        }
    }
    let names: Vec<String> = group.iter().map(row_name).collect();
    let columns: Vec<Vec<String>> = metrics.iter().map(|&metric| column(group, figures, metric)).collect();
    let name_width = width(&names);
    let mut text = String::new();
    let mut rest = &columns[..];
    while let Some(first) = rest.first() {
        let mut taken = 1;
        let mut total = name_width + 2 + width(first);
        while let Some(next) = rest.get(taken).filter(|next| total + 3 + width(next) <= WIDTH) {
            total += 3 + width(next);
            taken += 1;
        }
        let (here, later) = rest.split_at(taken);
        for line in 0..=group.len() {
            let name = if line == 0 { "" } else { &names[line - 1] };
            let cells: Vec<String> =
                here.iter().map(|column| format!("{:<1$}", column[line], width(column))).collect();
            let _ = writeln!(text, "{}", format!("  {name:<name_width$}  {}", cells.join("   ")).trim_end());
        }
        rest = later;
    }
    text
}

fn row_name(row: &Row) -> String {
    let mark = if row.failure.is_some() {
        " !"
    } else if (row.bench.differs)(row.kind).is_some() {
        " †"
    } else {
        ""
    };
    format!("{}{mark}", row.kind.name())
}

fn width(column: &[impl AsRef<str>]) -> usize {
    column.iter().map(|cell| cell.as_ref().chars().count()).max().unwrap_or(0)
}

/// The head and the cells of a column: the median, its range, and the ratio to the best peer.
fn column(group: &[Row], figures: &[&Figure], metric: &'static Metric) -> Vec<String> {
    let here: HashMap<Kind, Summary> = figures
        .iter()
        .filter(|figure| figure.metric == metric)
        .map(|figure| (figure.kind, figure.summary))
        .collect();
    let best = best_peer(&here, metric.better);
    let arrow = if metric.better == Better::Higher { " ↑" } else { "" };
    let mut cells = vec![format!("{}, {}{arrow}", metric.name.replace('_', " "), metric.unit)];
    cells.extend(group.iter().map(|row| {
        let Some(summary) = here.get(&row.kind) else {
            return "-".into();
        };
        let range = format!("({}..{})", number(summary.min), number(summary.max));
        let ratio = best.map_or_else(String::new, |best| format!(" {:.2}x", summary.median / best));
        let mark = if differs(summary) { " ~" } else { "" };
        format!("{} {range}{ratio}{mark}", number(summary.median))
    }));
    cells
}

/// The best median of a peer, if one direction is better. Nothing can be compared with none or less.
fn best_peer(summaries: &HashMap<Kind, Summary>, better: Better) -> Option<f64> {
    let medians = summaries.iter().filter(|(kind, _)| kind.is_peer()).map(|(_, summary)| summary.median);
    let best = match better {
        Better::Higher => medians.max_by(f64::total_cmp),
        Better::Lower => medians.min_by(f64::total_cmp),
        Better::Neither => None,
    };
    best.filter(|&best| best > 0.0)
}

/// Whether rounds differ by so much that the median says little.
pub(crate) fn differs(summary: &Summary) -> bool {
    summary.max - summary.min > DIFFERS * summary.median.abs()
}

/// A number with three significant digits, or all before the point, in groups of three.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        99.95.. => 0,
        9.995.. => 1,
        _ => 2,
    };
    let plain = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench;
    use crate::metric::{LOAD, P50, TIME};

    fn row(name: &str, kind: Kind, workers: usize, rounds: &[&[(&'static Metric, f64)]]) -> Row {
        let rounds = rounds.iter().map(|round| round.to_vec()).collect();
        Row { bench: bench::find(name)[0], workers, kind, rounds, failure: None }
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let shown: Vec<String> =
            [0.0, 1.234, 9.999, 12.34, 99.99, 123.4, 1234.5, 1_234_567.8].map(number).into();
        assert_eq!([-154.2, -1234.0].map(number), ["-154", "-1 234"]);
        assert_eq!(shown, ["0.00", "1.23", "10.0", "12.3", "100", "123", "1 234", "1 234 568"]);
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_never_to_sward() {
        let rows = [
            row("fib", Kind::Sward, 1, &[&[(&TIME, 50.0)]]),
            row("fib", Kind::Tokio, 1, &[&[(&TIME, 200.0)]]),
            row("fib", Kind::Smol, 1, &[&[(&TIME, 100.0)]]),
        ];
        let text = to_text(&rows, &summarise(&rows));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[1], "time, ns");
        assert_eq!(lines[2], "sward  50.0 (50.0..50.0) 0.50x");
        assert_eq!(lines[3], "tokio  200 (200..200) 2.00x");
        assert_eq!(lines[4], "smol   100 (100..100) 1.00x");
    }

    #[test]
    fn higher_can_be_better_and_some_figures_only_explain() {
        let round: [(&'static Metric, f64); 2] = [(&REQUESTS, 10.0), (&LOAD, 0.5)];
        let rows =
            [row("cpu_io", Kind::Tokio, 1, &[&round]), row("cpu_io", Kind::Smol, 1, &[&[(&REQUESTS, 5.0)]])];
        let text = to_text(&rows, &summarise(&rows));
        assert!(text.contains("requests, 1/s ↑"));
        assert!(text.contains("smol   5.00 (5.00..5.00) 0.50x"));
        assert!(text.lines().any(|line| line.ends_with("0.50 (0.50..0.50)")));
    }

    #[test]
    fn failures_and_differences_are_marked_and_explained() {
        let mut failed = row("fib", Kind::Go, 1, &[]);
        failed.failure = Some("no toolchain".into());
        let rows = [row("fib", Kind::May, 1, &[&[(&TIME, 1.0)]]), failed];
        let text = to_text(&rows, &summarise(&rows));
        assert!(text.contains("may †"));

        assert!(text.contains("go !"));
        let expected = ["† fib, may: fib(21) instead of fib(27)", "! fib, go, 1 worker(s): no toolchain"];
        assert_eq!(notes(&rows), expected);
    }

    #[test]
    fn rounds_that_differ_are_marked_and_counted() {
        let rows = [
            row("fib", Kind::Tokio, 1, &[&[(&TIME, 100.0)], &[(&TIME, 104.0)], &[(&TIME, 112.0)]]),
            row("fib", Kind::Smol, 1, &[&[(&TIME, 100.0)], &[(&TIME, 109.0)]]),
        ];
        let figures = summarise(&rows);
        let text = to_text(&rows, &figures);
        assert!(text.contains("104 (100..112) 1.00x ~"));
        assert_eq!(text.matches('~').count(), 1);
        assert!(disagreement(&figures).is_some_and(|note| note.ends_with("1 of 2 figures")));
        assert_eq!(disagreement(&summarise(&rows[1..])), None);
    }

    #[test]
    fn speedup_compares_the_same_round() {
        let rounds_alone: [&[(&'static Metric, f64)]; 2] =
            [&[(&REQUESTS, 10.0), (&CHUNKS, 1.0)], &[(&REQUESTS, 20.0), (&CHUNKS, 1.0)]];
        let rounds_many: [&[(&'static Metric, f64)]; 2] =
            [&[(&REQUESTS, 15.0), (&CHUNKS, 4.5)], &[(&REQUESTS, 40.0), (&CHUNKS, 2.0)]];
        let rows =
            [row("cpu_io", Kind::Tokio, 1, &rounds_alone), row("cpu_io", Kind::Tokio, 4, &rounds_many)];
        let figures = summarise(&rows);
        let of = |metric| figures.iter().find(|figure| figure.metric == metric).map(|figure| figure.summary);
        assert_eq!(of(&SPEEDUP), Summary::of(&[1.5, 2.0]));
        assert_eq!(of(&WORK_SPEEDUP), Summary::of(&[3.0, 2.0]));
    }

    #[test]
    fn wide_groups_are_broken_into_several_tables() {
        let round: Vec<(&'static Metric, f64)> =
            [&REQUESTS, &P50, &CHUNKS, &LOAD, &TIME].map(|metric| (metric, 123_456.0)).into();
        let rows = [row("cpu_io", Kind::Tokio, 1, &[&round])];
        let text = to_text(&rows, &summarise(&rows));
        assert!(text.lines().skip(1).all(|line| line.chars().count() <= WIDTH + 2));
        assert_eq!(text.lines().filter(|line| line.trim().starts_with("tokio")).count(), 2);
    }

    #[test]
    fn json_has_exactly_the_documented_shape() {
        let rows = [row("fib", Kind::SwardRoaming, 2, &[&[(&TIME, 1.0)], &[(&TIME, 3.0)]])];
        let json = to_json(json!({ "cpus": 2 }), &summarise(&rows));
        let expected = json!({
            "machine": { "cpus": 2 },
            "results": [{
                "bench": "fib", "subject": "sward-roaming", "workers": 2, "metric": "time", "unit": "ns",
                "median": 2.0, "min": 1.0, "max": 3.0, "rounds": 2,
            }],
        });
        assert_eq!(json, expected);
    }
}
