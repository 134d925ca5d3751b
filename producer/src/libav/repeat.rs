//! Pictures of H.264 that show the one before once more: slices of skipped macroblocks, written here, so that an encoder need
//! not look at what does not change. Rec. ITU-T H.264 (08/2021) is cited by its clauses.

use std::io::{self, Write as _};

use h264_reader::{
    Context,
    nal::{
        Nal as _, RefNal, UnitType, WritableNal as _,
        pps::PicParameterSet,
        slice::SliceHeader,
        sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet},
    },
    rbsp::{BitRead as _, BitReader, BitWrite as _, BitWriter, ByteWriter, decode_nal},
};

/// In front of every NAL unit (Annex B).
const START_CODE: [u8; 3] = [0, 0, 1];
/// `nal_unit_type` of a slice that is not an IDR's; alone it is the header of one that is no reference (7.3.1).
const SLICE: u8 = 1;
/// The same of an IDR's.
const IDR: u8 = 5;
/// The QP that repeats say they have. It is that of no residual, but chooses how contexts begin: with it a skipped
/// macroblock is what the first of them expects.
const QP: i32 = 51;

/// A slice says where its picture is shown with as many bits as the encoder needs for its own pictures. Between those that many
/// repeats lie it takes more: a byte, so that whatever is aligned to bytes stays so.
const MORE_ORDER_BITS: u8 = 8;
/// The most that there may be (7.4.2.1.1).
const MOST_ORDER_BITS: u8 = 16;

/// What a stream's slices are written with.
pub(super) struct Repeats {
    /// The encoder's parameter sets.
    context: Context,
    /// The stream's.
    sps: SeqParameterSet,
    pps: PicParameterSet,
    /// Bits of `pic_order_cnt_lsb`, in the stream.
    order_bits: u8,
}

impl Repeats {
    /// For a stream with these parameter sets (Annex B), if pictures can be repeated in it.
    pub(super) fn of(parameter_sets: &[u8]) -> Option<Self> {
        let mut context = Context::new();
        for nal in units(parameter_sets) {
            let nal = RefNal::new(nal, &[], true);
            match nal.header().ok()?.nal_unit_type() {
                UnitType::SeqParameterSet => {
                    context.put_seq_param_set(SeqParameterSet::from_bits(nal.rbsp_bits()).ok()?);
                }
                UnitType::PicParameterSet => {
                    let pps = PicParameterSet::from_bits(&context, nal.rbsp_bits()).ok()?;
                    context.put_pic_param_set(pps);
                }
                _ => {}
            }
        }
        let (mut sps, pps) = (context.sps().next()?.clone(), context.pps().next()?.clone());
        let PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } = &mut sps.pic_order_cnt else {
            return None;
        };
        *log2_max_pic_order_cnt_lsb_minus4 += MORE_ORDER_BITS;
        let order_bits = *log2_max_pic_order_cnt_lsb_minus4 + 4;
        // What libx264 makes of our settings with B-frames; no weights, which could depend on how far pictures are apart.
        let plain = sps.frame_mbs_flags == FrameMbsFlags::Frames
            && pps.entropy_coding_mode_flag
            && pps.weighted_bipred_idc == 0
            && !pps.bottom_field_pic_order_in_frame_present_flag
            && !pps.redundant_pic_cnt_present_flag
            && pps.slice_groups.is_none()
            && order_bits <= MOST_ORDER_BITS;
        plain.then_some(Self { context, sps, pps, order_bits })
    }

    /// The stream's parameter sets instead of the encoder's (Annex B).
    pub(super) fn parameter_sets(&self, encoders: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(encoders.len() + 8);
        for nal in units(encoders) {
            bytes.extend([0]);
            bytes.extend(START_CODE);
            match RefNal::new(nal, &[], true).header() {
                Ok(header) if header.nal_unit_type() == UnitType::SeqParameterSet => {
                    bytes.extend(self.sps.to_vec_with_header(header));
                }
                _ => bytes.extend(nal),
            }
        }
        bytes
    }

    /// `pic_order_cnt_lsb` of a frame, counted from the IDR: two a frame. From one reference to the next it may not grow by half of
    /// what it counts (8.2.1.1), which with 12 bits and more is more than the frames of a GOP.
    fn order(&self, frame: u32) -> u32 {
        frame * 2 % (1 << self.order_bits)
    }

    /// `frame_num` of a packet's picture, if it is a reference.
    pub(super) fn reference(&self, packet: &[u8]) -> Option<u16> {
        let referenced = |nal: &&[u8]| matches!(nal[0] & 0x1f, SLICE | IDR) && nal[0] & 0x60 != 0;
        let nal = RefNal::new(units(packet).find(referenced)?, &[], true);
        let header = nal.header().ok()?;
        let (slice, ..) = SliceHeader::from_bits(&self.context, &mut nal.rbsp_bits(), header, None).ok()?;
        Some(slice.frame_num)
    }

    /// A packet of the encoder's as it is in the stream, its picture in the place of `frame`, counted from the IDR.
    pub(super) fn placed(&self, packet: &[u8], frame: u32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(packet.len() + 8);
        for nal in units(packet) {
            bytes.extend(START_CODE);
            if matches!(nal[0] & 0x1f, SLICE | IDR) {
                bytes.push(nal[0]);
                ByteWriter::new(&mut bytes).write_all(&self.placed_slice(nal, frame)?)?;
            } else {
                bytes.extend(nal);
            }
        }
        Ok(bytes)
    }

    fn placed_slice(&self, nal: &[u8], frame: u32) -> io::Result<Vec<u8>> {
        let mut rbsp = decode_nal(nal)?.into_owned();
        let mut reader = BitReader::new(&rbsp[..]);
        let mut before = 0;
        // What is in front of `pic_order_cnt_lsb` (7.3.3).
        for name in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id", "frame_num", "idr_pic_id"] {
            let unread = |error| io::Error::other(format!("{error:?}"));
            match name {
                "frame_num" => {
                    let bits = u32::from(self.sps.log2_max_frame_num());
                    reader.skip(bits, name).map_err(unread)?;
                    before += bits;
                }
                "idr_pic_id" if nal[0] & 0x1f != IDR => {}
                _ => before += (reader.read_ue(name).map_err(unread)? + 1).ilog2() * 2 + 1,
            }
        }
        // Whatever follows moves on by a byte.
        let byte = before as usize / 8;
        rbsp.insert(byte, rbsp[byte]);
        let order = self.order(frame);
        for bit in 0..u32::from(self.order_bits) {
            let (place, wanted) = (before + bit, order >> (u32::from(self.order_bits) - 1 - bit) & 1 == 1);
            let (byte, mask) = (&mut rbsp[place as usize / 8], 0x80_u8 >> (place % 8));
            *byte = if wanted { *byte | mask } else { *byte & !mask };
        }
        Ok(rbsp)
    }

    /// A picture in the place of `frame`, counted from the IDR, that shows the reference `shown` once more; both are values of
    /// `frame_num`, `last` that of the reference decoded last.
    pub(super) fn repeat(&self, frame: u32, shown: u16, last: u16) -> io::Result<Vec<u8>> {
        let number_bits = u32::from(self.sps.log2_max_frame_num());
        let numbers = 1_u32 << number_bits;
        let number = (u32::from(last) + 1) % numbers;
        let mut bytes = START_CODE.to_vec();
        bytes.push(SLICE);
        let mut slice = BitWriter::new(ByteWriter::new(bytes));
        // First macroblock; a B slice, as are all of the picture (7.3.3).
        slice.write_ue(0)?;
        slice.write_ue(6)?;
        slice.write_ue(self.pps.pic_parameter_set_id.id().into())?;
        slice.write_var(number_bits, number)?;
        slice.write_var(self.order_bits.into(), self.order(frame))?;
        // Spatial prediction of vectors; one reference in either list, which is the one so many before this picture.
        slice.write_bit(true)?;
        slice.write_bit(true)?;
        slice.write_ue(0)?;
        slice.write_ue(0)?;
        for _list in 0..2 {
            slice.write_bit(true)?;
            slice.write_ue(0)?;
            slice.write_ue((number + numbers - u32::from(shown)) % numbers - 1)?;
            slice.write_ue(3)?;
        }
        // `cabac_init_idc`, `slice_qp_delta`, no deblocking.
        slice.write_ue(0)?;
        slice.write_se(QP - 26 - self.pps.pic_init_qp_minus26)?;
        if self.pps.deblocking_filter_control_present_flag {
            slice.write_ue(1)?;
        }
        while slice.writer().is_none() {
            slice.write_bit(true)?;
        }
        let macroblocks = self.sps.pic_width_in_mbs() * self.sps.pic_height_in_map_units();
        Skips::new(&mut slice).write(macroblocks)?;
        while slice.writer().is_none() {
            slice.write_bit(false)?;
        }
        Ok(slice.into_writer().into_writer())
    }
}

/// The NAL units between start codes, none of them empty.
fn units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = memchr::memmem::find_iter(bytes, &START_CODE).map(|start| start + START_CODE.len()).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(bytes.len(), |next| next - START_CODE.len());
        Some(&bytes[start..end])
    })
    .map(|nal| {
        // A start code of four bytes begins with a zero, and a NAL unit never ends with one.
        let zeros = nal.iter().rev().take_while(|byte| **byte == 0).count();
        &nal[..nal.len() - zeros]
    })
    .filter(|nal| !nal.is_empty())
}

/// The arithmetic encoder (9.3.4.2) for nothing but skipped macroblocks.
struct Skips<'a, W: io::Write> {
    out: &'a mut BitWriter<W>,
    low: u32,
    range: u32,
    /// Bits that wait for a carry.
    outstanding: u32,
    first: bool,
}

/// `rangeTabLPS` (table 9-44) from the state on that `mb_skip_flag` begins in.
const LEAST_PROBABLE: [[u8; 4]; 6] =
    [[7, 9, 11, 12], [7, 9, 10, 12], [7, 8, 10, 11], [6, 8, 9, 11], [6, 7, 9, 10], [6, 7, 8, 9]];

impl<'a, W: io::Write> Skips<'a, W> {
    fn new(out: &'a mut BitWriter<W>) -> Self {
        Self { out, low: 0, range: 510, outstanding: 0, first: true }
    }

    /// Writes so many skipped macroblocks, and the end of the slice.
    fn write(mut self, macroblocks: u32) -> io::Result<()> {
        // Context 24 begins with m = 18 and n = 64 (table 9-14): at a QP of 51 in state 57, in which 1 is expected. All
        // neighbours are skipped as well, so it is the only one; every macroblock makes it one surer, up to the last state.
        let states = LEAST_PROBABLE.iter().chain(LEAST_PROBABLE.last().into_iter().cycle());
        for (state, left) in states.zip((0..macroblocks).rev()) {
            let least = state[(self.range >> 6 & 3) as usize];
            self.range -= u32::from(least);
            self.renormalize()?;
            // `end_of_slice_flag`.
            self.range -= 2;
            if left == 0 {
                self.low += self.range;
                self.range = 2;
            }
            self.renormalize()?;
        }
        self.put(self.low >> 9 & 1 == 1)?;
        self.out.write_bit(self.low >> 8 & 1 == 1)?;
        // The bit that ends all data (`rbsp_stop_one_bit`).
        self.out.write_bit(true)
    }

    fn renormalize(&mut self) -> io::Result<()> {
        while self.range < 256 {
            match self.low {
                ..256 => self.put(false)?,
                512.. => {
                    self.low -= 512;
                    self.put(true)?;
                }
                _ => {
                    self.low -= 256;
                    self.outstanding += 1;
                }
            }
            self.range <<= 1;
            self.low <<= 1;
        }
        Ok(())
    }

    fn put(&mut self, bit: bool) -> io::Result<()> {
        if self.first {
            self.first = false;
        } else {
            self.out.write_bit(bit)?;
        }
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.out.write_bit(!bit)?;
        }
        Ok(())
    }
}
