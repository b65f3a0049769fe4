//! Walks over a module, which reach its parameters of floats by their paths: to read them, to
//! collect their gradients, to set them.
//!
//! Parameters of other kinds and flags are nobody's variables, and stay as the module was built.
//! Invariant: a parameter's name is the path of fields to it, joined by dots, as in burn's own
//! files; its `ParamId`, another one at every start, is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Element, Gradients as Store, Tensor, TensorData};
use ndarray::{ArrayD, ArrayViewD};
use sync_replicas::{Gradient, Gradients, Scalar, Variables, Work, hash_text};

use crate::BurnError;

/// What is trained: `f32` or `f64`.
pub trait Float: Scalar + Element {}

impl Float for f32 {}
impl Float for f64 {}

/// The values of a module's parameters, sorted by name.
///
/// With a seed, parameters that were not drawn yet are drawn here, each from a seed of its own: its
/// values depend on the seed, its name and its initialisation alone (P-14).
pub(crate) fn values<T: Float>(
    module: &impl Module,
    seed: Option<(u64, &Device)>,
) -> Result<BTreeMap<String, ArrayD<T>>, BurnError> {
    let mut arrays = BTreeMap::new();
    visit(module, &Read::Values(seed), |name, view| {
        arrays.extend(view.map(|view| (name, view.to_owned())));
    })?;
    Ok(arrays)
}

/// What a backward pass left for each parameter, dense or missing, in the order of names.
//
pub(crate) fn gradients<T: Float>(
    module: &impl Module,
    store: &Store,
    work: &Work<'_, T>,
) -> Result<Gradients<T>, BurnError> {
    let mut found = BTreeMap::new();
    visit(module, &Read::Gradients(store), |name, view| {
        let gradient =
            view.map_or(Gradient::Missing, |view| Gradient::Dense(work.buffer_of(&name, view)));
        found.insert(name, gradient);
    })?;
    let all = found.into_iter();
    Ok(all.fold(Gradients::new(), |all, (name, gradient)| all.with(name, gradient)))
}

/// What is read of each parameter.
enum Read<'a> {
    Values(Option<(u64, &'a Device)>),
    Gradients(&'a Store),
}

fn visit<T: Float>(
    module: &impl Module,
    read: &Read<'_>,
    mut take: impl FnMut(String, Option<ArrayViewD<'_, T>>),
) -> Result<(), BurnError> {
    let mut reader = Reader { path: Vec::new(), read, take: &mut take, outcome: Ok(()) };
    module.visit(&mut reader);
    reader.outcome
}

/// Takes the name and the numbers of a parameter, if it has some.
type Take<'a, T> = &'a mut dyn FnMut(String, Option<ArrayViewD<'_, T>>);

struct Reader<'a, T> {
    path: Vec<String>,
    read: &'a Read<'a>,
    take: Take<'a, T>,
    outcome: Result<(), BurnError>,
}

impl<T: Float> Reader<'_, T> {
    fn of_param<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Result<(), BurnError> {
        let name = self.path.join(".");
        let tensor = match self.read {
            Read::Gradients(store) => param.val().grad(store),
            Read::Values(seed) => {
                if let Some((seed, device)) = seed {
                    device.seed(hash_text(&format!("{seed} {name}")).cast_unsigned());
                }
                Some(param.val())
            }
        };
        let Some(tensor) = tensor else {
            (self.take)(name, None);
            return Ok(());
        };
        let (got, trained) = (tensor.dtype(), T::dtype());
        // Widening is exact.
        if got != trained && (got, trained) != (DType::F32, DType::F64) {
            return Err(BurnError::Number { name, got, trained });
        }
        let unread = |reason: String| BurnError::Read { name: name.clone(), reason };
        let data = tensor.try_into_data_as::<T>().map_err(|it| unread(it.to_string()))?;
        let numbers = data.as_slice::<T>().map_err(|it| unread(it.to_string()))?;
        let view = ArrayViewD::from_shape(data.shape().as_slice(), numbers);
        let view = view.map_err(|it| unread(it.to_string()))?;
        (self.take)(name.clone(), Some(view));
        Ok(())
    }
}

impl<T: Float> ModuleVisitor for Reader<'_, T> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.outcome.is_ok() {
            self.outcome = self.of_param(param);
        }
    }
}

/// The module with other values.
pub(crate) fn set<M: Module, T: Float>(module: M, values: &Variables<T>) -> Result<M, BurnError> {
    let mut setter = Setter { path: Vec::new(), values, set: BTreeSet::new(), difference: None };
    let module = module.map(&mut setter);
    let Setter { set, mut difference, .. } = setter;
    if let Some(left) = values.names().find(|name| !set.contains(*name)) {
        difference
            .get_or_insert(format!("`{left}` is trained, and the module has no such variable"));
    }
    match difference {
        Some(difference) => Err(BurnError::Variables { difference }),
        None => Ok(module),
    }
}

struct Setter<'a, T: Scalar> {
    path: Vec<String>,
    values: &'a Variables<T>,
    set: BTreeSet<String>,
    /// The first one.
    difference: Option<String>,
}

impl<T: Float> ModuleMapper for Setter<'_, T> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let Some(index) = self.values.index_of(&name).filter(|&it| it < self.values.len()) else {
            let unknown = || format!("the module has a variable `{name}`, which is not trained");
            self.difference.get_or_insert_with(unknown);
            return param;
        };
        let (array, shape) = (&self.values.arrays()[index], param.lazy_shape());
        self.set.insert(name.clone());
        if array.shape() != shape.as_slice() {
            let (expected, got) = (shape.as_slice(), array.shape());
            self.difference.get_or_insert_with(|| {
                format!("`{name}` has shape {expected:?} in the module and {got:?} in the training")
            });
            return param;
        }
        let data = TensorData::new(array.iter().copied().collect(), shape);
        param.map(|old| {
            let new = Tensor::from_data(data, (&old.device(), T::dtype()));
            new.set_require_grad(old.is_require_grad())
        })
    }
}
