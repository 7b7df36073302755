//! What a DEFLATE stream (RFC 1951) remembers, read back through the stream itself: no library
//! hands out its window, but every stream copies from it.

/// The longest match, and its symbol in the fixed code of section 3.2.6, which has 8 bits.
const LONGEST: usize = 258;
const LONGEST_SYMBOL: (u32, u32) = (0b1100_0101, 8);

/// The symbol that ends a block, in the same code.
const END_SYMBOL: (u32, u32) = (0, 7);

/// A last block that makes an inflater put out the last `reach` bytes of its window, the oldest
/// first, and then some of them again; and how many bytes that is in all. `reach` is at least 1
/// and at most what the window holds, 32 KiB.
pub(super) fn copying_block(reach: usize) -> (Vec<u8>, usize) {
    let matches = reach.div_ceil(LONGEST);
    let mut bits = Bits::default();
    // The last block, in the fixed code.
    bits.push(1, 1);
    bits.push(1, 2);
    for _ in 0..matches {
        bits.push_code(LONGEST_SYMBOL);
        bits.push_distance(reach as u32);
    }
    bits.push_code(END_SYMBOL);
    (bits.finish(), matches * LONGEST)
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl Bits {
    /// The low `count` bits of a number, the lowest first (section 3.1.1).
    fn push(&mut self, value: u32, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// A code word, the highest bit first.
    fn push_code(&mut self, (code, length): (u32, u32)) {
        self.push(code.reverse_bits() >> (32 - length), length);
    }

    /// A distance of section 3.2.5: a code of 5 bits, and what it leaves open.
    fn push_distance(&mut self, distance: u32) {
        let rest = distance - 1;
        if rest < 4 {
            return self.push_code((rest, 5));
        }
        let extra = rest.ilog2() - 1;
        self.push_code((2 * extra + (rest >> extra), 5));
        self.push(rest & ((1 << extra) - 1), extra);
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0, 7);
        self.bytes
    }
}
