use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    folder
}

fn render(name: &str) -> String {
    render_with(name, "")
}

fn render_with(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: {name}}}, spec: {{source: {{path: .}}, {spec}}}}}"
    )
}

fn layout(folder: &tempfile::TempDir) -> Layout {
    Layout::new(folder.path().to_owned(), None)
}

fn snapshot(folder: &tempfile::TempDir) -> Snapshot {
    Scanner::default().take(&layout(folder))
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let relative = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
    snapshot(folder).files.keys().map(relative).collect()
}

fn problems(folder: &tempfile::TempDir) -> Vec<String> {
    scan(&snapshot(folder)).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn leftovers_and_compositions_are_not_manifests() {
    let folder = folder(&[
        ("a.yaml", ""),
        ("b.yml", ""),
        ("c.json", ""),
        ("sub/d.yaml", ""),
        ("e.txt", ""),
        (".hidden.yaml", ""),
        (".status/x.yaml", ""),
        ("f.yaml~", ""),
        ("#g.yaml#", ""),
        ("h.yaml.tmp", ""),
        ("4913", ""),
        ("site/index.html", ""),
        ("site/package.json", ""),
        ("site/data/i.yaml", ""),
        ("site/render.yaml", "apiVersion: hyperframes.io/v1alpha1"),
    ]);
    assert_eq!(names(&folder), ["a.yaml", "b.yml", "c.json", "sub/d.yaml"]);
    assert_eq!(snapshot(&folder).misplaced, [folder.path().join("site/render.yaml")]);
}

#[test]
fn a_folder_that_is_itself_a_project_has_its_manifests_at_the_top() {
    let folder = folder(&[("index.html", ""), ("a.yaml", ""), ("data.json", ""), ("data/b.yaml", "")]);
    assert_eq!(names(&folder), ["a.yaml"]);
}

#[test]
fn a_mounted_config_map_is_read_through_its_links() {
    let folder = folder(&[("..2026_11/a.yaml", "")]);
    std::os::unix::fs::symlink("..2026_11", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
    assert_eq!(names(&folder), ["a.yaml"]);
}

#[test]
fn what_is_no_regular_file_is_a_problem_and_nobody_waits_for_it() {
    let folder = folder(&[("a.yaml", &render("one"))]);
    nix::unistd::mkfifo(&folder.path().join("pipe.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.txt")).unwrap();
    std::os::unix::fs::symlink(".", folder.path().join("circle")).unwrap();
    let problems = problems(&folder);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("lost.yaml"), "{problems:?}");
    assert!(problems[1..].iter().all(|problem| problem.contains("is not a regular file")), "{problems:?}");
    assert_eq!(scan(&snapshot(&folder)).objects.len(), 1);
}

#[test]
fn files_of_others_are_passed_over() {
    let folder =
        folder(&[("docker-compose.yml", "services: {}\n"), ("values.yaml", "{{ x }}\n"), ("a.yaml", &render("one"))]);
    assert_eq!(problems(&folder), [""; 0]);
    assert_eq!(snapshot(&folder).foreign().count(), 2);
}

#[test]
fn an_identity_in_two_files_is_an_error_in_both() {
    let folder =
        folder(&[("a.yaml", &render("one")), ("b.yaml", &format!("{}\n---\n{}", render("one"), render("two")))]);
    assert_eq!(
        problems(&folder),
        [
            "a.yaml:1:1: Render default/one is also defined in b.yaml: rename one",
            "b.yaml:1:1: Render default/one is also defined in a.yaml: rename one",
        ]
    );
    let scan = scan(&snapshot(&folder));
    let found: Vec<_> = scan.objects.iter().map(|(key, found)| (key.name.as_str(), found.is_some())).collect();
    assert_eq!(found, [("one", false), ("two", true)]);
}

#[test]
fn a_video_of_two_renders_is_an_error_in_both_also_through_links() {
    let other = render("one").replace("name: one", "name: one, namespace: other");
    let folder = folder(&[
        ("a.yaml", &render("one")),
        ("b.yaml", &other),
        ("sub/c.yaml", &render("one2")),
        ("d.yaml", &render_with("real", "output: {path: real/x.mp4}")),
        ("e.yaml", &render_with("linked", "output: {path: link/x.mp4}")),
        ("real/.keep", ""),
    ]);
    std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
    let problems = problems(&folder);
    let places: Vec<_> = problems.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    assert_eq!(places, ["a.yaml", "b.yaml", "d.yaml", "e.yaml"]);
    assert!(problems[0].contains("Render default/one and Render other/one have the same video"), "{problems:?}");
    assert_eq!(scan(&snapshot(&folder)).objects.values().filter(|found| found.is_some()).count(), 1);
}

#[test]
fn a_video_cannot_lie_inside_another() {
    let folder = folder(&[
        ("a.yaml", &render_with("outer", "output: {path: x.mp4}")),
        ("b.yaml", &render_with("inner", "output: {path: x.mp4/y.mp4}")),
        ("c.yaml", &render_with("beside", "output: {path: x.mp4.mp4}")),
    ]);
    let problems = problems(&folder);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("would lie inside that of Render default/outer"), "{problems:?}");
}

#[test]
fn state_of_its_own_below_is_noticed() {
    let folder = folder(&[("a.yaml", ""), ("sub/b.yaml", ""), ("sub/.status/.state/lock", "")]);
    assert_eq!(snapshot(&folder).nested, [folder.path().join("sub")]);
}

#[test]
fn a_file_is_read_again_only_when_it_has_changed() {
    let folder = folder(&[("a.yaml", &render("one"))]);
    let mut scanner = Scanner::default();
    let file = |snapshot: &Snapshot| Arc::clone(snapshot.files.values().next().unwrap().as_ref().unwrap());
    let first = file(&scanner.take(&layout(&folder)));
    assert!(Arc::ptr_eq(&first, &file(&scanner.take(&layout(&folder)))));
    fs_err::write(folder.path().join("a.yaml"), render("longer")).unwrap();
    assert!(!Arc::ptr_eq(&first, &file(&scanner.take(&layout(&folder)))));
}

/// A file that is written to all the time keeps the others from nothing.
#[tokio::test]
async fn a_file_that_never_comes_to_rest_is_left_out_and_the_others_are_read() {
    let folder = folder(&[("a.yaml", &render("one")), ("busy.yaml", &render("busy"))]);
    let busy = folder.path().join("busy.yaml");
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        for n in 0_u64.. {
            fs_err::write(&busy, format!("{}\n# {n}", render("busy"))).unwrap();
            if stopped.try_recv().is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let (_, snapshot) = Scanner::default().take_stable(&layout(&folder)).await;
    let scan = scan(&snapshot);
    assert_eq!(scan.objects.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["one"]);
    assert!(scan.unreadable.contains(&folder.path().join("busy.yaml")));
    stop.send(()).unwrap();
    writing.await.unwrap();
}

#[test]
fn a_run_may_be_about_a_part_of_a_folder() {
    let folder = folder(&[("a.yaml", ""), ("sub/b.yaml", ""), ("sub/c.txt", ""), ("other/d.yaml", "")]);
    let only = ["a.yaml", "sub/c.txt", "other"].map(|path| folder.path().join(path));
    let layout = layout(&folder).limited_to(only.to_vec());
    let snapshot = Scanner::default().take(&layout);
    let names: Vec<_> = snapshot.files.keys().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
    assert_eq!(names, ["a.yaml", "other/d.yaml", "sub/c.txt"].map(Path::new));
    assert!(layout.covers(&folder.path().join("other/new.yaml")) && !layout.covers(&folder.path().join("sub/b.yaml")));
}
