// Refuses to publish what does not know yet where it lives: `.example` belongs to nobody (RFC 2606).
import { readFileSync } from "node:fs";

const { repository, homepage } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
for (const address of [repository.url, homepage]) {
  if (new URL(address.replace(/^git\+/, "")).hostname.endsWith(".example")) {
    console.error(`package.json: ${address} is a placeholder: write the project's own address before publishing`);
    process.exitCode = 1;
  }
}
