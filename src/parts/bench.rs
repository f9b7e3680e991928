//! The bench a part is laid on: a colour layer and a relief layer that shapes are drawn into.
//! Shapes outside the frame are clipped; nothing is refused.

use tiny_skia::{
    BlendMode, Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

use super::random::{Random, sin_cos};

/// What a surface is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Material {
    /// Colour under white light.
    pub(super) colour: [u8; 3],
    /// How strongly it mirrors the lamp, 0 to 255.
    pub(super) gloss: u8,
    /// How strongly the brushed grain shows, 0 to 255.
    pub(super) grain: u8,
}

impl Material {
    /// The same surface in another shade: colours times `factor`.
    pub(super) fn shaded(self, factor: f32) -> Self {
        Self { colour: self.colour.map(|c| (f32::from(c) * factor).min(255.0) as u8), ..self }
    }
}

/// The two layers of a scene and where the part lies in them.
pub(super) struct Bench {
    /// Colour, premultiplied; its alpha is how much of the pixel is covered.
    pub(super) colour: Pixmap,
    /// Red: height above the belt. Green: gloss. Blue: grain. All 0 to 255, premultiplied.
    pub(super) relief: Pixmap,
    /// From the part's own coordinates (its half length is 1) to pixels.
    pub(super) place: Transform,
    /// Turn of the part, in turns.
    pub(super) turn: f32,
}

impl Bench {
    /// An empty bench of `size`×`size` pixels (at least 1).
    pub(super) fn new(size: u32) -> Self {
        let side = size.max(1);
        let empty = || Pixmap::new(side, side).expect("a side of at least one pixel");
        Self { colour: empty(), relief: empty(), place: Transform::identity(), turn: 0.0 }
    }

    /// Side of the frame, in pixels.
    pub(super) fn side(&self) -> f32 {
        self.colour.width() as f32
    }

    /// Pixels per 1/96 of the side: what a length given for a frame of 96 pixels is multiplied by.
    pub(super) fn grid(&self) -> f32 {
        self.side() / 96.0
    }

    /// Puts the origin of the part at (x, y), both relative to the side.
    pub(super) fn lay(&mut self, x: f32, y: f32, turn: f32, scale: f32) {
        let (s, c) = sin_cos(turn);
        let side = self.side();
        let k = scale * side;
        self.turn = turn;
        self.place = Transform::from_row(c * k, s * k, -s * k, c * k, x * side, y * side);
    }

    /// Draws in pixels from here on.
    pub(super) fn in_pixels(&mut self) {
        self.place = Transform::identity();
    }

    /// Fills a shape with a material at a height.
    pub(super) fn fill(&mut self, path: &Path, material: Material, height: u8) {
        self.paint(path, None, material, height, BlendMode::SourceOver, 255);
    }

    /// Draws a line of `width` with a material at a height.
    pub(super) fn line(&mut self, path: &Path, width: f32, material: Material, height: u8) {
        self.paint(path, Some(width), material, height, BlendMode::SourceOver, 255);
    }

    /// A round wire along a line: brighter and higher towards its middle.
    pub(super) fn wire(&mut self, path: &Path, width: f32, material: Material, height: u8) {
        let h = f32::from(height);
        self.line(path, width, material.shaded(0.72), (h * 0.55) as u8);
        self.line(path, width * 0.7, material.shaded(0.9), (h * 0.8) as u8);
        self.line(path, width * 0.36, material, height);
    }

    /// Covers what is already there and nothing else, with an opacity.
    pub(super) fn coat(&mut self, path: &Path, width: Option<f32>, material: Material, height: u8, opacity: u8) {
        self.paint(path, width, material, height, BlendMode::SourceAtop, opacity);
    }

    /// Takes the shape away, down to the belt.
    pub(super) fn cut(&mut self, path: &Path) {
        let mut paint = Paint { blend_mode: BlendMode::DestinationOut, anti_alias: true, ..Paint::default() };
        paint.set_color(Color::BLACK);
        for layer in [&mut self.colour, &mut self.relief] {
            layer.fill_path(path, &paint, FillRule::Winding, self.place, None);
        }
    }

    fn paint(
        &mut self,
        path: &Path,
        width: Option<f32>,
        material: Material,
        height: u8,
        blend_mode: BlendMode,
        opacity: u8,
    ) {
        let [r, g, b] = material.colour;
        let colours = [[r, g, b], [height, material.gloss, material.grain]];
        for (layer, [r, g, b]) in [&mut self.colour, &mut self.relief].into_iter().zip(colours) {
            let mut paint = Paint { blend_mode, anti_alias: true, ..Paint::default() };
            paint.set_color_rgba8(r, g, b, opacity);
            match width {
                None => layer.fill_path(path, &paint, FillRule::EvenOdd, self.place, None),
                Some(width) => {
                    let stroke =
                        Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
                    layer.stroke_path(path, &paint, &stroke, self.place, None);
                }
            }
        }
    }

    /// How much of the pixel is covered, 0 to 255; 0 outside the frame.
    pub(super) fn cover(&self, x: f32, y: f32) -> u8 {
        if x < 0.0 || y < 0.0 {
            return 0;
        }
        self.colour.pixel(x as u32, y as u32).map_or(0, tiny_skia::PremultipliedColorU8::alpha)
    }

    /// The material of a covered pixel.
    pub(super) fn material(&self, x: f32, y: f32) -> Material {
        let (x, y) = (x.max(0.0) as u32, y.max(0.0) as u32);
        let colour = self.colour.pixel(x, y).map(|p| p.demultiply());
        let relief = self.relief.pixel(x, y).map(|p| p.demultiply());
        Material {
            colour: colour.map_or([128; 3], |c| [c.red(), c.green(), c.blue()]),
            gloss: relief.map_or(0, tiny_skia::ColorU8::green),
            grain: relief.map_or(0, tiny_skia::ColorU8::blue),
        }
    }
}

/// A circle; negative radii count as a hair.
pub(super) fn circle(x: f32, y: f32, radius: f32) -> Path {
    PathBuilder::from_circle(x, y, radius.max(1e-3)).expect("a positive finite radius")
}

/// A disc with a hole in it.
pub(super) fn ring(x: f32, y: f32, outer: f32, inner: f32) -> Path {
    let mut path = PathBuilder::new();
    path.push_circle(x, y, outer.max(2e-3));
    path.push_circle(x, y, inner.max(1e-3));
    path.finish().expect("two circles of finite size")
}

/// An upright rectangle from its middle and half sides.
pub(super) fn slab(x: f32, y: f32, half_width: f32, half_height: f32) -> Path {
    let (w, h) = (half_width.max(1e-3), half_height.max(1e-3));
    let rect = Rect::from_ltrb(x - w, y - h, x + w, y + h).expect("positive finite sides");
    PathBuilder::from_rect(rect)
}

/// A closed shape through the points.
pub(super) fn polygon(points: &[(f32, f32)]) -> Path {
    trace(points, true)
}

/// An open line through the points.
pub(super) fn polyline(points: &[(f32, f32)]) -> Path {
    trace(points, false)
}

fn trace(points: &[(f32, f32)], close: bool) -> Path {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if close {
        path.close();
    }
    path.finish().expect("two or more points that differ")
}

/// A regular shape of `n` corners, the first one `turn` turns from the x axis.
pub(super) fn regular(n: u16, radius: f32, turn: f32) -> Path {
    let points: Vec<_> = (0..n.max(3)).map(|i| around(radius, turn + f32::from(i) / f32::from(n.max(3)))).collect();
    polygon(&points)
}

/// An uneven blob of about `radius` around a point, smoothly closed.
pub(super) fn blob(x: f32, y: f32, radius: f32, roughness: f32, random: &mut Random) -> Path {
    let start = random.unit();
    let points: Vec<_> = (0..9_u8)
        .map(|i| {
            let r = radius * random.within(1.0 - roughness, 1.0 + roughness);
            let (px, py) = around(r, start + f32::from(i) / 9.0);
            (x + px, y + py)
        })
        .collect();
    let middle = |a: (f32, f32), b: (f32, f32)| (f32::midpoint(a.0, b.0), f32::midpoint(a.1, b.1));
    let mut path = PathBuilder::new();
    let (sx, sy) = middle(points[8], points[0]);
    path.move_to(sx, sy);
    for i in 0..9 {
        let (ex, ey) = middle(points[i], points[(i + 1) % 9]);
        path.quad_to(points[i].0, points[i].1, ex, ey);
    }
    path.close();
    path.finish().expect("nine points that differ")
}

/// The point at a radius and an angle in turns.
pub(super) fn around(radius: f32, turn: f32) -> (f32, f32) {
    let (s, c) = sin_cos(turn);
    (radius * c, radius * s)
}
