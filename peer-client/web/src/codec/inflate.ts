/** Inflates a zlib stream whose length is known beforehand: pako, held to exactly that length. */
import { ZStream, Z_FINISH, Z_STREAM_END, zlibInflate, zlibInflateInit } from "pako";
import { DecodeError } from "./error.js";

/*! pako - (MIT AND Zlib) (c) 2014-2017 Vitaly Puzrin, Andrei Tuputcyn; (c) 1995-2013 Jean-loup Gailly, Mark Adler */

/**
 * Gives the `length` bytes that `input` stands for; throws a {@link DecodeError} if it is not exactly as many, or if
 * the stream does not end where the input ends. Never writes more than `length` bytes.
 */
export function inflate(input: Uint8Array, length: number): Uint8Array {
  const stream = new ZStream();
  const output = new Uint8Array(length);
  zlibInflateInit(stream);
  Object.assign(stream, { input, avail_in: input.length, output, avail_out: length });
  const status = zlibInflate(stream, Z_FINISH);
  if (status !== Z_STREAM_END || stream.avail_in > 0 || stream.avail_out > 0) {
    const detail = stream.msg === "" ? "another length" : stream.msg;
    throw new DecodeError("bad_payload", `payload does not inflate to its stated length: ${detail}`);
  }
  return output;
}
