//! Quoting for a POSIX shell: pages show commands to paste, and what stands in them was typed by people.

/// One word of a command. What a shell gives no meaning to stays as it is, so that usual commands look usual.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immune_17_a_shell_reads_every_word_as_one_word() {
        for bad in ["$(reboot)", "`reboot`", "a;b", "a b", "a\nb", "it's", "", "\"", "\\", "*", "~", "!x", "a&b", "#x"]
        {
            let out = std::process::Command::new("/bin/sh")
                .args(["-c", &format!("printf %s {}", word(bad))])
                .output()
                .expect("a POSIX shell");
            assert_eq!(String::from_utf8_lossy(&out.stdout), bad, "{}", word(bad));
        }
        assert_eq!(word("bob+x@example.com"), "bob+x@example.com");
    }
}
