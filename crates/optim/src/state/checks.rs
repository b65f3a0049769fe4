//! Checks before anything is kept: declared names, and shapes.

use super::{BuildError, STEP};
use crate::{MAX_SLOTS, ScalarSpec, SlotSpec};

/// Names must be unique and without a slash, so that `variable/slot` can mean only one thing.
pub(super) fn check_declarations(
    optimizer: &'static str,
    slots: &[SlotSpec],
    scalars: &[ScalarSpec],
) -> Result<(), BuildError> {
    if slots.len() > MAX_SLOTS {
        return Err(BuildError::TooManySlots { optimizer, actual: slots.len() });
    }
    let slot_names: Vec<_> = slots.iter().map(|slot| slot.name).collect();
    let scalar_names: Vec<_> =
        std::iter::once(STEP).chain(scalars.iter().map(|scalar| scalar.name)).collect();
    for names in [slot_names, scalar_names] {
        for (n, &name) in names.iter().enumerate() {
            if name.contains('/') || names[..n].contains(&name) {
                return Err(BuildError::Name { optimizer, name });
            }
        }
    }
    Ok(())
}

/// Whether an array of this shape could be allocated at all; ndarray panics on one that cannot.
pub(crate) fn is_countable<T>(shape: &[usize]) -> bool {
    let mut counted = shape.iter().filter(|&&n| n != 0);
    counted
        .try_fold(1_usize, |product, &n| product.checked_mul(n))
        .and_then(|n| n.checked_mul(size_of::<T>()))
        .is_some_and(|bytes| isize::try_from(bytes).is_ok())
}
