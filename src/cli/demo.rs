//! `redis2pg demo`: its arguments.

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// How many documents to make up; each has an analysis, every fifth a session
    #[arg(long, value_name = "NUMBER", default_value_t = 9000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub documents: u32,
}
