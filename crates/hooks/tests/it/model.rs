//! The life cycle against a plain model, over scripts and misdeeds nobody thought of.

use hooks::{HookCall, MonitoredSession, SessionError};
use proptest::prelude::*;

use crate::support::{Deed, Log, Trace, scripts};

type Does = Option<(HookCall, usize, Deed)>;

/// What a run did: its calls, how many steps it finished, and what kind of end it had.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace: Vec<String>,
    steps: usize,
    end: &'static str,
}

fn kind(error: &SessionError) -> &'static str {
    match error {
        SessionError::Hook { .. } => "hook",
        SessionError::Create(_) => "create",
        SessionError::Step(_) => "step",
        SessionError::RecoveryLimit { .. } => "limit",
        _ => "other",
    }
}

fn real(sessions: &[String], does: Does, max_recoveries: u32) -> Outcome {
    let log = Log::default();
    let sessions: Vec<_> = sessions.iter().map(String::as_str).collect();
    let mut hook = Trace::new("h", &log);
    hook.deed = does;
    let mut steps = 0;
    let result = MonitoredSession::builder(scripts(&sessions, &log))
        .hook(hook)
        .max_recoveries(max_recoveries)
        .start()
        .and_then(|mut session| {
            while !session.should_stop() {
                match session.run() {
                    Ok(report) => steps += usize::from(report.is_some()),
                    Err(error) => {
                        assert!(session.should_stop());
                        let again = session.close().expect_err("it is kept");
                        assert_eq!(again.to_string(), error.to_string());
                        return Err(error);
                    }
                }
            }
            session.close()
        });
    let end = result.as_ref().map_or_else(kind, |()| "clean");
    Outcome { trace: log.entries(), steps, end }
}

enum Event {
    Done,
    Lost,
    Clean,
    Failed(&'static str),
}

/// The same run, as the rules say it goes: one machine, no threads, no trait objects.
struct Model<'a> {
    sessions: std::slice::Iter<'a, String>,
    script: Option<std::str::Chars<'a>>,
    does: Does,
    calls: [usize; 5],
    stopped: bool,
    trace: Vec<String>,
}

impl<'a> Model<'a> {
    fn hook(&mut self, call: HookCall) -> Event {
        self.trace.push(format!("h.{call}"));
        self.calls[call as usize] += 1;
        match self.does {
            Some((when, time, deed)) if when == call && time == self.calls[call as usize] => {
                match deed {
                    Deed::Fail => Event::Failed("hook"),
                    Deed::Lose if matches!(call, HookCall::Begin | HookCall::End) => {
                        Event::Failed("hook")
                    }
                    Deed::Lose => Event::Lost,
                    Deed::Stop => {
                        self.stopped |= !matches!(call, HookCall::Begin | HookCall::End);
                        Event::Done
                    }
                }
            }
            _ => Event::Done,
        }
    }

    fn create(&mut self) -> Event {
        self.trace.push("create".to_owned());
        match self.sessions.next() {
            None => return Event::Failed("create"),
            Some(script) if script.starts_with('!') => return Event::Lost,
            Some(script) if script.starts_with('?') => return Event::Failed("create"),
            Some(script) => self.script = Some(script.chars()),
        }
        self.hook(HookCall::AfterCreateSession)
    }

    fn step(&mut self) -> Event {
        match self.hook(HookCall::BeforeRun) {
            Event::Done => {}
            other => return other,
        }
        self.trace.push("run".to_owned());
        match self.script.as_mut().and_then(Iterator::next) {
            Some('s' | 'n') => self.hook(HookCall::AfterRun),
            Some('l') => Event::Lost,
            Some('x') => Event::Failed("step"),
            _ => Event::Clean,
        }
    }

    fn drop_session(&mut self) {
        if self.script.take().is_some() {
            self.trace.push("close".to_owned());
        }
    }

    fn run(mut self, max_recoveries: u32) -> Outcome {
        let mut steps = 0;
        let mut losses = 0;
        let mut end = match self.hook(HookCall::Begin) {
            Event::Failed(end) => end,
            _ => loop {
                let event = if self.script.is_none() { self.create() } else { self.step_or_stop() };
                match event {
                    Event::Done if self.trace.last().is_some_and(|t| t == "h.after_run") => {
                        steps += 1;
                        losses = 0;
                    }
                    Event::Done => {}
                    Event::Clean => break "clean",
                    Event::Failed(end) => break end,
                    Event::Lost if self.stopped => break "clean",
                    Event::Lost if losses == max_recoveries => break "limit",
                    Event::Lost => {
                        losses += 1;
                        self.drop_session();
                    }
                }
            },
        };
        if end == "clean"
            && self.script.is_some()
            && let Event::Failed(failed) = self.hook(HookCall::End)
        {
            end = failed;
        }
        self.drop_session();
        Outcome { trace: self.trace, steps, end }
    }

    fn step_or_stop(&mut self) -> Event {
        if self.stopped { Event::Clean } else { self.step() }
    }
}

fn does() -> impl Strategy<Value = Does> {
    use HookCall::{AfterCreateSession, AfterRun, BeforeRun, Begin, End};
    let call = prop::sample::select(vec![Begin, AfterCreateSession, BeforeRun, AfterRun, End]);
    let deed = prop::sample::select(vec![Deed::Fail, Deed::Lose, Deed::Stop]);
    prop::option::of((call, 1_usize..4, deed))
}

proptest! {
    #[test]
    fn every_life_is_the_models(
        sessions in prop::collection::vec("[!?]|[slsss]{0,4}[etlx]?", 0..5),
        does in does(),
        max_recoveries in 0_u32..4,
    ) {
        let model = Model {
            sessions: sessions.iter(),
            script: None,
            does,
            calls: [0; 5],
            stopped: false,
            trace: Vec::new(),
        };
        let expected = model.run(max_recoveries);
        prop_assert_eq!(real(&sessions, does, max_recoveries), expected);
    }
}
