//! The peers that are not built with this crate: found or built before anything is measured, or skipped with a word on why.

use std::ffi::OsString;
use std::path::Path;

use crate::args::Options;
use crate::subject::{self, Kind};

/// What there is to know about them.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// Variables that tell children where they are.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// What they are.
    pub(crate) versions: Vec<String>,
    /// Why others are not there.
    pub(crate) skipped: Vec<String>,
}

impl Peers {
    /// Prepares those on the list; takes off what is not there.
    pub(crate) fn prepare(kinds: &mut Vec<Kind>, options: &Options, into: &Path) -> Self {
        let mut peers = Self::default();
        if kinds.contains(&Kind::Go) {
            let tool = options.go.as_deref().unwrap_or(Path::new("go"));
            match subject::build_go_peer(tool, into) {
                Ok((path, version)) => {
                    peers.environment.push((subject::GO_PEER_VARIABLE, path.into()));
                    peers.versions.push(version);
                }
                Err(error) => peers.skip(kinds, Kind::Go, &error),
            }
        }
        if kinds.iter().any(|kind| kind.is_python()) {
            peers.find_python(kinds, options, into);
        }
        peers
    }

    fn find_python(&mut self, kinds: &mut Vec<Kind>, options: &Options, into: &Path) {
        let interpreter = options.python.as_deref().unwrap_or(Path::new("python3"));
        let program = subject::write_python_peer(into);
        for kind in kinds.clone().into_iter().filter(|kind| kind.is_python()) {
            let version = program.as_ref().map_err(ToString::to_string).and_then(|program| {
                subject::python_version(interpreter, program, kind).map_err(|error| error.to_string())
            });
            match version {
                Ok(version) => self.versions.push(version),
                Err(error) => self.skip(kinds, kind, &error),
            }
        }
        if let Ok(program) = program {
            self.environment.push((subject::PYTHON_VARIABLE, interpreter.into()));
            self.environment.push((subject::PYTHON_PEER_VARIABLE, program.into()));
        }
    }

    fn skip(&mut self, kinds: &mut Vec<Kind>, kind: Kind, why: &dyn std::fmt::Display) {
        kinds.retain(|&other| other != kind);
        self.skipped.push(format!("{} skipped: {why}", kind.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_skipped_with_a_word() {
        let nowhere = Some("/nonexistent/tool".into());
        let options = Options { go: nowhere.clone(), python: nowhere, ..Options::default() };
        let into = std::env::temp_dir().join(format!("sward-benches-peers-{}", std::process::id()));
        let mut kinds = vec![Kind::Sward, Kind::Go, Kind::Asyncio, Kind::Gevent];
        let peers = Peers::prepare(&mut kinds, &options, &into);
        drop(std::fs::remove_dir_all(into));
        assert_eq!(kinds, [Kind::Sward]);
        assert_eq!(peers.skipped.len(), 3);
        assert!(peers.skipped[0].starts_with("go skipped: ") && peers.skipped[0].contains("--go PATH"));
        assert!(
            peers.skipped[2].starts_with("gevent skipped: ") && peers.skipped[2].contains("--python PATH")
        );
    }
}
