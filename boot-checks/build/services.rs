//! The part of the library's services that reads structures.

pub mod db;
