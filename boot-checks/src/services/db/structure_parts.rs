//! How a database describes itself, part for part.

use serde::Deserialize;

use super::structure::{Column, ForeignKey, Index, Table, TableOptions};
use super::table_text::{index_text, table_text};

/// How `hidden` says that a computed value is kept (<https://www.sqlite.org/pragma.html#pragma_table_xinfo>).
const STORED: i64 = 3;

/// One thing that a structure is made of. A table's statement comes before its other parts, and of foreign keys it is
/// said which one of the statement's it is, from 0: SQLite counts them from the end.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Table {
        sql: String,
    },
    View {
        sql: String,
    },
    Trigger {
        sql: String,
    },
    Column {
        name: String,
        declared_type: Option<String>,
        not_null: i64,
        default: Option<String>,
        primary_key: i64,
        hidden: i64,
    },
    Index {
        name: String,
        unique: i64,
        origin: String,
        partial: i64,
        sql: Option<String>,
        over: Vec<(Option<String>, i64, Option<String>)>,
    },
    ForeignKey {
        columns: Vec<(String, Option<String>)>,
        table: String,
        on_delete: String,
        on_update: String,
        place: usize,
    },
}

/// Everything about the tables that `filter` names, and the views and triggers, as one value: a row costs a
/// turn of two threads, which is more than SQLite needs to find it.
pub(super) fn everything(filter: &str) -> String {
    format!(
        "WITH m (name, sql) AS MATERIALIZED (SELECT name, sql FROM sqlite_schema m WHERE {filter})
         SELECT json_group_array(json_array(owner, json(part)) ORDER BY position) FROM (
           SELECT m.name AS owner, -1 AS position, json_object('table', json_object('sql', m.sql)) AS part
             FROM m
           UNION ALL
           SELECT s.name, 0, json_object(s.type, json_object('sql', s.sql))
             FROM sqlite_schema s WHERE s.type IN ('view', 'trigger')
           UNION ALL
           SELECT m.name, x.cid, json_object('column', json_object(
               'name', x.name, 'declared_type', x.type,
               'not_null', x.\"notnull\", 'default', x.dflt_value,
               'primary_key', x.pk, 'hidden', x.hidden))
             FROM m, pragma_table_xinfo(m.name) x
           UNION ALL
           SELECT m.name, 0, json_object('index', json_object(
               'name', i.name, 'unique', i.\"unique\", 'origin', i.origin, 'partial', i.partial,
               'sql', (SELECT s.sql FROM sqlite_schema s WHERE s.type = 'index' AND s.name = i.name),
               'over', json((SELECT json_group_array(json_array(c.name, c.\"desc\", c.coll) ORDER BY c.seqno)
                             FROM pragma_index_xinfo(i.name) c WHERE c.key))))
             FROM m, pragma_index_list(m.name) i
           UNION ALL
           SELECT m.name, 0, json_object('foreign_key', json_object(
               'columns', json_group_array(json_array(f.\"from\", f.\"to\") ORDER BY f.seq),
               'table', f.\"table\", 'on_delete', f.on_delete, 'on_update', f.on_update,
               'place', (SELECT max(o.id) FROM pragma_foreign_key_list(m.name) o) - f.id))
             FROM m, pragma_foreign_key_list(m.name) f GROUP BY m.name, f.id)"
    )
}

impl Table {
    pub(super) fn add(&mut self, part: Part) {
        match part {
            Part::Table { sql } => self.sql = sql,
            // No part of a table.
            Part::View { .. } | Part::Trigger { .. } => {}
            Part::Column {
                name,
                declared_type,
                not_null,
                default,
                primary_key,
                hidden,
            } => self.columns.push(Column {
                name,
                declared_type: declared_type.unwrap_or_default(),
                not_null: not_null != 0,
                default,
                primary_key,
                generated: hidden != 0,
                computation: String::new(),
                stored: hidden == STORED,
                collation: String::new(),
                checks: Vec::new(),
                definition: String::new(),
            }),
            Part::Index {
                name,
                unique,
                origin,
                partial,
                sql,
                over,
            } => {
                let is_of_columns = partial == 0 && over.iter().all(|(name, ..)| name.is_some());
                let columns = || over.iter().map(key).collect::<Vec<_>>().join(", ");
                match origin.as_str() {
                    "u" => self.unique.push(columns()),
                    "pk" => self.primary_key = columns(),
                    _ => {
                        let sql = sql.unwrap_or_default();
                        let over = match is_of_columns {
                            true => columns(),
                            false => index_text(&sql),
                        };
                        let unique = unique != 0;
                        self.indexes.insert(name, Index { sql, unique, over });
                    }
                }
            }
            Part::ForeignKey {
                columns,
                table,
                on_delete,
                on_update,
                place,
            } => {
                let (from, to): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
                let deferred = table_text(&self.sql).deferred_keys;
                let is_deferred = deferred.get(place).is_some_and(|it| *it);
                self.foreign_keys.push(ForeignKey {
                    from,
                    table,
                    to: to.into_iter().flatten().collect(),
                    rules: rules(&on_delete, &on_update, is_deferred),
                });
            }
        }
    }

    /// Adds what only its statement says, and sorts what has no order.
    pub(super) fn complete(&mut self) {
        let text = table_text(&self.sql);
        for (column, said) in self.columns.iter_mut().zip(text.columns) {
            column.collation = said.collation;
            column.computation = said.computation;
            column.checks = said.checks;
            column.definition = said.definition;
        }
        self.checks = text.checks;
        self.conflicts = text.conflicts;
        self.options = TableOptions {
            strict: text.is_strict,
            without_rowid: text.is_without_rowid,
            autoincrement: text.has_autoincrement,
        };
        self.checks.sort();
        self.conflicts.sort();
        self.unique.sort();
        self.foreign_keys.sort();
    }
}

/// Those that are said, in SQL's order.
fn rules(on_delete: &str, on_update: &str, is_deferred: bool) -> String {
    let mut rules = Vec::new();
    for (event, action) in [("DELETE", on_delete), ("UPDATE", on_update)] {
        if action != "NO ACTION" {
            rules.push(format!("ON {event} {action}"));
        }
    }
    if is_deferred {
        rules.push("DEFERRABLE INITIALLY DEFERRED".to_owned());
    }
    rules.join(" ")
}

/// One column of an index, in one spelling.
fn key((name, descends, collation): &(Option<String>, i64, Option<String>)) -> String {
    let name = name.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_plain = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut key =
        match name.chars().all(is_plain) && !name.starts_with(|it: char| it.is_ascii_digit()) {
            true => name,
            false => format!("\"{}\"", name.replace('"', "\"\"")),
        };
    match collation
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase()
    {
        usual if usual == "binary" => {}
        other => key.push_str(&format!(" collate {other}")),
    }
    if *descends != 0 {
        key.push_str(" desc");
    }
    key
}
