// `npm test -- codec/frame` runs only the files whose paths hold one of these words.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { runTests } from "../../../scripts/node-tests.mjs";

await runTests(build, fileURLToPath(new URL("..", import.meta.url)));
