//! What plain TCP moves between processes on loopback: the bound of the cluster's large steps.
//!
//! So many bytes there, then so many back, as a push and a pull are, or a lookup and its rows; from
//! and to one buffer of 1 MiB, so that the kernel's copies are all that is measured.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::process::{Process, done, free_address, next_number};
use crate::Work;

const BUFFER: usize = 1 << 20;

/// Clients of one server, each a process.
pub(crate) struct Tcp {
    clients: Vec<Process>,
    _server: Process,
}

impl Tcp {
    pub(crate) fn new(clients: usize, bytes: usize) -> Self {
        Self::asking(clients, bytes, bytes)
    }

    /// Other numbers of bytes there and back.
    pub(crate) fn asking(clients: usize, there: usize, back: usize) -> Self {
        let (address, there, back) = (free_address(), there.to_string(), back.to_string());
        let server = Process::start(&["tcp-server", &address, &there, &back]);
        let client = |_| Process::start(&["tcp-client", &address, &there, &back]);
        Self { clients: (0..clients).map(client).collect(), _server: server }
    }
}

impl Work for Tcp {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        self.clients.iter_mut().for_each(|client| client.tell(times));
        self.clients.iter_mut().for_each(Process::wait);
        begun.elapsed()
    }
}

fn parse(words: &[&str]) -> (String, usize, usize) {
    let [address, there, back] = words else { panic!("expected an address and two numbers") };
    let number = |word: &str| word.parse().expect("a number of bytes");
    ((*address).to_owned(), number(there), number(back))
}

pub(super) fn serve(words: &[&str]) {
    let (address, there, back) = parse(words);
    let listener = TcpListener::bind(address).expect("nobody else took the port");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client connects");
            std::thread::spawn(move || {
                let mut buffer = vec![0; BUFFER];
                while receive(&mut stream, &mut buffer, there).is_ok() {
                    send(&mut stream, &buffer, back).expect("the client waits");
                }
            });
        }
    });
    loop {
        let _ = next_number();
    }
}

pub(super) fn request(words: &[&str]) {
    let (address, there, back) = parse(words);
    let mut stream = loop {
        match TcpStream::connect(&address) {
            Ok(stream) => break stream,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    stream.set_nodelay(true).expect("a socket has the option");
    let mut buffer = vec![0; BUFFER];
    loop {
        for _ in 0..next_number() {
            send(&mut stream, &buffer, there).expect("the server reads");
            receive(&mut stream, &mut buffer, back).expect("the server answers");
        }
        done();
    }
}

fn send(stream: &mut TcpStream, buffer: &[u8], mut bytes: usize) -> std::io::Result<()> {
    while bytes > 0 {
        let piece = bytes.min(buffer.len());
        stream.write_all(&buffer[..piece])?;
        bytes -= piece;
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, buffer: &mut [u8], mut bytes: usize) -> std::io::Result<()> {
    while bytes > 0 {
        let piece = bytes.min(buffer.len());
        let got = stream.read(&mut buffer[..piece])?;
        if got == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes -= got;
    }
    Ok(())
}
