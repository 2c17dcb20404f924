//! Lines and bars, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// What lines are drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// How a drawing ends.
pub type Drawn = Result<(), Box<dyn Error + Send + Sync>>;
/// One line: what it is, and its points.
pub type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Of a plot, in pixels.
pub const SIZE: (u32, u32) = (900, 420);
/// Of axes and labels.
pub const TEXT: (&str, u32) = ("sans-serif", 17);
/// Told apart also by those who do not see all colours.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x99, 0x99, 0x99),
];
/// Of what is between two groups of bars, in bars.
const GAP: f64 = 1.0;

/// A label without a fraction.
#[must_use]
pub fn whole(value: &f64) -> String {
    format!("{value:.0}")
}

/// What all plots have in common.
pub fn outline<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart
        .caption(title, ("sans-serif", 24))
        .margin(12)
        .x_label_area_size(52)
        .y_label_area_size(72);
    chart
}

/// Draws lines on axes, and what they are.
///
/// # Errors
/// Of the file system.
pub fn draw<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    lines: &[Line<'_>],
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    for ((name, points), colour) in lines.iter().zip(COLOURS) {
        let series = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        chart
            .draw_series(series)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(chart)
}

/// Bars in groups.
#[derive(Debug)]
pub struct Bars<'a> {
    /// Above the plot.
    pub title: &'a str,
    /// What is up.
    pub unit: &'a str,
    /// What the groups are.
    pub groups: &'a [String],
    /// What the bars of each group are, and their heights, one a group; `NaN` is none.
    pub series: &'a [(&'a str, Vec<f64>)],
    /// A line across, for bars to be compared with.
    pub line: Option<f64>,
}

/// Draws bars.
///
/// # Errors
/// Of the file system.
pub fn bars(path: &Path, bars: &Bars<'_>) -> Drawn {
    let heights = bars.series.iter().flat_map(|(_, heights)| heights);
    let most = heights.copied().fold(bars.line.unwrap_or(0.0), f64::max);
    let width = bars.series.len() as f64 + GAP;
    let end = width * bars.groups.len() as f64;
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    // Room above for what the bars are.
    let mut chart =
        outline(&area, bars.title).build_cartesian_2d(0.0..end, 0.0..(most * 1.75).max(1e-9))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .label_style(TEXT)
        .y_desc(bars.unit)
        .draw()?;
    for (index, ((name, heights), colour)) in bars.series.iter().zip(COLOURS).enumerate() {
        let bar = |(group, height): (usize, &f64)| {
            let left = width * group as f64 + index as f64 + GAP / 2.0;
            Rectangle::new([(left, 0.0), (left + 0.9, *height)], colour.filled())
        };
        let there = heights.iter().enumerate().filter(|(_, h)| !h.is_nan());
        chart
            .draw_series(there.map(bar))?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled()));
    }
    if let Some(line) = bars.line {
        let across = LineSeries::new([(0.0, line), (end, line)], BLACK.stroke_width(1));
        chart.draw_series(across)?;
    }
    names(&mut chart, bars.groups, width)?;
    legend(&mut chart)?;
    area.present()?;
    Ok(())
}

/// Below each group of bars what it is, a word a line.
fn names<'a>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    groups: &[String],
    width: f64,
) -> Drawn {
    let style = ("sans-serif", 14).into_text_style(chart.plotting_area());
    let style = style.pos(plotters::style::text_anchor::Pos::new(
        plotters::style::text_anchor::HPos::Center,
        plotters::style::text_anchor::VPos::Top,
    ));
    for (index, group) in groups.iter().enumerate() {
        let middle = width * (index as f64 + 0.5);
        for (line, word) in group.split_whitespace().enumerate() {
            let text = EmptyElement::at((middle, 0.0))
                + Text::new(word.to_owned(), (0, 6 + 15 * line as i32), style.clone());
            chart.plotting_area().draw(&text)?;
        }
    }
    Ok(())
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .label_font(TEXT)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    Ok(())
}
