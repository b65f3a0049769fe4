//! A relay on loopback that counts the bytes of both ways.
//!
//! Invariant: what is counted has passed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Passes what it gets to the server, and back.
pub(super) struct Relay {
    address: String,
    /// To the server, and from it.
    passed: [Arc<AtomicU64>; 2],
}

impl Relay {
    pub(super) fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens").to_string();
        let passed = [Arc::default(), Arc::default()];
        let (counts, server) = (passed.clone(), server.to_owned());
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client connects");
                let server = loop {
                    match TcpStream::connect(&server) {
                        Ok(stream) => break stream,
                        Err(_) => thread::sleep(Duration::from_millis(5)),
                    }
                };
                let twin = |it: &TcpStream| it.try_clone().expect("a socket can be shared");
                let ways = [(twin(&client), twin(&server)), (server, client)];
                for ((from, to), count) in ways.into_iter().zip(counts.clone()) {
                    thread::spawn(move || pass(from, to, &count));
                }
            }
        });
        Self { address, passed }
    }

    pub(super) fn address(&self) -> &String {
        &self.address
    }

    /// Bytes that have gone to the server so far, and that have come from it.
    pub(super) fn passed(&self) -> [u64; 2] {
        [0, 1].map(|way| self.passed[way].load(Ordering::SeqCst))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(bytes) = from.read(&mut buffer) {
        if bytes == 0 || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
        count.fetch_add(bytes as u64, Ordering::SeqCst);
    }
    // Of a line that is shut already there is nothing to say.
    drop(to.shutdown(Shutdown::Both));
}
