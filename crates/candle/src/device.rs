//! Devices by name, for a program's options.

use candle_core::Device;

use crate::CandleError;

/// The device of this name: `cpu`, `cuda`, `cuda:1`, `metal`, `metal:1`.
///
/// Devices other than the CPU need this crate's features `cuda` and `metal`.
///
/// # Errors
/// [`CandleError::Device`] when it is not there, was not built in, or has no such name.
///
/// # Examples
/// ```
/// use sync_replicas_candle::device;
///
/// assert!(device("cpu")?.is_cpu());
/// let error = device("tpu").expect_err("candle has no such device").to_string();
/// assert!(error.ends_with("Expected `cpu`, `cuda`, `cuda:N`, `metal` or `metal:N`"), "{error}");
/// # Ok::<(), sync_replicas_candle::CandleError>(())
/// ```
pub fn device(name: &str) -> Result<Device, CandleError> {
    let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
    let none = |reason| CandleError::Device { name: name.to_owned(), reason };
    let made = match (kind, number.parse()) {
        ("cpu", _) if name == kind => return Ok(Device::Cpu),
        ("cuda", Ok(number)) => Device::new_cuda(number),
        ("metal", Ok(number)) => Device::new_metal(number),
        _ => return Err(none("no device has this name".to_owned())),
    };
    made.map_err(|error| {
        let built_in = match kind {
            "cuda" => cfg!(feature = "cuda"),
            _ => cfg!(feature = "metal"),
        };
        none(match built_in {
            true => error.to_string(),
            false => format!("the program was built without the feature `{kind}`"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_refused_with_the_reason() {
        #[track_caller]
        fn check(name: &str, reason: &str) {
            let error = device(name).expect_err("it is not there").to_string();
            assert!(error.contains(&format!("no device `{name}` here: {reason}")), "{error}");
        }
        for name in ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "metal:1:2"] {
            check(name, "no device has this name");
        }
        if !cfg!(feature = "cuda") {
            check("cuda", "the program was built without the feature `cuda`");
            check("cuda:7", "the program was built without the feature `cuda`");
        }
        if !cfg!(feature = "metal") {
            check("metal", "the program was built without the feature `metal`");
        }
        assert!(device("cpu").expect("it always is").is_cpu());
    }
}
