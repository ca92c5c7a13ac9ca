//! A stored run as one page of charts: for each benchmark its first figure, a bar for each subject and number of workers.
//!
//! All bars of a chart have one scale, which ends at four times the best peer's figure: what is longer is cut off, with a mark, and
//! its number says how long it is. A thin line over each bar is the range of the rounds.

use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text, TextStyle,
    WHITE,
};
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::metric::{Better, Metric};
use crate::page::{self, Group};
use crate::report::number;
use crate::stored::{self, Stored};
use crate::subject::Kind;

const COLUMNS: usize = 3;
const PANEL_WIDTH: i32 = 420;
const MARGIN: i32 = 24;
const HEADER: i32 = 116;
/// Of a chart: its title, a bar, the room between subjects, and the room below.
const TITLE: i32 = 44;
const BAR: i32 = 11;
const GAP: i32 = 5;
const BELOW: i32 = 22;
/// Where bars begin and end.
const LEFT: i32 = 96;
const RIGHT: i32 = 70;
/// The scale ends at this multiple of the best peer's figure.
const CUT: f64 = 4.0;
const SANS: &str = "sans-serif";

const GREY: RGBColor = RGBColor(95, 104, 118);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What one chart shows: the first figure of a benchmark, by subject and number of workers.
struct Panel<'a> {
    bench: &'a str,
    metric: &'static Metric,
    kinds: Vec<Kind>,
    workers: Vec<u64>,
    figures: Vec<&'a Stored>,
    scale: f64,
}

impl<'a> Panel<'a> {
    fn all(figures: &'a [Stored]) -> Vec<Self> {
        let mut panels: Vec<Self> = Vec::new();
        for group in Group::all(figures) {
            let Some(&metric) = group.metrics().first() else { continue };
            match panels.last_mut().filter(|panel| panel.bench == group.bench) {
                Some(panel) => panel.figures.extend(group.of(metric)),
                None => panels.push(Self {
                    bench: group.bench,
                    metric,
                    kinds: Vec::new(),
                    workers: Vec::new(),
                    figures: group.of(metric).collect(),
                    scale: 0.0,
                }),
            }
        }
        panels.iter_mut().for_each(Self::measure);
        panels
    }

    fn measure(&mut self) {
        let is_there = |kind: &Kind| self.figures.iter().any(|figure| figure.kind == *kind);
        self.kinds = Kind::ALL.into_iter().filter(is_there).collect();
        self.workers = self.figures.iter().map(|figure| figure.workers).collect();
        self.workers.sort_unstable();
        self.workers.dedup();
        let longest = self.figures.iter().map(|figure| figure.summary.median).fold(0.0, f64::max);
        let of = |workers: u64| self.figures.iter().copied().filter(move |figure| figure.workers == workers);
        let bests =
            self.workers.iter().filter_map(|&workers| stored::best_peer(of(workers), self.metric.better));
        let cut = match self.metric.better {
            // The best peer is the longest bar, or nearly.
            Better::Higher => f64::INFINITY,
            _ => bests.map(|best| best.summary.median * CUT).fold(0.0, f64::max),
        };
        // With no peer there is nothing to cut by.
        self.scale = if cut > 0.0 { longest.min(cut) } else { longest };
    }

    fn height(&self) -> i32 {
        TITLE + self.kinds.len() as i32 * (self.workers.len() as i32 * BAR + GAP) + BELOW
    }

    fn draw(&self, area: &Area<'_>) -> Result<()> {
        write(area, self.bench, (0, 0), 16, BLACK, HPos::Left, true)?;
        let under = format!("{}; {}", page::heading(self.metric), shorten(page::about(self.bench), 62));
        write(area, &under, (0, 21), 10, GREY, HPos::Left, false)?;
        let mut y = TITLE;
        for &kind in &self.kinds {
            let middle = y + self.workers.len() as i32 * BAR / 2;
            let is_bold = kind.is_sward();
            write_middle(area, kind.name(), (LEFT - 6, middle), 11, HPos::Right, is_bold)?;
            for &workers in &self.workers {
                let is_it = |figure: &&&Stored| figure.kind == kind && figure.workers == workers;
                if let Some(figure) = self.figures.iter().find(is_it) {
                    self.draw_bar(area, figure, y)?;
                }
                y += BAR;
            }
            y += GAP;
        }
        Ok(())
    }

    fn draw_bar(&self, area: &Area<'_>, figure: &Stored, y: i32) -> Result<()> {
        let room = f64::from(PANEL_WIDTH - MARGIN - LEFT - RIGHT);
        let x = |value: f64| LEFT + (value.min(self.scale) / self.scale.max(f64::MIN_POSITIVE) * room) as i32;
        let summary = figure.summary;
        let end = x(summary.median).max(LEFT + 1);
        let colour = colour(figure.kind, figure.workers == self.workers[0]);
        fill(area, (LEFT, y), (end, y + BAR - 2), colour)?;
        let middle = y + (BAR - 2) / 2;
        if summary.median > self.scale * 1.001 {
            // The cut.
            fill(area, (end - 10, y - 1), (end - 7, y + BAR - 1), WHITE)?;
        } else if summary.max > summary.min {
            fill(area, (x(summary.min), middle), (x(summary.max), middle + 1), BLACK)?;
        }
        write_middle(
            area,
            &number(summary.median),
            (end.max(x(summary.max)) + 5, middle),
            10,
            HPos::Left,
            false,
        )
    }
}

/// sward in green, peers in blue, what is no runtime in sand; with the fewest workers in a lighter tone.
fn colour(kind: Kind, is_light: bool) -> RGBColor {
    match (kind, is_light) {
        (kind, false) if kind.is_sward() => RGBColor(11, 122, 83),
        (kind, true) if kind.is_sward() => RGBColor(92, 184, 146),
        (kind, false) if kind.is_peer() => RGBColor(84, 110, 150),
        (kind, true) if kind.is_peer() => RGBColor(158, 177, 205),
        (_, false) => RGBColor(176, 141, 87),
        (_, true) => RGBColor(205, 180, 138),
    }
}

fn shorten(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length).collect();
    let end = kept.rfind(' ').unwrap_or(kept.len());
    format!("{} …", kept[..end].trim_end_matches([',', ';', ':']))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("the charts cannot be drawn: {error}"))
}

fn fill(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<()> {
    area.draw(&Rectangle::new([from, to], colour.filled())).map_err(failed)
}

fn style(size: i32, colour: RGBColor, at: Pos, is_bold: bool) -> TextStyle<'static> {
    let weight = if is_bold { FontStyle::Bold } else { FontStyle::Normal };
    TextStyle { font: (SANS, size).into_font().style(weight), color: colour.to_backend_color(), pos: at }
}

fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    colour: RGBColor,
    side: HPos,
    is_bold: bool,
) -> Result<()> {
    let style = style(size, colour, Pos::new(side, VPos::Top), is_bold);
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}

/// A text beside a bar.
fn write_middle(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    side: HPos,
    is_bold: bool,
) -> Result<()> {
    let style = style(size, BLACK, Pos::new(side, VPos::Center), is_bold);
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}

/// The page, as SVG.
pub(crate) fn to_svg(document: &Value) -> Result<String> {
    let figures = stored::figures(document)?;
    let panels = Panel::all(&figures);
    let rows: Vec<&[Panel<'_>]> = panels.chunks(COLUMNS).collect();
    let row_height = |row: &&[Panel<'_>]| row.iter().map(Panel::height).max().unwrap_or(0);
    let width = COLUMNS as i32 * PANEL_WIDTH + MARGIN;
    let height = HEADER + rows.iter().map(row_height).sum::<i32>() + MARGIN;
    let mut svg = String::new();
    {
        let size = (width.unsigned_abs(), height.unsigned_abs());
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        draw_header(&root, &document["machine"])?;
        let mut y = HEADER;
        for row in &rows {
            for (column, panel) in row.iter().enumerate() {
                let left = MARGIN + column as i32 * PANEL_WIDTH;
                let area = root.clone().shrink((left, y), (PANEL_WIDTH - MARGIN, panel.height()));
                panel.draw(&area)?;
            }
            y += row_height(row);
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

fn draw_header(root: &Area<'_>, machine: &Value) -> Result<()> {
    write(root, "sward and its peers", (MARGIN, 16), 24, BLACK, HPos::Left, true)?;
    write(root, &page::machine_line(machine), (MARGIN, 46), 11, GREY, HPos::Left, false)?;
    let legend = [
        (Kind::Sward, true, "sward, the fewest workers"),
        (Kind::Sward, false, "sward, more workers"),
        (Kind::Tokio, true, "peers, the fewest workers"),
        (Kind::Tokio, false, "peers, more workers"),
        (Kind::Epoll, true, "the limit, no runtime"),
    ];
    let mut x = MARGIN;
    for (kind, is_light, text) in legend {
        fill(root, (x, 67), (x + 14, 76), colour(kind, is_light))?;
        write(root, text, (x + 20, 66), 11, GREY, HPos::Left, false)?;
        x += 180;
    }
    let scale = "Shorter is better, but for figures with ↑. Bars are cut at four times the best peer's figure; thin lines are the range of the rounds.";
    write(root, scale, (MARGIN, 86), 11, GREY, HPos::Left, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::document;

    #[test]
    fn every_benchmark_has_a_chart_with_a_bar_for_each_subject() {
        let run = document(&[
            ("fib", "sward", 1, "time", 5.0),
            ("fib", "tokio", 1, "time", 20.0),
            ("fib", "tokio", 2, "time", 2000.0),
            ("fib", "tokio", 2, "first_time", 1.0),
            ("tcp_echo_64", "go", 1, "messages", 100_000.0),
        ]);
        let svg = to_svg(&run).expect("it can be drawn");
        for text in ["fib", "tcp_echo_64", "sward", "tokio", "2 000", "100 000", "A CPU"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn scales_are_cut_where_less_is_better() {
        let run = document(&[
            ("fib", "sward", 1, "time", 5.0),
            ("fib", "go", 1, "time", 10.0),
            ("fib", "threads", 1, "time", 10_000.0),
            ("tcp_echo_64", "sward", 1, "messages", 900.0),
            ("tcp_echo_64", "go", 1, "messages", 100.0),
            ("generator", "sward", 1, "time", 7.0),
        ]);
        let figures = stored::figures(&run).expect("it is complete");
        let scales: Vec<_> = Panel::all(&figures).iter().map(|panel| (panel.bench, panel.scale)).collect();
        assert!(scales.contains(&("fib", 40.0)) && scales.contains(&("tcp_echo_64", 900.0)));
        assert!(scales.contains(&("generator", 7.0)));
    }

    #[test]
    fn long_texts_end_at_a_word() {
        assert_eq!(shorten("one two, three", 9), "one two …");
        assert_eq!(shorten("one two", 9), "one two");
    }
}
