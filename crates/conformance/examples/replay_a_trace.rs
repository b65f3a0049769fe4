//! One trace, replayed as it was recorded and with one number changed.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use conformance::replay;

const TRACE: &str = r#"{
    "name": "half way", "kind": "moving_average", "decay": 0.5, "zero_debias": false,
    "initial": {"shape": [1], "values": [0.0]},
    "steps": [{
        "variable": {"shape": [1], "values": [8.0]},
        "num_updates": null,
        "average": {"shape": [1], "values": [4.0]}
    }]
}"#;

fn main() -> Result<(), conformance::Failure> {
    replay(TRACE)?;
    println!("as recorded: passed");
    if let Err(failure) = replay(&TRACE.replace("4.0", "5.0")) {
        println!("changed:     {failure}");
    }
    Ok(())
}
