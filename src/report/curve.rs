//! Numbers over the steps or checks of a work, as a picture in SVG and as a table.

use crate::error::{Error, Result};
use plotters::prelude::*;

/// Points of a line at most: more steps are averaged together.
const POINTS: usize = 500;

/// Lines over steps.
#[derive(Clone, Debug)]
pub struct Curves<'c> {
    /// The title.
    pub title: &'c str,
    /// What is drawn upwards.
    pub what: &'c str,
    /// What is counted to the right: `step` or `check`.
    pub over: &'c str,
    /// Names of the lines.
    pub names: &'c [&'c str],
    /// Their values, step after step.
    pub rows: &'c [f32],
}

impl Curves<'_> {
    /// A table of all steps: `step,NAME,…`, counted from 1.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be put together: a bug.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let wrong = |e: &dyn std::fmt::Display| Error::Output(format!("the table of losses cannot be made: {e}"));
        let mut table = csv::Writer::from_writer(vec![]);
        let head = [self.over].into_iter().chain(self.names.iter().copied());
        table.write_record(head).map_err(|e| wrong(&e))?;
        for (i, row) in self.rows.chunks(self.names.len().max(1)).enumerate() {
            let cells = [(i + 1).to_string()].into_iter().chain(row.iter().map(f32::to_string));
            table.write_record(cells).map_err(|e| wrong(&e))?;
        }
        table.into_inner().map_err(|e| wrong(&e))
    }

    /// Line `k` in at most [`POINTS`] points: the step in the middle of those that each stands for, and their mean.
    fn line(&self, k: usize) -> Vec<(f64, f64)> {
        let n = self.names.len().max(1);
        let values: Vec<f64> = self.rows.iter().skip(k).step_by(n).map(|v| f64::from(*v)).collect();
        let each = values.len().div_ceil(POINTS).max(1);
        let point = |(i, part): (usize, &[f64])| {
            let middle = (i * each) as f64 + part.len() as f64 / 2.0 + 0.5;
            (middle, part.iter().sum::<f64>() / part.len() as f64)
        };
        values.chunks(each).enumerate().map(point).collect()
    }

    /// The picture, the scale upwards by powers of ten.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let wrong = |e: String| Error::Output(format!("the losses cannot be drawn: {e}"));
        let mut drawn = String::new();
        self.draw(&mut drawn).map_err(wrong)?;
        Ok(drawn)
    }

    fn draw(&self, into: &mut String) -> std::result::Result<(), String> {
        let told = |e: &dyn std::fmt::Display| e.to_string();
        let lines: Vec<Vec<(f64, f64)>> = (0..self.names.len()).map(|k| self.line(k)).collect();
        let steps = self.rows.len() / self.names.len().max(1);
        let values = || lines.iter().flatten().map(|p| p.1).filter(|v| v.is_finite() && *v > 0.0);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        // From one power of ten to another, both inside: only these are labelled.
        let power = |v: f64, whole: fn(f64) -> f64| 10f64.powf(whole(v.log10()));
        let (low, high) =
            if low < high { (0.99 * power(low, f64::floor), power(high, f64::ceil)) } else { (1e-3, 1.0) };
        let root = SVGBackend::with_string(into, (800, 480)).into_drawing_area();
        root.fill(&WHITE).map_err(|e| told(&e))?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..steps.max(1) as f64, (low..high).log_scale())
            .map_err(|e| told(&e))?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.over).y_desc(self.what).light_line_style(BLACK.mix(0.06));
        mesh.x_labels((steps + 1).clamp(2, 11)).x_label_formatter(&|step| format!("{step:.0}"));
        mesh.y_label_formatter(&|value| (*value as f32).to_string());
        mesh.draw().map_err(|e| told(&e))?;
        for (k, (line, name)) in lines.into_iter().zip(self.names).enumerate() {
            let color = Palette99::pick(k).to_rgba();
            let style = color.stroke_width(2);
            let drawn = chart.draw_series(LineSeries::new(line, style)).map_err(|e| told(&e))?;
            drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        // Losses fall: there is room where they would have risen to.
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight);
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw().map_err(|e| told(&e))?;
        root.present().map_err(|e| told(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_picture_of_all_lines() {
        let rows: Vec<f32> = (0..2400).map(|i| if i % 2 == 0 { 1.0 / (1 + i) as f32 } else { 0.5 }).collect();
        let curves = Curves { title: "losses", what: "loss", over: "step", names: &["hard", "both"], rows: &rows };
        let table = String::from_utf8(curves.csv().unwrap()).unwrap();
        assert!(table.starts_with("step,hard,both\n1,1,0.5\n2,0.33333334,0.5\n"), "{}", &table[..60]);
        assert_eq!(table.lines().count(), 1201);
        let line = curves.line(1);
        assert!(line.len() <= POINTS && line.iter().all(|p| p.1 == 0.5));
        assert_eq!(line.first().map(|p| p.0), Some(2.0), "the first point stands for steps 1 to 3");
        let picture = curves.svg().unwrap();
        assert!(picture.contains("<svg") && picture.contains("hard") && picture.matches("polyline").count() >= 2);
    }

    #[test]
    fn no_step_at_all_is_no_error() {
        let none = Curves { title: "t", what: "w", over: "step", names: &["a"], rows: &[] };
        assert!(none.svg().is_ok() && none.csv().is_ok());
    }
}
