//! Values of secrets stay where they belong.

use std::io::Write as _;

use crate::support::{Fixture, answer};

#[test]
fn no_secret_reaches_an_artefact() {
    const PLANTED: [&str; 6] = [
        "pl4nted-in-the-environment",
        "pl4nted-in-env-file",
        "pl4nted-in-url",
        "pl4nted-token",
        "pl4nted-by-the-tool",
        "pl4nted-in-option",
    ];
    let [process, file, url, token, tool, option] = PLANTED;
    let fixture = Fixture::empty();
    fixture.write(
        ".env",
        format!(
            "SECRET_KEY={file}\nMAILER_URL=smtp://me:{url}@mail.example\nTOOL_PASSWORD={tool}\n"
        ),
    );
    // What the tool prints is evidence of its failure, and stands in every artefact.
    let leak = format!("echo \"password {tool} refused; {process} {file} {token}\" >&2; exit 3");
    fixture.script("migrate", &leak);
    fixture.write(
        "boot.toml",
        "name = \"shop\"\n[database]\nurl = \"sqlite:///./shop.db\"\n\
         [migrations]\ncommand = [\"./migrate\"]\ncheck = [\"./migrate\"]\n",
    );
    let junit = format!("junit:{}", fixture.path("boot.xml").display());
    let json = format!("json:{}", fixture.path("boot.json").display());
    for format in ["pretty", "json", "junit"] {
        let mut command = fixture.command();
        command
            .env("API_TOKEN", token)
            .env("SESSION_SECRET", process);
        command.env(
            "DATABASE_URL",
            format!("sqlite:///./shop.db?password={option}&mode=rw"),
        );
        command.args(["--report", &junit, "--report", &json, "--format", format]);
        let answer = answer(&mut command);
        assert!(answer.code == 1 || answer.code == 3, "{}", answer.all());
        assert!(
            answer.all().contains("refused"),
            "the tool's words arrive: {}",
            answer.all()
        );
        for secret in PLANTED {
            assert!(
                !answer.all().contains(secret),
                "{secret} in {}",
                answer.all()
            );
        }
    }
    for (name, entry) in fixture.tree() {
        if matches!(name.as_str(), ".env" | "migrate") {
            continue;
        }
        let contents = String::from_utf8_lossy(&entry.contents.unwrap_or_default()).into_owned();
        for secret in PLANTED {
            assert!(!contents.contains(secret), "{secret} in {name}: {contents}");
        }
    }
}

#[test]
fn the_generated_key_stands_in_env_alone() {
    let fixture = Fixture::empty();
    let answer = fixture.boot(&[]);
    let env = fixture.read(".env");
    let key = env
        .lines()
        .find_map(|line| line.strip_prefix("SECRET_KEY="))
        .unwrap();
    assert!(!answer.all().contains(key));
    for (name, entry) in fixture.tree() {
        let contents = String::from_utf8_lossy(&entry.contents.unwrap_or_default()).into_owned();
        assert_eq!(contents.contains(key), name == ".env", "{name}");
    }
    std::io::stderr().flush().unwrap();
}
