use std::os::unix::fs::symlink;

use futures::StreamExt as _;

use super::*;
use crate::ports::{Folders, Place as StackPlace};

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A folder with a project `site` and a manifest beside it.
struct Place(tempfile::TempDir, DiskSources);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("site/index.html"), "1");
        Self(folder, DiskSources::default())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn inputs(&self, spec: &str) -> Result<Inputs, SourceError> {
        let render: Render = serde_yaml::from_str(&format!(
            "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: a}}, spec: {{source: {{path: site}}, {spec}}}}}"
        ))
        .unwrap();
        let origin = Origin::File { path: Arc::from(self.path("a.yaml")), orphaned: false };
        self.1.inputs(&render, &origin, None)
    }

    fn hash(&self, spec: &str) -> String {
        self.inputs(spec).unwrap().hash
    }

    #[track_caller]
    fn refused(&self, spec: &str, code: Code) {
        match self.inputs(spec) {
            Err(SourceError::Invalid(failure)) => assert_eq!(failure.code, code, "{failure}"),
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn the_input_hash_follows_what_the_video_is_made_from_and_nothing_else() {
    let place = Place::new();
    let plain = place.hash("");
    assert_eq!(place.hash("priority: 3, output: {path: x.mp4}, chunking: {chunkSize: 60}"), plain);
    assert_eq!(place.hash("variables: {a: 1, b: 2}"), place.hash("variables: {b: 2, a: 1}"));
    for other in ["variables: {a: 1}", "output: {fps: 25}", "output: {quality: draft}", "strictness: strict"] {
        assert_ne!(place.hash(other), plain, "{other}");
    }
    write(&place.path("site/index.html"), "2");
    assert_eq!(place.hash(""), plain, "a digest is kept until something may have changed");
    place.1.touched(&[place.path("site/out/video.mp4")]);
    assert_eq!(place.hash(""), plain, "videos are not part of a site");
    place.1.touched(&[place.path("site/index.html")]);
    let second = place.hash("");
    assert_ne!(second, plain);
    write(&place.path("site/index.html"), "three");
    place.1.revalidate();
    assert_ne!(place.hash(""), second);
}

#[test]
fn a_change_wakes_those_who_depend_on_it() {
    let place = Place::new();
    let mut changes = place.1.dependents.changes();
    let mut woken = || std::iter::from_fn(|| futures::FutureExt::now_or_never(changes.next()).flatten()).count();
    place.hash("");
    assert_eq!(woken(), 0);
    place.1.touched(&[place.path("site/style.css")]);
    assert_eq!(woken(), 1);
    place.hash("");
    place.1.touched(&[place.path("out/a.mp4"), place.path("out/b.mp4")]);
    assert_eq!(woken(), 1, "its video, and no other");
    place.1.revalidate();
    assert_eq!(woken(), 0);
    write(&place.path("out/a.mp4"), "video");
    place.1.revalidate();
    assert_eq!(woken(), 1);
    // A link that leads to another release is another project.
    fs::rename(place.path("site"), place.path("one")).unwrap();
    write(&place.path("two/index.html"), "2");
    symlink("one", place.path("site")).unwrap();
    let first = place.hash("");
    woken();
    fs::remove_file(place.path("site")).unwrap();
    symlink("two", place.path("site")).unwrap();
    place.1.touched(&[place.path("site")]);
    assert!(woken() > 0);
    assert_ne!(place.hash(""), first);
    fs::remove_file(place.path("site")).unwrap();
    place.1.revalidate();
    assert!(woken() > 0);
    place.refused("", Code::ProjectNotFound);
}

#[test]
fn who_asks_for_a_look_has_the_files_read_again() {
    let place = Place::new();
    let first = place.hash("");
    write(&place.path("site/index.html"), "2");
    assert_eq!(place.hash(""), first);
    place.1.look_anew(&ObjectKey { kind: crate::ports::Kind::Render, namespace: "default".into(), name: "a".into() });
    assert_ne!(place.hash(""), first);
}

#[test]
fn only_a_plain_file_outside_the_project_is_written() {
    let place = Place::new();
    fs::create_dir(place.path("folder.mp4")).unwrap();
    write(&place.path("file.mp4"), "a video of before");
    nix::unistd::mkfifo(&place.path("pipe.mp4"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("nowhere.mp4", place.path("dangling.mp4")).unwrap();
    symlink("file.mp4", place.path("link.mp4")).unwrap();
    symlink("folder.mp4", place.path("to-folder.mp4")).unwrap();
    symlink("site", place.path("inside")).unwrap();
    symlink("/dev/null", place.path("null.mp4")).unwrap();
    let never = ["folder.mp4", "pipe.mp4", "dangling.mp4", "to-folder.mp4", "null.mp4", "file.mp4/a.mp4"];
    for path in never.into_iter().chain(["/dev/null/a.mp4", "/proc/a.mp4", "/sys/new/a.mp4"]) {
        place.refused(&format!("output: {{path: {path}}}"), Code::OutputNotReplaceable);
    }
    for path in ["site/a.mp4", "inside/a.mp4", "site/x/../a.mp4"] {
        let spec = format!("output: {{path: {path}}}");
        assert!(matches!(place.inputs(&spec), Err(SourceError::Invalid(_))), "{path}");
    }
    let target = |path: &str| place.inputs(&format!("output: {{path: {path}}}")).unwrap().target;
    assert_eq!(target("link.mp4"), place.path("file.mp4"));
    assert_eq!(target("new/er/a.mp4"), place.path("new/er/a.mp4"));
    assert_eq!(target("site/out/a.mp4"), place.path("site/out/a.mp4"));
}

#[test]
fn a_project_that_cannot_be_read_is_told_from_one_that_is_not_there() {
    let place = Place::new();
    fs::rename(place.path("site"), place.path("away")).unwrap();
    place.refused("", Code::ProjectNotFound);
    write(&place.path("site"), "a file");
    place.refused("", Code::ProjectNotFound);
    fs::remove_file(place.path("site")).unwrap();
    symlink("site", place.path("site")).unwrap();
    place.refused("", Code::IoFailed);
}

#[test]
fn a_work_folder_is_relative_to_its_file() {
    let mut stack = HyperframesStack::new("s", crds::HyperframesStackSpec::default());
    stack.spec.local = Some(crds::stack::LocalStack { max_parallel_chunks: Some(3), work_dir: Some("w".into()) });
    let origin = Origin::File { path: Arc::from(Path::new("/d/s.yaml")), orphaned: false };
    let place = |max_parallel_chunks, work_dir: &str| StackPlace::Local {
        max_parallel_chunks,
        work_dir: Some(work_dir.into()),
    };
    assert_eq!(stack_spec(&stack, &origin).unwrap().place, place(Some(3), "/d/w"));
    let cluster = Origin::Cluster(Arc::new(Folders { work: "/work".into(), ..Folders::default() }));
    assert_eq!(
        stack_spec(&stack, &cluster).unwrap().place,
        place(Some(3), "/work/w"),
        "in a cluster to the operator's"
    );
    for outside in ["/etc", "../w", "a/../../w"] {
        stack.spec.local.as_mut().unwrap().work_dir = Some(outside.to_owned());
        assert_eq!(stack_spec(&stack, &cluster).unwrap_err().code, Code::SpecInvalid, "{outside}");
    }
}

/// What an operator may read and write for a Render of a cluster.
struct Cluster(Place);

impl Cluster {
    fn new() -> Self {
        let place = Place::new();
        write(&place.path("sources/team/site/index.html"), "1");
        write(&place.path("secret/index.html"), "token");
        Self(place)
    }

    fn inputs(&self, sources: Option<PathBuf>, spec: &str) -> Result<Inputs, SourceError> {
        let render: Render = serde_yaml::from_str(&format!(
            "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: a, namespace: n}}, spec: {{{spec}}}}}"
        ))
        .unwrap();
        let folders = Folders { sources, outputs: self.0.path("outputs"), work: self.0.path("work") };
        self.0.1.inputs(&render, &Origin::Cluster(Arc::new(folders)), None)
    }

    #[track_caller]
    fn refused(&self, spec: &str, code: Code) {
        match self.inputs(Some(self.0.path("sources")), spec) {
            Err(SourceError::Invalid(failure)) => assert_eq!(failure.code, code, "{failure}"),
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn a_render_of_a_cluster_has_a_folder_of_its_own() {
    let cluster = Cluster::new();
    let sources = || Some(cluster.0.path("sources"));
    for (output, expected) in [("", "a.mp4"), (", output: {path: b/c.mp4}", "b/c.mp4")] {
        let inputs = cluster.inputs(sources(), &format!("source: {{path: team/site}}{output}")).unwrap();
        assert_eq!(inputs.target, cluster.0.path("outputs/n/a").join(expected));
    }
    fs::create_dir_all(cluster.0.path("outputs/n/a")).unwrap();
    assert!(cluster.inputs(sources(), "source: {path: ./team/site}").is_ok());
    let error = cluster.inputs(None, "source: {path: team/site}").unwrap_err();
    let SourceError::Invalid(failure) = error else { unreachable!("{error:?}") };
    assert_eq!(failure.code, Code::SpecInvalid);
    assert!(failure.message.contains("HF_SOURCES"), "{failure}");
}

#[test]
fn no_path_of_a_cluster_leads_out_of_the_operators_folders() {
    let cluster = Cluster::new();
    let secret = cluster.0.path("secret");
    for outside in ["../secret", "team/../../secret", "/etc", secret.to_str().unwrap(), ".."] {
        cluster.refused(&format!("source: {{path: {outside}}}"), Code::SpecInvalid);
    }
    for outside in ["../b/a.mp4", "/tmp/a.mp4", "x/../../a.mp4"] {
        cluster.refused(&format!("source: {{path: team/site}}, output: {{path: {outside}}}"), Code::SpecInvalid);
    }
    cluster.refused("source: {path: team/none}", Code::ProjectNotFound);
    symlink(&secret, cluster.0.path("sources/team/link")).unwrap();
    cluster.refused("source: {path: team/link}", Code::SpecInvalid);
    fs::create_dir_all(cluster.0.path("outputs/n/a")).unwrap();
    symlink(&secret, cluster.0.path("outputs/n/a/link")).unwrap();
    cluster.refused("source: {path: team/site}, output: {path: link/a.mp4}", Code::SpecInvalid);
    fs::remove_dir_all(cluster.0.path("outputs/n/a")).unwrap();
    symlink(&secret, cluster.0.path("outputs/n/a")).unwrap();
    cluster.refused("source: {path: team/site}", Code::SpecInvalid);
}
