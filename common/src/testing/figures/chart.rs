//! Curves as SVG: panels side by side, readable on dark and on light pages.

use std::fmt::Write as _;
use std::fs;

/// What a panel takes, its axes included.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 272.0;
/// Room for the title and names above, for ticks at the left and below.
const TOP: f64 = 74.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 40.0;
/// So much space a tick's label needs.
const LABEL_WIDTH: f64 = 32.0;
/// From here on what is small would lie on the axis.
const LOGARITHMIC_FROM: f64 = 50.0;
/// Three to one against both backgrounds at least (WCAG 1.4.11).
const COLOURS: [&str; 6] = ["#2f7de1", "#d9660b", "#1a9850", "#a855d8", "#d63b3b", "#868e96"];

/// Panels below one title.
pub struct Chart {
    /// What all of it shows.
    pub title: String,
    /// Side by side.
    pub panels: Vec<Panel>,
}

/// Lines over the same values of x, whose scale is logarithmic.
pub struct Panel {
    /// What is shown upwards, with its unit.
    pub title: String,
    /// What is shown to the right.
    pub x: String,
    /// At least one, and not more than there are colours.
    pub lines: Vec<Line>,
}

/// Measured points.
pub struct Line {
    /// May be empty where there is only one.
    pub name: String,
    /// In the order of x, all above zero.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// Writes it into `docs/images`, and gives the Markdown that shows it.
    pub fn write(&self, name: &str) -> String {
        let path = super::repository(&format!("docs/images/bench-{name}.svg"));
        fs::write(&path, self.render()).expect("docs/images can be written");
        format!("![{}](images/bench-{name}.svg)\n", self.title)
    }

    fn render(&self) -> String {
        let width = WIDTH * self.panels.len() as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" role=\"img\">\n\
             <title>{}</title>\n\
             <style>\
             svg {{ color: #1f2328; background: #fff; font: 11px system-ui, sans-serif; }} \
             @media (prefers-color-scheme: dark) {{ svg {{ color: #e6edf3; background: #0d1117; }} }} \
             text {{ fill: currentColor; }} .head {{ font-weight: 600; font-size: 12px; }} \
             .grid {{ stroke: currentColor; stroke-opacity: .15; }} polyline {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}\
             </style>\n",
            escape(&self.title)
        );
        for (number, panel) in self.panels.iter().enumerate() {
            let _ = writeln!(svg, "<g transform=\"translate({} 0)\">", WIDTH * number as f64);
            panel.draw(&mut svg);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let (x, y) = (self.horizontal(), self.vertical());
        let (floor, edge) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let _ = writeln!(svg, "<text class=\"head\" x=\"{LEFT}\" y=\"20\">{}</text>", escape(&self.title));
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{edge}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                short(tick)
            );
        }
        let mut free_from = f64::NEG_INFINITY;
        for tick in self.xs() {
            let at = x.place(tick);
            if at >= free_from {
                let _ = writeln!(
                    svg,
                    "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                    floor + 16.0,
                    short(tick)
                );
                free_from = at + LABEL_WIDTH;
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, edge),
            HEIGHT - 8.0,
            escape(&self.x)
        );
        let (mut name_at, mut row) = (LEFT, 40.0);
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let places: Vec<(f64, f64)> = line.points.iter().map(|(a, b)| (x.place(*a), y.place(*b))).collect();
            let points = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
            let _ = writeln!(svg, "<polyline stroke=\"{colour}\" points=\"{points}\"/>");
            for (x, y) in places {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>");
            }
            if !line.name.is_empty() {
                // About what a letter of this size takes, and the dot before them.
                let takes = 26.0 + 6.2 * line.name.chars().count() as f64;
                if name_at + takes > WIDTH {
                    (name_at, row) = (LEFT, row + 15.0);
                }
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.0}\" cy=\"{row}\" r=\"4\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{}\">{}</text>",
                    name_at + 4.0,
                    name_at + 12.0,
                    row + 4.0,
                    escape(&line.name)
                );
                name_at += takes;
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }

    fn xs(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.values().map(|(x, _)| x).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }

    fn horizontal(&self) -> Axis {
        let xs = self.xs();
        let (least, most) = (xs[0], xs[xs.len() - 1]);
        Axis { is_logarithmic: true, least, most, from: LEFT + 8.0, to: WIDTH - RIGHT - 8.0 }
    }

    fn vertical(&self) -> Axis {
        let of = |choose: fn(f64, f64) -> f64, start| self.values().map(|(_, y)| y).fold(start, choose);
        let (least, most) = (of(f64::min, f64::INFINITY), of(f64::max, 0.0));
        let is_logarithmic = least > 0.0 && most / least >= LOGARITHMIC_FROM;
        let (least, most) = if is_logarithmic {
            (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()))
        } else {
            (0.0, round_up(most))
        };
        Axis { is_logarithmic, least, most, from: HEIGHT - BOTTOM, to: TOP }
    }
}

struct Axis {
    is_logarithmic: bool,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value / self.least).ln() / (self.most / self.least).ln()
        } else {
            (value - self.least) / (self.most - self.least)
        };
        // A single value has no other to be compared with.
        let share = if share.is_finite() { share } else { 0.5 };
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = (self.most / self.least).log10().round() as i32;
            return (0..=decades).map(|decade| self.least * 10_f64.powi(decade)).collect();
        }
        let step = step_of(self.most);
        (0..=(self.most / step).round() as i32).map(|number| f64::from(number) * step).collect()
    }
}

/// A round step that divides a scale in four to eight or so.
fn step_of(most: f64) -> f64 {
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * power);
    steps.into_iter().find(|step| most / step >= 4.0 - 1e-9).unwrap_or(power)
}

fn round_up(most: f64) -> f64 {
    // A scale of nothing would have no length.
    let most = most.max(1e-6);
    let step = step_of(most);
    (most / step - 1e-9).ceil() * step
}

/// 2000000 as 2M.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: &[(f64, f64)]) -> Panel {
        let line = Line { name: "a < b".into(), points: points.to_vec() };
        Panel { title: "p99, ms".into(), x: "connections".into(), lines: vec![line] }
    }

    #[test]
    fn points_are_where_their_values_are() {
        let panel = panel(&[(1.0, 0.0), (10.0, 40.0), (100.0, 80.0)]);
        let (x, y) = (panel.horizontal(), panel.vertical());
        assert!((x.place(10.0) - f64::midpoint(x.place(1.0), x.place(100.0))).abs() < 1e-9);
        assert!((y.place(0.0) - (HEIGHT - BOTTOM)).abs() < 1e-9);
        assert!((y.place(80.0) - TOP).abs() < 1e-9);
        assert!((y.place(40.0) - f64::midpoint(TOP, HEIGHT - BOTTOM)).abs() < 1e-9);
    }

    #[test]
    fn scales_end_at_round_numbers() {
        let ticks = |most| panel(&[(1.0, 0.0), (2.0, most)]).vertical().ticks();
        assert_eq!(ticks(80.0), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks(11_519.0), [0.0, 2000.0, 4000.0, 6000.0, 8000.0, 10_000.0, 12_000.0]);
        assert_eq!(ticks(0.0).len(), 6);
        let wide = panel(&[(1.0, 0.2), (2.0, 30.0)]).vertical();
        assert_eq!(wide.ticks().iter().map(|tick| short(*tick)).collect::<Vec<_>>(), ["0.1", "1", "10", "100"]);
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.0, 0.25, 240.0, 1500.0, 1e7].map(short), ["0", "0.25", "240", "1.5k", "10M"]);
    }

    #[test]
    fn one_point_is_drawn_too_and_names_are_text() {
        let svg = Chart { title: "x & y".into(), panels: vec![panel(&[(1.0, 5.0)])] }.render();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("<title>x &amp; y</title>") && svg.contains("a &lt; b"), "{svg}");
    }
}
