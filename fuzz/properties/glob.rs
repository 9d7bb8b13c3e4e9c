//! How Redis matches a glob: `stringmatchlen` of its util.c, line by line.

/// Whether a key is let through by a glob.
pub(crate) fn redis_matches(glob: &[u8], key: &[u8]) -> bool {
    matches(glob, key, &mut false)
}

fn matches(mut glob: &[u8], mut key: &[u8], skip_longer: &mut bool) -> bool {
    while let (Some((first, rest)), false) = (glob.split_first(), key.is_empty()) {
        match first {
            b'*' => return star(rest, key, skip_longer),
            b'?' => (glob, key) = (rest, &key[1..]),
            b'[' => {
                let (taken, behind) = class(rest, key[0]);
                if !taken {
                    return false;
                }
                (glob, key) = (behind, &key[1..]);
            }
            _ => {
                let literal = if *first == b'\\' && !rest.is_empty() { rest } else { glob };
                if literal[0] != key[0] {
                    return false;
                }
                (glob, key) = (&literal[1..], &key[1..]);
            }
        }
    }
    if key.is_empty() {
        glob = &glob[glob.iter().take_while(|byte| **byte == b'*').count()..];
    }
    glob.is_empty() && key.is_empty()
}

fn star(mut rest: &[u8], mut key: &[u8], skip_longer: &mut bool) -> bool {
    while rest.first() == Some(&b'*') {
        rest = &rest[1..];
    }
    if rest.is_empty() {
        return true;
    }
    while !key.is_empty() {
        if matches(rest, key, skip_longer) {
            return true;
        }
        if *skip_longer {
            return false;
        }
        key = &key[1..];
    }
    // There was no match for the rest of the glob from anywhere in the rest of the key.
    *skip_longer = true;
    false
}

/// Reads a class behind its bracket; gives whether it has the byte, and what follows the class.
fn class(mut glob: &[u8], byte: u8) -> (bool, &[u8]) {
    let negated = glob.first() == Some(&b'^');
    glob = &glob[usize::from(negated)..];
    let mut taken = false;
    loop {
        match glob {
            [b'\\', escaped, rest @ ..] => {
                taken |= *escaped == byte;
                glob = rest;
            }
            [b']', rest @ ..] => {
                glob = rest;
                break;
            }
            [] => break,
            [from, b'-', to, rest @ ..] => {
                taken |= (*from.min(to)..=*from.max(to)).contains(&byte);
                glob = rest;
            }
            [one, rest @ ..] => {
                taken |= *one == byte;
                glob = rest;
            }
        }
    }
    (taken != negated, glob)
}
