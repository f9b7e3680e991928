//! Random numbers of the drawings: xoshiro256++, the same on every machine.
//! Not for cryptography.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: [u64; 4],
}

/// One step of `SplitMix64`: mixes `state` into a well spread number.
pub(super) const fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    /// The stream number `stream` of `seed`; different streams are unrelated.
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        let a = mixed(seed ^ mixed(stream));
        let b = mixed(a);
        let c = mixed(b);
        Self { state: [a, b, c, mixed(c)] }
    }

    /// 64 random bits.
    pub(super) const fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 16_777_216.0
    }

    /// Uniform in [low, high).
    pub(super) fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; 0 where n is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// About normal with mean 0 and deviation 1 (four uniform numbers summed, so within ±3.5).
    pub(super) fn bell(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xFFFF).sum();
        (sum as f32 / 65_536.0 - 2.0) * 1.732_050_8
    }
}

/// A smooth field of random values in [0, 1): a hashed unit lattice, interpolated.
pub(super) fn field(x: f32, y: f32, seed: u64) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (u, v) = (x - x0, y - y0);
    let (u, v) = (u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v));
    let corner = |i: f32, j: f32| {
        let cell = (u64::from((x0 + i) as i32 as u32) << 32) | u64::from((y0 + j) as i32 as u32);
        (mixed(cell ^ seed) >> 40) as f32 / 16_777_216.0
    };
    let top = corner(0.0, 0.0) * (1.0 - u) + corner(1.0, 0.0) * u;
    let bottom = corner(0.0, 1.0) * (1.0 - u) + corner(1.0, 1.0) * u;
    top * (1.0 - v) + bottom * v
}

/// Sine and cosine of an angle in turns, from additions and products only, so that no
/// machine's own maths library enters a drawing.
pub(super) fn sin_cos(turns: f32) -> (f32, f32) {
    let t = f64::from(turns);
    let quarters = (t - t.floor()) * 4.0;
    let quadrant = quarters.floor();
    let x = (quarters - quadrant) * core::f64::consts::FRAC_PI_2;
    let q = x * x;
    let mut sin = 1.0;
    let mut cos = 1.0;
    for k in (1..=7).rev() {
        let k = f64::from(k);
        sin = 1.0 - sin * q / ((2.0 * k) * (2.0 * k + 1.0));
        cos = 1.0 - cos * q / ((2.0 * k - 1.0) * (2.0 * k));
    }
    let (sin, cos) = ((sin * x) as f32, cos as f32);
    match quadrant as u8 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, sin_cos};

    #[test]
    fn sine_and_cosine_are_right_in_every_quadrant() {
        for i in -40..40_i16 {
            let turns = f32::from(i) / 16.0 + 0.01;
            let (s, c) = sin_cos(turns);
            let angle = f64::from(turns) * core::f64::consts::TAU;
            assert!((f64::from(s) - angle.sin()).abs() < 1e-6, "sin of {turns}");
            assert!((f64::from(c) - angle.cos()).abs() < 1e-6, "cos of {turns}");
        }
    }

    #[test]
    fn numbers_keep_to_their_range_and_moments() {
        let mut random = Random::new(3, 4);
        let mut sum = 0.0;
        let mut squares = 0.0;
        for _ in 0..20_000 {
            assert!(random.below(7) < 7);
            let b = random.bell();
            sum += b;
            squares += b * b;
        }
        assert!((sum / 20_000.0).abs() < 0.03);
        assert!((squares / 20_000.0 - 1.0).abs() < 0.03);
    }
}
