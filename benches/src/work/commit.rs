//! A commit to a cluster's coordinator when many replicas are registered.

use std::time::{Duration, Instant};

use cluster::driver::coordinator::{
    Answer, Commit, Contribution, Coordinator, CoordinatorSettings, Ticket, Times, batch_size,
    receipt,
};
use cluster::driver::index::{ServerIndex, VariableIndex};
use cluster::driver::place::Caller;
use sync_replicas::ReplicaId;
use sync_replicas::driver::{Generation, LocalStep};
use sync_replicas::engine::Settings;

use crate::Work;

const SERVERS: usize = 2;
const SECRET: u64 = 7;

/// All replicas hold a token; all but the last commit, timed; the last one closes the step.
pub(crate) struct Committed {
    coordinator: Coordinator,
    tickets: Vec<Ticket>,
    /// The step that is open, and the piece of work of every replica.
    step: i64,
}

impl Committed {
    pub(crate) fn new(replicas: u64) -> Self {
        let count = replicas as usize;
        let settings = Settings { total_num_replicas: Some(count), ..Settings::new(count) };
        let config = settings.check().expect("good settings");
        let settings = CoordinatorSettings {
            shards: SERVERS,
            secret: SECRET,
            batch: batch_size(count, usize::MAX),
            ..CoordinatorSettings::new(config)
        };
        let mut coordinator = Coordinator::new(settings, Generation::new(1));
        coordinator.start().expect("the tokens are enough");
        let caller = Caller { process: 1, connection: 1, ticket: None };
        let join = |id| coordinator.hello(ReplicaId::new(id), &caller).expect("it is free");
        let tickets = (0..replicas).map(join).collect();
        coordinator.take_actions();
        Self { coordinator, tickets, step: 0 }
    }

    fn commit(&self, replica: ReplicaId, ticket: Ticket) -> Commit {
        let sequence = self.step as u64 + 1;
        let contribution = Contribution { replica, incarnation: ticket.incarnation, sequence };
        let of =
            |server| receipt(SECRET, ServerIndex::new(server), ticket.generation, contribution);
        Commit {
            ticket,
            sequence,
            local_step: LocalStep::new(self.step),
            variables: vec![VariableIndex::new(0)],
            loss: Some(1.0),
            examples: 1,
            receipts: (0..SERVERS).map(of).fold(0, |together, one| together ^ one),
            times: Times::default(),
        }
    }
}

impl Work for Committed {
    fn run(&mut self, times: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            let tickets = self.tickets.iter().enumerate();
            let commits = tickets.map(|(replica, ticket)| {
                let replica = ReplicaId::new(replica as u64);
                (replica, self.commit(replica, *ticket))
            });
            let mut commits: Vec<_> = commits.collect();
            let last = commits.pop();
            let begun = Instant::now();
            for (replica, commit) in &commits {
                self.coordinator.commit(*replica, commit);
                let answers = self.coordinator.take_actions().answers;
                assert!(matches!(answers[..], [(_, _, Answer::Pushed { .. })]), "it counts");
            }
            spent += begun.elapsed();
            let (replica, commit) = last.expect("there are replicas");
            self.coordinator.commit(replica, &commit);
            (0..SERVERS).for_each(|_| self.coordinator.applied(None));
            self.coordinator.take_actions();
            self.step += 1;
        }
        spent
    }
}
