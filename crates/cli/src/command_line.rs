//! The command line together with the file that `--config` names.
//!
//! The file's settings become words before those of the user, so that ranges, conflicts and
//! defaults are the options' own. Invariants: an option that the user gave wins, even over others
//! in the file that it excludes; and what stands behind `--` is a program's own.

mod error;
mod options;
mod typed;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches};

pub use self::error::CommandLineError;
pub use self::options::Options;
use self::typed::{refusal, words};
use crate::args::{Cli, Command};
use crate::config::{Config, ConfigError};

/// A command line, with what a file adds to it.
#[derive(Debug)]
pub struct Given {
    /// What to do, with all options.
    pub command: Command,
    /// Those that were given, here or in the file.
    pub options: Options,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
}

/// Reads a command line, whose first word is the program, and the file that it names.
///
/// # Errors
/// [`CommandLineError`] names the option, or the file and the key, what was expected and what came.
/// A request for help is also an error of clap.
///
/// # Examples
/// ```
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("settings.toml");
/// std::fs::write(&file, "model = \"softmax\"\nupdates = 500\n")?;
/// let words = ["sync-replicas", "train", "--updates", "20", "--config"].map(Into::into);
/// let given = cli::command_line::read(words.into_iter().chain([file.into()]))?;
/// assert_eq!(given.options.words_without(&[]), ["--model=softmax", "--updates=20"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(typed: impl IntoIterator<Item = OsString>) -> Result<Given, CommandLineError> {
    let typed: Vec<OsString> = typed.into_iter().collect();
    let mut program = Cli::command();
    let (file, from_file, own) = match WithFile::of(&typed) {
        Some(it) => (Some(it.file.clone()), it.words()?, it.own),
        None => (None, Vec::new(), own_words(&typed, &program)),
    };
    let (before, after) = typed.split_at(own);
    let after = if file.is_some() { without(after, &["--config"]) } else { after.to_vec() };
    let words = before.iter().cloned().chain(from_file.into_iter().map(Into::into)).chain(after);
    let parsed = program.try_get_matches_from_mut(words).and_then(|mut matches| {
        let options = Options::of(&program, &matches);
        let cli = Cli::from_arg_matches_mut(&mut matches);
        Ok((cli.map_err(|error| error.format(&mut program))?, options))
    });
    match parsed {
        Ok((cli, options)) => Ok(Given { command: cli.into_command(), options, file }),
        Err(error) => Err(CommandLineError::Words { error, file }),
    }
}

/// How many words name the program and its command.
fn own_words(typed: &[OsString], program: &clap::Command) -> usize {
    let command = typed.get(1).and_then(|word| program.find_subcommand(word));
    typed.len().min(if command.is_some() { 2 } else { 1 })
}

/// A command line that names a file.
struct WithFile {
    file: PathBuf,
    /// How many words name the program and its command.
    own: usize,
    command: clap::Command,
    matches: ArgMatches,
}

/// Settings of a file, each with the option that has its name.
type Entries<'c> = Vec<(String, &'c Arg, Vec<String>)>;

impl WithFile {
    /// `None` without a file. Mistakes in the words are reported when all of them are read.
    fn of(typed: &[OsString]) -> Option<Self> {
        let mut program = Cli::command().ignore_errors(true);
        program.build();
        let own = own_words(typed, &program);
        let mut matches = program.try_get_matches_from_mut(typed).ok()?;
        let mut command = program;
        if let Some((name, inner)) = matches.remove_subcommand() {
            command = command.find_subcommand(&name)?.clone();
            matches = inner;
        }
        let file = matches.try_get_one::<PathBuf>("config").ok().flatten()?.clone();
        Some(Self { file, own, command, matches })
    }

    /// The file's settings, except those that the user overrides.
    fn words(&self) -> Result<Vec<String>, ConfigError> {
        let entries = self.entries()?;
        self.refuse_both(&entries)?;
        let given = |arg: &Arg| {
            self.matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let given: Vec<&Arg> = self.command.get_arguments().filter(|arg| given(arg)).collect();
        let stands = |arg: &Arg| given.iter().all(|it| *it != arg && !self.exclude(it, arg));
        let standing = entries.into_iter().filter(|(_, arg, _)| stands(arg));
        Ok(standing.flat_map(|(_, _, words)| words).collect())
    }

    fn entries(&self) -> Result<Entries<'_>, ConfigError> {
        let name = self.command.get_name();
        let mut program = Cli::command();
        let known = program.find_subcommand(name).is_some();
        let before = if known { vec!["x", name] } else { vec!["x"] };
        let mut entries = Vec::new();
        for (key, value) in Config::read(&self.file)?.into_entries() {
            let Some(arg) = self.option(&key) else {
                let command = if known { name } else { "train" }.to_owned();
                return Err(ConfigError::Unknown { path: self.file.clone(), key, command });
            };
            let checked = words(arg, &value)
                .and_then(|words| refusal(&mut program, &before, &words).map_or(Ok(words), Err));
            match checked {
                Ok(words) => entries.push((key, arg, words)),
                Err(problem) => {
                    let (path, value) = (self.file.clone(), value.to_string());
                    return Err(ConfigError::Value { path, key, value, problem });
                }
            }
        }
        Ok(entries)
    }

    /// The option of a key; neither a file in a file nor a hidden option.
    fn option(&self, key: &str) -> Option<&Arg> {
        let named = |arg: &&Arg| arg.get_long().is_some_and(|long| long.replace('-', "_") == key);
        let arg = self.command.get_arguments().find(named)?;
        let setting = !arg.is_hide_set() && !["config", "help", "version"].contains(&key);
        setting.then_some(arg)
    }

    fn refuse_both(&self, entries: &Entries<'_>) -> Result<(), ConfigError> {
        let set: Vec<_> = entries.iter().filter(|(_, _, words)| !words.is_empty()).collect();
        for (place, (one, arg, _)) in set.iter().enumerate() {
            for (other, it, _) in &set[place + 1..] {
                if self.exclude(arg, it) {
                    let (path, one, other) = (self.file.clone(), one.clone(), other.clone());
                    return Err(ConfigError::Both { path, one, other });
                }
            }
        }
        Ok(())
    }

    /// Whether two options cannot be used together.
    fn exclude(&self, one: &Arg, other: &Arg) -> bool {
        let says = |one: &Arg, other: &Arg| {
            self.command.get_arg_conflicts_with(one).iter().any(|it| it.get_id() == other.get_id())
        };
        let in_group = self.command.get_groups().any(|group| {
            let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
            !group.clone().is_multiple() && has(one) && has(other)
        });
        one != other && (in_group || says(one, other) || says(other, one))
    }
}

/// The words of a command, and those of a program that it starts, from `--` on.
pub fn split_program(words: &[OsString]) -> (&[OsString], &[OsString]) {
    words.split_at(words.iter().position(|word| word == "--").unwrap_or(words.len()))
}

/// A command line without some options and their values; a program's own stay.
pub fn without(words: &[OsString], options: &[&str]) -> Vec<OsString> {
    let (own, program) = split_program(words);
    let (mut own, mut kept) = (own.iter(), Vec::new());
    while let Some(word) = own.next() {
        let text = word.to_string_lossy();
        if options.contains(&&*text) {
            own.next();
        } else if !options.iter().any(|option| text.starts_with(&format!("{option}="))) {
            kept.push(word.clone());
        }
    }
    kept.extend_from_slice(program);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_out_with_their_values() {
        #[track_caller]
        fn check(words: &str, expected: &str) {
            let words: Vec<_> = words.split_whitespace().map(OsString::from).collect();
            let kept = without(&words, &["--ps", "--workers", "--out", "--resume"]);
            assert_eq!(kept.join(std::ffi::OsStr::new(" ")), OsString::from(expected), "{kept:?}");
        }
        check("--ps 2 --workers=4 --backup 1", "--backup 1");
        check("--updates 10 --out a --json", "--updates 10 --json");
        check("--psi 2 --resume", "--psi 2");
        check("--out a -- program --out b", "-- program --out b");
    }

    #[test]
    fn a_program_keeps_its_own_options() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.toml").display().to_string();
        std::fs::write(&file, "workers = 3\n").expect("is writable");
        let words =
            ["x", "launch", "--config", &file, "--", "program", "--config", "own", "--ps=2"];
        let given = read(words.map(Into::into)).expect("is valid");
        let Command::Launch(args) = given.command else { panic!("{:?}", given.command) };
        assert_eq!((args.workers, args.ps), (3, 1));
        assert_eq!(args.program, ["program", "--config", "own", "--ps=2"]);
        assert_eq!(given.options.words_without(&[]), ["--workers=3"]);
    }

    #[test]
    fn options_are_found_by_name() {
        let words = "x launch rows.csv -a 3 --metrics-listen 9 --json --cross a*b --cross c*d --";
        let given = read(words.split_whitespace().map(Into::into)).expect("is valid");
        let options = given.options;
        for (name, expected) in [
            ("replicas_to_aggregate", Some("--replicas-to-aggregate")),
            ("file", Some("FILE")),
            ("wire", None),
            ("program", None),
        ] {
            assert_eq!(options.find(|it| it == name), expected, "{name}");
        }
        let kept = options.words_without(&["dashboard", "replicas_to_aggregate"]);
        assert_eq!(kept, ["rows.csv", "--cross=a*b", "--cross=c*d", "--json"]);
    }
}
