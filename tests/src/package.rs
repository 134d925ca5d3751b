//! The Lambda function's package as `make package` left it, where nothing of this machine can be reached: glibc 2.31, a root that
//! cannot be written, another user, no `/dev/shm`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What `make package` made.
pub struct Package(PathBuf);

impl Package {
    pub fn built() -> Self {
        Self(env::var_os("HF_PACKAGE_DIR").expect("HF_PACKAGE_DIR names it: run `make package`").into())
    }

    pub fn zip(&self) -> PathBuf {
        self.0.join("handler.zip")
    }

    /// A program of the package's, with a folder as its `/tmp`.
    pub fn bootstrap(&self, tmp: &Path) -> Command {
        self.sandboxed(&self.0.join("handler"), tmp, "bootstrap")
    }

    /// The program that tries the encoders.
    pub fn encoders(&self, tmp: &Path) -> Command {
        self.sandboxed(&self.0, tmp, "encoders")
    }

    fn sandboxed(&self, task: &Path, tmp: &Path, program: &str) -> Command {
        let mut command = Command::new("bwrap");
        command.args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--uid", "993", "--gid", "990"]);
        command.args(["--cap-drop", "ALL", "--die-with-parent", "--ro-bind"]).arg(self.0.join("root")).arg("/");
        command.arg("--ro-bind").arg(task).arg("/var/task").arg("--bind").arg(tmp).arg("/tmp");
        command.args(["--proc", "/proc", "--tmpfs", "/dev"]);
        for device in ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"] {
            command.args(["--dev-bind", device, device]);
        }
        command.args(["--remount-ro", "/dev", "--chdir", "/var/task"]).arg(format!("/var/task/{program}"));
        command
    }
}
