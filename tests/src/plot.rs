//! Draws a page of SVG charts. Each chart plots a figure over a logarithmic axis, and a horizontal line for a figure
//! that would not depend on it.
//!
//! The page is self-contained: no scripts, no fonts, no other files.

use std::fmt::Write as _;

/// One chart of a page.
pub struct Chart {
    /// The heading: what is measured.
    pub title: String,
    /// A sentence below the title.
    pub note: String,
    /// The unit of the figures, shown at the vertical axis.
    pub unit: String,
    /// The value of the horizontal reference line.
    pub ideal: f64,
    /// The measured points, sorted by `x`.
    pub points: Vec<Point>,
}

/// A measured point.
pub struct Point {
    /// The position on the logarithmic axis, above 0.
    pub x: f64,
    /// The median.
    pub median: f64,
    /// The minimum.
    pub min: f64,
    /// The maximum.
    pub max: f64,
}

const COLUMNS: usize = 2;
/// Width and height of a chart with its labels.
const CHART: (f64, f64) = (500.0, 350.0);
/// Height of the page title and note.
const HEAD: f64 = 66.0;
/// The edges of the plot area within a chart: left, right, top, bottom.
const FRAME: (f64, f64, f64, f64) = (76.0, 480.0, 66.0, 290.0);
/// Distance from the ends of the horizontal axis to the first and the last point.
const PAD: f64 = 36.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#4b5563}.page{font-size:20px;font-weight:600;fill:#111827}\
    .title{font-size:15px;font-weight:600;fill:#111827}.value{font-weight:600;fill:#1d4ed8}\
    .grid{stroke:#e5e7eb}.axis{stroke:#9ca3af}.ideal{stroke:#9ca3af;stroke-dasharray:5 4}\
    .spread{stroke:#93b4f5;stroke-width:2}.measured{stroke:#1d4ed8;stroke-width:2;fill:none}circle{fill:#1d4ed8}";

/// Draws a page of charts, each with `x_label` below its horizontal axis.
#[must_use]
pub fn page(title: &str, note: &str, x_label: &str, charts: &[Chart]) -> String {
    let (width, height) = (CHART.0 * COLUMNS as f64, HEAD + CHART.1 * charts.len().div_ceil(COLUMNS) as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escaped(title)
    );
    out.push_str(&text((24.0, 34.0), "page", "start", title));
    out.push_str(&text((24.0, 56.0), "note", "start", note));
    for (number, chart) in charts.iter().enumerate() {
        let left = CHART.0 * (number % COLUMNS) as f64;
        let top = HEAD + CHART.1 * (number / COLUMNS) as f64;
        let drawn = Scale::of(chart).draw(chart, x_label);
        out.push_str(&format!("<g transform=\"translate({left} {top})\">\n{drawn}</g>\n"));
    }
    out.push_str("</svg>\n");
    out
}

/// Formats a value with three significant digits, or as an integer if it is one or is 100 or more. Groups the digits of
/// the integer part by thousands.
#[must_use]
pub fn figure(value: f64) -> String {
    let decimals = if value >= 99.95 || value.fract() == 0.0 { 0 } else { 1 + usize::from(value < 9.995) };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text((x, y): (f64, f64), class: &str, anchor: &str, content: &str) -> String {
    let content = escaped(content);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{content}</text>\n")
}

fn line((from_x, from_y): (f64, f64), (to_x, to_y): (f64, f64), class: &str) -> String {
    format!("<line x1=\"{from_x:.1}\" y1=\"{from_y:.1}\" x2=\"{to_x:.1}\" y2=\"{to_y:.1}\" class=\"{class}\"/>\n")
}

/// Maps values to coordinates within a chart: `x` logarithmically, the figure linearly from 0.
struct Scale {
    first: f64,
    decades: f64,
    step: f64,
    steps: f64,
}

impl Scale {
    fn of(chart: &Chart) -> Self {
        let logs = chart.points.iter().map(|point| point.x.log10());
        let (first, last) = logs.fold((f64::MAX, f64::MIN), |(first, last), log| (first.min(log), last.max(log)));
        let largest = chart.points.iter().map(|point| point.max).fold(chart.ideal, f64::max);
        let step = round_step(largest / 4.0);
        // Leave room above the largest value for its label.
        let steps = (largest * 1.1 / step).ceil().max(1.0);
        Self { first, decades: last - first, step, steps }
    }

    fn x(&self, value: f64) -> f64 {
        let share = if self.decades > 0.0 { (value.log10() - self.first) / self.decades } else { 0.5 };
        FRAME.0 + PAD + share * (FRAME.1 - FRAME.0 - 2.0 * PAD)
    }

    fn y(&self, value: f64) -> f64 {
        FRAME.3 - value / (self.step * self.steps) * (FRAME.3 - FRAME.2)
    }

    fn draw(&self, chart: &Chart, x_label: &str) -> String {
        let mut out = text((FRAME.0, 26.0), "title", "start", &chart.title);
        out.push_str(&text((FRAME.0, 45.0), "note", "start", &chart.note));
        out.push_str(&self.axes(chart, x_label));
        let ideal = self.y(chart.ideal);
        out.push_str(&line((FRAME.0, ideal), (FRAME.1, ideal), "ideal"));
        out.push_str(&self.measured(&chart.points));
        out
    }

    fn axes(&self, chart: &Chart, x_label: &str) -> String {
        let mut out = String::new();
        for number in 0..=self.steps as u32 {
            let value = f64::from(number) * self.step;
            let y = self.y(value);
            out.push_str(&line((FRAME.0, y), (FRAME.1, y), if number == 0 { "axis" } else { "grid" }));
            out.push_str(&text((FRAME.0 - 8.0, y + 4.0), "tick", "end", &figure(value)));
        }
        for point in &chart.points {
            let x = self.x(point.x);
            out.push_str(&line((x, FRAME.3), (x, FRAME.3 + 5.0), "axis"));
            out.push_str(&text((x, FRAME.3 + 20.0), "tick", "middle", &figure(point.x)));
        }
        out.push_str(&text(((FRAME.0 + FRAME.1) / 2.0, FRAME.3 + 40.0), "label", "middle", x_label));
        let (x, y) = (20.0, (FRAME.2 + FRAME.3) / 2.0);
        let unit = text((x, y), "label", "middle", &chart.unit);
        out.push_str(&format!("<g transform=\"rotate(-90 {x} {y})\">{}</g>\n", unit.trim_end()));
        out
    }

    fn measured(&self, points: &[Point]) -> String {
        let mut path = String::new();
        let mut marks = String::new();
        for point in points {
            let (x, y) = (self.x(point.x), self.y(point.median));
            let so_far = if path.is_empty() { "M" } else { " L" };
            // Writing to a string does not fail.
            write!(path, "{so_far}{x:.1} {y:.1}").expect("a string takes it");
            marks.push_str(&line((x, self.y(point.min)), (x, self.y(point.max)), "spread"));
            marks.push_str(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n"));
            marks.push_str(&text((x, self.y(point.max) - 9.0), "value", "middle", &figure(point.median)));
        }
        format!("<path d=\"{path}\" class=\"measured\"/>\n{marks}")
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 2.5, 5.0].into_iter().map(|step| step * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(figures: [f64; 4]) -> Chart {
        let points = [10.0, 100.0, 1_000.0, 10_000.0].into_iter().zip(figures);
        let points = points.map(|(x, median)| Point { x, median, min: median * 0.9, max: median * 1.2 }).collect();
        Chart { title: "a <b> & c".to_owned(), note: String::new(), unit: "us".to_owned(), ideal: figures[1], points }
    }

    fn drawn() -> String {
        let charts = [[1.5, 1.25, 1.75, 12.5], [7.0, 7.0, 7.0, 7.0], [0.0, 0.0, 0.0, 0.0], [91.0, 820.0, 7300.0, 64e3]];
        page("the page", "a note", "actors", &charts.map(chart))
    }

    /// Every value of an attribute, over the elements with a name and class.
    fn all(page: &str, element: &str, class: &str, attribute: &str) -> Vec<f64> {
        let elements = page.split('<').filter(|rest| rest.starts_with(&format!("{element} ")) && rest.contains(class));
        let after = elements.map(|rest| rest.split_once(&format!(" {attribute}=\"")).unwrap().1);
        after.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }

    /// Checks that tags, attributes and entities are well formed, and returns the text outside of tags.
    fn well_formed(page: &str) -> Result<String, String> {
        let (mut open, mut outside, mut rest) = (Vec::new(), String::new(), page);
        while let Some((text, from)) = rest.split_once('<') {
            outside.push_str(text);
            let (tag, behind) = from.split_once('>').ok_or("a tag does not end")?;
            rest = behind;
            if !tag.matches('"').count().is_multiple_of(2) || tag.contains('<') {
                return Err(format!("an attribute of {tag} does not end"));
            }
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return Err(format!("{name} ends and is not open"));
                }
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        let entities = ["&amp;", "&lt;", "&gt;"].map(|entity| outside.matches(entity).count()).iter().sum::<usize>();
        match (open.is_empty(), entities == outside.matches('&').count()) {
            (true, true) => Ok(outside + rest),
            (false, _) => Err(format!("{open:?} do not end")),
            (true, false) => Err("a & that begins no entity".to_owned()),
        }
    }

    #[test]
    fn a_page_is_well_formed_and_shows_every_point_with_its_value() {
        let page = drawn();
        let shown = well_formed(&page).unwrap();
        assert_eq!(page.matches("<circle ").count(), 16);
        for value in ["12.5", "1.75", "7", "820", "7,300", "64,000", "10,000", "actors", "a &lt;b&gt; &amp; c"] {
            assert!(shown.lines().any(|line| line == value), "{value} in {shown}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        assert!(well_formed(&page.replace("</g>", "")).is_err() && well_formed(&page.replace("&amp;", "&")).is_err());
    }

    #[test]
    fn decades_are_equally_wide_and_what_costs_the_same_lies_on_the_ideal_line() {
        let page = page("", "", "", &[chart([7.0, 7.0, 7.0, 7.0])]);
        let x = all(&page, "circle", "", "cx");
        let widths: Vec<_> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(widths[0] > 50.0 && widths.iter().all(|width| (width - widths[0]).abs() < 0.2), "{x:?}");
        assert_eq!(all(&page, "circle", "", "cy"), [all(&page, "line", "ideal", "y1")[0]; 4]);
    }

    #[test]
    fn ten_times_the_cost_is_ten_times_as_high_and_everything_is_within_its_chart() {
        let page = page("", "", "", &[chart([2.0, 20.0, 1.0, 10.0])]);
        let base = all(&page, "line", "axis", "y1")[0];
        let heights: Vec<_> = all(&page, "circle", "", "cy").iter().map(|y| base - y).collect();
        assert!((heights[1] / heights[0] - 10.0).abs() < 0.1 && (heights[3] / heights[2] - 10.0).abs() < 0.2);
        assert!(all(&page, "text", "value", "y").iter().all(|y| *y > FRAME.2 && *y < FRAME.3), "{page}");
    }

    #[test]
    fn figures_have_three_digits_and_groups() {
        let all = [0.0, 10.0, 0.514, 9.994, 9.996, 99.94, 99.96, 1234.5, 1_234_567.0];
        assert_eq!(all.map(figure), ["0", "10", "0.51", "9.99", "10.0", "99.9", "100", "1,234", "1,234,567"]);
    }
}
