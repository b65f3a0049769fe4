//! What numbers, keys and targets are made of fields.

use sync_replicas::hash_text;

use super::*;

#[track_caller]
fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-5 * expected.abs().max(1.0), "{got}, not {expected}");
}

#[test]
fn numbers_are_standardised_over_the_rows_that_are_trained_on() {
    // Far from 0, where the mean of squares would lose all digits; the test rows lie elsewhere.
    let rows: String = (0..200)
        .map(|row| match row % 10 {
            9 => format!("-5e9,test,{}\n", row % 3),
            _ => format!("{},train,{}\n", 1e9 + f64::from(row % 7), row % 3),
        })
        .collect();
    let test_where = Some("part == test".parse().expect("is one"));
    let choices = Choices { test_where, ignore: names(["part"]), ..choices() };
    let it = dataset(format!("n,part,y\n{rows}"), &choices).expect("is well formed");
    let numbers = examples(&it.train);
    let numbers: Vec<f64> = numbers.numbers().column(0).iter().map(|x| f64::from(*x)).collect();
    let mean = |of: &dyn Fn(f64) -> f64| {
        numbers.iter().map(|x| of(*x)).sum::<f64>() / numbers.len() as f64
    };
    close(mean(&|x| x), 0.0);
    close(mean(&|x| x * x), 1.0);
    close(f64::from(examples(&it.test).numbers()[[0, 0]]), -6e9 / it.features.numbers[0].deviation);
}

#[test]
fn a_column_of_one_number_is_zero() {
    let rows: String = (0..20).map(|row| format!("0.1,{row},{}\n", row % 2)).collect();
    let it = dataset(format!("same,n,y\n{rows}"), &choices()).expect("is well formed");
    assert_eq!((it.features.numbers[0].mean, it.features.numbers[0].deviation), (0.1, 1.0));
    assert!(examples(&it.train).numbers().column(0).iter().all(|x| *x == 0.0));
}

#[test]
fn numbers_however_large_or_small_stay_numbers() {
    let rows: String = (0..20)
        .map(|row| format!("{}e38,{row}e-320,{}\n", [3.4, -3.4][row % 2], row / 2 % 2))
        .collect();
    let it = dataset(format!("large,small,y\n{rows}"), &choices()).expect("is well formed");
    for part in [&it.train, &it.test] {
        let examples = examples(part);
        assert!(examples.numbers().iter().all(|x| x.is_finite()), "{:?}", examples.numbers());
    }
}

#[test]
fn a_missing_number_is_the_mean_with_a_one_beside_it() {
    let text = plain().replace("\n4,", "\n,").replace("\n9,", "\nNA,");
    let it = dataset(text, &choices()).expect("is well formed");
    assert_eq!(it.features.num_numbers(), 2);
    let examples = examples(&it.train);
    for (row, numbers) in it.train.rows().iter().zip(examples.numbers().outer_iter()) {
        let is_missing = [4, 9].contains(row);
        assert_eq!(numbers[1], f32::from(u8::from(is_missing)), "row {row}");
        assert!(!is_missing || numbers[0] == 0.0, "row {row}");
    }
}

#[test]
fn keys_are_those_of_texts() {
    let text = plain().replace("\n4,up", "\n4,NA");
    let choices = Choices {
        categorical: names(["n"]),
        crosses: vec!["word*n".parse().expect("is one"), " n * word * n ".parse().expect("is one")],
        ..choices()
    };
    let it = dataset(text, &choices).expect("is well formed");
    assert_eq!(it.features.categories, ["n", "word"]);
    assert_eq!((it.features.num_numbers(), it.features.num_keys()), (0, 4));
    let keys = keys(&examples(&it.train), 4);
    for (row, keys) in it.train.rows().iter().zip(keys) {
        let word = match row {
            4 => "",
            _ => ["up", "down"][*row as usize / 2 % 2],
        };
        let expected = [
            format!("n={row}"),
            format!("word={word}"),
            format!("word*n={word}\u{1f}{row}"),
            format!("n*word*n={row}\u{1f}{word}\u{1f}{row}"),
        ];
        assert_eq!(keys, expected.map(|text| hash_text(&text)), "row {row}");
    }
}

#[test]
fn binned_numbers_are_keys_of_their_distance_from_the_mean() {
    let text = plain().replace("\n4,", "\n,").replace("\n19,", "\n1e6,");
    let crosses = vec!["word*n".parse().expect("is one")];
    let choices = Choices { bin_numbers: true, crosses, ..choices() };
    let it = dataset(text, &choices).expect("is well formed");
    let column = it.features.binned[0].clone();
    assert_eq!((column.name.as_str(), it.features.binned.len()), ("n", 1));
    assert_eq!(it.features.num_keys(), 3);
    for part in [&it.train, &it.test] {
        for (row, keys) in part.rows().iter().zip(keys(&examples(part), 3)) {
            let value = match row {
                4 => None,
                19 => Some(1e6),
                _ => Some(f64::from(*row)),
            };
            let bin = value
                .map(|value| ((value - column.mean) / column.deviation).round().clamp(-3.0, 3.0));
            let bin = bin.map_or_else(String::new, |bin| format!("{}", bin as i64));
            let word = ["up", "down"][*row as usize / 2 % 2];
            let own = value.map_or_else(String::new, |value| match row {
                19 => "1e6".to_owned(),
                _ => value.to_string(),
            });
            // A cross has the values themselves.
            let expected =
                [format!("word={word}"), format!("n={bin}"), format!("word*n={word}\u{1f}{own}")];
            assert_eq!(keys, expected.map(|text| hash_text(&text)), "row {row}");
        }
    }
}

#[test]
fn bins_are_from_minus_three_to_three() {
    let column = crate::data::NumberColumn {
        name: "n".to_owned(),
        mean: 10.0,
        deviation: 2.0,
        has_missing: false,
    };
    for (value, bin) in
        [(10.0, 0), (10.9, 0), (11.1, 1), (9.1, 0), (8.9, -1), (16.0, 3), (1e300, 3), (-1e300, -3)]
    {
        assert_eq!(column.bin(value), bin, "{value}");
    }
}

#[test]
fn what_a_column_is() {
    #[track_caller]
    fn check(values: &[&str], change: impl FnOnce(&mut Choices), expected: &str) {
        let rows: String =
            (0..20).map(|row| format!("{},1,{}\n", values[row % values.len()], row % 2)).collect();
        let mut choices = choices();
        change(&mut choices);
        let it = dataset(format!("x,other,y\n{rows}"), &choices).expect("is well formed");
        let is_number = it.features.numbers.iter().any(|it| it.name == "x");
        let is_key = it.features.categories.iter().any(|it| it == "x");
        let got = match (is_number, is_key) {
            (true, false) => "numbers",
            (false, true) => "keys",
            _ => "neither",
        };
        assert_eq!(got, expected, "{values:?}");
    }
    let same = |_: &mut Choices| {};
    check(&["1", "-2.5", ".5", "1e3"], same, "numbers");
    check(&["1", "", "NA"], same, "numbers");
    check(&["", "NA"], same, "numbers");
    check(&["a", ""], same, "keys");
    check(&["1", "a"], same, "keys");
    check(&["2013-01-01"], same, "keys");
    check(&["1"], |it| it.categorical = names(["x"]), "keys");
    check(&["1"], |it| it.ignore = names(["x"]), "neither");
    check(&["a"], |it| it.ignore = names(["x"]), "neither");
    let crossed = |it: &mut Choices| {
        it.ignore = names(["x"]);
        it.crosses = vec!["x*other".parse().expect("is one")];
    };
    check(&["a"], crossed, "neither");
}

#[test]
fn what_is_learned() {
    #[track_caller]
    fn check(value: impl Fn(u32) -> String, asked: Option<TaskKind>, expected: TaskKind) {
        let rows: String = (0..3000).map(|row| format!("{row},{}\n", value(row))).collect();
        let choices = Choices { task: asked, ..choices() };
        let it = dataset(format!("n,y\n{rows}"), &choices).expect("is well formed");
        let task = &it.features.target.task;
        assert_eq!(task.kind(), expected);
        let targets = examples(&it.train);
        for (row, target) in it.train.rows().iter().zip(targets.targets()) {
            match task {
                Task::Regression { mean, deviation } => {
                    let expected: f64 = value(*row).parse().expect("is a number");
                    close(f64::from(*target), (expected - mean) / deviation);
                }
                task => assert_eq!(task.classes()[*target as usize].value, value(*row)),
            }
        }
        // Rates are those of the rows that are trained on.
        for class in task.classes() {
            let own = it.train.rows().iter().filter(|row| value(**row) == class.value).count();
            close(class.rate, own as f64 / it.train.len() as f64);
        }
    }
    use TaskKind::{Binary, Classes, Regression};
    check(|row| ["no", "yes"][row as usize % 2].to_owned(), None, Binary);
    check(|row| ["0", "1.5"][row as usize % 2].to_owned(), None, Binary);
    check(|row| (row % 3).to_string(), None, Classes);
    check(|row| (row % 20).to_string(), None, Classes);
    check(|row| (row % 21).to_string(), None, Regression);
    check(|row| (row % 21).to_string(), Some(Classes), Classes);
    check(|row| (row % 3).to_string(), Some(Regression), Regression);
    check(|row| ["0.5", "1", "2"][row as usize % 3].to_owned(), None, Regression);
    check(|row| ["0.5", "1", "2"][row as usize % 3].to_owned(), Some(Classes), Classes);
    check(|row| format!("name {}", row % 1000), None, Classes);
    check(|row| (row % 2).to_string(), Some(Classes), Classes);
    check(|row| (row % 2).to_string(), Some(Regression), Regression);
    check(|row| row.to_string(), None, Regression);
}

#[test]
fn classes_of_numbers_are_in_the_order_of_their_size() {
    let order = |values: &[&str]| -> Vec<String> {
        let value = |row: usize| values[row % values.len()];
        let rows: String = (0..60).map(|row| format!("{row},{}\n", value(row))).collect();
        let choices = Choices { task: Some(TaskKind::Classes), ..choices() };
        let it = dataset(format!("n,y\n{rows}"), &choices).expect("is well formed");
        it.features.target.task.classes().iter().map(|class| class.value.clone()).collect()
    };
    assert_eq!(order(&["10", "9", "-1", "2.5"]), ["-1", "2.5", "9", "10"]);
    assert_eq!(order(&["10", "9", "b", "a"]), ["10", "9", "a", "b"]);
}
