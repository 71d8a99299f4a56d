/** Reads the test vectors that all implementations share. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Bytes in hexadecimal; where one byte repeats, a list of parts. */
export type BytesJson = string | (string | { repeat: string; times: number })[];

/** The cases of a file in `codec/vectors`. Tests run in the package's folder. */
export function readVectors(file: string): unknown {
  return JSON.parse(readFileSync(join(process.cwd(), "../../codec/vectors", file), "utf8"));
}

export function bytesOf(json: BytesJson): Uint8Array {
  const parts = typeof json === "string" ? [json] : json;
  const hex = parts.map((part) => (typeof part === "string" ? part : part.repeat.repeat(part.times)));
  return new Uint8Array(Buffer.from(hex.join(""), "hex"));
}
