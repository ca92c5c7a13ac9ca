//! Runs that were stored: the document that [`crate::report::to_json`] makes, read again.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::metric::{self, Better, Metric, Summary};
use crate::subject::Kind;

/// One figure of one subject.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) bench: String,
    pub(crate) kind: Kind,
    pub(crate) workers: u64,
    pub(crate) metric: &'static Metric,
    pub(crate) summary: Summary,
}

/// All figures of a document, but for those of subjects and metrics that are no longer known.
pub(crate) fn figures(document: &Value) -> Result<Vec<Stored>> {
    let results = document["results"].as_array().ok_or_else(|| Error::new("a stored run has no results"))?;
    let mut figures = Vec::new();
    for result in results {
        let incomplete = || Error::new(format!("a stored result is incomplete: {result}"));
        let text = |name: &str| result[name].as_str().ok_or_else(incomplete);
        let number = |name: &str| result[name].as_f64().ok_or_else(incomplete);
        let (bench, kind, metric) = (text("bench")?.to_owned(), text("subject")?, text("metric")?);
        let workers = result["workers"].as_u64().ok_or_else(incomplete)?;
        let rounds = result["rounds"].as_u64().ok_or_else(incomplete)? as usize;
        let summary = Summary { median: number("median")?, min: number("min")?, max: number("max")?, rounds };
        if let (Some(kind), Some(metric)) = (Kind::find(kind), metric::find(metric)) {
            figures.push(Stored { bench, kind, workers, metric, summary });
        }
    }
    Ok(figures)
}

/// The best of the peers among figures of one metric. Nothing can be compared with none or less.
pub(crate) fn best_peer<'a>(figures: impl Iterator<Item = &'a Stored>, better: Better) -> Option<&'a Stored> {
    let peers = figures.filter(|figure| figure.kind.is_peer() && figure.summary.median > 0.0);
    let by_median = |a: &&Stored, b: &&Stored| a.summary.median.total_cmp(&b.summary.median);
    match better {
        Better::Higher => peers.max_by(by_median),
        Better::Lower => peers.min_by(by_median),
        Better::Neither => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A document with these medians, each of three rounds with a range of a tenth below and above.
    pub(crate) fn document(figures: &[(&str, &str, u64, &str, f64)]) -> Value {
        let result = |&(bench, subject, workers, metric, median): &(&str, &str, u64, &str, f64)| {
            json!({
                "bench": bench, "subject": subject, "workers": workers, "metric": metric, "unit": "",
                "median": median, "min": median * 0.9, "max": median * 1.1, "rounds": 3,
            })
        };
        json!({
            "machine": { "cpu": "A CPU", "cpus": 2, "notes": ["a note"], "versions": { "tokio": "1" } },
            "results": figures.iter().map(result).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn figures_are_read_and_unknown_ones_left_out() {
        let document = document(&[
            ("fib", "tokio", 1, "time", 10.0),
            ("fib", "erlang", 1, "time", 10.0),
            ("fib", "tokio", 1, "colour", 10.0),
        ]);
        let figures = figures(&document).expect("it is complete");
        assert_eq!(figures.len(), 1);
        assert_eq!((figures[0].kind, figures[0].summary.max), (Kind::Tokio, 11.0));
    }

    #[test]
    fn incomplete_documents_are_errors() {
        assert!(figures(&json!({})).is_err());
        assert!(figures(&json!({ "results": [{ "bench": "fib" }] })).is_err());
    }

    #[test]
    fn the_best_peer_is_never_sward_and_never_nothing() {
        let document = document(&[
            ("fib", "sward", 1, "time", 1.0),
            ("fib", "tokio", 1, "time", 10.0),
            ("fib", "go", 1, "time", 5.0),
            ("fib", "may", 1, "time", 0.0),
        ]);
        let figures = figures(&document).expect("it is complete");
        let best = |better| best_peer(figures.iter(), better).map(|figure| figure.kind);
        assert_eq!(best(Better::Lower), Some(Kind::Go));
        assert_eq!(best(Better::Higher), Some(Kind::Tokio));
        assert_eq!(best(Better::Neither), None);
    }
}
