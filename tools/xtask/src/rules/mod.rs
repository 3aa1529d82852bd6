//! The house rules that a machine keeps: one file a rule, each with a failing example in its tests.
//! `steps` runs them all over the tree; CONTRIBUTING.md explains them.
//! A rule never fixes anything and never looks outside the tree it is given.

mod changelog;
mod locks;
mod names;
mod openings;
mod prose;
mod routes;
mod shape;
mod sources;
mod unfinished;

use crate::finding::Finding;
use crate::tree::Tree;

/// A rule: reads the tree, returns what breaks it.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [Rule; 9] = [
    shape::check,
    names::check,
    openings::check,
    locks::check,
    routes::check,
    unfinished::check,
    changelog::check,
    sources::check,
    prose::check,
];

/// Runs every rule and returns the findings in path order.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort_by(|a, b| (&a.place, a.line, a.rule).cmp(&(&b.place, b.line, b.rule)));
    findings
}
