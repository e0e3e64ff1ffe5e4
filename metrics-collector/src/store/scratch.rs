//! Series and values in a file that has no name, in groups whose sizes are known beforehand: for what does not fit into memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use common::db;

use crate::series::SeriesId;

/// A series and a value.
const PAIR_BYTES: usize = 16;
/// What all groups together hold in memory before they are written.
const BUFFERS_BYTES: usize = 1 << 20;
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// It is gone when dropped, and when the process dies.
pub(super) struct Scratch {
    file: File,
    groups: Vec<Group>,
    buffer_bytes: usize,
}

struct Group {
    /// Where its next bytes go.
    end: u64,
    buffer: Vec<u8>,
    pairs: u64,
}

impl Scratch {
    /// An empty one beside the database, for groups of so many pairs.
    pub(super) fn create(database: &Path, sizes: impl Iterator<Item = u64>) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = db::with_suffix(database, &format!("-scratch-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        fs::remove_file(&path)?;
        let mut end = 0;
        let group = |pairs: u64| {
            let group = Group { end, buffer: Vec::new(), pairs };
            end += pairs * PAIR_BYTES as u64;
            group
        };
        let groups: Vec<_> = sizes.map(group).collect();
        let share = BUFFERS_BYTES / groups.len().max(1) / PAIR_BYTES * PAIR_BYTES;
        Ok(Self { file, groups, buffer_bytes: share.clamp(PAIR_BYTES, BUFFER_BYTES_MAX) })
    }

    /// Adds a pair to a group, which must have room for it.
    pub(super) fn push(&mut self, group: usize, series: SeriesId, value: f64) -> io::Result<()> {
        let group = &mut self.groups[group];
        group.buffer.extend_from_slice(&series.to_le_bytes());
        group.buffer.extend_from_slice(&value.to_le_bytes());
        if group.buffer.len() >= self.buffer_bytes {
            group.write(&self.file)?;
        }
        Ok(())
    }

    /// Writes what is in memory. Comes before the first [`read`](Self::read).
    pub(super) fn finish(&mut self) -> io::Result<()> {
        for group in &mut self.groups {
            group.write(&self.file)?;
            group.buffer = Vec::new();
        }
        Ok(())
    }

    /// Calls `each` with all pairs of a group.
    pub(super) fn read(&self, group: usize, mut each: impl FnMut(SeriesId, f64)) -> io::Result<()> {
        let Group { end, pairs, .. } = self.groups[group];
        let mut place = end - pairs * PAIR_BYTES as u64;
        let mut buffer = vec![0; BUFFER_BYTES_MAX];
        while place < end {
            let bytes = &mut buffer[..BUFFER_BYTES_MAX.min((end - place) as usize)];
            self.file.read_exact_at(bytes, place)?;
            for pair in bytes.as_chunks::<PAIR_BYTES>().0 {
                let [series, value] = [0, 8].map(|at| pair[at..].first_chunk::<8>().copied().unwrap_or_default());
                each(i64::from_le_bytes(series), f64::from_le_bytes(value));
            }
            place += bytes.len() as u64;
        }
        Ok(())
    }
}

impl Group {
    fn write(&mut self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.buffer, self.end)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::testing::{Random, TempDir};

    use super::*;

    #[test]
    fn each_group_has_its_pairs() {
        let folder = TempDir::new();
        let sizes = [20_000, 1, 0, 70_000];
        let mut scratch = Scratch::create(&folder.path().join("x.db"), sizes.into_iter()).expect("a file");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "it has no name");
        let mut left: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(group, size)| vec![group; *size as usize]).collect();
        let mut random = Random::new();
        let mut expected = vec![Vec::new(); sizes.len()];
        while !left.is_empty() {
            let group = left.swap_remove(random.below(left.len()));
            let pair = (random.below(1 << 40) as SeriesId, random.below(1 << 40) as f64 / 7.0);
            scratch.push(group, pair.0, pair.1).expect("written");
            expected[group].push(pair);
        }
        scratch.finish().expect("written");
        for (group, expected) in expected.into_iter().enumerate() {
            let mut found = Vec::new();
            scratch.read(group, |series, value| found.push((series, value))).expect("read");
            assert!(found == expected, "group {group}");
        }
    }

    #[test]
    fn where_no_file_can_be_is_none() {
        let folder = TempDir::new();
        assert!(Scratch::create(&folder.path().join("absent/x.db"), [1].into_iter()).is_err());
    }
}
