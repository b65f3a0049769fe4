//! What a program trains, as plain data: enough for a parameter server without its own program to
//! serve it.
//!
//! It is made of a description, travels in every hello as the items that all must agree on, and is
//! read back by a server that was started without a program. Invariant: a server made from a
//! definition agrees with the program that it came from, item by item.

use std::any::type_name;

use indexmap::IndexMap;
use optim::{BuiltIn, HyperParameterError, Optimizer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sync_replicas::driver::{Parts, printable};
use sync_replicas::engine::{ConfigError, Settings};
use sync_replicas::error::TableError;
use sync_replicas::options::{SparseMean, SparseMerge};
use sync_replicas::store::TableSetupError;
use sync_replicas::{Scalar, Table, Variables};

use crate::number_format::NumberFormat;
use crate::placement::Placement;
use crate::proto::Item;

/// Everything about a training that all its processes share (P-26).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// That of the variables: `f32` or `f64`.
    pub(crate) number_type: String,
    pub(crate) wire: NumberFormat,
    pub(crate) parameter_servers: usize,
    pub(crate) optimizer: Formula,
    pub(crate) moving_average: Option<f64>,
    pub(crate) variables_to_average: Option<Vec<String>>,
    pub(crate) sparse_mean: SparseMean,
    pub(crate) sparse_merge: SparseMerge,
    #[serde(flatten)]
    pub(crate) settings: Settings,
    /// Shapes by name, in the order of the program.
    pub(crate) variables: IndexMap<String, Vec<usize>>,
    /// After them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tables: Vec<Table>,
}

/// An optimizer, as far as it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Formula {
    /// One of the crate `optim`'s, with its schedule and all other numbers.
    BuiltIn(BuiltIn),
    /// The program's own, by its `Debug` text: for comparison only, since it cannot be made from
    /// that.
    Own(String),
}

/// What a server without a program can serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Its index.
    pub(crate) server: usize,
    /// How many there are.
    pub(crate) servers: usize,
    /// How many replicas.
    pub(crate) replicas: usize,
    /// The most bytes that it may need.
    pub(crate) max_memory: u64,
}

/// Why a server without a program does not serve one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// No definition, or one of another version.
    #[error("the program's definition is invalid: {0}; do both run the same version?")]
    Nonsense(#[from] serde_json::Error),
    /// An optimizer that is code of the program's.
    #[error(
        "the optimizer {0} is the program's own; start servers of that program, which TF_CONFIG \
         places"
    )]
    OwnOptimizer(String),
    /// A number type that no server has.
    #[error("variables of {0}; a server has f32 or f64")]
    NumberType(String),
    /// A wire that does not fit the number type.
    #[error("bf16 on the wire is for variables of f32; these are of {0}")]
    NumberFormat(String),
    /// Nothing to train.
    #[error("the program has no variables")]
    NoVariables,
    /// Another cluster than this one.
    #[error("the program is for {got} {what}, and the cluster has {expected}")]
    Counts {
        /// The item counted.
        what: &'static str,
        /// How many there are.
        expected: usize,
        /// How many the program is for.
        got: usize,
    },
    /// More memory than it may have (P-27).
    #[error(
        "it needs about {needed} MB of memory, and may have {allowed} MB; allow more with \
         --max-memory, or start more parameter servers"
    )]
    Memory {
        /// Megabytes that a server would need.
        needed: u128,
        /// Megabytes that it may have.
        allowed: u64,
    },
    /// Settings that do not fit together.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// An invalid table.
    #[error(transparent)]
    Declaration(#[from] TableError),
    /// A table that cannot be trained this way.
    #[error(transparent)]
    Table(#[from] TableSetupError),
    /// A number that the optimizer does not accept.
    #[error(transparent)]
    Optimizer(#[from] HyperParameterError),
}

impl Definition {
    pub(crate) fn of<T: Scalar, O: Optimizer<T>>(
        parts: &Parts<O>,
        placement: &Placement,
        wire: NumberFormat,
    ) -> Self {
        let own = || Formula::Own(format!("{:?}", parts.optimizer));
        let total_num_replicas = Some(parts.config.total_num_replicas());
        Self {
            number_type: type_name::<T>().to_owned(),
            wire,
            parameter_servers: placement.shards(),
            optimizer: parts.optimizer.built_in().map_or_else(own, Formula::BuiltIn),
            moving_average: parts.moving_average,
            variables_to_average: parts.variables_to_average.clone(),
            sparse_mean: parts.sparse_mean,
            sparse_merge: parts.sparse_merge,
            settings: Settings { total_num_replicas, ..parts.config.settings().clone() },
            variables: placement.variables().iter().cloned().collect(),
            tables: placement.tables().to_vec(),
        }
    }

    /// Its fields as items, each in JSON.
    pub(crate) fn items(&self) -> Vec<Item> {
        // Neither fails: it is plain data with text for keys.
        let json = serde_json::to_string(self).unwrap_or_default();
        let fields: IndexMap<String, Box<RawValue>> =
            serde_json::from_str(&json).unwrap_or_default();
        let item = |(name, value): (String, Box<RawValue>)| {
            let value = value.get().to_owned();
            Item { name, value, defines: true }
        };
        fields.into_iter().map(item).collect()
    }

    /// Reads it back from items; items that define nothing are the program's own affair.
    pub(crate) fn parse(items: &[Item]) -> Result<Self, DefinitionError> {
        let defining = items.iter().filter(|item| item.defines);
        let field = |item: &Item| {
            let value = RawValue::from_string(item.value.clone())?;
            Ok((item.name.clone(), value))
        };
        let fields: Result<IndexMap<String, Box<RawValue>>, serde_json::Error> =
            defining.map(field).collect();
        let json = serde_json::to_string(&fields?)?;
        Ok(serde_json::from_str(&json)?)
    }

    /// Whether a server within these limits can serve it.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), DefinitionError> {
        self.settings.clone().check()?;
        let replicas = self.settings.total_num_replicas.unwrap_or_default();
        for (what, expected, got) in [
            ("parameter servers", limits.servers, self.parameter_servers),
            ("replicas", limits.replicas, replicas),
        ] {
            if expected != got {
                return Err(DefinitionError::Counts { what, expected, got });
            }
        }
        if self.variables.is_empty() && self.tables.is_empty() {
            return Err(DefinitionError::NoVariables);
        }
        self.tables.iter().try_for_each(Table::check)?;
        TableSetupError::check(&self.tables, self.settings.admission)?;
        match self.number_type.as_str() {
            "f32" => self.check_numbers::<f32>(limits),
            "f64" => self.check_numbers::<f64>(limits),
            other => Err(DefinitionError::NumberType(printable(other).into_owned())),
        }
    }

    fn check_numbers<T: Scalar>(&self, limits: &Limits) -> Result<(), DefinitionError> {
        let formula = match &self.optimizer {
            Formula::BuiltIn(formula) => formula,
            Formula::Own(words) => {
                let words = printable(words).chars().take(100).collect();
                return Err(DefinitionError::OwnOptimizer(words));
            }
        };
        Optimizer::<T>::validate(formula)?;
        for table in &self.tables {
            optim::check_table::<T>(formula, table.name()).map_err(TableSetupError::from)?;
        }
        if !self.wire.fits::<T>() {
            return Err(DefinitionError::NumberFormat(self.number_type.clone()));
        }
        let slots = Optimizer::<T>::slots(formula).len();
        let needed = self.memory(size_of::<T>(), slots, limits);
        if needed > limits.max_memory.into() {
            let (needed, allowed) = (needed.div_ceil(1_000_000), limits.max_memory / 1_000_000);
            return Err(DefinitionError::Memory { needed, allowed });
        }
        Ok(())
    }

    /// About the bytes that a server needs: values, the two arrays that follow them, the sum, slots
    /// and averages of its part, and contributions on their way; number 0 also holds the
    /// whole state once, for checkpoints.
    fn memory(&self, element: usize, slots: usize, limits: &Limits) -> u128 {
        let elements = |shape: &Vec<usize>| {
            shape.iter().fold(1_u128, |all, &length| all.saturating_mul(length as u128))
        };
        let all: u128 = self.variables.values().map(elements).fold(0, u128::saturating_add);
        let all = all.saturating_mul(element as u128);
        let kept = 1 + slots as u128 + u128::from(self.moving_average.is_some());
        let own = all.div_ceil(limits.servers.max(1) as u128);
        let on_the_way = 3 + limits.replicas.min(4) as u128;
        let gathered = if limits.server == 0 { all.saturating_mul(kept) } else { 0 };
        own.saturating_mul(kept + on_the_way).saturating_add(gathered)
    }

    /// Where all its variables' rows are.
    pub(crate) fn placement<T>(&self) -> Placement {
        let shapes: Vec<_> = self.variables.iter().collect();
        placement::<T, _, _>(&shapes, self.sparse_merge, self.parameter_servers)
            .with_tables(&self.tables)
    }
}

/// Where the rows of variables are, on so many servers.
pub(crate) fn placement<T, N: AsRef<str>, S: AsRef<[usize]>>(
    shapes: &[(N, S)],
    merge: SparseMerge,
    servers: usize,
) -> Placement {
    match merge {
        // It looks at a gradient's rows in the order in which they come, so it needs all.
        SparseMerge::Reference => Placement::whole(shapes, size_of::<T>(), servers),
        _ => Placement::new(shapes, size_of::<T>(), servers),
    }
}

/// The shapes of variables by name.
pub(crate) fn shapes<T: Scalar>(variables: &Variables<T>) -> Vec<(&str, &[usize])> {
    variables.iter().map(|(name, array)| (name, array.shape())).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use optim::{Adam, HyperParameterError, Momentum, Schedule, Step, Tile};
    use sync_replicas::SyncReplicas;
    use sync_replicas::options::{StepTimeout, SummationOrder};

    use super::*;

    const LIMITS: Limits = Limits { server: 0, servers: 2, replicas: 3, max_memory: 1 << 30 };

    fn described<O>(optimizer: O) -> SyncReplicas<O> {
        SyncReplicas::new(optimizer).replicas_to_aggregate(2).total_num_replicas(3)
    }

    fn definition<T: Scalar, O: Optimizer<T>>(described: SyncReplicas<O>) -> Definition {
        let parts = described.into_parts().expect("it fits");
        let variables = Variables::<T>::new()
            .with("z", Array2::from_elem((4, 3), T::of(0.5)))
            .and_then(|it| it.with("a/b", Array1::from_elem(5, T::of(0.1))))
            .expect("names of their own");
        let placement = placement::<T, _, _>(&shapes(&variables), parts.sparse_merge, 2);
        Definition::of::<T, O>(&parts, &placement, NumberFormat::Native)
    }

    /// A server made from a definition agrees with the program that it came from (P-26).
    #[test]
    fn what_is_read_back_is_what_was_written() {
        #[track_caller]
        fn check<T: Scalar, O: Optimizer<T>>(described: SyncReplicas<O>) {
            let written = definition::<T, O>(described);
            let read = Definition::parse(&written.items()).expect("it reads what it wrote");
            assert_eq!(read, written);
            assert_eq!(read.items(), written.items());
            let names: Vec<_> = read.variables.keys().map(String::as_str).collect();
            assert_eq!(names, ["z", "a/b"], "in the order of the program");
        }
        let schedule: Schedule =
            "warm-up:steps=3,then=cosine:initial=0.1,steps=9".parse().expect("a schedule");
        check::<f32, _>(described(Adam::new(schedule).beta1(1.0 / 3.0)));
        check::<f64, _>(described(Momentum::new(0.1, 0.9)).reference());
        check::<f64, _>(
            described(Box::new(Momentum::new(1e-300, 0.9)) as Box<dyn Optimizer<f64>>)
                .order(SummationOrder::Replica)
                .moving_average(0.999)
                .variables_to_average(["z"])
                .step_timeout(StepTimeout::After(std::time::Duration::from_millis(1_500))),
        );
        check::<f32, _>(described(Own(0.1.into())));
    }

    #[derive(Debug)]
    struct Own(Schedule);

    impl<T: optim::Real> Optimizer<T> for Own {
        fn name(&self) -> &'static str {
            "own"
        }

        fn learning_rate(&self) -> &Schedule {
            &self.0
        }

        fn validate(&self) -> Result<(), HyperParameterError> {
            Ok(())
        }

        fn update(&self, _: &Step<'_>, _: Tile<'_, T>) {}
    }

    /// P-27: an excessive request to serve is refused before it takes memory.
    #[test]
    fn what_a_server_cannot_serve_is_refused() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut Definition, &mut Limits), expected: &str) {
            let (mut definition, mut limits) =
                (definition::<f32, _>(described(Adam::new(0.1))), LIMITS);
            change(&mut definition, &mut limits);
            let refused = definition.check(&limits).err().map(|error| error.to_string());
            let words = refused.unwrap_or_default();
            assert_eq!(words.is_empty(), expected.is_empty(), "{words}");
            assert!(words.contains(expected), "{words}");
        }
        check(|_, _| {}, "");
        check(|it, _| it.number_type = "f16".to_owned(), "variables of f16");
        check(
            |it, _| it.parameter_servers = usize::MAX,
            "parameter servers, and the cluster has 2",
        );
        check(|_, limits| limits.replicas = 4, "3 replicas, and the cluster has 4");
        check(|it, _| it.variables.clear(), "no variables");
        check(|it, _| it.optimizer = Formula::Own("\u{1b}Mine".to_owned()), "\\u{1b}Mine is the");
        check(|it, _| it.optimizer = Formula::BuiltIn(Adam::new(-1.0).into()), "learning rate");
        check(|it, _| it.settings.replicas_to_aggregate = 0, "replicas_to_aggregate is 0");
        check(|_, limits| limits.max_memory = 100, "--max-memory");
        let huge = |it: &mut Definition, _: &mut Limits| {
            it.variables.insert("w".to_owned(), vec![usize::MAX; 4]);
        };
        check(huge, "--max-memory");
        check(
            |it, _| {
                it.number_type = "f64".to_owned();
                it.wire = NumberFormat::Bf16;
            },
            "bf16",
        );
    }

    #[test]
    fn nonsense_is_no_definition() {
        let items = definition::<f32, _>(described(Adam::new(0.1))).items();
        for place in 0..items.len() {
            let mut broken = items.clone();
            broken[place].value = "{\"x\":".to_owned();
            assert!(Definition::parse(&broken).is_err(), "{}", items[place].name);
            let mut less = items.clone();
            let name = less.remove(place).name;
            let optional = [
                "moving_average",
                "variables_to_average",
                "total_num_replicas",
                "lease",
                "step_deadline",
            ];
            let stays = Definition::parse(&less).is_ok();
            assert_eq!(stays, optional.contains(&name.as_str()), "without {name}");
        }
    }
}
