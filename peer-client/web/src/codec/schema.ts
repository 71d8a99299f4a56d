/**
 * How the fields of control and link messages are written and read: parsed into types, not just checked.
 *
 * A message is written in the order in which its fields are declared, as the server writes it. Fields that
 * a schema does not name are ignored when reading, so that fields can be added.
 */
import { DURATION_MS_MAX } from "./limits.js";
import type { MsgpackValue } from "./msgpack.js";

/** A field's type on the wire and in the program. */
export interface Field<T> {
  /** Throws {@link FieldError}. */
  read(value: MsgpackValue): T;
  /** What is to be encoded for a value. */
  write(value: T): unknown;
  /** Whether the field may be absent. */
  readonly isOptional?: boolean;
  /** What it means if it is absent. */
  readonly default?: T;
}

/** A field that may be absent. */
export interface OptionalField<T> extends Field<T> {
  readonly isOptional: true;
}

/** A value that is not what its field holds. */
export class FieldError extends Error {
  override readonly name = "FieldError";
}

/** The type of what a field holds. */
export type Of<F> = F extends Field<infer T> ? T : never;

type Fields = Readonly<Record<string, Field<unknown>>>;
type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends OptionalField<unknown> ? K : never }[keyof F];
type Struct<F extends Fields> = Flat<
  { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Of<F[K]> } & {
    readonly [K in OptionalKeys<F>]?: Of<F[K]>;
  }
>;
type Flat<T> = { [K in keyof T]: T[K] };
type Tagged<Tag extends string, V extends Readonly<Record<string, Fields>>> = {
  [K in keyof V]: Flat<Readonly<Record<Tag, K>> & Struct<V[K]>>;
}[keyof V];

/** An integer from `min` to `max`. */
export function integer(min: number, max: number): Field<number> {
  return {
    read(value) {
      if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
        throw new FieldError(`expected an integer from ${min} to ${max}`);
      }
      return value;
    },
    write(value) {
      if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not an integer below 2^53`);
      return value;
    },
  };
}

export const u16 = integer(0, 0xffff);
export const u32 = integer(0, 0xffff_ffff);
/** On the wire 64 bits; here, as everywhere in the format, at most 2^53 - 1. */
export const u53 = integer(0, Number.MAX_SAFE_INTEGER);

/** How often something is done, in milliseconds. */
export const intervalMs = integer(1, DURATION_MS_MAX);
/** How long to wait, in milliseconds. */
export const waitMs = integer(0, DURATION_MS_MAX);

export const boolean: Field<boolean> = {
  read(value) {
    if (typeof value !== "boolean") throw new FieldError("expected true or false");
    return value;
  },
  write: (value) => value,
};

export const text: Field<string> = {
  read(value) {
    if (typeof value !== "string") throw new FieldError("expected text");
    return value;
  },
  write: (value) => value,
};

/** Text that stands for something; `parse` throws on any other. */
export function parsedText<T>(parse: (text: string) => T, format: (value: T) => string): Field<T> {
  return {
    read(value) {
      const source = text.read(value);
      try {
        return parse(source);
      } catch (error) {
        throw new FieldError(String(error));
      }
    },
    write: format,
  };
}

/** One of a few texts. */
export function oneOf<const T extends string>(...texts: readonly T[]): Field<T> {
  const parse = (source: string): T => {
    const found = texts.find((candidate) => candidate === source);
    if (found === undefined) throw new FieldError(`expected one of ${texts.join(", ")}`);
    return found;
  };
  return parsedText(parse, (value) => value);
}

/** A byte string of a fixed length. */
export function fixedBytes(length: number): Field<Uint8Array> {
  return {
    read(value) {
      if (!(value instanceof Uint8Array) || value.length !== length) {
        throw new FieldError(`expected ${length} bytes`);
      }
      return value.slice();
    },
    write: (value) => value,
  };
}

export function list<T>(item: Field<T>, lengthMax = Infinity): Field<readonly T[]> {
  return {
    read(value) {
      if (!Array.isArray(value)) throw new FieldError("expected a list");
      if (value.length > lengthMax) throw new FieldError(`expected at most ${lengthMax}`);
      return (value as readonly MsgpackValue[]).map((entry) => item.read(entry));
    },
    write: (values) => values.map((value) => item.write(value)),
  };
}

export function optional<T>(field: Field<T>): OptionalField<T> {
  return { ...field, isOptional: true };
}

/** A field that means `value` where it is absent. */
export function withDefault<T>(field: Field<T>, value: T): Field<T> {
  return { ...field, default: value };
}

/** A map with these fields. */
export function struct<const F extends Fields>(fields: F): Field<Struct<F>> {
  return {
    read: (value) => readFields(fields, mapOf(value), {}) as Struct<F>,
    write: (value) => writeFields(fields, value, {}),
  };
}

/** A map whose field `tag` says which other fields it has. */
export function tagged<const Tag extends string, const V extends Readonly<Record<string, Fields>>>(
  tag: Tag,
  variants: V,
): Field<Tagged<Tag, V>> {
  const fieldsOf = (name: string): Fields => {
    const fields = Object.hasOwn(variants, name) ? variants[name] : undefined;
    if (fields === undefined) throw new FieldError(`unknown ${tag} \`${name}\``);
    return fields;
  };
  return {
    read(value) {
      const map = mapOf(value);
      const name = readField(text, tag, map.get(tag));
      return readFields(fieldsOf(name), map, { [tag]: name }) as Tagged<Tag, V>;
    },
    write(value) {
      const name = value[tag] as string;
      return writeFields(fieldsOf(name), value, { [tag]: name });
    },
  };
}

export function mapOf(value: MsgpackValue): ReadonlyMap<string, MsgpackValue> {
  if (!(value instanceof Map)) throw new FieldError("expected a map");
  return value as ReadonlyMap<string, MsgpackValue>;
}

function readFields(
  fields: Fields,
  map: ReadonlyMap<string, MsgpackValue>,
  into: Record<string, unknown>,
): Record<string, unknown> {
  for (const [name, field] of Object.entries(fields)) {
    const value = map.get(name);
    if (field.isOptional === true && (value === undefined || value === null)) continue;
    into[name] = value === undefined && "default" in field ? field.default : readField(field, name, value);
  }
  return into;
}

function readField<T>(field: Field<T>, name: string, value: MsgpackValue | undefined): T {
  if (value === undefined) throw new FieldError(`\`${name}\` is missing`);
  try {
    return field.read(value);
  } catch (error) {
    if (error instanceof FieldError) throw new FieldError(`\`${name}\`: ${error.message}`);
    throw error;
  }
}

function writeFields(
  fields: Fields,
  values: Readonly<Record<string, unknown>>,
  into: Record<string, unknown>,
): Record<string, unknown> {
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name];
    if (value !== undefined) into[name] = field.write(value);
  }
  return into;
}
