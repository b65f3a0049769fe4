//! Any bytes as a file of rows: refused with a reason that names the file, or each row with a
//! target is either trained on or for the test, and an example can be made of it.

use std::collections::BTreeSet;

use tabular::data::{Choices, Content, DataError, Dataset, Part, Task, TestRows};

const NAME: &str = "rows.csv";

pub fn check(data: &[u8]) {
    if let Err(error) = read(data) {
        // Of choices it says which one.
        let names_it = matches!(error, DataError::Choice { .. });
        assert!(names_it || error.to_string().contains(NAME), "{error}");
    }
}

fn read(data: &[u8]) -> Result<(), DataError> {
    let content = Content::of_bytes(data, NAME)?;
    let mut records = content.records()?;
    let target = match records.columns() {
        columns if columns.iter().any(|column| column == "digit") => "digit".to_owned(),
        columns => columns[0].clone(),
    };
    let choices = Choices { target, ..Choices::default() };
    let it = Dataset::new(content.clone(), &choices, TestRows::OfTheFile)?;

    let (mut rows, mut record) = (0, csv::StringRecord::new());
    while records.next(&mut record)? {
        rows += 1;
    }
    let of = |part: &Part| part.rows().iter().copied().collect::<BTreeSet<u32>>();
    let (train, test) = (of(&it.train), of(&it.test));
    assert!(train.is_disjoint(&test));
    assert_eq!((train.len(), test.len()), (it.train.len(), it.test.len()));
    assert_eq!((train.len() + test.len()) as u64 + it.without_target, rows);
    assert!(train.union(&test).all(|row| u64::from(*row) < rows));

    for part in [&it.train, &it.test] {
        let examples = part.reader()?.examples(0..part.len())?;
        assert_eq!(examples.len(), part.len());
        assert_eq!(examples.numbers().ncols(), it.features.num_numbers());
        for target in examples.targets() {
            match &it.features.target.task {
                Task::Regression { .. } => assert!(!target.is_nan()),
                task => assert!((*target as usize) < task.classes().len()),
            }
        }
    }
    let examples = it.train.reader()?.examples(0..it.train.len())?;
    assert!(examples.numbers().iter().all(|number| number.is_finite()));
    Ok(())
}
