//! The comparison and the deletion of keys, on real servers.
