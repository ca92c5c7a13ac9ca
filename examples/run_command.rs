//! Runs other programs: their output, their streams, a time limit, and several at once, on one worker.
//!
//! The calls are `std::process`'s. Each parks its green thread until there is something to do; none keeps the worker.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sward::{
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
    runtime::Builder,
    thread,
};

/// All that a program writes, and how it ended.
fn collect() -> io::Result<()> {
    let output = Command::new("sh").args(["-c", "echo good; echo bad >&2; exit 3"]).output()?;
    println!("{}, and {}", output.status, String::from_utf8_lossy(&output.stdout).trim());
    assert_eq!(output.status.code(), Some(3));
    assert_eq!((&*output.stdout, &*output.stderr), (&b"good\n"[..], &b"bad\n"[..]));
    Ok(())
}

/// A conversation: one green thread writes while another reads.
fn converse() -> io::Result<()> {
    let mut child = Command::new("sort").arg("-n").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let writer = thread::spawn(move || (1..=1000).rev().try_for_each(|i| writeln!(stdin, "{i}")));
    let lines = stdout.lines().collect::<io::Result<Vec<_>>>()?;
    writer.join().expect("it does not panic")?;
    assert!(child.wait()?.success());
    println!("sorted: {} to {}", lines[0], lines[999]);
    assert!(lines.iter().map(|line| line.parse::<u32>().expect("a number")).eq(1..=1000));
    Ok(())
}

/// A program that does not end in time is ended.
fn give_up_on() -> io::Result<()> {
    let mut child = Command::new("sleep").arg("3600").spawn()?;
    if child.wait_timeout(Duration::from_millis(50))?.is_none() {
        child.kill()?;
    }
    let status = child.wait()?;
    println!("given up: {status}");
    assert!(!status.success());
    Ok(())
}

fn main() -> io::Result<()> {
    let runtime = Builder::new().workers(1).build()?;
    runtime.run(|| {
        let one_by_one: [fn() -> io::Result<()>; 3] = [collect, converse, give_up_on];
        one_by_one.into_iter().try_for_each(|step| step())?;

        // Fifty at once, each waited for by a green thread of its own.
        let children: Vec<_> =
            (0..50).map(|_| thread::spawn(|| Command::new("sleep").arg("0.1").status())).collect();
        for child in children {
            assert!(child.join().expect("it does not panic")?.success());
        }
        println!("fifty programs have run");
        Ok(())
    })
}
