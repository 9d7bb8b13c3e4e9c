//! What of a column comes from Redis: only that can be lost with a key.

use super::{CandidateSpec, ColumnSpec, MappingSpec};

/// Sources that say something of the run, or of the moment in which the key was read.
const OF_THE_MOMENT: [&str; 7] =
    ["run.id", "run.time", "redis.digest", "redis.ttl", "redis.idle", "redis.version", "element.ttl"];

impl MappingSpec {
    /// The mapping as rows are compared by it before their keys are deleted: columns with `ignore_changes` too, for what they have
    /// of Redis, but for those that `may_lose` names.
    pub fn comparing_all(&self, may_lose: impl Fn(&str) -> bool) -> Self {
        let mut spec = self.clone();
        for column in spec.columns.iter_mut().filter(|column| column.ignore_changes && !may_lose(&column.name)) {
            column.compare_what_is_of_redis();
        }
        spec
    }
}

impl ColumnSpec {
    /// Whether what says something of the run stands in where the value says nothing.
    pub fn falls_back_to_the_run(&self) -> bool {
        self.has_value() && self.from.iter().any(CandidateSpec::is_of_the_moment)
    }

    /// Whether some of it comes from the key, or hangs on what the key holds.
    fn has_value(&self) -> bool {
        self.from.iter().any(|candidate| !candidate.is_of_the_moment() && !candidate.is_constant())
    }

    fn compare_what_is_of_redis(&mut self) {
        if !self.has_value() {
            return;
        }
        self.ignore_changes = false;
        if self.falls_back_to_the_run() {
            // It says another thing each time, of which the key has none.
            self.from.retain(|candidate| !candidate.is_of_the_moment());
            self.required = false;
        }
    }
}

impl CandidateSpec {
    fn is_of_the_moment(&self) -> bool {
        let source = match self {
            Self::Source(source) => Some(source),
            Self::Table(table) => table.source.as_ref().filter(|_| table.when.is_none()),
        };
        source.is_some_and(|source| OF_THE_MOMENT.contains(&source.as_str()))
    }

    /// Whether it gives the same whatever the key holds.
    fn is_constant(&self) -> bool {
        match self {
            Self::Source(_) => false,
            Self::Table(table) => table.when.is_none() && (table.value.is_some() || table.json.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mapping::MappingSpec;

    fn mapping(column: &str) -> MappingSpec {
        let text =
            format!("name = 'm'\nmatch = 'k:{{id}}'\ninto = 'public.t'\nkey = ['id']\ncolumn = [{{ {column} }}]");
        toml::from_str(&text).unwrap()
    }

    /// Whether the column is compared, and by how many candidates.
    fn compared(from: &str) -> (bool, usize) {
        let spec = mapping(&format!("name = 'a', ignore_changes = true, from = [{from}]"));
        assert_eq!(spec.comparing_all(|name| name == "a"), spec);
        let all = spec.comparing_all(|_| false);
        (!all.columns[0].ignore_changes, all.columns[0].from.len())
    }

    #[test]
    fn what_comes_from_redis_is_compared_and_nothing_else() {
        assert_eq!(compared("'$.a'"), (true, 1));
        assert_eq!(compared("'{id}'"), (true, 1));
        assert_eq!(compared("'run.time'"), (false, 1));
        assert_eq!(compared("{ value = 'x' }"), (false, 1));
        assert_eq!(compared("'run.id', { json = '{}' }"), (false, 2));
        assert_eq!(compared(""), (false, 0));
        // What stands in for a value is not the value's; whether it stands in may be.
        assert_eq!(compared("'$.a', 'run.time'"), (true, 1));
        assert_eq!(compared("'$.a', { value = 'x' }"), (true, 2));
        assert_eq!(compared("{ value = 'x', when = '$.a' }"), (true, 1));
        assert_eq!(compared("{ source = 'run.time', when = '$.a' }"), (true, 1));
        let plain = mapping("name = 'a', from = 'run.time'");
        assert_eq!(plain.comparing_all(|_| false), plain);
    }
}
