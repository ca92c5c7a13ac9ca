//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::bench::{self, Bench, Context};
use crate::soak::{self, Mode, Soak};
use crate::subject::{Kind, Role};

pub(crate) const HELP: &str = "\
Measures sward against its peers.

usage: sward-benches [OPTIONS]              the benchmark `cpu_io`, about a minute
       sward-benches run NAME... [OPTIONS]  the benchmarks of that name, or `all`
       sward-benches list                   the names, and what each measures
       sward-benches page JSON MARKDOWN     a page of a stored run, with a picture beside it
       sward-benches instructions [NAME...] instructions for each operation, counted by callgrind
       sward-benches soak [NAME...]         a mixed load, or these of it, under which nothing may get lost

options:
  --workers N    only with N workers (default: once with 1, once with all)
  --rounds N     rounds for the medians (default: 3)
  --peers A,B    only these peers: threads, tokio, smol, may, go, asyncio, uvloop, gevent, rayon; or none
  --json FILE    write the figures there too
  --check FILE   compare with figures that were written before; worse ones end with exit code 3
  --worse SHARE  what counts as worse (default: 0.15 for the ratio to a peer, 0.02 for instructions)
  --go PATH      the Go tool that builds the Go peer (default: go)
  --python PATH  the interpreter of the Python peers, such as that of a venv (default: python3)
  --help         this

options of soak, beside --workers:
  --minutes M    for how long (default: 2)
  --seed S       the choices of the run that printed it (default: others each time)
  --mode MODE    only anchored, or only roaming
  --episode N    begin with this episode (default: 0)
";

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    List,
    Page {
        stored: PathBuf,
        page: PathBuf,
    },
    Instructions {
        names: Vec<String>,
        options: Options,
    },
    Run {
        benches: Vec<&'static Bench>,
        options: Options,
    },
    Soak(Soak),
    /// A child process: measure once.
    Measure {
        bench: &'static Bench,
        context: Context,
    },
    /// A child process under callgrind: do an operation some times.
    Count {
        name: String,
        kind: Kind,
    },
    /// A child's child: be the server.
    Serve {
        role: Role,
        context: Context,
    },
}

/// How it was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) workers: Option<usize>,
    pub(crate) rounds: Option<usize>,
    pub(crate) peers: Option<Vec<Kind>>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) check: Option<PathBuf>,
    pub(crate) worse: Option<f64>,
    pub(crate) go: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
}

/// Why the command line makes no sense.
#[derive(Debug, PartialEq)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Understands the arguments that follow the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut options = Options::default();
    let mut soaking = soak::Options::default();
    let mut words = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("workers") => options.workers = Some(positive("--workers", &parser.value()?)?),
            Long("rounds") => options.rounds = Some(positive("--rounds", &parser.value()?)?),
            Long("peers") => options.peers = Some(peers(&parser.value()?.string()?)?),
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("check") => options.check = Some(parser.value()?.into()),
            Long("worse") => options.worse = Some(share("--worse", &parser.value()?)?),
            Long("go") => options.go = Some(parser.value()?.into()),
            Long("python") => options.python = Some(parser.value()?.into()),
            Long("minutes") => soaking.minutes = Some(share("--minutes", &parser.value()?)?),
            Long("seed") => soaking.seed = Some(whole("--seed", &parser.value()?)?),
            Long("mode") => soaking.mode = Some(mode(&parser.value()?.string()?)?),
            Long("episode") => soaking.episode = Some(whole("--episode", &parser.value()?)?),
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["soak", names @ ..] = &words[..] {
        return soak(names, options, soaking);
    }
    if soaking != soak::Options::default() {
        return Err(UsageError::new("--minutes, --seed, --mode and --episode are options of soak"));
    }
    command(&words, options)
}

fn soak(names: &[&str], options: Options, soaking: soak::Options) -> Result<Command, UsageError> {
    let only_workers = Options { workers: None, ..options.clone() };
    if only_workers != Options::default() {
        return Err(UsageError::new("soak has no options but --workers and its own"));
    }
    Ok(Command::Soak(Soak::new(names, soaking, options.workers)?))
}

/// What words and options say that are not soak's.
fn command(words: &[&str], options: Options) -> Result<Command, UsageError> {
    match *words {
        [] => Ok(Command::Run { benches: bench::find(bench::MAIN), options }),
        ["list"] if options == Options::default() => Ok(Command::List),
        ["list"] => Err(UsageError::new("list takes no options")),
        ["page", stored, page] if options == Options::default() => {
            Ok(Command::Page { stored: stored.into(), page: page.into() })
        }
        ["page", ..] => {
            Err(UsageError::new("page needs a stored run and the file to write, and takes no options"))
        }
        ["instructions", ref names @ ..] => {
            let only_files = Options { json: None, check: None, worse: None, ..options.clone() };
            if only_files != Options::default() {
                return Err(UsageError::new("instructions has no options but --json, --check and --worse"));
            }
            Ok(Command::Instructions { names: names.iter().map(ToString::to_string).collect(), options })
        }
        ["run"] => Err(UsageError::new("run needs the name of a benchmark; list shows them")),
        ["run", ref names @ ..] => Ok(Command::Run { benches: benches(names)?, options }),
        ["__measure", name, kind, workers, iterations] => {
            let context = context(kind, workers, iterations)?;
            let [bench] = bench::find(name)[..] else {
                return Err(unknown_bench(name));
            };
            Ok(Command::Measure { bench, context })
        }
        ["__count", name, kind] => {
            let kind = Kind::find(kind).ok_or_else(|| UsageError::new("no such subject"))?;
            Ok(Command::Count { name: name.to_owned(), kind })
        }
        ["__serve", role, kind, workers, iterations] => {
            let context = context(kind, workers, iterations)?;
            let role = Role::find(role).ok_or_else(|| UsageError::new("no such server"))?;
            Ok(Command::Serve { role, context })
        }
        [word, ..] => Err(UsageError(format!(
            "unknown command {word:?}; there are run, list, page, instructions and soak"
        ))),
    }
}

fn context(kind: &str, workers: &str, iterations: &str) -> Result<Context, UsageError> {
    let kind = Kind::find(kind).ok_or_else(|| UsageError::new("no such subject"))?;
    let workers = positive("workers", &OsString::from(workers))?;
    let iterations = iterations.parse().map_err(|_| UsageError::new("iterations must be a number"))?;
    Ok(Context { kind, workers, iterations })
}

fn positive(what: &str, value: &OsString) -> Result<usize, UsageError> {
    let number = value.to_str().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
    number.ok_or_else(|| UsageError(format!("{what} must be a whole number from 1 on, not {value:?}")))
}

fn whole(what: &str, value: &OsString) -> Result<u64, UsageError> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| UsageError(format!("{what} must be a whole number, not {value:?}")))
}

fn mode(name: &str) -> Result<Mode, UsageError> {
    Mode::find(name).ok_or_else(|| UsageError(format!("--mode must be anchored or roaming, not {name:?}")))
}

fn share(what: &str, value: &OsString) -> Result<f64, UsageError> {
    let number =
        value.to_str().and_then(|text| text.parse().ok()).filter(|number| (0.0..1e6).contains(number));
    number
        .ok_or_else(|| UsageError(format!("{what} must be a number from 0 on, such as 0.15, not {value:?}")))
}

fn peers(list: &str) -> Result<Vec<Kind>, UsageError> {
    if list == "none" {
        return Ok(Vec::new());
    }
    let known: Vec<&str> = Kind::ALL.into_iter().filter(|kind| kind.is_peer()).map(Kind::name).collect();
    let find = |name: &str| {
        let peer = Kind::find(name).filter(|kind| kind.is_peer());
        peer.ok_or_else(|| UsageError(format!("unknown peer {name:?}; there are {}", known.join(", "))))
    };
    list.split(',').map(find).collect()
}

fn unknown_bench(name: &str) -> UsageError {
    UsageError(format!("unknown benchmark {name:?}; list shows them"))
}

fn benches(names: &[&str]) -> Result<Vec<&'static Bench>, UsageError> {
    let mut chosen: Vec<&'static Bench> = Vec::new();
    for &name in names {
        let found = if name == "all" { bench::ALL.iter().collect() } else { bench::find(name) };
        if found.is_empty() {
            return Err(unknown_bench(name));
        }
        // A benchmark that is named twice runs once.
        chosen.extend(found.into_iter().filter(|bench| !chosen.contains(bench)).collect::<Vec<_>>());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> (Vec<&'static str>, Options) {
        match parse(line.split_whitespace()) {
            Ok(Command::Run { benches, options }) => {
                (benches.iter().map(|bench| bench.name).collect(), options)
            }
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    fn error(line: &str) -> String {
        parse(line.split_whitespace()).expect_err("the line is wrong").to_string()
    }

    #[test]
    fn no_arguments_run_the_main_benchmark() {
        assert_eq!(run(""), (vec!["cpu_io"], Options::default()));
    }

    #[test]
    fn options_may_stand_anywhere() {
        let (names, options) = run("--rounds 5 run fib --workers=2 yield --peers tokio,go --json out.json");
        assert_eq!(names, ["fib", "yield_2", "yield_1000"]);
        let expected = Options {
            workers: Some(2),
            rounds: Some(5),
            peers: Some(vec![Kind::Tokio, Kind::Go]),
            json: Some("out.json".into()),
            ..Options::default()
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn all_names_every_benchmark_once() {
        assert_eq!(run("run fib all").0.len(), bench::ALL.len());
    }

    #[test]
    fn no_peers_is_a_choice() {
        assert_eq!(run("--peers none").1.peers, Some(Vec::new()));
    }

    #[test]
    fn bad_input_is_named() {
        assert!(error("run nonsense").contains("\"nonsense\""));
        assert!(error("run").contains("needs the name"));
        assert!(error("walk").contains("\"walk\""));
        assert!(error("--workers 0").contains("\"0\""));
        assert!(error("--rounds many").contains("\"many\""));
        assert!(error("--peers tokio,erlang").contains("\"erlang\""));
        assert!(error("--peers sward").contains("\"sward\""));
        assert!(error("--verbose").contains("--verbose"));
        assert!(error("--json").contains("--json"));
        assert!(error("list --rounds 2").contains("no options"));
        assert!(error("page run.json").contains("file to write"));
        assert!(error("instructions --rounds 2").contains("--check"));
        assert!(error("--worse -1").contains("\"-1\""));
        assert!(error("--worse NaN").contains("\"NaN\""));
    }

    #[test]
    fn comparisons_are_with_a_file_and_by_a_share() {
        let options = run("run fib --check before.json --worse 0.3").1;
        assert_eq!((options.check, options.worse), (Some("before.json".into()), Some(0.3)));
        let command = parse("instructions fib --check before.json".split_whitespace());
        let Ok(Command::Instructions { names, options }) = command else { panic!("{command:?}") };
        assert_eq!((names, options.check), (vec!["fib".into()], Some("before.json".into())));
    }

    #[test]
    fn a_soak_has_options_of_its_own() {
        let line = "soak --minutes 0.5 timers --seed 7 --workers 3 --mode roaming --episode 4 echo";
        let options =
            soak::Options { minutes: Some(0.5), seed: Some(7), mode: Some(Mode::Roaming), episode: Some(4) };
        let expected = Soak::new(&["timers", "echo"], options, Some(3)).expect("there are such loads");
        assert_eq!(parse(line.split_whitespace()), Ok(Command::Soak(expected)));
        assert!(error("soak nonsense").contains("\"nonsense\""));
        assert!(error("soak --rounds 2").contains("no options but"));
        assert!(error("soak --mode sideways").contains("\"sideways\""));
        assert!(error("soak --seed many").contains("\"many\""));
        assert!(error("run fib --seed 2").contains("soak"));
    }

    #[test]
    fn children_are_told_what_to_measure() {
        let command = parse(["__measure", "fib", "tokio", "2", "99"]);
        let Ok(Command::Measure { bench, context }) = command else { panic!("{command:?}") };
        assert_eq!(bench.name, "fib");
        assert_eq!(context, Context { kind: Kind::Tokio, workers: 2, iterations: 99 });
        assert!(matches!(
            parse(["__serve", "echo", "may", "1", "9"]),
            Ok(Command::Serve { role: Role::Echo, .. })
        ));
        assert!(parse(["__measure", "yield", "tokio", "2", "99"]).is_err());
    }
}
