//! What `plan` refuses, and what it says then.

use std::fs;

use super::metrics;
use crate::program::{folder, run};

#[test]
fn what_cannot_be_meant_is_refused() {
    #[track_caller]
    fn check(args: &str, fragments: &[&str]) {
        let folder = folder();
        let root = folder.path();
        fs::write(root.join("empty"), "").expect("is writable");
        fs::write(root.join("torn"), "{\"kind\":\"run\"}\n{\"kind\":\"ba\n").expect("is writable");
        let killed = metrics(2, |_| 1.0, |_| "accepted");
        let killed = killed.split_inclusive('\n').next().unwrap_or_default();
        fs::write(root.join("killed"), killed).expect("is writable");
        let wrong = metrics(2, |_| -1.0, |_| "accepted");
        fs::write(root.join("wrong"), wrong).expect("is writable");
        let args: Vec<&str> = args.split_whitespace().collect();
        let said = run(root, &[&["plan"], &args[..]].concat());
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.err);
        for fragment in fragments {
            assert!(said.err.contains(fragment), "{args:?}: {} lacks {fragment:?}", said.err);
        }
    }
    check("", &["RUN", "--times", "--plan", "--compute"]);
    check("nowhere", &["nowhere cannot be read", "run folder"]);
    check("empty", &["empty", "kind run", "train again"]);
    check("torn", &["torn, line 2", "JSON object"]);
    check("killed", &["kind batch", "of 2 replicas", "train longer"]);
    check("wrong", &["wrong, line 2", "cannot last"]);
    check("empty --plan exponential", &["cannot be used with"]);
    check("--plan nothing", &["neither a file", "exponential"]);
    check("--compute gamma:k=1 --gradients 2", &["--compute", "'gamma:k=1'", "`pareto`"]);
    check("--compute exponential:mean=-1 --gradients 2", &["0 to 1e9 seconds", "-1"]);
    check("--compute exponential --gradients 2", &["missing field `mean`"]);
    check("--compute a={} --gradients 2", &["expected a law"]);
    check("--compute exponential:mean=1", &["--machines", "--gradients"]);
    check("--compute exponential:mean=1 --stragglers 2=constant:seconds=1", &["0 to 1", "got 2"]);
    check("--compute exponential:mean=1 --stragglers x", &["PART=LAW"]);
    check("--stragglers 0.1=constant:seconds=1", &["--compute"]);
    check("--compute exponential:mean=1 --machines 0", &["'0'", "--machines"]);
    check("--compute exponential:mean=1 --machines 9 --iterations fast", &["inverse", "\"fast\""]);
    let beyond = "--compute exponential:mean=1 --machines 9 --iterations 50=9,100=5";
    check(beyond, &["from 1 to 9", "50=9,100=5", "measure"]);
}

#[test]
fn times_that_are_none_are_refused() {
    #[track_caller]
    fn check(text: impl AsRef<[u8]>, fragments: &[&str]) {
        let folder = folder();
        fs::write(folder.path().join("t.csv"), text).expect("is writable");
        let said = run(folder.path(), &["plan", "--times", "t.csv"]);
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.err);
        for fragment in [&["--times t.csv"], fragments].concat() {
            assert!(said.err.contains(fragment), "{} lacks {fragment:?}", said.err);
        }
    }
    check("", &["line 1", "step, replica, seconds", "got \"\""]);
    check("1,0,2.5\n1,1,2.5\n", &["line 1", "got \"1, 0, 2.5\"", "name the columns"]);
    check("Step,replica,seconds\n", &["got \"Step, replica, seconds\""]);
    check("step,replica,seconds\n", &["got none"]);
    check("step,replica,seconds\n1,0,2\n1,1,fast\n", &["line 3, seconds", "got \"fast\""]);
    check("step,replica,seconds\n1,0,2\n\n1,1,\n", &["line 4, seconds", "got \"\""]);
    check("step,replica,seconds\n1,0,-2\n", &["line 2, seconds", "0 to 1e9 seconds, got -2"]);
    check("step,replica,seconds\n1,0,NaN\n", &["line 2, seconds", "got NaN"]);
    check("step,replica,seconds\n1,0,inf\n", &["line 2, seconds", "got inf"]);
    check("step,replica,seconds\n1.5,0,1\n", &["line 2, step", "a whole number, got \"1.5\""]);
    check("step,replica,seconds\n1,host-a,1\n", &["line 2, replica", "got \"host-a\""]);
    check("step,replica,seconds\n1,0\n", &["line 2, seconds", "got \"\""]);
    check("step,replica,seconds\n1,0,1\n2,0,1\n", &["two replicas or more", "only replica 0"]);
    let twice = "step,replica,seconds\n1,0,1\n1,1,1\n1,0,1\n";
    check(twice, &["step 1, replica 0", "one time, got several"]);
    check(b"step,replica,seconds\n1,0,\xff\n", &["line 2", "UTF-8"]);
    let folder = folder();
    let said = run(folder.path(), &["plan", "--times", "nowhere.csv"]);
    assert!(said.status == 2 && said.err.contains("--times nowhere.csv"), "{}", said.err);
    // Other columns, another order, spaces and quotes are no harm.
    let text = "\"host\", \"seconds\",replica,\"step\"\nx, 1.5 ,0,1\nx,1.5,\"1\",1\n";
    fs::write(folder.path().join("t.csv"), text).expect("is writable");
    let said = run(folder.path(), &["plan", "--times", "t.csv"]);
    assert_eq!(said.status, 0, "{}", said.err);
}
