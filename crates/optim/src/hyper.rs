//! What a hyper-parameter may be, and the error that says so.
//!
//! Every rule is one call that names the parameter; the comparison is written so that NaN fails it.

use std::marker::PhantomData;

use crate::Real;

/// A hyper-parameter has a value that its formula cannot take.
///
/// The message names the parameter's owner, the parameter, what is allowed, and what came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{owner}: {parameter} must be {allowed}, but {value} was given")]
#[non_exhaustive]
pub struct HyperParameterError {
    /// The optimizer, schedule or other formula that has the parameter.
    pub owner: &'static str,
    /// The parameter's name.
    pub parameter: &'static str,
    /// The accepted values, in words.
    pub allowed: &'static str,
    /// The given value.
    pub value: f64,
}

impl HyperParameterError {
    /// Refuses `value` unless `holds`; for the `validate` of your own optimizer.
    ///
    /// # Errors
    /// The error built from the arguments, when `holds` is false.
    ///
    /// # Examples
    /// ```
    /// use optim::HyperParameterError;
    ///
    /// let decay = 1.5;
    /// let error = HyperParameterError::unless(
    ///     (0.0..1.0).contains(&decay), "my optimizer", "decay", "in [0, 1)", decay,
    /// );
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "my optimizer: decay must be in [0, 1), but 1.5 was given",
    /// );
    /// ```
    pub fn unless(
        holds: bool,
        owner: &'static str,
        parameter: &'static str,
        allowed: &'static str,
        value: f64,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { owner, parameter, allowed, value }) }
    }
}

/// The checks of one owner, so that each rule below is one short line.
///
/// A number must fit the formula as given and as the formula will see it, rounded to `T`: 1e-46 is
/// above zero and 0 in `f32`, and 0.99999999 is below one and 1.
pub(crate) struct Checks<T> {
    owner: &'static str,
    number: PhantomData<T>,
}

impl<T: Real> Checks<T> {
    pub(crate) fn of(owner: &'static str) -> Self {
        Self { owner, number: PhantomData }
    }

    /// Refuses a value unless `holds` as given, and then unless `rounded` holds for it in `T`.
    fn check(
        &self,
        parameter: &'static str,
        value: f64,
        (holds, allowed): (bool, &'static str),
        (rounded, allowed_rounded): (impl Fn(T) -> bool, &'static str),
    ) -> Result<(), HyperParameterError> {
        HyperParameterError::unless(holds, self.owner, parameter, allowed, value)?;
        let fits = rounded(T::of(value));
        HyperParameterError::unless(fits, self.owner, parameter, allowed_rounded, value)
    }

    pub(crate) fn not_negative(
        &self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let given = (value >= 0.0 && value.is_finite(), "finite and not negative");
        let rounded = (T::is_finite, "finite also in the variables' number type");
        self.check(parameter, value, given, rounded)
    }

    pub(crate) fn not_positive(
        &self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let given = (value <= 0.0 && value.is_finite(), "finite and not above zero");
        let rounded = (T::is_finite, "finite also in the variables' number type");
        self.check(parameter, value, given, rounded)
    }

    pub(crate) fn positive(
        &self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let given = (value > 0.0 && value.is_finite(), "finite and above zero");
        let fits = |value: T| value > T::zero() && value.is_finite();
        self.check(
            parameter,
            value,
            given,
            (fits, "finite and above zero also in the variables' number type"),
        )
    }

    pub(crate) fn fraction(
        &self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let given = ((0.0..=1.0).contains(&value), "in [0, 1]");
        let fits = |rounded: T| value == 1.0 || rounded < T::one();
        self.check(
            parameter,
            value,
            given,
            (fits, "1, or below 1 also in the variables' number type"),
        )
    }

    pub(crate) fn fraction_below_one(
        &self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let given = ((0.0..1.0).contains(&value), "in [0, 1)");
        let fits = |rounded: T| rounded < T::one();
        self.check(parameter, value, given, (fits, "below 1 also in the variables' number type"))
    }

    pub(crate) fn at_least_one(
        &self,
        parameter: &'static str,
        value: u64,
    ) -> Result<(), HyperParameterError> {
        HyperParameterError::unless(value > 0, self.owner, parameter, "at least 1", value as f64)
    }
}
