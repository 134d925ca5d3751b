//! A stream of changes with one listener, which may come later than the first change.

use std::sync::{Mutex, PoisonError};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What is sent is kept until it is listened to.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    sender: UnboundedSender<T>,
    receiver: Mutex<Option<UnboundedReceiver<T>>>,
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl<T: Send + 'static> Feed<T> {
    pub(crate) fn send(&self, item: T) {
        // Without a listener nobody misses it.
        let _ = self.sender.send(item);
    }

    /// Everything that was and will be sent, for the first who asks; nothing for others.
    pub(crate) fn listen(&self) -> BoxStream<'static, T> {
        match self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(receiver) => UnboundedReceiverStream::new(receiver).boxed(),
            None => stream::pending().boxed(),
        }
    }
}
