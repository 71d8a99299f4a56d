/** What a signature covers: a context, the channel's name, and the item's bytes before the signature. */

/** Length of a signature in bytes. */
export const SIGNATURE_BYTES = 64;
/** Length of a public key in bytes. */
export const PUBLIC_KEY_BYTES = 32;

/** What there is to check of a signed item. */
export interface SignedMessage {
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

const utf8 = new TextEncoder();

/** The message that the server signed, for an item of `channel` that ends with its signature. */
export function signedMessage(context: string, channel: string, item: Uint8Array): SignedMessage {
  const prefix = utf8.encode(`${context}\n${channel}\n`);
  const signedBytes = item.length - SIGNATURE_BYTES;
  const message = new Uint8Array(prefix.length + signedBytes);
  message.set(prefix);
  message.set(item.subarray(0, signedBytes), prefix.length);
  return { message, signature: item.subarray(signedBytes) };
}
