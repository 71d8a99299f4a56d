/** Figures as people read them. Numbers and units are kept together by a narrow no-break space. */

const GAP = "\u202f";
/** What stands where there is no figure. */
export const NONE = "–";

/** `1 234 567`, in groups of three. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, GAP);
}

/** `1`, `1.2 k`, `34 k`, `1.2 M`: for where there is little room. */
export function formatCompact(count: number): string {
  return Math.abs(count) < 10_000 ? formatCount(count) : scale(count, ["", "k", "M", "G", "T"]);
}

/** Decimal units, two digits at least: `0 B`, `850 B`, `5.6 kB`, `82 kB`, `1.2 GB`. */
export function formatBytes(bytes: number): string {
  return scale(bytes, ["B", "kB", "MB", "GB", "TB"]);
}

/** Bytes per second. */
export function formatByteRate(bytesPerS: number): string {
  return `${formatBytes(bytesPerS)}/s`;
}

/** Milliseconds: `0.42`, `3.1`, `12`, `640`; without the unit. */
export function formatMs(ms: number | undefined): string {
  if (ms === undefined) return NONE;
  if (ms < 0.995) return Math.max(0, ms).toFixed(2);
  return ms < 9.95 ? ms.toFixed(1) : formatCount(ms);
}

/** A peer's number, or the end of it: the server counts on from its clock, so that numbers outlive it. */
export function formatPeer(peer: number): string {
  return String(peer % 100_000);
}

/** `0.4 s`, `12 s`: one digit below ten. */
export function formatSeconds(seconds: number): string {
  return `${seconds < 9.95 ? seconds.toFixed(1) : formatCount(seconds)}${GAP}s`;
}

/** A share between 0 and 1, rounded down: 99.97 % never reads as 100 %. */
export function formatPercent(share: number | undefined): string {
  if (share === undefined) return NONE;
  const percent = Math.min(1, Math.max(0, share)) * 100;
  const digits = percent > 99 && percent < 100 ? 1 : 0;
  const factor = 10 ** digits;
  return (Math.floor(percent * factor + 1e-9) / factor).toFixed(digits);
}

/** Events per second: `0`, `0.4`, `20`, `498`. */
export function formatRate(perS: number): string {
  return perS > 0 && perS < 9.95 ? trimZero(perS.toFixed(1)) : formatCount(perS);
}

/** How long a build took: `48 s`, `2 m 14 s`, `1 h 03 m`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}${GAP}s`;
  const two = (value: number): string => value.toString().padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}${GAP}m ${two(seconds % 60)}${GAP}s`;
  return `${Math.floor(minutes / 60)}${GAP}h ${two(minutes % 60)}${GAP}m`;
}

/** An error and what to do about it, as one sentence: `The rate is out of range: choose 1 to 500.` */
export function sentence(error: string, fix: string | undefined): string {
  const bare = (text: string): string => text.trim().replace(/\.$/, "");
  const text = fix === undefined ? bare(error) : `${bare(error)}: ${bare(fix)}`;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** `1 child`, `3 children`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

function scale(value: number, units: readonly string[]): string {
  let rest = value;
  let index = 0;
  while (Math.abs(rest) >= 999.5 && index < units.length - 1) {
    rest /= 1000;
    index++;
  }
  const digits = index > 0 && Math.abs(rest) < 9.95 ? 1 : 0;
  return `${rest.toFixed(digits)}${GAP}${units[index] ?? ""}`.trimEnd();
}

function trimZero(text: string): string {
  return text.replace(/\.0$/, "");
}
