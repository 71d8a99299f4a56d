/** Refuses names that mean nothing: where no types are checked, what is misspelled would be ignored without a word. */
import { kindOf } from "./codec/kind-of.js";

/** All names of a type, to be written down beside it: `{ ... } satisfies Names<Options>` has each, and no other. */
export type Names<T> = Readonly<Record<keyof T, true>>;

type Refuse = (problem: string) => Error;

const asTypeError: Refuse = (problem) => new TypeError(problem);

/** Refuses an object with other names than the known ones. `lack` says who does not know them: "`connect` has no option". */
export function checkNames(given: unknown, known: object, lack: string, refuse = asTypeError): void {
  if (given === undefined || given === null) return;
  if (typeof given !== "object") throw refuse(`${lack} that is ${kindOf(given)}: pass an object`);
  for (const name of Object.keys(given)) checkName(name, known, lack, refuse);
}

/** Refuses a name that is none of the known ones, and says which one was meant, or which there are. */
export function checkName(name: string, known: object, lack: string, refuse = asTypeError): void {
  if (Object.hasOwn(known, name)) return;
  const names = Object.keys(known);
  const meant = names.find((other) => isLike(name, other));
  const fix = meant === undefined ? `expected ${names.join(", ")}` : `did you mean \`${meant}\`?`;
  throw refuse(`${lack} \`${name}\`: ${fix}`);
}

/** Whether so few letters differ that the one may have been meant by the other. */
function isLike(wrong: string, known: string): boolean {
  return distance(wrong.toLowerCase(), known.toLowerCase()) <= Math.ceil(known.length / 3);
}

/** How many letters have to be added, taken away or replaced to make the one of the other. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, length) => length);
  for (const letter of one) {
    let [left, diagonal] = [Infinity, Infinity];
    row = row.map((above, at) => {
      left = Math.min(above + 1, left + 1, diagonal + (other[at - 1] === letter ? 0 : 1));
      diagonal = above;
      return left;
    });
  }
  return row.at(-1) ?? 0;
}
