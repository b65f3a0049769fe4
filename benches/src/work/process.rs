//! Other processes of the same program, each with a part to play, told to go and waited for.
//!
//! A part is named by an environment variable, so that the program needs no second binary. A number
//! on a child's input says how many times, a line on its output that it is done. Invariant: no
//! child outlives its parent, since its input ends with it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a child is to do: a word and what it must know.
pub(super) const PART: &str = "BENCHES_PART";

/// A child that is running; dropping it ends it.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(part: &[&str]) -> Self {
        let own = std::env::current_exe().expect("a program knows its file");
        let mut child = Command::new(own)
            .env(PART, part.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process can be started");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    /// Has it go so many times.
    pub(crate) fn tell(&mut self, times: u64) {
        writeln!(self.input, "{times}").expect("the process runs");
    }

    /// Waits until it has.
    pub(crate) fn wait(&mut self) {
        let read = self.output.read_line(&mut String::new());
        assert!(read.is_ok_and(|bytes| bytes > 0), "a process of the measurement ended");
    }

    /// The most memory that it ever had, in bytes; known on Linux only.
    pub(crate) fn peak_memory(&self) -> Result<f64, String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        let kilobytes = number.ok_or("only Linux tells the most memory that a process had")?;
        Ok(kilobytes * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// In a child: how many times to go next. Without a parent it ends.
pub(super) fn next_number() -> u64 {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(bytes) if bytes > 0 => line.trim().parse().expect("a parent writes numbers"),
        _ => std::process::exit(0),
    }
}

/// In a child: says that it has gone so often.
pub(super) fn done() {
    println!("done");
}

/// An address on loopback that nobody listens on.
pub(super) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it listens").to_string()
}
