//! Which rows are for the test: `day % 10 == 0`, or several such conditions joined by `and`.
//!
//! Not a language: a column, perhaps a remainder, a comparison, a value.

use std::fmt;
use std::str::FromStr;

use super::field::{is_missing, number};

/// All of its parts must hold of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    parts: Vec<Comparison>,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) column: String,
    /// The divisor of the value, if its remainder is compared.
    divisor: Option<f64>,
    operator: Operator,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Text(String),
}

/// Longer ones first, since a shorter one may be their beginning.
const OPERATORS: [(&str, Operator); 7] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

/// A text that is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected COLUMN == VALUE, also with != < <= > >=, with COLUMN % NUMBER, and several joined by \
     `and`, got {text:?}: {problem}"
)]
pub struct ConditionError {
    text: String,
    problem: String,
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let parts: Result<Vec<_>, String> =
            split_at_and(text).into_iter().map(comparison).collect();
        let parts = parts.map_err(|problem| ConditionError { text: text.to_owned(), problem })?;
        Ok(Self { parts, text: text.to_owned() })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// The columns that it names, each with what it compares.
    pub(crate) fn comparisons(&self) -> &[Comparison] {
        &self.parts
    }
}

impl Comparison {
    /// Whether it holds of a field; a missing number fulfils nothing.
    ///
    /// # Errors
    /// What was expected, if the field must be a number and is not.
    pub(crate) fn holds(&self, field: &str) -> Result<bool, &'static str> {
        let ordering = match &self.value {
            // As in keys, a missing text is the empty one.
            Value::Text(text) => (if is_missing(field) { "" } else { field }).cmp(text.as_str()),
            Value::Number(value) => {
                let Some(got) = number(field)? else { return Ok(false) };
                let got = self.divisor.map_or(got, |divisor| got.rem_euclid(divisor));
                // Of two zeros none is the smaller.
                (got + 0.0).total_cmp(&(value + 0.0))
            }
        };
        Ok(match self.operator {
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
        })
    }
}

/// The parts between the words `and` outside quotes.
fn split_at_and(text: &str) -> Vec<&str> {
    let (mut parts, mut begun, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if at >= begun && text[at..].starts_with(" and ") => {
                parts.push(&text[begun..at]);
                begun = at + " and ".len();
            }
            None => {}
        }
    }
    parts.push(&text[begun..]);
    parts
}

fn comparison(text: &str) -> Result<Comparison, String> {
    let name = quoted_first(text);
    let mut signs = text.char_indices().skip_while(|(at, _)| *at < name);
    let found = signs.find_map(|(at, _)| {
        let operator = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
        Some((at, operator))
    });
    let (at, (sign, operator)) = found.ok_or("there is no comparison in it")?;
    let (left, right) = (text[..at].trim(), text[at + sign.len()..].trim());
    let (column, divisor) = match left.rsplit_once('%') {
        // The sign of a quoted name.
        _ if unquoted(left).is_some() => (left, None),
        None => (left, None),
        Some((column, divisor)) => {
            let number =
                divisor.trim().parse::<f64>().ok().filter(|it| it.is_finite() && *it > 0.0);
            let expected = format!("{:?} is no number above 0", divisor.trim());
            (column.trim(), Some(number.ok_or(expected)?))
        }
    };
    let column = unquoted(column).unwrap_or(column).to_owned();
    if column.is_empty() {
        return Err(format!("no column stands before {sign}"));
    }
    let value = match (unquoted(right), right.parse::<f64>()) {
        (Some(text), _) => Value::Text(text.to_owned()),
        (None, Ok(number)) if number.is_finite() => Value::Number(number),
        (None, _) if right.is_empty() => return Err(format!("no value stands behind {sign}")),
        (None, _) => Value::Text(right.to_owned()),
    };
    let (order, is_text) = (
        !matches!(operator, Operator::Equal | Operator::NotEqual),
        matches!(value, Value::Text(_)),
    );
    if is_text && (divisor.is_some() || order) {
        let hint = if right.contains(" or ") { "; only `and` joins conditions" } else { "" };
        return Err(format!("{right} is no number{hint}"));
    }
    Ok(Comparison { column, divisor, operator: *operator, value })
}

/// Where a leading name in quotes ends; 0 if there is none.
fn quoted_first(text: &str) -> usize {
    let start = text.len() - text.trim_start().len();
    let quote = text[start..].chars().next().filter(|it| matches!(it, '\'' | '"'));
    let end = quote.and_then(|quote| text[start + 1..].find(quote));
    end.map_or(0, |end| start + 1 + end + 1)
}

fn unquoted(text: &str) -> Option<&str> {
    let of = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    of('\'').or_else(|| of('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_of_fields() {
        #[track_caller]
        fn check(text: &str, field: &str, expected: Result<bool, ()>) {
            let condition: Condition = text.parse().expect("is one");
            let held = condition.comparisons()[0].holds(field);
            assert_eq!(held.map_err(drop), expected, "{text} of {field}");
        }
        check("day % 10 == 0", "20", Ok(true));
        check("day % 10 == 0", "21", Ok(false));
        check("day%10==1", "21", Ok(true));
        check("day % 10 == 0", "", Ok(false));
        check("day % 10 != 0", "NA", Ok(false));
        check("day % 10 == 0", "x", Err(()));
        check("x % 3 == 2", "-1", Ok(true));
        check("year>=2013", "2013.0", Ok(true));
        check("year > 2013", "2013", Ok(false));
        check("year < 2013", "1e3", Ok(true));
        check("year <= 2013", "2014", Ok(false));
        check("part = test", "test", Ok(true));
        check("part == 'test'", "train", Ok(false));
        check("part != \"test\"", "train", Ok(true));
        check("code == '7'", "07", Ok(false));
        check("code == 7", "07", Ok(true));
        check("x % 10 == 0", "-20", Ok(true));
        check("x == 0", "-0", Ok(true));
        check("x < 0", "-0.0", Ok(false));
        check("x >= -0", "0", Ok(true));
    }

    #[test]
    fn several_are_joined_by_and() {
        let condition: Condition = "a == 'x and y' and b % 2 == 1".parse().expect("is one");
        let columns: Vec<_> = condition.comparisons().iter().map(|it| it.column.as_str()).collect();
        assert_eq!(columns, ["a", "b"]);
        assert_eq!(condition.comparisons()[0].holds("x and y"), Ok(true));
        assert_eq!(condition.to_string(), "a == 'x and y' and b % 2 == 1");
    }

    #[test]
    fn columns_of_any_name_stand_in_quotes() {
        #[track_caller]
        fn check(text: &str, column: &str) {
            let condition: Condition = text.parse().expect("is one");
            assert_eq!(condition.comparisons()[0].column, column, "{text}");
            assert_eq!(condition.comparisons()[0].holds("7"), Ok(true), "{text}");
        }
        check("'a<b' == 7", "a<b");
        check("\"load %\" > 5", "load %");
        check("'load %' % 4 == 3", "load %");
        check("'x = y and z' == 7 and n == 1", "x = y and z");
        check("driver's age > 5", "driver's age");
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        #[track_caller]
        fn check(text: &str, problem: &str) {
            let error = text.parse::<Condition>().expect_err("is none").to_string();
            assert!(error.contains(problem) && error.contains(text), "{error}");
        }
        check("day", "no comparison");
        check("", "no comparison");
        check("== 3", "no column");
        check("day ==", "no value");
        check("day % x == 0", "\"x\" is no number above 0");
        check("day % 0 == 0", "above 0");
        check("day % 2 == a", "a is no number");
        check("day < x", "x is no number");
        check("a == 1 and ", "no comparison");
    }
}
