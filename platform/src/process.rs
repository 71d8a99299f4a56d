//! What the operating system says about this process and others. Linux only; elsewhere nothing is said.

use std::fs;

/// Linux counts CPU time in hundredths of a second for user programs, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// CPU time of all threads, user and system.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// The most that it ever was.
    pub peak_bytes: u64,
}

impl Usage {
    /// That of this process.
    pub fn own() -> Option<Self> {
        Self::read("self")
    }

    /// That of a process, by its id.
    pub fn of(id: u32) -> Option<Self> {
        Self::read(&id.to_string())
    }

    fn read(process: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in parentheses, may hold anything; fields 14 and 15 are the 12th and 13th after it.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let bytes = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
        };
        Some(Self {
            cpu_seconds: (user + system) as f64 / TICKS_PER_SECOND,
            resident_bytes: bytes("VmRSS:")?,
            peak_bytes: bytes("VmHWM:")?,
        })
    }
}

/// CPU time of all threads of this process, user and system.
pub fn cpu_seconds() -> Option<f64> {
    Usage::own().map(|usage| usage.cpu_seconds)
}

/// Resident memory of this process.
pub fn resident_bytes() -> Option<u64> {
    Usage::own().map(|usage| usage.resident_bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_uses_memory_and_time() {
        assert!(super::resident_bytes().unwrap() > 100_000);
        assert!(super::cpu_seconds().is_some());
        let usage = super::Usage::of(std::process::id()).unwrap();
        assert!(usage.peak_bytes >= usage.resident_bytes);
    }
}
