/**
 * The part of an answer that `?fields=` asks for: `name,template(containers(env))`, `a/b`
 * (https://cloud.google.com/apis/docs/system-parameters, read 2026-11). A name that the answer has not is left out; Google refuses it
 * when no such field exists at all.
 */
interface Mask {
  [field: string]: Mask | true;
}

/** @returns `null` when the mask cannot be read. */
export function applyFields(json: unknown, fields: string | null): { json: unknown } | null {
  if (fields === null || fields === "" || fields === "*") return { json };
  const mask = parse(fields);
  return mask && { json: only(json, mask) };
}

function parse(text: string): Mask | null {
  const tokens = text.match(/[A-Za-z@_*][\w@*]*|[(),/]/g) ?? [];
  if (tokens.join("") !== text) return null;
  let at = 0;
  const path = (): Mask | null => {
    const name = tokens[at++];
    if (name === undefined || /^[(),/]$/.test(name)) return null;
    if (tokens[at] === "/") {
      at++;
      const below = path();
      return below && { [name]: below };
    }
    if (tokens[at] !== "(") return { [name]: true };
    at++;
    const below = list();
    return below && tokens[at++] === ")" ? { [name]: below } : null;
  };
  const list = (): Mask | null => {
    const all: Mask = {};
    do {
      const one = path();
      if (!one) return null;
      Object.assign(all, one);
    } while (tokens[at] === "," && at++ >= 0);
    return all;
  };
  const mask = list();
  return at === tokens.length ? mask : null;
}

function only(json: unknown, mask: Mask | true): unknown {
  if (mask === true || typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return json.map((each) => only(each, mask));
  return Object.fromEntries(
    Object.entries(json).flatMap(([field, value]) => {
      const below = mask[field] ?? mask["*"];
      return below === undefined ? [] : [[field, only(value, below)]];
    }),
  );
}
