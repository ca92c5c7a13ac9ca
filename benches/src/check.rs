//! Compares a run with one that was stored: not times, which differ from machine to machine, but ratios to a peer of the same run.
//!
//! The peer is the one that was best in the stored run, of those that both runs have. A ratio got worse if it moved the wrong way by
//! more than a given share of what it was. Figures that only one of the runs has are left out, but for those of sward that the new
//! run should have: it did the benchmark, and its peer has the figure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::metric::{self, Better};
use crate::stored;
use crate::subject::Kind;

/// A share of the ratio that is no worse than noise, if not said otherwise.
pub(crate) const WORSE: f64 = 0.15;

/// What is compared: benchmark, workers and metric.
type Place = (String, u64, String);
/// The medians of a run, by place and subject.
type Medians = BTreeMap<Place, BTreeMap<&'static str, f64>>;

/// What came out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Comparison {
    /// How many ratios were compared.
    pub(crate) compared: usize,
    /// Those that got worse, and those that are gone.
    pub(crate) findings: Vec<String>,
}

/// Compares two documents of the shape that [`crate::report::to_json`] makes. An error if they have nothing in common.
pub(crate) fn compare(now: &Value, before: &Value, worse: f64) -> Result<Comparison> {
    let (now, before) = (medians(now)?, medians(before)?);
    let mut comparison = Comparison::default();
    for (place, before) in &before {
        let (Some(now), Some(better)) = (now.get(place), better(place)) else {
            continue;
        };
        let Some(peer) = best_common_peer(before, now, better) else {
            continue;
        };
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_sward()) {
            let Some(&own_before) = before.get(kind.name()) else {
                continue;
            };
            let what = format!("{}, {} worker(s), {}, {}", place.0, place.1, place.2, kind.name());
            let Some(&own) = now.get(kind.name()) else {
                comparison.findings.push(format!("{what}: has no figure any more"));
                continue;
            };
            comparison.compared += 1;
            let (was, is) = (own_before / before[peer], own / now[peer]);
            if is_worse(was, is, better, worse) {
                comparison.findings.push(format!("{what}: {is:.2} of {peer}'s, and was {was:.2}"));
            }
        }
    }
    if comparison.compared == 0 && comparison.findings.is_empty() {
        return Err(Error::new(
            "the stored run has nothing to compare with: no benchmark and peer in common",
        ));
    }
    Ok(comparison)
}

fn medians(document: &Value) -> Result<Medians> {
    let mut medians = Medians::new();
    for figure in stored::figures(document)? {
        let place = (figure.bench, figure.workers, figure.metric.name.to_owned());
        medians.entry(place).or_default().insert(figure.kind.name(), figure.summary.median);
    }
    Ok(medians)
}

/// Which way the metric of a place should go, if there is one.
fn better(place: &Place) -> Option<Better> {
    metric::find(&place.2).map(|metric| metric.better).filter(|&better| better != Better::Neither)
}

fn best_common_peer(
    before: &BTreeMap<&'static str, f64>,
    now: &BTreeMap<&'static str, f64>,
    better: Better,
) -> Option<&'static str> {
    let is_common = |name: &str| now.get(name).is_some_and(|&median| median > 0.0);
    let is_peer = |name: &str| Kind::find(name).is_some_and(Kind::is_peer);
    let peers = before.iter().filter(|&(name, &median)| is_peer(name) && is_common(name) && median > 0.0);
    let by_median = |a: &(&&str, &f64), b: &(&&str, &f64)| a.1.total_cmp(b.1);
    let best = if better == Better::Higher { peers.max_by(by_median) } else { peers.min_by(by_median) };
    best.map(|(&name, _)| name)
}

fn is_worse(was: f64, is: f64, better: Better, share: f64) -> bool {
    match better {
        Better::Higher => is < was / (1.0 + share),
        _ => is > was * (1.0 + share),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stored::tests::document;

    /// A document with these medians of `fib` with one worker.
    fn run(metric: &str, medians: &[(&str, f64)]) -> Value {
        let figure = |&(subject, median)| ("fib", subject, 1, metric, median);
        document(&medians.iter().map(figure).collect::<Vec<_>>())
    }

    fn findings(now: &Value, before: &Value) -> Vec<String> {
        compare(now, before, 0.15).expect("there is something to compare").findings
    }

    #[test]
    fn a_slower_machine_is_no_worse() {
        let before = run("time", &[("sward", 10.0), ("tokio", 40.0), ("go", 50.0)]);
        let now = run("time", &[("sward", 30.0), ("tokio", 120.0), ("go", 150.0)]);
        assert_eq!(compare(&now, &before, 0.0).ok(), Some(Comparison { compared: 1, findings: Vec::new() }));
    }

    #[test]
    fn a_ratio_that_grew_by_more_than_the_share_is_found() {
        let before = run("time", &[("sward", 10.0), ("tokio", 40.0)]);
        assert!(findings(&run("time", &[("sward", 11.4), ("tokio", 40.0)]), &before).is_empty());
        let now = run("time", &[("sward", 12.0), ("tokio", 40.0)]);
        assert_eq!(findings(&now, &before), ["fib, 1 worker(s), time, sward: 0.30 of tokio's, and was 0.25"]);
        assert!(compare(&now, &before, 0.25).is_ok_and(|comparison| comparison.findings.is_empty()));
    }

    #[test]
    fn more_is_better_for_rates() {
        let before = run("messages", &[("sward-roaming", 100.0), ("go", 100.0)]);
        assert!(findings(&run("messages", &[("sward-roaming", 300.0), ("go", 100.0)]), &before).is_empty());
        assert_eq!(findings(&run("messages", &[("sward-roaming", 80.0), ("go", 100.0)]), &before).len(), 1);
    }

    #[test]
    fn the_peer_is_the_best_that_both_runs_have() {
        // go was best, but is not there any more; that smol became faster than tokio does not matter.
        let before = run("time", &[("sward", 10.0), ("go", 15.0), ("tokio", 20.0), ("smol", 30.0)]);
        let now = run("time", &[("sward", 10.0), ("tokio", 20.0), ("smol", 1.0)]);
        assert!(findings(&now, &before).is_empty());
        let now = run("time", &[("sward", 20.0), ("tokio", 20.0), ("smol", 30.0)]);
        assert!(findings(&now, &before)[0].contains("1.00 of tokio's, and was 0.50"));
    }

    #[test]
    fn a_figure_that_is_gone_is_found() {
        let before = run("time", &[("sward", 10.0), ("tokio", 20.0)]);
        let now = run("time", &[("tokio", 20.0)]);
        assert_eq!(findings(&now, &before), ["fib, 1 worker(s), time, sward: has no figure any more"]);
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let before = run("time", &[("sward", 10.0), ("tokio", 20.0)]);
        assert!(compare(&run("time", &[("sward", 10.0), ("go", 20.0)]), &before, 0.1).is_err());
        assert!(compare(&run("load_generator", &[("sward", 10.0), ("tokio", 20.0)]), &before, 0.1).is_err());
        assert!(compare(&json!({}), &before, 0.1).is_err());
        assert!(compare(&before, &json!({ "results": [{ "bench": "fib" }] }), 0.1).is_err());
    }
}
