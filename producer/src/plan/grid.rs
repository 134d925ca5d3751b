//! Cutting a video into chunks: upstream's arithmetic, then whole GOPs.

use crds::line::ChunkRange;

/// GOPs last this many seconds, so that a chunk boundary is never far and a GOP is enough work for one encoder.
const GOP_SECONDS: f64 = 2.0;

/// Frames per chunk where nobody says otherwise: upstream's default, 8 s at 30 frames a second. Small enough that a crash
/// costs little, large enough that starting a browser does not count.
const DEFAULT_CHUNK_SIZE: u32 = 240;

/// Upstream's smallest chunk when only a number of chunks is given, in frames.
const MIN_CHUNK_SIZE: u32 = 10;

/// How the work should be cut. Every member is a wish: chunks are whole GOPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunking {
    /// Most frames in a chunk, rounded up to whole GOPs.
    pub(crate) size: Option<u32>,
    /// Most chunks; without a size, also as many as that where there are GOPs for it.
    pub(crate) most: Option<u32>,
    /// Chunks that can be rendered at the same time: where neither is said there are at least so many.
    pub(crate) parallel: u32,
}

/// Frames per GOP at a frame rate.
pub(crate) fn gop_size(rate: crds::FrameRate) -> u32 {
    rate.frames_in(GOP_SECONDS).max(1)
}

/// Upstream's count of chunks and frames per chunk, before any rounding to GOPs.
fn requested(total: u32, chunk_size: Option<u32>, max_parallel: u32, target: Option<u32>) -> (u32, u32) {
    let parallel = target.map_or(max_parallel, |target| max_parallel.min(total.div_ceil(target).max(1)));
    let size = chunk_size.unwrap_or_else(|| MIN_CHUNK_SIZE.max(total.div_ceil(parallel)));
    let count = max_parallel.min(total.div_ceil(size).max(1));
    let effective = size.max(total.div_ceil(count));
    (count.min(total.div_ceil(effective)), effective)
}

/// The chunks of a video of `total` frames (at least 1): never empty, disjoint, complete, each starting on the GOP
/// grid, and as even as whole GOPs allow. The grid begins with frame `first`.
pub(crate) fn chunks(total: u32, gop: u32, chunking: Chunking, first: u32) -> Vec<ChunkRange> {
    let gops = total.div_ceil(gop);
    let by_size = |size: u32, most: u32| requested(total, Some(size.next_multiple_of(gop)), most, None).0;
    let count = match chunking {
        Chunking { size: Some(size), most, .. } => by_size(size, most.unwrap_or(u32::MAX)),
        Chunking { size: None, most: Some(most), .. } => requested(total, None, most, None).0,
        Chunking { size: None, most: None, parallel } => by_size(DEFAULT_CHUNK_SIZE, u32::MAX).max(parallel),
    };
    let count = count.min(gops);
    let boundary = |index: u32| {
        let gops_before = u64::from(index) * u64::from(gops) / u64::from(count);
        first + u32::try_from(gops_before * u64::from(gop)).map_or(total, |frame| frame.min(total))
    };
    (0..count).map(|index| ChunkRange { index, start_frame: boundary(index), end_frame: boundary(index + 1) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by running upstream's planner.
    #[test]
    fn the_arithmetic_is_upstreams() {
        let vectors = [
            ((60, Some(240), 16, None), (1, 240)),
            ((9, None, 16, None), (1, 10)),
            ((50, None, 16, None), (5, 10)),
            ((161, None, 16, None), (15, 11)),
            ((660, None, 16, None), (16, 42)),
            ((660, Some(240), 16, None), (3, 240)),
            ((121, Some(10), 12, None), (11, 11)),
            ((1800, None, 16, None), (16, 113)),
            ((3601, Some(240), 8, None), (8, 451)),
            ((54_000, Some(240), 16, None), (16, 3375)),
            ((1466, None, 16, Some(300)), (5, 294)),
            ((54_000, None, 64, Some(1600)), (34, 1589)),
            ((216_000, None, 64, Some(1600)), (64, 3375)),
            ((5, Some(2), 16, None), (3, 2)),
        ];
        for ((total, size, parallel, target), expected) in vectors {
            assert_eq!(requested(total, size, parallel, target), expected, "{total} {size:?} {parallel} {target:?}");
        }
    }

    fn count(most: u32) -> Chunking {
        Chunking { size: None, most: Some(most), parallel: 1 }
    }

    fn size(size: u32) -> Chunking {
        Chunking { size: Some(size), most: None, parallel: 1 }
    }

    fn parallel(parallel: u32) -> Chunking {
        Chunking { size: None, most: None, parallel }
    }

    #[test]
    fn chunks_cover_every_frame_once_and_start_on_the_grid() {
        for gop in [1, 48, 60, 120] {
            for total in (1..700).chain([54_000, 20_736_000]) {
                for chunking in [1, 2, 3, 8, 16, 300]
                    .map(count)
                    .into_iter()
                    .chain([1, 60, 240].map(size))
                    .chain([parallel(5), Chunking { size: Some(60), most: Some(4), parallel: 1 }])
                {
                    let chunks = chunks(total, gop, chunking, 0);
                    let mut next = 0;
                    for (index, chunk) in (0..).zip(&chunks) {
                        assert_eq!((chunk.index, chunk.start_frame), (index, next));
                        assert!(chunk.end_frame > chunk.start_frame && chunk.start_frame % gop == 0);
                        next = chunk.end_frame;
                    }
                    assert_eq!(next, total, "{total} {gop} {chunking:?}");
                }
            }
        }
    }

    #[test]
    fn a_count_is_kept_up_to_the_number_of_gops_and_a_size_is_a_limit() {
        let sizes = |total, chunking| -> Vec<u32> {
            chunks(total, 60, chunking, 0).iter().map(|chunk| chunk.frames()).collect()
        };
        assert_eq!(sizes(600, count(8)), [60, 60, 60, 120, 60, 60, 60, 120]);
        assert_eq!(sizes(150, count(16)), [60, 60, 30]);
        assert_eq!(sizes(600, size(240)), [180, 180, 240]);
        assert_eq!(sizes(150, size(1)), [60, 60, 30]);
        assert_eq!(sizes(600, Chunking { size: Some(60), most: Some(3), parallel: 1 }), [180, 180, 240]);
        assert_eq!(sizes(150, parallel(1)), [150]);
        assert_eq!(sizes(150, parallel(2)), [60, 90]);
        assert_eq!(sizes(600, parallel(1)), [180, 180, 240]);
    }
}
