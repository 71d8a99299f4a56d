/** A scenario whose server keeps its events on disk, so that it can be killed and come back with them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Stage, scenario } from "./scenario.js";

export function keepingScenario(
  name: string,
  settings: Readonly<Record<string, string | number>>,
  body: (stage: Stage) => Promise<void>,
): void {
  let folder = "";
  const options = async () => {
    folder = await mkdtemp(join(tmpdir(), "tiercast-events-"));
    return { set: { ...settings, data_dir: folder } };
  };
  scenario(name, options, async (stage) => {
    stage.atEnd(() => rm(folder, { recursive: true, force: true }));
    await body(stage);
  });
}
