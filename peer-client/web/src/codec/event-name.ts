/** What happened to what, as a routing key: `ticket.1234.updated`. */
import { kindOf } from "./kind-of.js";
import { ROUTING_KEY_BYTES_MAX } from "./limits.js";

/** A part of an event's name. */
type Part = "thing" | "id" | "what";

/** Parts that give no name. */
export class EventNameError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "EventNameError";
  override readonly name = "EventNameError";
  readonly reason: "type" | "empty" | "character" | "too_long";

  /** @internal */
  constructor(reason: EventNameError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * The routing key of an event that tells what happened to a thing: `eventName("ticket", 1234, "updated")`. Three parts, always, so
 * that patterns are predictable: `ticket.1234.*`, `ticket.*.deleted`, `ticket.#`. Throws {@link EventNameError}.
 */
export function eventName(thing: string, id: string | number | bigint, what: string): string {
  if (typeof id === "number" && !Number.isSafeInteger(id)) {
    throw new EventNameError("character", `the id ${id} of an event's name is no integer: give a text or a bigint`);
  }
  check("thing", thing);
  check("id", typeof id === "number" || typeof id === "bigint" ? String(id) : id);
  check("what", what);
  const name = `${thing}.${id}.${what}`;
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > ROUTING_KEY_BYTES_MAX) {
    const problem = `an event's name of ${bytes} bytes is more than ${ROUTING_KEY_BYTES_MAX}: shorten a part`;
    throw new EventNameError("too_long", problem);
  }
  return name;
}

function check(part: Part, text: unknown): void {
  if (typeof text !== "string") {
    const fix = part === "id" ? "give a text, an integer or a bigint" : "give a text";
    throw new EventNameError("type", `the ${part} of an event's name is ${kindOf(text)}: ${fix}`);
  }
  if (text === "") {
    throw new EventNameError("empty", `the ${part} of an event's name is empty: give it one or more characters`);
  }
  const [character] = /[.*#]/.exec(text) ?? [];
  if (character !== undefined) {
    const problem = `the ${part} \`${text.slice(0, 64)}\` of an event's name has \`${character}\``;
    throw new EventNameError("character", `${problem}: use any characters but \`.\`, \`*\` and \`#\``);
  }
}
