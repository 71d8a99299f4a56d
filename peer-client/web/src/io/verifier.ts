/** Checks Ed25519 signatures: with WebCrypto where the browser has it, otherwise with a library, 20 times slower. */
import { verifyEd25519 } from "./ed25519.js";

/** Whether `signature` is `key`'s over `message`. */
export type Verifier = (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

const ALGORITHM = "Ed25519";
/** Imported keys that are kept. A server has one or two; more would come from a server that misbehaves. */
const KEYS_MAX = 8;
/** A public key that is valid: the base point of the curve. */
const SOME_KEY = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 0x58 : 0x66));

/** The best verifier that works here. WebCrypto needs a secure context; Ed25519 in it, a browser of 2025 or later. */
export async function createVerifier(): Promise<Verifier> {
  return (await isSupported()) ? webCryptoVerifier() : libraryVerifier();
}

async function isSupported(): Promise<boolean> {
  // Outside a secure context there is no `subtle`, whatever its type says.
  const subtle = globalThis.crypto.subtle as SubtleCrypto | undefined;
  try {
    return (await subtle?.importKey("raw", SOME_KEY, ALGORITHM, false, ["verify"])) !== undefined;
  } catch {
    return false;
  }
}

export function webCryptoVerifier(): Verifier {
  const { subtle } = globalThis.crypto;
  const keys = new Map<string, Promise<CryptoKey>>();
  const imported = (key: Uint8Array): Promise<CryptoKey> => {
    const name = key.join();
    const known = keys.get(name);
    if (known !== undefined) return known;
    if (keys.size === KEYS_MAX) keys.clear();
    const promise = subtle.importKey("raw", owned(key), ALGORITHM, false, ["verify"]);
    keys.set(name, promise);
    return promise;
  };
  return async (key, message, signature) => {
    try {
      return await subtle.verify(ALGORITHM, await imported(key), owned(signature), owned(message));
    } catch {
      return false;
    }
  };
}

export function libraryVerifier(): Verifier {
  return (key, message, signature) => Promise.resolve(verifyEd25519(key, message, signature));
}

/** WebCrypto takes no views of shared memory; nothing here is one, which the type cannot tell. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
