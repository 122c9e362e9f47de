//! Tables of Weir's own kinds: registries that are followed, hooks, triggers and what became of them.

use machinery::duration;
use machinery::table::{Cell, Column};
use machinery::time::Time;
use serde_json::Value;

use super::{AGE, Layout, age, count, field, items, name, number, since, text, time};
use crate::plain::Plain;

pub(super) static UPSTREAMS: Layout = Layout {
    columns: &[
        Column::NAME,
        number("Followed", "Tags that are followed there."),
        number("Waiting", "Tags that are due and wait for their turn."),
        number("Requests", "Requests sent since the start."),
        Column::text("Budget", "What is left and allowed, where it is scarcest."),
        Column::text("Resets", "When all of the budget is there again."),
        Column::text("Next Due", "When the next tag is due."),
        Column::text("Last Error", "What went wrong last."),
        Column::text("Closed", "How long the registry wants no requests.").wide(),
        Column::text("When", "When that went wrong.").wide(),
    ],
    cells: upstream,
};

pub(super) static DELIVERIES: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Trigger", "Who wants it."),
        Column::text("Tag", "The tag that moved."),
        Column::text("State", "How far it is."),
        number("Attempts", "How often it was attempted."),
        Column::text("Last Error", "Why the last attempt failed."),
        AGE,
    ],
    cells: |plain, now| {
        let tag = format!("{}:{}", text(plain, "/spec/stream"), text(plain, "/spec/tag"));
        vec![
            name(plain),
            text(plain, "/spec/trigger/name").into(),
            tag.into(),
            text(plain, "/status/state").into(),
            count(plain, "/status/attempts").into(),
            text(plain, "/status/lastError").into(),
            age(plain, now),
        ]
    },
};

pub(super) static HOOKS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Type", "Who sends."),
        number("Accepted", "Calls that were accepted."),
        number("Refused", "Calls that were refused."),
        Column::text("Last Call", "How long ago it was last called."),
        Column::text("Outcome", "What came of that."),
        AGE,
    ],
    cells: |plain, now| {
        let last = items(plain, "/status/deliveries").first();
        let field = |name: &str| last.map(|last| field(last, name)).unwrap_or_default();
        let ago = field("time").parse().map_or_else(|_| "<none>".to_owned(), |time| since(time, now));
        vec![
            name(plain),
            text(plain, "/spec/type").into(),
            count(plain, "/status/accepted").into(),
            count(plain, "/status/refused").into(),
            ago.into(),
            field("outcome").into(),
            age(plain, now),
        ]
    },
};

pub(super) static WEBHOOK_TRIGGERS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Stream", "The stream that it follows."),
        Column::text("Tags", "Patterns of the tags."),
        Column::text("URL", "Where events go."),
        AGE,
    ],
    cells: |plain, now| {
        let url = text(plain, "/spec/url");
        vec![
            name(plain),
            text(plain, "/spec/stream").into(),
            patterns(plain).into(),
            url.into(),
            age(plain, now),
        ]
    },
};

pub(super) static OBJECT_TRIGGERS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Stream", "The stream that it follows."),
        Column::text("Tags", "Patterns of the tags."),
        Column::text("Makes", "The kind of the objects."),
        AGE,
    ],
    cells: |plain, now| {
        let kind = text(plain, "/spec/template/kind");
        vec![
            name(plain),
            text(plain, "/spec/stream").into(),
            patterns(plain).into(),
            kind.into(),
            age(plain, now),
        ]
    },
};

/// Patterns of tags; without any, all tags are meant.
fn patterns(plain: &Plain) -> String {
    let all: Vec<&str> = items(plain, "/spec/tags").iter().filter_map(Value::as_str).collect();
    if all.is_empty() { "*".to_owned() } else { all.join(",") }
}

/// An upstream registry, with the account that has least left.
fn upstream(plain: &Plain, now: Time) -> Vec<Cell> {
    let until = |pointer: &str| {
        let at = time(plain, pointer);
        if at.is_zero() { "<none>".to_owned() } else { duration::age(at.seconds_since(now).max(0)) }
    };
    let accounts = items(plain, "/status/accounts").iter().enumerate();
    let scarcest = accounts
        .filter_map(|(at, account)| Some((account.pointer("/budget/remaining")?.as_i64()?, at)))
        .min();
    let (budget, resets) = match scarcest {
        Some((remaining, at)) => {
            let limit = count(plain, &format!("/status/accounts/{at}/budget/limit"));
            (format!("{remaining}/{limit}"), until(&format!("/status/accounts/{at}/budget/resets")))
        }
        None => ("<none>".to_owned(), "<none>".to_owned()),
    };
    let failed = time(plain, "/status/lastError/time");
    let error = text(plain, "/status/lastError/message");
    vec![
        name(plain),
        count(plain, "/status/followed").into(),
        count(plain, "/status/waiting").into(),
        count(plain, "/status/requests").into(),
        budget.into(),
        resets.into(),
        until("/status/nextDue").into(),
        if error.is_empty() { "<none>" } else { error }.into(),
        until("/status/closedUntil").into(),
        if failed.is_zero() { "<none>".to_owned() } else { duration::ago(failed, now) }.into(),
    ]
}
