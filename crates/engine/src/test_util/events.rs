//! What can happen to an engine, and how often each is drawn, under all settings.
//!
//! Plain data and its generators. Invariant: an event is meant in terms of what there is when it
//! comes, so that any part of a history is one.

use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use crate::{
    Admission, InitialTokens, Membership, Settings, StepTimeout, SummationOrder, TokenPolicy,
};

/// How an engine begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its settings, which fit.
    pub settings: Settings,
    /// How many variables have a gradient.
    pub variables: usize,
    /// The step that it begins at.
    pub first_step: i64,
}

/// Under which name a push is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// As the next contribution.
    New,
    /// As the last one once more, as after a lost answer.
    Again,
    /// By an earlier life of the replica.
    OldIncarnation,
    /// By a member of an earlier life of the shared state.
    OldGeneration,
}

/// One event; unknown replicas and lanes are drawn too.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The chief starts, if it has not.
    Start,
    /// A replica comes.
    Join(u64),
    /// A replica leaves or dies; or an earlier life of it does, once more.
    Leave {
        /// Which.
        replica: u64,
        /// Whether it is an earlier life.
        old: bool,
    },
    /// A push.
    Push {
        /// By whom.
        replica: u64,
        /// What it claims, measured from the step that its token named.
        age: i64,
        /// Which lanes have a gradient.
        lanes: Option<Vec<usize>>,
        /// Under which name.
        sent: Sent,
    },
    /// A replica gives up its batch.
    GiveUp(u64),
    /// A replica's gradients are not finite.
    Skip(u64),
    /// A replica declines its token.
    Decline(u64),
    /// A replica asks for a token.
    Request(u64),
    /// A replica shows that it lives.
    Renew(u64),
    /// The update of a lane is done, under way or not.
    Apply(usize),
    /// Time passes, in seconds.
    Tick(u64),
    /// The chief calls hooks from now on, perhaps on a replica's thread.
    Hooks(Option<u64>),
    /// The hooks are done.
    HooksEnd,
    /// So many variables have a gradient.
    Lanes(usize),
    /// Everything is set to a step, measured from the present one, and the chief starts again.
    Restore(i64),
    /// Training ends.
    Stop,
}

/// Histories of any engine.
#[derive(Debug)]
pub struct Histories;

impl ReferenceStateMachine for Histories {
    type State = Setup;
    type Transition = Event;

    fn init_state() -> BoxedStrategy<Setup> {
        let first_step = prop_oneof![4 => Just(0), 1 => -5_i64..1000];
        (any_settings(), 1_usize..4, first_step)
            .prop_map(|(settings, variables, first_step)| Setup { settings, variables, first_step })
            .boxed()
    }

    fn transitions(_: &Setup) -> BoxedStrategy<Event> {
        event().boxed()
    }

    fn apply(setup: Setup, _: &Event) -> Setup {
        setup
    }
}

/// All settings that fit together, of up to four replicas.
pub fn any_settings() -> impl Strategy<Value = Settings> {
    let numbers = (1_usize..=4, 1_usize..=4, 0_usize..3);
    let times = (prop::option::of(1_u64..4), prop::option::of(1_u64..5), step_timeout());
    let choices = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (numbers, times, choices, 0_u8..4).prop_map(|(numbers, times, choices, preset)| {
        let (aggregate, total, extra) = numbers;
        let (keep, alone, unknown, replica_order, tell) = choices;
        let needed = aggregate.saturating_sub(total);
        let plain = Settings {
            total_num_replicas: Some(total),
            initial_tokens: InitialTokens::Exactly(needed + extra),
            lease: times.0.map(Duration::from_secs),
            step_deadline: times.1.map(Duration::from_secs),
            step_timeout: times.2,
            tell_superseded: tell,
            ..Settings::new(aggregate)
        };
        match preset {
            0 => plain.reference(),
            1 => plain,
            _ if replica_order => Settings { order: SummationOrder::Replica, ..plain },
            _ => Settings {
                token_policy: if keep {
                    TokenPolicy::KeepLeftovers
                } else {
                    TokenPolicy::DiscardLeftovers
                },
                admission: if alone { Admission::PerVariable } else { Admission::Together },
                membership: if unknown { Membership::Unknown } else { Membership::Tracked },
                ..plain
            },
        }
    })
}

fn step_timeout() -> impl Strategy<Value = StepTimeout> {
    prop_oneof![
        2 => Just(StepTimeout::Automatic),
        1 => (1_u64..6).prop_map(|seconds| StepTimeout::After(Duration::from_secs(seconds))),
        1 => Just(StepTimeout::Never),
    ]
}

/// Any event, in a mix that lets steps close.
pub fn event() -> impl Strategy<Value = Event> {
    let replica = || prop_oneof![40 => 0_u64..4, 1 => Just(u64::MAX)];
    let age = prop_oneof![16 => Just(0_i64), 1 => -2_i64..0, 1 => 1_i64..3];
    let lanes = prop::option::weighted(0.3, prop::collection::vec(0_usize..3, 0..4));
    let sent = prop_oneof![
        16 => Just(Sent::New),
        2 => Just(Sent::Again),
        1 => Just(Sent::OldIncarnation),
        1 => Just(Sent::OldGeneration),
    ];
    let push = (replica(), age, lanes, sent).prop_map(|(replica, age, lanes, sent)| Event::Push {
        replica,
        age,
        lanes,
        sent,
    });
    let leave = (replica(), prop::bool::weighted(0.2));
    prop_oneof![
        2 => Just(Event::Start),
        6 => replica().prop_map(Event::Join),
        2 => leave.prop_map(|(replica, old)| Event::Leave { replica, old }),
        24 => push,
        2 => replica().prop_map(Event::GiveUp),
        2 => replica().prop_map(Event::Skip),
        1 => replica().prop_map(Event::Decline),
        4 => replica().prop_map(Event::Request),
        1 => replica().prop_map(Event::Renew),
        12 => (0_usize..4).prop_map(Event::Apply),
        3 => (0_u64..3).prop_map(Event::Tick),
        1 => prop::option::of(replica()).prop_map(Event::Hooks),
        1 => prop_oneof![2 => Just(Event::HooksEnd), 1 => (0_usize..4).prop_map(Event::Lanes)],
        1 => prop_oneof![5 => Just(Event::Start), 2 => (-2_i64..3).prop_map(Event::Restore)],
        1 => prop_oneof![12 => Just(Event::Start), 1 => Just(Event::Stop)],
    ]
}
