//! Any bytes as a data file: refused with a reason that names the file, or split with no row lost.

use digits::data::Digits;

pub fn check(data: &[u8]) {
    match Digits::from_bytes(data, "digits.csv") {
        Ok(digits) => {
            let (train, test) = (digits.train.len(), digits.test.len());
            assert_eq!(test, (train + test) / 5);
            assert!(
                digits.train.pixels(&digits.train.all()).iter().all(|x| (0.0..=1.0).contains(x))
            );
            assert!(digits.test.labels(&digits.test.all()).iter().all(|&digit| digit < 10));
        }
        Err(error) => assert!(error.to_string().contains("digits.csv"), "{error}"),
    }
}
