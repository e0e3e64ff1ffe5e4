//! What the process asks of the system for itself, and what it reads of itself.

use std::fs;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::prometheus::Page;

/// tiny_http's threads parse a request line; std's 2 MB would be too much room.
const FOREIGN_STACK_BYTES: &str = "131072";

/// Prepares the process. Call it first in `main`, before any thread exists.
pub fn prepare() {
    close_files_to_others();
    bound_foreign_stacks();
    bound_heap();
    raise_descriptor_limit();
}

/// Databases and backups hold what applications say in their logs and errors, which may be anything. Their owner writes them, a
/// group may be let read them, nobody else is.
fn close_files_to_others() {
    umask(Mode::WGRP | Mode::RWXO);
}

/// Bounds the stacks of threads that libraries start without saying how large.
#[expect(unsafe_code, reason = "the environment is changed while no other thread exists that could read it")]
fn bound_foreign_stacks() {
    // SAFETY: `prepare` is called first in `main`; there is one thread.
    unsafe { std::env::set_var("RUST_MIN_STACK", FOREIGN_STACK_BYTES) };
}

/// Keeps glibc's heap small. Two arenas instead of one per thread: threads rarely meet and little lies idle. And what is
/// larger than 32 KB, such as a large body or a long list, comes from the system and goes back to it at once. In the heap, the
/// bodies of 240 clients at once leave so many holes that it takes twice their memory, and keeps it; left alone, glibc even
/// raises that threshold to 32 MB after the first larger buffer.
#[expect(unsafe_code, reason = "mallopt is a C function")]
fn bound_heap() {
    const ARENAS: libc::c_int = 2;
    const MMAP_THRESHOLD_BYTES: libc::c_int = 32 << 10;
    // SAFETY: mallopt takes two numbers and touches nothing of ours.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    }
}

/// Gives memory that is free inside our heap back to the system; glibc keeps it otherwise, in pieces between what is in use.
/// Takes less than a millisecond: call it after the start and now and then.
#[expect(unsafe_code, reason = "malloc_trim is a C function")]
pub(crate) fn give_memory_back() {
    // SAFETY: malloc_trim touches only free memory.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the pages of our own code out of memory; those still needed come back from the file at once. Half of a small
/// service's resident memory is code that only its start runs. Call it when that is over.
#[expect(unsafe_code, reason = "madvise is a C function")]
pub fn give_code_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    let Ok(program) = fs::read_link("/proc/self/exe") else { return };
    // Executable pages are never written, so nothing is lost with them.
    let code = maps.lines().filter(|line| line.contains(" r-xp ") && line.ends_with(&*program.to_string_lossy()));
    for (start, end) in code.filter_map(address_range) {
        // SAFETY: a private, unwritten mapping of a file; what is dropped is read again from there.
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
    }
}

/// The addresses at the start of a line of `/proc/self/maps`.
fn address_range(line: &str) -> Option<(usize, usize)> {
    let (start, rest) = line.split_once('-')?;
    let (end, _) = rest.split_once(' ')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

/// Every connection is a descriptor; the usual soft limit of 1024 is historical.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused only if the hard limit changed meanwhile; the soft limit then stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// How many file descriptors the process may have; none where there is no limit.
pub fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Resident memory in bytes, from `/proc/self/statm` (proc(5)); none where there is no `/proc`.
pub fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Open file descriptors.
pub fn open_descriptors() -> Option<usize> {
    // One of them is the folder being read.
    fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1))
}

/// Appends the process's own figures.
pub fn render(page: &mut Page, uptime: Duration) {
    if let Some(bytes) = resident_bytes() {
        page.gauge("process_resident_memory_bytes", "Resident memory.", bytes);
    }
    if let Some(count) = open_descriptors() {
        page.gauge("process_open_fds", "Open file descriptors.", count);
    }
    page.gauge("monlight_uptime_seconds", "Since the start.", uptime.as_secs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_between_what_is_in_use_is_given_back() {
        const BLOCKS: usize = 64 << 10;
        const BLOCK_BYTES: usize = 512;
        let mut blocks: Vec<Option<Vec<u8>>> = (0..BLOCKS).map(|_| Some(vec![1; BLOCK_BYTES])).collect();
        let full = resident_bytes().expect("a number");
        for (number, block) in blocks.iter_mut().enumerate() {
            if number % 100 > 0 {
                *block = None;
            }
        }
        give_memory_back();
        let left = resident_bytes().expect("a number");
        // Other tests run beside this one, so half of it will do.
        assert!(left + ((BLOCKS * BLOCK_BYTES / 2) as u64) < full, "{full} bytes, then {left}");
        assert_eq!(blocks.iter().flatten().count(), BLOCKS.div_ceil(100));
    }

    #[test]
    fn code_that_was_given_back_is_there_when_needed() {
        give_code_back();
        assert!(resident_bytes().is_some_and(|bytes| bytes > 0));
        assert_eq!(address_range("7f00a000-7f00b000 r-xp 00000000 08:01 42 /bin/x"), Some((0x7f00_a000, 0x7f00_b000)));
        assert_eq!(address_range("no range"), None);
    }
}
