//! The list of free pages, and what is on neither it nor any tree.

use std::io;

use super::pages::u32_at;
use super::tree::Walker;

/// What a list of free pages names.
#[derive(Debug, Default)]
struct Chain {
    /// Pages that no tree has, each once.
    pages: Vec<u32>,
    /// Names of pages that a tree has, that are there twice, or that are not there.
    wrong: u64,
    /// Whether each of its own pages could be followed to the last.
    ends: bool,
}

impl Walker<'_> {
    /// Gives free pages their place. Whether it is certain of every page that is left that it is free or
    /// not.
    ///
    /// Safety: nothing is free on the strength of what it looks like. Either the list names it; or a list
    /// that begins elsewhere names exactly all pages which no tree has; or as many names are wrong in a
    /// list that can be followed to its end as there are pages left, and the header says that sum too; or
    /// the header counts as many free pages as no tree has, and none of those that are not named is a page
    /// of a tree with anything on it. A page that a table leads to is never free, whatever stands on it:
    /// zeros are a list with nothing on it too.
    pub(super) fn free_list(&mut self) -> io::Result<bool> {
        let header = self.pages.read(1)?;
        let (Some(first), Some(counted)) = (u32_at(&header, 32), u32_at(&header, 36)) else {
            return Ok(false);
        };
        let mut outside = self.without_place();
        outside.retain(|page| !self.led_to[*page as usize]);
        let chain = self.chain(first)?;
        let named_in_vain = chain
            .pages
            .iter()
            .filter(|page| self.led_to[**page as usize]);
        let may_be_free = outside.len() as u64 + named_in_vain.count() as u64;
        let left: Vec<u32> = {
            let mut named = vec![false; self.used.len()];
            chain
                .pages
                .iter()
                .for_each(|page| named[*page as usize] = true);
            let is_left = |page: &&u32| !named[**page as usize];
            outside.iter().filter(is_left).copied().collect()
        };
        let sum = chain.pages.len() as u64 + chain.wrong;
        let is_known = chain.ends && chain.wrong == 0 && sum == u64::from(counted);
        let names_all = left.is_empty()
            || (chain.ends && chain.wrong == left.len() as u64 && sum == u64::from(counted))
            || (may_be_free == u64::from(counted) && !self.any_holds_cells(&left)?)
            || self.begins_at_one_of(&left, outside.len())?;
        let free = match (names_all, is_known) {
            (true, _) => outside,
            (false, true) => chain.pages,
            (false, false) => return Ok(false),
        };
        for page in free {
            self.used[page as usize] |= !self.led_to[page as usize];
        }
        Ok(true)
    }

    /// Pages that nothing has.
    pub(super) fn without_place(&self) -> Vec<u32> {
        let numbers = 0..u32::try_from(self.used.len()).unwrap_or(u32::MAX);
        numbers.filter(|page| !self.used[*page as usize]).collect()
    }

    fn chain(&self, first: u32) -> io::Result<Chain> {
        let mut chain = Chain::default();
        let mut seen = vec![false; self.used.len()];
        let mut take = |number: u32, chain: &mut Chain| {
            let at = number as usize;
            let is_free = self.used.get(at).is_some_and(|used| !used) && !seen[at];
            if is_free {
                seen[at] = true;
                chain.pages.push(number);
            } else {
                chain.wrong += 1;
            }
            is_free
        };
        let mut trunk = first;
        while trunk != 0 {
            if !take(trunk, &mut chain) {
                return Ok(chain);
            }
            let page = self.pages.read(trunk)?;
            let leaves = u32_at(&page, 4).unwrap_or(u32::MAX) as usize;
            if leaves > self.pages.usable() / 4 - 2 {
                return Ok(chain);
            }
            for leaf in 0..leaves {
                take(u32_at(&page, 8 + 4 * leaf).unwrap_or_default(), &mut chain);
            }
            trunk = u32_at(&page, 0).unwrap_or_default();
        }
        chain.ends = true;
        Ok(chain)
    }

    fn any_holds_cells(&self, pages: &[u32]) -> io::Result<bool> {
        for number in pages {
            if self.holds_cells(*number)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a list that begins at one of these pages names as many, each once, and nothing else. A page of
    /// zeros begins none: a page that was lost looks the same.
    fn begins_at_one_of(&self, pages: &[u32], wanted: usize) -> io::Result<bool> {
        for number in pages {
            let page = self.pages.read(*number)?;
            let next = u32_at(&page, 0).unwrap_or_default();
            let leaves = u32_at(&page, 4).unwrap_or(u32::MAX) as usize;
            let may_begin = match next {
                0 => leaves + 1 == wanted,
                _ => leaves < wanted && pages.binary_search(&next).is_ok(),
            };
            if !may_begin || page.iter().all(|byte| *byte == 0) {
                continue;
            }
            let chain = self.chain(*number)?;
            let leads = |page: &u32| self.led_to[*page as usize];
            let is_clean = chain.ends && chain.wrong == 0 && !chain.pages.iter().any(leads);
            if is_clean && chain.pages.len() == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
