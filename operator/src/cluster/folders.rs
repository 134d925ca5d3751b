//! Whether the folders that the environment names can be used, before anything relies on them.

use std::{
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use fs_err as fs;
use tokio::time::timeout;

use super::settings::{OUTPUTS, SOURCES, WORK_DIR, wrong};
use crate::{
    error::Error,
    files::{blocking, create_dir_all},
    ports::Folders,
};

/// How long their disks may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Makes the folders that are written to where they are missing, and tries all of them.
///
/// # Errors
/// [`Error::Setting`] for one that is none, that cannot be read or written, or whose disk does not answer. A disk that is
/// full is no error: videos may be removed while the operator runs.
pub(super) async fn check(folders: &Folders) -> Result<(), Error> {
    for (name, folder, written) in [
        (SOURCES, folders.sources.as_deref(), false),
        (WORK_DIR, Some(&*folders.work), true),
        (OUTPUTS, Some(&*folders.outputs), true),
    ] {
        let Some(folder) = folder.map(Path::to_owned) else { continue };
        let tried = blocking(move || if written { try_to_write(&folder) } else { fs::read_dir(folder).map(drop) });
        match timeout(ANSWER, tried).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(wrong(name, error.to_string())),
            Err(_) => return Err(wrong(name, format!("its disk does not answer within {} s", ANSWER.as_secs()))),
        }
    }
    Ok(())
}

fn try_to_write(folder: &Path) -> io::Result<()> {
    create_dir_all(folder)?;
    // What the permissions say is not the whole truth: a file system may be read-only.
    match tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder) {
        Err(error) if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folders_that_are_missing_are_made_but_for_that_of_sources() {
        let root = tempfile::tempdir().unwrap();
        let folders = |sources: Option<&str>, work: &str| Folders {
            sources: sources.map(|name| root.path().join(name)),
            work: root.path().join(work),
            outputs: root.path().join(work).join("outputs"),
        };
        check(&folders(None, "a/work")).await.unwrap();
        assert_eq!(fs::read_dir(root.path().join("a/work")).unwrap().count(), 1, "nothing is left but the outputs");
        fs::write(root.path().join("file"), "").unwrap();
        for (folders, expected) in [
            (folders(Some("none"), "a/work"), "HF_SOURCES: "),
            (folders(Some("file"), "a/work"), "HF_SOURCES: "),
            (folders(Some("a"), "file"), "HF_WORK_DIR: "),
            (folders(Some("a"), "file/work"), "HF_WORK_DIR: "),
            (Folders { outputs: "/sys/outputs".into(), ..folders(Some("a"), "a/work") }, "HF_OUTPUTS: "),
        ] {
            let error = check(&folders).await.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
