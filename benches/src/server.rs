//! The benchmarks of servers: a server in one process, the load generator in another.
//!
//! [`measure_requests`], [`measure_echo`], [`measure_churn`], [`measure_http`] and [`measure_idle`] run in the process of the load generator, which starts the server and
//! asks it for a [`Reading`] by a line on its standard input. A reading carries its own time, so it does not matter
//! how long a busy server takes to give it. The server ends when its standard input does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Context, Figures};
use crate::cost::{self, Calls};
use crate::error::{Error, Result};
use crate::load::{self, Exchange, Load, Plan, Target, Turn};
use crate::metric::{
    CALLS, CHUNKS, CONNECTIONS as CONNECTION_RATE, CPU_CONNECTION, CPU_MESSAGE, CPU_REQUEST, LOAD,
    LOAD_SWITCHES, MAX, MESSAGES, Metric, OVERHEAD, P50, P99, P999, REQUESTS, RESIDENT, SWITCHES,
};
use crate::subject::{self, Kind, Role, Service};
use crate::sys;
use crate::work::{Batch, CHUNK_REQUESTS, MESSAGE_LEN, REQUEST_COST};

/// The connections of the request benchmark.
pub(crate) const CONNECTIONS: usize = 256;
/// The tasks that do batch work, for each worker.
const BATCH_TASKS: usize = 2;
/// Connections of the benchmark of idle ones that come before those that count.
const FIRST_CONNECTIONS: usize = 100;
/// A server that says nothing for so long is stuck.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a server warms up, how long its system calls are counted, and how long it is measured.
const WARM_UP: Duration = Duration::from_millis(200);
const COUNTED: Duration = Duration::from_millis(60);
const MEASURED: Duration = Duration::from_millis(500);
/// The workers that one thread of the load generator keeps busy with requests.
const WORKERS_PER_LOAD_THREAD: usize = 4;

/// What a server has used and done since it started.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Duration,
    cpu: Duration,
    switches: u64,
    chunks: u64,
    batch_cpu: Duration,
}

impl Reading {
    fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line)?;
        let field = |name: &str| {
            value[name]
                .as_u64()
                .ok_or_else(|| Error::new(format!("the server's reading {line:?} has no {name}")))
        };
        Ok(Self {
            at: Duration::from_nanos(field("at_ns")?),
            cpu: Duration::from_nanos(field("cpu_ns")?),
            switches: field("switches")?,
            chunks: field("chunks")?,
            batch_cpu: Duration::from_nanos(field("batch_cpu_ns")?),
        })
    }
}

/// The server process: serves until its standard input ends.
pub(crate) fn serve(role: Role, kind: Kind, context: &Context) -> Result<()> {
    let workers = context.workers;
    let cpus = sys::allowed_cpus();
    if workers < cpus.len() {
        sys::confine(&cpus[..workers])?;
    }
    let batch: &'static Batch = Box::leak(Box::new(Batch::new(context.iterations)));
    let batch_tasks = if role == Role::Requests { BATCH_TASKS * workers } else { 0 };
    let service = Service { role, iterations: context.iterations, batch, batch_tasks };
    // Go gives its own readings: it takes the place of this process.
    if kind != Kind::Go {
        std::thread::spawn(|| give_readings(batch));
    }
    subject::start_server(kind, workers)?
        .serve(service, |address| println!("{}", json!({ "address": address })))
}

fn give_readings(batch: &Batch) {
    let start = Instant::now();
    for line in std::io::stdin().lines() {
        if line.is_err() {
            break;
        }
        let (at, usage) = (start.elapsed().as_nanos() as u64, sys::usage());
        let reading = json!({
            "at_ns": at, "cpu_ns": usage.cpu.as_nanos() as u64, "switches": usage.switches, "chunks": batch.chunks(),
            "batch_cpu_ns": batch.cpu_ns(),
        });
        println!("{reading}");
    }
    std::process::exit(0);
}

/// A server process, as its parent sees it.
#[derive(Debug)]
struct Server {
    child: Child,
    target: Target,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    fn start(role: Role, context: &Context) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["__serve", role.name(), context.kind.name()]);
        command.args([context.workers.to_string(), context.iterations.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new("the server has no pipes"));
        };
        let target = Target::Unix(PathBuf::new());
        let mut server = Self { child, target, requests, answers: BufReader::new(answers) };
        let line = server.line()?;
        server.target = announced(role, &line)
            .ok_or_else(|| Error::new(format!("the server announced itself by {line:?}")))?;
        Ok(server)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(Error::new("the server ended early"));
        }
        Ok(line)
    }

    /// The memory of the process that is resident, once it has come to rest.
    fn resident_bytes(&self) -> Result<u64> {
        std::thread::sleep(SETTLING);
        sys::resident_bytes_of(&self.child.id().to_string())
    }

    fn reading(&mut self) -> Result<Reading> {
        self.requests.write_all(b"\n")?;
        Reading::parse(&self.line()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; nothing depends on its status.
        drop(self.child.kill());
        drop(self.child.wait());
        if let Target::Unix(path) = &self.target {
            // Left behind, it would only be a name in the temporary directory.
            drop(std::fs::remove_file(path));
        }
    }
}

/// Where a server is that has announced itself by this line.
fn announced(role: Role, line: &str) -> Option<Target> {
    let value: Value = serde_json::from_str(line).ok()?;
    let address = value["address"].as_str()?;
    Some(match role {
        Role::UnixEcho => Target::Unix(address.into()),
        Role::UdpEcho => Target::Udp(address.parse().ok()?),
        _ => Target::Tcp(address.parse().ok()?),
    })
}

/// A measured load, with what it cost the server.
#[derive(Debug)]
struct Run {
    load: Load,
    /// How many CPUs the server and the load generator kept busy.
    server_cpus: f64,
    load_cpus: f64,
    chunks_per_s: f64,
    /// CPUs that the batch work of the server kept busy.
    batch_cpus: f64,
    /// Context switches, system calls if they could be counted, and memory of the server.
    costs: Figures,
}

impl Run {
    fn measure(role: Role, context: &Context, connections: usize, threads: usize) -> Result<Self> {
        Self::measure_at(None, role, context, connections, threads)
    }

    /// The same in an open loop, if there is a rate.
    fn measure_at(
        rate: Option<f64>,
        role: Role,
        context: &Context,
        connections: usize,
        threads: usize,
    ) -> Result<Self> {
        let mut server = Server::start(role, context)?;
        // The server has confined itself to the first CPUs, if it has fewer workers than there are CPUs. So does the load
        // generator then, to one for each of its threads.
        let cpus = sys::allowed_cpus();
        if let Some(free @ [_, ..]) = cpus.get(context.workers..) {
            sys::confine(&free[..threads.min(free.len())])?;
        }
        let process = server.child.id();
        let idle_bytes = sys::resident_bytes_of(&process.to_string())?;
        let plan = Plan {
            target: server.target.clone(),
            connections,
            threads,
            exchange: match role {
                Role::Requests => Exchange::Hashes(context.iterations),
                Role::Once => Exchange::Churn,
                Role::Http | Role::SmallHttp => Exchange::Http,
                _ => Exchange::Echo,
            },
            warm_up: WARM_UP,
            counting: COUNTED,
            duration: MEASURED,
            rate,
        };
        let mut readings = Vec::new();
        let mut own = Vec::new();
        let mut calls = None;
        let mut calls_each = None;
        let load = load::generate(&plan, |turn| {
            match turn {
                Turn::Counting => calls = Calls::of(process).ok(),
                Turn::Counted(answers) => {
                    if let Some(mut calls) = calls.take() {
                        calls_each = Some(calls.so_far()? as f64 / answers as f64);
                    }
                }
                Turn::Begin | Turn::End => {
                    own.push(sys::usage());
                    readings.push(server.reading()?);
                }
            }
            Ok(())
        })?;
        let ([first, last], [own_first, own_last]) = (&readings[..], &own[..]) else {
            return Err(Error::new("the server was not read twice"));
        };
        let seconds = (last.at - first.at).as_secs_f64();
        let switches = (last.switches - first.switches) as f64 / load.latencies.len() as f64;
        let own_switches = (own_last.switches - own_first.switches) as f64 / load.latencies.len() as f64;
        let mut costs: Figures = vec![(&LOAD_SWITCHES, own_switches), (&SWITCHES, switches)];
        costs.extend(calls_each.map(|calls| (&CALLS, calls)));
        costs.extend(cost::memory(process, idle_bytes)?);
        Ok(Self {
            costs,
            server_cpus: (last.cpu - first.cpu).as_secs_f64() / seconds,
            load_cpus: (own_last.cpu - own_first.cpu).as_secs_f64() / load.elapsed.as_secs_f64(),
            chunks_per_s: (last.chunks - first.chunks) as f64 / seconds,
            batch_cpus: (last.batch_cpu - first.batch_cpu).as_secs_f64() / seconds,
            load,
        })
    }

    /// What one request's hashing cost, to judge by the batch work at the same time: a CPU may be slower than it was
    /// at calibration.
    fn hashing_s(&self) -> f64 {
        if self.chunks_per_s == 0.0 {
            return REQUEST_COST.as_secs_f64();
        }
        self.batch_cpus / self.chunks_per_s / f64::from(CHUNK_REQUESTS)
    }

    fn per_second(&self) -> f64 {
        self.load.latencies.len() as f64 / self.load.elapsed.as_secs_f64()
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.load.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    fn figures(self, rate: &'static Metric, cpu: &'static Metric) -> Figures {
        let mut figures = vec![
            (rate, self.per_second()),
            (&P50, self.quantile_us(0.5)),
            (&P99, self.quantile_us(0.99)),
            (&P999, self.quantile_us(0.999)),
            (cpu, self.server_cpus * 1e6 / self.per_second()),
            (&LOAD, self.load_cpus),
        ];
        figures.extend(self.costs);
        figures
    }
}

/// Requests that cost CPU time, with batch work beside them.
pub(crate) fn measure_requests(context: &Context) -> Result<Figures> {
    let threads = context.workers.div_ceil(WORKERS_PER_LOAD_THREAD);
    let run = Run::measure(Role::Requests, context, CONNECTIONS, threads)?;
    let overhead = (run.server_cpus - run.batch_cpus) / run.per_second() - run.hashing_s();
    let chunks = run.chunks_per_s;
    let mut figures = run.figures(&REQUESTS, &CPU_REQUEST);
    figures.insert(5, (&OVERHEAD, overhead * 1e6));
    figures.insert(6, (&CHUNKS, chunks));
    Ok(figures)
}

/// Messages sent back as they are.
pub(crate) fn measure_echo(context: &Context, role: Role, connections: usize) -> Result<Figures> {
    Ok(Run::measure(role, context, connections, 1)?.figures(&MESSAGES, &CPU_MESSAGE))
}

/// Requests that are due at a fixed rate.
pub(crate) fn measure_open(
    context: &Context,
    role: Role,
    connections: usize,
    per_second: f64,
) -> Result<Figures> {
    let run = Run::measure_at(Some(per_second), role, context, connections, 1)?;
    let mut figures = vec![
        (&P99, run.quantile_us(0.99)),
        (&P50, run.quantile_us(0.5)),
        (&P999, run.quantile_us(0.999)),
        (&MAX, run.quantile_us(1.0)),
        (&CPU_REQUEST, run.server_cpus * 1e6 / run.per_second()),
    ];
    figures.extend(run.costs);
    Ok(figures)
}

/// Requests of HTTP/1.1 for a plain text.
pub(crate) fn measure_http(context: &Context, role: Role, connections: usize) -> Result<Figures> {
    Ok(Run::measure(role, context, connections, 1)?.figures(&REQUESTS, &CPU_REQUEST))
}

/// Connections that are opened for one message each.
pub(crate) fn measure_churn(context: &Context, at_once: usize) -> Result<Figures> {
    Ok(Run::measure(Role::Once, context, at_once, 1)?.figures(&CONNECTION_RATE, &CPU_CONNECTION))
}

/// How long a server has to give back what it does not need, and to come to rest.
const SETTLING: Duration = Duration::from_secs(2);

/// Connections that wait after a message each.
pub(crate) fn measure_idle(context: &Context, count: usize) -> Result<Figures> {
    let server = Server::start(Role::PlainEcho, context)?;
    let Target::Tcp(address) = server.target else { unreachable!("the role is one by TCP") };
    let open = || -> Result<TcpStream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        exchange(&stream)?;
        Ok(stream)
    };
    // What comes with the first connections is not theirs.
    let first = (0..FIRST_CONNECTIONS).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let before = server.resident_bytes()?;
    let streams = (0..count).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let after = server.resident_bytes()?;
    // They have been there all the time.
    first.iter().chain(&streams).try_for_each(exchange)?;
    let grown = after.checked_sub(before).ok_or_else(|| Error::new("resident memory shrank"))?;
    Ok(vec![(&RESIDENT, grown as f64 / count as f64)])
}

/// Sends a message and waits for it to come back.
fn exchange(mut stream: &TcpStream) -> Result<()> {
    let message = [b'm'; MESSAGE_LEN];
    stream.write_all(&message)?;
    let mut answer = [0; MESSAGE_LEN];
    stream.read_exact(&mut answer)?;
    if answer == message { Ok(()) } else { Err(Error::new("the server gave a wrong answer")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_parsed_and_a_broken_one_says_what_is_missing() {
        let reading =
            Reading::parse(r#"{"at_ns": 5, "cpu_ns": 7, "switches": 2, "chunks": 9, "batch_cpu_ns": 3}"#);
        assert!(reading.is_ok_and(|reading| reading.chunks == 9 && reading.cpu == Duration::from_nanos(7)));
        let broken = Reading::parse(r#"{"at_ns": 5, "chunks": 9}"#);
        assert!(broken.is_err_and(|error| error.to_string().contains("cpu_ns")));
    }

    #[test]
    fn servers_announce_where_they_are() {
        let port = r#"{"address": "127.0.0.1:99"}"#;
        assert!(matches!(announced(Role::Echo, port), Some(Target::Tcp(address)) if address.port() == 99));
        assert!(matches!(announced(Role::UdpEcho, port), Some(Target::Udp(address)) if address.port() == 99));
        let path = r#"{"address": "/tmp/x"}"#;
        assert!(matches!(announced(Role::UnixEcho, path), Some(Target::Unix(path)) if path.ends_with("x")));
        assert!(announced(Role::Echo, path).is_none());
        assert!(announced(Role::UnixEcho, "panicked").is_none());
    }
}
