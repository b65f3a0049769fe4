//! Settings in a file: what it may say, who wins, and a run that is repeated from its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use cli::args::{Cli, Command, TrainArgs};
use cli::command_line;
use cli::config::Config;
use cli::settings::Settings;
use serde_json::Value;

use crate::program::{folder, json, run, train};

/// Each option of `train`: its words, and what a file says.
const OPTIONS: [(&str, &str); 61] = [
    ("--model softmax", "model = \"softmax\""),
    ("--hidden 8", "hidden = 8"),
    ("--seed 18446744073709551615", "seed = 18446744073709551615"),
    (
        "--model fm --target y --data FILE --width 2",
        "model = \"fm\"\ndata = \"FILE\"\ntarget = \"y\"\nwidth = 2",
    ),
    ("--data FILE --target y", "data = \"FILE\"\ntarget = \"y\""),
    (
        "FILE --target y --categorical a,b",
        "data = \"FILE\"\ntarget = \"y\"\ncategorical = [\"a\",\"b\"]",
    ),
    (
        "FILE --target y --cross a*b --cross a*c",
        "data = \"FILE\"\ntarget = \"y\"\ncross = [\"a*b\",\"a*c\"]",
    ),
    ("FILE --target y --ignore a,b", "data = \"FILE\"\ntarget = \"y\"\nignore = [\"a\",\"b\"]"),
    ("FILE --target y --task classes", "data = \"FILE\"\ntarget = \"y\"\ntask = \"classes\""),
    (
        "FILE --target y --test-where a%3==0",
        "data = \"FILE\"\ntarget = \"y\"\ntest_where = \"a%3==0\"",
    ),
    ("FILE --target y --test-file FILE", "data = \"FILE\"\ntarget = \"y\"\ntest_file = \"FILE\""),
    ("--optimizer lazy-adam", "optimizer = \"lazy-adam\""),
    ("--learning-rate 1e-7", "learning_rate = 1e-7"),
    ("--schedule cosine:initial=0.1,steps=4", "schedule = \"cosine:initial=0.1,steps=4,alpha=0\""),
    ("--optimizer rmsprop --momentum 0.5", "optimizer = \"rmsprop\"\nmomentum = 0.5"),
    ("--optimizer momentum --nesterov", "optimizer = \"momentum\"\nnesterov = true"),
    ("--beta1 0.8", "beta1 = 0.8"),
    ("--beta2 0.99", "beta2 = 0.99"),
    ("--epsilon 1e-9", "epsilon = 1e-9"),
    ("--optimizer adamw --weight-decay 0.1", "optimizer = \"adamw\"\nweight_decay = 0.1"),
    ("--optimizer rmsprop --decay 0.8", "optimizer = \"rmsprop\"\ndecay = 0.8"),
    ("--optimizer rmsprop --centered", "optimizer = \"rmsprop\"\ncentered = true"),
    (
        "--optimizer adagrad --initial-accumulator 0.2",
        "optimizer = \"adagrad\"\ninitial_accumulator = 0.2",
    ),
    ("--optimizer ftrl --l1 0.5", "optimizer = \"ftrl\"\nl1 = 0.5"),
    ("--optimizer ftrl --l2 0.5", "optimizer = \"ftrl\"\nl2 = 0.5"),
    ("--clip-value 0.5", "clip_value = 0.5"),
    ("--clip-norm 0.5", "clip_norm = 0.5"),
    ("--clip-global-norm 2.0", "clip_global_norm = 2.0"),
    ("--ema 0.9", "ema = 0.9"),
    ("-a 3", "replicas_to_aggregate = 3"),
    ("-n 6", "total_num_replicas = 6"),
    ("--straggler 1=7 --straggler 4=20", "straggler = [\"1=7\",\"4=20\"]"),
    ("--straggler none", "straggler = [\"none\"]"),
    ("--deterministic", "deterministic = true"),
    ("--token-policy keep", "token_policy = \"keep\""),
    ("--init-tokens 2", "init_tokens = 2"),
    ("--sparse-mean per-gradient", "sparse_mean = \"per-gradient\""),
    ("--reference", "reference = true"),
    ("--lease 500ms", "lease = \"0.5s\""),
    ("--step-timeout none", "step_timeout = \"none\""),
    ("--step-deadline 2m", "step_deadline = \"120s\""),
    ("--min-replicas 2", "min_replicas = 2"),
    ("--non-finite allow", "non_finite = \"allow\""),
    ("--failing-batch skip --deterministic", "failing_batch = \"skip\"\ndeterministic = true"),
    ("--updates 70", "updates = 70"),
    ("--batch-size 16", "batch_size = 16"),
    ("--save-every 7", "save_every = 7"),
    ("--eval-every 3", "eval_every = 3"),
    ("--keep 3", "keep = 3"),
    ("--tensorboard", "tensorboard = true"),
    ("--keep-best loss:max", "keep_best = \"loss:max\""),
    ("--stop-when test_accuracy,tests=5", "stop_when = \"test_accuracy,tests=5\""),
    // Not what a run is, but where and how it is begun and shown.
    ("--epochs 2", "epochs = 2"),
    ("--out a", "out = \"a\""),
    ("--checkpoint-dir c", "checkpoint_dir = \"c\""),
    ("--resume a", "resume = \"a\""),
    ("--dashboard 9000", "dashboard = \"9000\""),
    ("--trace t.json", "trace = \"t.json\""),
    ("--otlp http://a:4317", "otlp = \"http://a:4317\""),
    ("--json", "json = true"),
    ("--quiet", "quiet = true"),
];

/// What is in no run's own file.
const UNRECORDED: [&str; 9] =
    ["epochs", "out", "checkpoint_dir", "resume", "dashboard", "trace", "otlp", "json", "quiet"];

fn parse(words: impl IntoIterator<Item = impl Into<String>>) -> TrainArgs {
    let all =
        ["x".to_owned(), "train".to_owned()].into_iter().chain(words.into_iter().map(Into::into));
    match command_line::read(all.map(Into::into)).expect("is valid").command {
        Command::Train(command) => command.train,
        other => panic!("{other:?}"),
    }
}

fn from_file(folder: &Path, text: &str) -> TrainArgs {
    let file = folder.join("settings.toml");
    fs::write(&file, text).expect("is writable");
    parse(["--config".to_owned(), file.display().to_string()])
}

fn config_of(args: TrainArgs) -> Config {
    Config::of(&Settings::check(args).expect("fits together")).expect("can be written")
}

/// The words and the file mean the same.
#[track_caller]
fn check_same(words: &str, text: &str) -> TrainArgs {
    let folder = folder();
    let told = parse(words.split_whitespace());
    assert_eq!(format!("{:?}", from_file(folder.path(), text)), format!("{told:?}"), "{text}");
    told
}

#[test]
fn each_option_can_stand_in_a_file() {
    #[track_caller]
    fn check(words: &str, text: &str) {
        let folder = folder();
        let file = folder.path().join("rows.csv").display().to_string();
        let rows = (0..50).map(|n| format!("{n},{},x,{}\n", n % 7, n % 2)).collect::<String>();
        fs::write(&file, format!("a,b,c,y\n{rows}")).expect("is writable");
        let (words, text) = (words.replace("FILE", &file), text.replace("FILE", &file));
        // And the file that a run writes has it.
        let config = config_of(check_same(&words, &text));
        let written = config.to_string();
        for line in text.lines() {
            let recorded = !UNRECORDED.iter().any(|key| line.starts_with(&format!("{key} =")));
            assert_eq!(written.lines().any(|it| it == line), recorded, "{line} in\n{written}");
        }
        assert_eq!(config_of(from_file(folder.path(), &written)), config, "{words}");
    }
    for (words, text) in OPTIONS {
        check(words, text);
    }
}

#[test]
fn what_is_not_set_is_as_if_it_were_not_there() {
    check_same("", "");
    check_same("", "nesterov = false\nreference = false\ndeterministic = false\nquiet = false");
    check_same("", "straggler = []");
    check_same("--stop-when loss", "stop_when = \"loss,tests=10\"");
    check_same("--learning-rate 1", "learning_rate = 1 # a whole number is a number");
    check_same("--seed 255", "seed = 0xff");
}

// A new option is a new row.
#[test]
fn the_table_is_complete() {
    let program = Cli::command();
    let train = program.find_subcommand("train").expect("is there");
    let options: BTreeSet<String> = train
        .get_arguments()
        .filter_map(|arg| arg.get_long())
        .map(|it| it.replace('-', "_"))
        .collect();
    let lines = OPTIONS.iter().flat_map(|(_, text)| text.lines());
    let mut rows: BTreeSet<String> =
        lines.filter_map(|line| Some(line.split_once(" =")?.0.to_owned())).collect();
    rows.insert("config".to_owned());
    assert_eq!(rows, options);
}

#[test]
fn the_command_line_wins() {
    #[track_caller]
    fn check(text: &str, words: &str, expected: &[&str], absent: &[&str]) {
        let folder = folder();
        let file = folder.path().join("settings.toml");
        fs::write(&file, text).expect("is writable");
        let words = format!("{words} --config={}", file.display());
        let written = config_of(parse(words.split_whitespace())).to_string();
        for line in expected {
            assert!(written.lines().any(|it| it == *line), "{line} is not in\n{written}");
        }
        for key in absent {
            assert!(!written.contains(key), "{key} is in\n{written}");
        }
    }
    check("updates = 7\nseed = 3", "--updates 9", &["updates = 9", "seed = 3"], &[]);
    check("replicas_to_aggregate = 2", "-a 3", &["replicas_to_aggregate = 3"], &[]);
    check("straggler = [\"1=7\", \"2=8\"]", "--straggler 0=1", &["straggler = [\"0=1\"]"], &[]);
    // Also over what it excludes.
    check("schedule = \"1\"", "--learning-rate 0.1", &["learning_rate = 0.1"], &["schedule"]);
    check("learning_rate = 1", "--schedule 0.5", &["learning_rate = 0.5"], &[]);
    check("clip_norm = 1", "--clip-value 2", &["clip_value = 2.0"], &["clip_norm"]);
    check("epochs = 3", "--updates 9", &["updates = 9"], &[]);
    check(
        "reference = true",
        "--deterministic",
        &["deterministic = true", "reference = false"],
        &[],
    );
}

#[test]
fn a_file_that_makes_no_sense_is_refused() {
    #[track_caller]
    fn check(command: &str, text: &str, fragments: &[&str]) {
        let folder = folder();
        fs::write(folder.path().join("a.toml"), text).expect("is writable");
        let args: Vec<_> = command.split_whitespace().chain(["--config", "a.toml"]).collect();
        let said = run(folder.path(), &args);
        assert_eq!(said.status, 2, "{text}: {}", said.err);
        assert!(said.err.starts_with("error: "), "{}", said.err);
        for fragment in ["a.toml"].iter().chain(fragments) {
            assert!(said.err.contains(fragment), "{text} does not say {fragment}: {}", said.err);
        }
        let files = fs::read_dir(folder.path()).expect("is there").count();
        assert_eq!((said.out.as_str(), files), ("", 1), "{text} did something");
    }
    let whole = "expected a whole number";
    check("", "a b", &["line 1", "expected TOML"]);
    check("", "seed = 1\nupdates = \n", &["line 2"]);
    check("train", "seed = 1\nseed = 2", &["line 2", "duplicate"]);
    check("", "learningrate = 1", &["learningrate: expected the long name", "`train`"]);
    check("train", "learning-rate = 1", &["learning-rate", "with _ for -"]);
    check("", "workers = 3", &["workers", "`sync-replicas train --help`"]);
    check("", "config = \"b.toml\"", &["config: expected"]);
    check("node", "end_with_stdin = true", &["end_with_stdin: expected", "`node`"]);
    check("", "updates = \"7\"", &["updates = \"7\"", whole, "got text"]);
    check("", "updates = 7.0", &["updates = 7.0", whole, "a number with a point"]);
    check("", "updates = 0", &["updates = 0", "a whole number of at least 1"]);
    check("", "updates = -5", &["updates = -5", "a whole number of at least 1"]);
    check("", "learning_rate = \"0.1\"", &["expected a number, got text"]);
    check("", "learning_rate = nan", &["learning_rate", "a number that is none"]);
    check("", "deterministic = 1", &["expected true or false, got a whole number"]);
    check("", "straggler = \"4=20\"", &["expected a list, got text"]);
    check("", "straggler = [4]", &["expected text, got a whole number"]);
    check("", "straggler = [\"4\"]", &["straggler = [\"4\"]", "REPLICA=MILLISECONDS"]);
    check("", "lease = 5", &["expected text, got a whole number"]);
    check("", "lease = \"soon\"", &["lease = \"soon\"", "ms, s or m"]);
    check("", "model = \"cnn\"", &["model = \"cnn\"", "softmax, mlp, embedding"]);
    check("", "out = 1979-05-27", &["out", "expected text, got a table or a date"]);
    check("", "[model]\nx = 1", &["expected text, got a table"]);
    check("", "schedule = \"1\"\nlearning_rate = 1", &["either learning_rate or schedule"]);
    check("", "clip_norm = 1\nclip_value = 1", &["either clip_norm or clip_value"]);
    check("launch", "workers = 257", &["workers = 257", "from 1 to 256"]);
    check("launch", "backup = 1\nreplicas_to_aggregate = 2", &["either backup or"]);
    // What only the whole can tell.
    check("", "ema = 2.0", &["--ema: expected a decay from 0 to 1, got 2"]);
    check("launch", "total_num_replicas = 3", &["N is the number of workers"]);
    let folder = folder();
    for command in ["train", "launch", "node"] {
        let said = run(folder.path(), &[command, "--config", "none.toml"]);
        assert_eq!(said.status, 2);
        assert!(said.err.contains("--config none.toml cannot be read"), "{}", said.err);
    }
}

// P-14: the same settings are the same bits.
#[test]
fn a_run_is_repeated_from_its_folder() {
    let folder = folder();
    let first = "--deterministic --updates 20 --seed 3 -a 3 -n 4 --straggler none --ema 0.9 \
                 --optimizer adamw --model mlp --hidden 16 --out a";
    let first = train(folder.path(), &first.split_whitespace().collect::<Vec<_>>());
    let again = train(folder.path(), &["--config", "a/config.toml", "--out", "b"]);
    assert_eq!(again["variables_sha256"], first["variables_sha256"]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("is written");
    assert_eq!(read("a/config.toml"), read("b/config.toml"));
    // A run that goes on says with what.
    train(folder.path(), &["--config=a/config.toml", "--resume", "a", "--updates", "30"]);
    assert!(read("a/config.toml").contains("\nupdates = 30\n"));
}

/// The line of a run has what its `config.toml` has, and where and when it was.
#[track_caller]
fn check_run_line(folder: &Path, command: &str) -> Value {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).expect("is written");
    let line: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("is JSON");
    let file: Config = Config::read(&folder.join("config.toml")).expect("can be read");
    let file = serde_json::to_value(&file).expect("is JSON");
    for (key, value) in file.as_object().expect("a table") {
        assert_eq!(line[key], *value, "{key}");
    }
    assert_eq!(line["kind"], "run");
    assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(line["command"][1], command);
    assert!(line["host"].is_string());
    assert_eq!(line["run"].as_str().map(str::len), Some(32));
    let started = line["started"].as_str().expect("is text");
    assert!(
        started.starts_with("20") && started.ends_with('Z') && started.len() == 20,
        "{started}"
    );
    line
}

#[test]
fn the_line_of_a_run_is_a_full_record() {
    let folder = folder();
    train(folder.path(), &["--updates", "3", "--straggler", "none", "--out", "a"]);
    let line = check_run_line(&folder.path().join("a"), "train");
    assert_eq!(
        (&line["replicas_to_aggregate"], &line["total_num_replicas"]),
        (&4.into(), &5.into())
    );
    assert_eq!((&line["beta1"], &line["momentum"]), (&0.9.into(), &Value::Null));
    assert_eq!(line["schedule"], "exponential:initial=0.01,decay=0.5,every=200,staircase=false");
}

#[test]
fn a_cluster_reads_and_writes_the_same_file() {
    let folder = folder();
    let text = "ps = 2\nworkers = 3\nbackup = 1\nupdates = 30\nmodel = \"softmax\"\n\
                wire = \"bf16\"\nquiet = true\njson = true\nout = \"elsewhere\"\n";
    fs::write(folder.path().join("a.toml"), text).expect("is writable");
    let launch = |args: &[&str]| {
        let said = run(folder.path(), &[&["launch"], args].concat());
        assert_eq!(said.status, 0, "{}", said.err);
        json(&said.out)
    };
    assert_eq!(launch(&["--config", "a.toml", "--out", "a"])["updates"], 30);
    assert!(!folder.path().join("elsewhere").exists());
    let line = check_run_line(&folder.path().join("a"), "launch");
    for (key, value) in
        [("ps", 2), ("workers", 3), ("replicas_to_aggregate", 2), ("total_num_replicas", 3)]
    {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!((&line["wire"], &line["lease"]), (&"bf16".into(), &"5s".into()));
    let again = ["--config", "a/config.toml", "--out", "b", "--json", "--quiet", "--updates", "10"];
    assert_eq!(launch(&again)["updates"], 10);
}
