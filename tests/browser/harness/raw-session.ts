/** Connections to the server that keep to no rule: from a page, and below WebSocket. */
import { request } from "node:http";
import type { Page } from "puppeteer-core";
import type { Server } from "./server.js";

export interface Ending {
  readonly opened: boolean;
  readonly code: number;
  readonly reason: string;
  /** Messages that the server sent before. */
  readonly answers: number;
}

/** A text or the bytes of a binary message. */
export type RawMessage = string | readonly number[];

/** Opens a WebSocket in a page, sends everything at once, and waits until the server closes it. */
export async function rawSession(
  page: Page,
  server: Server,
  messages: readonly RawMessage[],
  protocols: readonly string[] = ["tiercast.v1"],
): Promise<Ending> {
  return page.evaluate(
    async ({ url, protocols, messages }) => {
      const socket = new WebSocket(url, [...protocols]);
      let opened = false;
      let answers = 0;
      socket.onopen = () => {
        opened = true;
        for (const message of messages) socket.send(typeof message === "string" ? message : new Uint8Array(message));
      };
      socket.onmessage = () => {
        answers++;
      };
      return new Promise<Ending>((resolve) => {
        socket.onclose = ({ code, reason }) => {
          resolve({ opened, code, reason, answers });
        };
      });
    },
    { url: server.ws, protocols, messages },
  );
}

/** A msgpack map of texts and numbers below 128. */
export function map(fields: Readonly<Record<string, string | number>>): number[] {
  const entries = Object.entries(fields);
  const text = (value: string): number[] => {
    const bytes = [...Buffer.from(value, "utf8")];
    return [0xd9, bytes.length, ...bytes];
  };
  return [0x80 | entries.length, ...entries.flatMap(([key, value]) => [...text(key), ...(typeof value === "string" ? text(value) : [value])])];
}

export const HELLO = map({ type: "hello", id: 1, protocol: 1, client: "tests" });

/** The answer to a handshake that offers `protocol`: the status, and what it says. */
export async function handshake(server: Server, protocol: string | undefined): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const attempt = request(`${server.http}/v1/ws`, { headers: handshakeHeaders(protocol) });
    attempt.on("error", reject);
    attempt.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, text: "" });
    });
    attempt.on("response", (response) => {
      response.setEncoding("utf8");
      let text = "";
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, text });
      });
    });
    attempt.end();
  });
}

/** Sends bytes after a good handshake that no browser would send; resolves with the code that the server closes with. */
export async function closeCodeOf(server: Server, bytes: readonly number[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = request(`${server.http}/v1/ws`, { headers: handshakeHeaders("tiercast.v1") });
    attempt.on("error", reject);
    attempt.on("response", (response) => {
      reject(new Error(`refused with ${response.statusCode ?? 0}`));
    });
    attempt.on("upgrade", (_response, socket, head) => {
      let received: Buffer = head;
      const look = (): void => {
        // The first frame is the close frame, as the server says nothing before `hello`.
        if (received.length < 4) return;
        socket.destroy();
        if (received.readUInt8(0) === 0x88) resolve(received.readUInt16BE(2));
        else reject(new Error(`not a close frame: ${received.toString("hex")}`));
      };
      socket.on("data", (part: Buffer) => {
        received = Buffer.concat([received, part]);
        look();
      });
      socket.on("error", reject);
      socket.on("close", () => {
        reject(new Error("the connection ended without a close frame"));
      });
      look();
      socket.write(Buffer.from(bytes));
    });
    attempt.end();
  });
}

function handshakeHeaders(protocol: string | undefined): Record<string, string> {
  return {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": Buffer.alloc(16, 7).toString("base64"),
    ...(protocol === undefined ? {} : { "sec-websocket-protocol": protocol }),
  };
}
