/** Reading JSON that came from outside: a field is there and of the right kind, or the answer is refused as a whole. */

/** An answer that does not have the agreed shape. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";

  constructor(path: string, expected: string) {
    super(`the server's answer has no ${expected} at \`${path}\``);
  }
}

/** An object of a JSON document, and where in the document it is. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    if (!isRecord(value)) throw new ShapeError(path, "object");
    this.#values = value;
    this.#path = path;
  }

  number(name: string): number {
    const value = this.#values[name];
    if (typeof value !== "number" || !Number.isFinite(value)) throw new ShapeError(this.#at(name), "number");
    return value;
  }

  numberOrNull(name: string): number | undefined {
    const value = this.#values[name];
    return value === null || value === undefined ? undefined : this.number(name);
  }

  string(name: string): string {
    const value = this.#values[name];
    if (typeof value !== "string") throw new ShapeError(this.#at(name), "string");
    return value;
  }

  stringOrNull(name: string): string | undefined {
    const value = this.#values[name];
    return value === null || value === undefined ? undefined : this.string(name);
  }

  boolean(name: string): boolean {
    const value = this.#values[name];
    if (typeof value !== "boolean") throw new ShapeError(this.#at(name), "boolean");
    return value;
  }

  /** A list of numbers. */
  list(name: string): number[] {
    const value = this.#values[name];
    if (!Array.isArray(value)) throw new ShapeError(this.#at(name), "list");
    return value.map((item: unknown) => {
      if (typeof item !== "number") throw new ShapeError(this.#at(name), "list of numbers");
      return item;
    });
  }

  /** All fields, which are numbers. */
  numbers(): [string, number][] {
    return Object.keys(this.#values).map((name) => [name, this.number(name)]);
  }

  /** One of the words, or null. */
  wordOrNull<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.#values[name];
    if (value === null || value === undefined) return undefined;
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw new ShapeError(this.#at(name), words.join("|"));
    return word;
  }

  word<Word extends string>(name: string, words: readonly Word[]): Word {
    const word = this.wordOrNull(name, words);
    if (word === undefined) throw new ShapeError(this.#at(name), words.join("|"));
    return word;
  }

  object(name: string): Fields {
    return new Fields(this.#values[name], this.#at(name));
  }

  /** A list of objects. */
  objects(name: string): Fields[] {
    const value = this.#values[name];
    if (!Array.isArray(value)) throw new ShapeError(this.#at(name), "list");
    return value.map((item: unknown, index) => new Fields(item, `${this.#at(name)}[${index}]`));
  }

  #at(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
