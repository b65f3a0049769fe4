//! What a hyper-parameter may be, and the error that says so.
//!
//! Every rule is one call that names the parameter; the comparison is written so that NaN fails it.

/// A hyper-parameter has a value that its formula cannot take.
///
/// The message names who owns the parameter, the parameter, what is allowed, and what came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{owner}: {parameter} must be {allowed}, but {value} was given")]
#[non_exhaustive]
pub struct HyperParameterError {
    /// The optimizer, schedule or other formula that has the parameter.
    pub owner: &'static str,
    /// The parameter's name.
    pub parameter: &'static str,
    /// What would have been accepted, in words.
    pub allowed: &'static str,
    /// What was given.
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
#[derive(Clone, Copy)]
pub(crate) struct Checks(pub(crate) &'static str);

impl Checks {
    pub(crate) fn not_negative(
        self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let holds = value >= 0.0 && value.is_finite();
        HyperParameterError::unless(holds, self.0, parameter, "finite and not negative", value)
    }

    pub(crate) fn positive(
        self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let holds = value > 0.0 && value.is_finite();
        HyperParameterError::unless(holds, self.0, parameter, "finite and above zero", value)
    }

    pub(crate) fn fraction(
        self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let holds = (0.0..=1.0).contains(&value);
        HyperParameterError::unless(holds, self.0, parameter, "in [0, 1]", value)
    }

    pub(crate) fn fraction_below_one(
        self,
        parameter: &'static str,
        value: f64,
    ) -> Result<(), HyperParameterError> {
        let holds = (0.0..1.0).contains(&value);
        HyperParameterError::unless(holds, self.0, parameter, "in [0, 1)", value)
    }

    pub(crate) fn at_least_one(
        self,
        parameter: &'static str,
        value: u64,
    ) -> Result<(), HyperParameterError> {
        HyperParameterError::unless(value > 0, self.0, parameter, "at least 1", value as f64)
    }
}
