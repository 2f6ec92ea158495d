//! Whether what an index said is what the rows say.

use std::path::Path;

use super::SalvageError;
use super::image::Missing;
use super::pages::Pages;
use super::schema;
use super::survey::Survey;
use super::tree::Walker;

/// Each index of a damaged database that is whole and has other entries than the one that SQLite made anew from
/// the rows of the new file, with its table.
///
/// Safety: such an index and its table hold both, and one of them is not what was written last, or is another's.
/// An index of some rows only, or of what is computed from them, is compared nowhere else.
pub(super) fn that_differ(
    survey: &Survey,
    file: &Path,
) -> Result<Vec<(String, String)>, SalvageError> {
    let pages = Pages::open(file)?;
    let none = Missing::default();
    let mut walker = Walker::new(&pages, &none);
    let made = schema::read(file)?;
    let mut differ = Vec::new();
    for index in survey.indexes.iter().filter(|it| it.tree.is_whole()) {
        let (name, table) = (&index.state.name, &index.state.table);
        let has_rowid = survey
            .tables
            .iter()
            .any(|it| it.name == *table && it.has_rowid);
        let Some(anew) = made.indexes.iter().find(|it| it.name == *name) else {
            continue;
        };
        let anew = walker.index(anew.root, anew.entry(has_rowid))?;
        if (anew.entries, anew.sum) != (index.tree.entries, index.tree.sum) {
            differ.push((name.clone(), table.clone()));
        }
    }
    Ok(differ)
}
