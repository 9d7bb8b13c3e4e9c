//! How a failure is shown: the side, what happened, every finding, the causes and a hint.

use crate::config::{clean, escaped};
use crate::model::{Failure, Finding};
use std::error::Error;
use std::io::{self, Write};

/// Writes a failure for people: `redis2pg: <side>: <message>`, then findings, causes and `hint: …`.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_failure(out: &mut dyn Write, failure: &Failure) -> io::Result<()> {
    writeln!(out, "redis2pg: {}: {}", failure.side, clean(&failure.message))?;
    for finding in &failure.findings {
        write_finding(out, "  ", finding)?;
    }
    let mut cause = failure.source.as_deref().map(|source| source as &dyn Error);
    let mut said = failure.message.clone();
    while let Some(error) = cause {
        let text = error.to_string();
        // Many libraries repeat their cause in their own text.
        if !said.contains(&text) {
            writeln!(out, "  cause: {}", clean(&text))?;
        }
        said = text;
        cause = error.source();
    }
    if !failure.hint.is_empty() {
        writeln!(out, "hint: {}", escaped(&failure.hint))?;
    }
    Ok(())
}

/// Writes a finding, its hint on a line of its own.
pub(super) fn write_finding(out: &mut dyn Write, indent: &str, finding: &Finding) -> io::Result<()> {
    let bare = Finding { hint: String::new(), ..finding.clone() };
    for line in bare.to_string().lines() {
        writeln!(out, "{indent}{}", clean(line))?;
    }
    if finding.hint.is_empty() { Ok(()) } else { writeln!(out, "{indent}  hint: {}", escaped(&finding.hint)) }
}

#[cfg(test)]
mod tests {
    use super::write_failure;
    use crate::model::{Failure, Finding, Side};

    #[test]
    fn a_failure_names_the_side_findings_cause_and_hint_and_no_secret() {
        let mut failure =
            Failure::redis("redis://u:hunter2@h does not answer", "start it, or use redis://[user[:password]@]host")
                .because(std::io::Error::other("refused\u{1b}[31m"));
        failure.findings.push(Finding::critical(Side::Redis, "scan", "is forbidden", "grant +scan"));
        let mut out = Vec::new();
        assert!(write_failure(&mut out, &failure).is_ok());
        assert_eq!(
            String::from_utf8_lossy(&out),
            "redis2pg: redis: redis://u:***@h does not answer\n  error: redis scan: is forbidden\n    hint: grant +scan\n  \
             cause: refused\\u{1b}[31m\nhint: start it, or use redis://[user[:password]@]host\n"
        );
    }
}
