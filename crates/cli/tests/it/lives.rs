//! Lives of one run, one after the other, beside a model of ten lines (P-24).
//!
//! A life begins by the printed command or by `--resume auto`, and ends by Ctrl-C, SIGTERM or
//! SIGKILL; between lives come typing errors, damaged files, full disks, and other runs' folders.
//! The model knows one number, the update of the newest good checkpoint.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::{Said, folder, program, run};

/// Updates from checkpoint to checkpoint.
const EVERY: u64 = 20;

/// What is asked for in each life; the length is beyond any.
const COMMON: [&str; 8] =
    ["--model", "softmax", "--straggler", "none", "--save-every", "20", "--updates", "1000000"];

/// How many histories of each kind are tried unless the environment says another number.
const HISTORIES: u64 = 4;

/// How many things happen in one.
const LENGTH: usize = 8;

/// The same choices for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

struct History {
    folder: tempfile::TempDir,
    kind: &'static [&'static str],
    dice: Dice,
    /// The model: the update of the newest good checkpoint.
    floor: Option<u64>,
    /// What was printed when a life was interrupted last.
    printed: Option<String>,
    log: Vec<String>,
}

impl History {
    fn new(seed: u64, kind: &'static [&'static str]) -> Self {
        let folder = folder();
        let other = ["--updates", "3", "--straggler", "none", "--quiet", "--out", "other"];
        assert_eq!(run(folder.path(), &other).status, 0);
        let (dice, log) = (Dice(seed), vec![format!("seed {seed}")]);
        Self { folder, kind, dice, floor: None, printed: None, log }
    }

    fn play(&mut self) {
        let other = contents(&self.folder.path().join("other"));
        for number in 0..LENGTH {
            match (number, self.dice.below(8)) {
                // There is something to lose, then some of it is lost.
                (0 | 1, _) => self.live(),
                (2, _) => self.damage(),
                (_, 0) => self.typo(),
                (_, 1) => self.damage(),
                (_, 2) => self.in_anothers_folder(),
                (_, 3) => self.full_disk(),
                _ => self.live(),
            }
            self.check_checkpoints();
            assert!(other == contents(&self.folder.path().join("other")), "{:#?}", self.log);
        }
    }

    /// A life from its beginning to a signal.
    fn live(&mut self) {
        let words = match (&self.printed, self.dice.below(2)) {
            (Some(printed), 0) => printed.clone(),
            _ => self.auto(),
        };
        let before = self.last_update();
        let (mut child, words) = self.spawn(&words);
        let wanted = self.floor.map_or(0, |floor| floor + self.dice.below(3 * EVERY));
        while self.newest().is_none_or(|newest| newest < wanted) {
            let ended = child.try_wait().expect("it can be looked at");
            assert!(ended.is_none(), "{words} ended by itself: {ended:?} {:#?}", self.log);
            std::thread::yield_now();
        }
        let signal = ["-INT", "-TERM", "-KILL"][self.dice.below(3) as usize];
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let mut said = String::new();
        child.stderr.take().expect("is piped").read_to_string(&mut said).expect("is text");
        child.wait().expect("it ends");
        self.log.push(format!("{words}: {signal}, {said}"));
        assert_eq!(self.went_on_from(), self.floor, "not from the newest: {:#?}", self.log);
        if signal != "-KILL" {
            let printed = said.split_once("continue with: ");
            let (_, rest) = printed.unwrap_or_else(|| panic!("nothing printed: {:#?}", self.log));
            self.printed = Some(rest.lines().next().unwrap_or_default().to_owned());
        }
        let newest = self.newest().expect("it has lived");
        let last = self.last_update().filter(|_| self.last_update() != before).unwrap_or(newest);
        let lost = last.saturating_sub(newest);
        // Steps go on while a checkpoint is written, which takes its time on a busy machine.
        let bound = if signal == "-KILL" { 5 * EVERY } else { 0 };
        assert!(lost <= bound, "{lost} updates were lost by {signal}: {:#?}", self.log);
    }

    /// Nothing begins, and nothing is made.
    fn typo(&mut self) {
        let said = self.run(&["--resume", "nowhere/typo"]);
        assert!(said.status != 0 && said.err.contains("no checkpoint"), "{}", said.err);
        assert!(!self.folder.path().join("nowhere").exists());
    }

    /// Another run is neither begun anew nor written over.
    fn in_anothers_folder(&mut self) {
        let said = self.run(&["--out", "other"]);
        assert!(said.status != 0, "{}", said.err);
        if self.floor.is_some() {
            let said = self.run(&["--resume", "run", "--out", "other"]);
            assert!(said.status != 0, "{}", said.err);
        }
    }

    /// The newest checkpoint is cut short, if there is one before it to fall back to.
    fn damage(&mut self) {
        let Some((newest, _)) = self.newest_checkpoint() else { return };
        let tensors = newest.join("tensors.safetensors");
        let bytes = fs::read(&tensors).expect("it is there");
        fs::write(&tensors, &bytes[..bytes.len() / 2]).expect("it can be written");
        match self.newest() {
            Some(before) => self.floor = Some(before),
            None => fs::write(&tensors, bytes).expect("it can be written"),
        }
        self.log.push(format!("{} was damaged", newest.display()));
    }

    /// A life whose files cannot grow beyond 2 KiB: no checkpoint fits in.
    fn full_disk(&mut self) {
        let words = format!("trap '' XFSZ; ulimit -f 4; exec {} --updates 60", self.auto());
        let words = words.replace(" --updates 1000000", "");
        let (mut child, words) = self.spawn(&words);
        let mut said = String::new();
        child.stderr.take().expect("is piped").read_to_string(&mut said).expect("is text");
        let status = child.wait().expect("it ends");
        self.log.push(format!("{words}: {status}, {said}"));
        let done = self.floor.is_some_and(|floor| floor >= 60);
        assert!(done || !status.success(), "{:#?}", self.log);
    }

    /// One command for the first life and for every other.
    fn auto(&self) -> String {
        let words = self.kind.iter().chain(&COMMON).chain(&["--resume", "auto", "--out", "run"]);
        let program = env!("CARGO_BIN_EXE_sync-replicas");
        words.fold(program.to_owned(), |text, word| text + " " + word)
    }

    /// What is to be refused: were it not, it would soon end.
    fn run(&self, more: &[&str]) -> Said {
        let end = (self.floor.unwrap_or(0) + 1).to_string();
        let short = ["--model", "softmax", "--straggler", "none", "--updates", &end];
        run(self.folder.path(), &[self.kind, &short, more].concat())
    }

    /// Starts what a shell makes of the words, again while an earlier life still holds the folder.
    fn spawn(&self, words: &str) -> (Child, String) {
        let mut command = Command::new("sh");
        let line = format!("exec {}", words.trim_start_matches("exec "));
        let line = if words.starts_with("trap") { words.to_owned() } else { line };
        command.args(["-c", &line]).current_dir(self.folder.path()).env_remove("RUST_LOG");
        loop {
            let held = program(self.folder.path(), &["train", "--resume", "run", "--updates", "1"])
                .output()
                .expect("the program starts");
            if !String::from_utf8_lossy(&held.stderr).contains("is in use by") {
                break;
            }
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        (child.expect("it starts"), words.to_owned())
    }

    /// What the model says holds: nothing is lost, and nothing begins anew.
    fn check_checkpoints(&mut self) {
        let newest = self.newest();
        assert!(newest >= self.floor, "{newest:?} after {:?}: {:#?}", self.floor, self.log);
        self.floor = newest;
    }

    /// The update of the newest good checkpoint.
    fn newest(&self) -> Option<u64> {
        Some(self.newest_checkpoint()?.1)
    }

    /// The newest checkpoint whose files are as long as they should be, and its update: found here
    /// by the manifests alone, so that the model shares no mistake with what it checks.
    fn newest_checkpoint(&self) -> Option<(PathBuf, u64)> {
        let entries = fs::read_dir(self.folder.path().join("run/checkpoint")).ok()?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let named = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_prefix("checkpoint-"))
                .is_some_and(|step| step.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let found = paths.filter(named).filter_map(|path| {
            let manifest = fs::read(path.join("manifest.json")).ok()?;
            let manifest: Value = serde_json::from_slice(&manifest).ok()?;
            let manifest = &manifest["manifest"];
            let whole = manifest["files"].as_array()?.iter().all(|file| {
                let file_of = file["name"].as_str().map(|name| path.join(name));
                let length = file_of.and_then(|file| fs::metadata(file).ok()).map(|it| it.len());
                length.is_some() && length == file["bytes"].as_u64()
            });
            let numbers = &manifest["numbers"];
            let rank = (numbers["generation"].as_u64()?, numbers["global_step"].as_u64()?);
            whole.then_some((rank, path))
        });
        let ((_, step), path) = found.max()?;
        Some((path, step))
    }

    /// The update that the run went on from when it was started last.
    fn went_on_from(&self) -> Option<u64> {
        let text = fs::read(self.folder.path().join("run/run.json")).expect("it has lived");
        let run: Value = serde_json::from_slice(&text).expect("is JSON");
        run["resumed"]["step"].as_u64()
    }

    /// The last update that the metrics know of.
    fn last_update(&self) -> Option<u64> {
        let text = fs::read_to_string(self.folder.path().join("run/metrics.jsonl")).ok()?;
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        let mut updates = lines.filter(|line: &Value| line["kind"] == "update");
        updates.next().and_then(|update| update["step"].as_u64())
    }
}

/// Every file below a folder, and what is in it.
fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if path.file_name().is_none_or(|name| name != ".holder") {
            all.push((path.clone(), fs::read(path).expect("it can be read")));
        }
    }
    all.sort();
    all
}

fn histories(kind: &'static [&'static str]) {
    let count = std::env::var("SYNC_REPLICAS_LIVES").ok().and_then(|text| text.parse().ok());
    for seed in 0..count.unwrap_or(HISTORIES) {
        History::new(seed, kind).play();
    }
}

// P-24.
#[test]
fn of_a_training_in_one_process() {
    histories(&["train"]);
}

// P-24.
#[test]
fn of_a_launched_training() {
    histories(&["launch", "--ps", "1", "--workers", "2"]);
}
