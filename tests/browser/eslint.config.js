import tseslint from "typescript-eslint";
import { tests, typed } from "../../scripts/eslint.mjs";

export default tseslint.config(
  { ignores: ["node_modules/", "shots/"] },
  typed(tseslint, import.meta.dirname, ["**/*.ts"]),
  tests(["**/*.test.ts", "harness/scenario.ts"]),
);
