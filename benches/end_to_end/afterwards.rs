//! What comes after a run, beside that run: validation and rollback.

use super::{Bench, PAIRS, Timing, median, watch};
use std::fs;
use std::time::Duration;

/// What one command took.
struct Taken {
    timing: Timing,
    /// CPU seconds of the client and both servers.
    cpu: f64,
}

impl Bench {
    /// Measures a run, its validation and its rollback in turn.
    pub(super) fn afterwards(&self) {
        let (mut runs, mut validations, mut rollbacks) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            self.reset();
            // As the preset's own schema has it. Without it PostgreSQL reads all analyses for each document that is deleted.
            self.postgres.execute("bench", "CREATE INDEX ON document_hub.analysis_results (document_id)").unwrap();
            runs.push(self.taken(|| self.redis2pg(&[])));
            let run = self.reported()["run"].as_str().unwrap().to_owned();
            validations.push(self.taken(|| {
                let validate = ["validate", "--preset", "contract-reviewer", "--progress", "none"];
                watch(self.command(&validate).args(["--from", &self.redis.url()]))
            }));
            rollbacks.push(self.taken(|| watch(&mut self.command(&["rollback", "--yes", "--run", &run]))));
        }
        println!(
            "| | takes | of the run's time | of the run's CPU | client CPU a row | peak RSS |\n|---|---|---|---|---|---|"
        );
        for (name, taken) in [("run", &runs), ("validation", &validations), ("rollback", &rollbacks)] {
            let of_run = |of: fn(&Taken) -> f64| {
                let mut ratios: Vec<f64> = taken.iter().zip(&runs).map(|(it, run)| of(it) / of(run)).collect();
                ratios.sort_by(f64::total_cmp);
                ratios[PAIRS / 2]
            };
            let (time, work) = (of_run(|it| it.timing.wall), of_run(|it| it.cpu));
            let timings: Vec<Timing> = taken.iter().map(|it| it.timing).collect();
            let Timing { wall, cpu, peak_mib } = median(&timings);
            let cpu = cpu * 1e6 / self.rows as f64;
            println!("| {name} | {wall:.2} s | {time:.2} | {work:.2} | {cpu:.1} µs | {peak_mib:.0} MiB |");
        }
    }

    fn taken(&self, command: impl FnOnce() -> Timing) -> Taken {
        let before = self.server_cpu();
        let timing = command();
        // A backend's time counts once the postmaster has seen it end.
        std::thread::sleep(Duration::from_millis(300));
        Taken { timing, cpu: timing.cpu + self.server_cpu() - before }
    }

    /// CPU seconds of both servers, with the children that ended.
    fn server_cpu(&self) -> f64 {
        let of = |pid: u32| -> Option<f64> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            // Fields 14 to 17 of proc(5), in ticks of 10 ms.
            let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<f64>().ok()).sum::<Option<f64>>()?;
            Some(ticks / 100.0)
        };
        [self.redis.pid(), self.postgres.pid()].into_iter().filter_map(of).sum()
    }
}
