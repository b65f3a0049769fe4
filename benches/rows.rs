//! Rows of the performance table as criterion benchmarks of the same name.
//!
//! The work is that of the report; only who keeps the time differs. Not a target of its own.

use benches::{CEILINGS, Measure, ROWS};
use criterion::Criterion;

/// Those rows whose name starts with one of `prefixes`.
pub fn bench(criterion: &mut Criterion, prefixes: &[&str]) {
    let mut group = criterion.benchmark_group("rows");
    group.sample_size(10);
    let is_wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    for row in CEILINGS.iter().chain(ROWS).filter(|row| is_wanted(row.name)) {
        if let Measure::Timed { work, .. } = row.measure {
            // Made here, so that rows that are filtered out take no memory.
            group.bench_function(row.name, |bench| {
                let mut work = work();
                bench.iter_custom(|times| work.run(times));
            });
        }
    }
    group.finish();
}
