//! What a host is told to run. Its login shell reads one line that holds no value at all; everything
//! else goes over standard input, so that nothing shows in a list of processes and nothing is left
//! behind in a file:
//!
//! ```text
//! password of sudo, where there is one
//! a line that says where the rest begins
//! prelude: for /bin/sh; folder, variables and arguments, each quoted
//! body:    the command line or script as its author wrote it, for its own interpreter
//! ```

use std::collections::BTreeMap;

/// What runs on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    /// The author's text.
    pub(super) body: String,
    /// What reads it.
    pub(super) reader: Reader,
    /// What it is called in its own messages.
    pub(super) name: String,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its variables.
    pub(super) variables: BTreeMap<String, String>,
    /// Where it starts, unless where the login does.
    pub(super) folder: Option<String>,
    /// As whom it runs.
    pub(super) sudo: Sudo,
}

/// What reads a text on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reader {
    /// Bash where the host has it, else sh: what StackStorm's command lines are written for.
    Bash,
    /// A shell with its options.
    Shell(Vec<String>),
    /// Another program, which takes its text from standard input when its argument is `-`.
    Program(Vec<String>),
}

/// As whom a text runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sudo {
    /// As who logs in.
    No,
    /// As root; sudo must not ask.
    Silent,
    /// As root, with this password.
    Password(String),
}

/// A line for the login shell, and what it is given to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) line: String,
    pub(super) input: String,
}

const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];

/// Reads the whole text before any of it runs: what it starts finds an empty standard input, and
/// cannot eat the rest of the text.
const ALL: &str = r#"eval "$(cat)""#;

/// Ends whatever runs when the connection does: a cancelled or timed-out `ssh` only closes that.
const WATCH: &str = r#"(while kill -0 "$ifso_watched"; do sleep 1; done; trap "" TERM; kill -TERM 0; sleep 10; kill -KILL 0) </dev/null >/dev/null 2>&1 &
ifso_watch=$!
"#;

impl Reader {
    /// What the first line of a script asks for; sh without one.
    pub(super) fn of(script: &str) -> Self {
        let first = script.lines().next().and_then(|line| line.strip_prefix("#!"));
        let mut words: Vec<String> =
            first.unwrap_or("/bin/sh").split_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|word| word.ends_with("/env")) {
            words.remove(0);
            words.retain(|word| word != "-S");
        }
        let Some(program) = words.first() else { return Self::Shell(vec!["/bin/sh".to_owned()]) };
        let name = program.rsplit('/').next().unwrap_or(program);
        if SHELLS.contains(&name) { Self::Shell(words) } else { Self::Program(words) }
    }

    fn call(&self, name: &str) -> String {
        let all =
            |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let (text, name) = (quoted(ALL), quoted(name));
        match self {
            Self::Bash => format!(
                "if command -v bash >/dev/null 2>&1; then bash -c {text} {name} \"$@\"; \
                 else /bin/sh -c {text} {name} \"$@\"; fi"
            ),
            Self::Shell(words) => format!("{} -c {text} {name} \"$@\"", all(words)),
            Self::Program(words) => format!("{} - \"$@\"", all(words)),
        }
    }
}

impl Orders {
    /// The call that runs it; `mark` is a line that stands in no password.
    ///
    /// # Errors
    /// What no shell can be given, for people.
    pub(super) fn call(&self, mark: &str) -> Result<Call, String> {
        let prelude = self.prelude()?;
        let length = prelude.len();
        // Shells read their input byte by byte, and so does dd here: the body is left for its reader.
        let inner = format!(
            "while IFS= read -r l; do [ \"$l\" = {mark} ] && break; done; \
             ifso_watched=${{1:-$PPID}}; eval \"$(dd bs=1 count={length} 2>/dev/null)\"; exit 97"
        );
        let inner = format!("/bin/sh -c {}", quoted(&inner));
        let (line, password) = match &self.sudo {
            Sudo::No => (format!("exec {inner}"), ""),
            Sudo::Silent => (as_root("-n", &inner), ""),
            Sudo::Password(password) => (as_root("-S -p \"\"", &inner), password.as_str()),
        };
        if password.contains(['\n', '\0']) {
            return Err("the password for sudo holds a line break or a NUL byte".to_owned());
        }
        let gap = if password.is_empty() { "" } else { "\n" };
        let input = format!("{password}{gap}{mark}\n{prelude}{}", self.body);
        Ok(Call { line, input })
    }

    fn prelude(&self) -> Result<String, String> {
        let given = self.arguments.iter().chain(self.variables.values()).chain(&self.folder);
        if given.chain([&self.name]).any(|value| value.contains('\0')) {
            return Err("a value holds a NUL byte, which no program can be given".to_owned());
        }
        let mut text = WATCH.to_owned();
        if let Some(folder) = &self.folder {
            text.extend(["cd -- ", &quoted(folder), " || exit 1\n"]);
        }
        for (name, value) in &self.variables {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain) {
                return Err(format!("parameter `env`: no shell knows a variable called {name:?}"));
            }
            text.extend(["export ", name, "=", &quoted(value), "\n"]);
        }
        text.push_str("set --");
        for argument in &self.arguments {
            text.extend([" ", &quoted(argument)]);
        }
        text.extend(["\n", &self.reader.call(&self.name)]);
        text.push_str(
            "\nifso_code=$?\nexec 2>/dev/null\nkill -KILL \"$ifso_watch\"\nexit \"$ifso_code\"\n",
        );
        Ok(text)
    }
}

/// The connection's own process is watched, not sudo's: that one outlives it.
fn as_root(asking: &str, inner: &str) -> String {
    let outer = format!("exec sudo {asking} -- {inner} sh \"$PPID\"");
    format!("exec /bin/sh -c {}", quoted(&outer))
}

/// `value` as one word of any POSIX shell (and of csh and fish, where it has one line).
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    fn orders(body: &str, reader: Reader) -> Orders {
        Orders {
            body: body.to_owned(),
            reader,
            name: "test".to_owned(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            folder: None,
            sudo: Sudo::No,
        }
    }

    /// Runs it as sshd would, by a real shell: exit code and standard output.
    fn run(orders: &Orders) -> (i32, String) {
        let call = orders.call("ifso-mark").unwrap();
        let mut child = Command::new("/bin/sh")
            .args(["-c", &call.line])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(call.input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
    }

    /// Prints its arguments and the variable `V`, each with its length.
    const SHOW: &str = r#"for a in "$@" "$V"; do printf '%s\0' "$a"; done"#;

    fn value() -> impl Strategy<Value = String> {
        let nasty = "['\"\\\\$`!*?~#;&|<>(){}\\[\\] \\n\\r\\ta-zäß\u{81}\u{88}-]{0,12}";
        prop_oneof![nasty, "[^\0]{0,20}", Just("$(exit 3)".to_owned()), Just("\n".to_owned())]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_value_becomes_code(arguments in prop::collection::vec(value(), 0..4), variable in value(), bash: bool) {
            let shell = if bash { "bash" } else { "sh" };
            let mut orders = orders(SHOW, Reader::Shell(vec![shell.to_owned()]));
            orders.arguments.clone_from(&arguments);
            orders.variables.insert("V".to_owned(), variable.clone());
            let all: Vec<_> = arguments.iter().chain([&variable]).map(String::as_str).collect();
            let expected = all.join("\0") + "\0";
            prop_assert_eq!(run(&orders), (0, expected));
        }
    }

    #[test]
    fn what_runs_cannot_eat_the_rest_of_its_text() {
        let text = "cat\necho after\nexit 7\n";
        assert_eq!(run(&orders(text, Reader::Bash)), (7, "after\n".to_owned()));
    }

    #[test]
    fn a_script_is_read_by_what_its_first_line_names() {
        let python = "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\nsys.exit(3)\n";
        let mut python = orders(python, Reader::of(python));
        python.arguments = vec!["it's".to_owned()];
        assert_eq!(run(&python), (3, "[\"it's\"]\n".to_owned()));
        let strict = "#!/bin/bash -e\nfalse\necho on\n";
        assert_eq!(run(&orders(strict, Reader::of(strict))), (1, String::new()));
        assert_eq!(Reader::of("echo\n"), Reader::Shell(vec!["/bin/sh".to_owned()]));
        let split = Reader::of("#!/usr/bin/env -S perl -w\n");
        assert_eq!(split, Reader::Program(vec!["perl".to_owned(), "-w".to_owned()]));
    }

    #[test]
    fn a_folder_that_is_not_there_runs_nothing() {
        let mut orders = orders("echo ran", Reader::Bash);
        orders.folder = Some("/no such/$(folder)".to_owned());
        assert_eq!(run(&orders), (1, String::new()));
    }

    #[test]
    fn a_password_that_sudo_did_not_want_is_skipped() {
        let mut asked = orders("echo ran", Reader::Bash);
        let plain = asked.call("m").unwrap();
        asked.sudo = Sudo::Password("touch /tmp/x; it's".to_owned());
        let call = asked.call("m").unwrap();
        assert_eq!(call.input, format!("touch /tmp/x; it's\n{}", plain.input));
        assert!(!call.line.contains("touch"), "{}", call.line);
    }

    #[test]
    fn what_no_shell_knows_is_refused() {
        let mut bad = orders("x", Reader::Bash);
        bad.variables.insert("A;touch x".to_owned(), String::new());
        assert!(bad.call("m").unwrap_err().contains("no shell knows a variable"));
        let mut bad = orders("x", Reader::Bash);
        bad.arguments.push("a\0b".to_owned());
        assert!(bad.call("m").is_err());
    }
}
