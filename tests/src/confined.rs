//! Programs that may do less than usual.

use std::{os::unix::process::CommandExt as _, process::Command};

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Has a program, and all that it starts, be refused whatever reads another process's memory, as containers and Lambda may.
pub fn without_reading_memory(mut command: Command) -> Command {
    let refused = [
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
    ];
    let rules = refused.into_iter().map(|call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into().unwrap());
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    // SAFETY: the filter is made; setting it is one system call.
    unsafe {
        command.pre_exec(move || apply_filter(&program).map_err(|_| std::io::ErrorKind::PermissionDenied.into()))
    };
    command
}
