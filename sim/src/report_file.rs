//! The file of a page: opened before a run, so that a wrong path costs no run, and written after it.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};

/// A file that can be written.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens it, or makes it; what is in it stays until it is written.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn open(path: PathBuf) -> Result<Self> {
        let opened = File::options().write(true).create(true).truncate(false).open(&path);
        let file = opened.with_context(|| {
            format!("--report {}: name a file in a folder that exists and can be written", path.display())
        })?;
        Ok(Self { path, file })
    }

    /// Puts this in the place of what was there.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(mut self, page: &str) -> Result<()> {
        self.replace(page).with_context(|| format!("--report {self}"))
    }

    fn replace(&mut self, page: &str) -> io::Result<()> {
        self.file.write_all(page.as_bytes())?;
        // What is no file, such as a pipe, has no length.
        if self.file.metadata()?.is_file() { self.file.set_len(page.len() as u64) } else { Ok(()) }
    }
}

impl fmt::Display for ReportFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_replaced_as_a_whole_and_only_when_there_is_something_new() {
        let path = std::env::temp_dir().join(format!("tiercast-report-{}.html", std::process::id()));
        std::fs::write(&path, "a long page").unwrap();
        let file = ReportFile::open(path.clone()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a long page");
        file.write("new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_had_is_named_with_what_to_do() {
        let error = format!("{:#}", ReportFile::open("/nonexistent/x.html".into()).unwrap_err());
        assert!(
            error.contains("--report /nonexistent/x.html: name a file in a folder that exists"),
            "{error}"
        );
    }
}
