use super::sample::{InMemory, free, header, resume, string};
use crate::backup::frame::HEAD;
use crate::backup::{BrokenOff, Writer, encode, partial_of};
use crate::model::{BackupExtent, Failure};
use std::fs;
use std::path::Path;

fn append(writer: &mut Writer, key: &str) -> BackupExtent {
    writer.append(&encode(&[string(key, "1")]).unwrap()[0]).unwrap();
    writer.sync().unwrap()
}

/// Whether what is there under the temporary name begins with this, and how many bytes of it are whole.
fn has(path: &Path, wanted: &BackupExtent) -> Result<(bool, u64), Failure> {
    let read = free(|| BrokenOff::open(path))?.read(Some(wanted))?;
    Ok((read.has_wanted(), read.bytes()))
}

#[test]
fn a_file_that_was_cut_or_is_an_older_copy_or_another_one_lacks_what_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("b"), dir.path().join("c"));
    let partial = partial_of(&path);
    let mut writer = Writer::create(&path, &header()).unwrap();
    let extents: Vec<BackupExtent> = ["a", "b", "c"].iter().map(|key| append(&mut writer, key)).collect();
    let id = writer.file_id();
    drop(writer);
    let whole = fs::read(&partial).unwrap();
    let end = |place: usize| extents[place].bytes;
    for extent in &extents {
        assert_eq!(has(&path, extent).unwrap(), (true, end(2)));
    }
    assert_eq!(free(|| BrokenOff::open(&path)).unwrap().file_id(), id);
    // At a frame's border, where no checksum is wrong, and within one.
    for (kept, whole_to) in [(end(1), end(1)), (end(1) + 5, end(1)), (end(2) - 1, end(1))] {
        fs::write(&partial, &whole[..kept as usize]).unwrap();
        let has = |place: usize| has(&path, &extents[place]).unwrap();
        assert_eq!([has(0), has(1), has(2)], [(true, whole_to), (true, whole_to), (false, whole_to)], "cut at {kept}");
        assert_eq!(fs::read(&partial).unwrap(), whole[..kept as usize], "nothing of it is changed");
    }
    // An older copy that somebody went on with: as long, of the same id, and not the same.
    fs::write(&partial, &whole[..end(1) as usize]).unwrap();
    let mut again = free(|| resume(&path)).unwrap().0;
    let extent = append(&mut again, "d");
    drop(again);
    assert_eq!(extent.bytes, end(2));
    assert_eq!((has(&path, &extents[2]).unwrap(), has(&path, &extent).unwrap()), ((false, end(2)), (true, end(2))));
    // Another file of the same length.
    let mut writer = Writer::create(&other, &header()).unwrap();
    for key in ["a", "b", "c"] {
        append(&mut writer, key);
    }
    assert_ne!(writer.file_id(), id);
    drop(writer);
    fs::rename(partial_of(&other), &partial).unwrap();
    assert_eq!(has(&path, &extents[2]).unwrap(), (false, end(2)));
}

#[test]
fn what_was_taken_back_is_not_in_what_was_synced() {
    let mut writer = Writer::begin(Box::new(InMemory::new(usize::MAX)), Path::new("b"), &header()).unwrap();
    let before = append(&mut writer, "a");
    let mark = writer.mark();
    append(&mut writer, "void");
    writer.rewind(mark).unwrap();
    assert_eq!(writer.sync().unwrap(), before);
}

#[test]
fn one_that_goes_on_has_what_was_synced_before_also_behind_an_end_mark() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let mut writer = Writer::create(&path, &header()).unwrap();
    let first = append(&mut writer, "a");
    drop(writer.seal().unwrap());
    let mut writer = free(|| resume(&path)).unwrap().0;
    assert_eq!(writer.sync().unwrap(), first);
    let second = append(&mut writer, "b");
    drop(writer);
    for extent in [first, second.clone()] {
        assert_eq!(has(&path, &extent).unwrap(), (true, second.bytes));
    }
}

/// Pages get to the disk in any order: behind what was synced there may be a head without its content, or half of one.
#[test]
fn behind_what_was_synced_any_torn_end_is_cut_away_and_before_it_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let partial = partial_of(&path);
    let mut writer = Writer::create(&path, &header()).unwrap();
    let extents: Vec<BackupExtent> = ["a", "b", "c"].iter().map(|key| append(&mut writer, key)).collect();
    drop(writer);
    let whole = fs::read(&partial).unwrap();
    let end = |place: usize| extents[place].bytes as usize;
    let zeroed = |from: usize| {
        let mut torn = whole.clone();
        torn[from..].fill(0);
        torn
    };
    // The head and no content; half a head and nothing; half a head and what was there before.
    let mut rest = zeroed(end(1) + 20);
    rest[end(1) + 20..].fill(7);
    for torn in [zeroed(end(1) + HEAD), zeroed(end(1) + 20), rest] {
        fs::write(&partial, &torn).unwrap();
        assert_eq!(has(&path, &extents[1]).unwrap(), (true, end(1) as u64));
        // It was on disk once, or that is not known: then it is damage.
        assert!(has(&path, &extents[2]).is_err());
        assert!(free(|| BrokenOff::open(&path)).unwrap().read(None).is_err());
        let mut writer = free(|| BrokenOff::open(&path)).unwrap().read(Some(&extents[1])).unwrap().go_on();
        let extent = append(&mut writer, "d");
        drop(writer);
        assert_eq!(has(&path, &extent).unwrap(), (true, extent.bytes));
    }
    // With something of the file behind it, it is no end.
    let mut damaged = whole.clone();
    damaged[end(0) + HEAD] ^= 1;
    fs::write(&partial, &damaged).unwrap();
    assert!(has(&path, &extents[0]).is_err());
}
