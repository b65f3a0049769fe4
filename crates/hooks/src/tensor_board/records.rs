//! A file of records, each between its length and checksums: TensorFlow's framing.
//!
//! It knows nothing of a record's contents. Invariant: the file is whole records, about a second
//! behind, and half a one at its end at most; what a full disk does not take is written once there
//! is room, or left out whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

/// Records wait no longer than this for the file,
const SOON: Duration = Duration::from_secs(1);

/// and no more than so many bytes of them,
const MOST_BYTES: usize = 1 << 16;

/// unless the disk is full: then so many. A larger record is refused.
const MOST_KEPT: usize = 1 << 20;

/// The file, open for records.
#[derive(Debug)]
pub(super) struct RecordFile<W: Write = File> {
    /// Its buffer keeps what is not written, even part of a record.
    file: BufWriter<W>,
    framed: Vec<u8>,
    written: Instant,
}

impl<W: Write> RecordFile<W> {
    pub(super) fn new(file: W) -> Self {
        let file = BufWriter::with_capacity(MOST_KEPT, file);
        Self { file, framed: Vec::new(), written: Instant::now() }
    }

    /// Adds a record, and hands over waiting ones if it is time.
    ///
    /// # Errors
    /// When the record is too large, or the disk takes nothing and the buffer is full.
    pub(super) fn add(&mut self, record: &[u8]) -> io::Result<()> {
        frame(record, &mut self.framed);
        if self.framed.len() >= MOST_KEPT {
            let (got, most) = (record.len(), MOST_KEPT);
            let words = format!("expected an event of less than {most} bytes, got {got}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        self.file.write_all(&self.framed)?;
        let due = self.file.buffer().len() >= MOST_BYTES || self.written.elapsed() >= SOON;
        if due { self.flush() } else { Ok(()) }
    }

    /// Hands over everything.
    ///
    /// # Errors
    /// Whatever keeps it from being written; it is tried again the next time.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.written = Instant::now();
        self.file.flush()
    }
}

/// Length, its checksum, the record, its checksum.
fn frame(record: &[u8], framed: &mut Vec<u8>) {
    let length = (record.len() as u64).to_le_bytes();
    framed.clear();
    framed.extend(length);
    framed.extend(masked(crc32c(&length)).to_le_bytes());
    framed.extend(record);
    framed.extend(masked(crc32c(record)).to_le_bytes());
}

/// Rotated and moved, since a checksum over data that contains its own checksum says little.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's, byte by byte.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Cases of RFC 3720, B.4.
    #[test]
    fn checksums_are_castagnolis() {
        #[track_caller]
        fn check(bytes: &[u8], expected: u32) {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
        check(b"123456789", 0xe306_9283);
        check(&[0; 32], 0x8a91_36aa);
        check(&[0xff; 32], 0x62a8_ab43);
        check(&(0..32).collect::<Vec<u8>>(), 0x46dd_794e);
        check(&[], 0);
    }

    // As TensorBoard's own writer frames it.
    #[test]
    fn a_record_is_between_its_length_and_checksums() {
        let expected = b"\x09\0\0\0\0\0\0\0\x37\xf9\x71\x39123456789\xe5\xb0\x8a\xc7";
        assert_eq!(framed(b"123456789"), expected);
    }

    /// A disk with so much room.
    struct Disk(Vec<u8>, Rc<Cell<usize>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.1.get());
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1.set(self.1.get() - taken);
            self.0.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn framed(record: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(record, &mut bytes);
        bytes
    }

    // P-29: what a full disk did not take is written once there is room, from the byte where it
    // stopped; what is more than may wait goes whole.
    #[test]
    fn a_full_disk_leaves_records_whole() {
        let room = Rc::new(Cell::new(20));
        let mut file = RecordFile::new(Disk(Vec::new(), Rc::clone(&room)));
        file.add(b"first record").expect("it waits");
        assert!(file.flush().is_err());
        let large = vec![7; MOST_KEPT / 2];
        // As much as triggers a flush is told, and kept.
        assert!(file.add(&large).is_err());
        assert!(file.add(&large).is_err(), "no more may wait");
        room.set(usize::MAX);
        assert!(file.add(&vec![7; MOST_KEPT]).is_err(), "too large for ever");
        file.add(b"last record").expect("there is room");
        file.flush().expect("there is room");
        let expected = [framed(b"first record"), framed(&large), framed(b"last record")].concat();
        assert!(file.file.get_ref().0 == expected);
    }
}
