import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules/", "shots/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "Use a union of string literals." },
      ],
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
    },
  },
  {
    // node:test's `test` and `describe` return promises that the runner itself awaits.
    files: ["**/*.test.ts", "harness/scenario.ts"],
    rules: { "@typescript-eslint/no-floating-promises": "off" },
  },
);
