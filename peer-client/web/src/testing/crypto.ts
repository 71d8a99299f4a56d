/** Ed25519 with Node's crypto, without waiting: what the core's driver does in tests and traces. */
import { type KeyObject, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";

const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** Whether `signature` is `key`'s over `message`. */
export function verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: "der", type: "spki" });
  return verify(null, message, publicKey, signature);
}

/** A server's key. */
export class SigningKey {
  readonly #private: KeyObject;
  readonly publicKey: Uint8Array;

  constructor(seed: Uint8Array) {
    this.#private = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
    const spki = createPublicKey(this.#private).export({ format: "der", type: "spki" });
    this.publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#private));
  }
}
