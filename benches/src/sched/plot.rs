//! What sched plots.

use std::path::Path;

use plotters::prelude::*;
use vcp_benches::plot::{Drawn, Line, SIZE, TEXT, draw, outline, whole};

use crate::crowd::Rates;
use crate::latency::Distribution;
use crate::shares::Course;

/// Points of one distribution.
const POINTS: usize = 1000;

/// Who had how much of the processor, over time.
pub(crate) fn shares(path: &Path, course: &Course) -> Drawn {
    let line = |name, index: usize| -> Line<'_> {
        let points = course.iter().map(|(time, parts)| (*time, parts[index]));
        (name, points.collect())
    };
    let lines = [
        line("disk A, 40 %", 0),
        line("disk B, 40 %: idle in the third quarter", 1),
        line("endless loop, 20 %", 2),
    ];
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    let end = course.last().map_or(1.0, |(time, _)| *time);
    area.fill(&WHITE)?;
    let mut chart = outline(&area, "CPU time on one channel processor")
        .build_cartesian_2d(0.0..end, 0.0..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(TEXT)
        .x_desc("seconds; without slack in the first quarter")
        .y_desc("% of the processor")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .draw()?;
    draw(&mut chart, &lines)?;
    area.present()?;
    Ok(())
}

/// The part of the reads that took longer than a time.
pub(crate) fn latency(path: &Path, distributions: &[Distribution]) -> Drawn {
    let lines: Vec<Line<'_>> = distributions
        .iter()
        .map(|(name, times)| (*name, tail(times)))
        .collect();
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    let all = distributions.iter().flat_map(|(_, times)| times);
    let (least, most) = all.fold((1e4, 1.0), |(l, m): (f64, f64), t| (l.min(*t), m.max(*t)));
    area.fill(&WHITE)?;
    let mut chart = outline(&area, "Read of 4 KiB from a VCP with 25 % of each 5 ms")
        .build_cartesian_2d((least..most * 1.1).log_scale(), (1e-4..1.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(TEXT)
        .x_desc("µs")
        .x_label_formatter(&whole)
        .y_desc("part of the reads that took longer")
        .y_label_formatter(&|part| format!("{part}"))
        .draw()?;
    draw(&mut chart, &lines)?;
    area.present()?;
    Ok(())
}

/// What each of many VCPs did, the slowest first.
pub(crate) fn crowd(path: &Path, rates: &[Rates]) -> Drawn {
    let line = |(name, rates): &'_ Rates| -> Line<'static> {
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let points = rates.iter().enumerate();
        let points = points.map(|(n, rate)| (n as f64, rate / mean * 100.0));
        (*name, points.collect())
    };
    let lines: Vec<_> = rates.iter().map(line).collect();
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    let count = rates.iter().map(|(_, rates)| rates.len()).max();
    area.fill(&WHITE)?;
    let mut chart = outline(&area, "Requests a second of VCPs that all do I/O")
        .build_cartesian_2d(0.0..count.unwrap_or(1) as f64, 0.0..200.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(TEXT)
        .x_desc("VCPs, the slowest first")
        .y_desc("% of the mean")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .draw()?;
    draw(&mut chart, &lines)?;
    area.present()?;
    Ok(())
}

/// The parts of the times that are above each, thinned where they lie close.
fn tail(times: &[f64]) -> Vec<(f64, f64)> {
    let count = times.len() as f64;
    let above = |index: usize| (count - index as f64) / count;
    // By the part above: as many points in the last hundredth as in the first.
    let mut last = f64::INFINITY;
    let points = times.iter().enumerate().filter(|(index, _)| {
        let wanted = above(*index).ln() < last - 10.0 / POINTS as f64;
        if wanted {
            last = above(*index).ln();
        }
        wanted
    });
    points.map(|(index, time)| (*time, above(index))).collect()
}
