//! How far a container's log has been read.
//!
//! A container's log is one endless text made of files: `ID-json.log.2`, `.1` and `ID-json.log` are read as if they were
//! one, and rotation only changes their names. A cursor names the oldest file that is still needed and says, for stdout
//! and stderr each, how far from that file's start everything is stored. A position beyond the file's end lies in the
//! files after it.

/// What is known of a log file that may have been renamed or compressed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    /// Survives a rename, not a compression.
    pub(crate) inode: u64,
    /// A hash of the first record, which survives both; none in files written by the original.
    pub(crate) first_record: Option<u64>,
}

/// How far a container's log has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Docker's id of the container; its log's folder has that name.
    pub(crate) container_id: String,
    /// The path under which the file was last seen; for people.
    pub(crate) path: String,
    pub(crate) file: FileId,
    /// Every entry of stdout that begins before this byte is stored.
    pub(crate) stdout: u64,
    /// The same for stderr.
    pub(crate) stderr: u64,
}
