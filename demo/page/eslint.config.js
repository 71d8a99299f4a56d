import tseslint from "typescript-eslint";
import { pure, tests, typed } from "../../scripts/eslint.mjs";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/"] },
  typed(tseslint, import.meta.dirname, ["src/**/*.ts", "mock/**/*.ts"], [
    {
      selector: "AssignmentExpression[left.property.name=/^(innerHTML|outerHTML)$/]",
      message: "What others publish is text: use textContent.",
    },
  ]),
  pure(["src/model/**/*.ts"], ["requestAnimationFrame", "localStorage"]),
  tests(),
);
