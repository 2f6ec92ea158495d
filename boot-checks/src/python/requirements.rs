//! Which line of the application's requirements provides a module.

use std::path::{Path, PathBuf};

/// Longest file of requirements that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Modules whose package has another name; all others have their own.
const OTHER_NAMES: [(&str, &str); 32] = [
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("Crypto", "pycryptodome"),
    ("cv2", "opencv-python"),
    ("dateutil", "python-dateutil"),
    ("discord", "discord-py"),
    ("docx", "python-docx"),
    ("dotenv", "python-dotenv"),
    ("fitz", "pymupdf"),
    ("git", "gitpython"),
    ("github", "pygithub"),
    ("grpc", "grpcio"),
    ("jose", "python-jose"),
    ("jwt", "pyjwt"),
    ("ldap", "python-ldap"),
    ("magic", "python-magic"),
    ("multipart", "python-multipart"),
    ("MySQLdb", "mysqlclient"),
    ("OpenSSL", "pyopenssl"),
    ("PIL", "pillow"),
    ("pkg_resources", "setuptools"),
    ("psycopg2", "psycopg2-binary"),
    ("pythoncom", "pywin32"),
    ("serial", "pyserial"),
    ("sklearn", "scikit-learn"),
    ("socketio", "python-socketio"),
    ("telegram", "python-telegram-bot"),
    ("websocket", "websocket-client"),
    ("win32api", "pywin32"),
    ("win32com", "pywin32"),
    ("yaml", "pyyaml"),
    ("zmq", "pyzmq"),
];

/// A requirement as the application lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The file, relative to the root.
    pub(super) file: PathBuf,
    /// The line in it.
    pub(super) line: usize,
    /// The requirement itself, such as `aiohttp>=3.8.0`.
    pub(super) text: String,
}

/// The name of the package that provides a module, as far as it is known.
pub(super) fn package_of(module: &str) -> &str {
    OTHER_NAMES
        .iter()
        .find(|(name, _)| *name == module)
        .map_or(module, |(_, package)| package)
}

/// The line that asks for the package of a module.
pub(super) fn listed(root: &Path, packages: &[String], module: &str) -> Option<Listed> {
    let wanted = [normal(package_of(module)), normal(module)];
    files(root, packages).into_iter().find_map(|file| {
        let text = read(&root.join(&file))?;
        let mut lines = text.lines().enumerate();
        lines.find_map(|(at, line)| {
            let requirement = line.split('#').next()?.trim();
            let requirement = requirement.trim_matches(['"', '\'', ',', ' ']);
            let name = wanted.contains(&normal(name_of(requirement)));
            name.then(|| Listed {
                file: file.clone(),
                line: at + 1,
                text: requirement.to_owned(),
            })
        })
    })
}

/// The file to which a requirement belongs that is not listed yet.
pub(super) fn first_file(root: &Path, packages: &[String]) -> Option<PathBuf> {
    files(root, packages).into_iter().next()
}

/// What there is of the usual files, relative to the root.
fn files(root: &Path, packages: &[String]) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::new()];
    folders.extend(packages.iter().map(|name| name.replace('.', "/").into()));
    folders.push("requirements".into());
    let mut found = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(root.join(&folder)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| {
                let is_list = name.ends_with(".txt")
                    && (name.starts_with("requirements") || folder.ends_with("requirements"));
                is_list || name == "pyproject.toml"
            })
            .collect();
        names.sort_by_key(|name| (name != "requirements.txt", name.clone()));
        found.extend(names.into_iter().map(|name| folder.join(name)));
    }
    found
}

fn read(path: &Path) -> Option<String> {
    let is_small = path
        .metadata()
        .is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_BYTES);
    let bytes = is_small.then(|| std::fs::read(path).ok())??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `aiohttp` in `aiohttp[speedups]>=3.8.0; python_version > "3.8"`.
fn name_of(requirement: &str) -> &str {
    let end =
        requirement.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'));
    &requirement[..end.unwrap_or(requirement.len())]
}

/// Names of packages are compared like this (PEP 503).
fn normal(name: &str) -> String {
    let dashes = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let mut parts = dashes.split('-').filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + "-" + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_found_under_its_package_s_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# web\naiohttp>=3.8.0  # client\nPython_Jose[cryptography]\n";
        std::fs::create_dir(folder.path().join("backend")).unwrap();
        std::fs::write(folder.path().join("backend/requirements.txt"), text).unwrap();
        std::fs::write(
            folder.path().join("pyproject.toml"),
            "[project]\ndependencies = [\n    \"PyYAML>=6\",\n]\n",
        )
        .unwrap();
        let find = |module: &str| {
            let found = listed(folder.path(), &["backend".to_owned()], module)?;
            Some(format!(
                "{}:{} {}",
                found.file.display(),
                found.line,
                found.text
            ))
        };
        let expect = "backend/requirements.txt:2 aiohttp>=3.8.0";
        assert_eq!(find("aiohttp").as_deref(), Some(expect));
        let expect = "backend/requirements.txt:3 Python_Jose[cryptography]";
        assert_eq!(find("jose").as_deref(), Some(expect));
        assert_eq!(find("yaml").as_deref(), Some("pyproject.toml:3 PyYAML>=6"));
        assert_eq!(find("web"), None);
    }
}
