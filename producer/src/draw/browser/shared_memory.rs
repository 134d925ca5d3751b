//! Memory that a browser shares with us, for where its memory may not be read from outside (seccomp, Yama).
//!
//! A library that is preloaded into the browser (`shared_memory.c`) backs every block that could be a frame's bitmap by a
//! memfd and sends it over a Unix socket in the browser's profile, a folder that only this user can enter.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{
            fs::FileExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    sync::Arc,
};

use nix::{
    cmsg_space,
    fcntl::{OFlag, open},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recvmsg},
        stat::Mode,
    },
};

use super::Result;
use crate::files;

/// The library, built by `build.rs`.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shared_memory.so"));

/// What one browser shares.
pub(crate) struct SharedMemory {
    socket: UnixListener,
    /// Who connected and has not sent a block yet.
    connected: Vec<UnixStream>,
    blocks: Vec<Arc<Block>>,
}

/// A block of a browser's memory.
pub(crate) struct Block {
    memory: File,
    /// Bytes.
    pub(crate) size: usize,
    /// Closed when the process ends whose block it is.
    owner: UnixStream,
}

impl SharedMemory {
    /// Puts the library and the socket into a profile. A browser that is started there with these variables shares its blocks
    /// of `size` bytes and little more.
    ///
    /// Both go by their names alone: the profile's path may be longer than a socket's may be, and have spaces, which end a
    /// preloaded library's name.
    pub(super) fn prepare(profile: &Path, size: usize) -> Result<(Self, [(&'static str, String); 2])> {
        files::write(&profile.join("shared_memory.so"), LIBRARY)?;
        let socket = listen(profile).map_err(files::Error::Write)?;
        let variables = [("LD_PRELOAD", "./shared_memory.so".to_owned()), ("HF_SHARE_BYTES", size.to_string())];
        Ok((Self { socket, connected: Vec::new(), blocks: Vec::new() }, variables))
    }

    /// What is shared by now.
    pub(super) fn blocks(&mut self) -> Vec<Arc<Block>> {
        while let Ok((owner, _)) = self.socket.accept() {
            self.connected.push(owner);
        }
        for owner in std::mem::take(&mut self.connected) {
            match Block::receive(&owner) {
                Ok((memory, size)) => self.blocks.push(Arc::new(Block { memory, size, owner })),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.connected.push(owner),
                // Not what was agreed on, or gone already.
                Err(_) => {}
            }
        }
        self.blocks.retain(|block| block.is_there());
        self.blocks.clone()
    }
}

/// The socket in a folder, by a path that is always short.
fn listen(folder: &Path) -> io::Result<UnixListener> {
    let folder = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let socket = UnixListener::bind(format!("/proc/self/fd/{}/shared.sock", folder.as_raw_fd()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Block {
    /// The memory and its size in bytes, once they were sent.
    fn receive(owner: &UnixStream) -> io::Result<(File, usize)> {
        let (mut size, mut control) = ([0; 8], cmsg_space!(OwnedFd));
        let (count, memory) = {
            let mut data = [IoSliceMut::new(&mut size)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<()>(owner.as_raw_fd(), &mut data, Some(&mut control), flags)?;
            let received = message.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
                _ => None,
            });
            (message.bytes, received.ok_or(io::ErrorKind::InvalidData)?)
        };
        #[expect(unsafe_code, reason = "the kernel has just made this descriptor for us")]
        // SAFETY: nobody else knows it.
        let memory = File::from(unsafe { OwnedFd::from_raw_fd(memory) });
        let size = usize::try_from(u64::from_ne_bytes(size)).map_err(|_| io::ErrorKind::InvalidData)?;
        if count == 8 { Ok((memory, size)) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Whether the process whose block it is still lives.
    fn is_there(&self) -> bool {
        let owner = PollFd::new(self.owner.as_fd(), PollFlags::POLLIN);
        poll(&mut [owner], PollTimeout::ZERO) == Ok(0)
    }

    /// Copies bytes from an offset. False when they are not there any more.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let offset = u64::try_from(offset).unwrap_or(u64::MAX);
        self.is_there() && self.memory.read_exact_at(bytes, offset).is_ok()
    }
}
