// What the linters of all TypeScript folders have in common. There are no packages in this folder: each linter hands
// in its own typescript-eslint.

/** All rules that know types, for these files. `restricted`: further syntax that is not to be used. */
export function typed(tseslint, folder, files, restricted = []) {
  return {
    files,
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: folder } },
    rules: {
      eqeqeq: "error",
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "Use a union of string literals." },
        ...restricted,
      ],
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
    },
  };
}

/** Files that are pure: what they need of the outside is handed to them. */
export function pure(files, globals) {
  return {
    files,
    ignores: ["**/*.test.ts"],
    rules: {
      "no-restricted-globals": [
        "error",
        "Date",
        "document",
        "fetch",
        "navigator",
        "performance",
        "setInterval",
        "setTimeout",
        "window",
        ...globals,
      ],
      "no-restricted-properties": ["error", { object: "Math", property: "random" }],
    },
  };
}

/** Files with tests: node:test's `test` and `describe` return promises that the runner itself awaits. */
export function tests(files = ["**/*.test.ts"]) {
  return { files, rules: { "@typescript-eslint/no-floating-promises": "off" } };
}
