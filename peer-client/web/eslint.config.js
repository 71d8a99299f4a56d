import tseslint from "typescript-eslint";
import { pure, tests, typed } from "../../scripts/eslint.mjs";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "bench/node_modules/"] },
  typed(tseslint, import.meta.dirname, ["src/**/*.ts", "smoke/**/*.ts"]),
  pure(["src/codec/**/*.ts", "src/core/**/*.ts"], ["WebSocket", "RTCPeerConnection", "RTCDataChannel", "crypto"]),
  tests(),
);
