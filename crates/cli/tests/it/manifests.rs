//! What the documents' manifests for Kubernetes start, tried without a cluster.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cluster::spec::Node;

use crate::program::{Said, folder, program};

fn manifest(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster");
    fs::read_to_string(folder.join(name)).expect("it is there")
}

/// Each names every process by what it is.
#[test]
fn places_are_those_of_one_cluster() {
    let text = manifest("jobset.yaml");
    let blocks = text.split("{\"cluster\"").skip(1).map(|rest| {
        let end = rest.find("$(INDEX)}}").expect("the index is filled in") + "$(INDEX)}}".len();
        format!("{{\"cluster\"{}", rest[..end].replace("$(INDEX)", "1"))
    });
    let nodes: Vec<_> = blocks.map(|it| Node::from_tf_config(&it).expect("it fits")).collect();
    let tasks: Vec<_> = nodes.iter().map(|it| it.task.to_string()).collect();
    assert_eq!(tasks, ["ps 1", "worker 1"]);
    assert_eq!(nodes[0].cluster, nodes[1].cluster);
    assert_eq!((nodes[0].cluster.ps.len(), nodes[0].num_replicas()), (2, 5));
}

/// The server gets as far as its socket, which another process has.
#[test]
fn servers_start() {
    #[track_caller]
    fn check(name: &str) {
        let text = manifest(name);
        let line = text.lines().find_map(|line| line.trim().strip_prefix("args: ["));
        let words = line.and_then(|line| line.strip_suffix(']')).expect("arguments of a server");
        let folder = folder();
        let key = folder.path().join("key");
        let mut file = OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&key);
        file.and_then(|mut file| file.write_all(&[b'k'; 32])).expect("a key");
        let here = |word: &str| {
            let word = word.replace("/key/key", &key.display().to_string());
            word.replace("/runs/", &format!("{}/", folder.path().display()))
        };
        let words: Vec<_> = words.split(", ").map(here).collect();
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("it has one").to_string();
        let place = format!(
            r#"{{"cluster": {{"ps": ["{address}"], "worker": ["127.0.0.1:1"]}},
                "task": {{"type": "ps", "index": 0}}}}"#
        );
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut server = program(folder.path(), &words);
        let said: Said = server.env("TF_CONFIG", place).output().expect("it starts").into();
        assert!(said.err.contains(&format!("{address}: Address already in use")), "{}", said.err);
    }
    check("jobset.yaml");
    check("tfjob.yaml");
}
