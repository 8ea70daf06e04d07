/** Looks for a secret in bytes, in every form in which it could come out by accident. */

export interface Canary {
  name: string;
  forms: ReadonlyMap<string, Buffer>;
}

/** Shorter pieces of a random text are found by chance in megabytes. */
const PIECE_BYTES = 12;

/**
 * @param pieces also any {@link PIECE_BYTES} bytes of it in a row: a secret that is cut, or shown by its ends.
 * @param bytes what the text stands for, when it is an encoding of something.
 */
export function canaryOf(name: string, text: string | Buffer, options: { pieces?: boolean } = {}): Canary {
  const raw = Buffer.from(text);
  const forms = new Map<string, Buffer>([["raw", raw]]);
  const add = (form: string, value: string): void => {
    forms.set(form, Buffer.from(value, "latin1"));
  };
  for (const before of [0, 1, 2]) {
    const inner = innerBase64(raw, before);
    add(`base64 behind ${before} bytes`, inner);
    add(`base64url behind ${before} bytes`, inner.replaceAll("+", "-").replaceAll("/", "_"));
    add(`base64 behind ${before} bytes, slashes escaped`, inner.replaceAll("/", "\\/"));
    add(`base64 behind ${before} bytes, URL-escaped`, encodeURIComponent(inner));
  }
  add("hex", raw.toString("hex"));
  add("HEX", raw.toString("hex").toUpperCase());
  // As JSON and node:util show a Buffer's or an array's bytes.
  add("numbers", [...raw].join(","));
  add("numbers, spaced", [...raw].join(", "));
  const percent = [...raw].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  add("percent", percent);
  add("PERCENT", percent.toUpperCase());
  const latin1 = raw.toString("latin1");
  if (/^[\x21-\x7e]+$/.test(latin1)) {
    add("URL-escaped", encodeURIComponent(latin1));
    add("URL-escaped twice", encodeURIComponent(encodeURIComponent(latin1)));
    add("slashes escaped", latin1.replaceAll("/", "\\/"));
    add("unicode escapes", [...raw].map((byte) => `\\u00${byte.toString(16).padStart(2, "0")}`).join(""));
  }
  if (options.pieces) {
    for (let at = 0; at + PIECE_BYTES <= raw.length; at += 1) {
      forms.set(`bytes ${at} to ${at + PIECE_BYTES}`, raw.subarray(at, at + PIECE_BYTES));
    }
  }
  return { name, forms };
}

/** The characters of its base64 that do not depend on what stands around it. */
function innerBase64(raw: Buffer, before: number): string {
  const text = Buffer.concat([Buffer.alloc(before), raw]).toString("base64");
  return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + raw.length) * 8) / 6));
}

/** The forms in which the canary is in these bytes. */
export function findIn(bytes: Buffer, canary: Canary): string[] {
  return [...canary.forms].filter(([, form]) => bytes.includes(form)).map(([form]) => `${canary.name}: ${form}`);
}
