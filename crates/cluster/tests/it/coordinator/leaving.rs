//! Processes that were asked to end: what their leaving ends, and when a server may go.

use cluster::driver::coordinator::{Coordinator, CoordinatorSettings, Farewell, Saves};
use cluster::driver::index::ServerIndex;
use sync_replicas::GlobalStep;
use sync_replicas::driver::Generation;
use sync_replicas::engine::{Positions, Settings};

use super::{FIRST, STEP, check as history};

/// P-5: whoever is asked to end is expected back, so that training waits for it, and a scheduler
/// which asks all of them at once ends nothing.
#[test]
fn replicas_leave_for_now() {
    history(
        "the last one",
        (1, 1, 1),
        &[
            FIRST,
            ("leave_for_now 0", &["discard 0.*", "0 left"]),
            ("leave_for_now 0", &["0 left"]),
            ("hello 0 2", &["0 welcome 1.2", "0 granted 1 @0"]),
            STEP,
        ],
    );
    history(
        "its token goes to another at once",
        (1, 2, 1),
        &[
            FIRST,
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            ("leave_for_now 1", &["discard 1.*", "1 left"]),
            ("leave 0", &["discard 0.*", "0 left"]),
            ("hello 1 2", &["1 welcome 1.2", "1 granted 1 @0"]),
        ],
    );
    history(
        "from an earlier life",
        (1, 1, 1),
        &[
            FIRST,
            ("hello 0 2", &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"]),
            ("leave_for_now 0/0", &["0 left"]),
            STEP,
        ],
    );
}

/// What happens to servers that wish to leave.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// One wishes to, when so many updates were ordered and so many of them are on disk.
    Wishes(usize, u64, Option<u64>, Farewell),
    /// One does when no checkpoint can be begun; whether one is being written.
    WishesInVain(usize, bool, Farewell),
    /// One does while training is ending.
    WishesAtTheEnd(usize, Farewell),
    /// A checkpoint after so many updates was written: who may go.
    Saved(u64, &'static [usize]),
    /// No checkpoint will come.
    Lost(&'static [usize]),
    /// A new generation begins.
    Restored,
}

fn numbers(servers: Vec<ServerIndex>) -> Vec<usize> {
    servers.into_iter().map(ServerIndex::get).collect()
}

/// A server goes once what it holds is on disk, and when it cannot be.
#[test]
fn servers_leave_once_they_are_saved() {
    use Event::{Lost, Restored, Saved, Wishes, WishesAtTheEnd, WishesInVain};
    use Farewell::{Go, Save, Wait};
    #[track_caller]
    fn check(name: &str, events: &[Event]) {
        let config = Settings::new(1).check().expect("it is valid");
        let settings = CoordinatorSettings { shards: 3, ..CoordinatorSettings::new(config) };
        let mut coordinator = Coordinator::new(settings, Generation::default());
        for event in events {
            let (updates, on_disk, possible, under_way) = match *event {
                Wishes(_, updates, on_disk, _) => (updates, on_disk, true, false),
                WishesInVain(_, under_way, _) => (9, None, false, under_way),
                _ => (0, None, true, false),
            };
            match *event {
                Wishes(server, .., expected)
                | WishesInVain(server, _, expected)
                | WishesAtTheEnd(server, expected) => {
                    let ending = matches!(event, WishesAtTheEnd(..));
                    let saves = Saves { updates, on_disk, possible, under_way, ending };
                    let got = coordinator.server_leaves(ServerIndex::new(server), saves);
                    assert_eq!(got, expected, "{name}: {event:?}");
                }
                Saved(updates, expected) => {
                    assert_eq!(numbers(coordinator.saved(updates)), expected, "{name}: {event:?}");
                }
                Lost(expected) => {
                    let go = numbers(coordinator.nothing_is_saved());
                    assert_eq!(go, expected, "{name}: {event:?}");
                }
                Restored => {
                    let (step, after) = (GlobalStep::default(), Generation::new(1));
                    coordinator.restore(step, after, &Positions::default());
                }
            }
        }
    }
    check("what is on disk already", &[Wishes(1, 5, Some(5), Go)]);
    check("what is not", &[Wishes(1, 5, Some(4), Save), Saved(5, &[1]), Saved(6, &[])]);
    check(
        "a save that had begun before",
        &[Wishes(1, 5, None, Save), Saved(4, &[]), Saved(6, &[1])],
    );
    check("twice", &[Wishes(1, 5, None, Save), Wishes(1, 8, None, Save), Saved(5, &[1])]);
    // Whoever went first could not be asked for its part of the second's checkpoint.
    let (one, other) = (Wishes(1, 5, None, Save), Wishes(0, 7, None, Save));
    check("all, by one checkpoint", &[one, other, Saved(5, &[]), Saved(7, &[0, 1])]);
    check("one after another", &[one, Saved(5, &[1]), Wishes(0, 7, Some(5), Go)]);
    check("back again", &[one, Saved(5, &[1]), Restored, Wishes(1, 7, Some(5), Save)]);
    check("a failed save", &[one, Lost(&[1]), Lost(&[])]);
    check("where nothing can be saved", &[WishesInVain(0, false, Go)]);
    check("with the end", &[WishesAtTheEnd(1, Wait), WishesAtTheEnd(0, Wait), Lost(&[0, 1])]);
    // The last save would lack what the first one has had.
    check("an end that cannot be saved", &[one, Saved(5, &[1]), WishesAtTheEnd(0, Go)]);
    check("where one is on its way", &[WishesInVain(0, true, Wait), Saved(3, &[0])]);
}
