//! Quoting for a POSIX shell.

/// A value as one word that a POSIX shell takes literally. NUL, which no argument can hold, is left out.
pub(super) fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '=' | '+' | ',');
    // zsh reads a word that begins with “=” as a command's path.
    if !value.is_empty() && !value.starts_with('=') && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\0', "").replace('\'', r"'\''"))
}
