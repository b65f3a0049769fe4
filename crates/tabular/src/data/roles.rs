//! The role of each column, by the choices.

use super::choices::{Choice, Choices};
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
/// [`DataError::Choice`] when one names no column, or contradicts another.
pub(crate) fn roles(names: &Names<'_>, choices: &Choices) -> Result<(usize, Vec<Role>), DataError> {
    let target = names.chosen(Choice::Target, &choices.target)?;
    let of_target = |choice| {
        let got = format!("the target itself, {}", choices.target);
        DataError::of_choice(choice, "columns that the target is predicted from", got)
    };
    let mut roles = vec![Role::Numbers(Moments::default(), false); names.columns().len()];
    roles[target] = Role::Unused;
    // They could not be found again in another file.
    for (role, _) in roles.iter_mut().zip(names.columns()).filter(|(_, column)| column.is_empty()) {
        *role = Role::Unused;
    }
    for column in &choices.categorical {
        match names.chosen(Choice::Categorical, column)? {
            place if place == target => return Err(of_target(Choice::Categorical)),
            place => roles[place] = Role::Keys,
        }
    }
    for (place, cross) in choices.crosses.iter().enumerate() {
        if choices.crosses[..place].contains(cross) {
            let got = format!("{cross} twice");
            return Err(DataError::of_choice(Choice::Crosses, "each cross once", got));
        }
        for column in cross.columns() {
            if names.chosen(Choice::Crosses, column)? == target {
                return Err(of_target(Choice::Crosses));
            }
        }
    }
    for column in &choices.ignore {
        let place = names.chosen(Choice::Ignore, column)?;
        if matches!(roles[place], Role::Keys) {
            let expected = "columns that are not categorical";
            return Err(DataError::of_choice(Choice::Ignore, expected, column));
        }
        roles[place] = Role::Unused;
    }
    Ok((target, roles))
}
