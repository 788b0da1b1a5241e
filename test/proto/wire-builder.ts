/** Serialized messages built byte by byte, independent of the code under test. */

/** A varint of the fewest bytes, or padded to `width`. */
export function varint(value: number | bigint, width = 1): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 127n));
    rest >>= 7n;
  } while (rest > 0n || bytes.length < width);
  return bytes.map((byte, i) => (i < bytes.length - 1 ? byte | 128 : byte));
}

/** A field of any wire type, its value as bytes. */
export function rawField(number: number, wireType: number, ...value: number[]): number[] {
  return [...varint(number * 8 + wireType), ...value];
}

/** A varint field. */
export function intField(number: number, value: number | bigint): number[] {
  return rawField(number, 0, ...varint(value));
}

/** A length-delimited field: text, bytes or the fields of a message. */
export function field(number: number, content: string | Iterable<number>): number[] {
  const bytes = typeof content === 'string' ? [...Buffer.from(content)] : [...content];
  return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
}

/** `length` bytes that differ from their neighbours. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17) & 255);
}

/** Little-endian floats. */
export function floats(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}
