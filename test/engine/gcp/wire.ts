/** Values as the engine sends them to a plugin (https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go, 2026-01). */

const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const ASSETS = ["c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"];
/** Stands for any value that is not known at preview. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function isUnknown(value: unknown): boolean {
  return value === UNKNOWN;
}

/** A secret: the value inside may be of any kind. */
export function isWrapped(value: unknown): value is { value: unknown } {
  return signatureOf(value) === SECRET;
}

export function unwrapped(value: unknown): unknown {
  return isWrapped(value) ? value.value : value;
}

/** The value without any marks of secrets, however deep: what a cloud would be sent. */
export function plain(value: unknown): unknown {
  if (isWrapped(value)) return plain(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

export function isAsset(value: unknown): boolean {
  const signature = signatureOf(value);
  return signature !== undefined && ASSETS.includes(signature);
}

function signatureOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const signature: unknown = Reflect.get(value, SIGNATURE);
  return typeof signature === "string" ? signature : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
