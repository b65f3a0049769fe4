//! The whole composition in this process, replayed by replicas that are driven by hand.

use sync_replicas::{Gradients, Scalar};
use testing::ManualReplicas;

use super::driven::{DENSE, Driven, SPARSE, Seen};

impl<T: Scalar> Driven<T> for ManualReplicas<T> {
    fn push(&mut self, replica: usize, gradients: Gradients<T>) -> Result<(), String> {
        let count = self.num_replicas();
        if replica >= count {
            return Err(format!("replica {replica} pushes, and there are {count} of them"));
        }
        if self.waits(replica) {
            return Err(format!("replica {replica} waits for a token, and was recorded to push"));
        }
        // Accepted or stale: the counts tell.
        self.push(replica, gradients).map(drop).map_err(|error| error.to_string())
    }

    fn waits(&self, replica: usize) -> bool {
        self.waits(replica)
    }

    fn look(&mut self) -> Result<Seen<T>, String> {
        let trainer = &self.trainer;
        Ok(Seen {
            global_step: self.global_step(),
            accumulated: [DENSE, SPARSE].map(|name| trainer.num_accumulated(name).unwrap_or(0)),
            tokens: trainer.num_tokens(),
            local_steps: self.local_steps(),
            variables: trainer.snapshot().variables.clone(),
            averages: trainer.averages(),
        })
    }
}
