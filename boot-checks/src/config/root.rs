use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigError, Inputs, Place, env_names};

/// The name under which the configuration file is looked for.
pub(super) const CONFIG_FILE_NAME: &str = "boot.toml";

/// The application's root: `--root`, else `BOOT_ROOT`, else the folder of the nearest `boot.toml`
/// upwards from the current folder, else the current folder. Absolute.
///
/// Usable alone: where the rest of the configuration is broken, the report still goes under the
/// root.
///
/// # Errors
///
/// The root is missing, is no folder, or cannot be looked at.
pub fn find_root(inputs: &Inputs) -> Result<PathBuf, ConfigError> {
    let (root, at) = if let Some(root) = &inputs.root {
        (inputs.absolute(root), Place::Flag("--root"))
    } else if let Some(root) = inputs.variable(env_names::BOOT_ROOT) {
        let root = inputs.absolute(Path::new(root));
        (root, Place::Variable(env_names::BOOT_ROOT))
    } else {
        let root = nearest_with_config(&inputs.current_dir).unwrap_or(&inputs.current_dir);
        (root.to_owned(), Place::Default)
    };
    match fs::metadata(&root) {
        Ok(metadata) if metadata.is_dir() => Ok(root),
        Ok(_) => Err(ConfigError::RootNotAFolder { root, at }),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            Err(ConfigError::RootMissing { root, at })
        }
        Err(err) => Err(ConfigError::Unreadable {
            path: root,
            at,
            why: err.to_string(),
        }),
    }
}

fn nearest_with_config(from: &Path) -> Option<&Path> {
    from.ancestors().find(|folder| {
        // Whatever bears the name counts, short of a folder: a link that leads nowhere is to be
        // complained about, not passed over.
        fs::symlink_metadata(folder.join(CONFIG_FILE_NAME)).is_ok_and(|found| !found.is_dir())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_the_variable_then_the_nearest_file_then_here() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        for folder in ["flag", "variable", "app/src/deep", "bare"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("app/boot.toml"), "").unwrap();
        let variables = |root: &str| [("BOOT_ROOT".to_owned(), root.to_owned())].into();

        let mut inputs = Inputs {
            root: Some("../flag/.".into()),
            variables: variables("../variable"),
            current_dir: at("bare"),
            ..Inputs::default()
        };
        assert_eq!(find_root(&inputs).unwrap(), at("bare/../flag"));
        inputs.root = None;
        assert_eq!(find_root(&inputs).unwrap(), at("bare/../variable"));
        inputs.variables = variables("");
        assert_eq!(find_root(&inputs).unwrap(), at("bare"));
        inputs.current_dir = at("app/src/deep");
        assert_eq!(find_root(&inputs).unwrap(), at("app"));
    }

    #[test]
    fn a_folder_named_boot_toml_makes_no_root() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("boot.toml")).unwrap();
        fs::create_dir_all(temp.path().join("inner")).unwrap();
        let inputs = Inputs {
            current_dir: temp.path().join("inner"),
            ..Inputs::default()
        };
        assert_eq!(find_root(&inputs).unwrap(), temp.path().join("inner"));
    }
}
