//! A model's variables: named arrays in a fixed order, cheap to clone, copied only when written.
//!
//! Holds values alone. Optimizer slots live in the optimizer, gradients in
//! [`Gradients`](crate::Gradients).

use std::sync::Arc;

use embedding_table::Table;
use ndarray::{Array, ArrayD, ArrayView1, ArrayView2, Dimension, Ix1, Ix2};

use crate::VariableError;
use crate::layout::Layout;

/// Named arrays, in the order in which they were added.
///
/// A clone shares the arrays: it is a consistent snapshot for as long as it lives, since an update
/// first copies an array that has another holder (P-11).
///
/// # Examples
/// ```
/// use ndarray::{Array1, Array2};
/// use sync_replicas::Variables;
///
/// let variables = Variables::<f32>::new()
///     .with("w", Array2::zeros((64, 10)))?
///     .with("b", Array1::zeros(10))?;
/// assert_eq!(variables.matrix("w")?.dim(), (64, 10));
/// assert!(variables.vector("bias").is_err());
/// # Ok::<(), sync_replicas::error::VariableError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Variables<T> {
    layout: Layout,
    arrays: Vec<Arc<ArrayD<T>>>,
}

impl<T> Default for Variables<T> {
    fn default() -> Self {
        Self { layout: Layout::default(), arrays: Vec::new() }
    }
}

impl<T: Clone> Variables<T> {
    /// No variables yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable of any shape at the end.
    ///
    /// # Errors
    /// [`VariableError::Twice`] when the name is taken.
    pub fn with<D: Dimension>(
        mut self,
        name: impl Into<String>,
        value: Array<T, D>,
    ) -> Result<Self, VariableError> {
        let name = name.into();
        if !self.layout.add(&name, value.shape()) {
            return Err(VariableError::Twice { name });
        }
        // Updates walk contiguous memory; a transposed or sliced initial value is laid out once.
        self.arrays.push(Arc::new(value.into_dyn().as_standard_layout().into_owned()));
        Ok(self)
    }

    /// Adds a table: a variable whose rows are found by key, born from a seed, and never copied as
    /// a whole. Tables come after the arrays in all orders.
    ///
    /// # Errors
    /// [`VariableError::Twice`] when the name is taken; [`VariableError::Declaration`].
    ///
    /// # Examples
    /// ```
    /// use sync_replicas::{Table, Variables};
    ///
    /// let variables = Variables::<f32>::new()
    ///     .with_table(Table::new("users", 64).normal(0.0, 0.01).admit_after(3))?
    ///     .with("w", ndarray::Array1::zeros(64))?;
    /// assert_eq!((variables.len(), variables.tables().len()), (1, 1));
    /// # Ok::<(), sync_replicas::error::VariableError>(())
    /// ```
    // P-17
    pub fn with_table(mut self, table: Table) -> Result<Self, VariableError> {
        table.check()?;
        let name = table.name().to_owned();
        if !self.layout.add_table(table) {
            return Err(VariableError::Twice { name });
        }
        Ok(self)
    }

    /// The same arrays as variables of this layout, whose arrays they fit.
    pub(crate) fn under(self, layout: &Layout) -> Self {
        Self { layout: layout.clone(), ..self }
    }

    /// The name of a variable, and its array, which a snapshot may share.
    pub(crate) fn named_mut(&mut self, index: usize) -> (&str, &mut Arc<ArrayD<T>>) {
        (self.layout.name(index), &mut self.arrays[index])
    }

    /// The array of a variable, by its place in the order, for writing; copied first if a clone
    /// still shares it.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn get_mut(&mut self, index: usize) -> &mut ArrayD<T> {
        Arc::make_mut(&mut self.arrays[index])
    }

    /// Whether a clone still shares the array of a variable.
    ///
    /// # Panics
    /// When there is no such place.
    #[must_use]
    pub fn is_shared(&mut self, index: usize) -> bool {
        Arc::get_mut(&mut self.arrays[index]).is_none()
    }

    /// Puts another array of the same shape in a variable's place; returns the previous one.
    ///
    /// # Panics
    /// When there is no such place, or the shape differs.
    pub fn replace(&mut self, index: usize, array: Arc<ArrayD<T>>) -> Arc<ArrayD<T>> {
        let place = &mut self.arrays[index];
        assert_eq!(array.shape(), place.shape(), "a variable keeps its shape");
        std::mem::replace(place, array)
    }
}

impl<T> Variables<T> {
    /// The number of arrays; tables have none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// The tables, in the order in which they were added.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        self.layout.tables()
    }

    /// The number of parameters: all elements of all variables.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.arrays.iter().map(|array| array.len()).sum()
    }

    /// The names of the arrays, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.layout.names().take(self.arrays.len())
    }

    /// Names and arrays, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &ArrayD<T>)> {
        self.names().zip(self.arrays.iter().map(Arc::as_ref))
    }

    /// The arrays, in order, which a snapshot may share.
    #[must_use]
    pub fn arrays(&self) -> &[Arc<ArrayD<T>>] {
        &self.arrays
    }

    /// The place of a variable in the order.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.layout.index_of(name)
    }

    /// Names and shapes alone.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// SHA-256 over names, shapes and little-endian values, in order: equal only for bit-identical
    /// variables.
    #[must_use]
    pub fn sha256(&self) -> String
    where
        T: crate::stored::Stored,
    {
        let mut bytes = Vec::new();
        for (name, array) in self.iter() {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0);
            for &length in array.shape() {
                bytes.extend_from_slice(&(length as u64).to_le_bytes());
            }
            array.iter().for_each(|&number| number.put(&mut bytes));
        }
        crate::checksum::sha256_hex(&bytes)
    }

    /// A variable by name.
    ///
    /// # Errors
    /// [`VariableError::Unknown`] names those that exist; [`VariableError::Table`] has no array.
    pub fn get(&self, name: &str) -> Result<&ArrayD<T>, VariableError> {
        match self.index_of(name) {
            Some(index) if index < self.arrays.len() => Ok(&self.arrays[index]),
            Some(_) => Err(VariableError::Table { name: name.to_owned() }),
            None => {
                Err(VariableError::Unknown { name: name.to_owned(), known: self.layout.known() })
            }
        }
    }

    /// A variable of shape *rows* x *columns*.
    ///
    /// # Errors
    /// [`VariableError::Unknown`]; [`VariableError::Dimensions`] when it is not a matrix.
    pub fn matrix(&self, name: &str) -> Result<ArrayView2<'_, T>, VariableError> {
        let array = self.get(name)?;
        array.view().into_dimensionality::<Ix2>().map_err(|_| dimensions(name, 2, array))
    }

    /// A variable of shape *n*.
    ///
    /// # Errors
    /// [`VariableError::Unknown`]; [`VariableError::Dimensions`] when it is not a vector.
    pub fn vector(&self, name: &str) -> Result<ArrayView1<'_, T>, VariableError> {
        let array = self.get(name)?;
        array.view().into_dimensionality::<Ix1>().map_err(|_| dimensions(name, 1, array))
    }
}

fn dimensions<T>(name: &str, expected: usize, array: &ArrayD<T>) -> VariableError {
    VariableError::Dimensions { name: name.to_owned(), expected, got: array.shape().to_vec() }
}
