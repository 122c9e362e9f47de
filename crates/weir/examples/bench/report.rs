//! The table: each figure beside the limit that was measured in the same run.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use server::clock::Clock;

use crate::load::Rate;

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    figure: String,
    measured: String,
    beside: String,
    share: String,
    goal: String,
    met: bool,
}

impl Row {
    /// A rate beside the best that could be.
    pub(crate) fn share(figure: &str, rate: Rate, limit: Rate, beside: &str, least: f64) -> Row {
        let share = rate.per_second / limit.per_second;
        Row {
            figure: figure.to_owned(),
            measured: rate_text(rate),
            beside: format!("{beside}: {}", rate_text(limit)),
            share: format!("{share:.2}"),
            goal: format!("at least {least} of it"),
            met: share >= least,
        }
    }

    /// A rate that has to reach a number.
    pub(crate) fn rate(figure: &str, rate: Rate, beside: String, least: f64) -> Row {
        Row {
            figure: figure.to_owned(),
            measured: rate_text(rate),
            beside,
            share: String::new(),
            goal: format!("over {least:.0}/s"),
            met: rate.per_second > least,
        }
    }

    /// A number of which less is better.
    pub(crate) fn at_most(figure: &str, measured: f64, most: f64, unit: &str) -> Row {
        Row {
            figure: figure.to_owned(),
            measured: format!("{measured:.1} {unit}"),
            beside: String::new(),
            share: String::new(),
            goal: format!("at most {most} {unit}"),
            met: measured <= most,
        }
    }

    /// A rate that is only shown.
    pub(crate) fn shown(figure: &str, rate: Rate, beside: String) -> Row {
        let measured = rate_text(rate);
        Row {
            figure: figure.to_owned(),
            measured,
            beside,
            share: String::new(),
            goal: String::new(),
            met: true,
        }
    }
}

pub(crate) fn rate_text(rate: Rate) -> String {
    let mut text = format!("{:.0}/s", rate.per_second);
    if rate.cpu_micros > 0.0 {
        let _ = write!(text, " ({:.0} µs CPU)", rate.cpu_micros);
    }
    text
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The whole report as Markdown.
pub(crate) fn markdown(title: &str, rows: &[Row]) -> String {
    let mut out = format!(
        "# {title}\n\n\
         Written by `cargo xtask bench`. Rates are the best of several runs; a limit was measured in the same run as the\n\
         figure beside it, with the same load. The load came from the same machine. Microseconds are the processor time\n\
         of the server for one answer.\n\n\
         - {}\n- {}\n- load average: {}\n\n\
         | figure | measured | beside | share | to reach | |\n| --- | --- | --- | --- | --- | --- |\n",
        Clock::system().timestamp().strftime("%Y-%m-%d %H:%M UTC"),
        machine(),
        load_average(),
    );
    for row in rows {
        let met = if row.met { "reached" } else { "**missed**" };
        let met = if row.goal.is_empty() { "" } else { met };
        let Row { figure, measured, beside, share, goal, .. } = row;
        let _ = writeln!(out, "| {figure} | {measured} | {beside} | {share} | {goal} | {met} |");
    }
    out
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> = cpu
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']))
        .collect();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = names.first().copied().unwrap_or("unknown processor");
    format!("{} × {name}, {} GB, Linux {}", names.len(), kilobytes >> 20, kernel.trim())
}

/// One, five and fifteen minutes.
fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
