use super::sample::{Done, InMemory, free, header, noise, read, resume, string};
use crate::backup::{Block, Entry, Header, Part, Reader, Writer, encode, partial_of, remove_broken_off, verify};
use crate::model::Exit;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn everything_is_on_disk_before_the_file_gets_its_name() {
    let place = InMemory::new(usize::MAX);
    let mut writer = Writer::begin(Box::new(place.clone()), Path::new("b"), &header()).unwrap();
    writer.append(&encode(&[string("a", "1")]).unwrap()[0]).unwrap();
    writer.sync().unwrap();
    assert_eq!(place.done.lock().unwrap().last(), Some(&Done::Synced), "a key may go only then");
    writer.append(&encode(&[string("b", "1")]).unwrap()[0]).unwrap();
    writer.finish().unwrap();
    let done = place.done.lock().unwrap().clone();
    assert_eq!(done[done.len() - 3..], [Done::Written, Done::Synced, Done::Published], "{done:?}");
}

#[test]
fn what_was_appended_since_a_mark_can_be_taken_back() {
    let place = InMemory::new(usize::MAX);
    let mut writer = Writer::begin(Box::new(place.clone()), Path::new("b"), &header()).unwrap();
    let block = |key: &str| encode(&[string(key, "1")]).unwrap().remove(0);
    writer.append(&block("a")).unwrap();
    let mark = writer.mark();
    writer.append(&block("void")).unwrap();
    assert_eq!(writer.keys().total(), 2);
    writer.rewind(mark).unwrap();
    writer.append(&block("b")).unwrap();
    assert_eq!((writer.keys().total(), writer.bytes()), (2, place.file.lock().unwrap().len() as u64));
    writer.finish().unwrap();
    let file = place.file.lock().unwrap().clone();
    assert_eq!(read(file).unwrap(), [string("a", "1"), string("b", "1")]);
}

#[test]
fn a_full_disk_is_told_and_ends_the_writing() {
    let place = InMemory::new(400);
    let mut writer = Writer::begin(Box::new(place.clone()), Path::new("dir/b"), &header()).unwrap();
    let block = encode(&[string("a", (0..=255).collect::<Vec<u8>>())]).unwrap().remove(0);
    let failure = writer.append(&block).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(
        failure.message.contains("dir/b.partial") && failure.hint.contains("The disk is full"),
        "{failure} {}",
        failure.hint
    );
    assert_eq!(writer.append(&block).unwrap_err().exit, Exit::Internal, "nothing stands behind a torn piece");
    assert!(writer.finish().is_err());
    assert!(!place.done.lock().unwrap().contains(&Done::Published));
}

#[test]
fn of_a_file_whose_header_cannot_be_written_nothing_is_left() {
    for room in [0, 24, 100] {
        let place = InMemory::new(room);
        let failure = Writer::begin(Box::new(place.clone()), Path::new("dir/b"), &header()).err().unwrap();
        assert!(failure.exit == Exit::Usage && failure.message.contains("dir/b.partial"), "{failure}");
        assert!(failure.hint.contains("Nothing is left of it"), "{}", failure.hint);
        assert_eq!(place.done.lock().unwrap().last(), Some(&Done::Discarded), "{room}");
    }
}

#[test]
fn files_are_private_and_none_that_exists_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (path, partial) = (dir.path().join("b"), partial_of(&dir.path().join("b")));
    let mut writer = Writer::create(&path, &header()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&partial), path.exists()), (0o600, false));
    let busy = Writer::create(&path, &header()).err().unwrap();
    assert!(busy.message.contains("b.partial is being written"), "{busy}");
    writer.append(&encode(&[string("a", "1")]).unwrap()[0]).unwrap();
    let blocks = fs::metadata(&partial).unwrap().len();
    assert_eq!(blocks, writer.bytes());
    writer.finish().unwrap();
    assert_eq!((mode(&path), partial.exists()), (0o600, false));
    let before = fs::read(&path).unwrap();
    let exists = Writer::create(&path, &header()).err().unwrap();
    assert!(exists.exit == Exit::Usage && exists.message.contains("is there already"), "{exists}");
    // A dangling link is somebody's name too.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    assert!(Writer::create(&link, &header()).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(verify(Reader::open(&path).unwrap(), |_| ()).unwrap().keys.total(), 1);
}

#[test]
fn a_file_that_somebody_made_meanwhile_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let writer = Writer::create(&path, &Header::default()).unwrap();
    fs::write(&path, "somebody's").unwrap();
    let failure = writer.finish().unwrap_err();
    assert!(failure.message.contains("is there already"), "{failure}");
    assert_eq!(fs::read(&path).unwrap(), b"somebody's");
    assert!(partial_of(&path).exists(), "what was written is not lost");
}

#[test]
fn a_directory_that_was_removed_meanwhile_is_told_and_nothing_is_promised_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let mut writer = Writer::create(&inner.join("b"), &header()).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    writer.append(&encode(&[string("a", "1")]).unwrap()[0]).unwrap();
    let failure = writer.finish().unwrap_err();
    assert!(failure.message.contains("was removed while it was written"), "{failure}");
    assert!(!failure.hint.contains("--salvage"), "{}", failure.hint);
}

#[test]
fn one_that_broke_off_is_gone_on_with_behind_the_last_whole_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let part = |number, last| Entry { part: Part { number, last }, ..string("torn", format!("part {number}")) };
    let groups =
        [vec![string("a", "1"), string("b", "1")], vec![string("c", "1")], vec![part(0, false)], vec![part(1, true)]];
    let blocks: Vec<Block> = groups.iter().flat_map(|group| encode(group).unwrap()).collect();
    let mut ends = Vec::new();
    let mut writer = Writer::create(&path, &header()).unwrap();
    assert!(resume(&path).is_err(), "somebody is at it");
    for block in &blocks {
        writer.append(block).unwrap();
        ends.push(writer.bytes());
    }
    drop(writer);
    let broken = free(|| Writer::create(&path, &header())).err().unwrap();
    let salvage = format!("redis2pg restore --salvage --file {} --to URL", partial_of(&path).display());
    assert!(broken.message.contains("broke off") && broken.hint.contains(&salvage), "{broken} {}", broken.hint);
    let partial = partial_of(&path);
    let whole = fs::read(&partial).unwrap();
    for (end, kept) in
        [(ends[3], 4), (ends[3] - 1, 3), (ends[2], 3), (ends[1] + 3, 3), (ends[1] - 1, 2), (ends[0] - 1, 0)]
    {
        fs::write(&partial, &whole[..end as usize]).unwrap();
        let (mut writer, told) = free(|| resume(&path)).unwrap();
        assert_eq!((told, writer.keys().total()), (header(), kept), "cut at {end}");
        writer.append(&encode(&[string("more", "1")]).unwrap()[0]).unwrap();
        writer.finish().unwrap();
        let summary = verify(Reader::open(&path).unwrap(), |_| ()).unwrap();
        assert_eq!(summary.keys.total(), kept + 1);
        fs::rename(&path, &partial).unwrap();
        // Also where it broke off between its end mark and its name.
        let (writer, _) = free(|| resume(&path)).unwrap();
        assert_eq!(writer.keys().total(), kept + 1);
        drop(writer);
    }
    fs::write(&partial, "no backup").unwrap();
    assert!(free(|| resume(&path)).is_err());
}

#[test]
fn what_is_damaged_other_than_at_its_end_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let partial = partial_of(&path);
    let mut ends = Vec::new();
    let mut writer = Writer::create(&path, &header()).unwrap();
    ends.push(writer.bytes());
    for key in ["a", "b", "c"] {
        writer.append(&encode(&[string(key, "1")]).unwrap()[0]).unwrap();
        ends.push(writer.bytes());
    }
    drop(writer);
    let whole = fs::read(&partial).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&partial, &bytes).unwrap();
        bytes
    };
    let end = |place: usize| ends[place] as usize;
    type Damage<'d> = &'d dyn Fn(&mut Vec<u8>);
    let damaged: [(&str, usize, Damage<'_>); 6] = [
        ("a bit of the content of the first block", 0, &|bytes| bytes[end(0) + 40] ^= 1),
        ("a bit of the head of the second", 1, &|bytes| bytes[end(1) + 3] ^= 1),
        ("some bytes are missing", 1, &|bytes| drop(bytes.drain(end(1) + 20..end(1) + 30))),
        ("a block is missing", 1, &|bytes| drop(bytes.drain(end(1)..end(2)))),
        ("a bit of the last", 2, &|bytes| bytes[end(2) + 40] ^= 1),
        ("the head of the last", 2, &|bytes| bytes[end(2)] ^= 1),
    ];
    for (what, block, change) in damaged {
        let bytes = changed(change);
        let refused = free(|| resume(&path)).err().unwrap_or_else(|| panic!("{what}"));
        let named = format!("is damaged at byte {}", ends[block]);
        assert!(refused.exit == Exit::Usage && refused.message.contains(&named), "{what}: {refused}");
        assert!(refused.hint.contains("give another name") && refused.hint.contains("--salvage"), "{}", refused.hint);
        assert_eq!(fs::read(&partial).unwrap(), bytes, "{what}");
    }
    // What a machine leaves that lost power before it wrote is torn as well.
    changed(&|bytes| {
        bytes.truncate(end(2));
        bytes.resize(end(2) + 5_000, 0);
    });
    let mut writer = free(|| resume(&path)).unwrap().0;
    assert_eq!(writer.keys().total(), 2);
    // Whoever goes on may turn out not to be the one who writes.
    assert_eq!(fs::metadata(&partial).unwrap().len(), ends[2] + 5_000, "nothing is cut yet");
    writer.append(&encode(&[string("d", "1")]).unwrap()[0]).unwrap();
    assert_eq!(fs::metadata(&partial).unwrap().len(), writer.bytes());
}

/// A piece that has lost some of its bytes may end beyond the file's end, as a torn one does.
#[test]
fn a_piece_that_ends_beyond_the_file_is_no_torn_end_where_others_follow_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let partial = partial_of(&path);
    let mut writer = Writer::create(&path, &header()).unwrap();
    let begins = writer.bytes();
    writer.append(&encode(&[string("large", noise(10_000))]).unwrap()[0]).unwrap();
    let ends = writer.bytes();
    writer.append(&encode(&[string("small", "1")]).unwrap()[0]).unwrap();
    drop(writer);
    let mut bytes = fs::read(&partial).unwrap();
    bytes.drain(begins as usize + 1_000..begins as usize + 2_000);
    fs::write(&partial, &bytes).unwrap();
    let refused = free(|| resume(&path)).err().unwrap();
    assert!(refused.message.contains(&format!("is damaged at byte {begins}: the file ends at byte")), "{refused}");
    assert_eq!(fs::read(&partial).unwrap(), bytes);
    // Without what follows it is one.
    bytes.truncate(ends as usize - 1_000);
    fs::write(&partial, &bytes).unwrap();
    assert_eq!(free(|| resume(&path)).unwrap().0.keys().total(), 0);
}

#[test]
fn only_a_file_of_its_own_that_nobody_else_may_read_is_gone_on_with() {
    use std::os::unix::fs::{chown, symlink};
    let dir = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (dir.path().join("b"), dir.path().join("elsewhere"));
    let partial = partial_of(&path);
    drop(Writer::create(&path, &header()).unwrap());
    assert!(free(|| resume(&path)).is_ok());
    let refused = |why: &str| {
        let before = fs::read(&partial).unwrap();
        let failure = free(|| resume(&path)).err().unwrap_or_else(|| panic!("{why}"));
        assert!(failure.exit == Exit::Usage && failure.message.contains(why), "{why}: {failure}");
        assert!(failure.hint.contains("move it away"), "{}", failure.hint);
        assert_eq!(fs::read(&partial).unwrap(), before, "{why}");
    };
    for mode in [0o666, 0o640, 0o604] {
        fs::set_permissions(&partial, fs::Permissions::from_mode(mode)).unwrap();
        refused("others may read or write it");
    }
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&partial, &elsewhere).unwrap();
    refused("a hard link");
    fs::remove_file(&partial).unwrap();
    symlink(&elsewhere, &partial).unwrap();
    refused("symbolic link");
    fs::remove_file(&partial).unwrap();
    fs::rename(&elsewhere, &partial).unwrap();
    assert!(free(|| resume(&path)).is_ok());
    // Only a superuser can make a file somebody else's.
    if chown(&partial, Some(65_534), None).is_ok() {
        refused("belongs to another user");
    }
    fs::remove_file(&partial).unwrap();
    // A pipe would be waited for.
    assert!(std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&partial).status().unwrap().success());
    assert!(free(|| resume(&path)).err().unwrap().message.contains("no ordinary file"));
    assert!(free(|| remove_broken_off(&path)).unwrap());
}

#[test]
fn one_that_broke_off_is_removed_and_one_that_is_written_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    assert!(!remove_broken_off(&path).unwrap());
    let writer = Writer::create(&path, &header()).unwrap();
    assert!(remove_broken_off(&path).unwrap_err().message.contains("is being written"));
    drop(writer);
    assert!(free(|| remove_broken_off(&path)).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn nothing_is_left_of_what_is_discarded_and_all_of_what_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    drop(Writer::create(&path, &header()).unwrap());
    assert!(partial_of(&path).exists() && !path.exists());
    fs::remove_file(partial_of(&path)).unwrap();
    Writer::create(&path, &header()).unwrap().discard().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
