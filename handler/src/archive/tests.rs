use std::io::Write as _;

use super::*;

/// What stands in an archive: a name, a kind, a content.
type Entry<'a> = (&'a str, EntryType, &'a [u8]);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A tar with names as they are, also those that `tar` itself would not write.
fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn try_unpack(bytes: &[u8], limits: Limits) -> (tempfile::TempDir, Result<(), Error>) {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("project.tar.gz");
    files::write(&from, bytes).unwrap();
    let result = unpack(&from, &folder.path().join("project"), limits);
    (folder, result)
}

#[track_caller]
fn refused(entries: &[Entry<'_>], message: &str) {
    let (folder, result) = try_unpack(&gzip(&tar_of(entries)), Limits::default());
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::ArchiveInvalid, "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(files::names(folder.path()), ["project", "project.tar.gz"], "nothing is written beside the folder");
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn files_and_folders_are_unpacked_wherever_the_archive_is_rooted() {
    let entries: &[Entry<'_>] = &[
        ("./", EntryType::Directory, b""),
        ("./index.html", FILE, b"<html>"),
        ("assets/", EntryType::Directory, b""),
        ("assets/a.css", FILE, b"body{}"),
        ("without/folder/entry", FILE, b"x"),
    ];
    let (folder, result) = try_unpack(&gzip(&tar_of(entries)), Limits::default());
    result.unwrap();
    let project = folder.path().join("project");
    assert_eq!(files::names(&project), ["assets", "index.html", "without"]);
    assert_eq!(files::read(&project.join("without/folder/entry")).unwrap(), b"x");
    assert_eq!(files::read(&project.join("assets/a.css")).unwrap(), b"body{}");
}

#[test]
fn what_leads_out_or_is_no_file_is_refused() {
    refused(&[("../x", FILE, b"x")], "leads out");
    refused(&[("a/../../x", FILE, b"x")], "leads out");
    refused(&[("/tmp/x", FILE, b"x")], "leads out");
    refused(&[("a\\..\\x", FILE, b"x")], "no path everywhere");
    refused(&[("link", EntryType::Symlink, b"")], "links");
    refused(&[("link", EntryType::Link, b"")], "links");
    refused(&[("pipe", EntryType::Fifo, b"")], "devices");
    refused(&[("dev", EntryType::Block, b"")], "devices");
    refused(&[("a", FILE, b"1"), ("./a", FILE, b"2")], "twice");
}

#[test]
fn a_file_is_no_folder_of_others() {
    let (_, result) = try_unpack(&gzip(&tar_of(&[("a", FILE, b"1"), ("a/b", FILE, b"2")])), Limits::default());
    assert!(matches!(result, Err(Error::Files(_))));
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let whole = gzip(&tar_of(&[("index.html", FILE, &[b'x'; 5000])]));
    let mut checksum = whole.clone();
    let end = checksum.len() - 5;
    checksum[end] ^= 1;
    for bytes in [b"no gzip".to_vec(), whole[..whole.len() / 2].to_vec(), whole[..whole.len() - 4].to_vec(), checksum] {
        let (_, result) = try_unpack(&bytes, Limits::default());
        assert!(matches!(result, Err(Error::Damaged(_))), "{result:?}");
    }
}

#[test]
fn limits_hold() {
    let small = Limits { entries: 2, bytes: 100, ratio: 1000, free_bytes: 1000 };
    let two: &[Entry<'_>] = &[("a", FILE, &[0; 50]), ("b", FILE, &[0; 50])];
    try_unpack(&gzip(&tar_of(two)), small).1.unwrap();
    let too_large = |entries: &[Entry<'_>], limits| {
        let (_, result) = try_unpack(&gzip(&tar_of(entries)), limits);
        assert!(matches!(result, Err(Error::TooLarge(_))), "{result:?}");
    };
    too_large(&[("a", FILE, b""), ("b", FILE, b""), ("c", FILE, b"")], small);
    too_large(&[("a", FILE, &[0; 50]), ("b", FILE, &[0; 51])], small);
    let zeros = vec![0; 1 << 20];
    too_large(&[("a", FILE, &zeros)], Limits { free_bytes: 1000, ratio: 10, ..Limits::default() });
    try_unpack(&gzip(&tar_of(&[("a", FILE, &zeros)])), Limits::default()).1.unwrap();
    // Zeros behind the end of the tar are inflated too.
    let mut padded = tar_of(&[("a", FILE, b"x")]);
    padded.extend(vec![0; 1 << 20]);
    let (_, result) = try_unpack(&gzip(&padded), small);
    assert!(matches!(result, Err(Error::TooLarge(_))), "{result:?}");
}

#[test]
fn a_packed_folder_comes_back_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    for (name, content) in [("frame_000002.png", "two"), ("frame_000001.png", "one")] {
        files::write(&pictures.join(name), content.as_bytes()).unwrap();
    }
    let packed = [folder.path().join("1.tar.gz"), folder.path().join("2.tar.gz")];
    for to in &packed {
        pack(&pictures, to).unwrap();
    }
    assert_eq!(files::read(&packed[0]).unwrap(), files::read(&packed[1]).unwrap());
    let back = folder.path().join("back");
    unpack(&packed[0], &back, Limits::default()).unwrap();
    assert_eq!(files::names(&back), ["frame_000001.png", "frame_000002.png"]);
    assert_eq!(files::read(&back.join("frame_000001.png")).unwrap(), b"one");
}
