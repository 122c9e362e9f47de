//! Whether one set of rules gives everything that another one gives.
//!
//! Rules are broken down to single rights (one verb, one group, one resource, one name), and each of them must be given
//! by one rule of the owner's. That is Kubernetes' way: simple, and never too generous.

use machinery::field::quote;

use super::{ALL, PolicyRule};

/// The rights among `wanted` that `held` does not give; empty when it covers them all.
pub fn missing(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut missing = Vec::new();
    for right in wanted.iter().flat_map(rights) {
        if !held.iter().any(|rule| gives(rule, &right)) && !missing.contains(&right) {
            missing.push(right);
        }
    }
    missing
}

/// Rules as people are told of them: rights that differ only in their verbs are put together, sorted, one a line.
pub fn told(rights: &[PolicyRule]) -> String {
    let mut merged: Vec<PolicyRule> = Vec::new();
    for right in rights {
        let same = merged.iter_mut().find(|other| {
            (&other.api_groups, &other.resources, &other.resource_names, &other.non_resource_urls)
                == (&right.api_groups, &right.resources, &right.resource_names, &right.non_resource_urls)
        });
        match same {
            Some(other) => other.verbs.extend(right.verbs.iter().cloned()),
            None => merged.push(right.clone()),
        }
    }
    let mut lines: Vec<String> = merged.iter().map(compact).collect();
    lines.sort();
    lines.dedup();
    lines.join("\n")
}

/// Texts as Go prints a list of quoted ones.
pub fn quoted_list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    format!("[{}]", quoted.join(" "))
}

fn compact(rule: &PolicyRule) -> String {
    let fields = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let shown: Vec<String> = fields
        .iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(name, texts)| format!("{name}:{}", quoted_list(texts)))
        .collect();
    format!("{{{}}}", shown.join(", "))
}

fn rights(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut rights = Vec::new();
    let one = |text: &String| vec![text.clone()];
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let right = PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    rights.push(right);
                } else {
                    rights.extend(
                        rule.resource_names
                            .iter()
                            .map(|name| PolicyRule { resource_names: one(name), ..right.clone() }),
                    );
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        rights.extend(rule.verbs.iter().map(|verb| PolicyRule {
            verbs: one(verb),
            non_resource_urls: one(url),
            ..PolicyRule::default()
        }));
    }
    rights
}

/// Whether a rule gives a single right.
fn gives(rule: &PolicyRule, right: &PolicyRule) -> bool {
    let any = |held: &[String], wanted: &[String]| {
        held.iter().any(|word| word == ALL) || wanted.iter().all(|word| held.contains(word))
    };
    let resource = |wanted: &String| {
        rule.resources.iter().any(|held| {
            held == ALL
                || held == wanted
                || wanted.split_once('/').is_some_and(|(_, sub)| held.strip_prefix("*/") == Some(sub))
        })
    };
    let url = |wanted: &String| {
        rule.non_resource_urls.iter().any(|held| {
            held == ALL
                || held == wanted
                || held.strip_suffix('*').is_some_and(|prefix| wanted.starts_with(prefix))
        })
    };
    let named = rule.resource_names.is_empty()
        || (!right.resource_names.is_empty()
            && right.resource_names.iter().all(|name| rule.resource_names.contains(name)));
    any(&rule.verbs, &right.verbs)
        && any(&rule.api_groups, &right.api_groups)
        && right.resources.iter().all(resource)
        && right.non_resource_urls.iter().all(url)
        && named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rbac::tests::rule;

    #[test]
    fn a_right_must_come_from_one_rule() {
        let check = |held: &[PolicyRule], wanted: PolicyRule, covered: bool| {
            assert_eq!(
                missing(held, std::slice::from_ref(&wanted)).is_empty(),
                covered,
                "{held:?} {wanted:?}"
            );
        };
        let edit = [rule("get update", "i", "imagestreams imagestreams/layers", "")];
        check(&edit, rule("get", "i", "imagestreams", ""), true);
        check(&edit, rule("get", "i", "imagestreams", "a"), true);
        check(&edit, rule("get delete", "i", "imagestreams", ""), false);
        check(&edit, rule("*", "i", "imagestreams", ""), false);
        check(&edit, rule("get", "*", "imagestreams", ""), false);
        check(&[rule("get", "i", "x", "a")], rule("get", "i", "x", ""), false);
        check(&[rule("get", "i", "x", "a"), rule("get", "i", "x", "b")], rule("get", "i", "x", "a b"), true);
        check(&[rule("*", "*", "*", "")], rule("x", "y", "z/w", "v"), true);
        check(&[rule("get", "i", "*/layers", "")], rule("get", "i", "imagestreams/layers", ""), true);
        check(&[rule("get", "i", "*/layers", "")], rule("get", "i", "imagestreams", ""), false);
    }

    #[test]
    fn what_is_missing_is_told_once_a_resource() {
        let wanted = [rule("get update", "i", "images", "")];
        assert_eq!(
            told(&missing(&[], &wanted)),
            "{APIGroups:[\"i\"], Resources:[\"images\"], Verbs:[\"get\" \"update\"]}"
        );
    }
}
