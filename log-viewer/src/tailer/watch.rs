//! Waits until something happens to the log files: inotify(7), so that a line is read when it is written.

use std::collections::{HashMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Some events at a time; each is 16 bytes and a file's name.
const BUFFER_BYTES: usize = 8 << 10;

/// What has changed since the last look.
#[derive(Default)]
pub(super) struct Changes {
    /// Containers with new bytes or files.
    pub(super) containers: HashSet<String>,
    /// Containers came, went, or were described anew.
    pub(super) list: bool,
}

/// Watches the folder of containers and each of theirs.
pub(super) struct Watch {
    inotify: OwnedFd,
    root: Option<i32>,
    containers: HashMap<i32, String>,
    ids: HashMap<String, i32>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { inotify, root: None, containers: HashMap::new(), ids: HashMap::new() })
    }

    /// Watches the folder in which containers come and go. To ask again costs nothing.
    pub(super) fn root(&mut self, folder: &Path) -> io::Result<()> {
        let events = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        self.root = Some(inotify::add_watch(&self.inotify, folder, events)?);
        Ok(())
    }

    /// Watches one container's folder.
    pub(super) fn add(&mut self, id: &str, folder: &Path) -> io::Result<()> {
        if self.ids.contains_key(id) {
            return Ok(());
        }
        let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let descriptor = inotify::add_watch(&self.inotify, folder, events)?;
        self.containers.insert(descriptor, id.to_owned());
        self.ids.insert(id.to_owned(), descriptor);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(descriptor) = self.ids.remove(id) {
            self.containers.remove(&descriptor);
            // The kernel has done it already if the folder is gone.
            let _ = inotify::remove_watch(&self.inotify, descriptor);
        }
    }

    /// Waits up to `patience` and takes what has happened.
    pub(super) fn wait(&self, patience: Duration) -> io::Result<Changes> {
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        let mut changes = Changes::default();
        match poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(changes),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => self.note(event.wd(), event.events(), event.file_name(), &mut changes),
                Err(Errno::AGAIN) => return Ok(changes),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn note(&self, descriptor: i32, events: ReadFlags, file: Option<&std::ffi::CStr>, changes: &mut Changes) {
        // Some events were lost: everything is looked at.
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            changes.list = true;
            changes.containers.extend(self.ids.keys().cloned());
        }
        if Some(descriptor) == self.root {
            changes.list = true;
        } else if let Some(id) = self.containers.get(&descriptor) {
            let is_log = file.is_some_and(|name| name.to_bytes().windows(9).any(|part| part == b"-json.log"));
            if is_log {
                changes.containers.insert(id.clone());
            } else {
                changes.list = true;
            }
        }
    }
}
