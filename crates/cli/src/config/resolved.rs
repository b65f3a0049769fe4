//! Every setting of a run with the value in force, even if no option gave one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::NumberFormat;
use optim::Schedule;
use serde_json::{Value, json};
use sync_replicas::options::{StepTimeout, SummationOrder};
use tabular::models::Kind;

use crate::args::{
    DataArgs, FAILING_BATCHES, NON_FINITES, NodeArgs, SPARSE_MEANS, SecurityArgs, TASKS,
    TOKEN_POLICIES, WIRES, cli_name,
};
use crate::config::Config;
use crate::error::UsageError;
use crate::settings::{Clip, Output, Settings};

/// The options of a cluster, beside those of training.
pub(crate) struct ClusterOptions<'a> {
    pub(crate) wire: NumberFormat,
    pub(crate) patience: Duration,
    pub(crate) metrics_port: Option<u16>,
    pub(crate) security: &'a SecurityArgs,
}

impl Config {
    /// The settings of a training in one process.
    ///
    /// # Errors
    /// [`UsageError::Build`] when its numbers do not fit together.
    pub fn of(settings: &Settings) -> Result<Self, UsageError> {
        let mut config = Self::default();
        config.set_model(settings);
        config.set_replicas(settings)?;
        config.set("updates", settings.length.updates);
        config.set("batch_size", settings.length.batch_size);
        config.set("eval_every", settings.length.eval_every);
        config.set("stop_when", settings.length.stop_when.map(|rule| rule.to_string()));
        config.set_output(&settings.output);
        Ok(config)
    }

    /// The settings of a training of any program, as far as its launcher knows them.
    pub(crate) fn of_program(output: &Output) -> Self {
        let mut config = Self::default();
        config.set_output(output);
        config
    }

    /// The settings of a training in a cluster.
    ///
    /// # Errors
    /// [`UsageError::Build`] when its numbers do not fit together.
    pub(crate) fn in_cluster(
        settings: &Settings,
        options: &ClusterOptions<'_>,
    ) -> Result<Self, UsageError> {
        let mut config = Self::of(settings)?;
        // Which the processes themselves say, and which they refuse.
        config.set("total_num_replicas", Value::Null);
        config.set("min_replicas", Value::Null);
        config.set("lease", duration(settings.replicas.lease.unwrap_or(cluster::DEFAULT_LEASE)));
        config.set("wire", WIRES.name(options.wire));
        config.set("patience", duration(options.patience));
        config.set("metrics_port", options.metrics_port);
        let SecurityArgs { key_file, tls_cert, tls_key, tls_ca, tls_allow } = options.security;
        for (key, file) in [
            ("key_file", key_file),
            ("tls_cert", tls_cert),
            ("tls_key", tls_key),
            ("tls_ca", tls_ca),
        ] {
            config.set(key, file.as_deref().map(path));
        }
        let allowed = Some(tls_allow).filter(|names| !names.is_empty());
        config.set("tls_allow", allowed.map(|names| json!(names)));
        Ok(config)
    }

    fn set_model(&mut self, settings: &Settings) {
        let Settings { trained, update, .. } = settings;
        self.set("model", trained.kind.name());
        let (hidden, width) = match trained.kind {
            Kind::Mlp { hidden } => (Some(hidden), None),
            Kind::Embedding { width } | Kind::Fm { width } => (None, Some(width)),
            Kind::WideDeep { hidden, width } => (Some(hidden), Some(width)),
            Kind::Softmax | Kind::Linear => (None, None),
        };
        self.set("hidden", hidden);
        self.set("width", width);
        self.set("seed", trained.seed);
        self.set_data(&trained.source);
        self.set("optimizer", cli_name(update.kind));
        match update.learning_rate() {
            Schedule::Constant(rate) => self.set("learning_rate", *rate),
            schedule => self.set("schedule", schedule.to_string()),
        }
        let numbers = serde_json::to_value(update.numbers()).unwrap_or_default();
        if let Value::Object(numbers) = numbers {
            for (key, value) in numbers {
                self.set(&key, value);
            }
        }
        match update.clip {
            Some(Clip::Value(limit)) => self.set("clip_value", limit),
            Some(Clip::Norm(limit)) => self.set("clip_norm", limit),
            Some(Clip::GlobalNorm(limit)) => self.set("clip_global_norm", limit),
            None => {}
        }
        self.set("ema", update.ema);
    }

    /// Where the processes of a cluster are, as one of them was told.
    pub(crate) fn set_place(&mut self, args: &NodeArgs) {
        self.set("ps", args.ps.as_ref().map(ToString::to_string));
        self.set("worker_hosts", args.worker_hosts.as_ref().map(ToString::to_string));
    }

    fn set_output(&mut self, output: &Output) {
        self.set("save_every", output.save_every);
        self.set("keep", output.keep);
        self.set("keep_best", output.keep_best.map(|best| best.to_string()));
        self.set("tensorboard", output.tensorboard);
    }

    fn set_data(&mut self, data: &DataArgs) {
        let DataArgs { data, target, categorical, cross, ignore, task, test_where, test_file } =
            data;
        self.set("data", data.as_deref().map(path));
        self.set("target", target.clone());
        for (key, columns) in [
            ("categorical", categorical.clone()),
            ("cross", cross.iter().map(ToString::to_string).collect()),
            ("ignore", ignore.clone()),
        ] {
            self.set(key, Some(columns).filter(|it| !it.is_empty()));
        }
        self.set("task", task.map(|task| TASKS.name(task)));
        self.set("test_where", test_where.as_ref().map(ToString::to_string));
        self.set("test_file", test_file.as_deref().map(path));
    }

    fn set_replicas(&mut self, settings: &Settings) -> Result<(), UsageError> {
        // The presets and the defaults are the engine's.
        let parts = settings.replicas.anywhere(&settings.update).into_parts()?;
        let engine = parts.config.settings();
        self.set("replicas_to_aggregate", parts.config.replicas_to_aggregate());
        self.set("total_num_replicas", parts.config.total_num_replicas());
        let slow = settings.replicas.stragglers.iter();
        let slow: Vec<_> = slow.map(|(id, delay)| format!("{id}={}", delay.as_millis())).collect();
        self.set("straggler", if slow.is_empty() { json!(["none"]) } else { json!(slow) });
        self.set("deterministic", engine.order == SummationOrder::Replica);
        self.set("reference", settings.replicas.reference);
        self.set("token_policy", TOKEN_POLICIES.name(engine.token_policy));
        // Refused with the parts where they do not suffice.
        self.set("init_tokens", parts.config.initial_tokens(engine.initial_tokens).ok());
        self.set("sparse_mean", SPARSE_MEANS.name(parts.sparse_mean));
        self.set("non_finite", NON_FINITES.name(engine.non_finite));
        // Only where a batch is given to others.
        if engine.order == SummationOrder::Replica {
            self.set("failing_batch", FAILING_BATCHES.name(engine.failing_batch));
        }
        self.set("lease", engine.lease.map(duration));
        self.set(
            "step_timeout",
            match engine.step_timeout {
                StepTimeout::Automatic => "automatic".to_owned(),
                StepTimeout::Never => "none".to_owned(),
                StepTimeout::After(limit) => duration(limit),
            },
        );
        self.set("step_deadline", engine.step_deadline.map(duration));
        self.set("min_replicas", settings.replicas.min_replicas.unwrap_or(1));
        Ok(())
    }
}

/// In the options' form.
fn duration(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

/// For use from any folder.
fn path(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}
