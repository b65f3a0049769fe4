//! Random histories beside the plain model, by any number of stores.

use embedding_table::test_util::History;
use proptest::prelude::*;

proptest! {
    /// P-17: rows are those of the model, however many stores there are, also after a save that
    /// was under way during other steps and was restored onto another number of them.
    #[test]
    fn rows_are_those_of_the_model(history in History::up_to(24)) {
        history.check();
    }
}
