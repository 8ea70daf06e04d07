/** Reads a vendor's secret where its reference says: the environment, a file, or Secret Manager. */
import { readFile } from "node:fs/promises";
import type { SecretReference } from "../vendor-config.ts";
import type { SecretManager } from "./secret-manager.ts";
import { type SecretFault, SecretManagerError } from "./secret-manager-error.ts";
import { faultOf, withoutLineEnd } from "./secret-text.ts";

export interface SecretRead {
  text: string;
  /** Of Secret Manager; other places have none. */
  version: number | null;
}

/** Throws {@link Unreadable}. */
export type ReadSecret = (reference: SecretReference) => Promise<SecretRead>;

/** `message` follows the secret's name and place in a sentence, and never tells the value. */
export class Unreadable extends Error {
  override name = "Unreadable";
  /** Somebody took the secret away: what was read before is not to be used any more. */
  readonly withdrawn: boolean;
  /** Secret Manager has no such secret, or no version of it. */
  readonly missing: boolean;

  constructor(predicate: string, fault: SecretFault | null = null) {
    super(predicate);
    this.missing = fault === "missing";
    this.withdrawn = this.missing || fault === "disabled";
  }
}

/** The reference as it is written in KEYBRAKE_VENDORS. */
export function placeOf(reference: SecretReference): string {
  if (reference.from === "manager") return reference.name;
  return reference.from === "env" ? `env:${reference.name}` : `file:${reference.path}`;
}

/** @param manager opens Secret Manager, when the first secret of it is read. */
export function secretReader(manager: () => Promise<Pick<SecretManager, "access">>): ReadSecret {
  return async (reference) => {
    const read = await readFrom(reference, manager);
    const fault = faultOf(read.text);
    if (fault) throw new Unreadable(fault);
    return read;
  };
}

async function readFrom(
  reference: SecretReference,
  manager: () => Promise<Pick<SecretManager, "access">>,
): Promise<SecretRead> {
  if (reference.from === "env") return { text: reference.value.reveal(), version: null };
  if (reference.from === "file") return { text: await readText(reference.path), version: null };
  try {
    const { data, version } = await (await manager()).access(reference.name, "latest");
    return { text: withoutLineEnd(data.toString("utf8")), version };
  } catch (error) {
    if (!(error instanceof SecretManagerError)) throw error;
    throw new Unreadable(error.predicate, error.fault);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return withoutLineEnd(await readFile(path, "utf8"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "no reason given";
    throw new Unreadable(`cannot be read: ${code}`);
  }
}
