//! One field of a row: whether it has a value, and which number.

/// Texts that mean a missing value, besides the empty one.
const MISSING: [&str; 7] = ["NA", "N/A", "NaN", "nan", "null", "NULL", "None"];

/// Whether a field has no value.
pub(crate) fn is_missing(field: &str) -> bool {
    field.is_empty() || MISSING.contains(&field)
}

/// The number of a field; none if it is missing.
///
/// # Errors
/// What was expected, if it is neither.
pub(crate) fn number(field: &str) -> Result<Option<f64>, &'static str> {
    if is_missing(field) {
        return Ok(None);
    }
    // Models compute in `f32`, and the mean of larger ones may overflow.
    let number = field.parse::<f64>().ok().filter(|it| it.abs() <= f64::from(f32::MAX));
    number.map(Some).ok_or("a number, or nothing where there is none")
}
