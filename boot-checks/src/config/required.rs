/// A table that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredTable {
    /// Its name.
    pub name: String,
    /// Columns that must be in it.
    pub columns: Vec<RequiredColumn>,
}

/// A column that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredColumn {
    /// Its name.
    pub name: String,
    /// Its declared type, where it matters; compared by SQLite's affinity.
    pub declared_type: Option<String>,
}

impl RequiredColumn {
    /// Reads `name` or `name TYPE`, as a column is declared in SQL. A name with spaces stands in
    /// double quotes; a doubled quote within is one quote. None where there is no name.
    pub(super) fn parse(declaration: &str) -> Option<RequiredColumn> {
        let declaration = declaration.trim();
        let (name, rest) = match declaration.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => match declaration.split_once(char::is_whitespace) {
                Some((name, rest)) => (name.to_owned(), rest),
                None => (declaration.to_owned(), ""),
            },
        };
        let declared_type = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
        (!name.is_empty()).then_some(RequiredColumn {
            name,
            declared_type,
        })
    }
}

/// What stands before the closing quote, and what follows it.
fn split_quoted(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// Records that must be readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredRecords {
    /// The table.
    pub table: String,
    /// The fields that are read.
    pub fields: Vec<String>,
    /// How many rows there must be at least.
    pub at_least: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_read_as_sql_declares_it() {
        let cases = [
            ("id", Some(("id", None))),
            ("  total   REAL ", Some(("total", Some("REAL")))),
            (
                "amount DECIMAL(10, 2)",
                Some(("amount", Some("DECIMAL(10, 2)"))),
            ),
            ("\"order total\" REAL", Some(("order total", Some("REAL")))),
            ("\"a \"\"b\"\"\"", Some(("a \"b\"", None))),
            ("\"open", None),
            ("\"\"", None),
            ("", None),
        ];
        for (declaration, expect) in cases {
            let expect = expect.map(|(name, declared_type)| RequiredColumn {
                name: name.to_owned(),
                declared_type: declared_type.map(str::to_owned),
            });
            assert_eq!(
                RequiredColumn::parse(declaration),
                expect,
                "{declaration:?}"
            );
        }
    }
}
