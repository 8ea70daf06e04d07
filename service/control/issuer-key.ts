/**
 * The text of an issuer key: `kbi_<pepper version>_<issuer id>_<HMAC-SHA-256(pepper, issuer id), base64url>`. As a vault key's text it
 * is verified before any store read, and is not stored.
 */
import { timingSafeEqual } from "node:crypto";
import type { VaultKeys } from "../vault-key.ts";

type Peppers = Pick<VaultKeys, "sign" | "ready" | "currentVersion">;

const shape = /^kbi_([1-9]\d{0,5})_([a-z2-7]{26})_([A-Za-z0-9_-]{43})$/;
const KIND = "issuer key";

export function issuerKeyText(issuerId: string, peppers: Peppers): string {
  const version = peppers.currentVersion;
  const mac = peppers.sign(KIND, issuerId, version);
  if (!mac) throw new Error(`the pepper's version ${version} is not loaded`);
  return `kbi_${version}_${issuerId}_${mac.toString("base64url")}`;
}

/** @returns the issuer's id; `null` for any text that this proxy did not make. */
export async function verifyIssuerKey(presented: string, peppers: Peppers): Promise<string | null> {
  const match = shape.exec(presented);
  // Another instance may have made the key with a newer pepper than this one has seen.
  if (!match || !(await peppers.ready(Number(match[1])))) return null;
  const issuerId = match[2]!;
  const mac = peppers.sign(KIND, issuerId, Number(match[1]));
  const given = Buffer.from(match[3]!, "base64url");
  if (!mac || given.length !== mac.length || !timingSafeEqual(mac, given)) return null;
  // The last character has bits to spare: only one spelling is the key.
  return given.toString("base64url") === match[3] ? issuerId : null;
}
