/** A process that the tests have started: what it writes, line by line, and its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Changing } from "./changing.js";

export const ROOT = process.env["TIERCAST_ROOT"] ?? fileURLToPath(new URL("../../..", import.meta.url));

/** Lines kept for the report of a failure. */
const TAIL_LINES = 60;

/** Groups of processes that are still there: none outlives the tests. */
const living = new Set<number>();
process.on("exit", () => {
  for (const pid of living) killGroup(pid, "SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    process.exit(1);
  });
}

/** Seconds since the tests began, for reports. */
export function sinceStart(): string {
  return (performance.now() / 1000).toFixed(3).padStart(8);
}

/** Where the binaries are: TIERCAST_BIN, or what cargo has built last for release, or for debugging. */
export function binary(name: string): string {
  const given = process.env["TIERCAST_BIN"];
  const folders = given === undefined ? ["target/release", "target/debug"].map((dir) => join(ROOT, dir)) : [given];
  const path = folders.map((folder) => join(folder, name)).find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`there is no ${name} in ${folders.join(" or ")}: build it, or set TIERCAST_BIN`);
  return path;
}

export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it reads what it is told. */
  readonly isTold?: boolean;
  readonly onStdout?: (line: string) => void;
  readonly onStderr?: (line: string) => void;
}

export class Program extends Changing {
  readonly name: string;
  readonly stderr: string[] = [];
  readonly stdout: string[] = [];
  readonly #child: ChildProcess;
  readonly #tail: string[] = [];
  #end: string | undefined;

  constructor({ name, command, args, env = {}, isTold = false, onStdout, onStderr }: ProgramOptions) {
    super();
    this.name = name;
    // A group of its own, so that helpers go with it.
    this.#child = spawn(command, args, {
      env: { ...inherited(), ...env },
      stdio: [isTold ? "pipe" : "ignore", "pipe", "pipe"],
      detached: true,
    });
    const { pid } = this.#child;
    if (pid !== undefined) living.add(pid);
    this.#child.on("error", (error) => {
      this.#ended(error.message);
    });
    this.#child.on("exit", (code, signal) => {
      this.#ended(signal ?? `code ${code ?? "?"}`);
    });
    this.#read(this.#child.stdout, this.stdout, onStdout);
    this.#read(this.#child.stderr, this.stderr, onStderr);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} was not started`);
    return this.#child.pid;
  }

  /** How it ended: a signal's name or an exit code; undefined while it runs. */
  get end(): string | undefined {
    return this.#end;
  }

  /** Waits for a line that matches; fails at once if the program ends first. */
  async line(pattern: RegExp, where: "stdout" | "stderr" = "stderr", timeoutMs?: number): Promise<RegExpExecArray> {
    const written = (): RegExpExecArray | undefined => {
      for (const line of this[where]) {
        const match = pattern.exec(line);
        if (match !== null) return match;
      }
      if (this.#end !== undefined) throw new Error(`${this.name} ended with ${this.#end}: ${this.stderr.join("\n")}`);
      return undefined;
    };
    return this.until(`${this.name} writes ${pattern.source}`, written, timeoutMs);
  }

  /** Writes a line to its input. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#end === undefined) process.kill(this.pid, signal);
  }

  /** Ends it, and waits until it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.signal(signal);
    await this.#gone();
  }

  /** Ends its input, and waits until it is gone. */
  async finish(): Promise<void> {
    this.#child.stdin?.end();
    await this.#gone();
  }

  /** What it wrote last, for people. */
  tail(): string {
    const state = this.#end === undefined ? "running" : `ended with ${this.#end}`;
    return [`--- ${this.name} (${state})`, ...this.#tail.slice(-TAIL_LINES)].join("\n");
  }

  async #gone(): Promise<void> {
    await this.until(`${this.name} ends`, () => this.#end);
    // What it has started has no parent any more.
    killGroup(this.pid, "SIGKILL");
    living.delete(this.pid);
  }

  #read(stream: NodeJS.ReadableStream | null, into: string[], on: ((line: string) => void) | undefined): void {
    if (stream === null) return;
    createInterface({ input: stream, crlfDelay: Infinity }).on("line", (line) => {
      into.push(line);
      if (into === this.stderr) this.#tail.push(`${sinceStart()} ${line}`);
      on?.(line);
      this.changed();
    });
  }

  #ended(how: string): void {
    this.#end ??= how;
    this.changed();
  }
}

/** Without our own settings: the server takes every variable that begins like this for one of its own. */
function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TIERCAST_")));
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone already.
  }
}
