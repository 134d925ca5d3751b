//! Holds: pictures of a GOP that show the same for a while, of which an encoder sees a few.

use std::io;

use ffmpeg::{Packet, codec::packet};
use ffmpeg_next as ffmpeg;

use super::{Error, Result, repeat::Repeats};
use crate::encode::{format::EncoderKind, preset::B_FRAMES};

/// What becomes of the next picture of a GOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Encoded as what the encoder takes it for.
    Any,
    /// Encoded as a reference that only looks back: repeats follow.
    Reference,
    /// Not encoded: it repeats that reference.
    Repeat,
}

/// Pictures are repeated when so many were the same. Pairs and triples, as videos of fewer frames a second have, are left to
/// the encoder: its B-frames take less of them than so many references.
const HELD: u32 = 4;
/// With so many B-frames before a reference one of them becomes a reference too, and x264 takes others out of the decoder's
/// buffer for it. Without that the buffer is full of references, and a decoder may have no place for what it has to show
/// (OpenH264 gives up).
const B_FRAMES_WITH_REFERENCE: u32 = 2;

/// A GOP's pictures so far.
pub(super) struct Holds {
    repeats: Repeats,
    /// Pictures that were the same, up to now.
    held: u32,
    /// B-frames since the last frame that only looks back.
    b_frames: u32,
    last: Turn,
    /// The frames that the encoder saw, by its own count.
    encoded: Vec<u32>,
    /// Of every repeat its frame, and that of the reference that it shows.
    places: Vec<(u32, u32)>,
}

impl Holds {
    /// For a stream with these parameter sets, if pictures can be repeated in it.
    pub(super) fn of(encoder: EncoderKind, parameter_sets: &[u8]) -> Option<Self> {
        let repeats = (encoder == EncoderKind::X264).then(|| Repeats::of(parameter_sets)).flatten()?;
        Some(Self { repeats, held: 0, b_frames: 0, last: Turn::Any, encoded: Vec::new(), places: Vec::new() })
    }

    /// What becomes of this frame, counted from the IDR, which shows the same as the one before or not.
    pub(super) fn turn(&mut self, frame: u32, same: bool) -> Turn {
        self.held = if same { self.held + 1 } else { 1 };
        let turn = match self.last {
            Turn::Reference | Turn::Repeat if same => Turn::Repeat,
            _ if self.held >= HELD && self.b_frames >= B_FRAMES_WITH_REFERENCE => Turn::Reference,
            _ => Turn::Any,
        };
        if turn == Turn::Repeat {
            self.places.extend(self.encoded.last().map(|reference| (frame, *reference)));
        } else {
            // The IDR and every one after so many B-frames only look back.
            let looks_back = turn == Turn::Reference || frame == 0 || self.b_frames == B_FRAMES;
            self.b_frames = if looks_back { 0 } else { self.b_frames + 1 };
            self.encoded.push(frame);
        }
        self.last = turn;
        turn
    }

    /// The stream's parameter sets instead of the encoder's.
    pub(super) fn parameter_sets(&self, encoders: &[u8]) -> Vec<u8> {
        self.repeats.parameter_sets(encoders)
    }

    /// The encoder's packets and those of the repeats, in the order of decoding, which is so many frames ahead of showing.
    pub(super) fn fill_in(self, encoded: Vec<Packet>, delay: i64) -> Result<Vec<Packet>> {
        let mut repeats = self.places.iter().peekable();
        let mut packets = Vec::with_capacity(encoded.len() + self.places.len());
        // Of the references so far: frame and `frame_num`.
        let mut references: Vec<(u32, u16)> = Vec::new();
        for packet in encoded {
            let index = packet.pts().and_then(|pts| usize::try_from(pts).ok());
            let frame = index.and_then(|index| self.encoded.get(index)).copied().ok_or_else(unexpected)?;
            while let Some((place, shown)) = repeats.next_if(|(place, _)| *place < frame) {
                packets.push(self.repeat(*place, *shown, &references)?);
            }
            let bytes = packet.data().unwrap_or_default();
            if let Some(number) = self.repeats.reference(bytes) {
                references.push((frame, number));
            }
            let mut placed = Packet::copy(&self.repeats.placed(bytes, frame).map_err(Error::Repeat)?);
            placed.set_flags(packet.flags());
            placed.set_pts(Some(frame.into()));
            packets.push(placed);
        }
        for (place, shown) in repeats {
            packets.push(self.repeat(*place, *shown, &references)?);
        }
        for (dts, packet) in (-delay..).zip(&mut packets) {
            packet.set_dts(Some(dts));
        }
        Ok(packets)
    }

    fn repeat(&self, place: u32, shown: u32, references: &[(u32, u16)]) -> Result<Packet> {
        let number = references.iter().rev().find(|(frame, _)| *frame == shown);
        let (Some((_, shown)), Some((_, last))) = (number, references.last()) else {
            return Err(unexpected());
        };
        let bytes = self.repeats.repeat(place, *shown, *last).map_err(Error::Repeat)?;
        let mut packet = Packet::copy(&bytes);
        packet.set_flags(packet::Flags::empty());
        packet.set_pts(Some(place.into()));
        Ok(packet)
    }
}

fn unexpected() -> Error {
    Error::Repeat(io::Error::other("the encoder did not make the frames that it was asked for"))
}
