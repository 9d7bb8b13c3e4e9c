//! What comes after a run, beside that run: validation and rollback.

use super::{Bench, PAIRS, Timing, median, watch};

impl Bench {
    /// Measures a run, its validation and its rollback in turn.
    pub(super) fn afterwards(&self) {
        let (mut runs, mut validations, mut rollbacks) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            self.reset();
            // As the preset's own schema has it. Without it PostgreSQL reads all analyses for each document that is deleted.
            self.postgres.execute("bench", "CREATE INDEX ON document_hub.analysis_results (document_id)").unwrap();
            runs.push(self.redis2pg(&[]));
            let run = self.reported()["run"].as_str().expect("a run has an id").to_owned();
            let validate = ["validate", "--preset", "contract-reviewer", "--progress", "none"];
            validations.push(watch(self.command(&validate).args(["--from", &self.redis.url()])));
            rollbacks.push(watch(&mut self.command(&["rollback", "--yes", "--run", &run])));
        }
        println!("| | takes | of the run's time | client CPU a row | peak RSS |\n|---|---|---|---|---|");
        for (name, timings) in [("run", &runs), ("validation", &validations), ("rollback", &rollbacks)] {
            let mut ratios: Vec<f64> = timings.iter().zip(&runs).map(|(it, run)| it.wall / run.wall).collect();
            ratios.sort_by(f64::total_cmp);
            let Timing { wall, cpu, peak_mib } = median(timings);
            let cpu = cpu * 1e6 / self.rows as f64;
            println!("| {name} | {wall:.2} s | {:.2} | {cpu:.1} µs | {peak_mib:.0} MiB |", ratios[PAIRS / 2]);
        }
    }
}
