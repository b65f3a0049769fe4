//! Tables of clusters and of what is wrong with them; compressed names that expand to themselves.

use proptest::prelude::*;

use super::{DEFAULT_PORT_BASE, Node, Role, SpecError, nodelist};

/// What a program asks a node for, in one line.
fn summary(node: &Node) -> String {
    let address = node.address().unwrap_or("nowhere");
    let replica = node.replica_id().map_or("none".to_owned(), |id| id.to_string());
    let chief = if node.is_chief() { " chief" } else { "" };
    let (task, replicas) = (node.task, node.num_replicas());
    format!("{task} at {address} replica {replica} of {replicas}{chief}")
}

#[track_caller]
fn check(got: Result<Node, SpecError>, expected: &str) {
    match got {
        Ok(node) => assert_eq!(summary(&node), expected),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(expected), "expected {expected:?} in {error:?}");
        }
    }
}

#[test]
fn tf_config() {
    let two = r#""ps": ["p:1", "q:1"], "worker": ["w:1", "v:1"]"#;
    let sparse = r#""ps": ["p:1"], "worker": {"3": "w:1"}"#;
    let cases = [
        (two, "worker", "0", "worker 0 at w:1 replica 0 of 2 chief"),
        (two, "worker", "1", "worker 1 at v:1 replica 1 of 2"),
        (two, "ps", "\"1\"", "ps 1 at q:1 replica none of 2"),
        (two, "evaluator", "0", "evaluator 0 at nowhere replica none of 2"),
        (two, "evaluator", "1", "got evaluator 1"),
        (
            two,
            "chief",
            "0",
            "expected a task that the cluster lists (2 ps, workers 0 1, no chief), got chief 0",
        ),
        (two, "worker", "2", "got worker 2"),
        (two, "ps", "2", "got ps 2"),
        (two, "worker", "-1", "TF_CONFIG task index: expected a whole number, at least 0, got -1"),
        (two, "worker", "1.5", "got 1.5"),
        (
            two,
            "boss",
            "0",
            "TF_CONFIG task type: expected chief, worker, ps or evaluator, got boss",
        ),
        (sparse, "worker", "3", "worker 3 at w:1 replica 3 of 4"),
        (r#""ps": ["p:1"], "worker": {}"#, "ps", "0", "ps 0 at p:1 replica none of 0"),
        (r#""ps": ["p:1"], "worker": []"#, "ps", "0", "expected a worker or a chief, got neither"),
        (r#""worker": ["w:1"]"#, "worker", "0", "at least one ps"),
        (r#""ps": {"0": "p:1", "2": "q:1"}, "worker": ["w:1"]"#, "ps", "0", "got ps 2"),
        (r#""ps": ["p:1"], "worker": {"1": "a:1", "01": "b:1"}"#, "ps", "0", "a list of addresses"),
        (r#""ps": ["p:1"], "worker": {"x": "a:1"}"#, "ps", "0", "a list of addresses"),
        (r#""ps": ["p:1"], "worker": [7]"#, "ps", "0", "TF_CONFIG cluster worker"),
        (r#""ps": ["p:1"], "worker": {"99999999": "a:1"}"#, "ps", "0", "got 99999999"),
        (r#""ps": ["p"], "worker": ["w:1"]"#, "ps", "0", "host:port"),
        (r#""ps": ["p:0"], "worker": ["w:1"]"#, "ps", "0", "got p:0"),
        (r#""ps": ["p:65536"], "worker": ["w:1"]"#, "ps", "0", "got p:65536"),
        (r#""ps": ["[::1]:5"], "worker": ["w:1"]"#, "ps", "0", "ps 0 at [::1]:5 replica none of 1"),
        (r#""ps": ["::1:5"], "worker": ["w:1"]"#, "ps", "0", "got ::1:5"),
    ];
    for (cluster, role, index, expected) in cases {
        let config = format!(
            r#"{{"cluster": {{{cluster}}}, "task": {{"type": "{role}", "index": {index}}},
                 "environment": "cloud", "rpc_layer": "grpc"}}"#
        );
        check(Node::from_tf_config(&config), expected);
    }
    check(Node::from_tf_config("{"), "TF_CONFIG: expected JSON, got what begins with \"{\"");
    check(Node::from_tf_config("{}"), "TF_CONFIG cluster: expected an object, got null");
    check(Node::from_tf_config("[]"), "TF_CONFIG cluster: expected an object, got null");
}

#[test]
fn a_named_chief_is_replica_0() {
    let cases = [
        (r#""chief": ["c:1"]"#, "chief", "chief 0 at c:1 replica 0 of 2 chief"),
        (r#""master": ["c:1"]"#, "master", "chief 0 at c:1 replica 0 of 2 chief"),
        (r#""chief": {"0": "c:1"}"#, "worker", "worker 0 at w:1 replica 1 of 2"),
        (
            r#""chief": ["c:1"], "evaluator": ["e:1"]"#,
            "evaluator",
            "evaluator 0 at e:1 replica none of 2",
        ),
        (
            r#""chief": ["c:1"], "master": ["d:1"]"#,
            "worker",
            "expected one chief, got chief c:1 and master d:1",
        ),
        (r#""chief": ["c:1", "d:1"]"#, "worker", "TF_CONFIG cluster chief: expected one entry"),
        (
            r#""evaluator": ["c:1", "d:1"]"#,
            "worker",
            "TF_CONFIG cluster evaluator: expected one entry",
        ),
    ];
    for (named, role, expected) in cases {
        let config = format!(
            r#"{{"cluster": {{"ps": ["p:1"], "worker": ["w:1"], {named}}},
                 "task": {{"type": "{role}"}}}}"#
        );
        check(Node::from_tf_config(&config), expected);
    }
}

#[test]
fn flags() {
    let cases = [
        ("p:1,q:1", "w:1, v:1", "worker", 1, "worker 1 at v:1 replica 1 of 2"),
        ("p:1", "w:1", "ps", 0, "ps 0 at p:1 replica none of 1"),
        ("p:1", "w:1", "evaluator", 0, "evaluator 0 at nowhere replica none of 1"),
        ("p:1", "w:1", "chief", 0, "--role and --index: expected a task that the cluster lists"),
        ("", "w:1", "ps", 0, "--ps: expected host:port with a port from 1 to 65535, got nothing"),
        ("p:1", "w:1,", "ps", 0, "--worker-hosts: expected host:port"),
        ("p:1", "p:1", "ps", 0, "ps 0 at p:1 replica none of 1"),
        ("p:1,q:1,p:1", "w:1", "ps", 0, "an address of its own for each ps, got p:1 twice"),
        ("p:1", "w:1", "boss", 0, "--role: expected worker, ps or evaluator"),
        ("p:1", "w:1", "worker", u64::MAX, "got worker 18446744073709551615"),
    ];
    for (ps, workers, role, index, expected) in cases {
        check(Node::from_flags(ps, workers, role, index), expected);
    }
}

const STEP: [(&str, &str); 5] = [
    ("SLURM_PROCID", "2"),
    ("SLURM_NTASKS", "5"),
    ("SLURM_STEP_NODELIST", "n[08-09,11]"),
    ("SLURM_JOB_NODELIST", "n[08-12]"),
    ("SLURM_STEP_TASKS_PER_NODE", "2(x2),1"),
];

/// What is set otherwise (nothing: unset), the number of ps, and the result.
type SlurmCase<'a> = (&'a [(&'a str, &'a str)], u64, &'a str);

#[test]
fn slurm() {
    let cases: &[SlurmCase<'_>] = &[
        (&[], 2, "worker 0 at n09:8888 replica 0 of 3 chief"),
        (&[("SLURM_PROCID", "1")], 2, "ps 1 at n08:8889 replica none of 3"),
        (&[("SLURM_PROCID", "4")], 1, "worker 3 at n11:8888 replica 3 of 4"),
        (
            &[("SLURM_NODEID", "1"), ("SLURM_LOCALID", "0")],
            2,
            "worker 0 at n09:8888 replica 0 of 3 chief",
        ),
        (
            &[("SLURM_NODEID", "2")],
            2,
            "SLURM_NODEID: expected 1 for rank 2; use --distribution=block",
        ),
        (&[("SLURM_LOCALID", "1")], 2, "SLURM_LOCALID: expected 0"),
        (
            &[("SLURM_STEP_NUM_TASKS", "5"), ("SLURM_NTASKS", "9")],
            2,
            "worker 0 at n09:8888 replica 0 of 3 chief",
        ),
        (
            &[("SLURM_NTASKS", "6")],
            2,
            "SLURM_NTASKS: expected 5, the sum of SLURM_STEP_TASKS_PER_NODE, got 6",
        ),
        (
            &[("SLURM_STEP_NODELIST", "")],
            2,
            "expected one number for each of the 5 hosts of SLURM_JOB_NODELIST",
        ),
        (
            &[("SLURM_STEP_NODELIST", ""), ("SLURM_JOB_NODELIST", "")],
            2,
            "SLURM_STEP_NODELIST is not set",
        ),
        (&[("SLURM_STEP_TASKS_PER_NODE", "")], 2, "SLURM_STEP_TASKS_PER_NODE is not set"),
        (
            &[("SLURM_STEP_TASKS_PER_NODE", "2(x2")],
            2,
            "expected tasks of each host such as 2(x3),1, got 2(x2",
        ),
        (&[("SLURM_STEP_TASKS_PER_NODE", "1(x99999999999)")], 2, "expected tasks of each host"),
        (&[("SLURM_STEP_TASKS_PER_NODE", "0(x99999999999)")], 2, "expected tasks of each host"),
        (
            &[("SLURM_STEP_NODELIST", "n[08-09")],
            2,
            "SLURM_STEP_NODELIST: expected host names such as",
        ),
        (&[("SLURM_PROCID", "5")], 2, "SLURM_PROCID: expected a rank below 5, got 5"),
        (&[("SLURM_PROCID", "+1")], 2, "SLURM_PROCID: expected a whole number, got +1"),
        (&[], 5, "--ps: expected at least 1 and fewer than the 5 processes of the job, got 5"),
        (&[], 0, "--ps: expected at least 1"),
    ];
    for &(changes, ps, expected) in cases {
        let variable = |name: &str| {
            let set = changes.iter().chain(&STEP).find(|(key, _)| *key == name)?.1;
            (!set.is_empty()).then(|| set.to_owned())
        };
        let node = Node::from_env(variable, ps, DEFAULT_PORT_BASE);
        check(node.map(|node| node.expect("a job")), expected);
    }
    assert_eq!(Node::from_env(|_| None, 1, DEFAULT_PORT_BASE), Ok(None));
}

#[test]
fn ports_end_at_65535_and_tf_config_goes_first() {
    let slurm = |name: &str| {
        let value = match name {
            "SLURM_PROCID" => "0",
            "SLURM_STEP_NODELIST" => "n",
            "SLURM_STEP_TASKS_PER_NODE" => "2",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let node = |port_base| Node::from_env(slurm, 1, port_base).map(|node| node.expect("a job"));
    check(node(65534), "ps 0 at n:65534 replica none of 1");
    check(node(65535), "got n:65536");
    let both = |name: &str| if name == "TF_CONFIG" { Some("{}".to_owned()) } else { slurm(name) };
    check(Node::from_env(both, 1, 1).map(|node| node.expect("a job")), "TF_CONFIG cluster");
}

#[test]
fn node_lists() {
    let cases: [(&str, Option<&[&str]>); 21] = [
        ("a", Some(&["a"])),
        ("a,b.c-d_e", Some(&["a", "b.c-d_e"])),
        ("node[001-003,7],x", Some(&["node001", "node002", "node003", "node7", "x"])),
        ("n[8-11]", Some(&["n8", "n9", "n10", "n11"])),
        ("n[08-11]-ib", Some(&["n08-ib", "n09-ib", "n10-ib", "n11-ib"])),
        ("r[1-2]n[3,5]", Some(&["r1n3", "r1n5", "r2n3", "r2n5"])),
        ("[1-2]", Some(&["1", "2"])),
        ("", None),
        ("a,", None),
        ("a,,b", None),
        ("a[", None),
        ("a]", None),
        ("a[1[2]]", None),
        ("a[]", None),
        ("a[2-1]", None),
        ("a[1-]", None),
        ("a[+1]", None),
        ("a b", None),
        ("a[0-65536]", None),
        ("a[0-999999999999999999]", None),
        ("a[0-999]b[0-999]", None),
    ];
    for (text, expected) in cases {
        let got = nodelist::expand("LIST", text);
        match expected {
            Some(names) => assert_eq!(got.expect(text), names, "{text}"),
            None => assert!(got.is_err(), "{text}: {got:?}"),
        }
    }
}

#[test]
fn roles_read_what_they_write() {
    for role in [Role::Chief, Role::Worker, Role::Ps, Role::Evaluator] {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
}

/// A prefix, the width of its numbers, and runs: the first number and how many follow.
type Group = (String, usize, Vec<(u64, u64)>);

/// Shortens names the way Slurm does: numbers with one prefix share a bracket.
fn compress(groups: &[Group]) -> String {
    let group = |(prefix, width, runs): &Group| {
        let runs = runs.iter().map(|(first, more)| match more {
            0 => format!("{first:0width$}"),
            _ => format!("{first:0width$}-{:0width$}", first + more),
        });
        format!("{prefix}[{}]", runs.collect::<Vec<_>>().join(","))
    };
    groups.iter().map(group).collect::<Vec<_>>().join(",")
}

proptest! {
    #[test]
    fn expansion_gives_the_names_back(
        groups in prop::collection::vec(
            ("[a-z]{1,4}", 1..6_usize, prop::collection::vec((0..2000_u64, 0..30_u64), 1..4)), 1..4)
    ) {
        let mut names = Vec::new();
        for (prefix, width, runs) in &groups {
            for (first, more) in runs {
                names.extend((*first..=first + more).map(|n| format!("{prefix}{n:0width$}")));
            }
        }
        prop_assert_eq!(nodelist::expand("LIST", &compress(&groups)), Ok(names));
    }

    #[test]
    fn garbage_never_panics(
        list in "[a\\[\\]0-9,\\-]{0,24}",
        counts in "[0-9x(),]{0,12}",
        any in ".*",
    ) {
        let _ = nodelist::expand("LIST", &list);
        let _ = Node::from_tf_config(&any);
        let _ = Node::from_flags(&any, &list, "ps", 0);
        let variable = |name: &str| Some(match name {
            "SLURM_STEP_NODELIST" => list.clone(),
            "SLURM_STEP_TASKS_PER_NODE" => counts.clone(),
            "TF_CONFIG" => String::new(),
            _ => "0".to_owned(),
        });
        let _ = Node::from_env(variable, 1, 1);
    }

    #[test]
    fn damaged_tf_config_never_panics(at in 0..140_usize, byte in 0..128_u8) {
        let good = r#"{"cluster": {"chief": ["a:1"], "worker": {"0": "b:1"}, "ps": ["c:1"]},
            "task": {"type": "worker", "index": 0}}"#;
        let mut bytes = good.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Node::from_tf_config(&String::from_utf8_lossy(&bytes));
    }
}
