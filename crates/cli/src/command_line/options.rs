//! The options that a command was given, for what depends on whether the user has said something.
//!
//! Not what they mean, which the command's arguments say. Invariant: an option is found by its
//! name, however it was written.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The options that a command was given, on the command line or in the file.
#[derive(Clone, Debug)]
pub struct Options(Vec<Written>);

/// One of them.
#[derive(Clone, Debug)]
struct Written {
    /// Its long name with _ for -, as in a file.
    name: String,
    /// As a person knows it.
    shown: String,
    words: Vec<OsString>,
}

impl Options {
    /// Those of the command that the program was given.
    pub(super) fn of(program: &Command, matches: &ArgMatches) -> Self {
        let inner = matches.subcommand();
        let inner = inner.and_then(|(name, it)| Some((program.find_subcommand(name)?, it)));
        let (command, matches) = inner.unwrap_or((program, matches));
        let is_given = |arg: &&Arg| {
            !arg.is_last_set()
                && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let given = command.get_arguments().filter(is_given);
        Self(given.map(|arg| Written::new(arg, matches)).collect())
    }

    /// The first one whose name is such, as a person knows it.
    pub fn find(&self, is_such: impl Fn(&str) -> bool) -> Option<&str> {
        self.0.iter().find(|option| is_such(&option.name)).map(|option| option.shown.as_str())
    }

    /// All but those of these names, as words that give the same once more.
    #[must_use]
    pub fn words_without(&self, names: &[&str]) -> Vec<OsString> {
        let kept = self.0.iter().filter(|option| !names.contains(&option.name.as_str()));
        kept.flat_map(|option| option.words.clone()).collect()
    }
}

impl Written {
    fn new(arg: &Arg, matches: &ArgMatches) -> Self {
        let name = arg.get_id().to_string();
        let values = matches.get_raw(&name).into_iter().flatten();
        let Some(long) = arg.get_long() else {
            let shown = arg.get_value_names().and_then(<[_]>::first);
            let shown = shown.map_or_else(|| name.clone(), ToString::to_string);
            return Self { shown, words: values.map(ToOwned::to_owned).collect(), name };
        };
        let shown = format!("--{long}");
        let with_value = |value| {
            let mut word = OsString::from(format!("{shown}="));
            word.push(value);
            word
        };
        let words = match arg.get_action() {
            ArgAction::SetTrue => vec![shown.clone().into()],
            _ => values.map(with_value).collect(),
        };
        Self { name, shown, words }
    }
}
