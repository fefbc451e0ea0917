//! A local folder. Keys are paths; what files cannot say (content type, user metadata, tags) is kept in
//! an extended attribute, where the file system has them. A key that ends with a slash is a folder
//! without files.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use rustix::fs::XattrFlags;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{Attributes, Content, Entry, Fault, Flow, Head, Page, Piece, Store, Version};
use crate::runners::migrate::row::hex;

/// Files in one piece of a listing.
const PAGE: usize = 10_000;
/// A file up to here is read at once.
const SMALL: u64 = 1 << 20;
/// Bytes of a longer one that are read at a time.
const CHUNK: usize = 256 << 10;
/// A file under way is called so, beside the one that it becomes.
const UNDER_WAY: &str = ".ifso-part-";
/// Where headers are kept, as JSON.
const XATTR: &str = "user.ifso.headers";
/// The longest of them: more than S3 allows.
const LONGEST_XATTR: usize = 16 << 10;
/// Bytes of a file's name at most.
const LONGEST_NAME: usize = 255;

/// One end in a folder.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// # Errors
    /// Where there is no such folder, for people.
    pub(super) fn new(path: &Path, prefix: &str) -> Result<Self, String> {
        if !path.is_dir() {
            let path = path.display();
            return Err(format!("there is no folder `{path}`; make it, or correct `path`"));
        }
        Ok(Self { root: path.join(prefix) })
    }

    /// Where the key's file is.
    fn path(&self, key: &str) -> Result<PathBuf, Fault> {
        let parts = key.strip_suffix('/').unwrap_or(key).split('/');
        for part in parts {
            let why = match part {
                "" => "has an empty part",
                "." | ".." => "has a part `.` or `..`",
                part if part.len() > LONGEST_NAME => "has a part longer than 255 bytes",
                part if part.contains('\0') => "holds a zero byte",
                part if part.starts_with(UNDER_WAY) => "looks like a file under way",
                _ => continue,
            };
            return Err(Fault::Refused(format!("its key {why}, which no folder can keep")));
        }
        Ok(self.root.join(key))
    }

    /// Where it is written: always the same for a key, so that an upload is found again.
    fn under_way(path: &Path) -> PathBuf {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name);
        path.with_file_name(format!("{UNDER_WAY}{}", hex(&hash.as_ref()[..16])))
    }
}

fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::Gone,
        ErrorKind::PermissionDenied => Fault::Denied(format!("the folder: {error}")),
        ErrorKind::Interrupted | ErrorKind::ResourceBusy => Fault::Busy(error.to_string()),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => Fault::Refused(format!(
            "one key is a folder of another ({error}), which no folder can keep"
        )),
        _ => Fault::Refused(format!("the folder: {error}")),
    }
}

fn version(meta: &Metadata) -> Version {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    // The time of the last change of the inode cannot be set back.
    let mtime = nanos(meta.mtime(), meta.mtime_nsec());
    let ctime = nanos(meta.ctime(), meta.ctime_nsec());
    Version {
        size: if meta.is_dir() { 0 } else { meta.len() },
        modified: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
        etag: (!meta.is_dir()).then(|| format!("{mtime:x}.{ctime:x}.{:x}", meta.ino())),
    }
}

fn headers(path: &Path) -> Attributes {
    let mut value = vec![0; LONGEST_XATTR];
    match rustix::fs::getxattr(path, XATTR, value.as_mut_slice()) {
        Ok(length) => serde_json::from_slice(&value[..length]).unwrap_or_default(),
        Err(_) => Attributes::new(),
    }
}

/// Keeps what the file itself cannot say. A file system without such attributes loses them.
fn keep(file: &Path, attributes: &Attributes) -> io::Result<()> {
    if attributes.is_empty() {
        return Ok(());
    }
    let value = serde_json::to_vec(attributes)?;
    match rustix::fs::setxattr(file, XATTR, &value, XattrFlags::empty()) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::NOTSUP) => {
            tracing::debug!(file = %file.display(), "The file system keeps no headers of objects");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Blocking work with a file.
async fn blocking<T, F>(work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Fault::Refused(format!("the work crashed: {error}")))?;
    done.map_err(|error| fault(&error))
}

/// Writes content into `file`, which is there, from `offset` on.
async fn write(file: PathBuf, offset: u64, content: Content) -> Result<(), Fault> {
    let (mut flow, size) = match content {
        Content::Whole(bytes, _) => {
            return blocking(move || opened(&file)?.write_all_at(&bytes, offset)).await;
        }
        Content::Flow(flow, size) => (flow, size),
    };
    let open = blocking(move || opened(&file)).await?;
    let (mut at, mut gathered) = (offset, Vec::<u8>::with_capacity(CHUNK));
    loop {
        let chunk = flow.try_next().await?;
        let ended = chunk.is_none();
        gathered.extend(chunk.iter().flatten());
        if gathered.len() >= CHUNK || ended {
            let bytes = std::mem::replace(&mut gathered, Vec::with_capacity(CHUNK));
            let (file, written) = (open.try_clone().map_err(|error| fault(&error))?, at);
            at += bytes.len() as u64;
            blocking(move || file.write_all_at(&bytes, written)).await?;
        }
        if ended {
            break;
        }
    }
    if at - offset == size { Ok(()) } else { Err(Fault::Broken("it ended early".to_owned())) }
}

fn opened(file: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).open(file)
}

fn make(file: &Path) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(file).map(drop)
}

/// Listing, depth first; folders sort as if their names ended with a slash.
struct Walk<'a> {
    root: &'a Path,
    from: Option<&'a str>,
    page: Page,
}

impl Walk<'_> {
    /// Lists what is below `within`, and says whether there was anything. Stops when the page is full.
    fn folder(&mut self, within: &str) -> io::Result<bool> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(self.root.join(within)) {
            // It went away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && !within.is_empty() => {
                return Ok(true);
            }
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.odd(format!("{within}{name}"), "its name is not UTF-8");
                continue;
            };
            if name.starts_with(UNDER_WAY) {
                continue;
            }
            let kind = entry.file_type()?;
            let slash = if kind.is_dir() { "/" } else { "" };
            found.push((format!("{within}{name}{slash}"), kind));
        }
        found.sort_by(|one, two| one.0.cmp(&two.0));
        let any = !found.is_empty();
        for (key, kind) in found {
            if self.page.next.is_some() {
                break;
            }
            if kind.is_dir() {
                let passed = |from: &str| key.as_str() < from && !from.starts_with(&key);
                if !self.from.is_some_and(passed) && !self.folder(&key)? {
                    self.entry(key)?;
                }
            } else if kind.is_file() {
                self.entry(key)?;
            } else {
                self.odd(key, "it is neither a file nor a folder; links are not followed");
            }
        }
        Ok(any)
    }

    fn entry(&mut self, key: String) -> io::Result<()> {
        if self.from.is_some_and(|from| key.as_str() <= from) {
            return Ok(());
        }
        match fs::symlink_metadata(self.root.join(&key)) {
            Ok(meta) => self.page.entries.push(Entry { version: version(&meta), key }),
            // It went away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        if self.page.entries.len() >= PAGE {
            self.page.next = self.page.entries.last().map(|entry| format!("k{}", entry.key));
        }
        Ok(())
    }

    fn odd(&mut self, key: String, why: &str) {
        if self.from.is_none_or(|from| key.as_str() > from) {
            self.page.odd.push((key, why.to_owned()));
        }
    }
}

#[async_trait]
impl Store for Folder {
    async fn probe(&self) -> Result<(), Fault> {
        // A folder below is made with its first file.
        Ok(())
    }

    async fn gives(&self) -> Result<(), Fault> {
        match tokio::fs::metadata(&self.root).await {
            Ok(root) if root.is_dir() => Ok(()),
            _ => Err(Fault::Refused(format!(
                "there is no folder `{}`; make it, or correct the name",
                self.root.components().as_path().display()
            ))),
        }
    }

    async fn list(&self, from: Option<&str>) -> Result<Page, Fault> {
        let (root, from) = (self.root.clone(), from.map(|from| from[1..].to_owned()));
        let listed = blocking(move || {
            let mut walk = Walk { root: &root, from: from.as_deref(), page: Page::default() };
            walk.folder("")?;
            Ok(walk.page)
        });
        match listed.await {
            // A folder that nobody made yet is empty.
            Err(Fault::Gone) => Ok(Page::default()),
            listed => listed,
        }
    }

    async fn head(&self, key: &str) -> Result<Head, Fault> {
        let path = self.path(key)?;
        let folder = key.ends_with('/');
        blocking(move || {
            let meta = fs::symlink_metadata(&path)?;
            if meta.is_dir() != folder {
                return Err(ErrorKind::NotFound.into());
            }
            Ok(Head { version: version(&meta), attributes: headers(&path) })
        })
        .await
    }

    async fn get(&self, key: &str, bytes: Option<Range<u64>>) -> Result<(Head, Flow), Fault> {
        let path = self.path(key)?;
        let read = move || {
            let meta = fs::symlink_metadata(&path)?;
            let head = Head { version: version(&meta), attributes: headers(&path) };
            if meta.is_dir() {
                return Ok((head, None, Some(Bytes::new())));
            }
            let mut file = File::open(&path)?;
            if bytes.is_some() || meta.len() > SMALL {
                return Ok((head, Some((file, bytes)), None));
            }
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            Ok((head, None, Some(Bytes::from(content))))
        };
        let (head, file, content) = blocking(read).await?;
        if let Some(content) = content {
            return Ok((head, futures_util::stream::iter([Ok(content)]).boxed()));
        }
        let (file, bytes) = file.ok_or(Fault::Gone)?;
        let bytes = bytes.unwrap_or(0..head.version.size);
        let mut file = tokio::fs::File::from_std(file);
        file.seek(io::SeekFrom::Start(bytes.start)).await.map_err(|error| fault(&error))?;
        let flow = ReaderStream::with_capacity(file.take(bytes.end - bytes.start), CHUNK);
        Ok((head, flow.map_err(|error| fault(&error)).boxed()))
    }

    async fn put(
        &self,
        key: &str,
        attributes: &Attributes,
        content: Content,
    ) -> Result<Option<String>, Fault> {
        let path = self.path(key)?;
        if key.ends_with('/') {
            if !matches!(&content, Content::Whole(bytes, _) if bytes.is_empty()) {
                let why = "its key ends with a slash and it has content, which no folder can keep";
                return Err(Fault::Refused(why.to_owned()));
            }
            return blocking(move || fs::create_dir_all(path)).await.map(|()| None);
        }
        let (file, made) = (Self::under_way(&path), Self::under_way(&path));
        blocking(move || make(&made)).await?;
        write(file.clone(), 0, content).await?;
        let attributes = attributes.clone();
        blocking(move || keep(&file, &attributes).and_then(|()| fs::rename(file, path))).await?;
        Ok(None)
    }

    async fn begin(&self, key: &str, _: &Attributes) -> Result<String, Fault> {
        let file = Self::under_way(&self.path(key)?);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        blocking(move || make(&file)).await.map(|()| name)
    }

    async fn part(
        &self,
        key: &str,
        _: &str,
        piece: &Piece,
        content: Content,
    ) -> Result<Option<String>, Fault> {
        let file = Self::under_way(&self.path(key)?);
        match write(file, piece.bytes.start, content).await {
            Err(Fault::Gone) => Err(Fault::NoUpload),
            written => written.map(|()| None),
        }
    }

    async fn complete(
        &self,
        key: &str,
        _: &str,
        _: &[String],
        attributes: &Attributes,
    ) -> Result<Option<String>, Fault> {
        let path = self.path(key)?;
        let (file, attributes) = (Self::under_way(&path), attributes.clone());
        let completed = blocking(move || {
            keep(&file, &attributes)?;
            fs::rename(file, path)
        });
        match completed.await {
            Err(Fault::Gone) => Err(Fault::NoUpload),
            completed => completed.map(|()| None),
        }
    }

    async fn abort(&self, key: &str, _: &str) -> Result<(), Fault> {
        let file = Self::under_way(&self.path(key)?);
        match blocking(move || fs::remove_file(file)).await {
            Err(Fault::Gone) => Ok(()),
            removed => removed,
        }
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        let (path, root) = (self.path(key)?, self.root.clone());
        let folder = key.ends_with('/');
        blocking(move || {
            let removed = if folder { fs::remove_dir(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => return Ok(()),
                removed => removed?,
            }
            // Folders that are empty now go with it, as a bucket has none either.
            let above = path.ancestors().skip(1).take_while(|above| *above != root);
            for above in above {
                if !above.starts_with(&root) || fs::remove_dir(above).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    fn settle(&self) -> Result<(), Fault> {
        let synced = File::open(&self.root).and_then(|root| Ok(rustix::fs::syncfs(root)?));
        match synced {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(&error)),
            _ => Ok(()),
        }
    }
}
