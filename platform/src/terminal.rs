//! Whether a log may have colours: for those who watch it, unless they asked for none.

use std::{env, ffi::OsString, io::IsTerminal};

/// Whether what is written to stderr may have colours: on a terminal, unless `NO_COLOR` is set (no-color.org).
pub fn stderr_has_colours() -> bool {
    has_colours(std::io::stderr().is_terminal(), env::var_os("NO_COLOR"))
}

fn has_colours(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(has_colours(true, None));
        assert!(has_colours(true, Some("".into())), "set to nothing is not set");
        assert!(!has_colours(true, Some("1".into())));
        assert!(!has_colours(false, None));
    }
}
