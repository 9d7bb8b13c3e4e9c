//! `config check`: the look that a run begins with, and no run.

use super::look::{Ends, Looker, Sorted, Troubles, stamp};
use super::preflight::Check;
use super::setup;
use crate::config::Settings;
use crate::flow::Stop;
use crate::model::{Exit, Finding};
use crate::report::{Renderer, drive};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Events waiting to be shown.
const EVENTS: usize = 64;

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// Critical ones first.
    pub findings: Vec<Finding>,
    /// What to exit with: `Done` where none is critical, `Stopped` where a stop came before the end.
    pub exit: Exit,
    /// The ends that were looked at, without secrets; none where the settings name none.
    pub ends: Vec<String>,
    /// Which version of the ledger the target has, and what a run would make of it; `None` where no target was reached.
    pub ledger: Option<String>,
}

/// Looks at the ends that the settings name, as a run with them would, and leaves nothing behind in either. Without any, the
/// settings alone are checked: no connection is made. Ends early at a stop, and tells what was found until then.
pub async fn check(settings: &Settings, renderer: Renderer, stop: Stop) -> Checked {
    let mut troubles = Troubles::default();
    let (mut ends, mut ledger) = (Vec::new(), None);
    let source = settings.source.url.as_ref().map(|_| setup::source_settings(settings));
    let source = source.and_then(|source| troubles.take("source", source));
    let target = settings.target.url.as_ref().map(|_| setup::target(settings));
    let target = target.and_then(|target| troubles.take("target", target));
    troubles.take("run.keys_from", setup::key_file(settings));
    troubles.take("run.report", setup::report_dir(settings, setup::Keep::Nothing));
    let is_named = source.is_some() || target.is_some();
    // What is wrong with the mappings was found when the settings were read. That there are none is told where a run would
    // be refused for it.
    let specs = if is_named { troubles.take("mapping", setup::mappings(settings)) } else { None };
    let specs = specs.unwrap_or_default();
    ends.extend(source.iter().map(|source| source.display()));
    ends.extend(target.iter().map(|target| format!("postgres://{target}")));
    if is_named {
        let stamp = stamp(settings, &Uuid::now_v7().to_string());
        let how = if settings.run.dry_run { Check::Dry } else { Check::Rehearsal };
        let (events, shown) = mpsc::channel(EVENTS);
        let looker = Looker { settings, stop: &stop, events: &events, stamp: &stamp, how, ahead: true, seek: true };
        let look = Ends { specs: &specs, source: source.as_ref(), target: target.as_ref() };
        let shown = tokio::spawn(drive(shown, renderer));
        // A first stop is heeded where much is looked at; a second one waits for no server.
        let looked = tokio::select! {
            looked = looker.look(&look) => Some(looked),
            () = stop.wait_cut() => None,
        };
        match looked {
            Some(looked) => {
                troubles.add(looked.troubles);
                ledger = looked.target.as_ref().map(|target| target.server.ledger_in_words());
                if let Some(source) = looked.source {
                    source.redis.close().await;
                }
            }
            // What is left of the look may still hold on to the events.
            None => shown.abort(),
        }
        drop(events);
        // All that could fail in showing is the terminal.
        let _ = shown.await;
    }
    let Sorted { findings, exit } = troubles.sorted(settings, &specs);
    // Whatever was found: more might have been, and some of it may come of the stop.
    let exit = if is_named && stop.requested() { Exit::Stopped } else { exit };
    Checked { findings, exit, ends, ledger }
}
