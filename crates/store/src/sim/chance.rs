//! Seeded chance, good enough to choose faults with and nothing else (SplitMix64).

/// A source of numbers that are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero. Slightly uneven for huge bounds, which nobody here has.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Yes, `of` times in `out_of`.
    pub fn odds(&mut self, of: u64, out_of: u64) -> bool {
        self.below(out_of) < of
    }
}
