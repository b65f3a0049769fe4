//! A parameter server without its own program: it serves whatever program comes.
//!
//! Names, shapes, number type, optimizer, settings and the last step come with the first hello, and
//! initial values from the chief; the place and frequency of checkpoints are the server's own
//! affair.

use std::net::SocketAddr;
use std::time::Duration;

use optim::BuiltIn;
use sync_replicas::checkpoint::{self, Checkpoints, RunId};
use sync_replicas::driver::{Parts, ServerDuties};
use sync_replicas::record::Record;
use sync_replicas::{BoxError, Scalar, Variables};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_stream::Stream;

use super::runtime::start_runtime;
use super::{Cluster, ClusterError, ClusterReport, ClusterTrainer, Counts};
use crate::agreement::Agreement;
use crate::definition::{Definition, DefinitionError, Formula, Limits};
use crate::index::ServerIndex;
use crate::memory;
use crate::server::{Listener, Program, TransportSettings, Undefined};
use crate::spec::Role;

/// How long a server without a program waits for one that it would only end.
const SOON: Duration = Duration::from_secs(5);

/// What a parameter server writes, whatever it serves.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// Where checkpoints are, and how often number 0 writes one; `None` for none. The others
    /// write the rows of their tables there, so they need it where there are tables.
    pub checkpoints: Option<Checkpoints>,
    /// The run that they belong to, until the server goes on from one.
    // P-24
    pub run: RunId,
    /// Where number 0 records what happens, if anywhere.
    pub record: Option<Record>,
}

impl Cluster {
    /// Serves any program that the replicas run, as a parameter server, until its training is over.
    ///
    /// The program's optimizer must be one of the crate `optim`. A program's own optimizer is
    /// refused: it needs servers that run the program.
    ///
    /// # Errors
    /// [`ClusterError`]; its exit code says whether a restart can help.
    pub fn serve(&self, files: ServerFiles) -> Result<ClusterReport<f32>, ClusterError> {
        if self.place.task.role != Role::Ps {
            return Err(ClusterError::NoServer { task: self.place.task });
        }
        // Said at once, and not once a program has come.
        self.connector()?;
        start_runtime(self.place.task)?.block_on(async {
            let listener = self.listener().await?;
            let begun = Instant::now();
            let (incoming, settings) = (listener.incoming()?, self.transport_settings()?);
            let Some(program) = self.program(incoming, settings).await? else {
                return Ok(self.nothing_served(begun));
            };
            match program.definition.number_type.as_str() {
                "f64" => self.serve_program::<f64>(program, files, &listener).await,
                _ => self.serve_program::<f32>(program, files, &listener).await,
            }
        })
    }

    /// Waits for a program; `None` if this process is asked to end first.
    pub(crate) async fn program<I, IO, E>(
        &self,
        incoming: I,
        settings: TransportSettings,
    ) -> Result<Option<Program>, ClusterError>
    where
        I: Stream<Item = Result<(IO, Option<SocketAddr>), E>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let server = self.place.task.index as usize;
        let limits = Limits {
            server,
            servers: self.place.cluster.ps.len(),
            replicas: self.place.num_replicas() as usize,
            max_memory: self.max_memory.unwrap_or_else(memory::physical),
        };
        let undefined = Undefined::new(ServerIndex::new(server), limits, self.reconnect_timeout);
        self.status.set(&undefined);
        tracing::info!("the server waits for a program");
        tokio::select! {
            program = undefined.program(incoming, settings) => Ok(Some(program?)),
            () = self.asked_to_end() => Ok(None),
        }
    }

    /// Waits until this process may leave; or until training ends, and a little longer, so that
    /// late callers are told.
    async fn asked_to_end(&self) {
        let mut requests = self.handle.requests();
        // Both fail only when the sender is gone, which the cluster holds.
        drop(requests.wait_for(|asked| asked.leave || asked.end).await);
        let _ = tokio::time::timeout(SOON, requests.wait_for(|asked| asked.leave)).await;
    }

    async fn serve_program<T: Scalar>(
        &self,
        program: Program,
        files: ServerFiles,
        listener: &Listener,
    ) -> Result<ClusterReport<f32>, ClusterError> {
        if let Some(checkpoints) = &files.checkpoints {
            tell_changes(&program.definition, checkpoints);
        }
        let trainer = self.trainer_of::<T>(program, files)?;
        let report = trainer.serve_on(listener).await?;
        // A server's report has none.
        Ok(report.without_variables())
    }

    /// The trainer of a program that has arrived.
    pub(crate) fn trainer_of<T: Scalar>(
        &self,
        program: Program,
        files: ServerFiles,
    ) -> Result<ClusterTrainer<'_, T, BuiltIn>, ClusterError> {
        let Program { definition, items, duties } = program;
        let variables: Vec<_> = definition.variables.keys().collect();
        tracing::info!(?variables, "a program has come");
        let placement = definition.placement::<T>().into();
        let optimizer = match definition.optimizer {
            Formula::BuiltIn(optimizer) => optimizer,
            Formula::Own(words) => return Err(DefinitionError::OwnOptimizer(words).into()),
        };
        let lease = definition.settings.lease;
        let parts = Parts {
            optimizer,
            config: definition.settings.check().map_err(sync_replicas::error::BuildError::from)?,
            lease,
            sparse_mean: definition.sparse_mean,
            sparse_merge: definition.sparse_merge,
            moving_average: definition.moving_average,
            variables_to_average: definition.variables_to_average,
            run: files.run,
            record: files.record,
        };
        Ok(ClusterTrainer {
            parts,
            cluster: self,
            placement,
            agreement: Agreement::from_items(items),
            variables: Variables::new(),
            values_from_chief: true,
            duties: ServerDuties { checkpoints: files.checkpoints, ..duties },
        })
    }

    /// The report of a server that was asked to end before a program came.
    fn nothing_served(&self, begun: Instant) -> ClusterReport<f32> {
        ClusterReport {
            task: self.place.task,
            global_step: Default::default(),
            first_step: Default::default(),
            stopped: "it was asked to end before a program had come".to_owned(),
            elapsed: begun.elapsed(),
            counts: Counts::default(),
            totals: Default::default(),
            generation: Default::default(),
            replicas: Vec::new(),
            left: true,
            variables: None,
        }
    }
}

/// Reports how a program's definition differs from that of the checkpoint it goes on from. A
/// restore compares what the state depends on.
fn tell_changes(definition: &Definition, checkpoints: &Checkpoints) {
    let before = checkpoint::newest_definition(&checkpoints.folder);
    let before = before.ok().flatten().and_then(|it| serde_json::from_value(it).ok());
    let Some(before) = before.filter(|before: &Definition| before != definition) else { return };
    let (now, before) = (Agreement::from_items(definition.items()), before.items());
    if let Some(change) = now.difference(&before) {
        tracing::warn!(change, "training goes on with another definition: here now, there before");
    }
}
