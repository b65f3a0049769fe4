//! Messages of protocol buffers, as far as event files need them: fields in the order given.
//!
//! It writes and never reads. Numbers of fields are the callers' affair.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const COUNTED: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A whole number or an enumeration; negative ones as their two's complement.
    pub(super) fn whole(mut self, field: u64, value: i64) -> Self {
        self.key(field, VARINT);
        self.varint(value.cast_unsigned());
        self
    }

    pub(super) fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, EIGHT_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn text(self, field: u64, value: &str) -> Self {
        self.counted(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u64, value: &Self) -> Self {
        self.counted(field, &value.0)
    }

    pub(super) fn doubles(self, field: u64, values: impl IntoIterator<Item = f64>) -> Self {
        let packed: Vec<u8> = values.into_iter().flat_map(f64::to_le_bytes).collect();
        self.counted(field, &packed)
    }

    fn counted(mut self, field: u64, value: &[u8]) -> Self {
        self.key(field, COUNTED);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_protocol_buffers_have_them() {
        #[track_caller]
        fn check(message: Message, expected: &[u8]) {
            assert_eq!(message.bytes(), expected);
        }
        let new = Message::default;
        check(new().whole(1, 150), &[0x08, 0x96, 0x01]);
        check(new().whole(2, 0), &[0x10, 0]);
        check(new().whole(2, -2), &[0x10, 0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        check(new().text(2, "testing"), b"\x12\x07testing");
        check(new().message(3, &new().whole(1, 150)), &[0x1a, 0x03, 0x08, 0x96, 0x01]);
        check(new().double(1, 1.0), &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        check(new().float(2, 1.0), &[0x15, 0, 0, 0x80, 0x3f]);
        check(new().doubles(6, [1.0]), &[0x32, 8, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        check(new().whole(16, 1), &[0x80, 0x01, 0x01]);
    }
}
