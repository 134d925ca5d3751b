//! Samples that are heard later: in memory while they are few, else in a file without a name.

use std::{
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    path::Path,
};

use tempfile::SpooledTempFile;

use crate::{
    files::{self, Error},
    libav::CHANNELS,
};

/// Samples, to be heard once.
pub(super) struct Samples {
    bytes: SpooledTempFile,
    pairs: u64,
}

/// Bytes of samples that stay in memory. A composition may have hundreds of sounds.
const IN_MEMORY: usize = 1 << 20;
/// Bytes that are read at once.
const PART: u64 = 1 << 16;

impl Samples {
    /// Keeps samples, left before right; in `folder` where they are many.
    pub(super) fn keep(samples: &[f32], folder: &Path) -> files::Result<Self> {
        let mut bytes = BufWriter::new(SpooledTempFile::new_in(IN_MEMORY, folder));
        let kept = samples.iter().try_for_each(|sample| bytes.write_all(&sample.to_ne_bytes()));
        let mut bytes = kept.and_then(|()| bytes.into_inner().map_err(io::Error::from)).map_err(Error::Write)?;
        bytes.rewind().map_err(Error::Write)?;
        Ok(Self { bytes, pairs: (samples.len() / CHANNELS) as u64 })
    }

    /// Pairs of samples in all.
    pub(super) const fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Some more samples; none after the last.
    pub(super) fn next(&mut self) -> files::Result<Vec<f32>> {
        let mut bytes = Vec::new();
        (&mut self.bytes).take(PART).read_to_end(&mut bytes).map_err(Error::Read)?;
        Ok(bytes.as_chunks().0.iter().map(|sample| f32::from_ne_bytes(*sample)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were_from_memory_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for (count, in_file) in [(0, false), (IN_MEMORY / 4, false), (IN_MEMORY / 4 + 2, true)] {
            let samples: Vec<f32> = (0..=u16::MAX).cycle().take(count).map(f32::from).collect();
            let mut kept = Samples::keep(&samples, folder.path()).unwrap();
            assert_eq!(kept.bytes.is_rolled(), in_file, "{count}");
            assert_eq!(kept.pairs(), (count / CHANNELS) as u64);
            let parts = std::iter::from_fn(|| Some(kept.next().unwrap()).filter(|part| !part.is_empty()));
            assert_eq!(parts.flatten().collect::<Vec<_>>(), samples);
        }
    }
}
