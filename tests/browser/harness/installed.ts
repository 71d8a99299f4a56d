/** A program in a folder of its own that has the package installed, as whoever uses it has. */
import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./program.js";
import type { Stage } from "./scenario.js";

/** Writes the program, and gives its path. It is there as long as the scenario. */
export async function installed(stage: Stage, program: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tiercast-node-"));
  stage.atEnd(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, "node_modules"));
  await symlink(join(ROOT, "peer-client", "web"), join(folder, "node_modules", "tiercast-peer"));
  const path = join(folder, "program.mjs");
  await writeFile(path, program);
  return path;
}
