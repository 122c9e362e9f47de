//! Elastic tab stops: text whose cells end in tabs comes out in aligned columns.
//!
//! A column is a run of consecutive lines that all have a (tab-terminated) cell in that position, so a line with
//! fewer cells ends the columns to its right. The last cell of a line belongs to no column and is never padded.
//! The rules are those of Go's `text/tabwriter`, which decides the layout of everything that `describe` and `get` show.

/// How cells are padded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Least width of a column, padding included.
    pub(crate) min_width: usize,
    /// Width of a tab; matters only when padding with tabs.
    pub(crate) tab_width: usize,
    /// Added to the widest cell of a column.
    pub(crate) padding: usize,
    /// A tab or a blank.
    pub(crate) pad: char,
}

impl Layout {
    /// Tables of `get`.
    pub(crate) const TABLE: Layout = Layout { min_width: 6, tab_width: 4, padding: 3, pad: ' ' };
    /// What `describe` prints for the kinds of OpenShift.
    pub(crate) const DESCRIBE: Layout = Layout { min_width: 0, tab_width: 8, padding: 1, pad: '\t' };
    /// What `describe` prints for the kinds of Kubernetes.
    pub(crate) const DESCRIBE_BLANKS: Layout = Layout { min_width: 0, tab_width: 8, padding: 2, pad: ' ' };
    /// Images of registries.
    pub(crate) const INFO: Layout = Layout { min_width: 0, tab_width: 4, padding: 1, pad: ' ' };
    /// Listings of `set`.
    pub(crate) const SET: Layout = Layout { min_width: 0, tab_width: 2, padding: 2, pad: ' ' };
}

/// Lays out a whole text.
pub(crate) fn align(text: &str, layout: Layout) -> String {
    lay_out(text, layout, None)
}

/// Lays out a text whose columns are at least as wide as `widths`, and widens those.
pub(crate) fn align_remembering(text: &str, layout: Layout, widths: &mut Vec<usize>) -> String {
    lay_out(text, layout, Some(widths))
}

fn lay_out(text: &str, layout: Layout, remembered: Option<&mut Vec<usize>>) -> String {
    let ended = text.ends_with('\n');
    let body = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() {
        return String::new();
    }
    let lines: Vec<Vec<&str>> = body.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut writer = Writer { lines: &lines, layout, remembered, out: String::with_capacity(text.len() * 2) };
    writer.block(&mut Vec::new(), 0, lines.len());
    let mut out = writer.out;
    if !ended {
        out.pop();
    }
    out
}

struct Writer<'a> {
    lines: &'a [Vec<&'a str>],
    layout: Layout,
    remembered: Option<&'a mut Vec<usize>>,
    out: String,
}

impl Writer<'_> {
    /// Writes the lines `from..to`, whose first `widths.len()` columns are known.
    fn block(&mut self, widths: &mut Vec<usize>, from: usize, to: usize) {
        let column = widths.len();
        let mut pending = from;
        let mut this = from;
        while this < to {
            if column + 1 >= self.lines[this].len() {
                this += 1;
                continue;
            }
            self.write(widths, pending, this);
            pending = this;
            let mut width = self.layout.min_width;
            while this < to && column + 1 < self.lines[this].len() {
                width = width.max(self.lines[this][column].chars().count() + self.layout.padding);
                this += 1;
            }
            if let Some(remembered) = &mut self.remembered {
                if remembered.len() <= column {
                    remembered.resize(column + 1, 0);
                }
                width = width.max(remembered[column]);
                remembered[column] = width;
            }
            widths.push(width);
            self.block(widths, pending, this);
            widths.pop();
            pending = this;
        }
        self.write(widths, pending, to);
    }

    fn write(&mut self, widths: &[usize], from: usize, to: usize) {
        for line in &self.lines[from..to] {
            for (at, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(width) = widths.get(at) {
                    self.pad(cell.chars().count(), *width);
                }
            }
            self.out.push('\n');
        }
    }

    fn pad(&mut self, used: usize, width: usize) {
        if self.layout.pad == '\t' {
            let tab = self.layout.tab_width.max(1);
            let room = width.div_ceil(tab) * tab - used;
            self.out.extend(std::iter::repeat_n('\t', room.div_ceil(tab)));
        } else {
            self.out.extend(std::iter::repeat_n(self.layout.pad, width.saturating_sub(used)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_pads_every_cell_but_the_last() {
        assert_eq!(align("N\tT\napp\t1,2\n", Layout::TABLE), "N     T\napp   1,2\n");
        assert_eq!(align("NAME\tFIRST\napp\t\n", Layout::TABLE), "NAME   FIRST\napp    \n");
    }

    #[test]
    fn labels_are_padded_with_tabs_to_the_widest_of_the_block() {
        let text = "Name:\tx\nImage Repository:\ty\nTags:\t1\n\nlatest\n  from\n";
        assert_eq!(
            align(text, Layout::DESCRIBE),
            "Name:\t\t\tx\nImage Repository:\ty\nTags:\t\t\t1\n\nlatest\n  from\n"
        );
    }

    #[test]
    fn a_line_without_cells_ends_a_column() {
        assert_eq!(align("a\tb\nlong line\nccccccccc\td\n", Layout::SET), "a  b\nlong line\nccccccccc  d\n");
    }

    #[test]
    fn inner_columns_align_below_each_other() {
        let text = "Layers:\t75.86MB\tsha256:1\n\t1.611kB\tsha256:2\nName:\tx\n";
        assert_eq!(
            align(text, Layout::DESCRIBE),
            "Layers:\t75.86MB\tsha256:1\n\t1.611kB\tsha256:2\nName:\tx\n"
        );
    }

    #[test]
    fn remembered_widths_only_grow() {
        let mut widths = Vec::new();
        assert_eq!(align_remembering("long name\tx\n", Layout::TABLE, &mut widths), "long name   x\n");
        assert_eq!(align_remembering("a\tx\n", Layout::TABLE, &mut widths), "a           x\n");
    }

    #[test]
    fn nothing_stays_nothing() {
        assert_eq!(align("", Layout::TABLE), "");
        assert_eq!(align("\n", Layout::TABLE), "\n");
        assert_eq!(align("a\tb", Layout::SET), "a  b");
    }
}
