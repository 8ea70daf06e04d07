/**
 * The pepper: the random root that the text of every vault key is derived from. A file of lines `v<version>:<64 hex digits>`;
 * rotation adds a line, and old versions verify until their keys end.
 */

import { createHmac } from "node:crypto";
import { link, open, readFile, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import type { Random } from "../clock.ts";
import type { Store } from "../stores/store.ts";

export const PEPPER_BYTES = 32;
const MAX_VERSIONS = 100;

export type Peppers = ReadonlyMap<number, Buffer>;

/** A pepper that lives as long as the process: for a store in memory. */
export const pepperInMemory = (random: Random): Peppers => new Map([[1, random.bytes(PEPPER_BYTES)]]);

export interface OpenedPeppers {
  peppers: Peppers;
  /** True when the file was made just now. */
  made: boolean;
}

/**
 * Reads the file, or makes it with version 1 when there is none.
 * @param mayMake `false`: keys were issued under a pepper, so a missing file is an error rather than a reason for a new one.
 * Throws an `Error` with one sentence.
 */
export async function openPepperFile(path: string, random: Random, mayMake: boolean): Promise<OpenedPeppers> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw new Error(`KEYBRAKE_PEPPER: ${path} cannot be read (${error.code}); let this user read it.`);
  });
  if (text === null) {
    if (!mayMake) {
      throw new Error(
        `KEYBRAKE_PEPPER: ${path} is missing, and the store has keys made with it; bring the file back, or start with a new store.`,
      );
    }
    return makePepperFile(path, random);
  }
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new Error(`KEYBRAKE_PEPPER: ${path} can be read by other users; run \`chmod 600 ${path}\`.`);
  }
  return { peppers: parse(path, text), made: false };
}

/**
 * The whole file is written beside its place first, then linked to its name, which fails when the name is taken: nobody ever
 * reads half a pepper, and of two processes that start at once the second reads what the first one made.
 */
async function makePepperFile(path: string, random: Random): Promise<OpenedPeppers> {
  const pepper = random.bytes(PEPPER_BYTES);
  const draft = `${path}.${random.bytes(8).toString("hex")}.new`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`v1:${pepper.toString("hex")}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path).finally(() => unlink(draft));
    // The directory too: otherwise a power cut can lose the file while the store keeps the keys.
    const directory = await open(dirname(path), "r");
    await directory.sync().finally(() => directory.close());
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return openPepperFile(path, random, false);
    throw new Error(
      `KEYBRAKE_PEPPER: ${path} cannot be made (${code}); name a file in a directory this user may write.`,
    );
  }
  return { peppers: new Map([[1, pepper]]), made: true };
}

function parse(path: string, text: string): Peppers {
  const peppers = new Map<number, Buffer>();
  for (const line of text.split("\n").filter((each) => each.trim() !== "")) {
    const match = /^v([1-9]\d{0,5}):([0-9a-f]{64,256})\s*$/.exec(line);
    const version = Number(match?.[1]);
    if (!match || peppers.has(version) || match[2]!.length % 2 !== 0) {
      throw new Error(
        `KEYBRAKE_PEPPER: ${path} is damaged; its lines are \`v1:\` and 64 hex digits, a version once each.`,
      );
    }
    peppers.set(version, Buffer.from(match[2]!, "hex"));
  }
  if (peppers.size === 0) throw new Error(`KEYBRAKE_PEPPER: ${path} is empty; bring back its content, or remove it.`);
  if (peppers.size > MAX_VERSIONS) throw new Error(`KEYBRAKE_PEPPER: ${path} has more than ${MAX_VERSIONS} versions.`);
  return peppers;
}

export const pepperSetting = (version: number): string => `pepper_v${version}`;

/** Tells peppers apart, and tells nothing about them. */
const fingerprint = (pepper: Buffer): string =>
  createHmac("sha256", pepper).update("keybrake pepper fingerprint").digest("hex");

/** True when keys of this store may have been made with a pepper already. */
export async function usesPepper(store: Pick<Store, "setting">): Promise<boolean> {
  return (await store.setting(pepperSetting(1))) !== null;
}

/** Ties the store to one version. @returns false when the store was used with another pepper of that number. */
export async function bindPepper(store: Pick<Store, "settingOnce">, version: number, pepper: Buffer): Promise<boolean> {
  const mine = fingerprint(pepper);
  return (await store.settingOnce(pepperSetting(version), mine)) === mine;
}

/** Ties the store to its peppers. Throws an `Error` with one sentence when a version is not the one it was used with. */
export async function bindPeppers(store: Pick<Store, "settingOnce">, peppers: Peppers, path: string): Promise<void> {
  for (const [version, pepper] of peppers) {
    if (await bindPepper(store, version, pepper)) continue;
    throw new Error(
      `KEYBRAKE_PEPPER: version ${version} in ${path} is not the one that this store's keys were made with; bring back the file that belongs to it.`,
    );
  }
}
