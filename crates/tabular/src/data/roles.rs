//! The role of each column, by the choices.

use super::choices::Choices;
use super::error::DataError;
use super::moments::Moments;
use super::names::Names;

/// The role of a column.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It has numbers, as far as there are values, and perhaps rows to train on that have none.
    Numbers(Moments, bool),
    /// Its values are keys.
    Keys,
    /// It is not learned from by itself.
    Unused,
}

/// The place of the target, and the role of every column; columns without a choice may be numbers.
///
/// # Errors
/// [`DataError::NoColumn`]; [`DataError::Choice`] when choices contradict each other.
pub(crate) fn roles(names: &Names<'_>, choices: &Choices) -> Result<(usize, Vec<Role>), DataError> {
    let target = names.find("--target", &choices.target)?;
    let of_target = |option: &'static str| DataError::Choice {
        option,
        expected: "columns that the target is predicted from".to_owned(),
        got: format!("the target itself, {}", choices.target),
    };
    let mut roles = vec![Role::Numbers(Moments::default(), false); names.columns().len()];
    roles[target] = Role::Unused;
    // They could not be found again in another file.
    for (role, _) in roles.iter_mut().zip(names.columns()).filter(|(_, column)| column.is_empty()) {
        *role = Role::Unused;
    }
    for column in &choices.categorical {
        match names.find("--categorical", column)? {
            place if place == target => return Err(of_target("--categorical")),
            place => roles[place] = Role::Keys,
        }
    }
    for (place, cross) in choices.crosses.iter().enumerate() {
        if choices.crosses[..place].contains(cross) {
            return Err(DataError::Choice {
                option: "--cross",
                expected: "each cross once".to_owned(),
                got: format!("{cross} twice"),
            });
        }
        for column in &cross.0 {
            if names.find("--cross", column)? == target {
                return Err(of_target("--cross"));
            }
        }
    }
    for column in &choices.ignore {
        let place = names.find("--ignore", column)?;
        if matches!(roles[place], Role::Keys) {
            return Err(DataError::Choice {
                option: "--ignore",
                expected: "columns that --categorical does not name".to_owned(),
                got: column.clone(),
            });
        }
        roles[place] = Role::Unused;
    }
    Ok((target, roles))
}
