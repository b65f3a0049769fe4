//! Each distribution against its closed form, and the bits of a few draws.

use super::*;

fn distribution(text: &str) -> Distribution {
    #[derive(Deserialize)]
    struct Table {
        read: Distribution,
    }
    toml::from_str::<Table>(&format!("read = {{ {text} }}")).expect("is a distribution").read
}

fn draws(distribution: &Distribution, count: usize) -> Vec<f64> {
    let mut stream = Stream::of_replica(7, 0);
    (0..count).map(|_| distribution.draw(&mut stream)).collect()
}

#[test]
fn a_distribution_has_its_quantiles_and_its_mean() {
    const DRAWS: usize = 100_000;
    #[track_caller]
    fn check(text: &str, median: f64, ninth_decile: f64, mean: f64) {
        let mut times = draws(&distribution(text), DRAWS);
        times.sort_by(f64::total_cmp);
        let got_mean = times.iter().sum::<f64>() / DRAWS as f64;
        let got = [times[DRAWS / 2], times[DRAWS / 10 * 9], got_mean];
        for (got, expected) in got.into_iter().zip([median, ninth_decile, mean]) {
            assert!((got - expected).abs() <= 0.02 * expected, "{text}: {got}, not {expected}");
        }
    }
    check("constant.seconds = 2", 2.0, 2.0, 2.0);
    check("exponential.mean = 3", 2.079_442, 6.907_755, 3.0);
    check("shifted-exponential = { least = 1, mean_excess = 0.2 }", 1.138_629, 1.460_517, 1.2);
    check("log-normal = { median = 1.5, sigma = 0.5 }", 1.5, 2.846_912, 1.699_722);
    check("pareto = { least = 1, alpha = 3 }", 1.259_921, 2.154_435, 1.5);
    check("pareto = { least = 1, alpha = 3, most = 2 }", 1.259_921, 2.0, 1.375);
    let mixture = "mixture = { probability = 0.25, body.constant.seconds = 1, \
                   straggler.constant.seconds = 5 }";
    check(mixture, 1.0, 5.0, 2.0);
    check("samples.seconds = [1, 1, 4]", 1.0, 4.0, 2.0);
}

#[test]
fn a_seed_gives_the_same_bits_everywhere() {
    #[track_caller]
    fn check(text: &str, expected: f64) {
        assert_eq!(draws(&distribution(text), 3)[2], expected, "{text}");
    }
    check("exponential.mean = 3", 15.515310902162177);
    check("log-normal = { median = 1.5, sigma = 0.5 }", 0.4229856662629782);
    check("pareto = { least = 1, alpha = 3 }", 5.606482029260809);
}

#[test]
fn distributions_at_the_edges_of_their_numbers_draw_times() {
    // Every distribution with every combination of a plan's least and largest numbers.
    const SECONDS: [f64; 4] = [0.0, 5e-324, 1.0, LONGEST];
    const ABOVE: [f64; 5] = [5e-324, 1e-3, 1.0, 1e3, 1e6];
    let seconds = |number: f64| Seconds::try_from(number).expect("is a time");
    let above = |number: f64| Above::try_from(number).expect("is above zero");
    #[track_caller]
    fn check(distribution: Distribution, is_nothing: bool) {
        for time in draws(&distribution, 200) {
            assert!(time >= 0.0, "{distribution:?} drew {time}");
            assert!(!is_nothing || time == 0.0, "{distribution:?} drew {time}");
        }
    }
    for a in SECONDS {
        check(Distribution::constant(seconds(a)), a == 0.0);
        check(Distribution::Exponential { mean: seconds(a) }, a == 0.0);
        for b in SECONDS {
            let (least, mean_excess) = (seconds(a), seconds(b));
            check(Distribution::ShiftedExponential { least, mean_excess }, a == 0.0 && b == 0.0);
        }
        for b in ABOVE {
            check(Distribution::LogNormal { median: seconds(a), sigma: above(b) }, a == 0.0);
            for most in [None, Some(seconds(0.0)), Some(seconds(7.0))] {
                let nothing = a == 0.0 || most == Some(seconds(0.0));
                check(Distribution::Pareto { least: seconds(a), alpha: above(b), most }, nothing);
            }
        }
    }
}
