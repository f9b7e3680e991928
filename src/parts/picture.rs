//! A square picture in f32 and the blurs that a scene and a camera need.
//! Edges repeat the outermost pixel.

/// A square of `side`×`side` pixels, `channels` interleaved values each.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) side: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f32>,
}

impl Picture {
    /// A picture of one channel, from the index of each pixel.
    pub(super) fn grey(side: usize, value: impl Fn(usize) -> f32) -> Self {
        Self { side, channels: 1, values: (0..side * side).map(value).collect() }
    }

    /// Mean over a square of `2 radius + 1` pixels, twice: nearly a Gaussian.
    pub(super) fn boxed(self, radius: usize) -> Self {
        let kernel = vec![1.0; 2 * radius + 1];
        self.swept(&kernel).swept(&kernel)
    }

    /// Blurred with a symmetric kernel of odd length in both directions; the kernel need not sum to 1.
    pub(super) fn swept(&self, kernel: &[f32]) -> Self {
        let across = self.folded(kernel, 1, 0);
        across.folded(kernel, 0, 1)
    }

    /// Folded with a kernel of odd length along a direction in whole pixels.
    pub(super) fn folded(&self, kernel: &[f32], dx: usize, dy: usize) -> Self {
        let (side, channels) = (self.side, self.channels);
        let sum: f32 = kernel.iter().sum();
        let reach = kernel.len() / 2;
        let last = side.saturating_sub(1);
        let mut values = vec![0.0; self.values.len()];
        let moved = |at: usize, k: usize, d: usize| (at + k * d).saturating_sub(reach * d).min(last);
        for y in 0..side {
            for x in 0..side {
                for c in 0..channels {
                    let mut total = 0.0;
                    for (k, weight) in kernel.iter().enumerate() {
                        let (px, py) = (moved(x, k, dx), moved(y, k, dy));
                        total += weight * self.values[(py * side + px) * channels + c];
                    }
                    values[(y * side + x) * channels + c] = total / sum;
                }
            }
        }
        Self { side, channels, values }
    }
}

/// A bell-shaped kernel from repeated averaging: binomial weights of variance `steps / 2`.
pub(super) fn bell(steps: usize) -> Vec<f32> {
    let mut kernel = vec![1.0_f32];
    for _ in 0..2 * steps {
        let mut next = vec![0.0; kernel.len() + 1];
        for (i, weight) in kernel.iter().enumerate() {
            next[i] += 0.5 * weight;
            next[i + 1] += 0.5 * weight;
        }
        kernel = next;
    }
    kernel
}
