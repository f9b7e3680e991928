//! The text format 0.0.4 of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::Write;

/// A page of metrics that is being written.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// What kind a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Exposition {
    /// Begins a metric; its samples follow. The help is one line of plain text.
    pub(super) fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.line(format_args!(" {}", Number(value)));
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing into a string cannot fail");
    }
}

/// A number as Prometheus reads it.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Kind};

    #[test]
    fn labels_are_escaped_and_odd_numbers_written_as_prometheus_reads_them() {
        let mut page = Exposition::default();
        page.metric("a", Kind::Gauge, "one\\two\nthree");
        page.sample("a", &[("b", "q\"\\\n"), ("c", "ü")], 1.5);
        page.sample("a", &[], f64::INFINITY);
        page.sample("a", &[], f64::NEG_INFINITY);
        page.sample("a", &[], f64::NAN);
        page.sample("a", &[], 9_007_199_254_740_991.0);
        let wanted = "# HELP a one\\\\two\\nthree\n# TYPE a gauge\na{b=\"q\\\"\\\\\\n\",c=\"ü\"} 1.5\n\
                      a +Inf\na -Inf\na NaN\na 9007199254740991\n";
        assert_eq!(page.into_text(), wanted);
    }
}
