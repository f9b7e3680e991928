//! Which part of a frame the model gets to see.

use super::recipe::{Recipe, Resize};
use crate::frame::Frame;

impl Recipe {
    /// The region of a frame that ends up in the tensor: left, top, width, height in the frame's pixels. With a
    /// letterbox it reaches beyond the frame, where the ground is.
    pub fn window(&self, frame: &Frame) -> [f32; 4] {
        let by = frame.reduction();
        let [width, height] = [frame.width(), frame.height()].map(|side| side.saturating_mul(by));
        self.window_of(width, height).map(|length| length / by as f32)
    }

    fn window_of(&self, width: u32, height: u32) -> [f32; 4] {
        let [x, y, w, h] = self.roi().map_or([0.0, 0.0, width as f32, height as f32], |roi| {
            [roi.x as f32, roi.y as f32, roi.width as f32, roi.height as f32]
        });
        let [to_w, to_h] = self.size().map(|side| side as f32);
        let (seen_w, seen_h) = match self.resize() {
            Resize::None | Resize::Stretch => (w, h),
            Resize::ShorterSide(side) => {
                let per_pixel = w.min(h) / side as f32;
                (to_w * per_pixel, to_h * per_pixel)
            }
            Resize::Letterbox(_) => {
                let per_pixel = (w / to_w).max(h / to_h);
                (to_w * per_pixel, to_h * per_pixel)
            }
        };
        [x + (w - seen_w) / 2.0, y + (h - seen_h) / 2.0, seen_w, seen_h]
    }
}

#[cfg(test)]
mod tests {
    use crate::preprocess::Recipe;

    #[test]
    fn windows_follow_the_resize_mode() {
        let recipe = |text: &str| Recipe::from_toml(text).unwrap();
        let stretch = recipe("size = [100, 100]\nresize = \"stretch\"");
        assert_eq!(stretch.window_of(640, 480), [0.0, 0.0, 640.0, 480.0]);
        let torchvision = Recipe::preset("torchvision").unwrap();
        let [x, y, w, h] = torchvision.window_of(512, 256);
        assert!((w - 224.0).abs() < 1e-3 && (h - 224.0).abs() < 1e-3);
        assert!((x - 144.0).abs() < 1e-3 && (y - 16.0).abs() < 1e-3);
    }
}
